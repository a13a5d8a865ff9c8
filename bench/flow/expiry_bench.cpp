// What a TIME_WAIT record costs from its entry to its end, with a table it has to be taken out of.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <cstring>

#include "flow/arena.hpp"
#include "flow/expiry_stream.hpp"
#include "tsc.hpp"

namespace tern {
namespace {

constexpr std::uint32_t live = 4'000'000;
constexpr std::uint32_t burst = 32;

struct Record {
  std::uint32_t words[8];
};
using Streams = ExpiryStreams<Record>;

// A stand-in for the flow table: a random bucket of 64 bytes for each record.
struct alignas(64) Bucket {
  std::uint32_t words[16];
};
struct Table {
  static constexpr std::uint32_t count = 1 << 20;
  ArenaPiece memory = process_arena().take({"buckets", count, sizeof(Bucket)});
  Bucket* buckets = static_cast<Bucket*>(std::memset(memory.data(), 1, memory.size()));
  Bucket& of(std::uint32_t key) { return buckets[(key * 0x9e37'79b1U) >> 12]; }
};

struct Plain {
  Table& table;
  void operator()(std::uint32_t, Record& r) const { --table.of(r.words[0]).words[0]; }
};
struct Batched {
  Table& table;
  Bucket* lanes[Streams::batch] = {};
  void prefetch(unsigned lane, std::uint32_t, Record& r) {
    lanes[lane] = &table.of(r.words[0]);
    __builtin_prefetch(lanes[lane], 1);
  }
  void expired(unsigned lane, std::uint32_t, Record&) { --lanes[lane]->words[0]; }
};

// Steady state: 4 million live, each poll 32 come and 32 go. In cycles a record.
template <class Take>
void expiry(benchmark::State& state, const char* name, Take take) {
  constexpr Tick lifetime = 60'000;
  constexpr Tick lifetimes[] = {lifetime};
  auto memory = process_arena().take({"expiry", 1, Streams::bytes_for(live + burst, lifetimes)});
  Streams streams(memory.data(), live + burst, lifetimes, 0);
  std::uint32_t id = 0;
  const auto add = [&](Tick now) {
    const std::uint32_t index = streams.append(now);
    if (index == Streams::none) std::abort();
    Record& r = streams.at(index);
    for (auto& w : r.words) w = id;
    ++id;
  };
  for (std::uint32_t i = 0; i < live; ++i) add(static_cast<Tick>(std::uint64_t{i} * lifetime / live));
  std::uint64_t came = live;
  double append_cycles = 0;
  double expire_cycles = 0;
  double count = 0;
  for (auto _ : state) {
    came += burst;
    const auto now = static_cast<Tick>(came * lifetime / live + 1);
    const std::uint64_t t0 = bench::tsc();
    const unsigned n = streams.expire(now, 2 * burst, take);
    const std::uint64_t t1 = bench::tsc();
    for (std::uint32_t i = 0; i < burst; ++i) add(now);
    const std::uint64_t t2 = bench::tsc();
    expire_cycles += static_cast<double>(t1 - t0);
    append_cycles += static_cast<double>(t2 - t1);
    count += n;
  }
  state.counters["append_cycles"] = append_cycles / count;
  state.counters["expire_cycles"] = expire_cycles / count;
  state.counters[name] = (append_cycles + expire_cycles) / count;
}
void expiry_nothing(benchmark::State& state) {
  expiry(state, "expiry_bare_cycles", [](std::uint32_t, Record& r) { benchmark::DoNotOptimize(r.words[0]); });
}
void expiry_plain(benchmark::State& state) {
  Table table;
  expiry(state, "expiry_plain_cycles", Plain{table});
}
void expiry_batched(benchmark::State& state) {
  Table table;
  expiry(state, "expiry_cycles", Batched{table});
}
BENCHMARK(expiry_nothing)->Iterations(200'000);
BENCHMARK(expiry_plain)->Iterations(200'000);
BENCHMARK(expiry_batched)->Iterations(200'000);

} // namespace
} // namespace tern
