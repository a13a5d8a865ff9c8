// The flow table beside rte_hash in its lock-free mode (both promise readers on other cores the same), in
// turns.
#include <benchmark/benchmark.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "../cycles.hpp"
#include "base/prefetch.hpp"
#include "flow/flow_table.hpp"
#include "hash_heap.hpp"

namespace tern {
namespace {

constexpr unsigned burst = 32;

// Of many short rounds the median. Short beside a time slice: on a shared machine some rounds are
// interrupted, the longer ones more often, and that would favour whoever is faster.
class Median {
 public:
  void add(std::uint64_t cycles, std::uint32_t operations) {
    all_.push_back(static_cast<double>(cycles) / operations);
  }
  [[nodiscard]] double ns() {
    std::sort(all_.begin(), all_.end());
    return all_[all_.size() / 2] / bench::tsc_per_ns();
  }

 private:
  std::vector<double> all_;
};

// Key n of 2^48 different ones, in no order: an odd factor is a bijection.
FlowKey4 key_of(std::uint64_t n) {
  const std::uint64_t v = n * 0x9e3779b97f4a7c15U & 0xffff'ffff'ffffU;
  return {Ip4{Be32{static_cast<std::uint32_t>(v >> 16)}}, Ip4{192, 0, 2, 1},
          Be16{static_cast<std::uint16_t>(v)}, Be16{80}};
}

// rte_hash compares 12 bytes by memcmp, 16 by two loads: it gets 16.
struct alignas(16) PaddedKey {
  explicit PaddedKey(const FlowKey4& k) : key(k) {}
  FlowKey4 key;
  std::uint32_t zero = 0;
};
static_assert(sizeof(PaddedKey) == 16);

// As a connection's record: the key in the first of four lines.
struct alignas(64) Record {
  FlowKey4 key;
  std::byte rest[244];
};
static_assert(sizeof(Record) == 256);

struct Records {
  explicit Records(std::uint32_t n) : memory(process_arena().take({"records", n, sizeof(Record)})) {}
  [[nodiscard]] Record* at(std::uint32_t i) const { return static_cast<Record*>(memory.data()) + i; }
  void prefetch(FlowRef ref) const { prefetch_to_read(at(ref.index())); }
  [[nodiscard]] bool matches(FlowRef ref, const FlowKey4& key) const {
    return same_flow(&at(ref.index())->key, key);
  }
  ArenaPiece memory;
};

FlowRef conn(std::uint64_t i) {
  return {FlowKind::connection, static_cast<std::uint32_t>(i)};
}

using HashHandle = std::unique_ptr<rte_hash, void (*)(rte_hash*)>;
HashHandle make_rte_hash(std::uint32_t entries) {
  static int made = 0;
  const std::string name = "bench" + std::to_string(made++);
  rte_hash_parameters p{};
  p.name = name.c_str();
  p.entries = entries;
  p.key_len = sizeof(PaddedKey);
  p.hash_func = rte_hash_crc;
  p.socket_id = bench::hash_heap_socket();
  p.extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF;
  rte_hash* h = rte_hash_create(&p);
  TERN_CHECK(h != nullptr);
  return {h, rte_hash_free};
}

// Both tables, holding keys 0..n-1.
struct Both {
  Both(std::uint32_t n, std::uint32_t rte_entries)
      : hash({n, 1}),
        records(n),
        table(process_arena(), n),
        lines(process_arena().take({"lines", table.bytes() / 64, 64, true})),
        reference(make_rte_hash(rte_entries)) {
    for (std::uint32_t i = 0; i < n; ++i) {
      const FlowKey4 key = key_of(i);
      records.at(i)->key = key;
      TERN_CHECK(table.insert(hash(key), conn(i)));
      const PaddedKey padded{key};
      TERN_CHECK(rte_hash_add_key(reference.get(), &padded) >= 0);
    }
  }
  FlowHasher hash;
  Records records;
  FlowTable table;
  ArenaPiece lines; // as many as the table has, of the same pages: see touch_two_lines()
  HashHandle reference;
};

struct Turn {
  explicit Turn(std::uint32_t count) { keys.reserve(count), padded.reserve(count), pointers.reserve(count); }
  void add(const FlowKey4& k) {
    keys.push_back(k);
    padded.emplace_back(k);
    pointers.push_back(&padded.back());
  }
  void clear() { keys.clear(), padded.clear(), pointers.clear(), lines.clear(); }
  std::vector<FlowKey4> keys;
  std::vector<PaddedKey> padded;
  std::vector<const void*> pointers;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> lines; // of a bucket's, and of a record
};

std::array<FlowHash, burst> hashes_of(const Both& both, std::span<const FlowKey4> keys) {
  std::array<FlowHash, burst> hashes;
  for (unsigned i = 0; i < burst; ++i) hashes[i] = both.hash(keys[i]);
  return hashes;
}
std::uint64_t hits(const FlowBurst& b) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < b.size; ++i) sum += b.found[i] ? 1U : 0U;
  return sum;
}

