// How many connections each backend has, over all cores: what least_connections compares. Each core tells its own
// counts once a millisecond and reads the others' then, some backends at a time; a pick adds what it opened itself
// since. So no line is written by two cores, and cores that pick at the same moment may err by what the others
// opened within it. Exact limits are the credits' business (credits.hpp).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "app/lb/choose/credits.hpp"

namespace tern::app::lb {

class LoadBoard {
 public:
  explicit LoadBoard(unsigned cores)
      : cores_(cores), open_(std::make_unique<std::atomic<std::uint32_t>[]>(cores * most_backends)) {}

  void tell(unsigned core, Slot s, std::uint32_t open) {
    open_[core * most_backends + s].store(open, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint32_t others(unsigned core, Slot s) const {
    std::uint32_t sum = 0;
    for (unsigned c = 0; c < cores_; ++c)
      if (c != core) sum += open_[c * most_backends + s].load(std::memory_order_relaxed);
    return sum;
  }

 private:
  unsigned cores_;
  std::unique_ptr<std::atomic<std::uint32_t>[]> open_; // a row a core
};

} // namespace tern::app::lb
