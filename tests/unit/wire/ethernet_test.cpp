#include "wire/ethernet.hpp"

#include <gtest/gtest.h>

#include "bytes.hpp"

namespace tern::wire {
namespace ethernet_test {

using test::Bytes;
using test::bytes;
using test::Exact;
using test::Random;

const Bytes two_tags = bytes(
    {0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x88, 0xa8, 0x20, 0x64, 0x81, 0, 0xa0, 0x0a, 0x08, 0x00});

TEST(Ethernet, PlainFrameIsRead) {
  const Bytes b = bytes({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 2, 0x08, 0x06, 0x99});
  Ethernet e;
  ASSERT_EQ(parse_ethernet(b, e), Verdict::ok);
  EXPECT_EQ(e.dst, broadcast_mac);
  EXPECT_TRUE(e.dst.is_multicast());
  EXPECT_FALSE(e.src.is_multicast());
  EXPECT_EQ(e.type, ether_type::arp);
  EXPECT_EQ(e.tag_count, 0);
  EXPECT_EQ(e.header_length(), 14U);
}

TEST(Ethernet, TwoTagsAreReadOuterFirstAndEmittedAgain) {
  Ethernet e;
  ASSERT_EQ(parse_ethernet(two_tags, e), Verdict::ok);
  ASSERT_EQ(e.tag_count, 2);
  EXPECT_EQ(e.tags[0].tpid, ether_type::service_vlan);
  EXPECT_EQ(e.tags[0].id(), 100);
  EXPECT_EQ(e.tags[0].priority(), 1);
  EXPECT_EQ(e.tags[1].id(), 10);
  EXPECT_EQ(e.tags[1].priority(), 5);
  EXPECT_EQ(e.type, ether_type::ipv4);
  EXPECT_EQ(e.header_length(), 22U);
  Bytes again(e.header_length());
  EXPECT_EQ(emit_ethernet(e, again.data()), 22U);
  EXPECT_EQ(again, two_tags);
}

TEST(EthernetBadInput, TruncatedAtEveryByte) {
  for (std::size_t n = 0; n < two_tags.size(); ++n) {
    const Exact e{std::span{two_tags}.first(n)};
    Ethernet out;
    EXPECT_EQ(parse_ethernet(e.span(), out), Verdict::truncated) << n;
  }
}

TEST(EthernetBadInput, VlanInVlanInVlan) {
  Bytes b = two_tags;
  b[20] = std::byte{0x81};
  for (const std::size_t more : {0U, 2U, 40U}) {
    b.resize(two_tags.size() + more);
    const Exact e{b};
    Ethernet out;
    EXPECT_EQ(parse_ethernet(e.span(), out), Verdict::too_many_vlan_tags);
    EXPECT_LE(out.tag_count, 2);
  }
}

TEST(EthernetProperty, ParseOfEmitIsTheSame) {
  Random r{21};
  for (int i = 0; i < 20'000; ++i) {
    Ethernet e;
    for (auto& v : e.dst.bytes) v = r.any<std::uint8_t>();
    for (auto& v : e.src.bytes) v = r.any<std::uint8_t>();
    e.tag_count = r.below<std::uint8_t>(3);
    for (auto& t : e.tags)
      t = {r.coin() ? ether_type::vlan : ether_type::service_vlan, r.any<std::uint16_t>()};
    do e.type = r.any<std::uint16_t>();
    while (e.type == ether_type::vlan || e.type == ether_type::service_vlan);
    Bytes b(e.header_length());
    ASSERT_EQ(emit_ethernet(e, b.data()), b.size());
    Ethernet back;
    ASSERT_EQ(parse_ethernet(Exact{b}.span(), back), Verdict::ok);
    ASSERT_EQ(back, e);
  }
}

const Bytes who_has =
    bytes({0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1});

TEST(Arp, RequestIsReadAndEmittedByteForByte) {
  Arp a;
  ASSERT_EQ(parse_arp(who_has, a), Verdict::ok);
  EXPECT_EQ(a.operation, Arp::request);
  EXPECT_EQ(a.sender_mac, (Mac{{2, 0, 0, 0, 0, 2}}));
  EXPECT_EQ(a.sender_ip, (Ip4{10, 0, 0, 2}));
  EXPECT_EQ(a.target_ip, (Ip4{10, 0, 0, 1}));
  Bytes again(arp_length);
  EXPECT_EQ(emit_arp(a, again.data()), arp_length);
  EXPECT_EQ(again, who_has);
}

TEST(ArpBadInput, TruncatedAtEveryByte) {
  for (std::size_t n = 0; n < who_has.size(); ++n) {
    const Exact e{std::span{who_has}.first(n)};
    Arp a;
    EXPECT_EQ(parse_arp(e.span(), a), Verdict::truncated) << n;
  }
}

TEST(ArpBadInput, OtherHardwareProtocolOrLengths) {
  for (std::size_t at = 0; at < 6; ++at) {
    Bytes b = who_has;
    b[at] ^= std::byte{0x40};
    Arp a;
    EXPECT_EQ(parse_arp(b, a), Verdict::not_supported) << at;
  }
}

} // namespace ethernet_test
} // namespace tern::wire