// Each burst through all stages before the next begins.
std::uint64_t look_up_alone(const Both& both, const Turn& turn) {
  FlowBurst b;
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at < turn.keys.size(); at += burst) {
    const std::span<const FlowKey4> keys{&turn.keys[at], burst};
    both.table.find_burst(b, hashes_of(both, keys), keys, both.records);
    sum += hits(b);
  }
  return sum;
}
// Half bursts, their stages in such an order that the most computing lies between asking for lines and reading
// them: the records of one are on their way while the next is hashed, its buckets while others are compared.
std::uint64_t look_up_ahead(const Both& both, const Turn& turn) {
  constexpr std::size_t half = burst / 2;
  const std::size_t count = turn.keys.size() / half;
  std::array<FlowBurst, 4> ring;
  std::uint64_t sum = 0;
  const auto keys = [&](std::size_t k) { return std::span<const FlowKey4>{&turn.keys[k * half], half}; };
  for (std::size_t k = 0; k < count + 2; ++k) {
    FlowBurst& last = ring[(k + 2) % 4]; // begun two steps ago
    if (k >= 2) both.table.aim_away(last, both.records);
    if (k >= 1 && k - 1 < count) both.table.aim(ring[(k - 1) % 4], both.records);
    if (k < count) {
      both.table.begin(ring[k % 4]);
      for (const FlowKey4& key : keys(k)) both.table.add(ring[k % 4], both.hash(key));
    }
    if (k >= 2) {
      both.table.finish(last, keys(k - 2), both.records);
      sum += hits(last);
    }
  }
  return sum;
}
// What fetching alone takes: for each lookup a line out of as many as the buckets are, and one of the
// records', both at random, asked for 16 lookups ahead and read; nothing is computed.
std::uint64_t touch_two_lines(const Both& both, const Turn& turn) {
  constexpr std::size_t ahead = 16;
  const std::size_t n = turn.lines.size();
  const auto* buckets = static_cast<const std::byte*>(both.lines.data());
  const auto bucket = [&](std::size_t i) { return buckets + 64 * std::size_t{turn.lines[i].first}; };
  const auto record = [&](std::size_t i) { return both.records.at(turn.lines[i].second); };
  for (std::size_t i = 0; i < n + 2 * ahead; ++i) {
    if (i < n) prefetch_to_read(bucket(i));
    if (i >= ahead && i < n + ahead) {
      benchmark::DoNotOptimize(static_cast<std::byte>(*bucket(i - ahead)));
      prefetch_to_read(record(i - ahead));
    }
    if (i >= 2 * ahead) benchmark::DoNotOptimize(record(i - 2 * ahead)->key.local_port.raw());
  }
  return n;
}
std::uint64_t look_up_theirs(const Both& both, Turn& turn) {
  std::array<std::int32_t, burst> found;
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at < turn.pointers.size(); at += burst) {
    rte_hash_lookup_bulk(both.reference.get(), &turn.pointers[at], burst, found.data());
    for (const std::int32_t f : found) sum += f >= 0 ? 1U : 0U;
  }
  return sum;
}

// And what the caller came for: the record's line, prefetched over the burst and read.
std::uint64_t look_up_theirs_and_read(const Both& both, Turn& turn) {
  std::array<std::int32_t, burst> found;
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at < turn.pointers.size(); at += burst) {
    rte_hash_lookup_bulk(both.reference.get(), &turn.pointers[at], burst, found.data());
    for (const std::int32_t f : found) prefetch_to_read(both.records.at(static_cast<std::uint32_t>(f)));
    for (const std::int32_t f : found)
      sum += both.records.at(static_cast<std::uint32_t>(f))->key.local_port.raw() != 0 ? 1U : 0U;
  }
  return sum;
}

