// What an established connection costs in memory, all of it: so many are opened for real with one Core, by a
// peer that keeps nothing, and the process is asked how much it grew.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <optional>
#include <vector>

#include "../cycles.hpp"
#include "runtime/core.hpp"
#include "support/eal.hpp"
#include "support/forge.hpp"

namespace tern {
namespace {

constexpr Ip4 our_ip{10, 255, 255, 254};
constexpr net::Mac our_mac{{2, 0, 0, 0, 0, 1}};
constexpr net::Mac peer_mac{{2, 0, 0, 0, 0, 2}};

// Peer number n, of a network of its own: no two alike.
FlowKey4 peer(std::uint32_t n) {
  constexpr std::uint32_t ports = 50'000;
  return {Ip4{Be32{10U << 24 | (1 + n / ports)}}, our_ip, Be16{static_cast<std::uint16_t>(1024 + n % ports)},
          Be16{80}};
}
std::uint32_t number_of(const FlowKey4& k) {
  return ((k.remote.host() & 0x00ff'ffff) - 1) * 50'000 + k.remote_port.host() - 1024U;
}

// All the peers: sends their SYNs, answers each SYN-ACK with the ACK, and remembers nothing but every
// `step`th, so that it can speak to those later.
class PeersPort {
 public:
  PeersPort(PacketPool pool, std::uint32_t count, std::uint32_t step)
      : pool_(pool), count_(count), step_(step), iss_(count / step + 1) {}

  std::uint16_t rx_burst(io::QueueId, rte_mbuf** out, std::uint16_t n) {
    std::uint16_t got = 0;
    for (; got < n && !queue_.empty(); ++got) out[got] = queue_.front(), queue_.pop_front();
    for (; got < n && next_ < count_; ++got)
      out[got] = frame(peer(next_), test::linux_syn(Seq{next_}, 1)), ++next_;
    return got;
  }
  std::uint16_t tx_burst(io::QueueId, rte_mbuf** m, std::uint16_t n) {
    for (std::uint16_t i = 0; i < n; ++i) take(Packet{m[i]});
    return n;
  }
  void tx_flush(io::QueueId) {}
  [[nodiscard]] std::uint32_t tx_pending(io::QueueId) const { return 0; }
  [[nodiscard]] bool tx_full(io::QueueId) const { return false; }
  [[nodiscard]] const io::PortPlan& plan() const { return plan_; }
  [[nodiscard]] const io::RssView& rss() const { return rss_; }
  [[nodiscard]] io::MacBytes mac() const { return our_mac; }
  [[nodiscard]] const io::PortCounters& counters(io::QueueId) const { return counters_; }

  // Every step'th says a word; the echoes are counted.
  void speak() {
    for (std::uint32_t n = 0; n < count_; n += step_) {
      wire::Tcp h;
      h.flags = wire::tcp_flag::ack | wire::tcp_flag::psh;
      h.seq = Seq{n} + 1;
      h.ack = iss_[n / step_] + 1;
      h.window = 1000;
      h.options.has = wire::TcpOptions::timestamps_bit;
      h.options.ts_val = 2;
      queue_.push_back(frame(peer(n), h, "hello"));
    }
  }
  [[nodiscard]] std::uint32_t asked() const { return (count_ + step_ - 1) / step_; }
  [[nodiscard]] std::uint32_t echoes() const { return echoes_; }
  [[nodiscard]] bool opened_all() const { return next_ == count_ && queue_.empty(); }

 private:
  [[nodiscard]] rte_mbuf* frame(const FlowKey4& key, const wire::Tcp& h, std::string_view text = {}) {
    Packet p = test::forge(pool_, our_mac, peer_mac, key, h, std::as_bytes(std::span{text}));
    if (!p) std::abort();
    return p.release();
  }
  void take(Packet p) {
    const auto sent = test::read_frame(p);
    if (!sent) return answer_arp(p);
    const FlowKey4 key{sent->key.local, sent->key.remote, sent->key.local_port, sent->key.remote_port};
    const std::uint32_t n = number_of(key);
    const bool syn = sent->h.has(wire::tcp_flag::syn);
    if (!syn && sent->text == 0) return;
    if (syn && n % step_ == 0) iss_[n / step_] = sent->h.seq;
    if (!syn) ++echoes_;
    wire::Tcp h;
    h.flags = wire::tcp_flag::ack;
    h.seq = sent->h.ack;
    h.ack = sent->h.seq + (syn ? 1 : sent->text);
    h.window = 1000;
    h.options.has = wire::TcpOptions::timestamps_bit;
    h.options.ts_val = syn ? 1 : 2;
    h.options.ts_ecr = sent->h.options.ts_val;
    queue_.push_back(frame(key, h));
  }
  void answer_arp(const Packet& p) {
    wire::Arp ask;
    if (wire::parse_arp(p.bytes().subspan(wire::ethernet_length), ask) != wire::Verdict::ok) return;
    Packet answer =
        test::forge_arp(pool_, our_mac, {wire::Arp::reply, peer_mac, ask.target_ip, our_mac, ask.sender_ip});
    queue_.push_back(answer.release());
  }

  PacketPool pool_;
  std::uint32_t count_;
  std::uint32_t step_;
  std::uint32_t next_ = 0;
  std::uint32_t echoes_ = 0;
  std::vector<Seq> iss_;
  std::deque<rte_mbuf*> queue_;
  io::PortPlan plan_;
  io::RssView rss_;
  io::PortCounters counters_;
};
static_assert(io::PacketPort<PeersPort>);

struct Echo {
  void on_data(Connection c, Payload& p) { c.send(p); }
};

// Resident memory, and what is in hugetlbfs pages, which resident memory does not show.
double memory_in_use() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t total = 0, resident = 0;
  statm >> total >> resident;
  return static_cast<double>(resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) +
                             process_arena().huge_bytes());
}

void bytes_per_connection(benchmark::State& state) {
  const auto n = static_cast<std::uint32_t>(state.range(0));
  test::TestPool pool(8191);
  const net::Interface self({.mac = our_mac, .addresses = {{Ip{our_ip}, 24}}});
  const Ip router{Ip4{10, 255, 255, 1}};
  for (auto _ : state) {
    PeersPort port(pool.pool(), n, std::max(n / 1000, 1U));
    const double before = memory_in_use();
    const std::uint64_t reserved_before = process_arena().reserved();
    ShardSettings s;
    s.connections = n;
    s.time_wait_records = 1'000'000;
    s.long_connections = 65'536;
    s.secret = {3, 4};
    s.flow_seed = {5, 6};
    Instant now = Instant::at_ns(5'000'000'000);
    net::Network network(self, net::Routes{{{Prefix{Ip{Ip4{}}, 0}, router}}}, pool.pool(), {.key = {1, 2}});
    Shard shard(process_arena(), s, pool.pool(), now);
    Echo handler;
    Core<PeersPort, Echo> core(shard, network, port, 0, handler);
    if (!shard.listeners.add({.ip = Ip{}, .first = Port{80}, .last = Port{80}})) std::abort();
    // Until nothing has happened for two seconds: the first SYN-ACKs wait for ARP, some are sent again.
    const auto settle = [&](auto&& tell) {
      for (std::uint32_t idle = 0; idle < 200; tell()) {
        now = now + (idle == 0 ? Duration::us(10) : Duration::ms(10));
        idle = core.poll(now) ? 0 : idle + 1;
      }
    };
    double told = bench::cpu_ns();
    settle([&] {
      if (bench::cpu_ns() - told < 1e9) return;
      told = bench::cpu_ns();
      std::fprintf(stderr, "open: %u of %u, %.0f MiB\n", shard.connections.used(), n,
                   memory_in_use() / (1 << 20));
    });
    const double grown = memory_in_use() - before;
    const auto open = static_cast<double>(shard.connections.used());
    port.speak();
    settle([] {});
    if (shard.connections.used() != n) state.SkipWithError("not all of them opened");
    if (port.echoes() != port.asked()) state.SkipWithError("not all that were spoken to answered");
    state.counters["connections"] = open;
    state.counters["bytes_per_connection"] = grown / open;
    state.counters["reserved_per_connection"] =
        static_cast<double>(process_arena().reserved() - reserved_before) / open;
    state.counters["rss_mib"] = memory_in_use() / (1 << 20);
    state.counters["echoes"] = port.echoes();
  }
}
BENCHMARK(bytes_per_connection)->Arg(1'000'000)->Iterations(1)->Unit(benchmark::kSecond);

// scripts/bench --huge: needs 4 GiB, so it is there only if asked for.
[[maybe_unused]] const bool huge = [] {
  if (std::getenv("TERN_BENCH_HUGE") == nullptr) return false;
  benchmark::RegisterBenchmark("huge_bytes_per_connection", bytes_per_connection)
      ->Arg(10'000'000)
      ->Iterations(1)
      ->Unit(benchmark::kSecond);
  return true;
}();

} // namespace
} // namespace tern
