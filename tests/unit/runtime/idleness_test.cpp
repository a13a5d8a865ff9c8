#include "runtime/idleness.hpp"

#include <gtest/gtest.h>

namespace tern {
namespace idleness_test {

TEST(Idleness, SpinsForAWhileAfterWork) {
  Idleness i;
  for (int round = 0; round < 2; ++round) {
    for (std::uint32_t look = 0; look < Idleness::looks_before_sleep; ++look) ASSERT_FALSE(i.tired()) << look;
    EXPECT_TRUE(i.tired());
    i.found();
  }
}

// Whoever knocks at a port that tells nothing is heard when the nap ends: none may last longer than what leaves
// a millisecond to answer in, however long the rest has lasted.
TEST(Idleness, NapsGrowToTheLongestAndStayThere) {
  Idleness i;
  while (!i.tired()) {
  }
  Duration before{};
  std::int64_t spent_us = 0;
  for (int nap = 0; nap < 200'000; ++nap) {
    const Duration d = i.nap();
    ASSERT_GE(d, before) << nap;
    ASSERT_LE(d, Idleness::longest_nap) << nap;
    spent_us += d.as_us();
    before = d;
    ASSERT_TRUE(i.tired()) << nap;
  }
  EXPECT_EQ(before, Idleness::longest_nap);
  EXPECT_LE(Idleness::longest_nap, Duration::us(900));
  EXPECT_LE(200'000 / (static_cast<double>(spent_us) * 1e-6), 1300) << "wakes a second";
}

} // namespace idleness_test
} // namespace tern
