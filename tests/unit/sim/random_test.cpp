#include "sim/random.hpp"

#include <gtest/gtest.h>

#include <array>

#include "sim/timeline.hpp"

namespace tern::sim {
namespace random_test {

TEST(Random, SameSeedSameStreamOtherSeedOther) {
  Random a{7};
  Random b{7};
  Random c{8};
  const std::uint64_t first = a.next();
  EXPECT_EQ(first, b.next());
  EXPECT_NE(first, c.next());
}

TEST(Random, SplitStreamsDoNotDependOnEachOthersUse) {
  Random parent{7};
  Random one = parent.split(1);
  const std::uint64_t expected = parent.split(2).next();
  for (int i = 0; i < 100; ++i) (void)one.next();
  EXPECT_EQ(parent.split(2).next(), expected);
  EXPECT_NE(parent.split(1).next(), expected);
}

TEST(Random, BelowIsEvenAndBounded) {
  Random r{1};
  std::array<int, 10> seen{};
  for (int i = 0; i < 100'000; ++i) ++seen[r.below(10)];
  for (const int n : seen) EXPECT_NEAR(n, 10'000, 500);
  EXPECT_EQ(r.below(0), 0u);
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t v = r.between(3, 5);
    EXPECT_TRUE(v >= 3 && v <= 5);
  }
}

TEST(Random, ChanceMeetsItsProbability) {
  Random r{3};
  int hits = 0;
  for (int i = 0; i < 100'000; ++i) hits += r.chance(0.1);
  EXPECT_NEAR(hits, 10'000, 400);
  EXPECT_FALSE(r.chance(0));
  EXPECT_TRUE(r.chance(1));
}

TEST(Timeline, EventsComeByTimeThenByOrderOfArrival) {
  Timeline<int> t;
  const auto at = [](std::int64_t ms) { return Instant{} + Duration::ms(ms); };
  t.put(at(5), 50);
  t.put(at(1), 10);
  t.put(at(5), 51);
  t.put(at(3), 30);
  EXPECT_EQ(t.take(), 10);
  EXPECT_EQ(t.take(), 30);
  EXPECT_EQ(t.now(), at(3));
  t.put(at(5), 52);
  EXPECT_EQ(t.take(), 50);
  EXPECT_EQ(t.take(), 51);
  EXPECT_EQ(t.take(), 52);
  EXPECT_TRUE(t.empty());
  EXPECT_EQ(t.now(), at(5));
}

TEST(TimelineDeathTest, NothingIsPutIntoThePast) {
  Timeline<int> t;
  t.advance_to(Instant{} + Duration::ms(2));
  EXPECT_DEATH(t.put(Instant{} + Duration::ms(1), 1), "at >= now_");
}

} // namespace random_test
} // namespace tern::sim
