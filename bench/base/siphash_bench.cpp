#include <array>

#include "base/siphash.hpp"
#include "cycles.hpp"

namespace tern {
namespace {

// src, dst, ports: 12 bytes, so one word and a tail.
template <class S>
void sip_v4_tuple(benchmark::State& state) {
  const SipKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  std::uint64_t addresses = 0x0a0000010a000002;
  std::uint32_t ports = 0x1f90c001;
  bench::count_cycles(state, [&] {
    benchmark::DoNotOptimize(addresses);
    benchmark::DoNotOptimize(ports);
    S s{key};
    s.word(addresses);
    return s.finish(ports, 12);
  });
}
BENCHMARK(sip_v4_tuple<Sip24>);
BENCHMARK(sip_v4_tuple<Sip13>);

} // namespace
} // namespace tern

BENCHMARK_MAIN();
