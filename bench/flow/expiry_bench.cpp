// What a TIME_WAIT record costs from its entry to its end, in the flow table and out of it.
#include <benchmark/benchmark.h>

#include <cstdlib>

#include "../cycles.hpp"
#include "flow/arena.hpp"
#include "flow/expiry_stream.hpp"
#include "flow/flow_hash.hpp"
#include "flow/flow_table.hpp"

namespace tern {
namespace {

constexpr std::uint32_t live = 8'000'000; // 256 MB of records, 61 MB of table: nothing is in cache
constexpr std::uint32_t burst = 32;
constexpr Tick lifetime = 60'000;
constexpr Tick lifetimes[] = {lifetime};

struct Record {
  FlowKey4 key;
  std::uint32_t words[5];
};
static_assert(sizeof(Record) == 32);
using Streams = ExpiryStreams<Record>;

struct Shard {
  ArenaPiece memory = process_arena().take({"expiry", 1, Streams::bytes_for(live + burst, lifetimes)});
  Streams streams{memory.data(), live + burst, lifetimes, 0};
  FlowTable table{process_arena(), live + burst};
  FlowHasher hasher{SipKey{1, 2}};
  std::uint32_t next_id = 0;

  std::uint32_t append(Tick now) {
    const std::uint32_t index = streams.append(now);
    if (index == Streams::none) std::abort();
    const std::uint32_t id = next_id++;
    const auto port = static_cast<std::uint16_t>(id);
    streams.at(index) = {{Ip4{Be32{id >> 16}}, Ip4{10, 0, 0, 1}, port, 80}, {id, id, id, id, id}};
    return index;
  }
  [[nodiscard]] FlowHash hash(std::uint32_t index) const { return hasher(streams.peek(index).key); }
  void insert(std::uint32_t index) {
    if (!table.insert(hash(index), FlowRef{FlowKind::time_wait, index})) std::abort();
  }
};

struct Nothing {
  explicit Nothing(Shard&) {}
  static constexpr bool in_table = false;
  void operator()(std::uint32_t, Record& r) const { benchmark::DoNotOptimize(r.words[0]); }
};
struct Plain {
  Shard& s;
  explicit Plain(Shard& shard) : s(shard) {}
  static constexpr bool in_table = true;
  void operator()(std::uint32_t index, Record& r) const {
    if (!s.table.erase(s.hasher(r.key), FlowRef{FlowKind::time_wait, index})) std::abort();
  }
};
struct Staged {
  Shard& s;
  explicit Staged(Shard& shard) : s(shard) {}
  static constexpr bool in_table = true;
  FlowHash lanes[Streams::ahead] = {};
  void prefetch(unsigned lane, std::uint32_t, Record& r) {
    lanes[lane] = s.hasher(r.key);
    s.table.prefetch(lanes[lane]);
  }
  void expired(unsigned lane, std::uint32_t index, Record&) {
    if (!s.table.erase(lanes[lane], FlowRef{FlowKind::time_wait, index})) std::abort();
  }
};

// Steady state: 8 million live, each poll 32 come and 32 go. In cycles a record; the insertion is not the
// streams' cost (a connection's entry is replaced in place) and is not counted.
template <class Take>
void expiry(benchmark::State& state) {
  Shard shard;
  Take take(shard);
  const auto now_of = [](std::uint64_t came) { return static_cast<Tick>(came * lifetime / live); };
  for (std::uint64_t i = 0; i < live; ++i) {
    const std::uint32_t index = shard.append(now_of(i));
    if (Take::in_table) shard.insert(index);
  }
  std::uint64_t came = live;
  double append_cycles = 0;
  double expire_cycles = 0;
  double count = 0;
  for (auto _ : state) {
    came += burst;
    const Tick now = now_of(came) + 1;
    const std::uint64_t t0 = bench::tsc();
    const unsigned n = shard.streams.expire(now, 2 * burst, take);
    const std::uint64_t t1 = bench::tsc();
    std::uint32_t index[burst];
    for (auto& i : index) i = shard.append(now);
    const std::uint64_t t2 = bench::tsc();
    if (Take::in_table)
      for (const auto i : index) shard.table.prefetch(shard.hash(i));
    if (Take::in_table)
      for (const auto i : index) shard.insert(i);
    expire_cycles += static_cast<double>(t1 - t0);
    append_cycles += static_cast<double>(t2 - t1);
    count += n;
  }
  state.counters["append_cycles"] = append_cycles / count;
  state.counters["expire_cycles"] = expire_cycles / count;
}
BENCHMARK(expiry<Nothing>)->Iterations(100'000);
BENCHMARK(expiry<Plain>)->Iterations(100'000);
BENCHMARK(expiry<Staged>)->Iterations(100'000);

} // namespace
} // namespace tern
