#include "flow/timer_wheel.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <new>
#include <random>
#include <vector>

#include "flow/arena.hpp"

namespace tern {
namespace timer_wheel_test {

struct Entry {
  TimerHook hook;
  Tick due = 0;
  std::uint32_t id = 0;
};
using Wheel = TimerWheel<MemberTimer<Entry, &Entry::hook, &Entry::due>>;

// A wheel and its records, in the arena.
struct Bench {
  Bench(std::uint32_t n, Tick now)
      : heads(process_arena().take({"wheel", 1, sizeof(Wheel::Heads)})),
        memory(process_arena().take({"timers", n, sizeof(Entry)})),
        entries(static_cast<Entry*>(memory.data())),
        wheel(static_cast<Wheel::Heads*>(heads.data()), now) {
    for (std::uint32_t i = 0; i < n; ++i) ::new (entries + i) Entry{{}, 0, i};
  }
  Entry& operator[](std::uint32_t i) { return entries[i]; }
  // Everything that fires at `now`, in order.
  std::vector<std::uint32_t> fired(Tick now, unsigned work = 1U << 30) {
    std::vector<std::uint32_t> ids;
    wheel.poll(
        now, [&](Entry& e) { ids.push_back(e.id); }, work);
    return ids;
  }

  ArenaPiece heads;
  ArenaPiece memory;
  Entry* entries;
  Wheel wheel;
};

using Ids = std::vector<std::uint32_t>;

TEST(TimerWheel, FiresAtItsTickAndNotBefore) {
  for (const Tick start : {0U, 250U, 0xffff'ff80U, 0x7fff'ffffU, 0xffff'ffffU})
    for (const Tick delay :
         {1U, 2U, 255U, 256U, 257U, 511U, 65535U, 65536U, 70000U, 16777215U, 16777216U, 1U << 30}) {
      Bench b(1, start);
      b.wheel.arm(b[0], start + delay);
      EXPECT_TRUE(b.wheel.validate());
      EXPECT_EQ(b.fired(start + delay - 1), Ids{}) << start << ' ' << delay;
      EXPECT_TRUE(b.wheel.armed(b[0]));
      EXPECT_TRUE(b.wheel.validate());
      EXPECT_EQ(b.fired(start + delay), Ids{0}) << start << ' ' << delay;
      EXPECT_FALSE(b.wheel.armed(b[0]));
      EXPECT_EQ(b.wheel.size(), 0U);
    }
}

TEST(TimerWheel, EveryTickPolledFiresExactlyOnTime) {
  Bench b(3, 0xffff'0000U); // wraps on the way
  b.wheel.arm(b[0], 0xffff'0000U + 300);
  b.wheel.arm(b[1], 0xffff'0000U + 65536 + 300);
  b.wheel.arm(b[2], 0xffff'0000U + 2 * 65536 + 7);
  std::map<Tick, std::uint32_t> when;
  for (Tick i = 1; i < 3 * 65536; ++i)
    for (const auto id : b.fired(0xffff'0000U + i)) when[i] = id;
  EXPECT_EQ(when, (std::map<Tick, std::uint32_t>{{300, 0}, {65836, 1}, {131079, 2}}));
}

TEST(TimerWheel, PastAndZeroDeadlinesFireAtTheNextTick) {
  Bench b(3, 1000);
  b.wheel.arm(b[0], 1000);
  b.wheel.arm(b[1], 0);
  b.wheel.arm(b[2], 1000U - (1U << 30));
  EXPECT_EQ(b.fired(1000), Ids{});
  EXPECT_EQ(b.fired(1001), (Ids{0, 1, 2}));
}

TEST(TimerWheel, LaterMovesNoNodeAndStillFiresOnTime) {
  Bench b(2, 0);
  b.wheel.arm(b[0], 10);
  b.wheel.arm(b[1], 10);
  const auto next = b[0].hook.next;
  b.wheel.arm(b[0], 500);
  EXPECT_EQ(b[0].hook.next, next);
  EXPECT_EQ(b.fired(499), Ids{1});
  EXPECT_EQ(b.fired(500), Ids{0});
}

TEST(TimerWheel, EarlierMovesTheNode) {
  Bench b(1, 0);
  b.wheel.arm(b[0], 100000);
  b.wheel.arm(b[0], 7);
  EXPECT_EQ(b.wheel.size(), 1U);
  EXPECT_EQ(b.fired(6), Ids{});
  EXPECT_EQ(b.fired(7), Ids{0});
}

TEST(TimerWheel, CancelInsideTheCallbackKeepsTheOthersGoing) {
  Bench b(4, 0);
  for (std::uint32_t i = 0; i < 4; ++i) b.wheel.arm(b[i], 5);
  Ids ids;
  b.wheel.poll(5, [&](Entry& e) {
    ids.push_back(e.id);
    if (e.id == 0) b.wheel.cancel(b[1]), b.wheel.cancel(b[3]); // the next one and the last one
    b.wheel.cancel(e);                                         // of itself: nothing
  });
  EXPECT_EQ(ids, (Ids{0, 2}));
  EXPECT_EQ(b.wheel.size(), 0U);
  EXPECT_TRUE(b.wheel.validate());
}

TEST(TimerWheel, ReArmInsideTheCallbackWaitsForTheNextTick) {
  Bench b(2, 0);
  b.wheel.arm(b[0], 5);
  b.wheel.arm(b[1], 5);
  unsigned calls = 0;
  const auto again = [&](Entry& e) {
    ++calls;
    b.wheel.arm(e, 5); // past already
  };
  b.wheel.poll(5, again);
  EXPECT_EQ(calls, 2U);
  b.wheel.poll(5, again);
  EXPECT_EQ(calls, 2U);
  b.wheel.poll(6, again);
  EXPECT_EQ(calls, 4U);
}

TEST(TimerWheel, RecordMayBeReusedInsideTheCallback) {
  Bench b(2, 0);
  b.wheel.arm(b[0], 5);
  b.wheel.arm(b[1], 6);
  b.wheel.poll(8, [&](Entry& e) {
    std::destroy_at(&e);
    ::new (&e) Entry{{}, 0xdead'beef, 77};
  });
  EXPECT_EQ(b[0].id, 77U);
  EXPECT_EQ(b[1].id, 77U);
  EXPECT_TRUE(b.wheel.validate());
}

TEST(TimerWheel, WorkIsBoundedAndCarriedOver) {
  constexpr std::uint32_t n = 100000;
  Bench b(n, 0);
  for (std::uint32_t i = 0; i < n; ++i)
    b.wheel.arm(b[i], i % 2 == 0 ? 300 : 900); // one tick each; both from level 1
  std::uint32_t fired = 0;
  std::uint32_t busy = 0; // polls that had work: each record is placed anew once, at most, and fired once
  for (std::uint32_t polls = 0; fired < n; ++polls) {
    const Tick now = 250 + polls / 8;
    const unsigned work = b.wheel.poll(now, [&](Entry& e) {
      ++fired;
      EXPECT_LE(ticks_between(now, e.due), 0);
    });
    ASSERT_LE(work, Wheel::default_work);
    busy += work > 0 ? 1 : 0;
    ASSERT_LT(polls, 100000U);
  }
  EXPECT_LE(busy, 2 * n / (Wheel::default_work * 3 / 4));
  EXPECT_FALSE(b.wheel.backlog());
}

TEST(TimerWheel, DueBacklogDoesNotStarveThePlacingAnew) {
  Bench b(2001, 0);
  for (std::uint32_t i = 0; i < 2000; ++i) b.wheel.arm(b[i], 255);
  b.wheel.arm(b[2000], 256);
  // 2,000 at 100 a poll: 75 of them at least each time, and the one from level 1 in the first.
  const auto first = b.fired(256, 100);
  EXPECT_EQ(first.size(), 100U);
  EXPECT_NE(std::find(first.begin(), first.end(), 2000U), first.end());
}

TEST(TimerWheel, ClockJumpOf30SecondsFiresWhatIsDueOnly) {
  Bench b(64, 12345);
  for (std::uint32_t i = 0; i < 64; ++i) b.wheel.arm(b[i], 12345 + 1 + i * 1000);
  auto ids = b.fired(12345 + 30000);
  std::sort(ids.begin(), ids.end());
  ASSERT_EQ(ids.size(), 30U);
  EXPECT_EQ(ids.back(), 29U);
  EXPECT_TRUE(b.wheel.validate());
  EXPECT_EQ(b.fired(12345 + 30001), Ids{30});
}

TEST(TimerWheel, PauseOfHalfTheClockAndMoreFiresAllThatIsArmed) {
  for (const Tick pause : {0x7fff'ffffU, 0x8000'0000U, 0xfffe'0000U}) {
    Bench b(3, 0x100'0000);
    b.wheel.arm(b[0], 0x100'0000 + 5);
    b.wheel.arm(b[1], 0x100'0000 + 100000);
    b.wheel.arm(b[2], 0x100'0000 + (1U << 30));
    EXPECT_EQ(b.fired(0x100'0000 + pause).size(), 3U) << pause;
    b.wheel.arm(b[0], 0x100'0000 + pause + 9);
    EXPECT_EQ(b.fired(0x100'0000 + pause + 8), Ids{});
    EXPECT_EQ(b.fired(0x100'0000 + pause + 9), Ids{0});
  }
}

// However little a poll may do, and wherever the records wait by then: what such a pause has made due fires in the
// polls that follow it, at the same tick.
TEST(TimerWheel, WhatAPauseOfHalfTheClockMadeDueIsCarriedOver) {
  constexpr Tick start = 0x100'0000;
  Bench b(300, start);
  for (std::uint32_t i = 0; i < 300; ++i) b.wheel.arm(b[i], start + 1000 + 300 * i);
  EXPECT_EQ(b.fired(start + 99'000, 0), Ids{}); // no work: they wait to be placed anew
  ASSERT_TRUE(b.wheel.backlog());
  const Tick woken = start + 99'000 + 0x9000'0000U;
  std::vector<bool> fired(300);
  for (unsigned polls = 0; polls < 30; ++polls)
    for (const std::uint32_t id : b.fired(woken, 20)) fired[id] = true;
  EXPECT_EQ(std::count(fired.begin(), fired.end(), true), 300);
  EXPECT_EQ(b.wheel.size(), 0U);
  EXPECT_TRUE(b.wheel.validate());
}

// A slot a whole round away: the one that the clock stands in.
TEST(TimerWheel, NextDeadlineSeesTheSlotAWholeRoundAway) {
  for (const Tick start : {255U, 0xffffU, 0x1234'ffffU, 0xffff'ffffU})
    for (const Tick away : {65'535U, 16'777'215U, 1U << 30}) {
      Bench b(1, start);
      b.wheel.arm(b[0], start + away);
      const auto next = b.wheel.next_deadline();
      ASSERT_TRUE(next);
      EXPECT_GT(ticks_between(start, *next), 0) << start << ' ' << away;
      EXPECT_LE(ticks_between(*next, start + away), static_cast<std::int32_t>(away)) << start << ' ' << away;
      EXPECT_GE(ticks_between(*next, start + away), 0) << start << ' ' << away;
    }
}

// 50 days, a minute at a time: the clock comes round on the way, and whatever was armed for a minute, an hour, a day and
// 12 days fires at its time, each time.
TEST(TimerWheel, KeepsTimeWhenTheClockComesRoundAfter49Days) {
  constexpr std::array<Tick, 4> every{60'000, 3'600'000, 86'400'000, 12 * 86'400'000U};
  const Tick start = 0xffff'ffffU - 86'400'000 * 2;
  Bench b(every.size(), start);
  std::array<Tick, every.size()> due{};
  std::array<unsigned, every.size()> fired{};
  for (std::uint32_t i = 0; i < every.size(); ++i) b.wheel.arm(b[i], due[i] = start + every[i]);
  constexpr std::uint64_t end = 50ULL * 86'400'000;
  for (std::uint64_t passed = 60'000; passed <= end; passed += 60'000) {
    const Tick now = start + static_cast<Tick>(passed);
    for (const auto id : b.fired(now - 1)) FAIL() << id << " is early";
    for (const auto id : b.fired(now)) {
      ASSERT_EQ(due[id], now) << id;
      ++fired[id];
      b.wheel.arm(b[id], due[id] = now + every[id]);
    }
  }
  for (std::size_t i = 0; i < every.size(); ++i) EXPECT_EQ(fired[i], end / every[i]) << i;
  EXPECT_TRUE(b.wheel.validate());
}

// Due on this side of the wrap, polled on the other.
TEST(TimerWheel, JumpOverTheWrapFiresWhatWasDueBeforeIt) {
  Bench b(3, 0xffff'f000U);
  b.wheel.arm(b[0], 0xffff'fffaU);
  b.wheel.arm(b[1], 10);
  b.wheel.arm(b[2], 40'000);
  EXPECT_EQ(b.fired(30'000).size(), 2U);
  EXPECT_EQ(b.fired(39'999), Ids{});
  EXPECT_EQ(b.fired(40'000), Ids{2});
  EXPECT_TRUE(b.wheel.validate());
}

// The clock comes round: one step for each level, as any other. What is due in a minute, a day, 12 days stays where it is.
TEST(TimerWheel, StepOverTheWrapTouchesNothingThatIsFarAway) {
  Bench b(300, 0xffff'ffffU);
  constexpr std::array<Tick, 3> away{100'000, 86'400'000, 12 * 86'400'000U};
  for (std::uint32_t i = 0; i < 300; ++i) b.wheel.arm(b[i], 0xffff'ffffU + away[i % 3]);
  EXPECT_EQ(b.fired(0, 0), Ids{});
  EXPECT_FALSE(b.wheel.backlog()); // nothing waits to be placed anew
  EXPECT_EQ(b.fired(99'998), Ids{});
  EXPECT_EQ(b.fired(99'999).size(), 100U);
}

TEST(TimerWheel, ClockThatStepsBackALittleMovesNothing) {
  Bench b(1, 1000);
  b.wheel.arm(b[0], 1100);
  EXPECT_EQ(b.fired(999), Ids{});
  EXPECT_EQ(b.wheel.now(), 1000U);
  EXPECT_EQ(b.fired(1099), Ids{});
  EXPECT_EQ(b.fired(1100), Ids{0});
}

TEST(TimerWheel, NextDeadlineIsALowerBoundThatComesNearer) {
  Bench b(2, 77);
  EXPECT_EQ(b.wheel.next_deadline(), std::nullopt);
  b.wheel.arm(b[0], 77 + 200);
  EXPECT_EQ(b.wheel.next_deadline(), 277U);
  b.wheel.cancel(b[0]);
  b.wheel.arm(b[0], 5'000'000);
  unsigned wakes = 0;
  for (bool done = false; !done; ++wakes) {
    const auto next = b.wheel.next_deadline();
    ASSERT_TRUE(next.has_value());
    ASSERT_LE(*next, 5'000'000U);
    ASSERT_GT(ticks_between(b.wheel.now(), *next), 0);
    done = b.fired(*next) == Ids{0};
  }
  EXPECT_LE(wakes, Wheel::levels);
  EXPECT_EQ(b.wheel.now(), 5'000'000U);
}

// Against a map of deadlines: armed, moved both ways, cancelled, from inside callbacks too, over jumps and
// the wrap.
void random_walk(std::uint32_t seed, unsigned work) {
  constexpr std::uint32_t n = 2000;
  std::mt19937 rng(seed);
  const auto below = [&](std::uint32_t k) { return static_cast<std::uint32_t>(rng() % k); };
  Tick now = 0U - 40'000'000U + below(1000);
  Bench b(n, now);
  std::map<std::uint32_t, Tick> model; // by id, when it may fire at the earliest
  const auto a_delay = [&]() -> Tick {
    return below(8) == 0 ? 0U - below(5000) : below(1U << (1 + below(25)));
  };
  const auto arm = [&](std::uint32_t id) {
    const Tick due = now + a_delay();
    const bool later = b.wheel.armed(b[id]) && ticks_between(b[id].due, due) >= 0;
    b.wheel.arm(b[id], due);
    Tick at = ticks_between(b.wheel.now(), due) > 0 ? due : b.wheel.now() + 1;
    if (later) at = ticks_between(model[id], due) > 0 ? due : model[id]; // the node has not moved
    model[id] = at;
  };
  const auto cancel = [&](std::uint32_t id) {
    b.wheel.cancel(b[id]);
    model.erase(id);
  };
  for (int step = 0; step < 4000; ++step) {
    for (std::uint32_t k = below(20); k > 0; --k) below(4) == 0 ? cancel(below(n)) : arm(below(n));
    now += below(50) == 0 ? below(1U << below(24)) : below(40);
    const auto next = b.wheel.next_deadline();
    ASSERT_EQ(next.has_value(), !model.empty());
    Ids again;
    unsigned fired = 0;
    const auto check = [&](Entry& e) {
      ++fired;
      const auto it = model.find(e.id);
      ASSERT_NE(it, model.end()) << "fired though not armed";
      ASSERT_LE(ticks_between(now, it->second), 0) << "early";
      ASSERT_LE(ticks_between(now, *next), 0) << "before next_deadline()";
      model.erase(it);
      if (below(4) == 0) arm(e.id), again.push_back(e.id);
      if (below(4) == 0) cancel(below(n));
      if (below(4) == 0) arm(below(n));
    };
    const unsigned did = b.wheel.poll(now, check, work);
    ASSERT_LE(did, work);
    ASSERT_LE(fired, did);
    ASSERT_EQ(b.wheel.size(), model.size());
    // What is due has fired; what was past when it was armed waits for the next tick.
    if (!b.wheel.backlog()) {
      for (const auto& [id, due] : model) ASSERT_GT(ticks_between(now, due), 0) << "late";
    }
    ASSERT_TRUE(step % 16 != 0 || b.wheel.validate()) << "step " << step;
  }
  // Nothing is lost: all that is armed fires by the latest deadline.
  now += (1U << 26);
  for (unsigned polls = 0; !model.empty(); ++polls) {
    ASSERT_LT(polls, 2 * n);
    b.wheel.poll(
        now, [&](Entry& e) { ASSERT_EQ(model.erase(e.id), 1U); }, work);
  }
  EXPECT_EQ(b.wheel.size(), 0U);
}

TEST(TimerWheel, RandomWalkAgreesWithAMap) {
  for (std::uint32_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(seed);
    random_walk(seed, 1U << 30);
    if (HasFatalFailure()) return;
  }
}

TEST(TimerWheel, RandomWalkWithLittleWorkAPollAgreesWithAMap) {
  for (std::uint32_t seed = 11; seed <= 14; ++seed) {
    SCOPED_TRACE(seed);
    random_walk(seed, 7);
    if (HasFatalFailure()) return;
  }
}

} // namespace timer_wheel_test
} // namespace tern
