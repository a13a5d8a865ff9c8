// A connection's whole life, Core to Core in memory on one thread: open, 64-byte request, 64-byte response,
// close. Both sides together, checksums in software on both, TIME-WAIT on. `live` connections are open at any
// time: as one closes the next one opens. Cycles are of the time-stamp counter.
#include <benchmark/benchmark.h>
#include <rte_cycles.h>

#include <string>
#include <vector>

#include "support/core_pair.hpp"

namespace tern {
namespace {

const std::string request(64, 'q');
const std::string response(64, 'r');

struct Server {
  void on_data(Connection c, Payload& p) {
    p.drop_all();
    c.send(StaticBytes{std::string_view{response}});
    c.close();
  }
};

struct Client {
  void on_connected(Connection c) {
    // Held until `live` connections are open: the oldest then speaks, so as many stay open.
    waiting.push_back(c);
    if (waiting.size() - head > live) speak();
  }
  void speak() {
    waiting[head++].send(StaticBytes{std::string_view{request}});
    if (head >= 4096 && head * 2 > waiting.size()) {
      waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(head));
      head = 0;
    }
  }
  void on_data(Connection, Payload& p) {
    bytes += p.size();
    p.drop_all();
  }
  void on_closed(Connection, CloseReason r) {
    ++closed;
    failed += r != CloseReason::Done;
  }
  std::vector<Connection> waiting;
  std::size_t head = 0;
  std::size_t live = 0;
  std::uint64_t bytes = 0;
  std::uint64_t closed = 0;
  std::uint64_t failed = 0;
};

void life(benchmark::State& state) {
  const auto live = static_cast<std::uint32_t>(state.range(0));
  ShardSettings s;
  s.connections = live * 2 + 4096;
  s.syn_records = 4096;
  s.time_wait_records = 4'000'000;
  test::CorePair<Client, Server> p(s, 512);
  if (!p.server.shard.listeners.add({.ip = Ip{}, .first = Port{1}, .last = Port{65535}})) std::abort();
  p.client_handler.live = live;
  std::uint32_t next = 0;
  const auto open = [&](unsigned n) {
    for (unsigned i = 0; i < n; ++i, ++next) {
      const auto local = static_cast<std::uint16_t>(1024 + next % 60000);
      const auto remote = static_cast<std::uint16_t>(1 + next / 60000 % 60000);
      if (p.client.core.connect(p.key(local, remote)).error != ConnectError::none) std::abort();
    }
  };
  const auto turn = [&] {
    open(32);
    p.now = p.now + Duration::us(20);
    for (int i = 0; i < 4; ++i) {
      p.client.core.poll(p.now);
      p.server.core.poll(p.now);
    }
  };
  open(1);
  p.settle();
  while (p.client_handler.waiting.size() - p.client_handler.head < live) turn();
  for (int i = 0; i < 200; ++i) turn();
  const std::uint64_t before = p.client_handler.closed;
  const std::uint64_t start = rte_rdtsc();
  for (auto _ : state) turn();
  const auto cycles = static_cast<double>(rte_rdtsc() - start);
  const auto done = static_cast<double>(p.client_handler.closed - before);
  state.counters["cycles_per_connection"] = cycles / done;
  state.counters["connections"] = done;
  state.counters["failed"] = static_cast<double>(p.client_handler.failed);
  state.SetItemsProcessed(static_cast<std::int64_t>(done));
  // Live connections end here, half open: their records go back with the shard.
}
BENCHMARK(life)->Arg(1'000)->Arg(1'000'000)->MinTime(1);

} // namespace
} // namespace tern

BENCHMARK_MAIN();
