// Good clients through the balancer while a SYN flood comes in at a given rate. One thread, and a clock that moves by what
// the balancer's own turns cost, its port's work aside: so the balancer is as fast as this processor and the flood arrives at
// the rate that was asked for, whatever else the machine does. Clients and backends cost nothing. The balancer's port is a
// NIC's ring of 4,096: what finds it full is lost, whoever sent it.
#include <benchmark/benchmark.h>
#include <rte_cycles.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "wire/ipv6.hpp" // forge.hpp wants it

#include "../cycles.hpp"
#include "support/forge.hpp"
#include "support/lb_rig.hpp"

namespace tern {
namespace {

const Ip flooder = test::backend_ip(3); // an address that is there, so no time goes into asking for it

class FloodedPort {
 public:
  FloodedPort(io::MemoryPort& port, io::MacBytes from, PacketPool pool) : port_(port), pool_(pool) {
    length_ =
        test::write_frame(frame_, net::Mac{port.mac()}, net::Mac{from},
                          {flooder.v4(), test::lb_ip.v4(), Be16{}, Be16{80}}, test::linux_syn(Seq{0}, 1));
    std::memcpy(&sum_, frame_ + test::forged_l4 + 16, 2);
  }
  ~FloodedPort() {
    while (out_ != in_) rte_pktmbuf_free(ring_[out_++ % size]); // a SYN that was never written is null
  }
  // So many SYNs have come since the last call, among what clients and backends have sent.
  void arrive(std::uint32_t syns) {
    std::array<rte_mbuf*, 64> good;
    for (std::uint32_t n = 0; (n = port_.rx_burst(0, good.data(), good.size())) != 0;) {
      const std::uint32_t each = syns / (n + 1);
      for (std::uint32_t i = 0; i < n; ++i, syns -= each) {
        flood(each);
        good_ += 1;
        if (!put(good[i])) {
          rte_pktmbuf_free(good[i]);
          good_lost_ += 1;
        }
      }
    }
    flood(syns);
  }
  std::uint16_t rx_burst(io::QueueId, rte_mbuf** out, std::uint16_t n) {
    const auto got = static_cast<std::uint16_t>(std::min<std::uint32_t>(n, in_ - out_));
    for (std::uint16_t i = 0; i < got; ++i) {
      rte_mbuf* m = ring_[out_++ % size];
      out[i] = m == nullptr ? make_syn() : m;
    }
    return got;
  }
  std::uint16_t tx_burst(io::QueueId q, rte_mbuf** m, std::uint16_t n) {
    const std::uint32_t address = flooder.v4().be().raw();
    for (std::uint16_t i = 0; i < n; ++i) {
      if (std::memcmp(rte_pktmbuf_mtod(m[i], std::byte*) + 30, &address, 4) == 0)
        rte_pktmbuf_free(m[i]);
      else
        port_.tx_burst(q, &m[i], 1);
    }
    return n;
  }
  void tx_flush(io::QueueId q) { port_.tx_flush(q); }
  [[nodiscard]] std::uint32_t tx_pending(io::QueueId q) const { return port_.tx_pending(q); }
  [[nodiscard]] bool tx_full(io::QueueId q) const { return port_.tx_full(q); }
  [[nodiscard]] const io::PortPlan& plan() const { return port_.plan(); }
  [[nodiscard]] const io::RssView& rss() const { return port_.rss(); }
  [[nodiscard]] io::MacBytes mac() const { return port_.mac(); }
  [[nodiscard]] const io::PortCounters& counters(io::QueueId q) const { return port_.counters(q); }
  [[nodiscard]] double good_lost() const {
    return static_cast<double>(good_lost_) / static_cast<double>(good_);
  }
  [[nodiscard]] double flood_lost() const {
    return flood_ == 0 ? 0 : static_cast<double>(flood_lost_) / static_cast<double>(flood_);
  }

 private:
  static constexpr std::uint32_t size = 4096;

