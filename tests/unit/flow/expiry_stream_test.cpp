#include "flow/expiry_stream.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <list>
#include <map>
#include <random>
#include <vector>

#include "flow/arena.hpp"

namespace tern {
namespace expiry_stream_test {

template <std::size_t N>
struct Sized {
  std::uint32_t id;
  std::byte rest[N - 4];
};
using Record = Sized<32>;
using Streams = ExpiryStreams<Record>;
using Ids = std::vector<std::uint32_t>;

// Beside itself a record costs what its chunk knows of it. What the real ones come to: unit/runtime/records_test.cpp.
static_assert(ExpiryStreams<Sized<32>>::bytes_per_record == 32 + 2.375 &&
              ExpiryStreams<Sized<56>>::bytes_per_record == 56 + 2.375);

struct Fixture {
  Fixture(std::uint32_t limit, std::vector<Tick> lifetimes, Tick now)
      : memory(process_arena().take({"expiry", 1, Streams::bytes_for(limit, lifetimes)})),
        streams(memory.data(), limit, lifetimes, now) {}
  std::uint32_t add(Tick now, std::uint32_t id, unsigned queue = 0) {
    const std::uint32_t index = streams.append(now, queue);
    if (index != Streams::none) streams.at(index).id = id;
    return index;
  }
  Ids expired(Tick now, unsigned work = 1U << 30) {
    Ids ids;
    streams.expire(now, work, [&](std::uint32_t, Record& r) { ids.push_back(r.id); });
    return ids;
  }
  Ids evicted(unsigned n) {
    Ids ids;
    streams.evict_oldest(n, [&](std::uint32_t, Record& r) { ids.push_back(r.id); });
    return ids;
  }

