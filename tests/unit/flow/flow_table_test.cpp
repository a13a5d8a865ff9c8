#include "flow/flow_table.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <random>
#include <set>
#include <unordered_map>
#include <vector>

#include "base/prefetch.hpp"
#include "unit/flow/chosen_hash.hpp"

namespace tern {
namespace flow_table_test {

constexpr SipKey seed{0x5eed, 0xf10e};

// Slabs of the two families' records, named by FlowRef: connections are IPv4 here, time_wait6 IPv6, and
// others IPv4 too.
struct Slabs {
  std::vector<FlowKey4> four;
  std::vector<FlowKey6> six;
  mutable std::uint64_t compares = 0;

  void prefetch(FlowRef ref) const {
    if (ref.kind() == FlowKind::time_wait6)
      prefetch_to_read(&six[ref.index()]);
    else
      prefetch_to_read(&four[ref.index()]);
  }
  [[nodiscard]] bool matches(FlowRef ref, const FlowKey4& key) const {
    ++compares;
    return ref.kind() != FlowKind::time_wait6 && same_flow(&four[ref.index()], key);
  }
  [[nodiscard]] bool matches(FlowRef ref, const FlowKey6& key) const {
    ++compares;
    return ref.kind() == FlowKind::time_wait6 && six[ref.index()] == key;
  }
};
static_assert(FlowRecords<Slabs, FlowKey4> && FlowRecords<Slabs, FlowKey6>);

FlowKey4 four(std::uint32_t n) {
  return {Ip4{Be32{0x0a000000 + (n >> 14)}}, Ip4{192, 0, 2, 1}, Be16{static_cast<std::uint16_t>(n & 0x3fff)},
          Be16{80}};
}
FlowKey6 six(std::uint32_t n) {
  return FlowKey{four(n)};
} // the same bytes but for the family: the hardest neighbour

struct Fixture {
  explicit Fixture(std::uint32_t capacity, std::uint32_t keys, SipKey s = seed)
      : hash(s), table(process_arena(), capacity) {
    for (std::uint32_t i = 0; i < keys; ++i) {
      slabs.four.push_back(four(i));
      slabs.six.push_back(six(i));
    }
  }
  [[nodiscard]] FlowRef find4(std::uint32_t n) const { return table.find(hash(four(n)), four(n), slabs); }
  [[nodiscard]] FlowRef find6(std::uint32_t n) const { return table.find(hash(six(n)), six(n), slabs); }

