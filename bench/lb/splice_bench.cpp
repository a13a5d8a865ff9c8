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

void proxied_life(benchmark::State& state) {
  const auto how = static_cast<app::lb::Balance>(state.range(0));
  test::TestPool pool(16'383, 2048, 256);
  io::MemoryPair cable(io::MemoryPairSettings{.ring_size = 8192});
  ShardSettings s;
  s.time_wait_records = 2'000'000;
  Instant now = Instant::at_ns(5'000'000'000);
  Crowd crowd;
  app::lb::Shared shared(1, 1024, {3, 4});
  app::lb::Splice splice(
      shared,
      std::make_shared<app::lb::Plan>(app::lb::make_plan({.services = {test::LbRig::service(3, how)}})), 8192,
      true, "bench");
  test::LbNode<Crowd> around(cable.a(), test::LbRig::world_addresses(), {}, pool.pool(), s, now, crowd);
  test::LbNode<app::lb::Splice> balancer(cable.b(), {{test::lb_ip, 24}}, {*Prefix::parse("10.0.0.32/28")},
                                         pool.pool(), s, now, splice);
  if (!balancer.shard.listeners.add({.ip = Ip{}, .first = Port{80}, .last = Port{80}})) std::abort();
  if (!around.shard.listeners.add({.ip = Ip{}, .first = Port{8080}, .last = Port{8080}})) std::abort();
  const Endpoint to{test::lb_ip, Port{80}};
  std::uint64_t opened = 0;
  std::uint64_t cycles = 0;
  std::uint16_t port = 1024;
  std::uint32_t source = 0;
  const auto turn = [&](unsigned opens) {
    for (unsigned i = 0; i < opens && opened - crowd.closed < 256; ++i) {
      if (++port == 0) port = 1024, ++source;
      const Ip from = source % 2 == 0 ? test::client_ip : test::backend_ip(3);
      if (around.core.handle().connect(to, {from, Port{port}})) ++opened;
    }
    now = now + Duration::us(20);
    around.core.poll(now);
    const std::uint64_t start = rte_rdtsc();
    balancer.core.poll(now);
    cycles += rte_rdtsc() - start;
  };
  for (int i = 0; i < 100; ++i) turn(1);
  for (int i = 0; i < 5000; ++i) turn(32);
  const std::uint64_t before = crowd.closed;
  const std::uint64_t at_port = balancer.core.port_cycles();
  cycles = 0;
  for (auto _ : state) turn(32);
  const auto done = static_cast<double>(crowd.closed - before);
  state.counters["balancer_cycles"] =
      (static_cast<double>(cycles) - static_cast<double>(balancer.core.port_cycles() - at_port)) / done;
  state.counters["with_port"] = static_cast<double>(cycles) / done;
  state.counters["connections"] = done;
  state.counters["failed"] = static_cast<double>(crowd.failed);
  state.SetItemsProcessed(static_cast<std::int64_t>(done));
  for (int i = 0; i < 2000; ++i) turn(0);
}
BENCHMARK(proxied_life)
    ->Arg(static_cast<int>(app::lb::Balance::maglev))
    ->Arg(static_cast<int>(app::lb::Balance::round_robin))
    ->Arg(static_cast<int>(app::lb::Balance::least_connections))
    ->MinTime(1);

} // namespace
} // namespace tern

BENCHMARK_MAIN();
