#include "net/network.hpp"

#include <gtest/gtest.h>

#include "frames.hpp"

namespace tern::net {
namespace {

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
    store(b.data() + 16, Be16{});
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
  const auto e = load<EtherHeader>(out[0].data());
  const auto m = load<ArpMessage>(out[0].data() + 14);
  EXPECT_EQ(e.dst, peer_mac);
  EXPECT_EQ(m.operation.host(), 2);
  EXPECT_EQ(m.sender_mac, our_mac);
  EXPECT_EQ(m.sender, our4);
  EXPECT_EQ(m.target, peer4);
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
  constexpr Mac moved = {2, 0, 0, 0, 0, 0x77};
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
    EXPECT_EQ(load<EtherHeader>(b.data()).dst, peer_mac);
    const auto h = load<Ipv4Header>(b.data() + 14);
    EXPECT_EQ(h.src, our4);
    EXPECT_EQ(h.dst, peer4);
    EXPECT_TRUE(wire::sum_is_valid(wire::sum_bytes(b.data() + 14, 20)));
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
            ip6(protocol::icmp6, icmp6(128, payload(33), peer6, to, 0x00010002), peer6, to));
    const auto out = sent();
    ASSERT_EQ(out.size(), 1U);
    const auto h = load<Ipv6Header>(out[0].data() + 14);
    EXPECT_EQ(Ip{h.src}, our6);
    EXPECT_EQ(Ip{h.dst}, peer6);
    EXPECT_EQ(Bytes(out[0].begin() + 54, out[0].end()), icmp6(129, payload(33), our6, peer6, 0x00010002));
  }
}

Bytes solicitation(const Ip& src, const Ip& target, std::uint8_t hop_limit = 255, bool option = true,
                   std::uint8_t units = 1) {
  NeighbourMessage m;
  m.target = target.bytes();
  m.option_type = 1;
  m.option_length = units;
  m.option_mac = peer_mac;
  Bytes rest = bytes_of(m);
  rest.erase(rest.begin(), rest.begin() + 8);
  if (!option) rest.resize(16);
  const Ip dst = solicited_node(target);
  return ether(ether_type::ipv6, multicast_mac(dst)) +
         ip6(protocol::icmp6, icmp6(135, rest, src, dst), src, dst, hop_limit);
}

TEST_F(NetworkTest, NeighbourSolicitationIsAnsweredAndTheAskerLearnt) {
  receive(solicitation(peer6, our6));
  const auto out = sent();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(load<EtherHeader>(out[0].data()).dst, peer_mac);
  const auto h = load<Ipv6Header>(out[0].data() + 14);
  const auto m = load<NeighbourMessage>(out[0].data() + 54);
  EXPECT_EQ(h.hop_limit, 255);
  EXPECT_EQ(m.icmp.type, 136);
  EXPECT_EQ(m.icmp.rest.host(), 0x60000000U);
  EXPECT_EQ(Ip{m.target}, our6);
  EXPECT_EQ(m.option_mac, our_mac);
  EXPECT_TRUE(wire::sum_is_valid(wire::pseudo_sum_v6(our6, peer6, protocol::icmp6, 32) +
                                 wire::sum_bytes(out[0].data() + 54, 32)));
  EXPECT_NE(net_.neighbours().find(peer6), nullptr);
  receive(solicitation(peer6, link_local_of(our_mac)));
  EXPECT_EQ(sent().size(), 1U);
}

TEST_F(NetworkTest, DuplicateAddressDetectionIsAnsweredToAll) {
  receive(solicitation(Ip{}, our6, 255, false));
  const auto out = sent();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(Ip{load<Ipv6Header>(out[0].data() + 14).dst}, *Ip::parse("ff02::1"));
  receive(solicitation(Ip{}, our6)); // with an option it is malformed
  EXPECT_EQ(count(NetCounter::drop_nd_malformed), 1U);
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
  EXPECT_EQ(load<EtherHeader>(out[0].data()).dst, broadcast_mac);
  EXPECT_EQ(load<ArpMessage>(out[0].data() + 14).target, peer4);
  receive(arp(2, peer4, peer_mac, our4, our_mac));
  out = sent();
  ASSERT_EQ(out.size(), 4U);
  std::uint16_t id = load<Ipv4Header>(out[0].data() + 14).id.host();
  for (const Bytes& b : out) {
    EXPECT_EQ(load<EtherHeader>(b.data()).dst, peer_mac);
    EXPECT_EQ(load<Ipv4Header>(b.data() + 14).id.host(), id++);
  }
  EXPECT_EQ(send(Ip{our4}, Ip{peer4}, hop), Sending::ready);
  EXPECT_TRUE(wire::sum_is_valid(wire::sum_bytes(ready_.data() + 14, 20)));
  EXPECT_EQ(load<Ipv4Header>(ready_.data() + 14).tos, 2);
  EXPECT_TRUE(wire::tcp_checksum_ok(our4, peer4, std::span(ready_).subspan(34)));
}

TEST_F(NetworkTest, SegmentsWaitForNeighbourDiscovery) {
  NeighbourRef hop;
  EXPECT_EQ(send(our6, peer6, hop), Sending::waiting);
  auto out = sent();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(load<EtherHeader>(out[0].data()).dst, multicast_mac(solicited_node(peer6)));
  NeighbourMessage m;
  m.target = peer6.bytes();
  m.option_type = 2;
  m.option_mac = peer_mac;
  Bytes rest = bytes_of(m);
  rest.erase(rest.begin(), rest.begin() + 8);
  receive(ether(ether_type::ipv6) +
          ip6(protocol::icmp6, icmp6(136, rest, peer6, our6, 0x60000000), peer6, our6, 255));
  out = sent();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_TRUE(wire::tcp_checksum_ok(our6, peer6, std::span(out[0]).subspan(54)));
}

TEST_F(NetworkTest, OffLinkGoesToTheGatewayAndNoRouteIsADrop) {
  NeighbourRef hop;
  EXPECT_EQ(send(Ip{our4}, Ip{Ip4{192, 0, 2, 7}}, hop), Sending::waiting);
  EXPECT_EQ(load<ArpMessage>(sent().at(0).data() + 14).target, (Ip4{10, 0, 0, 254}));
  NeighbourRef none;
  EXPECT_EQ(send(our6, *Ip::parse("2001:db8::1"), none), Sending::dropped);
  EXPECT_EQ(count(NetCounter::drop_no_route), 1U);
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
  EXPECT_EQ(load<EtherHeader>(out[0].data()).dst, peer_mac);
  net_.confirm(hop, at(33)); // the peer acknowledged data meanwhile
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
  store(b.data() + 16, Be16{});
  EXPECT_TRUE(p.append_copy(b, pool_.pool()));
  NeighbourRef hop;
  ASSERT_EQ(n.send_tcp(p, Ip{our4}, Ip{peer4}, 0, hop, at(0)), Sending::ready);
  EXPECT_EQ(p.mbuf()->ol_flags, RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM);
  EXPECT_EQ(p.mbuf()->l2_len, 14);
  EXPECT_EQ(p.mbuf()->l3_len, 20);
  EXPECT_EQ(p.mbuf()->l4_len, 20);
  EXPECT_EQ(load<Be16>(p.data() + 34 + 16).raw(),
            wire::fold(wire::pseudo_sum(our4, peer4, protocol::tcp, 31)));
}

TEST(NetCounters, AllHaveNames) {
  EXPECT_EQ(name_of(NetCounter::drop_truncated), "drop_truncated");
  EXPECT_EQ(name_of(NetCounter::address_conflicts), "address_conflicts");
}

} // namespace
} // namespace tern::net