  bool put(rte_mbuf* m) { // null: a SYN of the flood, written when it is taken
    if (in_ - out_ == size) return false;
    ring_[in_++ % size] = m;
    return true;
  }
  void flood(std::uint32_t n) {
    flood_ += n;
    for (; n != 0; --n)
      if (!put(nullptr)) break;
    flood_lost_ += n;
  }
  rte_mbuf* make_syn() {
    rte_mbuf* const m = pool_.alloc(static_cast<std::uint32_t>(length_)).release();
    auto* b = rte_pktmbuf_mtod(m, std::byte*);
    std::memcpy(b, frame_, length_);
    random_ = random_ * 6364136223846793005U + 1442695040888963407U;
    const auto port = static_cast<std::uint16_t>(random_ >> 48 | 1);
    const auto seq = static_cast<std::uint32_t>(random_ >> 16);
    std::memcpy(b + test::forged_l4, &port, 2);
    std::memcpy(b + test::forged_l4 + 4, &seq, 4);
    const Be16 sum = wire::finish(std::uint64_t{static_cast<std::uint16_t>(~sum_)} + port + seq); // RFC 1624
    std::memcpy(b + test::forged_l4 + 16, &sum, 2);
    return m;
  }

  io::MemoryPort& port_;
  PacketPool pool_;
  std::array<rte_mbuf*, size> ring_{};
  std::uint32_t in_ = 0;
  std::uint32_t out_ = 0;
  alignas(64) std::byte frame_[128] = {};
  std::size_t length_ = 0;
  std::uint16_t sum_ = 0;
  std::uint64_t random_ = 1;
  std::uint64_t good_ = 0;
  std::uint64_t good_lost_ = 0;
  std::uint64_t flood_ = 0;
  std::uint64_t flood_lost_ = 0;
};

const std::string short_life(64, 's'); // a request, an answer, the backend closes
const std::string long_life(64, 'l');  // a request and an answer, again and again
constexpr std::uint64_t stays = 1ULL << 40;

// Clients and backends in one: who came by a listener is a backend.
struct Crowd {
  void on_connected(Connection c) {
    if ((c.user() & stays) != 0) return live.push_back(c);
    connects_us.push_back(
        static_cast<std::uint32_t>((now.since_origin_ns() / 1000) - static_cast<std::int64_t>(c.user())));
    c.send(StaticBytes{std::string_view{short_life}});
  }
  void on_data(Connection c, Payload& p) {
    const bool goes_on = p.front()[0] == std::byte{'l'};
    const std::uint32_t texts =
        p.size() / static_cast<std::uint32_t>(long_life.size()); // what was lost comes together
    p.drop_all();
    if (c.listener() != 0xff) {
      for (std::uint32_t n = goes_on ? texts : 1; n != 0; --n)
        c.send(StaticBytes{std::string_view{goes_on ? long_life : short_life}});
      if (!goes_on) c.close();
    } else if (goes_on) {
      answers += texts;
    }
  }
  void on_peer_closed(Connection c) { c.close(); }
  Instant now{};
  std::vector<Connection> live;
  std::vector<std::uint32_t> connects_us;
  std::uint64_t answers = 0;
};

// Arguments: SYNs of the flood, thousands a second. Beside it 20,000 clients a second come for one request each, and 1,000 that
// stay ask 100,000 times a second.
void flooded(benchmark::State& state) {
  constexpr double comers_a_ns = 20e3 / 1e9;
  constexpr double asks_a_ns = 100e3 / 1e9;
  const double syns_a_ns = static_cast<double>(state.range(0)) * 1e3 / 1e9;
  test::TestPool pool(32'767, 2048, 256);
  io::MemoryPair cable(io::MemoryPairSettings{.ring_size = 8192});
  ShardSettings s;
  s.time_wait_records = 500'000;
  Instant now = Instant::at_ns(5'000'000'000);
  Crowd crowd;
  app::lb::Shared shared(1, 1024, {3, 4});
  const auto plan = std::make_shared<app::lb::Plan>(
      app::lb::make_plan({.services = {test::LbRig::service(3, app::lb::Balance::maglev)}}));
  app::lb::Splice splice(shared, plan, 8192, true, "bench");
  FloodedPort port(cable.b(), cable.a().mac(), pool.pool());
  test::LbNode<Crowd> around(cable.a(), test::LbRig::world_addresses(), {}, pool.pool(), s, now, crowd);
  test::LbNode<app::lb::Splice, FloodedPort> balancer(
      port, {{test::lb_ip, 24}}, {*Prefix::parse("10.0.0.32/28")}, pool.pool(), s, now, splice);
  if (!balancer.shard.listeners.add({.ip = Ip{}, .first = Port{80}, .last = Port{80}})) std::abort();
  if (!around.shard.listeners.add({.ip = Ip{}, .first = Port{8080}, .last = Port{8080}})) std::abort();
  const Endpoint to{test::lb_ip, Port{80}};
  double syns = 0, comers = 0, asks = 0;
  std::uint64_t opened = 0, asked = 0, next = 0, clamped = 0, busy_ns = 0;
  std::uint16_t from = 1024;
  const auto turn = [&](double syn_rate, double comer_rate, double ask_rate) {
    const std::uint64_t start = rte_rdtsc();
    const std::uint64_t at_port = balancer.core.port_cycles();
    balancer.core.poll(now);
    const std::uint64_t cycles = rte_rdtsc() - start - (balancer.core.port_cycles() - at_port);
    auto ns = static_cast<std::int64_t>(static_cast<double>(cycles) / bench::tsc_per_ns());
    if (ns > 50'000) ns = 50'000, ++clamped; // the machine took the core away
    busy_ns += static_cast<std::uint64_t>(ns);
    const std::int64_t passed = std::max<std::int64_t>(ns, 500);
    now = now + Duration::ns(passed);
    crowd.now = now;
    const auto dt = static_cast<double>(passed);
    for (comers += comer_rate * dt; comers >= 1; --comers) {
      if (++from < 1024) from = 1024;
      const auto us = static_cast<std::uint64_t>(now.since_origin_ns() / 1000);
      opened += around.core.handle().connect(to, {test::client_ip, Port{from}}, us) ? 1U : 0U;
    }
    for (asks += ask_rate * dt; asks >= 1 && !crowd.live.empty(); --asks, ++asked)
      crowd.live[next++ % crowd.live.size()].send(StaticBytes{std::string_view{long_life}});
    around.core.poll(now);
    syns += syn_rate * dt;
    port.arrive(static_cast<std::uint32_t>(syns));
    syns -= static_cast<double>(static_cast<std::uint32_t>(syns));
  };
  const auto run = [&](Duration d, double a, double b, double c) {
    for (const Instant end = now + d; now < end;) turn(a, b, c);
  };
  for (std::uint16_t i = 0; i < 1000; ++i) {
    (void)around.core.handle().connect(to, {test::backend_ip(2), Port{static_cast<std::uint16_t>(2000 + i)}},
                                       stays);
    run(Duration::us(20), 0, 0, 0);
  }
  run(Duration::ms(50), 0, 0, 0);
  if (crowd.live.size() != 1000) state.SkipWithError("those who stay did not all come in");
  for (auto _ : state) {
    busy_ns = 0;
    const Instant begin = now;
    run(Duration::seconds(1), syns_a_ns, comers_a_ns, asks_a_ns);
    state.counters["busy"] = static_cast<double>(busy_ns) / static_cast<double>((now - begin).as_ns());
    state.counters["asked_answered"] = static_cast<double>(crowd.answers) / static_cast<double>(asked);
    run(Duration::ms(1500), syns_a_ns, 0, 0); // who has not connected by then took longer than a second
  }
  std::ranges::sort(crowd.connects_us);
  const auto within = std::ranges::upper_bound(crowd.connects_us, 1'000'000U) - crowd.connects_us.begin();
  state.counters["connected_in_1s"] = static_cast<double>(within) / static_cast<double>(opened);
  if (!crowd.connects_us.empty()) {
    state.counters["p50_us"] = crowd.connects_us[crowd.connects_us.size() / 2];
    state.counters["p999_us"] = crowd.connects_us[crowd.connects_us.size() * 999 / 1000];
  }
  state.counters["good_lost"] = port.good_lost();
  state.counters["flood_lost"] = port.flood_lost();
  state.counters["clamped"] = static_cast<double>(clamped);
}
BENCHMARK(flooded)->Arg(0)->Arg(1000)->Arg(5000)->Arg(8000)->Iterations(1)->Unit(benchmark::kMillisecond);

} // namespace
} // namespace tern
