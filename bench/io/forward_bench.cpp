// What the I/O layer costs without TCP: an empty poll of a ring that is a port, and a burst's way through
// receive, classify and transmit. Rings as the port, both kinds: our in-memory pair, and DPDK's net_ring
// behind EthPort. Frames are minimal TCP segments for us whose checksums the port found good; they lie in
// cache. Cycles are processor time, in those of the TSC.
#include <benchmark/benchmark.h>
#include <rte_eth_ring.h>

#include "../cycles.hpp"
#include "io/eth_port.hpp"
#include "io/memory_pair.hpp"
#include "net/classify.hpp"
#include "support/eal.hpp"
#include "unit/net/frames.hpp"

namespace tern::io {
namespace {

net::Interface self() {
  net::InterfaceSettings s;
  s.mac = net::test::our_mac;
  s.addresses = {{Ip{net::test::our4}, 24}};
  return net::Interface(s);
}

// A net_ring port that receives what it sends.
struct RingPort {
  RingPort() : pool(1023, 2048, 256) {
    static int serial = 0;
    const std::string name = "loop" + std::to_string(serial++);
    ring = rte_ring_create(name.c_str(), 1024, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    TERN_CHECK(ring != nullptr && rte_eth_from_rings(name.c_str(), &ring, 1, &ring, 1, 0) >= 0);
    rte_mempool* const pools[] = {pool.pool().raw()};
    port = std::make_unique<EthPort>(PortRequest{.name = "net_ring_" + name}, pools);
  }
  ~RingPort() {
    rte_mbuf* m[burst_size];
    while (const std::uint16_t n = port->rx_burst(0, m, burst_size)) rte_pktmbuf_free_bulk(m, n);
    port.reset();
    rte_ring_free(ring);
  }
  EthPort& out() { return *port; }
  EthPort& in() { return *port; }

  test::TestPool pool;
  rte_ring* ring = nullptr;
  std::unique_ptr<EthPort> port;
};
struct PairPort {
  MemoryPort& out() { return pair.a(); }
  MemoryPort& in() { return pair.b(); }

  test::TestPool pool{1023, 2048, 256};
  MemoryPair pair{{}};
};

template <class Rig>
void empty_poll(benchmark::State& state) {
  Rig rig;
  auto& port = rig.in();
  rte_mbuf* m[burst_size];
  bench::count_cycles(state, [&] { return port.rx_burst(0, m, burst_size); });
}
BENCHMARK_TEMPLATE(empty_poll, PairPort);
BENCHMARK_TEMPLATE(empty_poll, RingPort);

template <class Rig>
void forward(benchmark::State& state) {
  Rig rig;
  const net::Interface i = self();
  const PacketPool pool = rig.pool.pool();
  const auto frame = net::test::tcp4_frame({});
  rte_mbuf* m[burst_size];
  for (rte_mbuf*& p : m) p = net::test::packet(pool, frame).release();
  std::uint64_t packets = 0;
  std::uint64_t ours = 0;
  const double cycles = bench::cpu_cycles([&] {
    for (auto _ : state) {
      // To be summed by the port, as the engine hands segments over; net_ring's other end is told it was.
      for (rte_mbuf* p : m)
        p->ol_flags = std::is_same_v<Rig, PairPort>
                          ? RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM
                          : RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
      rig.out().tx_burst(0, m, burst_size);
      packets += rig.in().rx_burst(0, m, burst_size);
      for (rte_mbuf* raw : m) {
        Packet p{raw};
        ours += net::classify(p, i, pool).kind == net::Kind::tcp;
        (void)p.release();
      }
    }
  });
  TERN_CHECK(packets == ours && ours != 0);
  rte_pktmbuf_free_bulk(m, burst_size);
  state.counters["cycles/packet"] = cycles / static_cast<double>(packets);
  state.SetItemsProcessed(static_cast<std::int64_t>(packets));
}
BENCHMARK_TEMPLATE(forward, PairPort);
BENCHMARK_TEMPLATE(forward, RingPort);

} // namespace
} // namespace tern::io
