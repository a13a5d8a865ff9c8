#include "sim/link.hpp"

#include <gtest/gtest.h>

#include "frames.hpp"

namespace tern::sim {
namespace link_test {

constexpr Instant start = Instant{} + Duration::seconds(1);

int losses(const LinkSettings& s, int packets, Drop kind) {
  Link link{s, Random{5}};
  int n = 0;
  for (int i = 0; i < packets; ++i) n += link.plan(100, {}, start + Duration::us(i)).drop == kind;
  return n;
}

TEST(Link, DelayIsAddedToTheTimeOnTheLine) {
  LinkSettings s;
  s.delay = Duration::ms(10);
  s.bits_per_second = 8'000'000; // a byte a microsecond
  Link link{s, Random{1}};
  EXPECT_EQ(link.plan(1000, {}, start).arrive[0], start + Duration::ms(11));
  // The second waits until the first has left.
  EXPECT_EQ(link.plan(1000, {}, start).arrive[0], start + Duration::ms(12));
}

TEST(Link, QueueDropsFromTheTailAndDrains) {
  LinkSettings s;
  s.bits_per_second = 8'000'000;
  s.queue_packets = 3;
  Link link{s, Random{1}};
  for (int i = 0; i < 3; ++i) EXPECT_EQ(link.plan(1000, {}, start).drop, Drop::none);
  EXPECT_EQ(link.plan(1000, {}, start).drop, Drop::queue_full);
  EXPECT_EQ(link.plan(1000, {}, start + Duration::ms(1)).drop, Drop::none);
}

TEST(Link, RandomLossMeetsItsRate) {
  LinkSettings s;
  s.loss = 0.02;
  EXPECT_NEAR(losses(s, 100'000, Drop::loss), 2000, 200);
}

TEST(Link, BurstLossMeetsItsRateAndComesInRuns) {
  LinkSettings s;
  s.burst = {0.01, 0.25, 1.0};
  Link link{s, Random{5}};
  int lost = 0;
  int runs = 0;
  bool before = false;
  for (int i = 0; i < 100'000; ++i) {
    const bool now = link.plan(100, {}, start).drop == Drop::burst_loss;
    lost += now;
    runs += now && !before;
    before = now;
  }
  // The chain is in its bad state p/(p+r) of the time, for 1/r packets at once.
  EXPECT_NEAR(lost, 100'000 * 0.01 / 0.26, 400);
  EXPECT_NEAR(static_cast<double>(lost) / runs, 4.0, 0.4);
}

TEST(Link, JitterKeepsOrderReorderingDoesNot) {
  LinkSettings s;
  s.jitter = Duration::ms(3);
  Link steady{s, Random{1}};
  s.reorder = 0.1;
  Link unsteady{s, Random{1}};
  Instant last_steady;
  Instant last_unsteady;
  int passed = 0;
  for (int i = 0; i < 1000; ++i) {
    const Instant at = start + Duration::us(100 * i);
    const Instant a = steady.plan(100, {}, at).arrive[0];
    const Instant b = unsteady.plan(100, {}, at).arrive[0];
    EXPECT_GE(a, last_steady);
    EXPECT_LE(a, at + s.delay + s.jitter);
    passed += b < last_unsteady;
    last_steady = a;
    last_unsteady = b;
  }
  EXPECT_GT(passed, 50);
}

TEST(Link, DuplicatesAndDamagesAtTheirRates) {
  LinkSettings s;
  s.duplicate = 0.05;
  s.corrupt = 0.03;
  Link link{s, Random{9}};
  int twice = 0;
  int damaged = 0;
  for (int i = 0; i < 20'000; ++i) {
    const Link::Plan p = link.plan(100, {}, start);
    twice += p.copies == 2;
    damaged += p.corrupt[0];
  }
  EXPECT_NEAR(twice, 1000, 150);
  EXPECT_NEAR(damaged, 600, 120);
}

TEST(Link, EveryDamageIsSeenByAChecksum) {
  Link link{{}, Random{11}};
  const Frame good = test::segment(Ip4{10, 0, 0, 1}, Ip4{10, 0, 0, 2}, test::tcp(), 101);
  for (int i = 0; i < 20'000; ++i) {
    Frame bad = good;
    link.damage(bad);
    ASSERT_NE(bad, good);
    const auto ip = view_ip(bad);
    ASSERT_FALSE(ip && view_tcp(*ip)) << i;
  }
}

TEST(Link, TooBigIsDroppedAndPausedWaits) {
  LinkSettings s;
  s.mtu = 500;
  Link link{s, Random{1}};
  EXPECT_EQ(link.plan(501, {}, start).drop, Drop::too_big);
  link.pause(Duration::ms(100), start);
  EXPECT_EQ(link.plan(500, {}, start).arrive[0], start + Duration::ms(101));
}

TEST(Link, ScriptedFateWinsOverChance) {
  LinkSettings s;
  s.loss = 1;
  Link link{s, Random{1}};
  EXPECT_EQ(link.plan(100, {}, start).drop, Drop::loss);
  EXPECT_EQ(link.plan(100, {Fate::Kind::pass, {}}, start).drop, Drop::none);
  EXPECT_EQ(link.plan(100, {Fate::Kind::drop, {}}, start).drop, Drop::script);
  EXPECT_EQ(link.plan(100, {Fate::Kind::hold, Duration::ms(7)}, start).arrive[0], start + Duration::ms(8));
  const Link::Plan p = link.plan(100, {Fate::Kind::twice, Duration::ms(7)}, start);
  EXPECT_EQ(p.copies, 2);
  EXPECT_EQ(p.arrive[1], p.arrive[0] + Duration::ms(7));
}

} // namespace link_test
} // namespace tern::sim