  ArenaPiece memory;
  Streams streams;
};

TEST(ExpiryStreams, MemoryIsWhatBytesPerRecordSays) {
  const std::vector<Tick> lifetimes{60000};
  const auto bytes = Streams::bytes_for(100'000'000, lifetimes);
  EXPECT_NEAR(static_cast<double>(bytes) / 1e8, Streams::bytes_per_record, 0.001);
  EXPECT_NEAR(Streams::bytes_per_record, 34.375, 1e-9);
}

TEST(ExpiryStreams, PagesMadeReadyAreThereBeforeTheFirstRecord) {
  const auto resident = [](const ArenaPiece& piece) {
    std::vector<unsigned char> pages(piece.size() / 4096);
    EXPECT_EQ(mincore(piece.data(), piece.size(), pages.data()), 0);
    return std::count_if(pages.begin(), pages.end(), [](auto p) { return (p & 1) != 0; });
  };
  Fixture f(1'000'000, {60000}, 0);
  EXPECT_EQ(resident(f.memory), 0);
  f.streams.make_ready(500'000);
  const auto half = static_cast<std::ptrdiff_t>(500'000 * Streams::bytes_per_record / 4096);
  EXPECT_GE(resident(f.memory), half - 2);
  for (std::uint32_t i = 0; i < 400'000; ++i) ASSERT_NE(f.add(0, i), Streams::none);
  EXPECT_EQ(f.expired(60000).size(), 400'000U);
  Fixture all(1000, {60000}, 0);
  all.streams.make_ready(5000); // more than there are
  EXPECT_EQ(resident(all.memory), static_cast<std::ptrdiff_t>(all.memory.size() / 4096));
}

TEST(ExpiryStreams, ExpiresInOrderAtItsTimeAndNotBefore) {
  for (const Tick start : {0U, 0xffff'fff0U, 0x7fff'fff0U}) {
    Fixture f(1000, {60000}, start);
    for (std::uint32_t i = 0; i < 1000; ++i) ASSERT_NE(f.add(start + i / 3, i), Streams::none);
    EXPECT_EQ(f.streams.append(start + 334), Streams::none) << "above the limit";
    EXPECT_EQ(f.streams.next_deadline(), start + 60000);
    EXPECT_EQ(f.expired(start + 59999), Ids{});
    EXPECT_EQ(f.expired(start + 60000), (Ids{0, 1, 2}));
    EXPECT_EQ(f.streams.next_deadline(), start + 60001);
    const auto rest = f.expired(start + 90000); // 30 s late
    ASSERT_EQ(rest.size(), 997U);
    EXPECT_TRUE(std::is_sorted(rest.begin(), rest.end()));
    EXPECT_EQ(f.streams.size(), 0U);
    EXPECT_EQ(f.streams.next_deadline(), std::nullopt);
  }
}

TEST(ExpiryStreams, WorkIsBoundedAndCarriedOver) {
  Fixture f(1000, {1000}, 0);
  for (std::uint32_t i = 0; i < 1000; ++i) ASSERT_NE(f.add(0, i), Streams::none);
  for (std::uint32_t i = 0; i < 1000; i += 100) {
    const auto ids = f.expired(5000, 100);
    ASSERT_EQ(ids.size(), 100U);
    EXPECT_EQ(ids.front(), i);
  }
}

TEST(ExpiryStreams, OneQueueFarBehindDoesNotStarveTheOther) {
  Fixture f(1000, {1000, 2000}, 0);
  for (std::uint32_t i = 0; i < 900; ++i) ASSERT_NE(f.add(0, i, 0), Streams::none);
  for (std::uint32_t i = 900; i < 910; ++i) ASSERT_NE(f.add(0, i, 1), Streams::none);
  auto ids = f.expired(5000, 50);
  const auto more = f.expired(5000, 50);
  ids.insert(ids.end(), more.begin(), more.end());
  EXPECT_NE(std::find(ids.begin(), ids.end(), 900U), ids.end());
}

TEST(ExpiryStreams, RestartMovesToTheTail) {
  Fixture f(10, {1000}, 0);
  const auto a = f.add(0, 1);
  ASSERT_NE(f.add(1, 2), Streams::none);
  const auto moved = f.streams.restart(500, a);
  ASSERT_NE(moved, Streams::none);
  EXPECT_NE(moved, a);
  EXPECT_FALSE(f.streams.live(a));
  EXPECT_EQ(f.streams.at(moved).id, 1U);
  EXPECT_EQ(f.streams.since(moved), 500U);
  EXPECT_EQ(f.expired(1400), Ids{2});
  EXPECT_EQ(f.expired(1500), Ids{1});
}

TEST(ExpiryStreams, RestartAtTheLimitNeedsNoRoom) {
  Fixture f(64, {1000}, 0);
  std::vector<std::uint32_t> index;
  for (std::uint32_t i = 0; i < 64; ++i) index.push_back(f.add(0, i));
  for (int round = 0; round < 1000; ++round)
    for (auto& i : index) {
      i = f.streams.restart(static_cast<Tick>(round), i);
      ASSERT_NE(i, Streams::none);
    }
  EXPECT_EQ(f.streams.size(), 64U);
}

TEST(ExpiryStreams, ChunkIsUsedAgainWhenAllItsSlotsAreDead) {
  Fixture f(64, {60000}, 0);
  for (std::uint32_t round = 0; round < 10000;
       ++round) { // each dies early: nothing ever expires, nothing runs out
    const auto i = f.add(round, round);
    ASSERT_NE(i, Streams::none);
    f.streams.kill(i);
  }
  EXPECT_EQ(f.streams.size(), 0U);
}

TEST(ExpiryStreams, OneRecordAMinuteNeedsNoMoreMemoryThanMany) {
  Fixture f(64, {240'000}, 0);
  for (std::uint32_t i = 0; i < 10000; ++i) {
    const Tick now = i * 3750; // 64 alive in 240 s
    f.expired(now);
    ASSERT_NE(f.add(now, i), Streams::none) << i;
  }
}

TEST(ExpiryStreams, HolesThatHoldTheMemoryAreMendedByEviction) {
  Fixture f(640, {60000}, 0);
  unsigned evicted = 0;
  for (std::uint32_t i = 0; i < 100000; ++i) { // of 64 one stays: chunks are held by one record each
    auto index = f.add(i / 100, i);
    while (index == Streams::none) {
      ASSERT_EQ(f.evicted(1).size(), 1U);
      ++evicted;
      index = f.add(i / 100, i);
    }
    if (i % 64 != 0) f.streams.kill(index);
  }
  EXPECT_GT(evicted, 0U);
  EXPECT_GE(f.streams.size(), 10U);
}

TEST(ExpiryStreams, EvictsTheOldestOfAllQueues) {
  Fixture f(10, {1000, 60000, 5000}, 0);
  ASSERT_NE(f.add(1, 1, 1), Streams::none);
  ASSERT_NE(f.add(2, 2, 0), Streams::none);
  ASSERT_NE(f.add(3, 3, 2), Streams::none);
  ASSERT_NE(f.add(4, 4, 1), Streams::none);
  ASSERT_NE(f.add(5, 5, 0), Streams::none);
  EXPECT_EQ(f.evicted(1), Ids{1});
  EXPECT_EQ(f.evicted(3), (Ids{2, 3, 4}));
  EXPECT_EQ(f.evicted(9), Ids{5});
  EXPECT_EQ(f.evicted(1), Ids{});
}

// What comes soon is known while nothing died early: within a chunk, over its end, and along reused chunks.
TEST(ExpiryStreams, WhoCameBehindIsSeenAheadOfItsEviction) {
  Fixture f(1000, {60000, 2000}, 0);
  for (std::uint32_t i = 0; i < 1000; ++i) ASSERT_NE(f.add(i, i), Streams::none);
  for (std::uint32_t i = 1000; i < 5000; ++i) {
    f.streams.evict_oldest(1, [&](std::uint32_t index, Record& r) {
      EXPECT_EQ(r.id, i - 1000);
      for (const std::uint32_t n : {1U, 16U, 32U, 64U}) EXPECT_EQ(f.streams.behind(index, n).id, r.id + n);
    });
    ASSERT_NE(f.add(i, i), Streams::none);
  }
  Ids last = f.evicted(999);
  EXPECT_EQ(last.back(), 4998U);
  f.streams.evict_oldest(1, [&](std::uint32_t index, Record&) { // nobody is behind it: whatever lies there
    EXPECT_LT(&f.streams.behind(index, 64) - &f.streams.peek(0), f.streams.index_end());
  });
}

TEST(ExpiryStreams, LongPauseExpiresAllAndAStepBackNothing) {
  Fixture f(10, {60000}, 1000);
  ASSERT_NE(f.add(1000, 1), Streams::none);
  EXPECT_EQ(f.expired(990), Ids{});
  ASSERT_NE(f.add(995, 2), Streams::none);
  EXPECT_EQ(f.expired(1000U + 0xc000'0000U), (Ids{1, 2}));
}

// Whoever took his `now` a little before the last one: his record's time begins with the last one's.
TEST(ExpiryStreams, ARecordThatComesWithAnEarlierTimeExpiresWithTheOneBeforeIt) {
  Fixture f(200, {60000}, 1000);
  ASSERT_NE(f.add(1000, 1), Streams::none);
  const std::uint32_t late = f.add(995, 2);
  ASSERT_NE(late, Streams::none);
  EXPECT_EQ(f.streams.since(late), 1000U);
  EXPECT_EQ(f.streams.next_deadline(), 61000U);
  EXPECT_EQ(f.expired(60999), Ids{});
  EXPECT_EQ(f.expired(61000), (Ids{1, 2}));
}

// What a flow table would do, in two steps.
struct Staged {
  unsigned ahead = 0;
  unsigned expired_count = 0;
  std::uint32_t kept[Streams::ahead] = {};
  void prefetch(unsigned lane, std::uint32_t index, Record& r) {
    ASSERT_LT(lane, Streams::ahead);
    kept[lane] = r.id ^ index;
    ++ahead;
  }
  void expired(unsigned lane, std::uint32_t index, Record& r) {
    ASSERT_EQ(kept[lane], r.id ^ index);
    ++expired_count;
  }
};

TEST(ExpiryStreams, RecordsArePrefetchedBeforeTheyAreExpired) {
  Fixture f(1000, {10}, 0);
  for (std::uint32_t i = 0; i < 1000; ++i) ASSERT_NE(f.add(0, i), Streams::none);
  Staged staged;
  EXPECT_EQ(f.streams.expire(10, 1U << 30, staged), 1000U);
  EXPECT_EQ(staged.ahead, 1000U);
  EXPECT_EQ(staged.expired_count, 1000U);
}

TEST(ExpiryStreams, CallbackMayKillAndAppend) {
  Fixture f(64, {10}, 0);
  std::vector<std::uint32_t> index;
  for (std::uint32_t i = 0; i < 64; ++i) index.push_back(f.add(0, i));
  Ids ids;
  std::uint32_t fresh = 1000;
  f.streams.expire(10, 1U << 30, [&](std::uint32_t, Record& r) {
    ids.push_back(r.id);
    ASSERT_LT(r.id, 64U) << "one appended by the callback expired at once";
    if (r.id == 0)
      for (std::uint32_t i = 1; i < 64; i += 2) f.streams.kill(index[i]);
    if (r.id == 2)
      for (std::uint32_t i = 4; i < 64; i += 2) f.streams.kill(index[i]); // the whole chunk is dead now
    ASSERT_NE(f.add(10, fresh++), Streams::none);
  });
  EXPECT_EQ(ids, (Ids{0, 2}));
  EXPECT_EQ(f.expired(20), (Ids{1000, 1001}));
}

TEST(ExpiryStreams, ChunkBeingExpiredIsNotFilledAnewByTheCallback) {
  Fixture f(64, {10}, 0);
  std::vector<std::uint32_t> index;
  for (std::uint32_t i = 0; i < 64; ++i) index.push_back(f.add(0, i));
  Ids ids;
  f.streams.expire(10, 1U << 30, [&](std::uint32_t, Record& r) {
    ids.push_back(r.id);
    for (std::uint32_t i = 1; i < 64; ++i)
      if (r.id == 0) f.streams.kill(index[i]); // the only chunk is full, dead, and in the callback's hands
    for (std::uint32_t i = 0; i < 40; ++i) ASSERT_NE(f.add(10, 1000 + i), Streams::none);
  });
  EXPECT_EQ(ids, Ids{0});
  EXPECT_EQ(f.expired(20).size(), 40U);
}

// Against lists of (id, since), one a queue.
void random_walk(std::uint32_t seed) {
  std::mt19937 rng(seed);
  const auto below = [&](std::uint32_t k) { return static_cast<std::uint32_t>(rng() % k); };
  const std::vector<Tick> lifetimes{700, 60000, 200'000};
  Tick now = 0U - 100'000U;
  const std::uint32_t limit = 50 + below(3000);
  Fixture f(limit, lifetimes, now);
  struct Item {
    std::uint32_t id;
    Tick since;
  };
  std::list<Item> model[3];
  std::map<std::uint32_t, std::uint32_t> index_of; // by id
  std::uint32_t next_id = 0;
  const auto gone = [&](unsigned q, std::uint32_t id) {
    index_of.erase(id);
    model[q].remove_if([&](const Item& i) { return i.id == id; });
  };
  const auto queue_of = [&](std::uint32_t id) {
    for (unsigned q = 0; q < 3; ++q)
      for (const Item& i : model[q])
        if (i.id == id) return q;
    return 3U;
  };
  const auto pick = [&] {
    return std::next(index_of.begin(), below(static_cast<std::uint32_t>(index_of.size())));
  };
  for (int step = 0; step < 3000; ++step) {
    now += below(100) == 0 ? below(100'000) : below(30);
    for (std::uint32_t k = below(8); k > 0; --k) {
      const unsigned q = below(3);
      const auto index = f.add(now, next_id, q);
      if (index == Streams::none) { // at the limit or no chunk left: the oldest goes
        const auto ids = f.evicted(1);
        ASSERT_EQ(ids.size(), 1U);
        const unsigned from = queue_of(ids[0]);
        ASSERT_EQ(model[from].front().id, ids[0]);
        for (const auto& m : model)
          ASSERT_TRUE(m.empty() || ticks_between(m.front().since, model[from].front().since) <= 0);
        gone(from, ids[0]);
        continue;
      }
      ASSERT_EQ(f.streams.since(index), now);
      model[q].push_back({next_id, now});
      index_of[next_id++] = index;
    }
    if (below(3) == 0 && !index_of.empty()) {
      const auto it = pick();
      f.streams.kill(it->second);
      gone(queue_of(it->first), it->first);
    }
    if (below(3) == 0 && !index_of.empty()) {
      const auto [id, index] = *pick();
      const auto moved = f.streams.restart(now, index);
      if (moved != Streams::none) {
        const unsigned q = queue_of(id);
        gone(q, id);
        model[q].push_back({id, now});
        index_of[id] = moved;
      }
    }
    const unsigned work = below(40);
    const unsigned did = f.streams.expire(now, work, [&](std::uint32_t index, Record& r) {
      const unsigned q = queue_of(r.id);
      ASSERT_LT(q, 3U);
      ASSERT_EQ(model[q].front().id, r.id) << "out of order";
      ASSERT_GE(now - model[q].front().since, lifetimes[q]) << "early";
      ASSERT_EQ(index_of[r.id], index);
      gone(q, r.id);
    });
    ASSERT_LE(did, work);
    for (unsigned q = 0; q < 3 && did < work; ++q) {
      ASSERT_TRUE(model[q].empty() || now - model[q].front().since < lifetimes[q]) << "late";
    }
    ASSERT_EQ(f.streams.size(), index_of.size());
    std::optional<Tick> first;
    for (unsigned q = 0; q < 3; ++q)
      if (!model[q].empty()) {
        Tick at = model[q].front().since + lifetimes[q];
        if (ticks_between(now, at) < 0) at = now;
        if (!first || ticks_between(*first, at) < 0) first = at;
      }
    ASSERT_EQ(f.streams.next_deadline(), first);
    if (step % 64 == 0) {
      std::size_t seen = 0;
      f.streams.for_each(
          [&](std::uint32_t index, const Record& r) { seen += index_of.at(r.id) == index ? 1 : 0; });
      ASSERT_EQ(seen, index_of.size());
      for (const auto& [id, index] : index_of) ASSERT_EQ(f.streams.at(index).id, id);
    }
  }
}

TEST(ExpiryStreams, RandomWalkAgreesWithLists) {
  for (std::uint32_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(seed);
    random_walk(seed);
    if (HasFatalFailure()) return;
  }
}

} // namespace expiry_stream_test
} // namespace tern
