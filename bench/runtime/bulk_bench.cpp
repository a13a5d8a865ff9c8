// One connection's text in bulk, Core to Core in memory, both on one thread: what one core does for sender
// and receiver together. MTU 1500. `offload`: checksums are ours on both sides (0); the port's, as with a NIC
// (1); and the port cuts the segments too (2), which come to the receiver in packs as well, as between two virtio
// guests. `kind`: the text is static bytes, from which segments are written; copied out of the user's memory at
// each send; or what was received, passed on as it lies in its packets. Gigabits are of text a second of
// processor time.
#include <benchmark/benchmark.h>

#include <string>

#include "../cycles.hpp"
#include "support/core_pair.hpp"

namespace tern {
namespace {

enum Kind { from_static, copied, echoed };
const std::string text(1 << 20, 't');

struct Source {
  void on_connected(Connection c) { fill(c); }
  void on_writable(Connection c) { fill(c); }
  void on_data(Connection, Payload& p) {
    back += p.size();
    p.drop_all();
  }
  void fill(Connection c) {
    if (kind == from_static)
      while (c.send(StaticBytes{std::string_view{text}}) == text.size()) {
      }
    else
      while (c.send(std::as_bytes(std::span{text})) == text.size()) {
      }
  }
  Kind kind = from_static;
  std::uint64_t back = 0;
};
struct Sink {
  void on_data(Connection c, Payload& p) {
    bytes += p.size();
    if (echo)
      c.send(p);
    else
      p.drop_all();
  }
  bool echo = false;
  std::uint64_t bytes = 0;
};

struct Bulk {
  Bulk(Kind kind, std::int64_t offload)
      : pair({}, 512, {}, {.ip_checksum = offload != 0, .tcp_checksum = offload != 0},
             {.tso = offload == 2}) {
    pair.client_handler.kind = kind == echoed ? from_static : kind;
    pair.server_handler.echo = kind == echoed;
    if (!pair.server.shard.listeners.add({.ip = Ip{}, .first = Port{80}, .last = Port{80}})) std::abort();
    if (pair.client.core.connect(pair.key(1024)).error != ConnectError::none) std::abort();
    for (int i = 0; i < 20'000; ++i) turn(); // slow start, and windows at their full size
  }
  void turn() {
    pair.now = pair.now + Duration::us(20);
    pair.client.core.poll(pair.now);
    pair.server.core.poll(pair.now);
  }
  test::CorePair<Source, Sink> pair;
};

// By name, so that callgrind's --toggle-collect finds it.
[[gnu::noinline]] void bulk_turn(Bulk& bulk) {
  bulk.turn();
}

void bulk(benchmark::State& state) {
  Bulk bulk(static_cast<Kind>(state.range(0)), state.range(1));
  const auto received = [&] { return bulk.pair.server_handler.bytes; };
  const CoreCounters& sent = bulk.pair.client.shard.counters;
  const auto segments = [&] {
    return bulk.pair.server.shard.counters.get(CoreCounter::rx_packets) +
           sent.get(CoreCounter::tx_packed_segments) - sent.get(CoreCounter::tx_packs);
  };
  const std::uint64_t bytes = received();
  const std::uint64_t back = bulk.pair.client_handler.back;
  const std::uint64_t packets = segments();
  const double cycles = bench::cpu_cycles([&] {
    for (auto _ : state) bulk_turn(bulk);
  });
  const auto moved = static_cast<double>(received() - bytes);
  state.counters["gbit/s"] = moved * 8 / (cycles / bench::tsc_per_ns());
  state.counters["cycles/segment"] = cycles / static_cast<double>(segments() - packets);
  state.counters["bytes/segment"] = moved / static_cast<double>(segments() - packets);
  if (state.range(0) == echoed)
    state.counters["gbit/s back"] =
        static_cast<double>(bulk.pair.client_handler.back - back) * 8 / (cycles / bench::tsc_per_ns());
  if (moved == 0) state.SkipWithError("nothing moves");
}
BENCHMARK(bulk)->ArgNames({"kind", "offload"})->ArgsProduct({{from_static, copied, echoed}, {0, 1, 2}});

} // namespace
} // namespace tern
