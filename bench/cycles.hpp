// Cycles of the TSC an operation, as a benchmark's counter. Header-only, without DPDK.
#pragma once

#include <benchmark/benchmark.h>
#include <x86intrin.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace tern::bench {

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