// Hits, keys at random. Ours hashes, finds and compares with the record, which it leaves in cache; rte_hash
// compares with its own copy of the key and gives a position: `_same_work` is beside rte_hash and then
// reading the record.
void lookup_ratio(benchmark::State& state, const std::string& name) {
  constexpr std::uint32_t round = burst * 64;
  const auto n = static_cast<std::uint32_t>(state.range(0));
  const Both both(n, static_cast<std::uint32_t>(std::uint64_t{n} * 100 / FlowTable::load_percent));
  std::mt19937 random(3);
  Turn turn(round);
  Median ahead, alone, theirs, theirs_and_read, memory;
  const auto bucket_lines = static_cast<std::uint32_t>(both.table.bytes() / 64);
  const auto timed = [&](Median& times, auto&& work) {
    turn.clear();
    for (std::uint32_t i = 0; i < round; ++i) {
      const auto flow = static_cast<std::uint32_t>(random() % n);
      turn.add(key_of(flow));
      turn.lines.emplace_back(static_cast<std::uint32_t>(random() % bucket_lines), flow);
    }
    const std::uint64_t t0 = bench::tsc();
    const std::uint64_t found = work(both, turn);
    times.add(bench::tsc() - t0, round);
    TERN_CHECK(found == round);
  };
  for (auto _ : state) {
    timed(ahead, look_up_ahead);
    timed(theirs, look_up_theirs);
    timed(alone, look_up_alone);
    timed(theirs_and_read, look_up_theirs_and_read);
    timed(memory, touch_two_lines);
  }
  state.counters["tern_ns"] = ahead.ns();
  state.counters["tern_alone_ns"] = alone.ns();
  state.counters["rte_hash_ns"] = theirs.ns();
  state.counters["rte_hash_and_record_ns"] = theirs_and_read.ns();
  state.counters["two_lines_ns"] = memory.ns();
  state.counters["bytes_per_flow"] = static_cast<double>(both.table.bytes()) / n;
  state.counters[name] = theirs.ns() / ahead.ns();
  state.counters[name + "_alone"] = theirs.ns() / alone.ns();
  state.counters[name + "_same_work"] = theirs_and_read.ns() / ahead.ns();
  state.counters[name + "_alone_same_work"] = theirs_and_read.ns() / alone.ns();
}
void flow_lookup_ratio_1m(benchmark::State& state) {
  lookup_ratio(state, "flow_lookup_ratio_1m");
}
void flow_lookup_ratio_10m(benchmark::State& state) {
  lookup_ratio(state, "flow_lookup_ratio_10m");
}
BENCHMARK(flow_lookup_ratio_1m)->Arg(1'000'000)->Iterations(3000)->Unit(benchmark::kMillisecond);
BENCHMARK(flow_lookup_ratio_10m)->Arg(10'000'000)->Iterations(3000)->Unit(benchmark::kMillisecond);

// The oldest flow goes, a new one comes. Ours tells first that the key is new, as a SYN is looked up before
// it gets a record (rte_hash_add_key does the same inside), and writes the record's key.
void churn_ours_in_bursts(Both& both, const Turn& old, const Turn& fresh, std::uint64_t first) {
  std::array<FlowHash, burst> gone, come;
  FlowBurst found;
  const std::uint32_t n = both.table.capacity();
  for (std::size_t at = 0; at < old.keys.size(); at += burst) {
    for (unsigned i = 0; i < burst; ++i) {
      gone[i] = both.hash(old.keys[at + i]);
      both.table.prefetch(gone[i]);
      come[i] = both.hash(fresh.keys[at + i]);
    }
    both.table.find_burst(found, come, std::span<const FlowKey4>{&fresh.keys[at], burst}, both.records);
    for (unsigned i = 0; i < burst; ++i) {
      const FlowRef ref = conn((first + at + i) % n);
      TERN_CHECK(!found.found[i] && both.table.erase(gone[i], ref));
      both.records.at(ref.index())->key = fresh.keys[at + i];
      TERN_CHECK(both.table.insert(come[i], ref));
    }
  }
}
void churn_ours_one_by_one(Both& both, const Turn& old, const Turn& fresh, std::uint64_t first) {
  const std::uint32_t n = both.table.capacity();
  for (std::size_t i = 0; i < old.keys.size(); ++i) {
    const FlowRef ref = conn((first + i) % n);
    TERN_CHECK(both.table.erase(both.hash(old.keys[i]), ref));
    const FlowHash h = both.hash(fresh.keys[i]);
    TERN_CHECK(!both.table.find(h, fresh.keys[i], both.records));
    both.records.at(ref.index())->key = fresh.keys[i];
    TERN_CHECK(both.table.insert(h, ref));
  }
}
// In this mode a deleted key's slot is given back by hand, once no reader can see it; here at once.
void churn_theirs(const Both& both, const Turn& old, const Turn& fresh) {
  for (std::size_t i = 0; i < old.keys.size(); ++i) {
    const std::int32_t position = rte_hash_del_key(both.reference.get(), old.pointers[i]);
    TERN_CHECK(position >= 0 && rte_hash_free_key_with_position(both.reference.get(), position) == 0);
    TERN_CHECK(rte_hash_add_key(both.reference.get(), fresh.pointers[i]) >= 0);
  }
}

