// A connection's whole life, Core to Core in memory on one thread: open, 64-byte request, 64-byte response,
// close. Both sides together, checksums in software on both, TIME-WAIT on. `live` connections are open at any
// time: as one closes the next one opens. Cycles are processor time, in those of the time-stamp counter.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "../cycles.hpp"
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

// Two cores and `live` connections open between them, all the time.
class Life {
 public:
  explicit Life(std::uint32_t live) : pair_(settings(live), 512) {
    if (!pair_.server.shard.listeners.add({.ip = Ip{}, .first = Port{1}, .last = Port{65535}})) std::abort();
    pair_.client_handler.live = live;
    open(1);
    pair_.settle();
    while (pair_.client_handler.waiting.size() - pair_.client_handler.head < live) turn();
    for (int i = 0; i < 200; ++i) turn();
  }
  void turn() {
    open(32);
    pair_.now = pair_.now + Duration::us(20);
    for (int i = 0; i < 4; ++i) {
      pair_.client.core.poll(pair_.now);
      pair_.server.core.poll(pair_.now);
    }
  }
  [[nodiscard]] std::uint64_t closed() const { return pair_.client_handler.closed; }
  [[nodiscard]] std::uint64_t failed() const { return pair_.client_handler.failed; }

 private:
  static ShardSettings settings(std::uint32_t live) {
    ShardSettings s;
    s.connections = live * 2 + 4096;
    s.syn_records = 4096;
    s.time_wait_records = 4'000'000;
    return s;
  }
  void open(unsigned n) {
    for (unsigned i = 0; i < n; ++i, ++next_) {
      const auto local = static_cast<std::uint16_t>(1024 + next_ % 60000);
      const auto remote = static_cast<std::uint16_t>(1 + next_ / 60000 % 60000);
      if (pair_.client.core.connect(pair_.key(local, remote)).error != ConnectError::none) std::abort();
    }
  }
  test::CorePair<Client, Server> pair_;
  std::uint32_t next_ = 0;
};

void life(benchmark::State& state) {
  Life life(static_cast<std::uint32_t>(state.range(0)));
  const std::uint64_t before = life.closed();
  const double cycles = bench::cpu_cycles([&] {
    for (auto _ : state) life.turn();
  });
  const auto done = static_cast<double>(life.closed() - before);
  state.counters["cycles_per_connection"] = cycles / done;
  state.counters["connections"] = done;
  state.counters["failed"] = static_cast<double>(life.failed());
  state.SetItemsProcessed(static_cast<std::int64_t>(done));
  // Live connections end here, half open: their records go back with the shard.
}
BENCHMARK(life)->Arg(1'000)->Arg(1'000'000)->MinTime(1);

// So many lives at 1,000 live and no more, for callgrind: two runs of it differ by the lives alone.
void life_fixed(benchmark::State& state) {
  for (auto _ : state) {
    Life life(1'000);
    const std::uint64_t end = life.closed() + static_cast<std::uint64_t>(state.range(0));
    while (life.closed() < end) life.turn();
    state.counters["connections"] = static_cast<double>(life.closed());
  }
}
BENCHMARK(life_fixed)->Arg(1'000)->Arg(9'000)->Iterations(1);

} // namespace
} // namespace tern

BENCHMARK_MAIN();
