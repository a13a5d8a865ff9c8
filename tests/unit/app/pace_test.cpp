#include "app/client/pace.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace tern::app {
namespace pace_test {

// When each is due, in seconds since the beginning.
std::vector<double> due(double rate, Duration ramp, double seconds) {
  std::vector<double> all;
  double carry = 0;
  for (Duration at; at.as_seconds() < seconds;) {
    all.push_back(at.as_seconds());
    carry += gap_ns(rate, at, ramp);
    const auto whole = static_cast<std::int64_t>(carry);
    carry -= static_cast<double>(whole);
    at = at + Duration::ns(whole);
  }
  return all;
}

TEST(Pace, WithoutARampAllGapsAreTheSame) {
  EXPECT_EQ(gap_ns(1000, Duration{}, Duration{}), 1e6);
  EXPECT_EQ(gap_ns(1000, Duration::seconds(7), Duration{}), 1e6);
  EXPECT_EQ(gap_ns(1000, Duration::seconds(5), Duration::seconds(5)), 1e6);
}

// In a ramp of 5 s to one a second 2.5 are due; the first of them at once.
TEST(Pace, AFewASecondAreDueAlreadyInTheRamp) {
  const std::vector<double> at = due(1, Duration::seconds(5), 20);
  ASSERT_EQ(at.size(), 18U);
  EXPECT_NEAR(at[1], 3.162, 0.001); // t²/10 = 1
  EXPECT_NEAR(at[2], 4.472, 0.001);
  EXPECT_NEAR(at[3], 5.5, 0.001); // half of it in the ramp, half behind
  EXPECT_NEAR(at[4], 6.5, 0.001);
}

// Half as many come in a ramp as in the same time behind it, and at each moment of it as many as its rate says.
TEST(Pace, AtEveryRateARampIsEven) {
  for (const double rate : {0.3, 2.0, 50.0, 1000.0, 100'000.0}) {
    const Duration ramp = Duration::seconds(2);
    std::size_t n = 0;
    for (const double t : due(rate, ramp, 4)) {
      const double so_far = rate * (t < 2 ? t * t / 4 : t - 1);
      ASSERT_NEAR(static_cast<double>(n), so_far, 0.01) << rate << "/s at " << t;
      ++n;
    }
    EXPECT_NEAR(static_cast<double>(n), rate * 3, 1) << rate;
  }
}

TEST(Pace, HowManyAreOwedIsHowManyWereDue) {
  for (const auto ramp : {Duration{}, Duration::seconds(2), Duration::seconds(100)})
    for (const double rate : {1.0, 7.5, 1000.0}) {
      const std::vector<double> all = due(rate, ramp, 5);
      for (const std::size_t from : {std::size_t{0}, all.size() / 2, all.size() - 1}) {
        const auto since = Duration::ns(static_cast<std::int64_t>(all[from] * 1e9));
        EXPECT_NEAR(static_cast<double>(due_between(rate, since, Duration::seconds(5), ramp)),
                    static_cast<double>(all.size() - from), 1)
            << rate << ' ' << ramp.as_seconds() << ' ' << from;
      }
    }
  EXPECT_EQ(due_between(10, Duration::seconds(2), Duration::seconds(1), Duration{}), 0U);
}

} // namespace pace_test
} // namespace tern::app
