// The state of every backend of the process: read by all cores at each pick, written by health checks and by
// the operator.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "app/lb/choose/credits.hpp"

namespace tern::app::lb {

enum class Admin : std::uint8_t {
  ready,
  drain,    // nothing new, what is open goes on
  maintain, // nothing new, and not checked
};

class Backends {
 public:
  Backends() : all_(std::make_unique<State[]>(most_backends)) {}

  [[nodiscard]] bool takes_new(Slot s) const {
    const State& b = all_[s];
    return b.up.load(std::memory_order_relaxed) && b.admin.load(std::memory_order_relaxed) == Admin::ready;
  }
  [[nodiscard]] bool up(Slot s) const { return all_[s].up.load(std::memory_order_relaxed); }
  [[nodiscard]] Admin admin(Slot s) const { return all_[s].admin.load(std::memory_order_relaxed); }
  void set_up(Slot s, bool up) { all_[s].up.store(up, std::memory_order_relaxed); }
  void set_admin(Slot s, Admin a) { all_[s].admin.store(a, std::memory_order_relaxed); }

 private:
  struct State {
    std::atomic<bool> up{true};
    std::atomic<Admin> admin{Admin::ready};
  };
  std::unique_ptr<State[]> all_;
};

} // namespace tern::app::lb
