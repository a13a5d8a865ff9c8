// Packets that are held for others, or for answers, that may never come: what they may take of the pool, and that text
// left unread for long is kept in order and at no growing cost.
#include <string>
#include <vector>

#include "mixed_core.hpp"

namespace tern {
namespace held_packets_test {

using test::answers;
using test::listen;
using test::Lone;
using test::LoneCore;
using test::Peer;
using test::peer;

// A segment of 44 bytes behind IP as fragments of 24 and 20; `part` 0 or 1.
Packet fragment_of(Lone& c, const Peer& from, std::uint16_t id, unsigned part) {
  wire::Tcp h;
  h.flags = wire::tcp_flag::ack;
  h.seq = from.snd_nxt;
  h.ack = from.rcv_nxt;
  h.window = 500;
  constexpr std::string_view text = "a text of 24 bytes again";
  Packet p = test::forge(c.pool.pool(), test::WirePort::our_mac, Lone::router_mac, from.key, h,
                         std::as_bytes(std::span{text}));
  if (!p) return p;
  constexpr std::size_t first = 24;
  std::byte* const ip = p.data() + wire::ethernet_length;
  std::byte* const body = ip + wire::ipv4_length;
  const std::size_t length = part == 0 ? first : p.length() - test::forged_l4 - first;
  if (part == 1) std::memmove(body, body + first, length);
  p.trim_back(static_cast<std::uint32_t>(p.length() - test::forged_l4 - length));
  wire::Ipv4 f;
  f.src = from.key.remote;
  f.dst = from.key.local;
  f.protocol = wire::ip_protocol::tcp;
  f.identification = id;
  f.total_length = static_cast<std::uint16_t>(wire::ipv4_length + length);
  f.more_fragments = part == 0;
  f.fragment_offset = part == 0 ? 0 : first;
  wire::emit_ipv4(f, ip);
  return p;
}

TEST(HeldPackets, FragmentsDoNotTakeTheLast) {
  ShardSettings s;
  s.packet_reserve = 255;
  Lone c(s, 2047);
  listen(c);
  Peer known = peer(0), stranger = peer(1);
  ASSERT_TRUE(known.connect(c));
  // While there are enough they are held.
  for (std::uint16_t id = 0; id < 50; ++id) c.port.in.push_back(fragment_of(c, stranger, id, 0).release());
  c.turn();
  EXPECT_EQ(c.count(CoreCounter::drop_no_listener), 0U);
  const unsigned held = c.pool.used();
  EXPECT_EQ(held, 50U);
  // Others take most of the pool: they are let go of, and no more are kept.
  std::vector<Packet> taken;
  while (c.shard.watch.left() > 94) taken.push_back(c.pool.pool().alloc());
  c.now = c.now + Duration::ms(1);
  c.turn();
  EXPECT_EQ(c.shard.watch.left(), 94U + 50);
  while (c.shard.watch.left() > 94) taken.push_back(c.pool.pool().alloc());
  for (std::uint16_t id = 100; id < 200; ++id) {
    if (Packet p = fragment_of(c, stranger, id, 0)) c.port.in.push_back(p.release());
    c.turn();
  }
  EXPECT_EQ(c.shard.watch.left(), 94U);
  EXPECT_EQ(c.network.counters().get(net::NetCounter::drop_fragment_scarce), 150U);
  Peer late = peer(2);
  EXPECT_TRUE(late.connect(c));
  taken.clear();
  c.run(Duration::ms(2));
  EXPECT_TRUE(answers(c, known));
}

TEST(HeldPackets, ForNeighboursWhoDoNotAnswerAreFew) {
  ShardSettings s;
  s.syn_records = 8192;
  Lone c(s, 4095);
  listen(c, {.cookies = tcp::CookieMode::Never, .backlog = 8192});
  Peer known = peer(0);
  ASSERT_TRUE(known.connect(c));
  c.port.deserted = true;
  for (std::uint32_t i = 0; i < 1100; ++i)
    for (std::uint16_t port = 1; port <= 4; ++port) {
      const Ip4 absent{Be32{192U << 24 | (10 + i / 250) << 8 | (1 + i % 250)}};
      ASSERT_TRUE(c.arrives(Lone::from(absent, port), test::linux_syn(Seq{i}, 1)));
      c.turn();
    }
  EXPECT_GE(c.shard.watch.left(), 4095U - 64);
  EXPECT_EQ(c.shard.env.scarcity, tcp::Scarcity::none);
  EXPECT_NE(c.network.counters().get(net::NetCounter::drop_resolve_scarce), 0U);
  EXPECT_TRUE(answers(c, known));
}

// Fragments were received; what they make was not received once more.
TEST(HeldPackets, ADatagramOfFragmentsIsNotCountedAgain) {
  Lone c;
  listen(c);
  Peer p = peer(0);
  ASSERT_TRUE(p.connect(c));
  const std::uint64_t packets = c.count(CoreCounter::rx_packets);
  const std::uint64_t bytes = c.count(CoreCounter::rx_bytes);
  for (const unsigned part : {1U, 0U}) c.port.in.push_back(fragment_of(c, p, 7, part).release());
  c.turn();
  p.snd_nxt += 24;
  EXPECT_EQ(p.hear(c.take_sent()), 24U); // it was taken, and answered
  EXPECT_EQ(c.count(CoreCounter::rx_packets), packets + 2);
  EXPECT_EQ(c.count(CoreCounter::rx_bytes), bytes + 2 * test::forged_l4 + 44);
}

// ---- Text that is left unread.

// Reads so many bytes a time as it is told to, and compares them with what was said.
struct Sipping {
  void on_accept(Connection c) { it = c; }
  void on_data(Connection, Payload& p) {
    ++offers;
    for (std::uint32_t n = std::min(sip, p.size()); n != 0; --n) {
      good = good && std::to_integer<char>(p.front()[0]) == static_cast<char>('a' + read % 26);
      ++read;
      p.drop(1);
    }
  }
  Connection it;
  std::uint32_t sip = 0;
  std::uint32_t read = 0;
  unsigned offers = 0;
  bool good = true;
};

struct Said {
  std::uint32_t n = 0;
  std::string operator()(std::size_t length) {
    std::string s(length, ' ');
    for (char& ch : s) ch = static_cast<char>('a' + n++ % 26);
    return s;
  }
};

TEST(HeldPackets, UnreadTextIsKeptInOrder) {
  for (const std::uint32_t sip : {0U, 1U, 100U, 999U, 1000U, 1001U, 2500U}) {
    LoneCore<Sipping> c;
    c.listen();
    Peer p{LoneCore<Sipping>::from(Ip4{10, 0, 0, 1}, 1000)};
    ASSERT_TRUE(p.connect(c));
    Said said;
    const auto say = [&](std::size_t n) {
      ASSERT_TRUE(p.say(c, said(n)));
      c.turn();
    };
    c.handler.sip = sip;
    for (int i = 0; i < 8; ++i) say(1000);
    c.handler.it.pause_reading();
    for (int i = 0; i < 4; ++i) {
      say(1000);
      for (int k = 0; k < 5; ++k) say(7); // copied behind it
    }
    c.handler.it.resume_reading();
    c.turn();
    for (int i = 0; i < 4; ++i) say(300);
    c.handler.sip = 1'000'000;
    say(1);
    EXPECT_TRUE(c.handler.good) << sip;
    EXPECT_EQ(c.handler.read, said.n) << sip;
    EXPECT_EQ(c.handler.it.unread(), 0U);
  }
}

// A byte at a time to a handler that does not read pins few buffers.
TEST(HeldPackets, SmallPiecesOfUnreadTextShareABuffer) {
  LoneCore<Sipping> c;
  c.listen();
  Peer p{LoneCore<Sipping>::from(Ip4{10, 0, 0, 1}, 1000)};
  ASSERT_TRUE(p.connect(c));
  Said said;
  for (int i = 0; i < 4000; ++i) {
    ASSERT_TRUE(p.say(c, said(1)));
    c.turn();
    (void)c.take_sent();
  }
  EXPECT_EQ(c.handler.it.unread(), 4000U);
  EXPECT_LE(c.pool.used(), 4U);
}

} // namespace held_packets_test
} // namespace tern
