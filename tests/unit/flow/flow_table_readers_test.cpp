// Lock-free readers against one writer that changes everything it can, in a table so small that entries keep
// moving.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "flow/flow_table.hpp"

namespace tern {
namespace flow_table_readers_test {

constexpr std::uint32_t capacity = 300;
constexpr std::uint32_t pinned = 60;  // flows 0..59 are always there, though they move and change records
constexpr std::uint32_t coming = 500; // flows 60..559 come and go
constexpr std::uint32_t never = 100;  // flows 560..659 never come
constexpr std::uint32_t all = pinned + coming + never;

// A record of type-stable memory, written over while readers may look. A whole record satisfies twin ==
// f(flow, life).
struct Record {
  std::atomic<std::uint64_t> flow{0};
  std::atomic<std::uint64_t> life{0};
  std::atomic<std::uint64_t> twin{0};

  static std::uint64_t twin_of(std::uint64_t flow, std::uint64_t life) {
    return flow * 0x9e3779b97f4a7c15U ^ (life + 1) * 0xff51afd7ed558ccdU;
  }
  void write(std::uint64_t f, std::uint64_t l) {
    flow.store(f, std::memory_order_release);
    life.store(l, std::memory_order_release);
    twin.store(twin_of(f, l), std::memory_order_release);
  }
};

class Shard {
 public:
  Shard() : table_(process_arena(), capacity), records_(capacity + 8) {
    for (std::uint32_t i = 0; i < records_.size(); ++i) free_.push_back(i);
    for (std::uint32_t k = 0; k < pinned; ++k) come(k);
  }

  // Every change there is, on flows drawn at random; the records that were freed last are taken first.
  void change(std::mt19937& random) {
    const auto k = static_cast<std::uint32_t>(random() % (pinned + coming));
    if (k < pinned || (held_[k] && random() % 4 == 0)) {
      renew(k);
    } else if (held_[k]) {
      EXPECT_TRUE(table_.erase(hash(k), held_[k]));
      release(k);
    } else if (table_.size() < capacity) {
      come(k);
    }
  }

  struct Seen {
    FlowTable::Read read = FlowTable::Read::absent;
    std::uint64_t flow = 0, life = 0, twin = 0;
  };
  [[nodiscard]] Seen look(std::uint32_t k) const {
    Seen seen;
    seen.read = table_.read(hash(k), [&](FlowRef ref) {
      const Record& r = records_[ref.index()];
      if (r.flow.load(std::memory_order_acquire) != k) return false;
      seen.life = r.life.load(std::memory_order_acquire);
      stumble();
      seen.twin = r.twin.load(std::memory_order_acquire);
      seen.flow = r.flow.load(std::memory_order_acquire);
      return true;
    });
    return seen;
  }
  // How many records came out torn, of all that each whole walk gave.
  [[nodiscard]] std::uint64_t torn_in_walk(std::uint64_t& given) const {
    std::uint64_t torn = 0;
    (void)table_.read_each(
        [&](FlowRef ref) -> std::optional<Seen> {
          const Record& r = records_[ref.index()];
          Seen seen;
          seen.flow = r.flow.load(std::memory_order_acquire);
          seen.life = r.life.load(std::memory_order_acquire);
          stumble();
          seen.twin = r.twin.load(std::memory_order_acquire);
          return seen;
        },
        [&](const Seen& s) {
          ++given;
          torn += s.twin != Record::twin_of(s.flow, s.life) ? 1 : 0;
        });
    return torn;
  }
  [[nodiscard]] const FlowTable& table() const { return table_; }

 private:
  // A reader that is held up in the middle: the owner goes on meanwhile, on a machine with one core too.
  static void stumble() {
    thread_local unsigned step = 0;
    if (++step % 16 == 0) std::this_thread::yield();
  }
  [[nodiscard]] FlowHash hash(std::uint32_t k) const {
    return hasher_(FlowKey4{Ip4{Be32{k}}, Ip4{1, 2, 3, 4}, Be16{1}, Be16{2}});
  }
  FlowRef written(std::uint32_t k) {
    const std::uint32_t index = free_.back();
    free_.pop_back();
    records_[index].write(k, ++lives_);
    return {lives_ % 2 == 0 ? FlowKind::connection : FlowKind::syn_received, index};
  }
  void release(std::uint32_t k) {
    free_.push_back(held_[k].index());
    held_[k] = FlowRef{};
  }
  void come(std::uint32_t k) {
    const FlowRef ref = written(k);
    if (table_.insert(hash(k), ref)) {
      held_[k] = ref;
    } else {
      free_.push_back(ref.index());
      ADD_FAILURE() << "no room at " << table_.size() << " of " << capacity;
    }
  }
  void renew(std::uint32_t k) {
    const FlowRef ref = written(k);
    EXPECT_TRUE(table_.replace(hash(k), held_[k], ref));
    release(k);
    held_[k] = ref;
  }

