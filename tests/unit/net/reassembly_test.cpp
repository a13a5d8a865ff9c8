// Fragments put together, and what is refused; the errors that we send and hear.
#include "net/reassembly.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "frames.hpp"
#include "net/network.hpp"

namespace tern::net {
namespace reassembly_test {

using namespace test;
using tern::test::TestPool;

Instant at(int seconds) {
  return Instant{} + Duration::seconds(1000 + seconds);
}

struct Slice {
  std::size_t from = 0;
  std::size_t to = 0;
};

class ReassemblyTest : public ::testing::Test {
 protected:
  TestPool pool_{2047};
  Interface self_{[] {
    InterfaceSettings s;
    s.mac = our_mac;
    s.addresses = {{Ip{our4}, 24}, {our6, 64}};
    return s;
  }()};
  Network net_{self_, {}, pool_.pool(), NetworkSettings{}};

  static Bytes slice4(const Bytes& all, Slice s, std::uint16_t id = 7, std::uint8_t proto = protocol::tcp) {
    const Bytes body(all.begin() + static_cast<std::ptrdiff_t>(s.from),
                     all.begin() + static_cast<std::ptrdiff_t>(s.to));
    return ether(ether_type::ipv4) +
           ip4(proto, body, peer4, our4, {}, {static_cast<std::uint16_t>(s.from), s.to != all.size()}, id);
  }
  static Bytes slice6(const Bytes& all, Slice s, std::uint32_t id = 7, bool extension = false) {
    Bytes header(8);
    header[0] = std::byte{protocol::tcp};
    store_be(header.data() + 2, static_cast<std::uint16_t>(s.from | (s.to != all.size() ? 1 : 0)));
    store_be(header.data() + 4, id);
    const Bytes body(all.begin() + static_cast<std::ptrdiff_t>(s.from),
                     all.begin() + static_cast<std::ptrdiff_t>(s.to));
    if (!extension) return ether(ether_type::ipv6) + ip6(protocol::fragment, header + body);
    Bytes options(8);
    options[0] = std::byte{protocol::fragment};
    return ether(ether_type::ipv6) + ip6(protocol::destination_options, options + header + body);
  }
  void receive(const Bytes& frame, Instant now = at(0), std::size_t piece = SIZE_MAX) {
    Packet p = packet(pool_.pool(), frame, piece);
    const Classified c = net_.classify(p);
    if (c.kind != Kind::drop) net_.control(std::move(p), c, now);
  }
  // What came together, as classify sees it: its whole frame.
  std::vector<Bytes> whole() {
    std::vector<Bytes> out;
    rte_mbuf* m[32];
    const std::uint16_t n = net_.take_whole(m, 32);
    for (std::uint16_t i = 0; i < n; ++i) {
      Packet p{m[i]};
      out.push_back(bytes_of(p));
      const Classified c = net_.classify(p);
      EXPECT_EQ(c.kind, Kind::tcp);
      EXPECT_GE(p.data_length(), c.l4_offset + 20);
    }
    return out;
  }
  std::vector<Bytes> sent() {
    std::vector<Bytes> out;
    rte_mbuf* m[64];
    const std::uint16_t n = net_.outbox().take(m, 64);
    for (std::uint16_t i = 0; i < n; ++i) out.push_back(bytes_of(Packet{m[i]}));
    return out;
  }
  std::uint64_t count(NetCounter c) const { return net_.counters().get(c); }
};

TEST_F(ReassemblyTest, InAnyOrderTheSegmentIsWhole) {
  const Bytes seg4 = tcp(peer4, our4, payload(3000));
  const Bytes seg6 = tcp(peer6, our6, payload(3000));
  std::vector<Slice> cuts = {{0, 800}, {800, 1600}, {1600, 2400}, {2400, seg4.size()}};
  std::sort(cuts.begin(), cuts.end(), [](Slice a, Slice b) { return a.from < b.from; });
  do {
    for (const Slice s : cuts) receive(slice4(seg4, s));
    auto out = whole();
    ASSERT_EQ(out.size(), 1U);
    EXPECT_EQ(Bytes(out[0].begin() + 34, out[0].end()), seg4);
    EXPECT_FALSE(ip4_of(out[0]).is_fragment());
    for (const bool extension : {false, true}) {
      for (const Slice s : cuts) receive(slice6(seg6, s, 9, extension), at(0), extension ? 61 : SIZE_MAX);
      out = whole();
      ASSERT_EQ(out.size(), 1U);
      EXPECT_EQ(Bytes(out[0].end() - static_cast<std::ptrdiff_t>(seg6.size()), out[0].end()), seg6);
      EXPECT_EQ(ip6_of(out[0]).fragment_header, 0);
    }
  } while (std::next_permutation(cuts.begin(), cuts.end(), [](Slice a, Slice b) { return a.from < b.from; }));
  EXPECT_EQ(pool_.used(), 0U);
}

TEST_F(ReassemblyTest, SmallestPiecesAndIpOptions) {
  const Bytes seg = tcp(peer4, our4, payload(300));
  for (std::size_t i = 0; i < seg.size(); i += 8) receive(slice4(seg, {i, std::min(i + 8, seg.size())}));
  ASSERT_EQ(whole().size(), 1U);
  const Bytes options = {std::byte{148}, std::byte{4}, std::byte{0}, std::byte{0}};
  const Bytes head(seg.begin(), seg.begin() + 64);
  receive(ether(ether_type::ipv4) + ip4(protocol::tcp, head, peer4, our4, options, {0, true}, 7));
  receive(slice4(seg, {64, seg.size()}));
  const auto out = whole();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(ip4_of(out[0]).options.size(), 4U);
}

TEST_F(ReassemblyTest, DatagramsAreToldApart) {
  const Bytes seg = tcp(peer4, our4, payload(1000));
  receive(slice4(seg, {0, 512}, 1));
  receive(slice4(seg, {512, seg.size()}, 2));
  receive(slice4(seg, {512, seg.size()}, 1, protocol::icmp)); // another protocol
  EXPECT_TRUE(whole().empty());
  receive(slice4(seg, {512, seg.size()}, 1));
  EXPECT_EQ(whole().size(), 1U);
}

TEST_F(ReassemblyTest, ARepetitionIsPassedOverAnOverlapForgetsTheDatagram) {
  const Bytes seg = tcp(peer4, our4, payload(1000));
  receive(slice4(seg, {0, 512}));
  receive(slice4(seg, {0, 512}));
  EXPECT_EQ(count(NetCounter::drop_fragment_again), 1U);
  receive(slice4(seg, {512, seg.size()}));
  EXPECT_EQ(whole().size(), 1U);
  // Teardrop: inside another, across its end, before its start; and a second end.
  for (const Slice bad : {Slice{64, 128}, Slice{448, 640}, Slice{0, 520}, Slice{504, 512}}) {
    const std::uint64_t before = count(NetCounter::drop_fragment);
    receive(slice4(seg, {0, 512}));
    receive(slice4(seg, bad));
    EXPECT_EQ(count(NetCounter::drop_fragment), before + 1);
    EXPECT_EQ(pool_.used(), 0U);
    receive(slice4(seg, {512, seg.size()})); // whatever still comes of it is dropped too
    receive(slice4(seg, {0, 512}));
    EXPECT_TRUE(whole().empty());
    net_.tick(at(40)); // the memory of it ends
  }
  const Bytes shorter(seg.begin(), seg.begin() + 800);
  receive(slice4(seg, {512, seg.size()}, 3));
  receive(slice4(shorter, {512, 800}, 3));
  receive(slice4(seg, {0, 512}, 3));
  EXPECT_TRUE(whole().empty());
}

TEST_F(ReassemblyTest, NothingGoesPastTheLargestPacket) {
  // 65,515 bytes fit behind an IPv4 header; "ping of death" ends past them.
  Bytes big(65528 + 8);
  receive(slice4(big, {0, 1024}, 4));
  receive(slice4(big, {65512, 65528}, 4));
  EXPECT_EQ(count(NetCounter::drop_fragment), 1U);
  // Fits by itself, and not behind the longer header of the first.
  const Bytes all(65512);
  const Bytes options(40, std::byte{1});
  const Bytes head(all.begin(), all.begin() + 1024);
  receive(ether(ether_type::ipv4) + ip4(protocol::tcp, head, peer4, our4, options, {0, true}, 5));
  for (std::size_t i = 1024; i < all.size(); i += 1400)
    receive(slice4(all, {i, std::min(i + 1400, all.size())}, 5));
  EXPECT_EQ(count(NetCounter::drop_fragment), 2U);
  EXPECT_TRUE(whole().empty());
}

TEST_F(ReassemblyTest, MemoryIsBoundedTheOldestGivesWay) {
  const Bytes seg = tcp(peer4, our4, payload(1000));
  for (std::uint16_t id = 0; id < 200; ++id) receive(slice4(seg, {0, 512}, id), at(id / 10));
  EXPECT_EQ(count(NetCounter::datagrams_evicted), 200U - 64U);
  EXPECT_EQ(pool_.used(), 64U);
  receive(slice4(seg, {512, seg.size()}, 199), at(20));
  EXPECT_EQ(whole().size(), 1U);
  receive(slice4(seg, {512, seg.size()}, 0), at(20));
  EXPECT_TRUE(whole().empty());
  // By bytes too: full datagrams of large pieces.
  const Bytes large(60'000);
  for (std::uint16_t id = 300; id < 340; ++id)
    for (std::size_t i = 0; i < 58'000; i += 1400) receive(slice4(large, {i, i + 1400}, id), at(21));
  EXPECT_LT(pool_.used(), 1024U * 1024U / 2048U + 1U);
  for (int i = 0; i < 200; ++i) net_.tick(at(100));
  EXPECT_EQ(pool_.used(), static_cast<unsigned>(net_.outbox().size()));
  (void)sent();
}

// Fragments pin packets that others need: when these run short none is kept, and then none is held.
TEST_F(ReassemblyTest, NoneIsHeldWhilePacketsAreFew) {
  const Bytes seg = tcp(peer4, our4, payload(1000));
  for (std::uint16_t id = 0; id < 10; ++id) receive(slice4(seg, {0, 512}, id));
  EXPECT_EQ(pool_.used(), 10U);
  net_.hold(Holding::no_fragments);
  receive(slice4(seg, {0, 512}, 20));
  EXPECT_EQ(pool_.used(), 10U);
  EXPECT_EQ(count(NetCounter::drop_fragment_scarce), 1U);
  net_.hold(Holding::least);
  EXPECT_EQ(pool_.used(), 0U);
  EXPECT_EQ(count(NetCounter::drop_fragment_scarce), 11U);
  net_.hold(Holding::usual);
  receive(slice4(seg, {512, seg.size()}, 0)); // its first is gone
  EXPECT_TRUE(whole().empty());
  receive(slice4(seg, {0, 512}, 20));
  receive(slice4(seg, {512, seg.size()}, 20));
  EXPECT_EQ(whole().size(), 1U);
}

TEST_F(ReassemblyTest, WhatIsNeverWholeIsForgottenAndItsSenderTold) {
  const Bytes seg = tcp(peer4, our4, payload(1000));
  receive(slice4(seg, {0, 512}));
  receive(slice4(seg, {512, seg.size()}, 8)); // without its first: nobody is told
  receive(slice6(tcp(peer6, our6, payload(1000)), {0, 512}));
  net_.tick(at(29));
  EXPECT_NE(pool_.used(), 0U);
  net_.tick(at(31));
  EXPECT_EQ(count(NetCounter::datagrams_timed_out), 3U);
  const auto out = sent();
  ASSERT_EQ(out.size(), 2U);
  wire::IcmpMessage m;
  ASSERT_EQ(wire::parse_icmp(std::span(out[0]).subspan(34), m), wire::Verdict::ok);
  EXPECT_EQ(m.type, wire::icmp_type::time_exceeded);
  EXPECT_EQ(m.code, 1);
  wire::Icmpv6 m6;
  const auto h = ip6_of(out[1]);
  ASSERT_EQ(wire::parse_icmpv6(std::span(out[1]).subspan(54), h.src, h.dst, 64, m6), wire::Verdict::ok);
  EXPECT_EQ(m6.message.type, wire::icmpv6_type::time_exceeded);
  EXPECT_EQ(pool_.used(), 0U);
}

TEST_F(ReassemblyTest, CongestionSeenByOneWasSeenByAll) {
  const Bytes seg = tcp(peer4, our4, payload(1000));
  const auto marked = [&](Slice s, unsigned ecn, std::uint16_t id) {
    Bytes f = slice4(seg, s, id);
    f[15] = static_cast<std::byte>(ecn);
    store_be<std::uint16_t>(f.data() + 24, 0);
    const Be16 sum = wire::finish(wire::sum_bytes(f.data() + 14, 20));
    std::memcpy(f.data() + 24, &sum, 2);
    receive(f);
  };
  marked({0, 512}, 2, 1);
  marked({512, seg.size()}, 3, 1);
  auto out = whole();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(ip4_of(out[0]).ecn(), 3);
  marked({0, 512}, 0, 2);
  marked({512, seg.size()}, 3, 2); // one that could not be marked beside one that was
  EXPECT_TRUE(whole().empty());
}

TEST_F(ReassemblyTest, AnotherHoldersBytesStayAsTheyAre) {
  const Bytes seg = tcp(peer4, our4, payload(1000));
  Packet p = packet(pool_.pool(), slice4(seg, {0, 512}));
  const Packet theirs = p.same();
  const Bytes before = bytes_of(theirs);
  const Classified c = net_.classify(p);
  net_.control(std::move(p), c, at(0));
  receive(slice4(seg, {512, seg.size()}));
  EXPECT_EQ(whole().size(), 1U);
  EXPECT_EQ(bytes_of(theirs), before);
}

TEST_F(ReassemblyTest, AnEchoLargerThanAFrameIsAnsweredInFragments) {
  const Bytes four = icmp4(8, payload(4000));
  for (std::size_t i = 0; i < four.size(); i += 1480)
    receive(slice4(four, {i, std::min(i + 1480, four.size())}, 3, protocol::icmp));
  rte_mbuf* m[4];
  ASSERT_EQ(net_.take_whole(m, 4), 1);
  Packet p{m[0]};
  const Classified c = net_.classify(p);
  ASSERT_EQ(c.kind, Kind::icmp);
  net_.control(std::move(p), c, at(0));
  const auto out = sent();
  ASSERT_EQ(out.size(), 3U);
  Bytes together;
  for (const Bytes& b : out) {
    const auto h = ip4_of(b);
    EXPECT_EQ(h.src, our4);
    EXPECT_EQ(h.fragment_offset, together.size());
    EXPECT_EQ(h.more_fragments, together.size() + b.size() - 34 < four.size());
    EXPECT_EQ(h.identification, ip4_of(out[0]).identification);
    EXPECT_LE(b.size(), 1514U);
    together.insert(together.end(), b.begin() + 34, b.end());
  }
  EXPECT_EQ(together, icmp4(0, payload(4000)));
}

// ---- Errors that we send

TEST_F(ReassemblyTest, UdpToUsMeetsPortUnreachable) {
  receive(ether(ether_type::ipv4) + ip4(protocol::udp, payload(700)));
  receive(ether(ether_type::ipv6) + ip6(protocol::udp, payload(1400)));
  receive(ether(ether_type::ipv4) + ip4(132, payload(20)));
  receive(ether(ether_type::ipv6) + ip6(132, payload(20)));
  const auto out = sent();
  ASSERT_EQ(out.size(), 4U);
  wire::IcmpMessage m;
  ASSERT_EQ(wire::parse_icmp(std::span(out[0]).subspan(34), m), wire::Verdict::ok);
  EXPECT_EQ(m.type, wire::icmp_type::unreachable);
  EXPECT_EQ(m.code, 3);
  EXPECT_EQ(out[0].size(), 14U + 576U);
  EXPECT_EQ(ip4_of(out[0]).src, our4);
  EXPECT_EQ(ip4_of(out[0]).dst, peer4);
  EXPECT_EQ(ethernet_of(out[0]).dst, peer_mac);
  const auto of6 = [](const Bytes& b) {
    const auto h = ip6_of(b);
    wire::Icmpv6 six;
    EXPECT_EQ(wire::parse_icmpv6(std::span(b).subspan(54), h.src, h.dst, 64, six), wire::Verdict::ok);
    return six.message;
  };
  EXPECT_EQ(of6(out[1]).type, wire::icmpv6_type::unreachable);
  EXPECT_EQ(of6(out[1]).code, 4);
  EXPECT_EQ(out[1].size(), 14U + 1280U);
  ASSERT_EQ(wire::parse_icmp(std::span(out[2]).subspan(34), m), wire::Verdict::ok);
  EXPECT_EQ(m.code, 2);
  EXPECT_EQ(of6(out[3]).type, wire::icmpv6_type::parameter_problem);
  EXPECT_EQ(of6(out[3]).pointer, 6U);
  EXPECT_EQ(count(NetCounter::drop_protocol), 4U);
}

TEST_F(ReassemblyTest, ErrorsAreLimitedAndNeverAboutWhatWasSentToMany) {
  receive(ether(ether_type::ipv4, broadcast_mac) + ip4(protocol::udp, payload(20)));
  receive(ether(ether_type::ipv4, broadcast_mac) +
          ip4(protocol::udp, payload(20), peer4, Ip4{10, 0, 0, 255}));
  receive(ether(ether_type::ipv4) + ip4(protocol::udp, payload(20), Ip4{10, 0, 0, 255}));
  EXPECT_TRUE(sent().empty());
  std::size_t n = 0;
  for (int i = 0; i < 500; ++i) {
    receive(ether(ether_type::ipv4) + ip4(protocol::udp, payload(20)));
    n += sent().size();
  }
  EXPECT_EQ(n, 100U);
  EXPECT_EQ(count(NetCounter::icmp_errors_limited), 400U);
  receive(ether(ether_type::ipv4) + ip4(protocol::udp, payload(20)), at(2));
  EXPECT_EQ(sent().size(), 1U);
}

// ---- Errors that we hear

Bytes error4(std::uint8_t type, std::uint8_t code, std::uint32_t word, const Bytes& quoted) {
  Bytes b(8);
  b[0] = std::byte{type};
  b[1] = std::byte{code};
  store_be(b.data() + 4, word);
  b = b + quoted;
  const Be16 sum = wire::finish(wire::sum_bytes(b));
  std::memcpy(b.data() + 2, &sum, 2);
  return ether(ether_type::ipv4) + ip4(protocol::icmp, b, Ip4{192, 0, 2, 1}, our4);
}

TEST_F(ReassemblyTest, AnErrorAboutOurSegmentRises) {
  const Bytes whole_quote = ip4(protocol::tcp, tcp(our4, peer4, payload(40)), our4, peer4);
  const Bytes eight(whole_quote.begin(), whole_quote.begin() + 28);
  std::vector<TcpError> heard;
  const auto take = [&] { net_.take_errors([&](const TcpError& e) { heard.push_back(e); }); };
  for (const std::size_t piece : {SIZE_MAX, std::size_t{13}}) {
    receive(error4(3, 4, 1400, eight), at(0), piece);
    receive(error4(3, 4, 0, whole_quote), at(0), piece); // a router older than RFC 1191
    receive(error4(3, 3, 0, eight), at(0), piece);
    receive(error4(3, 2, 0, eight), at(0), piece);
    receive(error4(3, 0, 0, eight), at(0), piece);
    receive(error4(3, 13, 0, eight), at(0), piece);
    receive(error4(11, 0, 0, eight), at(0), piece); // soft: counted, no more
    EXPECT_TRUE(net_.has_risen());
    take();
    EXPECT_FALSE(net_.has_risen());
    ASSERT_EQ(heard.size(), 6U);
    EXPECT_EQ(heard[0].what, TcpError::What::too_big);
    EXPECT_EQ(heard[0].mtu, 1400U);
    EXPECT_EQ(heard[0].quoted.src, Ip{our4});
    EXPECT_EQ(heard[0].quoted.dst_port, Port{80});
    EXPECT_EQ(heard[1].mtu, 576U);
    EXPECT_EQ(heard[2].what, TcpError::What::refused);     // port
    EXPECT_EQ(heard[3].what, TcpError::What::refused);     // protocol
    EXPECT_EQ(heard[4].what, TcpError::What::unreachable); // network
    EXPECT_EQ(heard[5].what, TcpError::What::unreachable); // by a firewall
    heard.clear();
  }
  const Bytes six = ip6(protocol::tcp, tcp(our6, peer6, payload(40)), our6, peer6);
  receive(ether(ether_type::ipv6) + ip6(protocol::icmpv6, icmp6(2, six, peer6, our6, 1300)));
  receive(ether(ether_type::ipv6) +
          ip6(protocol::icmpv6, icmp6(2, six, peer6, our6, 100))); // below RFC 8200's least
  receive(ether(ether_type::ipv6) + ip6(protocol::icmpv6, icmp6(1, six, peer6, our6)));
  take();
  ASSERT_EQ(heard.size(), 3U);
  EXPECT_EQ(heard[0].mtu, 1300U);
  EXPECT_EQ(heard[1].mtu, 1280U);
  EXPECT_EQ(heard[2].what, TcpError::What::unreachable);
  EXPECT_EQ(count(NetCounter::icmp_errors_in), 17U);
}

TEST_F(ReassemblyTest, ErrorsAboutNothingOfOursAreDropped) {
  const Bytes quote = ip4(protocol::tcp, tcp(our4, peer4), our4, peer4);
  receive(error4(3, 4, 1400, Bytes(quote.begin(), quote.begin() + 27)));
  receive(error4(3, 4, 1400, {}));
  receive(error4(3, 4, 1400, ip4(protocol::tcp, tcp(peer4, our4), peer4, our4)));           // not from us
  receive(error4(3, 4, 1400, ip4(protocol::udp, payload(20), our4, peer4)));                // not TCP
  receive(error4(3, 4, 1400, ip4(protocol::tcp, payload(24), our4, peer4, {}, {8, true}))); // no ports
  EXPECT_EQ(count(NetCounter::drop_icmp_error), 5U);
  EXPECT_FALSE(net_.has_risen());
  for (int i = 0; i < 100; ++i) receive(error4(3, 4, 1400, quote)); // more than a burst
  EXPECT_EQ(count(NetCounter::drop_icmp_error), 5U + 100U - 32U);
}

} // namespace reassembly_test
} // namespace tern::net
