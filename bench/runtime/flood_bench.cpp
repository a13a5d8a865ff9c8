// A SYN flood: SYN → SYN-ACK by cookie, the whole Core on one thread. The port makes each SYN (a packet from
// the pool, another source and sequence number every time) and frees each answer, so both are in the figure.
#include <benchmark/benchmark.h>

#include <cstring>
#include <random>

#include "../cycles.hpp"
#include "io/memory_pair.hpp"
#include "runtime/core.hpp"
#include "support/eal.hpp"
#include "support/forge.hpp"

namespace tern {
namespace {

constexpr Ip4 our_ip{192, 0, 2, 1};
constexpr Ip4 router_ip{192, 0, 2, 254};
constexpr net::Mac our_mac{{2, 0, 0, 0, 0, 1}};
constexpr net::Mac router_mac{{2, 0, 0, 0, 0, 2}};

// A NIC's end: SYNs come in, whatever goes out is freed. `offload`: it vouches for checksums, as NICs do.
class FloodPort {
 public:
  FloodPort(PacketPool pool, bool offload, std::uint32_t sources)
      : pool_(pool), offload_(offload), sources_(sources) {
    length_ = test::write_frame(frame_, our_mac, router_mac, {Ip4{}, our_ip, Be16{}, Be16{80}},
                                test::linux_syn(Seq{0}, 1));
    std::memcpy(&sum_, frame_ + test::forged_l4 + 16, 2);
    std::memcpy(&ip_sum_, frame_ + wire::ethernet_length + 10, 2);
  }
  void introduce() { introduced_ = false; }

  std::uint16_t rx_burst(io::QueueId, rte_mbuf** out, std::uint16_t n) {
    if (!introduced_) return introduced_ = true, router_asks(out);
    if (rte_pktmbuf_alloc_bulk(pool_.raw(), out, n) != 0) return 0;
    for (std::uint16_t i = 0; i < n; ++i) write(out[i]);
    return n;
  }
  std::uint16_t tx_burst(io::QueueId, rte_mbuf** m, std::uint16_t n) {
    for (std::uint16_t i = 0; i < n; ++i) bytes_ += m[i]->pkt_len;
    sent_ += n;
    rte_pktmbuf_free_bulk(m, n);
    return n;
  }
  void tx_flush(io::QueueId) {}
  [[nodiscard]] std::uint32_t tx_pending(io::QueueId) const { return 0; }
  [[nodiscard]] bool tx_full(io::QueueId) const { return false; }
  [[nodiscard]] const io::PortPlan& plan() const { return plan_; }
  [[nodiscard]] const io::RssView& rss() const { return rss_; }
  [[nodiscard]] io::MacBytes mac() const { return our_mac; }
  [[nodiscard]] const io::PortCounters& counters(io::QueueId) const { return counters_; }
  [[nodiscard]] std::uint64_t sent() const { return sent_; }

