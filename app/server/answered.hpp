// How many requests one core's handler has answered: written by its core alone, read by anyone.
#pragma once

#include <atomic>
#include <cstdint>

namespace tern::app {

class Answered {
 public:
  Answered() = default;
  Answered(const Answered&) {} // each core's handler is a copy, and counts its own
  Answered& operator=(const Answered&) = delete;
  ~Answered() = default;

  void add() { n_.store(n_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }
  [[nodiscard]] const std::atomic<std::uint64_t>& count() const { return n_; }

 private:
  std::atomic<std::uint64_t> n_{0};
};

} // namespace tern::app
