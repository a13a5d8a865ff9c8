#include "wire/checksum.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "bytes.hpp"

namespace tern::wire {
namespace checksum_test {

using test::Bytes;
using test::bytes;
using test::Exact;
using test::Random;

// RFC 1071 §1, as slowly as it is written there.
std::uint16_t by_the_book(std::span<const std::byte> b) {
  std::uint64_t s = 0;
  for (std::size_t i = 0; i < b.size(); ++i)
    s += std::to_integer<std::uint64_t>(b[i]) << (i % 2 == 0 ? 8 : 0);
  while (s >> 16) s = (s & 0xffff) + (s >> 16);
  return static_cast<std::uint16_t>(~s);
}

TEST(Checksum, OfTheExampleInRfc1071) {
  const Bytes b = bytes({0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7});
  EXPECT_EQ(byteswap(fold(sum_bytes(b))), 0xddf2);
  EXPECT_EQ(finish(sum_bytes(b)).host(), 0x220d);
}

TEST(Checksum, OfAnIpv4HeaderFromACapture) {
  Bytes b = bytes({0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7});
  EXPECT_EQ(finish(sum_bytes(b)).host(), 0xb861);
  b[10] = std::byte{0xb8};
  b[11] = std::byte{0x61};
  EXPECT_TRUE(sum_is_valid(sum_bytes(b)));
}

TEST(Checksum, EveryLengthAgreesWithTheBook) {
  Random r{1};
  for (std::size_t n = 0; n <= 700; ++n) {
    const Exact e{r.bytes(n)};
    ASSERT_EQ(finish(sum_bytes(e.span())).host(), by_the_book(e.span())) << n;
  }
}

TEST(Checksum, LongRunsOfOnesCarryRight) {
  for (const std::size_t n : {64UL, 65UL, 1500UL, 9000UL, 65535UL}) {
    const Bytes b(n, std::byte{0xff});
    ASSERT_EQ(finish(sum_bytes(b)).host(), by_the_book(b)) << n;
  }
}

TEST(Checksum, PiecesOfAnyLengthSumLikeTheWhole) {
  Random r{2};
  for (int i = 0; i < 5000; ++i) {
    const Bytes b = r.bytes(r.below<std::size_t>(400));
    PiecewiseSum sum;
    for (std::size_t at = 0; at < b.size();) {
      const std::size_t n = std::min(b.size() - at, r.below<std::size_t>(90)); // empty pieces too
      sum.add(std::span{b}.subspan(at, n));
      at += n;
    }
    ASSERT_EQ(finish(sum.sum()).host(), by_the_book(b));
  }
}

TEST(Checksum, TheTwoZeros) {
  const Bytes zeros(40);
  EXPECT_EQ(finish(sum_bytes(zeros)).host(), 0xffff);
  EXPECT_FALSE(sum_is_valid(sum_bytes(zeros))); // all zero is not a valid sum: only +0 folds to 0
  // data that sums to 0xffff: the field is 0x0000, and a sender who writes the other zero, 0xffff, is right
  // as well
  const Bytes field_is_zero = bytes({0xff, 0xfe, 0x00, 0x01, 0x00, 0x00});
  EXPECT_EQ(finish(sum_bytes(field_is_zero)).host(), 0);
  EXPECT_TRUE(sum_is_valid(sum_bytes(field_is_zero)));
  EXPECT_TRUE(sum_is_valid(sum_bytes(bytes({0xff, 0xfe, 0x00, 0x01, 0xff, 0xff}))));
  EXPECT_EQ(fold(0), 0);
  EXPECT_EQ(fold(0xffffffffffffffff), 0xffff);
}

TEST(Checksum, FoldIsTheSumModulo65535) {
  Random r{3};
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t s = r() >> r.below(64);
    const std::uint64_t expected = s == 0 ? 0 : (s - 1) % 0xffff + 1;
    ASSERT_EQ(fold(s), expected) << s;
  }
}

// RFC 1624 §4: the example on which eqn. 2 fails: 0xdd2f with 0x5555 becoming 0x3285 is 0x0000.
TEST(ChecksumUpdate, OfTheExampleInRfc1624) {
  EXPECT_EQ(updated_checksum(Be16{0xdd2f}, Be16{0x5555}, Be16{0x3285}).host(), 0x0000);
}

TEST(ChecksumUpdate, AgreesWithTheWholeSum) {
  Random r{4};
  for (int i = 0; i < 20'000; ++i) {
    Bytes b = r.bytes(40);
    const Be16 before = finish(sum_bytes(b));
    const std::size_t at = 2 * r.below<std::size_t>(18);
    const Be16 old16 = Be16{load_be<std::uint16_t>(b.data() + at)};
    const Be32 old32 = Be32{load_be<std::uint32_t>(b.data() + at)};
    const auto with = r.any<std::uint32_t>();
    if (r.coin()) {
      store_be(b.data() + at, static_cast<std::uint16_t>(with));
      ASSERT_EQ(updated_checksum(before, old16, Be16{static_cast<std::uint16_t>(with)}),
                finish(sum_bytes(b)));
    } else {
      store_be(b.data() + at, with);
      ASSERT_EQ(updated_checksum(before, old32, Be32{with}), finish(sum_bytes(b)));
    }
  }
}

TEST(PseudoHeader, SumsLikeItsBytes) {
  const Bytes four = bytes({10, 1, 2, 3, 192, 168, 7, 8, 0, 6, 0x12, 0x34});
  EXPECT_EQ(fold(pseudo_sum(Ip4{10, 1, 2, 3}, Ip4{192, 168, 7, 8}, 6, 0x1234)), fold(sum_bytes(four)));

  Random r{5};
  const Bytes random = r.bytes(32);
  Ip::Bytes a;
  Ip::Bytes b;
  std::memcpy(a.data(), random.data(), 16);
  std::memcpy(b.data(), random.data() + 16, 16);
  Bytes six = random;
  for (const std::byte v : bytes({0, 1, 0x23, 0x45, 0, 0, 0, 6}))
    six.push_back(v); // a jumbogram's length needs 32 bits
  EXPECT_EQ(fold(pseudo_sum(Ip{a}, Ip{b}, 6, 0x12345)), fold(sum_bytes(six)));
}

} // namespace checksum_test
} // namespace tern::wire
