#include "net/classify.hpp"

#include <gtest/gtest.h>

#include "frames.hpp"

namespace tern::net {
namespace classify_test {

using namespace test;
using tern::test::TestPool;

Interface self(std::optional<std::uint16_t> vlan = {}, std::optional<std::uint16_t> service_vlan = {}) {
  InterfaceSettings s;
  s.mac = our_mac;
  s.vlan = vlan;
  s.service_vlan = service_vlan;
  s.addresses = {{Ip{our4}, 24}, {our6, 64}};
  s.pools = {*Prefix::parse("10.0.4.0/22")};
  return Interface(s);
}
Classified classified(const Bytes& frame, const Interface& i = self(), std::size_t piece = SIZE_MAX) {
  static TestPool t;
  Packet p = packet(t.pool(), frame, piece);
  return classify(p, i, t.pool());
}
NetCounter why(const Bytes& frame, const Interface& i = self()) {
  const Classified c = classified(frame, i);
  EXPECT_EQ(c.kind, Kind::drop);
  return c.why;
}
Bytes spoiled(Bytes b, std::size_t at, unsigned value) {
  b.at(at) = static_cast<std::byte>(value);
  return b;
}
// The IPv4 header's checksum made right again.
Bytes resummed(Bytes b) {
  store_be<std::uint16_t>(b.data() + 24, 0);
  const Be16 sum =
      wire::finish(wire::sum_bytes(b.data() + 14, 4U * (std::to_integer<unsigned>(b[14]) & 15U)));
  std::memcpy(b.data() + 24, &sum, 2);
  return b;
}

TEST(Classify, Tcp4OnTheLeanWay) {
  TestPool t;
  Packet p = packet(t.pool(), tcp4_frame(payload(100)));
  const Classified c = classify(p, self(), t.pool());
  EXPECT_EQ(c.kind, Kind::tcp);
  EXPECT_EQ(c.l4_offset, 34);
  EXPECT_EQ(c.l4_length, 120U);
  EXPECT_EQ(c.source(p), Ip{peer4});
  EXPECT_EQ(c.destination(p), Ip{our4});
  EXPECT_FALSE(c.v6);
}

TEST(Classify, Tcp6) {
  TestPool t;
  Packet p = packet(t.pool(), tcp6_frame(payload(99)));
  const Classified c = classify(p, self(), t.pool());
  EXPECT_EQ(c.kind, Kind::tcp);
  EXPECT_EQ(c.l4_offset, 54);
  EXPECT_EQ(c.l4_length, 119U);
  EXPECT_EQ(c.source(p), peer6);
  EXPECT_EQ(c.destination(p), our6);
}

TEST(Classify, AnAddressOfAPoolIsOurs) {
  const Ip4 inside{10, 0, 7, 200};
  EXPECT_EQ(classified(ether(ether_type::ipv4) + ip4(protocol::tcp, tcp(peer4, inside), peer4, inside)).kind,
            Kind::tcp);
  const Ip4 outside{10, 0, 8, 1};
  EXPECT_EQ(why(ether(ether_type::ipv4) + ip4(protocol::tcp, tcp(peer4, outside), peer4, outside)),
            NetCounter::drop_not_local);
}

TEST(Classify, EthernetPaddingIsTrimmed) {
  TestPool t;
  for (const Bytes& frame : {tcp4_frame(), tcp6_frame()}) {
    Packet p = packet(t.pool(), frame + Bytes(6, std::byte{0xaa}));
    const Classified c = classify(p, self(), t.pool());
    EXPECT_EQ(c.kind, Kind::tcp);
    EXPECT_EQ(p.length(), frame.size());
  }
}

// Whatever the segments, the answer is the same.
TEST(Classify, ChainsReadAsOnePiece) {
  for (const std::size_t piece : {1U, 7U, 14U, 20U, 33U, 54U})
    for (const Bytes& frame :
         {tcp4_frame(payload(61)), tcp6_frame(payload(61)), arp(1, peer4, peer_mac, our4),
          ether(ether_type::ipv4) + ip4(protocol::icmp, icmp4(8, payload(33)))}) {
      const Classified whole = classified(frame);
      const Classified pieces = classified(frame, self(), piece);
      EXPECT_NE(whole.kind, Kind::drop);
      EXPECT_EQ(pieces.kind, whole.kind);
      EXPECT_EQ(pieces.l4_length, whole.l4_length);
    }
}

TEST(Classify, TruncatedAtEveryByteIsADropAndNeverReadsOutside) {
  for (const Bytes& frame :
       {tcp4_frame(payload(8)), tcp6_frame(payload(8)), arp(1, peer4, peer_mac, our4),
        ether(ether_type::ipv4) + ip4(protocol::icmp, icmp4(8, payload(8))),
        ether(ether_type::ipv6) + ip6(protocol::icmpv6, icmp6(128, payload(8), peer6, our6))})
    for (std::size_t n = 0; n < frame.size(); ++n)
      EXPECT_EQ(classified(Bytes(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(n))).kind,
                Kind::drop)
          << n;
}

// RFC 1122 §3.3.6: a frame to all may bear our own address, and is no segment to us for that. An echo request is.
TEST(Classify, SegmentsInFramesToManyAreNotOurs) {
  for (const Mac& to : {broadcast_mac, multicast_mac(*Ip::parse("ff02::1"))}) {
    const auto sent_to = [&](Bytes frame) {
      std::memcpy(frame.data(), to.data(), to.size());
      return classified(frame);
    };
    EXPECT_EQ(sent_to(tcp4_frame(payload(10))).kind, Kind::drop);
    EXPECT_EQ(sent_to(tcp4_frame(payload(10))).why, NetCounter::drop_tcp_broadcast);
    EXPECT_EQ(sent_to(tcp6_frame(payload(10))).why, NetCounter::drop_tcp_broadcast);
    EXPECT_EQ(sent_to(resummed(spoiled(tcp4_frame(payload(10)), 23, 17))).kind,
              Kind::drop); // UDP: no error either
    EXPECT_EQ(sent_to(ether(ether_type::ipv4) + ip4(protocol::icmp, icmp4(8, payload(8)))).kind, Kind::icmp);
  }
}

TEST(Classify, EveryDropHasItsReason) {
  const Bytes f4 = tcp4_frame(payload(10));
  EXPECT_EQ(why(spoiled(f4, 0, 4)), NetCounter::drop_other_mac);
  EXPECT_EQ(why(spoiled(f4, 12, 0x12)), NetCounter::drop_ether_type);
  EXPECT_EQ(why(resummed(spoiled(f4, 14, 0x65))), NetCounter::drop_ip_version);
  EXPECT_EQ(why(spoiled(f4, 14, 0x44)), NetCounter::drop_ip_header_length);
  EXPECT_EQ(why(resummed(spoiled(f4, 16, 0x10))), NetCounter::drop_ip_total_length);
  EXPECT_EQ(why(resummed(spoiled(f4, 17, 19))), NetCounter::drop_ip_total_length);
  EXPECT_EQ(why(spoiled(f4, 22, 63)), NetCounter::drop_ip_checksum);
  EXPECT_EQ(why(resummed(spoiled(f4, 26, 127))), NetCounter::drop_ip_source);
  EXPECT_EQ(why(resummed(spoiled(f4, 26, 0))), NetCounter::drop_ip_source);
  EXPECT_EQ(why(resummed(spoiled(f4, 26, 225))), NetCounter::drop_ip_source);
  EXPECT_EQ(why(resummed(spoiled(f4, 29, 1))), NetCounter::drop_ip_source); // LAND
  EXPECT_EQ(why(resummed(spoiled(f4, 33, 7))), NetCounter::drop_not_local);
  EXPECT_EQ(classified(resummed(spoiled(f4, 23, 17))).kind, Kind::other);
  EXPECT_EQ(why(spoiled(f4, 60, 0xff)), NetCounter::drop_tcp_checksum);
  EXPECT_EQ(why(resummed(spoiled(f4, 33, 255))), NetCounter::drop_tcp_broadcast);
  EXPECT_EQ(why(spoiled(tcp6_frame(payload(10)), 70, 0xff)), NetCounter::drop_tcp_checksum);
  EXPECT_EQ(why(spoiled(tcp6_frame(), 14, 0x40)), NetCounter::drop_ip_version);
  EXPECT_EQ(why(spoiled(tcp6_frame(), 18, 0x10)), NetCounter::drop_ip_total_length);
  EXPECT_EQ(why(spoiled(tcp6_frame(), 53, 9)), NetCounter::drop_ip_source); // source and destination the same
  EXPECT_EQ(why(ether(ether_type::ipv4) + ip4(protocol::icmp, spoiled(icmp4(8, payload(8)), 9, 0xee))),
            NetCounter::drop_icmp_checksum);
}

TEST(Classify, HardwareFindingsAreUsedButBadIsLookedAtAgain) {
  TestPool t;
  const Bytes wrong = spoiled(tcp4_frame(payload(10)), 60, 0xff);
  Packet p = packet(t.pool(), wrong);
  p.mbuf()->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_IP_CKSUM_GOOD;
  EXPECT_EQ(classify(p, self(), t.pool()).kind, Kind::tcp);
  Packet q = packet(t.pool(), tcp4_frame(payload(10)));
  q.mbuf()->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_BAD;
  EXPECT_EQ(classify(q, self(), t.pool()).kind, Kind::tcp);
}

// Between two guests nobody ever fills the sums in: not in one segment, and not in a chain, which goes the
// slow way.
TEST(Classify, SumsThatThePortVouchesForNeedNotStandThere) {
  TestPool t;
  const Bytes unsummed = spoiled(spoiled(tcp4_frame(payload(100)), 24, 0xee), 50, 0xee);
  for (const std::size_t piece : {std::size_t{SIZE_MAX}, std::size_t{54}}) {
    Packet p = packet(t.pool(), unsummed, piece);
    EXPECT_EQ(classify(p, self(), t.pool()).why, NetCounter::drop_ip_checksum);
    Packet q = packet(t.pool(), unsummed, piece);
    q.mbuf()->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_IP_CKSUM_GOOD;
    EXPECT_EQ(classify(q, self(), t.pool()).kind, Kind::tcp);
  }
}

TEST(Classify, Ipv4Options) {
  const auto with = [](std::initializer_list<int> o) {
    Bytes options;
    for (const int v : o) options.push_back(static_cast<std::byte>(v));
    return ether(ether_type::ipv4) + ip4(protocol::tcp, tcp(peer4, our4), peer4, our4, options);
  };
  EXPECT_EQ(classified(with({1, 1, 1, 0})).kind, Kind::tcp);
  EXPECT_EQ(classified(with({148, 4, 0, 0})).kind, Kind::tcp); // router alert: skipped by its length
  EXPECT_EQ(classified(with({148, 4, 0, 0})).l4_offset, 38);
  for (const auto& bad : {with({131, 3, 4, 0}), with({137, 3, 4, 0}), with({7, 0, 0, 0}), with({7, 1, 0, 0}),
                          with({7, 9, 0, 0}), with({1, 1, 1, 7})})
    EXPECT_EQ(why(bad), NetCounter::drop_ip_options);
}

TEST(Classify, FragmentsAreNamedSo) {
  const auto v4 = [](const Bytes& body, Fragment f) {
    return ether(ether_type::ipv4) + ip4(protocol::tcp, body, peer4, our4, {}, f);
  };
  EXPECT_EQ(classified(v4(tcp(peer4, our4, payload(4)), {.more = true})).kind, Kind::fragment);
  EXPECT_EQ(classified(v4(payload(3), {.offset = 40})).kind, Kind::fragment);
  // More to come, but no multiple of 8; and one whose bytes would end past 65,535 ("ping of death").
  EXPECT_EQ(why(v4(payload(3), {.more = true})), NetCounter::drop_fragment);
  EXPECT_EQ(why(v4(payload(1400), {.offset = 65528})), NetCounter::drop_fragment);
  const auto v6 = [](std::uint16_t offset_and_more, const Bytes& body) {
    Bytes header(8);
    header[0] = std::byte{protocol::tcp};
    store_be(header.data() + 2, offset_and_more);
    return ether(ether_type::ipv6) + ip6(protocol::fragment, header + body);
  };
  EXPECT_EQ(classified(v6(1, payload(24))).kind, Kind::fragment);
  EXPECT_EQ(classified(v6(16, payload(3))).kind, Kind::fragment);
  EXPECT_EQ(classified(v6(0, tcp(peer6, our6))).kind,
            Kind::tcp); // an atomic one is a whole packet (RFC 6946)
  EXPECT_EQ(why(v6(1, payload(3))), NetCounter::drop_fragment);
  EXPECT_EQ(why(v6(0xfff8, payload(1400))), NetCounter::drop_fragment);
}

TEST(Classify, Ipv6ExtensionHeaders) {
  const auto extension = [](std::uint8_t next, std::uint8_t length = 0) {
    Bytes b(8U * (length + 1U));
    b[0] = std::byte{next};
    b[1] = std::byte{length};
    return b;
  };
  const Bytes seg = tcp(peer6, our6);
  const auto frame = [](std::uint8_t first, const Bytes& rest) {
    return ether(ether_type::ipv6) + ip6(first, rest);
  };
  EXPECT_EQ(classified(frame(protocol::hop_by_hop,
                             extension(protocol::destination_options) + extension(protocol::tcp, 2) + seg))
                .kind,
            Kind::tcp);
  // Hop-by-hop anywhere but first; one that runs past the end; a routing header that asks us to forward.
  EXPECT_EQ(why(frame(protocol::destination_options,
                      extension(protocol::hop_by_hop) + extension(protocol::tcp) + seg)),
            NetCounter::drop_ip6_extensions);
  EXPECT_EQ(why(frame(protocol::destination_options, spoiled(extension(protocol::tcp), 1, 200) + seg)),
            NetCounter::drop_ip6_extensions);
  EXPECT_EQ(why(frame(protocol::routing, spoiled(extension(protocol::tcp), 3, 1) + seg)),
            NetCounter::drop_ip6_extensions);
  Bytes endless;
  for (int i = 0; i < 20; ++i) endless = endless + extension(protocol::destination_options);
  EXPECT_EQ(why(frame(protocol::destination_options, endless + seg)), NetCounter::drop_ip6_extensions);
}

TEST(Classify, VlanIsOursOrNobodys) {
  const auto tagged = [](std::vector<wire::VlanTag> tags) {
    return ether(ether_type::ipv4, our_mac, std::move(tags)) + ip4(protocol::tcp, tcp(peer4, our4));
  };
  const auto q = [](std::uint16_t tci) { return wire::VlanTag{ether_type::vlan, tci}; };
  const auto ad = [](std::uint16_t tci) { return wire::VlanTag{ether_type::service_vlan, tci}; };
  EXPECT_EQ(classified(tagged({q(7)}), self(7)).kind, Kind::tcp);
  EXPECT_EQ(classified(tagged({q(0x6007)}), self(7)).kind, Kind::tcp); // priority bits are not the identifier
  EXPECT_EQ(why(tagged({q(8)}), self(7)), NetCounter::drop_vlan);
  EXPECT_EQ(why(tagged({q(7)})), NetCounter::drop_vlan);
  EXPECT_EQ(why(tcp4_frame(), self(7)), NetCounter::drop_vlan);
  // Two tags, in their order.
  EXPECT_EQ(classified(tagged({ad(100), q(7)}), self(7, 100)).kind, Kind::tcp);
  EXPECT_EQ(classified(tagged({ad(100), q(7)}), self(7, 100)).l4_offset, 42);
  EXPECT_EQ(why(tagged({ad(7), q(100)}), self(7, 100)), NetCounter::drop_vlan);
  EXPECT_EQ(why(tagged({ad(100), q(7)}), self(7)), NetCounter::drop_vlan);
  EXPECT_EQ(why(tagged({q(7)}), self(7, 100)), NetCounter::drop_vlan);
  // VLAN 0 is a priority and no VLAN; three tags are nobody's.
  EXPECT_EQ(classified(tagged({q(0xe000)})).kind, Kind::tcp);
  EXPECT_EQ(classified(tagged({q(0), q(7)}), self(7)).kind, Kind::tcp);
  Bytes three = tagged({ad(100), q(7)});
  const Bytes third = {std::byte{0x81}, std::byte{0}, std::byte{0}, std::byte{7}};
  three.insert(three.begin() + 12, third.begin(), third.end());
  EXPECT_EQ(why(three, self(7, 100)), NetCounter::drop_vlan);
}

} // namespace classify_test
} // namespace tern::net
