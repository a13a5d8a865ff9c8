// The one place that reads a clock: the time-stamp counter, scaled to nanoseconds.
#pragma once

#include <rte_cycles.h>

#include <chrono>
#include <cstdint>

#include "base/time.hpp"

namespace tern {

// Monotonic; its origin is the machine's monotonic clock's, so that instants of several processes on one
// machine can be compared (and the timestamps of two that share keys agree).
class TscClock {
  __extension__ using Wide = unsigned __int128;

 public:
  TscClock()
      : tsc_(rte_rdtsc()),
        ns_(std::chrono::duration_cast<std::chrono::nanoseconds>(
                std::chrono::steady_clock::now().time_since_epoch())
                .count()),
        ns_per_cycle_(static_cast<std::uint64_t>((1'000'000'000.0 / static_cast<double>(rte_get_tsc_hz())) *
                                                 4294967296.0)) {}

  [[nodiscard]] Instant now() const { return at(rte_rdtsc()); }
  [[nodiscard]] Instant at(std::uint64_t tsc) const {
    const Wide ns = static_cast<Wide>(tsc - tsc_) * ns_per_cycle_;
    return Instant::at_ns(ns_ + static_cast<std::int64_t>(ns >> 32));
  }

 private:
  std::uint64_t tsc_;
  std::int64_t ns_;
  std::uint64_t ns_per_cycle_; // fixed point, 32 bits of fraction
};

} // namespace tern
