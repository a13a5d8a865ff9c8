// Cycles of the TSC an operation, as a benchmark's counter. Header-only, without DPDK.
#pragma once

#include <benchmark/benchmark.h>
#include <x86intrin.h>

#include <cstdint>

namespace tern::bench {

// `body` is one operation; what it returns is kept from being optimised away.
template <class Body>
void count_cycles(benchmark::State& state, Body body) {
  std::uint64_t operations = 0;
  const std::uint64_t start = __rdtsc();
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(body());
    ++operations;
  }
  state.counters["cycles"] = static_cast<double>(__rdtsc() - start) / static_cast<double>(operations);
}

} // namespace tern::bench