void flow_churn_ratio(benchmark::State& state) {
  constexpr std::uint32_t round = burst * 16;
  constexpr std::uint32_t slots = 1 << 20; // of rte_hash: a power of two, so that 85% of it is 85%
  constexpr std::uint32_t n = slots / 100 * FlowTable::load_percent;
  Both both(n, slots);
  Turn old(round), fresh(round);
  std::uint64_t first = 0; // of our live keys: first .. first + n - 1
  std::uint64_t theirs_first = 0;
  const auto prepare = [&](std::uint64_t from) {
    old.clear(), fresh.clear();
    for (std::uint32_t i = 0; i < round; ++i) old.add(key_of(from + i)), fresh.add(key_of(from + n + i));
  };
  const auto timed = [&](Median& times, auto&& work) {
    const std::uint64_t t0 = bench::tsc();
    work();
    times.add(bench::tsc() - t0, round);
  };
  Median bursts, singles, theirs;
  double count = 0;
  for (auto _ : state) {
    prepare(first);
    timed(bursts, [&] { churn_ours_in_bursts(both, old, fresh, first); });
    prepare(theirs_first);
    timed(theirs, [&] { churn_theirs(both, old, fresh); });
    theirs_first += round;
    first += round;
    prepare(first);
    timed(singles, [&] { churn_ours_one_by_one(both, old, fresh, first); });
    first += round;
    count += round;
  }
  state.counters["tern_burst_ns"] = bursts.ns();
  state.counters["tern_single_ns"] = singles.ns();
  state.counters["rte_hash_ns"] = theirs.ns();
  state.counters["flow_churn_ratio"] = theirs.ns() / bursts.ns();
  state.counters["flow_churn_ratio_single"] = theirs.ns() / singles.ns();
  state.counters["moves_per_insert"] = static_cast<double>(both.table.moves()) / (2 * count);
}
BENCHMARK(flow_churn_ratio)->Iterations(3000)->Unit(benchmark::kMillisecond);

// The hash alone: a burst of 32, as the Core takes them, and each waiting for the one before.
template <class Key>
void flow_hash_cycles(benchmark::State& state, const std::vector<Key>& keys, const std::string& name) {
  const FlowHasher hash{{1, 2}};
  std::array<FlowHash, burst> out;
  double bursts = 0, chained = 0, count = 0;
  for (auto _ : state) {
    const std::uint64_t t0 = bench::tsc();
    for (int k = 0; k < 1000; ++k) {
      for (unsigned i = 0; i < burst; ++i) out[i] = hash(keys[i]);
      benchmark::DoNotOptimize(out);
      benchmark::ClobberMemory();
    }
    const std::uint64_t t1 = bench::tsc();
    std::uint64_t at = 0;
    for (unsigned i = 0; i < 1000 * burst; ++i) at = hash(keys[at % burst]).value;
    benchmark::DoNotOptimize(at);
    bursts += static_cast<double>(t1 - t0);
    chained += static_cast<double>(bench::tsc() - t1);
    count += 1000 * burst;
  }
  state.counters[name + "_cycles"] = bursts / count;
  state.counters[name + "_latency_cycles"] = chained / count;
}
void flow_hash4_cycles(benchmark::State& state) {
  std::vector<FlowKey4> keys;
  for (unsigned i = 0; i < burst; ++i) keys.push_back(key_of(i));
  flow_hash_cycles(state, keys, "flow_hash4");
}
void flow_hash6_cycles(benchmark::State& state) {
  std::vector<FlowKey6> keys;
  for (unsigned i = 0; i < burst; ++i) keys.push_back(FlowKey{key_of(i)});
  flow_hash_cycles(state, keys, "flow_hash6");
}
BENCHMARK(flow_hash4_cycles);
BENCHMARK(flow_hash6_cycles);

} // namespace
} // namespace tern
