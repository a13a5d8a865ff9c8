// A connection's whole life, Core to Core in memory on one thread: open, 64-byte request, 64-byte response,
// close. Both sides together, checksums in software on both, TIME-WAIT on. `live` connections are held open
// at any time: the oldest asks as each new one opens, as in `tern bench`. With none held the ACK that ends
// the handshake carries the request, and a life is six packets; one that is held must acknowledge first, and
// that is a seventh. Cycles are processor time, in those of the time-stamp counter.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "../cycles.hpp"
#include "support/core_pair.hpp"

namespace tern {
namespace {

const std::string request(64, 'q');
const std::string response(64, 'r');

// Who is open and has not asked yet, oldest first: a ring that never grows while it is measured.
class Waiting {
 public:
  void limit_to(std::size_t live) {
    limit_ = live;
    ring_.resize(live + 4096);
  }
  // The one that has waited longest, once more than the limit wait.
  template <class F>
  void put(Connection c, F&& ask) {
    ring_[tail_] = c;
    tail_ = tail_ + 1 == ring_.size() ? 0 : tail_ + 1;
    if (++size_ <= limit_) return;
    --size_;
    Connection oldest = ring_[head_];
    head_ = head_ + 1 == ring_.size() ? 0 : head_ + 1;
    ask(oldest);
  }
  [[nodiscard]] bool full() const { return size_ >= limit_; }

 private:
  std::vector<Connection> ring_;
  std::size_t head_ = 0, tail_ = 0, size_ = 0, limit_ = 0;
};

struct Server {
  void on_data(Connection c, Payload& p) {
    p.drop_all();
    c.send(StaticBytes{std::string_view{response}});
    c.close();
  }
};

struct Client {
  void on_connected(Connection c) {
    waiting.put(c, [](Connection oldest) { oldest.send(StaticBytes{std::string_view{request}}); });
  }
  void on_data(Connection, Payload& p) {
    bytes += p.size();
    p.drop_all();
  }
  void on_closed(Connection, CloseReason r) {
    ++closed;
    failed += r != CloseReason::Done;
  }
  Waiting waiting;
  std::uint64_t bytes = 0;
  std::uint64_t closed = 0;
  std::uint64_t failed = 0;
};

struct Life {
  explicit Life(std::uint32_t live) : pair(settings(live), 512) {
    if (!pair.server.shard.listeners.add({.ip = Ip{}, .first = Port{1}, .last = Port{65535}})) std::abort();
    pair.client_handler.waiting.limit_to(live);
    open(1);
    pair.settle();
    while (!pair.client_handler.waiting.full()) turn();
    for (int i = 0; i < 200; ++i) turn();
  }
  static ShardSettings settings(std::uint32_t live) {
    ShardSettings s;
    s.connections = live * 2 + 4096;
    s.syn_records = 4096;
    s.time_wait_records = 4'000'000;
    return s;
  }
  [[nodiscard]] FlowKey4 key(std::uint32_t i) const {
    const auto local = static_cast<std::uint16_t>(1024 + i % 60000);
    const auto remote = static_cast<std::uint16_t>(1 + i / 60000 % 60000);
    return pair.key(local, remote);
  }
  void open(unsigned n) {
    for (unsigned i = 0; i < n; ++i) pair.client.core.handle().aim(key(next + i));
    for (unsigned i = 0; i < n; ++i, ++next)
      if (pair.client.core.connect(key(next)).error != ConnectError::none) std::abort();
  }
  void turn() {
    open(32);
    pair.now = pair.now + Duration::us(20);
    for (int i = 0; i < 4; ++i) {
      pair.client.core.poll(pair.now);
      pair.server.core.poll(pair.now);
    }
  }
  [[nodiscard]] std::uint64_t closed() const { return pair.client_handler.closed; }
  [[nodiscard]] std::uint64_t packets() const {
    return pair.client.shard.counters.get(CoreCounter::tx_packets) +
           pair.server.shard.counters.get(CoreCounter::tx_packets);
  }
  test::CorePair<Client, Server> pair;
  std::uint32_t next = 0;
};

// By name, so that callgrind's --toggle-collect finds it.
[[gnu::noinline]] void measured_turn(Life& life) {
  life.turn();
}

void life(benchmark::State& state) {
  Life life(static_cast<std::uint32_t>(state.range(0)));
  const std::uint64_t closed = life.closed();
  const std::uint64_t packets = life.packets();
  const double cycles = bench::cpu_cycles([&] {
    for (auto _ : state) measured_turn(life);
  });
  const auto done = static_cast<double>(life.closed() - closed);
  state.counters["cycles_per_connection"] = cycles / done;
  state.counters["packets_per_connection"] = static_cast<double>(life.packets() - packets) / done;
  state.counters["connections"] = done;
  if (life.pair.client_handler.failed != 0) state.SkipWithError("connections failed");
  state.counters["failed"] = static_cast<double>(life.pair.client_handler.failed);
  state.SetItemsProcessed(static_cast<std::int64_t>(done));
  // Live connections end here, half open: their records go back with the shard.
}
// A fixed number of turns, for callgrind's --toggle-collect='*measured_turn*': 32,000 connections.
BENCHMARK(life)->Name("life_counted")->Arg(0)->Arg(1'000)->Iterations(1'000);
BENCHMARK(life)->Arg(0)->Arg(1'000)->Arg(1'000'000)->MinTime(1);

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
