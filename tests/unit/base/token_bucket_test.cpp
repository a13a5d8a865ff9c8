#include "base/token_bucket.hpp"

#include <gtest/gtest.h>

namespace tern {
namespace token_bucket_test {

constexpr Instant t0 = Instant::at_ns(5);

TEST(TokenBucket, DefaultLetsEverythingPass) {
  TokenBucket b;
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(b.take(t0));
}

TEST(TokenBucket, ZeroRateLetsNothingPass) {
  TokenBucket b{0, 100};
  EXPECT_FALSE(b.has(t0));
  EXPECT_FALSE(b.take(t0));
}

TEST(TokenBucket, BurstPassesThenTheRate) {
  TokenBucket b{1000, 10};
  int passed = 0;
  for (int i = 0; i < 100; ++i) passed += b.take(t0) ? 1 : 0;
  EXPECT_EQ(passed, 10);
  // Over ten seconds, asked ten times as often as it lets pass.
  for (int i = 1; i <= 100'000; ++i) passed += b.take(t0 + Duration::us(100 * i)) ? 1 : 0;
  EXPECT_EQ(passed, 10 + 10'000);
}

TEST(TokenBucket, PauseFillsNoMoreThanTheBurst) {
  TokenBucket b{1000, 10};
  while (b.take(t0)) {
  }
  const Instant later = t0 + Duration::seconds(3600);
  int passed = 0;
  while (b.take(later)) ++passed;
  EXPECT_EQ(passed, 10);
}

TEST(TokenBucket, HasForetellsTake) {
  TokenBucket b{1000, 2};
  for (int i = 0; i < 5000; ++i) {
    const Instant now = t0 + Duration::us(333 * i);
    const bool has = b.has(now);
    EXPECT_EQ(b.take(now), has);
  }
}

TEST(TokenBucket, FirstUseMayBeBeforeTheOrigin) {
  TokenBucket b{1, 1};
  EXPECT_TRUE(b.take(Instant::at_ns(-1'000'000'000'000)));
  EXPECT_FALSE(b.take(Instant::at_ns(-1'000'000'000'000)));
  EXPECT_TRUE(b.take(Instant::at_ns(0)));
}

} // namespace token_bucket_test
} // namespace tern
