#include "sim/network.hpp"

#include <gtest/gtest.h>

#include "frames.hpp"

namespace tern::sim {
namespace network_test {

struct Probe {
  Attachment wire;
  std::vector<std::pair<Instant, Frame>> got;
  std::vector<Instant> woken;
  void attached(const Attachment& a) { wire = a; }
  void receive(Bytes b) { got.emplace_back(wire.now(), Frame(b.begin(), b.end())); }
  void wake() { woken.push_back(wire.now()); }
};
static_assert(Host<Probe>);

const Ip4 ip_a{10, 0, 0, 1};
const Ip4 ip_b{10, 0, 0, 2};
const Ip4 ip_r{10, 0, 0, 254};

struct Pair {
  explicit Pair(const LinkSettings& s, std::uint64_t seed = 1) : net(seed) {
    na = net.add_host("A", ip_a, a);
    nb = net.add_host("B", ip_b, b);
    ab = net.add_link(na, nb, s);
  }
  Network net;
  Probe a, b;
  NodeId na = 0, nb = 0;
  LinkId ab = 0;
};

Instant at_ms(std::int64_t n) {
  return Instant{} + Duration::ms(n);
}

TEST(Network, CarriesAPacketAfterItsDelay) {
  LinkSettings s;
  s.delay = Duration::ms(5);
  Pair p{s};
  const Frame f = test::segment(ip_a, ip_b, test::tcp(), 10);
  p.a.wire.send(f);
  EXPECT_TRUE(p.net.run_to_rest(at_ms(1000)));
  ASSERT_EQ(p.b.got.size(), 1u);
  EXPECT_EQ(p.b.got[0].first, at_ms(5));
  EXPECT_EQ(p.b.got[0].second, f);
}

TEST(Network, RoutesOverARouterAndTellsTheSenderWhatDoesNotFit) {
  Network net{1};
  Probe a;
  Probe b;
  const NodeId na = net.add_host("A", ip_a, a);
  const NodeId r = net.add_router("R", ip_r);
  const NodeId nb = net.add_host("B", ip_b, b);
  LinkSettings wide;
  LinkSettings narrow;
  narrow.mtu = 576;
  net.add_link(na, r, wide);
  const LinkId second = net.add_link(r, nb, narrow);
  a.wire.send(test::segment(ip_a, ip_b, test::tcp(), 536));
  a.wire.send(test::segment(ip_a, ip_b, test::tcp(77), 537));
  net.run_for(Duration::ms(10));
  ASSERT_EQ(b.got.size(), 1u);
  EXPECT_EQ(b.got[0].first, at_ms(2));
  ASSERT_EQ(a.got.size(), 1u);
  const auto ip = view_ip(a.got[0].second);
  ASSERT_TRUE(ip);
  const auto icmp = view_icmp(*ip);
  ASSERT_TRUE(icmp);
  EXPECT_EQ(icmp->type, 3);
  EXPECT_EQ(icmp->code, 4);
  EXPECT_EQ(icmp->mtu, 576);
  EXPECT_EQ(icmp->inner_seq, Seq{77});
  EXPECT_EQ(icmp->inner_dst, ip_b);

  net.link(second).settings().icmp = false; // a black hole says nothing
  a.wire.send(test::segment(ip_a, ip_b, test::tcp(), 600));
  net.run_for(Duration::ms(10));
  EXPECT_EQ(a.got.size(), 1u);
  EXPECT_EQ(b.got.size(), 1u);
}

TEST(Network, DamageNeverTouchesTheOtherCopy) {
  LinkSettings s;
  s.duplicate = 1;
  s.corrupt = 0.5;
  Pair p{s};
  const Frame f = test::segment(ip_a, ip_b, test::tcp(), 100);
  for (int i = 0; i < 200; ++i) p.a.wire.send(f);
  p.net.run_for(Duration::seconds(1));
  ASSERT_EQ(p.b.got.size(), 400u);
  int whole = 0;
  for (const auto& [when, frame] : p.b.got) whole += frame == f;
  EXPECT_NEAR(whole, 200, 40);
}

TEST(Network, MarksCeWhenTheQueueIsLongAndThePacketCanSayIt) {
  LinkSettings s;
  s.bits_per_second = 1'000'000;
  s.mark_packets = 2;
  Pair p{s};
  for (int i = 0; i < 4; ++i)
    p.a.wire.send(test::segment(ip_a, ip_b, test::tcp(), 100, i == 3 ? Ecn::not_ect : Ecn::ect0));
  p.net.run_for(Duration::seconds(1));
  ASSERT_EQ(p.b.got.size(), 4u);
  const Ecn expected[] = {Ecn::ect0, Ecn::ect0, Ecn::ce, Ecn::not_ect};
  for (std::size_t i = 0; i < 4; ++i) {
    const auto ip = view_ip(p.b.got[i].second); // the header checksum followed
    ASSERT_TRUE(ip);
    EXPECT_EQ(ip->ecn, expected[i]) << i;
  }
}

TEST(Network, AlarmsAndCallsComeOnTime) {
  Pair p{{}};
  p.a.wire.wake_at(at_ms(30));
  p.a.wire.wake_at(at_ms(10)); // takes the later one's place
  p.a.wire.wake_at(at_ms(20)); // changes nothing
  int called = 0;
  p.net.at(at_ms(15), [&] { ++called; });
  p.net.run_until(at_ms(12));
  EXPECT_EQ(p.a.woken, std::vector{at_ms(10)});
  EXPECT_EQ(called, 0);
  EXPECT_EQ(p.net.now(), at_ms(12));
  p.net.run_until(at_ms(100));
  EXPECT_EQ(called, 1);
  EXPECT_EQ(p.a.woken.size(), 1u);
}

TEST(Network, PacketForNobodyIsDroppedWithItsReason) {
  Pair p{{}};
  Drop why = Drop::none;
  p.net.watch = [&](const Sighting& s) {
    if (s.what == Sighting::What::dropped) why = s.why;
  };
  p.a.wire.send(test::segment(ip_a, Ip4{192, 0, 2, 1}, test::tcp()));
  EXPECT_EQ(why, Drop::no_route);
}

TEST(Network, InjectedPacketAppearsAtItsDestination) {
  Pair p{{}};
  p.net.inject(test::segment(ip_a, ip_b, test::tcp()), Duration::ms(3));
  p.net.run_for(Duration::ms(3));
  EXPECT_EQ(p.b.got.size(), 1u);
}

} // namespace network_test
} // namespace tern::sim
