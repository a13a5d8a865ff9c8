// What the network layer costs a packet: classify on the lean way, with the checksum found by the port or
// computed here, and IP and Ethernet put in front of a segment.
#include <benchmark/benchmark.h>

#include "net/network.hpp"
#include "unit/net/frames.hpp"

namespace tern::net {
namespace {

using namespace test;
constexpr std::size_t burst = 32;

Interface self() {
  InterfaceSettings s;
  s.mac = our_mac;
  s.addresses = {{Ip{our4}, 24}, {our6, 64}};
  return Interface(s);
}
// By this thread's own time: others run beside it.
void report(benchmark::State& state) {
  state.counters["s/packet"] = benchmark::Counter(static_cast<double>(state.iterations()) * burst,
                                                  benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void classify_frames(benchmark::State& state, const Bytes& frame, std::uint64_t flags) {
  tern::test::TestPool t;
  const Interface i = self();
  const PacketPool pool = t.pool();
  std::vector<Packet> packets;
  for (std::size_t n = 0; n < burst; ++n) {
    packets.push_back(packet(pool, frame));
    packets.back().mbuf()->ol_flags = flags;
  }
  for (auto _ : state)
    for (Packet& p : packets) benchmark::DoNotOptimize(classify(p, i, pool));
  report(state);
}
constexpr std::uint64_t found_good = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
void BM_ClassifyTcp4ByPort(benchmark::State& s) {
  classify_frames(s, tcp4_frame(payload(static_cast<std::size_t>(s.range(0)))), found_good);
}
void BM_ClassifyTcp4BySoftware(benchmark::State& s) {
  classify_frames(s, tcp4_frame(payload(static_cast<std::size_t>(s.range(0)))), 0);
}
void BM_ClassifyTcp6ByPort(benchmark::State& s) {
  classify_frames(s, tcp6_frame(payload(static_cast<std::size_t>(s.range(0)))), found_good);
}
BENCHMARK(BM_ClassifyTcp4ByPort)->Arg(0);
BENCHMARK(BM_ClassifyTcp4BySoftware)->Arg(0)->Arg(1460);
BENCHMARK(BM_ClassifyTcp6ByPort)->Arg(0);

void send_segments(benchmark::State& state, TxOffloads offloads) {
  tern::test::TestPool t;
  const Interface i = self();
  NetworkSettings s;
  s.offloads = offloads;
  Network net(i, {}, t.pool(), s);
  Packet q = packet(t.pool(), arp(1, peer4, peer_mac, our4));
  const Classified c = net.classify(q);
  net.control(std::move(q), c, Instant{});
  const Bytes segment = tcp(our4, peer4, payload(static_cast<std::size_t>(state.range(0))));
  std::vector<Packet> packets;
  for (std::size_t n = 0; n < burst; ++n) packets.push_back(packet(t.pool(), segment));
  NeighbourRef hop;
  for (auto _ : state)
    for (Packet& p : packets) {
      store_be<std::uint16_t>(p.data() + 16, 0);
      p.mbuf()->ol_flags = 0;
      benchmark::DoNotOptimize(net.send_tcp(p, Ip{our4}, Ip{peer4}, 0, hop, Instant{}));
      p.trim_front(34);
    }
  report(state);
}
void BM_SendTcp4ByPort(benchmark::State& s) {
  send_segments(s, {true, true, false});
}
void BM_SendTcp4BySoftware(benchmark::State& s) {
  send_segments(s, {});
}
BENCHMARK(BM_SendTcp4ByPort)->Arg(0);
BENCHMARK(BM_SendTcp4BySoftware)->Arg(0)->Arg(1460);

} // namespace
} // namespace tern::net

BENCHMARK_MAIN();
