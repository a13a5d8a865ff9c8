#include "wire/ipv6.hpp"

#include <gtest/gtest.h>

#include "base/endian.hpp"
#include "bytes.hpp"

namespace tern::wire {
namespace ipv6_test {

using test::Bytes;
using test::bytes;
using test::Exact;
using test::Random;

const Ip here = Ip::parse("2001:db8::1").value();
const Ip there = Ip::parse("2001:db8::2").value();

// A packet whose first next header is `first`, with `rest` behind the fixed header.
Bytes packet(std::uint8_t first, const Bytes& rest) {
  Ipv6 h;
  h.src = here;
  h.dst = there;
  h.traffic_class = 0xb9;
  h.flow_label = 0xabcde;
  h.next_header = first;
  h.payload_length = static_cast<std::uint16_t>(rest.size());
  h.extensions = rest;
  Bytes b(emitted_length(h));
  emit_ipv6(h, b.data());
  return b;
}
Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
// Extension headers of 8 bytes; the argument is what comes next.
Bytes padded(unsigned next) {
  return bytes({next, 0, 1, 4, 0, 0, 0, 0});
} // hop-by-hop or destination: PadN
Bytes routing(unsigned next, unsigned left = 0) {
  return bytes({next, 0, 4, left, 0, 0, 0, 0});
}
Bytes fragment(unsigned next, unsigned offset_and_more) {
  return bytes({next, 0, offset_and_more >> 8, offset_and_more & 255, 1, 2, 3, 4});
}
const Bytes payload(20);

Verdict verdict_of(const Bytes& b) {
  Ipv6 h;
  return parse_ipv6(Exact{b}.span(), h);
}

TEST(Ipv6, FixedHeaderIsReadAndEmittedByteForByte) {
  const Bytes b = packet(6, payload);
  Ipv6 h;
  ASSERT_EQ(parse_ipv6(b, h), Verdict::ok);
  EXPECT_EQ(h.src, here);
  EXPECT_EQ(h.dst, there);
  EXPECT_EQ(h.traffic_class, 0xb9);
  EXPECT_EQ(h.flow_label, 0xabcdeU);
  EXPECT_EQ(h.payload_length, 20);
  EXPECT_EQ(h.protocol, 6);
  EXPECT_EQ(h.header_length, 40);
  EXPECT_FALSE(h.is_fragment());
  Bytes again(40);
  EXPECT_EQ(emit_ipv6(h, again.data()), 40U);
  EXPECT_EQ(again + payload, b);
}

TEST(Ipv6, WholeChainIsWalked) {
  const Bytes b = packet(0, padded(60) + padded(43) + routing(44) + fragment(60, 0) + padded(6) + payload);
  Ipv6 h;
  ASSERT_EQ(parse_ipv6(b, h), Verdict::ok);
  EXPECT_EQ(h.protocol, 6);
  EXPECT_EQ(h.header_length, 80);
  EXPECT_EQ(h.fragment_header, 64);
  EXPECT_EQ(h.fragment_id, 0x01020304U);
  EXPECT_FALSE(h.is_fragment()); // atomic, RFC 6946
  Bytes again(emitted_length(h));
  emit_ipv6(h, again.data());
  EXPECT_EQ(again + payload, b);
}

TEST(Ipv6, WalkEndsBehindARealFragmentHeader) {
  Ipv6 h;
  ASSERT_EQ(parse_ipv6(packet(44, fragment(60, 0x0001) + padded(6) + bytes({1, 2, 3, 4, 5, 6, 7, 8})), h),
            Verdict::ok);
  EXPECT_TRUE(h.is_fragment());
  EXPECT_EQ(h.protocol, 60);
  EXPECT_EQ(h.header_length, 48);
  ASSERT_EQ(parse_ipv6(packet(44, fragment(6, 0x05a8) + payload), h), Verdict::ok);
  EXPECT_EQ(h.fragment_offset, 0x05a8);
  EXPECT_FALSE(h.more_fragments);
  EXPECT_EQ(h.protocol, 6);
}

TEST(Ipv6, NoPayloadAndNoNextHeaderAreWhole) {
  Ipv6 h;
  EXPECT_EQ(parse_ipv6(packet(59, {}), h), Verdict::ok);
  EXPECT_EQ(h.protocol, ip_protocol::no_next_header);
  EXPECT_EQ(verdict_of(packet(6, {})), Verdict::ok);
}

TEST(Ipv6BadInput, TruncatedAtEveryByte) {
  const Bytes b = packet(0, padded(60) + padded(6) + payload);
  for (std::size_t n = 0; n < b.size(); ++n) {
    const Exact e{std::span{b}.first(n)};
    Ipv6 h;
    EXPECT_EQ(parse_ipv6(e.span(), h), n < 40 ? Verdict::truncated : Verdict::bad_total_length) << n;
    // the first piece of a chain: the extension headers must lie in it
    EXPECT_EQ(parse_ipv6(e.span(), b.size(), h), n < 56 ? Verdict::truncated : Verdict::ok) << n;
  }
}

TEST(Ipv6BadInput, Version) {
  Bytes b = packet(6, payload);
  b[0] = std::byte{0x45};
  EXPECT_EQ(verdict_of(b), Verdict::bad_version);
}

TEST(Ipv6BadInput, ExtensionPastTheAnnouncedPayload) {
  EXPECT_EQ(verdict_of(packet(0, {})), Verdict::bad_extension_header);
  EXPECT_EQ(verdict_of(packet(60, bytes({6, 0, 1, 4}))), Verdict::bad_extension_header);
  EXPECT_EQ(verdict_of(packet(60, bytes({6, 1, 1, 4, 0, 0, 0, 0}))), Verdict::bad_extension_header);
  Bytes trailer = packet(60, {}) + padded(6); // the header lies in the padding behind the packet
  EXPECT_EQ(verdict_of(trailer), Verdict::bad_extension_header);
}

TEST(Ipv6BadInput, LoopsAndOverLongChains) {
  Bytes loop;
  for (int i = 0; i < 100; ++i) loop = loop + padded(60);
  EXPECT_EQ(verdict_of(packet(60, loop)), Verdict::too_many_extensions);
  EXPECT_EQ(verdict_of(packet(60, padded(60) + padded(60) + padded(6) + payload)),
            Verdict::too_many_extensions);
  EXPECT_EQ(verdict_of(packet(43, routing(43) + routing(6) + payload)), Verdict::too_many_extensions);
  EXPECT_EQ(verdict_of(packet(44, fragment(44, 0) + fragment(6, 0) + payload)), Verdict::too_many_extensions);
  EXPECT_EQ(verdict_of(packet(0, padded(0) + padded(6) + payload)), Verdict::bad_extension_header);
  EXPECT_EQ(verdict_of(packet(60, padded(0) + padded(6) + payload)), Verdict::bad_extension_header);
}

TEST(Ipv6BadInput, OptionsPastTheEndOrNotToBePassedOver) {
  EXPECT_EQ(verdict_of(packet(0, bytes({6, 0, 1, 5, 0, 0, 0, 0}))), Verdict::bad_option_length);
  EXPECT_EQ(verdict_of(packet(0, bytes({6, 0, 0, 0, 0, 0, 0, 1}))), Verdict::bad_option_length);
  EXPECT_EQ(verdict_of(packet(0, bytes({6, 0, 0x05, 2, 0, 0, 0, 0}))), Verdict::ok); // router alert
  EXPECT_EQ(verdict_of(packet(0, bytes({6, 0, 0x3e, 4, 0, 0, 0, 0}))), Verdict::ok); // unknown, 00: pass over
  for (const unsigned type : {0x45U, 0x85U, 0xc2U})
    EXPECT_EQ(verdict_of(packet(0, bytes({6, 0, type, 4, 0, 1, 0, 0}))), Verdict::not_supported) << type;
  EXPECT_EQ(verdict_of(packet(43, routing(6, 1))), Verdict::not_supported);
}

TEST(Ipv6BadInput, FragmentPastTheEndOrNotAMultipleOfEight) {
  EXPECT_EQ(verdict_of(packet(44, fragment(6, 0xfff8) + payload)), Verdict::bad_fragment);
  EXPECT_EQ(verdict_of(packet(44, fragment(6, 0x0001) + payload)),
            Verdict::bad_fragment);                                              // 20 bytes, more follow
  EXPECT_EQ(verdict_of(packet(44, fragment(6, 0x0001))), Verdict::bad_fragment); // none, more follow
}

TEST(Ipv6BadInput, MappedAddressOnTheWire) {
  Bytes b = packet(6, payload);
  const Ip mapped = Ip4{10, 0, 0, 1};
  std::memcpy(b.data() + 8, mapped.bytes().data(), 16);
  EXPECT_EQ(verdict_of(b), Verdict::bad_field);
}

TEST(Ipv6Property, WhatParsesIsEmittedByteForByte) {
  Random r{41};
  int parsed = 0;
  for (int i = 0; i < 100'000; ++i) {
    constexpr std::uint8_t kinds[] = {0, 43, 44, 60, 6};
    Bytes rest = r.bytes(8 * r.below<std::size_t>(6));
    for (std::size_t at = 0; at < rest.size(); at += 8) {
      rest[at] = static_cast<std::byte>(kinds[r.below(5)]);
      rest[at + 1] = static_cast<std::byte>(r.below(16) == 0);
      rest[at + 2] = static_cast<std::byte>(r.below(2));
      rest[at + 3] = static_cast<std::byte>(r.coin() ? 4 : r.below(9));
    }
    const Exact e{packet(kinds[r.below(5)], rest)};
    Ipv6 h;
    if (parse_ipv6(e.span(), h) != Verdict::ok) continue;
    ++parsed;
    Bytes again(emitted_length(h));
    ASSERT_EQ(emit_ipv6(h, again.data()), h.header_length);
    ASSERT_TRUE(std::ranges::equal(again, e.span().first(again.size())));
    Ipv6 back;
    ASSERT_EQ(parse_ipv6(again + Bytes(e.span().begin() + h.header_length, e.span().end()), back),
              Verdict::ok);
    back.extensions = h.extensions;
    ASSERT_EQ(back, h);
  }
  EXPECT_GT(parsed, 10'000);
}

} // namespace ipv6_test
} // namespace tern::wire