  FlowHasher hash;
  FlowTable table;
  Slabs slabs;
};

TEST(FlowRef, KindAndIndexRoundTripAndNoneIsNeither) {
  EXPECT_FALSE(FlowRef{});
  for (const auto kind :
       {FlowKind::connection, FlowKind::syn_received, FlowKind::time_wait, FlowKind::time_wait6}) {
    for (const std::uint32_t index : {0U, 1U, 12345678U, FlowRef::max_index}) {
      const FlowRef r{kind, index};
      EXPECT_TRUE(r);
      EXPECT_EQ(r.kind(), kind);
      EXPECT_EQ(r.index(), index);
      EXPECT_EQ(FlowRef::from_raw(r.raw()), r);
    }
  }
}

TEST(FlowTable, EmptyTableFindsNothing) {
  Fixture f(1000, 1);
  EXPECT_FALSE(f.find4(0));
  EXPECT_FALSE(f.table.erase(f.hash(four(0)), conn(0)));
  EXPECT_FALSE(f.table.replace(f.hash(four(0)), conn(0), conn(1)));
}

TEST(FlowTable, InsertedFlowIsFoundUntilErased) {
  Fixture f(1000, 2);
  const FlowHash h = f.hash(four(0));
  ASSERT_TRUE(f.table.insert(h, conn(0)));
  EXPECT_EQ(f.find4(0), conn(0));
  EXPECT_FALSE(f.find4(1));
  EXPECT_FALSE(f.table.erase(h, conn(1)));
  EXPECT_TRUE(f.table.erase(h, conn(0)));
  EXPECT_FALSE(f.find4(0));
  EXPECT_FALSE(f.table.erase(h, conn(0)));
  EXPECT_EQ(f.table.size(), 0U);
}

TEST(FlowTable, ReplaceChangesTheRecordInPlace) {
  Fixture f(1000, 2);
  const FlowHash h = f.hash(four(1));
  const FlowRef syn{FlowKind::syn_received, 1}, established{FlowKind::connection, 1},
      wait{FlowKind::time_wait, 1};
  ASSERT_TRUE(f.table.insert(h, syn));
  EXPECT_TRUE(f.table.replace(h, syn, established));
  EXPECT_EQ(f.find4(1), established);
  EXPECT_FALSE(f.table.replace(h, syn, wait)); // gone
  EXPECT_TRUE(f.table.replace(h, established, wait));
  EXPECT_EQ(f.find4(1), wait);
  EXPECT_EQ(f.table.size(), 1U);
}

TEST(FlowTable, FamiliesWithTheSameAddressesAreTwoFlows) {
  Fixture f(1000, 10);
  ASSERT_TRUE(f.table.insert(f.hash(four(7)), conn(7)));
  EXPECT_FALSE(f.find6(7));
  ASSERT_TRUE(f.table.insert(f.hash(six(7)), {FlowKind::time_wait6, 7}));
  EXPECT_EQ(f.find6(7), (FlowRef{FlowKind::time_wait6, 7}));
  EXPECT_EQ(f.find4(7), conn(7));
}

// Two keys under one hash: only the full compare tells them apart.
TEST(FlowTable, KeysOfEqualHashAreToldApartByTheRecord) {
  Fixture f(1000, 40);
  const FlowHash h{0x8000000000000123};
  for (std::uint32_t i = 0; i < 20; ++i) ASSERT_TRUE(f.table.insert(h, conn(i))); // all slots of both buckets
  for (std::uint32_t i = 0; i < 20; ++i) {
    EXPECT_EQ(f.table.find(h, four(i), f.slabs), conn(i));
    FlowBurst burst;
    const FlowKey4 key = four(i);
    f.table.find_burst(burst, {&h, 1}, std::span<const FlowKey4>{&key, 1}, f.slabs);
    EXPECT_EQ(burst.found[0], conn(i));
  }
  EXPECT_FALSE(f.table.find(h, four(20), f.slabs));
  EXPECT_FALSE(
      f.table.insert(h, conn(20))); // no other bucket for any of these: refused after a bounded search
  for (std::uint32_t i = 0; i < 20; ++i) EXPECT_TRUE(f.table.erase(h, conn(i)));
  EXPECT_EQ(f.table.size(), 0U);
}

TEST(FlowTable, TagZeroIsATagLikeOthers) {
  Fixture f(1000, 2);
  const FlowHash h{0x8000000000000000};
  ASSERT_TRUE(f.table.insert(h, conn(0)));
  EXPECT_EQ(f.table.find(h, four(0), f.slabs), conn(0));
  EXPECT_TRUE(f.table.erase(h, conn(0)));
}

// The claim of 85%: every table fills to its capacity, whatever its size and secret, and refuses one more.
TEST(FlowTable, FillsToItsCapacityAtEverySizeAndSeed) {
  for (const std::uint32_t capacity : {1U, 2U, 5U, 17U, 64U, 100U, 1000U, 10'000U, 100'000U}) {
    const unsigned rounds = capacity > 10'000 ? 3 : 100;
    for (unsigned s = 0; s < rounds; ++s) {
      const FlowHasher hash{{s, capacity}};
      FlowTable table(process_arena(), capacity);
      for (std::uint32_t i = 0; i < capacity; ++i)
        ASSERT_TRUE(table.insert(hash(four(i)), conn(i))) << capacity << " flows, seed " << s << ", at " << i;
      EXPECT_EQ(table.size(), capacity);
      EXPECT_FALSE(table.insert(hash(four(capacity)), conn(capacity)));
      EXPECT_LE(table.slots() * FlowTable::load_percent / 100, capacity + 26);
    }
  }
}

TEST(FlowTable, CostsAtMostTwelveBytesAFlowAtCapacity) {
  FlowTable table(process_arena(), 1'000'000);
  EXPECT_LE(static_cast<double>(table.bytes()) / 1'000'000, 12);
  EXPECT_LE(static_cast<double>(table.slots()) * 6.4 / 1'000'000, 7.6);
}

TEST(FlowTable, BurstGivesWhatSingleLookupsGiveAtFullLoad) {
  constexpr std::uint32_t n = 20'000;
  Fixture f(n, 2 * n);
  for (std::uint32_t i = 0; i < n; ++i) ASSERT_TRUE(f.table.insert(f.hash(four(i)), conn(i)));
  EXPECT_GT(f.table.moves(), 0U);
  for (std::uint32_t start = 0; start < 2 * n; start += 64) {
    std::vector<FlowKey4> keys;
    std::vector<FlowHash> hashes;
    for (std::uint32_t i = start; i < std::min(start + 64, 2 * n); ++i) {
      keys.push_back(four(i));
      hashes.push_back(f.hash(keys.back()));
    }
    FlowBurst burst;
    f.table.find_burst(burst, hashes, std::span<const FlowKey4>{keys}, f.slabs);
    const auto& found = burst.found;
    for (std::uint32_t i = 0; i < keys.size(); ++i) {
      const std::uint32_t k = start + i;
      EXPECT_EQ(found[i], k < n ? conn(k) : FlowRef{}) << k;
      EXPECT_EQ(f.find4(k), found[i]);
    }
  }
}

// A burst that was started before the table changed gives what is there when it is finished.
TEST(FlowTable, BurstOnItsWaySeesWhatAnEarlierOneChanged) {
  Fixture f(1000, 10);
  std::vector<FlowKey4> keys;
  std::vector<FlowHash> hashes;
  for (std::uint32_t i = 0; i < 4; ++i) {
    keys.push_back(four(i));
    hashes.push_back(f.hash(keys.back()));
  }
  for (const std::uint32_t i : {0U, 1U}) ASSERT_TRUE(f.table.insert(hashes[i], conn(i)));
  for (int changed_after = 1; changed_after <= 3; ++changed_after) {
    FlowBurst burst;
    f.table.start(burst, hashes);
    const auto change = [&](int stage) {
      if (stage != changed_after) return;
      EXPECT_TRUE(f.table.erase(hashes[0], conn(0)));
      EXPECT_TRUE(f.table.replace(hashes[1], conn(1), {FlowKind::time_wait, 1}));
      EXPECT_TRUE(f.table.insert(hashes[2], conn(2)));
    };
    change(1);
    f.table.aim(burst, f.slabs);
    change(2);
    f.table.aim_away(burst, f.slabs);
    change(3);
    f.table.finish(burst, std::span<const FlowKey4>{keys}, f.slabs);
    EXPECT_EQ(burst.found[0], FlowRef{}) << changed_after;
    EXPECT_EQ(burst.found[1], (FlowRef{FlowKind::time_wait, 1})) << changed_after;
    EXPECT_EQ(burst.found[2], conn(2)) << changed_after;
    EXPECT_EQ(burst.found[3], FlowRef{}) << changed_after;
    EXPECT_TRUE(f.table.insert(hashes[0], conn(0)));
    EXPECT_TRUE(f.table.replace(hashes[1], {FlowKind::time_wait, 1}, conn(1)));
    EXPECT_TRUE(f.table.erase(hashes[2], conn(2)));
  }
}

TEST(FlowTable, LookupsCompareHardlyMoreThanOneRecord) {
  constexpr std::uint32_t n = 20'000;
  Fixture f(n, 2 * n);
  for (std::uint32_t i = 0; i < n; ++i) ASSERT_TRUE(f.table.insert(f.hash(four(i)), conn(i)));
  f.slabs.compares = 0;
  for (std::uint32_t i = 0; i < 2 * n; ++i) (void)f.find4(i);
  EXPECT_GE(f.slabs.compares, n);
  EXPECT_LE(f.slabs.compares, n + n / 500); // 10 tags, 15 bits: 1 in 3,000, of hits and misses each
}

// Against a plain map: random inserts, erases, replaces and lookups at up to full load.
TEST(FlowTable, RandomChangesAgreeWithAMap) {
  constexpr std::uint32_t keys = 3000, capacity = 2000;
  Fixture f(capacity, keys);
  std::mt19937 random(7);
  std::unordered_map<std::uint32_t, FlowRef> model;
  for (int step = 0; step < 300'000; ++step) {
    const std::uint32_t k = static_cast<std::uint32_t>(random() % keys);
    const FlowHash h = f.hash(four(k));
    const FlowRef found = f.find4(k);
    const auto it = model.find(k);
    ASSERT_EQ(found, it == model.end() ? FlowRef{} : it->second);
    if (it == model.end()) {
      const bool room = model.size() < capacity;
      ASSERT_EQ(f.table.insert(h, conn(k)), room);
      if (room) model[k] = conn(k);
    } else if (random() % 4 == 0) {
      const FlowRef to{it->second.kind() == FlowKind::connection ? FlowKind::time_wait : FlowKind::connection,
                       k};
      ASSERT_TRUE(f.table.replace(h, found, to));
      it->second = to;
    } else if (random() % 8 < 5) {
      ASSERT_TRUE(f.table.erase(h, found));
      model.erase(it);
    }
    ASSERT_EQ(f.table.size(), model.size());
  }
  EXPECT_GT(f.table.moves(), 100U);
  std::unordered_map<std::uint32_t, FlowRef> seen;
  f.table.for_each([&](FlowRef r) { EXPECT_TRUE(seen.emplace(r.index(), r).second); });
  EXPECT_EQ(seen, model);
  for (const auto& [k, ref] : model) EXPECT_TRUE(f.table.erase(f.hash(four(k)), ref));
  EXPECT_EQ(f.table.crowded_buckets(), 0U); // every move kept the books of who is away
}

// What somebody can do who knows a hash's secret: flows that all have the same two buckets. There are 20 places for
// them; the others are refused. The same flows in a table whose secret he does not know all find a place, and looking
// one up costs hardly more than one comparison.
TEST(FlowTable, FlowsChosenToMeetUnderAnotherSecretPart) {
  constexpr std::uint32_t chosen = 60;
  Fixture known(1000, 0, {}), secret(1000, 0);
  const ChosenHash map(known.table);
  for (std::uint32_t n = 0; known.slabs.four.size() < chosen; ++n) {
    const FlowHash h = known.hash(four(n));
    if (map.reduce(static_cast<std::uint32_t>(h.value >> 32)) != 7) continue;
    const auto tag = static_cast<std::uint32_t>(std::max<std::uint64_t>(h.value & 0x7fff, 1));
    if (map.other(7, tag) == 9) known.slabs.four.push_back(four(n));
  }
  secret.slabs.four = known.slabs.four;
  std::uint32_t met = 0, parted = 0;
  for (std::uint32_t i = 0; i < chosen; ++i) {
    met += known.table.insert(known.hash(known.slabs.four[i]), conn(i)) ? 1 : 0;
    parted += secret.table.insert(secret.hash(secret.slabs.four[i]), conn(i)) ? 1 : 0;
  }
  EXPECT_EQ(met, 20U);
  EXPECT_EQ(parted, chosen);
  for (std::uint32_t i = 0; i < chosen; ++i) {
    const FlowKey4& key = secret.slabs.four[i];
    EXPECT_EQ(secret.table.find(secret.hash(key), key, secret.slabs), conn(i));
  }
  EXPECT_LE(secret.slabs.compares, chosen + 4);
}

// Home P and second Q are full of entries whose other buckets, X and W, are full too: of entries that may
// still go.
TEST(FlowTable, InsertMovesTwoEntriesWhenNoSingleMoveMakesRoom) {
  Fixture f(1000, 100);
  const ChosenHash map(f.table);
  constexpr std::uint32_t p = 3;
  std::uint32_t a = 0, b = 0, c = 0, d = 0, e = 0, x = 0, q = 0, w = 0;
  std::mt19937 random(1);
  const auto apart = [&] {
    return std::set<std::uint32_t>{p, x, q, w, map.other(x, b), map.other(w, e)}.size() == 6;
  };
  do {
    for (auto* tag : {&a, &b, &c, &d, &e}) *tag = static_cast<std::uint32_t>(1 + random() % 0x7fff);
    x = map.other(p, a), q = map.other(p, c), w = map.other(q, d);
  } while (!apart());
  std::uint32_t i = 0;
  std::vector<FlowHash> hashes;
  for (const auto& [bucket, tag] : {std::pair{p, a}, {x, b}, {q, d}, {w, e}})
    for (int k = 0; k < 10; ++k) {
      hashes.push_back(map.hash(bucket, tag));
      ASSERT_TRUE(f.table.insert(hashes.back(), conn(i++)));
    }
  ASSERT_EQ(f.table.moves(), 0U);
  hashes.push_back(map.hash(p, c));
  ASSERT_TRUE(f.table.insert(hashes.back(), conn(i)));
  EXPECT_EQ(f.table.moves(), 2U);
  for (std::uint32_t k = 0; k < hashes.size(); ++k)
    EXPECT_EQ(f.table.find(hashes[k], four(k), f.slabs), conn(k));
  for (std::uint32_t k = 0; k < hashes.size(); ++k) EXPECT_TRUE(f.table.erase(hashes[k], conn(k)));
  EXPECT_EQ(f.table.crowded_buckets(), 0U);
}

// An answer of a burst that is under way holds as long as its own bucket rests, whatever else changes; but where one of
// the burst was looked for in two buckets, none holds after any change.
TEST(FlowTable, AnswerStandsUntilItsOwnBucketChanges) {
  Fixture f(1000, 100);
  const ChosenHash map(f.table);
  const std::array hashes{map.hash(3, 11), map.hash(50, 22), map.hash(80, 33)};
  for (std::uint32_t i = 0; i < 2; ++i)
    ASSERT_TRUE(f.table.insert(hashes[i], conn(i))); // the third is not there
  FlowBurst burst;
  const auto look = [&] {
    f.table.start(burst, hashes);
    f.table.aim(burst, f.slabs);
    f.table.aim_away(burst, f.slabs);
  };
  const auto stand = [&] {
    return std::array{f.table.stands(burst, 0), f.table.stands(burst, 1), f.table.stands(burst, 2)};
  };
  using All = std::array<bool, 3>;
  look();
  EXPECT_EQ(stand(), (All{true, true, true}));
  ASSERT_TRUE(f.table.insert(map.hash(100, 44), conn(50))); // of no concern to them
  EXPECT_EQ(stand(), (All{true, true, true}));
  ASSERT_TRUE(f.table.erase(hashes[0], conn(0)));
  EXPECT_EQ(stand(), (All{false, true, true}));
  ASSERT_TRUE(f.table.replace(hashes[1], conn(1), conn(51)));
  EXPECT_EQ(stand(), (All{false, false, true}));
  ASSERT_TRUE(f.table.insert(hashes[2], conn(2)));
  EXPECT_EQ(stand(), (All{false, false, false}));
  // The third's bucket is full now, with an entry elsewhere.
  ASSERT_TRUE(f.table.erase(hashes[2], conn(2)));
  for (std::uint32_t i = 10; i < 21; ++i) ASSERT_TRUE(f.table.insert(map.hash(80, 55), conn(i)));
  look();
  EXPECT_EQ(burst.away_size, 1U);
  EXPECT_EQ(stand(), (All{true, true, true}));
  ASSERT_TRUE(f.table.erase(map.hash(100, 44), conn(50)));
  EXPECT_EQ(stand(), (All{false, false, false}));
}

// What a reader on another core sees when the owner acts between any two of its loads, in an order that
// always happens.
TEST(FlowTable, ReaderWhoseRecordIsErasedAndWrittenOverMeanwhileDoesNotTakeIt) {
  Fixture f(1000, 10);
  const FlowHash h = f.hash(four(1));
  ASSERT_TRUE(f.table.insert(h, conn(1)));
  int calls = 0;
  const auto read = f.table.read(h, [&](FlowRef ref) {
    if (++calls == 1) {
      EXPECT_TRUE(f.table.erase(h, ref));
    }
    return true; // the bytes still looked right
  });
  EXPECT_EQ(read, FlowTable::Read::absent);
  EXPECT_EQ(calls, 1);
}

// The owner replaces `old` while a reader looks at it.
void expect_new_one_taken(Fixture& f, FlowHash h, FlowRef old) {
  const FlowRef fresh = conn(500);
  FlowRef last;
  const auto read = f.table.read(h, [&](FlowRef ref) {
    if (ref != old && ref != fresh) return false;
    if (ref == old) {
      EXPECT_TRUE(f.table.replace(h, old, fresh));
    }
    last = ref;
    return true;
  });
  EXPECT_EQ(read, FlowTable::Read::found);
  EXPECT_EQ(last, fresh);
}

TEST(FlowTable, ReaderWhoseRecordIsReplacedMeanwhileTakesTheNewOne) {
  Fixture f(1000, 10);
  const FlowHash h = f.hash(four(1));
  ASSERT_TRUE(f.table.insert(h, conn(1)));
  expect_new_one_taken(f, h, conn(1));
}

// Nothing but the version of its second bucket tells of it.
TEST(FlowTable, ReaderWhoseRecordAwayFromHomeIsReplacedMeanwhileTakesTheNewOne) {
  Fixture f(1000, 30);
  const FlowHash h = ChosenHash(f.table).hash(5, 77);
  for (std::uint32_t i = 0; i < 11; ++i) ASSERT_TRUE(f.table.insert(h, conn(i))); // the last is away
  expect_new_one_taken(f, h, conn(10));
}

// The entry looked for goes from its second bucket to a slot of the first that the reader has already passed.
TEST(FlowTable, ReaderLookedPastByAMovingEntryLooksAgain) {
  Fixture f(1000, 30);
  const FlowHash h = ChosenHash(f.table).hash(5, 77);
  for (std::uint32_t i = 0; i < 11; ++i) ASSERT_TRUE(f.table.insert(h, conn(i))); // the last is away
  bool moved = false;
  const auto read = f.table.read(h, [&](FlowRef ref) {
    if (ref == conn(9) && !moved) {
      moved = true;
      EXPECT_TRUE(f.table.erase(h, conn(0)));
      EXPECT_TRUE(f.table.erase(h, conn(10)));
      EXPECT_TRUE(f.table.insert(h, conn(10))); // where 0 was
    }
    return ref == conn(10);
  });
  EXPECT_TRUE(moved);
  EXPECT_EQ(read, FlowTable::Read::found);
}

TEST(FlowTable, ReaderOfABucketThatNeverRestsGivesUp) {
  Fixture f(1000, 30);
  const FlowHash h = f.hash(four(1));
  ASSERT_TRUE(f.table.insert(h, conn(1)));
  const auto read = f.table.read(h, [&](FlowRef ref) { return f.table.replace(h, ref, ref); });
  EXPECT_EQ(read, FlowTable::Read::busy);
}

// An entry goes from a bucket that the walk has before it to one that it has behind it.
TEST(FlowTable, WalkThatAnEntryPassedBySaysSo) {
  for (const bool reads : {false, true}) {
    Fixture f(1000, 100);
    const ChosenHash map(f.table);
    constexpr std::uint32_t early = 10, middle = 50, late = 90;
    std::mt19937 random(1);
    const auto tag_to = [&](auto&& good) {
      for (;;)
        if (const auto t = static_cast<std::uint32_t>(1 + random() % 0x7fff); good(map.other(late, t)))
          return t;
    };
    const std::uint32_t mover = tag_to([](std::uint32_t b) { return b == early; });
    const std::uint32_t blocked =
        tag_to([](std::uint32_t b) { return b != early && b != middle && b != late; });
    const std::uint32_t full = map.other(late, blocked);
    std::uint32_t n = 0;
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(f.table.insert(map.hash(late, mover), conn(n++)));
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(f.table.insert(map.hash(full, 1), conn(n++)));
    const FlowRef marker = conn(n++);
    ASSERT_TRUE(f.table.insert(map.hash(middle, 1), marker));
    std::set<std::uint32_t> seen;
    const auto at = [&](FlowRef ref) {
      if (ref == marker && f.table.moves() == 0) {
        EXPECT_TRUE(f.table.insert(map.hash(late, blocked), conn(n)));
      }
      seen.insert(ref.index());
    };
    bool whole = false;
    if (reads) {
      whole = f.table.read_each([](FlowRef ref) { return std::optional{ref}; }, at);
    } else {
      whole = f.table.observe_each(at);
    }
    EXPECT_EQ(f.table.moves(), 1U);
    EXPECT_FALSE(seen.contains(0)); // it had the slot that was freed
    EXPECT_FALSE(whole) << reads;
    seen.clear();
    EXPECT_TRUE(f.table.observe_each(at));
    EXPECT_EQ(seen.size(), n + 1);
  }
}

TEST(FlowTable, WalkPastABucketThatNeverRestsSaysSo) {
  Fixture f(1000, 30);
  for (std::uint32_t i = 0; i < 2; ++i) ASSERT_TRUE(f.table.insert(f.hash(four(i)), conn(i)));
  std::vector<FlowRef> given;
  const auto good = [&](FlowRef ref) { given.push_back(ref); };
  EXPECT_FALSE(f.table.read_each(
      [&](FlowRef ref) {
        if (ref == conn(1)) {
          EXPECT_TRUE(f.table.replace(f.hash(four(1)), ref, ref));
        }
        return std::optional{ref};
      },
      good));
  EXPECT_EQ(given, std::vector{conn(0)});
}

// Once all is erased, no bucket believes that it still has entries elsewhere: misses read one line again.
TEST(FlowTable, FilledAndEmptiedTableIsAsNew) {
  constexpr std::uint32_t n = 5000;
  Fixture f(n, n);
  for (int round = 0; round < 3; ++round) {
    for (std::uint32_t i = 0; i < n; ++i) ASSERT_TRUE(f.table.insert(f.hash(four(i)), conn(i)));
    EXPECT_GT(f.table.crowded_buckets(), 0U);
    std::uint32_t erased = 0;
    std::uint32_t cursor = 0;
    while (!f.table.walk(&cursor, 16, [&](FlowRef r) {
      EXPECT_TRUE(f.table.erase(f.hash(four(r.index())), r));
      ++erased;
    })) {
    }
    EXPECT_EQ(erased, n);
    EXPECT_EQ(f.table.size(), 0U);
    EXPECT_EQ(f.table.crowded_buckets(), 0U);
  }
}

TEST(FlowTable, ChangesMoveOnWithEveryChangeAndOnlyThen) {
  Fixture f(100, 2);
  const FlowHash h = f.hash(four(0));
  const auto start = f.table.changes();
  (void)f.find4(0);
  EXPECT_EQ(f.table.changes(), start);
  ASSERT_TRUE(f.table.insert(h, conn(0)));
  EXPECT_EQ(f.table.changes(), start + 1);
  ASSERT_TRUE(f.table.replace(h, conn(0), conn(1)));
  EXPECT_EQ(f.table.changes(), start + 2);
  ASSERT_TRUE(f.table.erase(h, conn(1)));
  EXPECT_EQ(f.table.changes(), start + 3);
  EXPECT_FALSE(f.table.erase(h, conn(1)));
  EXPECT_EQ(f.table.changes(), start + 3);
}

TEST(FlowTable, LimitThatDoesNotFitIsRefusedAtStart) {
  Arena arena({.memory = 1 << 20});
  EXPECT_THROW(FlowTable(arena, 10'000'000), ArenaError);
}

} // namespace flow_table_test
} // namespace tern
