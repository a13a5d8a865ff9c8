// Cycles of the TSC an operation, as a benchmark's counter. Header-only, without DPDK.
#pragma once

#include <benchmark/benchmark.h>
#include <time.h>
#include <x86intrin.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

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

// This thread's processor time: what others took of this core is not in it.
[[nodiscard]] inline double cpu_ns() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

// Processor time of `body`, in cycles of the TSC.
template <class Body>
[[nodiscard]] double cpu_cycles(Body&& body) {
  const double from = cpu_ns();
  body();
  return (cpu_ns() - from) * tsc_per_ns();
}

// `body` is one operation; what it returns is kept from being optimised away. The figure is the median of
// batches, so that being descheduled, on a machine shared with others, does not count.
template <class Body>
void count_cycles(benchmark::State& state, Body body) {
  constexpr int batch = 1024;
  std::vector<std::uint64_t> batches;
  batches.reserve(1 << 20);
  while (state.KeepRunningBatch(batch)) {
    const std::uint64_t start = __rdtsc();
    for (int i = 0; i < batch; ++i) benchmark::DoNotOptimize(body());
    if (batches.size() < batches.capacity()) batches.push_back(__rdtsc() - start);
  }
  if (batches.empty()) return;
  const auto middle = batches.begin() + static_cast<std::ptrdiff_t>(batches.size() / 2);
  std::nth_element(batches.begin(), middle, batches.end());
  state.counters["cycles"] = static_cast<double>(*middle) / batch;
}

} // namespace tern::bench
