#include "net/network.hpp"

#include <gtest/gtest.h>

#include "frames.hpp"

namespace tern::net {
namespace network_test {

using namespace test;
using tern::test::TestPool;

Instant at(int seconds) {
  return Instant{} + Duration::seconds(1000 + seconds);
}

class NetworkTest : public ::testing::Test {
 protected:
  TestPool pool_;
  Interface self_{[] {
    InterfaceSettings s;
    s.mac = our_mac;
    s.addresses = {{Ip{our4}, 24}, {our6, 64}};
    return s;
  }()};
  Network net_{self_, Routes{{{*Prefix::parse("0.0.0.0/0"), Ip{Ip4{10, 0, 0, 254}}}}}, pool_.pool(),
               NetworkSettings{}};

  void receive(const Bytes& frame, Instant now = at(0)) {
    Packet p = packet(pool_.pool(), frame);
    const Classified c = net_.classify(p);
    net_.control(std::move(p), c, now);
  }
  std::vector<Bytes> sent() {
    std::vector<Bytes> out;
    rte_mbuf* m[64];
    const std::uint16_t n = net_.outbox().take(m, 64);
    for (std::uint16_t i = 0; i < n; ++i) out.push_back(bytes_of(Packet{m[i]}));
    return out;
  }
  Sending send(const Ip& src, const Ip& dst, NeighbourRef& hop, Instant now = at(0)) {
    Packet p = pool_.pool().alloc();
    Bytes b = tcp(src, dst, payload(30));
    store_be<std::uint16_t>(b.data() + 16, 0);
    EXPECT_TRUE(p.append_copy(b, pool_.pool()));
    const Sending s = net_.send_tcp(p, src, dst, 2, hop, now);
    if (s == Sending::ready) ready_ = bytes_of(p);
    return s;
  }
  std::uint64_t count(NetCounter c) const { return net_.counters().get(c); }
  Bytes ready_;
};

TEST_F(NetworkTest, ArpRequestForUsIsAnsweredAndTheAskerLearnt) {
  receive(arp(1, peer4, peer_mac, our4));
  const auto out = sent();
  ASSERT_EQ(out.size(), 1U);
  const auto e = ethernet_of(out[0]);
  const auto m = arp_of(out[0]);
  EXPECT_EQ(e.dst, peer_mac);
  EXPECT_EQ(m.operation, wire::Arp::reply);
  EXPECT_EQ(m.sender_mac, our_mac);
  EXPECT_EQ(m.sender_ip, our4);
  EXPECT_EQ(m.target_ip, peer4);
  ASSERT_NE(net_.neighbours().find(Ip{peer4}), nullptr);
  EXPECT_EQ(net_.neighbours().find(Ip{peer4})->mac, peer_mac);
}

TEST_F(NetworkTest, ArpForOthersGratuitousAndOffLinkTeachNothing) {
  receive(arp(1, peer4, peer_mac, Ip4{10, 0, 0, 77}));
  receive(arp(1, peer4, peer_mac, peer4));            // gratuitous, of one we do not know
  receive(arp(2, peer4, peer_mac, our4, our_mac));    // a reply nobody asked for
  receive(arp(1, Ip4{192, 0, 2, 1}, peer_mac, our4)); // answered, not learnt
  EXPECT_EQ(sent().size(), 1U);
  EXPECT_EQ(net_.neighbours().find(Ip{peer4}), nullptr);
  EXPECT_EQ(net_.neighbours().find(Ip{Ip4{192, 0, 2, 1}}), nullptr);
}

TEST_F(NetworkTest, GratuitousArpMovesAKnownNeighbour) {
  receive(arp(1, peer4, peer_mac, our4));
  constexpr Mac moved{{2, 0, 0, 0, 0, 0x77}};
  receive(arp(1, peer4, moved, peer4));
  EXPECT_EQ(net_.neighbours().find(Ip{peer4})->mac, moved);
}

TEST_F(NetworkTest, ArpConflictIsCountedAndDefended) {
  receive(arp(1, our4, peer_mac, our4));
  EXPECT_EQ(count(NetCounter::address_conflicts), 1U);
  EXPECT_EQ(sent().size(), 1U);
}

TEST_F(NetworkTest, MalformedArpIsDropped) {
  Bytes b = arp(1, peer4, peer_mac, our4);
  b[18] = std::byte{8};
  receive(b);
  receive(arp(3, peer4, peer_mac, our4));
  receive(arp(1, peer4, broadcast_mac, our4));
  EXPECT_EQ(count(NetCounter::drop_arp_malformed), 3U);
  EXPECT_TRUE(sent().empty());
}

TEST_F(NetworkTest, EchoIsAnswered) {
  for (const std::size_t n : {0U, 1U, 56U, 1400U}) {
    receive(ether(ether_type::ipv4) + ip4(protocol::icmp, icmp4(8, payload(n))));
    const auto out = sent();
    ASSERT_EQ(out.size(), 1U);
    const Bytes& b = out[0];
    EXPECT_EQ(ethernet_of(b).dst, peer_mac);
    const auto h = ip4_of(b);
    EXPECT_EQ(h.src, our4);
    EXPECT_EQ(h.dst, peer4);
    EXPECT_EQ(b[34], std::byte{0});
    EXPECT_EQ(Bytes(b.begin() + 34, b.end()), icmp4(0, payload(n)));
  }
}

TEST_F(NetworkTest, EchoHeldByAnotherIsAnsweredFromACopy) {
  Packet p = packet(pool_.pool(), ether(ether_type::ipv4) + ip4(protocol::icmp, icmp4(8, payload(8))));
  const Packet theirs = p.same();
  const Bytes before = bytes_of(theirs);
  const Classified c = net_.classify(p);
  net_.control(std::move(p), c, at(0));
  EXPECT_EQ(bytes_of(theirs), before);
  EXPECT_EQ(sent().size(), 1U);
}

TEST_F(NetworkTest, EchoToTheBroadcastIsNotAnswered) {
  receive(ether(ether_type::ipv4, broadcast_mac) +
          ip4(protocol::icmp, icmp4(8, payload(8)), peer4, Ip4{10, 0, 0, 255}));
  EXPECT_TRUE(sent().empty());
  EXPECT_EQ(count(NetCounter::drop_icmp_type), 1U);
}

TEST_F(NetworkTest, Echo6IsAnsweredToUsAndToTheGroup) {
  const Ip nodes = *Ip::parse("ff02::1");
  for (const Ip& to : {our6, nodes}) {
    receive(ether(ether_type::ipv6, to == nodes ? multicast_mac(nodes) : our_mac) +
            ip6(protocol::icmpv6, icmp6(128, payload(33), peer6, to, 0x00010002), peer6, to));
    const auto out = sent();
    ASSERT_EQ(out.size(), 1U);
    const auto h = ip6_of(out[0]);
    EXPECT_EQ(h.src, our6);
    EXPECT_EQ(h.dst, peer6);
    EXPECT_EQ(Bytes(out[0].begin() + 54, out[0].end()), icmp6(129, payload(33), our6, peer6, 0x00010002));
  }
}

// What follows the first 8 bytes of a neighbour message: the target, and an option of so many 8-byte units.
Bytes told(const Ip& target, std::uint8_t option, std::uint8_t units = 1) {
  Bytes rest(16);
  std::memcpy(rest.data(), target.bytes().data(), 16);
  if (option == 0) return rest;
  Bytes o(8);
  o[0] = std::byte{option};
  o[1] = std::byte{units};
  std::memcpy(o.data() + 2, peer_mac.data(), 6);
  return rest + o;
}
Bytes solicitation(const Ip& src, const Ip& target, std::uint8_t hop_limit = 255, bool option = true,
                   std::uint8_t units = 1) {
  const Bytes rest = told(target, option ? 1 : 0, units);
  const Ip dst = solicited_node(target);
  return ether(ether_type::ipv6, multicast_mac(dst)) +
         ip6(protocol::icmpv6, icmp6(135, rest, src, dst), src, dst, hop_limit);
}

TEST_F(NetworkTest, NeighbourSolicitationIsAnsweredAndTheAskerLearnt) {
  receive(solicitation(peer6, our6));
  const auto out = sent();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(ethernet_of(out[0]).dst, peer_mac);
  const auto h = ip6_of(out[0]);
  const auto m = neighbour_of(out[0]);
  EXPECT_EQ(h.hop_limit, 255);
  EXPECT_EQ(m.type, wire::icmpv6_type::neighbour_advertisement);
  EXPECT_TRUE(m.solicited && m.override_ && !m.router);
  EXPECT_EQ(m.target, our6);
  EXPECT_EQ(m.link_layer, our_mac);
  EXPECT_NE(net_.neighbours().find(peer6), nullptr);
  receive(solicitation(peer6, link_local_of(our_mac)));
  EXPECT_EQ(sent().size(), 1U);
}

TEST_F(NetworkTest, DuplicateAddressDetectionIsAnsweredToAll) {
  receive(solicitation(Ip{}, our6, 255, false));
  const auto out = sent();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(ip6_of(out[0]).dst, *Ip::parse("ff02::1"));
  receive(solicitation(Ip{}, our6)); // with an option it is malformed
  EXPECT_EQ(count(NetCounter::drop_nd_malformed), 1U);
}

// A mapped target is our IPv4 address in disguise, or another's: nothing of ARP's may be learnt or told this
// way.
TEST_F(NetworkTest, SolicitationsOfMappedAddressesAreDropped) {
  receive(solicitation(peer6, Ip{our4}));
  receive(arp(1, peer4, peer_mac, our4));
  (void)sent();
  const Mac before = net_.neighbours().find(Ip{peer4})->mac;
  Bytes rest = told(Ip{peer4}, 2);
  rest[18] = std::byte{0x66};
  receive(ether(ether_type::ipv6) +
          ip6(protocol::icmpv6, icmp6(136, rest, peer6, our6, 0x20000000), peer6, our6, 255));
  EXPECT_EQ(net_.neighbours().find(Ip{peer4})->mac, before);
  EXPECT_EQ(count(NetCounter::drop_nd_malformed), 2U);
}

TEST_F(NetworkTest, SolicitationsFromAfarOrMalformedAreDropped) {
  receive(solicitation(peer6, our6, 254));
  receive(solicitation(peer6, our6, 255, true, 0));
  receive(solicitation(peer6, our6, 255, true, 9));
  EXPECT_EQ(count(NetCounter::drop_nd_malformed), 3U);
  EXPECT_TRUE(sent().empty());
}

TEST_F(NetworkTest, SegmentsWaitForArpAndThenGoInOrder) {
  NeighbourRef hop;
  for (int i = 0; i < 6; ++i) EXPECT_EQ(send(Ip{our4}, Ip{peer4}, hop), Sending::waiting);
  EXPECT_EQ(count(NetCounter::drop_resolve_queue), 2U); // four fit
  auto out = sent();
  ASSERT_EQ(out.size(), 1U); // one question, not six
  EXPECT_EQ(ethernet_of(out[0]).dst, broadcast_mac);
  EXPECT_EQ(arp_of(out[0]).target_ip, peer4);
  receive(arp(2, peer4, peer_mac, our4, our_mac));
  out = sent();
  ASSERT_EQ(out.size(), 4U);
  std::uint16_t id = ip4_of(out[0]).identification;
  for (const Bytes& b : out) {
    EXPECT_EQ(ethernet_of(b).dst, peer_mac);
    EXPECT_EQ(ip4_of(b).identification, id++);
  }
  EXPECT_EQ(send(Ip{our4}, Ip{peer4}, hop), Sending::ready);
  EXPECT_EQ(ip4_of(ready_).traffic_class, 2);
  EXPECT_TRUE(wire::tcp_checksum_ok(our4, peer4, std::span(ready_).subspan(34)));
}

TEST_F(NetworkTest, SegmentsWaitForNeighbourDiscovery) {
  NeighbourRef hop;
  EXPECT_EQ(send(our6, peer6, hop), Sending::waiting);
  auto out = sent();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(ethernet_of(out[0]).dst, multicast_mac(solicited_node(peer6)));
  receive(ether(ether_type::ipv6) +
          ip6(protocol::icmpv6, icmp6(136, told(peer6, 2), peer6, our6, 0x60000000), peer6, our6, 255));
  out = sent();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_TRUE(wire::tcp_checksum_ok(our6, peer6, std::span(out[0]).subspan(54)));
}

TEST_F(NetworkTest, OffLinkGoesToTheGatewayAndNoRouteIsADrop) {
  NeighbourRef hop;
  EXPECT_EQ(send(Ip{our4}, Ip{Ip4{192, 0, 2, 7}}, hop), Sending::waiting);
  EXPECT_EQ(arp_of(sent().at(0)).target_ip, (Ip4{10, 0, 0, 254}));
  NeighbourRef none;
  EXPECT_EQ(send(our6, *Ip::parse("2001:db8::1"), none), Sending::dropped);
  EXPECT_EQ(count(NetCounter::drop_no_route), 1U);
}

Ip station(std::size_t n) {
  return Ip{Ip4{10, 0, static_cast<std::uint8_t>(1 + n / 250), static_cast<std::uint8_t>(1 + n % 250)}};
}

// On a link of many.
class CrowdTest : public NetworkTest {
 protected:
  Interface wide_{[] {
    InterfaceSettings s;
    s.mac = our_mac;
    s.addresses = {{Ip{our4}, 16}};
    return s;
  }()};
  Network crowd_{wide_, Routes{{{*Prefix::parse("0.0.0.0/0"), Ip{Ip4{10, 0, 0, 254}}}}}, pool_.pool(),
                 NetworkSettings{.neighbours = 4096}};

