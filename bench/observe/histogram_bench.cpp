// What recording a latency costs the packet path, and what copying a histogram out costs the reader, in TSC
// cycles.
#include <benchmark/benchmark.h>
#include <x86intrin.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <random>

#include "observe/histogram.hpp"

namespace tern::observe {
namespace {

[[nodiscard]] std::uint64_t tsc() {
  unsigned aux;
  return __rdtscp(&aux);
}

// Values as a run has them: around 20 us, a tail to milliseconds; `spread` is the standard deviation of their
// logarithm.
std::array<std::uint32_t, 8192> values(double spread) {
  std::mt19937_64 random{1};
  std::lognormal_distribution<double> shape{std::log(20'000), spread};
  std::array<std::uint32_t, 8192> v{};
  for (auto& x : v) x = static_cast<std::uint32_t>(shape(random));
  return v;
}

void record(benchmark::State& state) {
  const auto v = values(static_cast<double>(state.range(0)) / 100);
  Histogram h;
  std::uint64_t cycles = 0;
  for (auto _ : state) {
    const std::uint64_t start = tsc();
    for (const std::uint32_t x : v) h.record(x);
    cycles += tsc() - start;
  }
  benchmark::DoNotOptimize(h.snapshot().count());
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(v.size()));
  state.counters["cycles"] =
      benchmark::Counter(static_cast<double>(cycles) / (static_cast<double>(state.iterations()) * v.size()));
}
// The spread decides how many cache lines of counts are hot: a steady run, a usual one, one from 1 us to 1
// ms.
BENCHMARK(record)->ArgName("spread_percent")->Arg(5)->Arg(50)->Arg(150);

void snapshot(benchmark::State& state) {
  Histogram h;
  for (const std::uint32_t x : values(0.5)) h.record(x);
  Latencies out;
  for (auto _ : state) {
    h.add_to(out);
    benchmark::DoNotOptimize(out.count());
  }
}
BENCHMARK(snapshot)->Unit(benchmark::kMicrosecond);

void percentiles(benchmark::State& state) {
  Latencies l;
  for (const std::uint32_t x : values(0.5)) l.record(x);
  for (auto _ : state)
    for (const double p : {50.0, 90.0, 99.0, 99.9, 99.99}) benchmark::DoNotOptimize(l.percentile(p));
}
BENCHMARK(percentiles)->Unit(benchmark::kMicrosecond);

} // namespace
} // namespace tern::observe

BENCHMARK_MAIN();