 private:
  // Source address, port and sequence number anew, both checksums mended by what changed (RFC 1624).
  void write(rte_mbuf* m) {
    auto* b = rte_pktmbuf_mtod(m, std::byte*);
    std::memcpy(b, frame_, sizeof frame_);
    random_ = random_ * 6364136223846793005U + 1442695040888963407U;
    const auto pick = static_cast<std::uint32_t>(random_ >> 32);
    const std::uint32_t host = sources_ == 0 ? pick | 1 : pick % sources_;
    // 10.0.0.0/8: addresses that somebody may have
    const std::uint32_t source = byteswap((host & 0x00ff'ffff) | 10U << 24);
    const auto port = static_cast<std::uint16_t>(random_ >> 16 | 1);
    const auto seq = static_cast<std::uint32_t>(random_ >> 8);
    std::memcpy(b + 26, &source, 4);
    std::memcpy(b + test::forged_l4, &port, 2);
    std::memcpy(b + test::forged_l4 + 4, &seq, 4);
    const Be16 ip_sum = wire::finish(std::uint64_t{static_cast<std::uint16_t>(~ip_sum_)} + source);
    const Be16 sum = wire::finish(std::uint64_t{static_cast<std::uint16_t>(~sum_)} + source + port + seq);
    std::memcpy(b + 24, &ip_sum, 2);
    std::memcpy(b + test::forged_l4 + 16, &sum, 2);
    m->data_len = static_cast<std::uint16_t>(length_);
    m->pkt_len = static_cast<std::uint32_t>(length_);
    if (offload_) m->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  }
  // The router asks for us by ARP, so its address is known before the flood.
  std::uint16_t router_asks(rte_mbuf** out) {
    Packet p = test::forge_arp(pool_, net::broadcast_mac,
                               {wire::Arp::request, router_mac, router_ip, net::Mac{}, our_ip});
    out[0] = p.release();
    return 1;
  }

  PacketPool pool_;
  bool offload_;
  std::uint32_t sources_; // 0: of all 2^24
  bool introduced_ = true;
  alignas(64) std::byte frame_[128] = {};
  std::size_t length_ = 0;
  std::uint16_t sum_ = 0;
  std::uint16_t ip_sum_ = 0;
  std::uint64_t random_ = 1;
  std::uint64_t sent_ = 0;
  std::uint64_t bytes_ = 0;
  io::PortPlan plan_;
  io::RssView rss_;
  io::PortCounters counters_;
};
static_assert(io::PacketPort<FloodPort>);

struct Nobody {};

// Arguments: whether the port vouches for checksums and computes them (0: all in software); from how many
// addresses (0: 16 million).
void syn_flood(benchmark::State& state) {
  const bool offload = state.range(0) != 0;
  test::TestPool pool(8191, 2048, 512);
  FloodPort port(pool.pool(), offload, static_cast<std::uint32_t>(state.range(1)));
  const net::Interface self({.mac = our_mac, .addresses = {{Ip{our_ip}, 24}}});
  net::NetworkSettings ns{.key = {1, 2}};
  ns.offloads.ip_checksum = ns.offloads.tcp_checksum = offload;
  net::Network network(self, net::Routes{{{Prefix{Ip{Ip4{}}, 0}, Ip{router_ip}}}}, pool.pool(), ns);
  ShardSettings s;
  s.secret = {3, 4};
  s.flow_seed = {5, 6};
  Instant now = Instant::at_ns(5'000'000'000);
  Shard shard(process_arena(), s, pool.pool(), now);
  Nobody handler;
  Core<FloodPort, Nobody> core(shard, network, port, 0, handler);
  if (!shard.listeners.add(
          {.ip = Ip{}, .first = Port{80}, .last = Port{80}, .cookies = tcp::CookieMode::Always}))
    std::abort();
  port.introduce();
  for (int i = 0; i < 100; ++i) core.poll(now);
  const std::uint64_t before = shard.tcp_counters.get(tcp::Counter::syn_cookie_sent);
  const std::uint64_t sent = port.sent();
  const double cycles = bench::cpu_cycles([&] {
    for (auto _ : state) {
      now = now + Duration::us(4);
      core.poll(now);
    }
  });
  const auto cookies = static_cast<double>(shard.tcp_counters.get(tcp::Counter::syn_cookie_sent) - before);
  const auto answers = static_cast<double>(port.sent() - sent); // and now and then a question to the router
  if (answers < cookies || answers > cookies + 16) state.SkipWithError("SYNs were not all answered");
  state.counters["cycles"] = cycles / cookies;
  state.counters["syn_flood_mpps"] = cookies / (cycles / bench::tsc_per_ns()) * 1000;
  state.SetItemsProcessed(static_cast<std::int64_t>(cookies));
}
BENCHMARK(syn_flood)
    ->ArgNames({"offload", "sources"})
    ->Args({0, 0})
    ->Args({1, 0})
    ->Args({0, 100})
    ->MinTime(0.5);

} // namespace
} // namespace tern