  Sending say(const Ip& to, Instant now = at(0)) {
    Packet p = pool_.pool().alloc();
    Bytes b = tcp(Ip{our4}, to, payload(30));
    store_be<std::uint16_t>(b.data() + 16, 0);
    EXPECT_TRUE(p.append_copy(b, pool_.pool()));
    NeighbourRef hop;
    return crowd_.send_tcp(p, Ip{our4}, to, 0, hop, now);
  }
  void answer(const Ip& from, Instant now) {
    Packet p = packet(pool_.pool(), arp(2, from.v4(), peer_mac, our4, our_mac));
    const Classified c = crowd_.classify(p);
    crowd_.control(std::move(p), c, now);
  }
  std::vector<Ip> asked() { // since the last time
    std::vector<Ip> all;
    rte_mbuf* m[64];
    const std::uint16_t n = crowd_.outbox().take(m, 64);
    for (std::uint16_t i = 0; i < n; ++i)
      if (const Bytes b = bytes_of(Packet{m[i]}); ethernet_of(b).type == ether_type::arp)
        all.push_back(Ip{arp_of(b).target_ip});
    return all;
  }
  std::uint64_t crowd_count(NetCounter c) const { return crowd_.counters().get(c); }
};

// However many neighbours do not answer: together they hold so many packets. A gateway holds its own besides.
TEST_F(CrowdTest, PacketsThatWaitAreBounded) {
  for (std::size_t n = 0; n < 50; ++n)
    for (int i = 0; i < 4; ++i) (void)say(station(n));
  EXPECT_EQ(crowd_.neighbours().waiting(), 64U); // the pool has 1,023
  EXPECT_EQ(crowd_count(NetCounter::drop_resolve_scarce), 200U - 64);
  const Ip beyond{Ip4{192, 0, 2, 7}};
  for (int i = 0; i < 4; ++i) EXPECT_EQ(say(beyond), Sending::waiting);
  (void)asked();
  EXPECT_EQ(pool_.used(), 68U);
  answer(station(0), at(0));
  (void)asked();
  EXPECT_EQ(crowd_.neighbours().waiting(), 64U);
  EXPECT_EQ(say(station(60)), Sending::dropped);
  crowd_.hold(Holding::least);
  for (std::size_t n = 1; n < 50; ++n) crowd_.neighbours().remove(*crowd_.neighbours().find(station(n)));
  EXPECT_EQ(crowd_.neighbours().waiting(), 4U);
  EXPECT_EQ(say(station(70)), Sending::dropped);
  EXPECT_EQ(say(beyond), Sending::waiting);
  crowd_.hold(Holding::usual);
  EXPECT_EQ(say(station(70)), Sending::waiting);
}

// More are met at once than the outbox takes questions: the others are asked in the next milliseconds.
TEST_F(CrowdTest, QuestionsThatFindNoRoomAreAskedAtTheNextTick) {
  for (std::size_t n = 0; n < 150; ++n) (void)say(station(n));
  std::vector<Ip> heard = asked();
  EXPECT_EQ(heard.size(), 64U);
  EXPECT_TRUE(crowd_.asks_wait());
  int ticks = 0;
  for (; crowd_.asks_wait() && ticks < 10; ++ticks) {
    crowd_.tick(at(0));
    const std::vector<Ip> more = asked();
    EXPECT_LE(more.size(), 32U); // what else must leave finds room
    heard.insert(heard.end(), more.begin(), more.end());
  }
  EXPECT_LE(ticks, 5);
  ASSERT_EQ(heard.size(), 150U);
  std::sort(heard.begin(), heard.end(), [](const Ip& a, const Ip& b) { return a.bytes() < b.bytes(); });
  for (std::size_t n = 0; n < 150; ++n) EXPECT_EQ(heard[n], station(n));
  EXPECT_EQ(crowd_count(NetCounter::drop_outbox_full), 0U);
}

// All of them are in use, and were heard of last in one moment: each is asked, and none that answers is given up.
TEST_F(CrowdTest, NeighboursThatAgeTogetherAreAllAsked) {
  constexpr std::size_t many = 600;
  std::vector<Ip> there;
  for (std::size_t n = 0; n < many; ++n) {
    (void)say(station(n));
    (void)asked();
    answer(station(n), at(0));
    (void)asked();
    there.push_back(station(n));
  }
  ASSERT_EQ(crowd_count(NetCounter::neighbours_evicted), 0U);
  std::size_t questions = 0;
  int next_tick = 0;
  for (int ms = 0; ms < 5000; ++ms) {
    const Instant now = at(30) + Duration::ms(ms);
    if (ms % 1000 == 10) {
      for (const Ip& ip : there) {
        EXPECT_EQ(say(ip, now), Sending::ready) << ms;
      }
    }
    if (ms < next_tick && !crowd_.asks_wait()) continue;
    next_tick = ms + 256;
    crowd_.tick(now);
    for (const Ip& ip : asked()) {
      ++questions;
      answer(ip, now);
    }
  }
  EXPECT_EQ(questions, many);
  EXPECT_EQ(crowd_count(NetCounter::drop_outbox_full), 0U);
  for (const Ip& ip : there) EXPECT_NE(crowd_.neighbours().find(ip), nullptr);
}

TEST_F(NetworkTest, ASilentNeighbourIsGivenUpAfterThreeQuestions) {
  NeighbourRef hop;
  EXPECT_EQ(send(Ip{our4}, Ip{peer4}, hop), Sending::waiting);
  std::size_t questions = sent().size();
  for (int s = 1; s < 6; ++s) {
    net_.tick(at(s));
    questions += sent().size();
  }
  EXPECT_EQ(questions, 3U);
  EXPECT_EQ(count(NetCounter::drop_unresolved), 1U);
  EXPECT_EQ(net_.neighbours().find(Ip{peer4}), nullptr);
  EXPECT_EQ(pool_.used(), 0U);
}

TEST_F(NetworkTest, AStaleNeighbourInUseIsProbedByUnicast) {
  NeighbourRef hop;
  EXPECT_EQ(send(Ip{our4}, Ip{peer4}, hop), Sending::waiting);
  receive(arp(2, peer4, peer_mac, our4, our_mac));
  (void)sent();
  net_.tick(at(31));
  net_.tick(at(32));
  EXPECT_TRUE(sent().empty()); // stale and unused: left alone
  EXPECT_EQ(send(Ip{our4}, Ip{peer4}, hop, at(33)), Sending::ready);
  net_.tick(at(33));
  const auto out = sent();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(ethernet_of(out[0]).dst, peer_mac);
  receive(arp(2, peer4, peer_mac, our4, our_mac), at(33));
  for (int s = 34; s < 40; ++s) net_.tick(at(s));
  EXPECT_TRUE(sent().empty());
  EXPECT_NE(net_.neighbours().find(Ip{peer4}), nullptr);
}

TEST_F(NetworkTest, AFullTableEvictsAndOldReferencesSeeIt) {
  NetworkSettings small;
  small.neighbours = 8;
  Network n(self_, {}, pool_.pool(), small);
  std::vector<NeighbourRef> hops(20);
  for (std::size_t i = 0; i < hops.size(); ++i) {
    Packet p = pool_.pool().alloc();
    EXPECT_TRUE(p.append_copy(tcp(our4, peer4), pool_.pool()));
    const Ip to{Ip4{10, 0, 0, static_cast<std::uint8_t>(100 + i)}};
    EXPECT_EQ(n.send_tcp(p, Ip{our4}, to, 0, hops[i], at(static_cast<int>(i))), Sending::waiting);
  }
  EXPECT_EQ(n.counters().get(NetCounter::neighbours_evicted), 12U);
  EXPECT_EQ(n.neighbours().get(hops.front()), nullptr);
  EXPECT_NE(n.neighbours().get(hops.back()), nullptr);
}

TEST_F(NetworkTest, AnnouncesEveryAddress) {
  net_.announce();
  EXPECT_EQ(sent().size(), 3U); // IPv4, IPv6, link-local
}

TEST_F(NetworkTest, OffloadsLeaveThePseudoHeaderSum) {
  NetworkSettings s;
  s.offloads = {true, true, true};
  Network n(self_, {}, pool_.pool(), s);
  Packet q = packet(pool_.pool(), arp(1, peer4, peer_mac, our4));
  const Classified c = n.classify(q);
  n.control(std::move(q), c, at(0));
  Packet p = pool_.pool().alloc();
  Bytes b = tcp(our4, peer4, payload(11));
  store_be<std::uint16_t>(b.data() + 16, 0);
  EXPECT_TRUE(p.append_copy(b, pool_.pool()));
  NeighbourRef hop;
  ASSERT_EQ(n.send_tcp(p, Ip{our4}, Ip{peer4}, 0, hop, at(0)), Sending::ready);
  EXPECT_EQ(p.mbuf()->ol_flags, RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM);
  EXPECT_EQ(p.mbuf()->l2_len, 14);
  EXPECT_EQ(p.mbuf()->l3_len, 20);
  EXPECT_EQ(p.mbuf()->l4_len, 20);
  std::uint16_t partial;
  std::memcpy(&partial, p.data() + 34 + 16, 2);
  EXPECT_EQ(partial, wire::fold(wire::pseudo_sum(our4, peer4, protocol::tcp, 31)));
}

// What the port is to cut is the port's to sum, whatever else is: over a pseudo header without a length.
TEST_F(NetworkTest, PackOfSegmentsIsLeftToThePort) {
  Network n(self_, {}, pool_.pool(), {});
  Packet q = packet(pool_.pool(), arp(1, peer4, peer_mac, our4));
  const Classified c = n.classify(q);
  n.control(std::move(q), c, at(0));
  for (const bool v6 : {false, true}) {
    Packet p = pool_.pool().alloc();
    Bytes b = tcp(our4, peer4, payload(1000));
    store_be<std::uint16_t>(b.data() + 16, 0);
    ASSERT_TRUE(p.append_copy(b, pool_.pool()));
    Packet behind = pool_.pool().alloc();
    ASSERT_TRUE(behind.append_copy(payload(1000), pool_.pool()) && p.chain(std::move(behind)));
    p.mbuf()->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM;
    p.mbuf()->tx_offload = rte_mbuf_tx_offload(0, 0, 0, 1000, 0, 0, 0);
    std::uint64_t pseudo = wire::pseudo_sum(our4, peer4, protocol::tcp, 0);
    if (v6) {
      ASSERT_TRUE(encapsulate6(p, {}, our6, peer6, 0, {}));
      pseudo = wire::pseudo_sum_v6(our6, peer6, protocol::tcp, 0);
    } else {
      NeighbourRef hop;
      ASSERT_EQ(n.send_tcp(p, Ip{our4}, Ip{peer4}, 0, hop, at(0)), Sending::ready);
    }
    EXPECT_EQ(p.mbuf()->ol_flags,
              RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM |
                  (v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM));
    const std::uint16_t l3 = v6 ? 40 : 20;
    EXPECT_EQ(p.mbuf()->tx_offload, rte_mbuf_tx_offload(14, l3, 20, 1000, 0, 0, 0));
    std::uint16_t partial;
    std::memcpy(&partial, p.data() + 14 + l3 + 16, 2);
    EXPECT_EQ(partial, wire::fold(pseudo));
    if (!v6) {
      EXPECT_EQ(load_be<std::uint16_t>(p.data() + 14 + 10), 0); // IP's
    }
  }
}

TEST(NetCounters, AllHaveNames) {
  EXPECT_EQ(name_of(NetCounter::drop_truncated), "drop_truncated");
  EXPECT_EQ(name_of(NetCounter::address_conflicts), "address_conflicts");
}

} // namespace network_test
} // namespace tern::net
