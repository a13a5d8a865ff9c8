// TCP over net_ring: two ports of one process whose rings are crossed, a client's core on one and an echo
// server's on the other, a thread each. Every byte is checked, and every packet is back at the end.
#include <fmt/format.h>
#include <rte_eth_ring.h>

#include <thread>

#include "caller.hpp"
#include "io/eal.hpp"
#include "io/error.hpp"
#include "io/eth_port.hpp"
#include "io/packet_memory.hpp"
#include "runtime/thread.hpp"
#include "runtime/worker.hpp"

namespace {

using namespace tern;

struct Echo {
  void on_data(Connection c, Payload& p) { c.send(p); }
  void on_writable(Connection c) { c.resume_reading(); }
  void on_peer_closed(Connection c) { c.close(); }
};

const Ip server_ip{Ip4{10, 0, 0, 2}};
const Ip client_ip{Ip4{10, 0, 0, 1}};

rte_ring* make_ring(const char* name) {
  rte_ring* r = rte_ring_create(name, 1024, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
  if (r == nullptr) throw io::Error("no memory for a ring");
  return r;
}
void empty(rte_ring* r) {
  void* m = nullptr;
  while (rte_ring_dequeue(r, &m) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(m));
}

net::Interface interface(const Ip& ip, std::uint8_t last, std::uint16_t mtu) {
  return net::Interface({.mac = {{2, 0, 0, 0, 0, last}}, .mtu = mtu, .addresses = {{ip, 24}}});
}

// A worker's thread, until `over`.
template <class Handler>
void live(io::EthPort& port, const net::Interface& self, rte_mempool* pool, Handler& handler, bool server,
          const std::atomic<bool>& over, std::uint64_t& bytes_a_frame) {
  const PacketThread thread(std::nullopt);
  const io::Steering one;
  const DialPlan dial(self, one, {});
  typename Worker<io::EthPort, Handler>::Settings s;
  s.shard.secret = random_key();
  s.shard.mtu = self.mtu();
  s.dial = &dial;
  Worker<io::EthPort, Handler> worker(port, 0, self, net::Routes{}, PacketPool{pool}, s, handler);
  if (server && !worker.shard().listeners.add({.ip = Ip{}, .first = Port{7}, .last = Port{7}})) return;
  while (!over.load(std::memory_order_acquire)) worker.turn();
  const CoreCounters& c = worker.shard().counters;
  bytes_a_frame = c.get(CoreCounter::rx_bytes) / std::max<std::uint64_t>(c.get(CoreCounter::rx_packets), 1);
}

bool talk(io::EthPort& a, io::EthPort& b, rte_mempool* pool, const test::CallPlan& plan) {
  const std::uint16_t mtu = a.plan().mtu;
  const net::Interface client = interface(client_ip, 1, mtu);
  const net::Interface server = interface(server_ip, 2, mtu);
  test::CallTotals totals;
  test::Caller caller(plan, totals, ShardSettings{}.connections);
  Echo echo;
  std::atomic<bool> over{false};
  std::uint64_t mean = 0; // bytes of a frame that the server received
  std::uint64_t unused = 0;
  std::thread one([&] { live(b, server, pool, echo, true, over, mean); });
  std::thread two([&] { live(a, client, pool, caller, false, over, unused); });
  for (int i = 0; i < 2000 && totals.good + totals.bad < plan.count; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  over = true;
  one.join();
  two.join();
  // In bulk, most frames are full.
  const bool good = totals.good == plan.count && (plan.bytes < 1'000'000 || mean > mtu / 2U);
  fmt::print("{} - mtu {}, {} connections of {} bytes each way: {} good, {} bad, {} bytes a frame\n",
             good ? "ok" : "not ok", mtu, plan.count, plan.bytes, totals.good.load(), totals.bad.load(),
             mean);
  return good;
}

int run() {
  const io::Eal eal({.memory_mb = io::eal_megabytes_for(64)});
  rte_mempool* pool = io::make_packet_pool("ring", 64, 256);
  rte_ring* there = make_ring("there");
  rte_ring* back = make_ring("back");
  bool good = true;
  for (const std::uint16_t mtu : {std::uint16_t{1500}, std::uint16_t{9000}}) { // 9000: frames of five buffers
    const std::string a = fmt::format("a{}", mtu);
    const std::string b = fmt::format("b{}", mtu);
    if (rte_eth_from_rings(a.c_str(), &back, 1, &there, 1, 0) < 0 ||
        rte_eth_from_rings(b.c_str(), &there, 1, &back, 1, 0) < 0)
      throw io::Error("net_ring makes no port");
    rte_mempool* const pools[] = {pool};
    io::EthPort client({.name = "net_ring_" + a, .mtu = mtu}, pools);
    io::EthPort server({.name = "net_ring_" + b, .mtu = mtu}, pools);
    fmt::print("{}\n", client.describe());
    good = talk(client, server, pool, {.to = {server_ip, Port{7}}, .count = 500, .bytes = 1000}) && good;
    good = talk(client, server, pool, {.to = {server_ip, Port{7}}, .count = 4, .bytes = 10'000'000}) && good;
  }
  empty(there);
  empty(back);
  const unsigned leaked = rte_mempool_in_use_count(pool);
  fmt::print("{} - packets not given back: {}\n", leaked == 0 ? "ok" : "not ok", leaked);
  return good && leaked == 0 ? 0 : 1;
}

} // namespace

int main() {
  try {
    return run();
  } catch (const io::Error& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 2;
  }
}
