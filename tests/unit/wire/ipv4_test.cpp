#include "wire/ipv4.hpp"

#include <gtest/gtest.h>

#include "bytes.hpp"

namespace tern::wire {
namespace ipv4_test {

using test::Bytes;
using test::bytes;
using test::Exact;
using test::Random;

Bytes packet(std::size_t options, std::size_t payload) {
  Bytes b = bytes({0x45, 0x02, 0, 0, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2});
  b.resize(20 + options, std::byte{1}); // NOPs
  b[0] = static_cast<std::byte>(0x40 | b.size() / 4);
  b.resize(b.size() + payload);
  store_be(b.data() + 2, static_cast<std::uint16_t>(b.size()));
  const Be16 c = finish(sum_bytes(b.data(), 20 + options));
  std::memcpy(b.data() + 10, &c, 2);
  return b;
}
Verdict verdict_of(const Bytes& b) {
  Ipv4 h;
  return parse_ipv4(Exact{b}.span(), h);
}

TEST(Ipv4, FieldsAreReadAndEmittedByteForByte) {
  const Bytes b = packet(0, 8);
  Ipv4 h;
  ASSERT_EQ(parse_ipv4(b, h), Verdict::ok);
  EXPECT_EQ(h.src, (Ip4{10, 0, 0, 1}));
  EXPECT_EQ(h.dst, (Ip4{10, 0, 0, 2}));
  EXPECT_EQ(h.protocol, 6);
  EXPECT_EQ(h.ttl, 64);
  EXPECT_EQ(h.ecn(), 2);
  EXPECT_EQ(h.identification, 0x1234);
  EXPECT_TRUE(h.dont_fragment);
  EXPECT_FALSE(h.is_fragment());
  EXPECT_EQ(h.total_length, 28);
  EXPECT_TRUE(ipv4_checksum_ok(b, h));
  Bytes again(b.size());
  EXPECT_EQ(emit_ipv4(h, again.data()), 20U);
  EXPECT_EQ(again, b);
}

TEST(Ipv4, AnyFlippedBitOfTheHeaderFailsTheChecksum) {
  Bytes b = packet(8, 0);
  Ipv4 h;
  ASSERT_EQ(parse_ipv4(b, h), Verdict::ok);
  for (std::size_t bit = 0; bit < 28 * 8; ++bit) {
    b[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    EXPECT_FALSE(ipv4_checksum_ok(b, h)) << bit;
    b[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
  }
}

TEST(Ipv4, ZeroLengthPayloadAndEthernetPaddingAreFine) {
  Bytes b = packet(0, 0);
  EXPECT_EQ(verdict_of(b), Verdict::ok);
  b.resize(46);
  Ipv4 h;
  ASSERT_EQ(parse_ipv4(b, h), Verdict::ok);
  EXPECT_EQ(h.total_length, 20);
}

TEST(Ipv4, ChainedPacketIsMeasuredWhole) {
  const Bytes b = packet(0, 100);
  Ipv4 h;
  EXPECT_EQ(parse_ipv4(std::span{b}.first(40), h), Verdict::bad_total_length);
  EXPECT_EQ(parse_ipv4(std::span{b}.first(40), 120, h), Verdict::ok);
}

TEST(Ipv4, SourceRouteIsSeen) {
  Bytes b = packet(8, 0);
  Ipv4 h;
  ASSERT_EQ(parse_ipv4(b, h), Verdict::ok);
  EXPECT_FALSE(h.source_route);
  for (const unsigned kind : {131U, 137U}) {
    b[21] = static_cast<std::byte>(kind);
    b[22] = std::byte{7};
    ASSERT_EQ(parse_ipv4(b, h), Verdict::ok);
    EXPECT_TRUE(h.source_route);
  }
}

TEST(Ipv4BadInput, TruncatedAtEveryByte) {
  const Bytes b = packet(12, 5);
  for (std::size_t n = 0; n < b.size(); ++n)
    EXPECT_EQ(verdict_of(Bytes(b.begin(), b.begin() + static_cast<std::ptrdiff_t>(n))),
              n < 32 ? Verdict::truncated : Verdict::bad_total_length)
        << n;
}

TEST(Ipv4BadInput, VersionAndHeaderLength) {
  Bytes b = packet(0, 20);
  for (unsigned version = 0; version < 16; ++version) {
    b[0] = static_cast<std::byte>(version << 4 | 5);
    EXPECT_EQ(verdict_of(b), version == 4 ? Verdict::ok : Verdict::bad_version);
  }
  for (unsigned words = 0; words < 5; ++words) {
    b[0] = static_cast<std::byte>(0x40 | words);
    EXPECT_EQ(verdict_of(b), Verdict::bad_header_length);
  }
}

TEST(Ipv4BadInput, TotalLengthBelowHeaderOrAboveFrame) {
  Bytes b = packet(4, 10);
  for (const unsigned total : {0U, 19U, 23U, 35U, 65535U}) {
    store_be(b.data() + 2, static_cast<std::uint16_t>(total));
    EXPECT_EQ(verdict_of(b), Verdict::bad_total_length) << total;
  }
}

TEST(Ipv4BadInput, OptionLengthZeroOneOrPastTheEnd) {
  for (const unsigned length : {0U, 1U, 9U, 255U}) {
    Bytes b = packet(8, 0);
    b[20] = std::byte{7};
    b[21] = static_cast<std::byte>(length);
    EXPECT_EQ(verdict_of(b), Verdict::bad_option_length) << length;
  }
  Bytes b = packet(8, 0);
  b[27] = std::byte{7};
  EXPECT_EQ(verdict_of(b), Verdict::bad_option_length);
  b[26] = std::byte{0}; // behind the end of the list nothing counts
  EXPECT_EQ(verdict_of(b), Verdict::ok);
}

TEST(Ipv4BadInput, FragmentPastTheEndOrNotAMultipleOfEight) {
  Bytes b = packet(0, 16);
  store_be<std::uint16_t>(b.data() + 6, 0x1fff);
  EXPECT_EQ(verdict_of(b), Verdict::bad_fragment);
  store_be<std::uint16_t>(b.data() + 6, 0x2001);
  EXPECT_EQ(verdict_of(b), Verdict::ok);
  b = packet(0, 15);
  store_be<std::uint16_t>(b.data() + 6, 0x2001);
  EXPECT_EQ(verdict_of(b), Verdict::bad_fragment);
  b = packet(0, 0);
  store_be<std::uint16_t>(b.data() + 6, 0x2000);
  EXPECT_EQ(verdict_of(b), Verdict::bad_fragment);
}

TEST(Ipv4Property, ParseOfEmitIsTheSame) {
  Random r{31};
  for (int i = 0; i < 50'000; ++i) {
    const Bytes options(4 * r.below<std::size_t>(11), std::byte{1});
    Ipv4 h;
    h.src = Ip4{Be32{r.any<std::uint32_t>()}};
    h.dst = Ip4{Be32{r.any<std::uint32_t>()}};
    h.protocol = r.any<std::uint8_t>();
    h.ttl = r.any<std::uint8_t>();
    h.traffic_class = r.any<std::uint8_t>();
    h.identification = r.any<std::uint16_t>();
    h.dont_fragment = r.coin();
    h.options = options;
    h.header_length = static_cast<std::uint8_t>(emitted_length(h));
    h.total_length = static_cast<std::uint16_t>(h.header_length + 8 + 8 * r.below(100));
    h.more_fragments = r.coin();
    h.fragment_offset = static_cast<std::uint16_t>(8 * r.below(8000));
    Bytes b(h.header_length);
    ASSERT_EQ(emit_ipv4(h, b.data()), b.size());
    Ipv4 back;
    ASSERT_EQ(parse_ipv4(b, h.total_length, back), Verdict::ok);
    ASSERT_EQ(back, h);
    ASSERT_TRUE(ipv4_checksum_ok(b, back));
  }
}

} // namespace ipv4_test
} // namespace tern::wire
