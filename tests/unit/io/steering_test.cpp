// Who owns what arrives.
#include "io/steering.hpp"

#include <gtest/gtest.h>

#include <map>

#include "frames.hpp"
#include "io/rss_hash.hpp"
#include "support/eal.hpp"

namespace tern::io {
namespace steering_test {

using namespace test;
using tern::test::TestPool;

const std::vector<std::uint8_t> key = [] {
  std::vector<std::uint8_t> k(40);
  for (std::size_t i = 0; i < k.size(); ++i) k[i] = static_cast<std::uint8_t>(i * 73 + 5);
  return k;
}();
const Way way4{Ip{Ip4{10, 0, 0, 9}}, Ip{Ip4{10, 0, 0, 1}}, 40000, 80};
const Way way6{*Ip::parse("fd00::9"), *Ip::parse("fd00::1"), 40000, 443};

CoreId owner_of(const Steering& s, const Way& w) {
  return s.owner(w.src, w.dst, test::Port{w.src_port}, test::Port{w.dst_port});
}

// Both ways of computing it, over many tuples: as a function of the tuple, and of the frame that bears it.
TEST(Steering, ASegmentsOwnerIsItsTuplesOwnerTaggedOrNot) {
  TestPool t;
  const Steering s = Steering::by_software(key, 3);
  std::map<CoreId, int> share;
  for (Way w : {way4, way6})
    for (std::uint16_t i = 0; i < 300; ++i) {
      w.src_port = static_cast<std::uint16_t>(1024 + 7 * i);
      const CoreId owner = owner_of(s, w);
      ++share[owner];
      for (int tags : {0, 1, 2}) {
        const Packet p = tcp_frame(t.pool(), w, tags);
        EXPECT_EQ(s.owner_of_frame(p.mbuf(), 77), owner);
      }
    }
  for (const auto& [core, n] : share) EXPECT_NEAR(n, 200, 60) << core;
}

TEST(Steering, HeadersInPiecesAreReadAllTheSame) {
  TestPool t;
  const Steering s = Steering::by_software(key, 3);
  for (const Way& w : {way4, way6})
    for (std::uint32_t cut : {1U, 13U, 30U, 36U, 56U}) {
      const Packet whole = tcp_frame(t.pool(), w);
      Packet first = whole.copy(0, cut, t.pool());
      ASSERT_TRUE(first.chain(whole.copy(cut, whole.length() - cut, t.pool())));
      ASSERT_FALSE(first.contiguous());
      EXPECT_EQ(s.owner_of_frame(first.mbuf(), 77), owner_of(s, w)) << cut;
    }
}

TEST(Steering, FragmentsOfADatagramMeetOnOneCoreWhateverTheyHold) {
  TestPool t;
  const Steering s = Steering::by_software(key, 5);
  Way other = way4;
  other.src_port = 41001; // what stands where ports would be, in a later fragment
  const CoreId first = s.owner_of_frame(tcp_frame(t.pool(), way4, 0, 0x2000).mbuf(), 77);
  const CoreId last = s.owner_of_frame(tcp_frame(t.pool(), other, 0, 0x00b9).mbuf(), 77);
  EXPECT_EQ(first, last);
  EXPECT_LT(first, 5);
}

TEST(Steering, AnIcmpErrorGoesToTheOwnerOfWhatItSpeaksOf) {
  TestPool t;
  const Steering s = Steering::by_software(key, 3);
  for (Way in : {way4, way6})
    for (std::uint16_t i = 0; i < 50; ++i) {
      in.src_port = static_cast<std::uint16_t>(2000 + 11 * i);
      const Ip router = in.src.is_v4() ? Ip{Ip4{192, 0, 2, 1}} : *Ip::parse("2001:db8::1");
      const Packet p = icmp_error(t.pool(), router, in.back(), in.src.is_v4() ? 3 : 2);
      EXPECT_EQ(s.owner_of_frame(p.mbuf(), 77), owner_of(s, in));
    }
}

TEST(Steering, WhatBelongsToNobodyStaysWhereItCame) {
  TestPool t;
  const Steering s = Steering::by_software(key, 3);
  Packet arp = t.pool().alloc();
  store_be<std::uint16_t>(start_frame(arp, true) - 2, 0x0806);
  EXPECT_EQ(s.owner_of_frame(arp.mbuf(), 2), 2);
  EXPECT_EQ(s.owner_of_frame(icmp_error(t.pool(), way4.src, way4, 8).mbuf(), 2), 2);   // an echo request
  EXPECT_EQ(s.owner_of_frame(icmp_error(t.pool(), way6.src, way6, 135).mbuf(), 2), 2); // a solicitation
  Packet shorts = tcp_frame(t.pool(), way4);
  shorts.trim_back(shorts.length() - 37); // the ports are cut off
  EXPECT_EQ(s.owner_of_frame(shorts.mbuf(), 2), 2);
}

TEST(Steering, AnyBytesAtAllHaveAnOwner) {
  TestPool t;
  const Steering s = Steering::by_software(key, 3);
  std::uint64_t x = 1;
  for (int i = 0; i < 20'000; ++i) {
    Packet p = t.pool().alloc();
    std::byte* b = start_frame(p, i % 2 == 0, i % 5 % 3);
    for (int j = 0; j < 140; ++j) {
      x = x * 6364136223846793005 + 1442695040888963407;
      b[j % 130] = static_cast<std::byte>(x >> 56);
    }
    b[0] = static_cast<std::byte>(i % 2 == 0 ? 0x45 + (i >> 3) % 11 : 0x60);
    if (i % 3 != 0) b[i % 2 == 0 ? 9 : 6] = std::byte{i % 3 == 1 ? std::uint8_t{1} : std::uint8_t{58}};
    p.trim_back(static_cast<std::uint32_t>(x % 160));
    EXPECT_LE(s.owner_of_frame(p.mbuf(), 3), 3);
  }
}

TEST(Steering, ByThePortOnlyWhereEveryCoreHasAnEntry) {
  RssView rss{.key = key, .reta = {0, 1, 0, 1}};
  EXPECT_TRUE(Steering::possible_by_port(rss, 2));
  EXPECT_FALSE(Steering::possible_by_port(rss, 3));
  EXPECT_FALSE(Steering::possible_by_port(rss, 1));
  rss.reta = {0, 1, 0};
  EXPECT_FALSE(Steering::possible_by_port(rss, 2));
  rss.reta = {};
  EXPECT_FALSE(Steering::possible_by_port(rss, 1));
  EXPECT_TRUE(Steering::by_port({.key = key, .reta = {1, 0}}, 2).by_port());
}

} // namespace steering_test
} // namespace tern::io
