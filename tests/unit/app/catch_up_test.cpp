#include "app/client/catch_up.hpp"

#include "app/client/stalled.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <vector>

namespace tern::app {
namespace catch_up_test {

constexpr Duration step = Duration::us(10);

// A client that is to open `rate` a second on a path where a connection lives for `life` at least, and a machine that does
// `quick` connections a second while few are under way and `slow` once more than `fits` are.
struct Load {
  double rate;
  Duration life;
  double quick;
  double slow = quick;
  std::uint64_t fits = 1'000'000'000;
  bool bounded = true;

  CatchUp catch_up = CatchUp{1024};
  Instant now = Instant::at_ns(1'000'000'000);
  Instant due = now;
  std::deque<Instant> under_way{}; // when each was opened
  std::uint64_t opened = 0;
  Duration stall{};       // one in fifty waits so long for a packet that was lost
  bool told_apart = true; // and is not counted, once he has waited for 100 ms
  std::deque<Instant> stalled{};
  double work = 0; // connections that there was time for; half of it goes to the opening
  std::uint64_t most = 0;

  [[nodiscard]] std::uint64_t busy() const { return under_way.size() + stalled.size(); }
  [[nodiscard]] std::uint64_t through() const { return opened - busy(); }
  [[nodiscard]] std::uint64_t moving() const {
    const auto waits = [&](Instant since) { return now - since > Duration::ms(100); };
    return busy() - (told_apart
                         ? static_cast<std::uint64_t>(std::count_if(stalled.begin(), stalled.end(), waits))
                         : 0);
  }
  [[nodiscard]] bool late() const { return now - due > Duration::ms(1); }

  void play(Duration length, bool away = false) {
    for (const Instant end = now + length; now < end; now = now + step) {
      if (away) continue;
      work = std::min(work + (under_way.size() > fits ? slow : quick) * step.as_seconds(), 32.0);
      open();
      for (; work >= 0.5 && !under_way.empty() && now - under_way.front() >= life; work -= 0.5)
        under_way.pop_front();
      while (!stalled.empty() && now - stalled.front() >= stall) stalled.pop_front();
    }
  }
  void open() {
    for (int n = 32; n != 0 && due <= now && work >= 0.5; --n, work -= 0.5) {
      if (!late())
        catch_up.on_time(busy(), now);
      else if (bounded && !catch_up.room(moving(), through(), now))
        return;
      (stall > Duration{} && opened % 50 == 0 ? stalled : under_way).push_back(now);
      ++opened;
      most = std::max<std::uint64_t>(most, under_way.size());
      due = due + Duration::ns(static_cast<std::int64_t>(1e9 / rate));
    }
  }
  // Connections a second, from now on.
  double through_in(Duration length) {
    const std::uint64_t before = through();
    play(length);
    return static_cast<double>(through() - before) / length.as_seconds();
  }
};

Load cache_bound() {
  return {.rate = 800e3, .life = Duration::us(50), .quick = 1.5e6, .slow = 400e3, .fits = 4000};
}

TEST(CatchUp, APauseIsMadeUpAndTheRateHeldAgain) {
  Load run = cache_bound();
  run.play(Duration::ms(500));
  ASSERT_FALSE(run.late());
  run.play(Duration::ms(20), true);
  run.play(Duration::ms(500));
  EXPECT_FALSE(run.late());
  EXPECT_LE(run.most, run.fits);
  EXPECT_NEAR(static_cast<double>(run.opened), 1.02 * run.rate, 1000);
}

// Who waits for a retransmission takes no room.
TEST(CatchUp, ALossyPathDoesNotHoldLateOpensBack) {
  Load run{.rate = 100e3, .life = Duration::us(500), .quick = 1e6, .stall = Duration::seconds(1)};
  run.play(Duration::ms(500));
  ASSERT_FALSE(run.late());
  run.play(Duration::ms(20), true);
  run.play(Duration::ms(50));
  EXPECT_FALSE(run.late());
}

TEST(Stalled, AreThoseThatMadeNoStepForLong) {
  const Instant now = Instant::at_ns(10'000'000'000);
  for (const std::uint32_t all : {0U, 1U, 100U, 1024U, 5000U, 300'000U}) {
    std::vector<Visit> visits(all + 1);
    const Phase phases[] = {Phase::connecting, Phase::asking, Phase::closing,
                            Phase::waiting,    Phase::free,   Phase::hostile};
    std::uint32_t stalled = 0;
    std::uint32_t opening = 0;
    for (std::uint32_t i = 0; i < all; ++i) {
      visits[i].begin(now - Duration::ms(i % 3 == 0 ? 200 : 50));
      visits[i].phase = phases[i % 7 % 6];
      stalled += i % 3 == 0 && i % 7 % 6 < 3 ? 1 : 0;
      opening += i % 3 == 0 && i % 7 % 6 == 0 ? 1 : 0;
    }
    Stalled any(false);
    EXPECT_NEAR(static_cast<double>(any.count(visits.data(), all, now)), stalled,
                all <= Stalled::sample ? 0 : 0.15 * stalled)
        << all;
    Stalled opens(true); // of connections that are kept only those that open are under way
    EXPECT_NEAR(static_cast<double>(opens.count(visits.data(), all, now)), opening,
                all <= Stalled::sample ? 0 : 0.25 * opening)
        << all;
  }
}
TEST(Stalled, AreLookedAtAnewNowAndThen) {
  Instant now = Instant::at_ns(10'000'000'000);
  Visit v;
  v.begin(now);
  v.phase = Phase::asking;
  Stalled s(false);
  EXPECT_EQ(s.count(&v, 1, now + Duration::ms(99)), 0U);
  EXPECT_EQ(s.count(&v, 1, now + Duration::ms(105)), 0U);
  EXPECT_EQ(s.count(&v, 1, now + Duration::ms(110)), 1U);
}

TEST(CatchUp, WithoutItTheRateIsNeverReachedAgain) {
  Load run = cache_bound();
  run.bounded = false;
  run.play(Duration::ms(500));
  ASSERT_FALSE(run.late());
  run.play(Duration::ms(20), true);
  run.play(Duration::seconds(2));
  EXPECT_TRUE(run.late());
  EXPECT_LT(run.through_in(Duration::seconds(1)), 0.6 * run.rate);
}

TEST(CatchUp, AMachineThatIsTooSlowGoesOnAtItsBest) {
  Load run = cache_bound();
  run.rate = 2e6;
  run.play(Duration::seconds(2));
  EXPECT_TRUE(run.late());
  EXPECT_GT(run.through_in(Duration::seconds(3)), 0.85 * run.quick);
}

TEST(CatchUp, WhoStrugglesDoesNotTakeACrowdForGranted) {
  CatchUp catch_up{1024};
  Instant now = Instant::at_ns(1'000'000'000);
  std::uint64_t through = 0;
  for (int ms = 0; ms < 1000; ++ms, now = now + Duration::ms(1)) catch_up.on_time(800, now);
  ASSERT_TRUE(catch_up.room(800, through, now));
  EXPECT_EQ(catch_up.limit(), 1600U);
  // A crowd is there, by whatever way; now and then an open is on time.
  for (int ms = 0; ms < 2000; ++ms, now = now + Duration::ms(1), through += 400) {
    EXPECT_FALSE(catch_up.room(60'000, through, now));
    catch_up.on_time(60'000, now);
  }
  EXPECT_LE(catch_up.limit(), 1600U);
}

TEST(CatchUp, ALongPathGetsAllThatItWants) {
  Load run{.rate = 1e6, .life = Duration::ms(200), .quick = 400e3};
  run.play(Duration::seconds(12)); // never on time: 80,000 under way are what it can use
  EXPECT_GT(run.through_in(Duration::seconds(2)), 0.9 * run.quick);
}

TEST(CatchUp, WhatIsOnTimeIsNotBounded) {
  Load run{.rate = 100e3, .life = Duration::seconds(1), .quick = 1e6};
  run.play(Duration::seconds(3));
  EXPECT_FALSE(run.late());
  EXPECT_NEAR(static_cast<double>(run.under_way.size()), 100e3, 2000);
  run.play(Duration::ms(50), true); // and after a pause there is room for as many
  run.play(Duration::ms(500));
  EXPECT_FALSE(run.late());
}

} // namespace catch_up_test
} // namespace tern::app