  FlowHasher hasher_{{1, 2}};
  FlowTable table_;
  std::vector<Record> records_;
  std::vector<std::uint32_t> free_;
  std::array<FlowRef, all> held_{};
  std::uint64_t lives_ = 0;
};

struct Tally {
  std::uint64_t looks = 0, hits = 0, misses = 0, busy = 0;
  std::uint64_t lost = 0, torn = 0, ghosts = 0, older = 0; // each a broken promise
};

Tally read_until(const std::atomic<bool>& stop, const Shard& shard, unsigned seed) {
  Tally t;
  std::mt19937 random(seed);
  std::array<std::uint64_t, all> last_life{};
  while (!stop.load(std::memory_order_relaxed) || t.looks < 10'000) { // however late it came to run
    const auto k = static_cast<std::uint32_t>(random() % all);
    const auto seen = shard.look(k);
    ++t.looks;
    if (seen.read == FlowTable::Read::busy) {
      ++t.busy;
    } else if (seen.read == FlowTable::Read::absent) {
      ++t.misses;
      t.lost += k < pinned ? 1 : 0;
    } else {
      ++t.hits;
      t.ghosts += k >= pinned + coming ? 1 : 0;
      t.torn += (seen.flow != k || seen.twin != Record::twin_of(k, seen.life)) ? 1 : 0;
      t.older += seen.life < last_life[k] ? 1 : 0;
      last_life[k] = seen.life;
    }
  }
  return t;
}

TEST(FlowTableReaders, NeverTakeATornOrReusedRecordNorLoseAFlowThatIsThere) {
  Shard shard;
  std::atomic<bool> stop{false};
  std::array<Tally, 2> tallies;
  std::vector<std::thread> readers;
  for (unsigned i = 0; i < tallies.size(); ++i)
    readers.emplace_back([&, i] { tallies[i] = read_until(stop, shard, i + 1); });
  std::mt19937 random(99);
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1500);
  std::uint64_t changes = 0;
  while (std::chrono::steady_clock::now() < end)
    for (int i = 0; i < 100; ++i, ++changes) shard.change(random);
  stop.store(true, std::memory_order_relaxed);
  for (auto& r : readers) r.join();
  EXPECT_GT(shard.table().moves(), 100U) << "in " << changes << " changes";
  for (const Tally& t : tallies) {
    EXPECT_GT(t.hits, 0U);
    EXPECT_GT(t.misses, 0U);
    EXPECT_LT(t.busy, t.looks / 100 + 10);
    EXPECT_EQ(t.lost, 0U) << "of " << t.looks;
    EXPECT_EQ(t.torn, 0U) << "of " << t.hits;
    EXPECT_EQ(t.ghosts, 0U) << "of " << t.hits;
    EXPECT_EQ(t.older, 0U) << "of " << t.hits;
  }
}

TEST(FlowTableReaders, WalkThatReadsGivesNoTornRecord) {
  Shard shard;
  std::atomic<bool> stop{false};
  std::uint64_t given = 0, torn = 0;
  std::thread reader([&] {
    do torn += shard.torn_in_walk(given);
    while (!stop.load(std::memory_order_relaxed));
  });
  std::mt19937 random(6);
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1000);
  while (std::chrono::steady_clock::now() < end)
    for (int i = 0; i < 100; ++i) shard.change(random);
  stop.store(true, std::memory_order_relaxed);
  reader.join();
  EXPECT_GT(given, 0U);
  EXPECT_EQ(torn, 0U) << "of " << given;
}

TEST(FlowTableReaders, WalkSeesEveryFlowThatStaysOrSaysThatEntriesMoved) {
  Shard shard;
  std::atomic<bool> stop{false};
  std::uint64_t whole = 0, moved = 0, short_of = 0;
  std::thread reader([&] {
    do {
      std::uint64_t seen = 0;
      if (shard.table().observe_each([&](FlowRef) { ++seen; })) {
        ++whole;
        short_of += seen < pinned ? 1 : 0;
      } else {
        ++moved;
      }
    } while (!stop.load(std::memory_order_relaxed)); // once at least, however late it came to run
  });
  std::mt19937 random(5);
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
  while (std::chrono::steady_clock::now() < end)
    for (int i = 0; i < 100; ++i) shard.change(random);
  stop.store(true, std::memory_order_relaxed);
  reader.join();
  EXPECT_GT(whole + moved, 0U);
  EXPECT_EQ(short_of, 0U);
}

} // namespace flow_table_readers_test
} // namespace tern
