// What a worker shows of its core to any thread: no older than a millisecond, and as it is whenever it sleeps. Who
// reads them wakes nobody.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/counters.hpp"

namespace tern {

struct alignas(cache_line) Gauges {
  std::atomic<std::uint64_t> busy_cycles{0}; // TSC cycles of turns that found work; of the last one too
  std::atomic<std::uint64_t> port_cycles{0}; // of them, those inside the port's receive and transmit
  std::atomic<std::uint64_t> live{0};        // connection records in use
  std::atomic<std::uint64_t> live_peak{0};
  std::atomic<std::uint64_t> time_wait{0};
  std::atomic<std::uint64_t> time_wait_peak{0};
  std::atomic<std::uint64_t> syn_received{0}; // handshakes that have a record

  // By its writer.
  void show(std::uint64_t in_port, std::uint64_t live_now, std::uint64_t time_wait_now,
            std::uint64_t syn_received_now) {
    put(port_cycles, in_port);
    put(live, live_now);
    put(time_wait, time_wait_now);
    put(syn_received, syn_received_now);
    raise(live_peak, live_now);
    raise(time_wait_peak, time_wait_now);
  }

 private:
  static void put(std::atomic<std::uint64_t>& to, std::uint64_t n) { to.store(n, std::memory_order_relaxed); }
  static void raise(std::atomic<std::uint64_t>& to, std::uint64_t n) {
    if (n > to.load(std::memory_order_relaxed)) put(to, n);
  }
};
static_assert(sizeof(Gauges) == cache_line); // its writer's other lines are not touched for it

} // namespace tern
