// What a local port costs. The probe is a stand-in that always says "free": the flow table's own is measured
// elsewhere.
#include <benchmark/benchmark.h>

#include <vector>

#include "../cycles.hpp"
#include "flow/port_pool.hpp"

namespace tern {
namespace {

constexpr std::uint32_t reta = 128;

wire::ToeplitzKey a_key() {
  wire::ToeplitzKey key;
  std::uint32_t x = 1;
  for (auto& b : key) x = x * 1'664'525 + 1'013'904'223, b = static_cast<std::uint8_t>(x >> 24);
  return key;
}

// Arguments: cores, sources.
void port_draw(benchmark::State& state) {
  const PortTable table(wire::Toeplitz{a_key()}, reta, {}, 1);
  if (!table.spans(true)) return state.SkipWithError("the key does not span the RETA");
  std::vector<std::uint16_t> owners(reta);
  for (std::size_t i = 0; i < reta; ++i)
    owners[i] = static_cast<std::uint16_t>(i % static_cast<std::size_t>(state.range(0)));
  PortPool pool(table, owners, 0);
  Sources sources;
  sources.add(Ip4{10, 0, 0, 1}, static_cast<std::uint32_t>(state.range(1)));
  PortCursor cursor = pool.cursor({Ip4{192, 0, 2, 1}, Port{80}}, 1);
  constexpr unsigned round = 1000;
  double cycles = 0;
  double count = 0;
  for (auto _ : state) {
    const std::uint64_t t0 = bench::tsc();
    for (unsigned i = 0; i < round; ++i) {
      const auto draw = pool.draw(cursor, sources, [](const PortDraw& d) {
        benchmark::DoNotOptimize(d.port.raw());
        return false;
      });
      benchmark::DoNotOptimize(draw->port.raw());
    }
    cycles += static_cast<double>(bench::tsc() - t0);
    count += round;
  }
  state.counters["port_cycles"] = cycles / count;
}
BENCHMARK(port_draw)
    ->ArgNames({"cores", "sources"})
    ->Args({1, 1})
    ->Args({1, 254})
    ->Args({4, 1})
    ->Args({4, 254});
BENCHMARK(port_draw)->ArgNames({"cores", "sources"})->Args({4, 1'000'000});

} // namespace
} // namespace tern
