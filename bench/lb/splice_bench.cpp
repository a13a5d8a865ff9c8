// A proxied connection's whole life through the balancer: connect, 64-byte request, 64-byte response, close
// by the backend. Client, balancer and backend on one thread, over in-memory ports; only the balancer's turns
// are timed, its ports' copying aside. Checksums in software, TIME-WAIT on.
#include <benchmark/benchmark.h>
#include <rte_cycles.h>

#include <string>

#include "support/lb_rig.hpp"

namespace tern {
namespace {

const std::string request(64, 'q');
const std::string response(64, 'r');

// Clients and backends in one: who came by a listener is a backend.
struct Crowd {
  void on_connected(Connection c) { c.send(StaticBytes{std::string_view{request}}); }
  void on_data(Connection c, Payload& p) {
    p.drop_all();
    if (c.listener() == 0xff) return;
    c.send(StaticBytes{std::string_view{response}});
    c.close();
  }
  void on_peer_closed(Connection c) { c.close(); }
  void on_closed(Connection c, CloseReason r) {
    if (c.listener() != 0xff) return;
    ++closed;
    failed += r != CloseReason::Done;
  }
  std::uint64_t closed = 0;
  std::uint64_t failed = 0;
};

class Life {
 public:
  explicit Life(app::lb::Balance how, std::uint32_t time_wait = 2'000'000)
      : settings_{.time_wait_records = time_wait},
        splice_(
            shared_,
            std::make_shared<app::lb::Plan>(app::lb::make_plan({.services = {test::LbRig::service(3, how)}})),
            8192, true, "bench"),
        around_(cable_.a(), test::LbRig::world_addresses(), {}, pool_.pool(), settings_, now_, crowd_),
        balancer_(cable_.b(), {{test::lb_ip, 24}}, {*Prefix::parse("10.0.0.32/28")}, pool_.pool(), settings_,
                  now_, splice_) {
    if (!balancer_.shard.listeners.add({.ip = Ip{}, .first = Port{80}, .last = Port{80}})) std::abort();
    if (!around_.shard.listeners.add({.ip = Ip{}, .first = Port{8080}, .last = Port{8080}})) std::abort();
  }
  void turn(unsigned opens) {
    before(opens);
    const std::uint64_t start = rte_rdtsc();
    measured_turn();
    cycles += rte_rdtsc() - start;
  }
  [[nodiscard]] std::uint64_t done() const { return crowd_.closed; }
  [[nodiscard]] std::uint64_t failed() const { return crowd_.failed; }
  [[nodiscard]] std::uint64_t port_cycles() { return balancer_.core.port_cycles(); }
  std::uint64_t cycles = 0; // of the balancer's turns

 private:
  // A name for callgrind: --toggle-collect='*measured_turn*'.
  [[gnu::noinline]] void measured_turn() { balancer_.core.poll(now_); }

  void before(unsigned opens) {
    for (unsigned i = 0; i < opens && opened_ - crowd_.closed < 256; ++i) {
      if (++port_ == 0) port_ = 1024, ++source_;
      const Ip from = source_ % 2 == 0 ? test::client_ip : test::backend_ip(3);
      if (around_.core.handle().connect({test::lb_ip, Port{80}}, {from, Port{port_}})) ++opened_;
    }
    now_ = now_ + Duration::us(20);
    around_.core.poll(now_);
  }

  test::TestPool pool_{16'383, 2048, 256};
  io::MemoryPair cable_{io::MemoryPairSettings{.ring_size = 8192}};
  ShardSettings settings_;
  Instant now_ = Instant::at_ns(5'000'000'000);
  Crowd crowd_;
  app::lb::Shared shared_{1, 1024, {3, 4}};
  app::lb::Splice splice_;
  test::LbNode<Crowd> around_;
  test::LbNode<app::lb::Splice> balancer_;
  std::uint64_t opened_ = 0;
  std::uint16_t port_ = 1024;
  std::uint32_t source_ = 0;
};

void proxied_life(benchmark::State& state) {
  Life life(static_cast<app::lb::Balance>(state.range(0)));
  for (int i = 0; i < 100; ++i) life.turn(1);
  for (int i = 0; i < 5000; ++i) life.turn(32);
  const std::uint64_t before = life.done();
  const std::uint64_t at_port = life.port_cycles();
  life.cycles = 0;
  for (auto _ : state) life.turn(32);
  const auto done = static_cast<double>(life.done() - before);
  const auto cycles = static_cast<double>(life.cycles);
  state.counters["balancer_cycles"] = (cycles - static_cast<double>(life.port_cycles() - at_port)) / done;
  state.counters["with_port"] = cycles / done;
  state.counters["connections"] = done;
  state.counters["failed"] = static_cast<double>(life.failed());
  state.SetItemsProcessed(static_cast<std::int64_t>(done));
  for (int i = 0; i < 2000; ++i) life.turn(0);
}
BENCHMARK(proxied_life)
    ->Arg(static_cast<int>(app::lb::Balance::maglev))
    ->Arg(static_cast<int>(app::lb::Balance::round_robin))
    ->Arg(static_cast<int>(app::lb::Balance::least_connections))
    ->MinTime(1);

// For callgrind: so few lives that it ends, all of them counted.
void proxied_counted(benchmark::State& state) {
  Life life(app::lb::Balance::maglev, 20'000);
  for (auto _ : state) {
    for (int i = 0; i < state.range(0); ++i) life.turn(32);
    for (int i = 0; i < 200; ++i) life.turn(0);
  }
  state.counters["connections"] = static_cast<double>(life.done());
}
BENCHMARK(proxied_counted)->Arg(100)->Arg(600)->Iterations(1);

} // namespace
} // namespace tern

BENCHMARK_MAIN();
