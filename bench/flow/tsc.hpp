// Time in TSC cycles: what a figure in cycles is counted in.
#pragma once

#include <x86intrin.h>

#include <chrono>
#include <cstdint>

namespace tern::bench {

[[nodiscard]] inline std::uint64_t tsc() {
  unsigned aux;
  return __rdtscp(&aux);
}

// Measured once, over 20 ms.
[[nodiscard]] inline double tsc_per_ns() {
  static const double rate = [] {
    using clock = std::chrono::steady_clock;
    const auto t0 = clock::now();
    const std::uint64_t c0 = tsc();
    while (clock::now() - t0 < std::chrono::milliseconds(20)) {
    }
    const std::uint64_t c1 = tsc();
    const auto t1 = clock::now();
    return static_cast<double>(c1 - c0) /
           static_cast<double>(std::chrono::duration_cast<std::chrono::nanoseconds>(t1 - t0).count());
  }();
  return rate;
}

} // namespace tern::bench
