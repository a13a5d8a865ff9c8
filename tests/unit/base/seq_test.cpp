#include "base/seq.hpp"

#include <gtest/gtest.h>

namespace tern {
namespace seq_test {

constexpr Seq near_wrap{0xfffffff0};

TEST(Seq, ArithmeticGoesRoundTheCircle) {
  EXPECT_EQ((near_wrap + 0x20).raw(), 0x10U);
  EXPECT_EQ((Seq{0x10} - 0x20).raw(), 0xfffffff0U);
  EXPECT_EQ(Seq{0x10}.since(near_wrap), 0x20U);
  EXPECT_EQ(near_wrap.since(near_wrap), 0U);
  Seq s = near_wrap;
  s += 16;
  EXPECT_EQ(s.raw(), 0U);
}

TEST(Seq, OrderHoldsAcrossTheWrapAtEveryDistance) {
  for (const std::uint32_t start : {0U, 1U, 0x7fffffffU, 0x80000000U, 0xfffffff0U, 0xffffffffU}) {
    const Seq a{start};
    EXPECT_FALSE(a.before(a));
    EXPECT_FALSE(a.after(a));
    EXPECT_TRUE(a.at_or_before(a));
    EXPECT_TRUE(a.at_or_after(a));
    for (const std::uint32_t way : {1U, 2U, 0x10U, 0x10000U, 0x7ffffffeU, 0x7fffffffU}) {
      const Seq b = a + way;
      EXPECT_TRUE(a.before(b)) << start << " " << way;
      EXPECT_TRUE(a.at_or_before(b));
      EXPECT_TRUE(b.after(a));
      EXPECT_TRUE(b.at_or_after(a));
      EXPECT_FALSE(b.before(a));
      EXPECT_FALSE(a.after(b));
      EXPECT_EQ(later_of(a, b), b);
      EXPECT_EQ(later_of(b, a), b);
      EXPECT_EQ(earlier_of(a, b), a);
      EXPECT_EQ(earlier_of(b, a), a);
    }
  }
}

TEST(Seq, IsNotTransitive) { // why it is no key of an ordered container
  const Seq a{0};
  const Seq b{0x60000000};
  const Seq c{0xc0000000};
  EXPECT_TRUE(a.before(b));
  EXPECT_TRUE(b.before(c));
  EXPECT_TRUE(c.before(a));
}

TEST(Seq, WindowIsHalfOpenAndMayCrossTheWrap) {
  EXPECT_TRUE(near_wrap.in_window(near_wrap, 1));
  EXPECT_FALSE(near_wrap.in_window(near_wrap, 0));
  EXPECT_TRUE(Seq{0x0f}.in_window(near_wrap, 0x20));
  EXPECT_FALSE(Seq{0x10}.in_window(near_wrap, 0x20));
  EXPECT_FALSE((near_wrap - 1).in_window(near_wrap, 0x20));
  EXPECT_TRUE((near_wrap - 2).in_window(near_wrap, 0xffffffff)); // wider than half the circle
}

} // namespace seq_test
} // namespace tern
