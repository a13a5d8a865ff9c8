#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tcp/recovery/rtt.hpp"

namespace tern::tcp {
namespace recovery_rtt_test {

TEST(Rtt, NoSampleGivesInitialRto) {
  const Settings s;
  const Tcb t{};
  EXPECT_FALSE(rtt::measured(t));
  EXPECT_EQ(rtt::rto(t, s), Duration::seconds(1));
}

// RFC 6298 §2.2: SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 × RTTVAR = 3R.
TEST(Rtt, FirstSampleGivesThreeTimesItself) {
  const Settings s;
  Tcb t;
  rtt::add_sample(t, s, 300'000);
  EXPECT_EQ(rtt::smoothed_us(t), 300'000U);
  EXPECT_EQ(rtt::rto(t, s), Duration::ms(900));
}

// §2.3 by hand: SRTT 100 ms, RTTVAR 50 ms, R' = 180 ms:
// RTTVAR = 3/4 × 50 + 1/4 × 80 = 57.5 ms; SRTT = 7/8 × 100 + 1/8 × 180 = 110 ms; RTO = 110 + 230 = 340 ms.
TEST(Rtt, SecondSampleIsMeasuredAgainstOldMean) {
  const Settings s;
  Tcb t;
  rtt::add_sample(t, s, 100'000);
  rtt::add_sample(t, s, 180'000);
  EXPECT_EQ(rtt::smoothed_us(t), 110'000U);
  EXPECT_EQ(t.rttvar_us, 230'000U);
  EXPECT_EQ(rtt::rto(t, s), Duration::ms(340));
}

TEST(Rtt, FollowsTheFormulaInFloatingPoint) {
  const Settings s;
  std::mt19937 rng(11);
  Tcb t;
  double srtt = 0;
  double var = 0;
  for (int i = 0; i < 10'000; ++i) {
    const std::uint32_t r = 20'000 + static_cast<std::uint32_t>(rng() % 80'000);
    if (i == 0) {
      srtt = r, var = r / 2.0;
    } else {
      var += (std::abs(srtt - r) - var) / 4;
      srtt += (r - srtt) / 8;
    }
    rtt::add_sample(t, s, r);
    ASSERT_NEAR(t.srtt_us / 8.0, srtt, 8.0);
    ASSERT_NEAR(t.rttvar_us / 4.0, var, 8.0);
  }
}

TEST(Rtt, SteadyPathKeepsTheMinimumAboveItsRoundTrip) {
  const Settings s;
  Tcb t;
  for (int i = 0; i < 200; ++i) rtt::add_sample(t, s, 199'000);
  EXPECT_EQ(rtt::rto(t, s), Duration::ms(199) + s.rto_min);
  Settings quick;
  quick.rto_min = Duration::ms(5);
  EXPECT_EQ(rtt::rto(t, quick), Duration::ms(204));
}

// §5.7: three seconds when the SYN timed out, until something is measured.
TEST(Rtt, LostSynFallsBackToThreeSecondsUntilMeasured) {
  const Settings s;
  Tcb t;
  rtt::after_lost_syn(t);
  EXPECT_FALSE(rtt::measured(t));
  EXPECT_EQ(rtt::rto(t, s), Duration::seconds(3));
  rtt::add_sample(t, s, 100'000);
  EXPECT_EQ(rtt::rto(t, s), Duration::ms(300));
  rtt::after_lost_syn(t);
  EXPECT_EQ(rtt::rto(t, s), Duration::ms(300));
}

TEST(Rtt, AbsurdSamplesStayInBounds) {
  const Settings s;
  Tcb t;
  for (const std::uint32_t r : {0U, 0xffff'ffffU, 0U, 0xffff'ffffU, 0xffff'ffffU}) {
    rtt::add_sample(t, s, r);
    EXPECT_TRUE(rtt::measured(t));
    EXPECT_LE(rtt::rto(t, s), s.rto_max);
    EXPECT_GE(rtt::rto(t, s), s.rto_min);
  }
  for (int i = 0; i < 500; ++i) rtt::add_sample(t, s, 0xffff'ffff);
  EXPECT_NEAR(rtt::smoothed_us(t), rtt::largest_sample_us, 8);
  for (int i = 0; i < 500; ++i) rtt::add_sample(t, s, 0);
  EXPECT_LE(rtt::smoothed_us(t), 8U);
  EXPECT_TRUE(rtt::measured(t));
}

} // namespace recovery_rtt_test
} // namespace tern::tcp
