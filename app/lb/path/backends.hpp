// The state of every backend of the process: read by all cores at each pick, written by health checks, by
// clients' connections that fail, and by the operator.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

#include "app/lb/choose/credits.hpp"

namespace tern::app::lb {

enum class Admin : std::uint8_t {
  ready,
  drain,    // nothing new, what is open goes on
  maintain, // nothing new, and not checked
};

// Why a backend is up or down.
enum class Because : std::uint8_t {
  assumed, // nobody has looked yet
  check_passed,
  refused,     // the check's connection, by RST or ICMP
  unreachable, // no way, no port, no record, or ICMP says so
  silent,      // the check ran out of time
  ended,       // the connection ended before the answer
  bad_status,  // HTTP, another status than expected
  not_http,
  clients_failed, // connections for clients, several in a row
  tried_again,    // clients had failed, nothing checks it, and it has been left alone for a while
};
[[nodiscard]] std::string_view name_of(Because);
[[nodiscard]] constexpr const char* name_of(Admin a) {
  return a == Admin::ready ? "ready" : a == Admin::drain ? "drain" : "maintain";
}

class Backends {
 public:
  Backends() : all_(std::make_unique<State[]>(most_backends)) {}

  [[nodiscard]] bool takes_new(Slot s) const {
    const State& b = all_[s];
    return b.up.load(std::memory_order_relaxed) && b.admin.load(std::memory_order_relaxed) == Admin::ready;
  }
  [[nodiscard]] bool up(Slot s) const { return all_[s].up.load(std::memory_order_relaxed); }
  [[nodiscard]] Admin admin(Slot s) const { return all_[s].admin.load(std::memory_order_relaxed); }
  void set_admin(Slot s, Admin a) { all_[s].admin.store(a, std::memory_order_relaxed); }

  // Whoever watches compares `changes` with what it saw last: none is missed, though two may show as one.
  [[nodiscard]] std::uint32_t changes(Slot s) const {
    return all_[s].changes.load(std::memory_order_acquire);
  }
  [[nodiscard]] Because because(Slot s) const { return all_[s].because.load(std::memory_order_relaxed); }
  void set_up(Slot s, bool up, Because why) {
    State& b = all_[s];
    if (b.up.exchange(up, std::memory_order_relaxed) == up) {
      Because before = Because::assumed; // what was assumed is known now: no change, but a reason
      b.because.compare_exchange_strong(before, why, std::memory_order_relaxed);
      return;
    }
    b.failures.store(0, std::memory_order_relaxed);
    b.because.store(why, std::memory_order_relaxed);
    b.changes.fetch_add(1, std::memory_order_release);
  }
  // As new, for a slot that is given to another.
  void reset(Slot s) {
    set_up(s, true, Because::assumed);
    all_[s].because.store(Because::assumed, std::memory_order_relaxed);
    all_[s].failures.store(0, std::memory_order_relaxed);
    all_[s].changes.store(0, std::memory_order_release);
    set_admin(s, Admin::ready);
  }

  // A connection for a client was made, or was not: so many failures in a row, on all cores together, and it
  // is down.
  void connected(Slot s) {
    State& b = all_[s];
    if (b.failures.load(std::memory_order_relaxed) != 0) b.failures.store(0, std::memory_order_relaxed);
  }
  void failed(Slot s, std::uint32_t fall, Because why = Because::clients_failed) {
    if (all_[s].failures.fetch_add(1, std::memory_order_relaxed) + 1 >= fall) set_up(s, false, why);
  }

 private:
  struct State {
    std::atomic<bool> up{true};
    std::atomic<Admin> admin{Admin::ready};
    std::atomic<Because> because{Because::assumed};
    std::atomic<std::uint32_t> failures{0};
    std::atomic<std::uint32_t> changes{0};
  };
  std::unique_ptr<State[]> all_;
};

} // namespace tern::app::lb
