#include "tcp/isn.hpp"

#include <gtest/gtest.h>

#include "machines.hpp"

namespace tern::tcp::test {
namespace isn_test {

const IsnSource source{master};

TEST(Isn, ClockRunsAtFourMicrosecondsAndWraps) {
  const Tuple4 t = tuple4();
  const Seq at = source.iss(t, t0);
  EXPECT_EQ(source.iss(t, t0 + Duration::ns(4096)), at + 1);
  // 2^32 ticks of 4.096 µs later the circle has come round, as RFC 6528 counts on (4.9 h).
  EXPECT_EQ(source.iss(t, t0 + Duration::ns(std::int64_t{4096} << 32)), at);
  // A connection later by 2MSL begins above, if no more than 2^31 was sent meanwhile.
  EXPECT_TRUE(source.iss(t, t0 + Duration::seconds(60)).after(at));
}

TEST(Isn, EveryPartOfTheTupleAndTheKeyCounts) {
  const Seq at = source.iss(tuple4(), t0);
  EXPECT_NE(source.iss(tuple4(1025), t0), at);
  EXPECT_NE(source.iss(tuple4(1024, 0x0a000002), t0), at);
  EXPECT_NE((IsnSource{{master.k0 + 1, master.k1}}.iss(tuple4(), t0)), at);
  EXPECT_NE((IsnSource{{master.k0, master.k1 ^ 1}}.iss(tuple4(), t0)), at);
  EXPECT_NE(source.iss(tuple6(), t0), at);
}

TEST(Isn, TimestampOffsetDependsOnTheAddressesAlone) {
  EXPECT_EQ(source.ts_offset(tuple4(1)), source.ts_offset(tuple4(2)));
  EXPECT_EQ(source.ts_offset(tuple6(1)), source.ts_offset(tuple6(2)));
  EXPECT_NE(source.ts_offset(tuple4(1, 5)), source.ts_offset(tuple4(1, 6)));
  EXPECT_NE(source.ts_offset(tuple6(1, 5)), source.ts_offset(tuple6(1, 6)));
}

TEST(Isn, BothAtOnceEqualEachAlone) {
  EXPECT_EQ(source.both(tuple4(), t0).iss, source.iss(tuple4(), t0));
  EXPECT_EQ(source.both(tuple4(), t0).ts_offset, source.ts_offset(tuple4()));
  EXPECT_EQ(source.both(tuple6(), t0).iss, source.iss(tuple6(), t0));
  EXPECT_EQ(source.both(tuple6(), t0).ts_offset, source.ts_offset(tuple6()));
}

// Neighbouring tuples tell nothing of each other: of 32 bits about half change.
TEST(Isn, NeighboursDifferInHalfTheirBits) {
  std::uint64_t changed = 0;
  constexpr int n = 10'000;
  for (int i = 0; i < n; ++i) {
    const auto p = static_cast<std::uint16_t>(i);
    changed += static_cast<unsigned>(__builtin_popcount(
        source.iss(tuple4(p), t0).raw() ^ source.iss(tuple4(static_cast<std::uint16_t>(p + 1)), t0).raw()));
  }
  // Mean 16 a pair, standard deviation of the sum √(32/4 × n): ± 6 of them.
  EXPECT_NEAR(static_cast<double>(changed), 16.0 * n, 6 * 2.83 * 100);
}

} // namespace isn_test
} // namespace tern::tcp::test
