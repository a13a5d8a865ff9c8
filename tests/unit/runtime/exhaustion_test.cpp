// Everything there is a limited number of, used up: alone and together. Established connections go on,
// control segments find packets, counters tell, and when pressure ends everything is as before.
#include <string>
#include <vector>

#include "support/lone_core.hpp"

namespace tern {
namespace {

using test::LoneCore;
using test::Peer;
namespace flag = wire::tcp_flag;

// Echoes on port 80; on port 81 reads nothing, on port 82 answers with a copy of as much as it may.
struct Mixed {
  void on_data(Connection c, Payload& p) {
    switch (c.local().port.raw()) {
      case 81:
        return;
      case 82:
        p.drop_all();
        (void)c.send(std::string(60'000, 'x'));
        return;
      default:
        c.send(p);
    }
  }
  void on_closed(Connection, CloseReason) { ++closed; }
  int closed = 0;
};

using Lone = LoneCore<Mixed>;

Peer peer(std::uint32_t n, std::uint16_t to = 80) {
  return Peer{Lone::from(Ip4{Be32{10U << 24 | n / 1000}}, static_cast<std::uint16_t>(1024 + n % 1000), to)};
}

bool answers(Lone& c, Peer& p) {
  (void)c.take_sent();
  if (!p.say(c, "ping")) return false;
  c.turn();
  const bool heard = p.hear(c.take_sent()) == 4;
  (void)p.say(c, {});
  c.turn();
  return heard;
}

void listen(Lone& c, ListenerSettings l = {}) {
  for (const Port port : {Port{80}, Port{81}, Port{82}}) {
    l.first = l.last = port;
    c.listen(l);
  }
}

// Peers that send to a user who does not read, until the pool gives no more. How many packets they pinned.
unsigned pin_by_not_reading(Lone& c, std::vector<Peer>& crowd) {
  const unsigned before = c.pool.used();
  const std::string text(1000, 'd');
  for (int round = 0; round < 40; ++round)
    for (Peer& p : crowd) {
      if (!p.say(c, text)) break;
      c.turn();
    }
  (void)c.take_sent();
  return c.pool.used() - before;
}

// Exactly at the next byte, whatever of the peer's text was not taken: any other RST would be challenged.
void reset(Lone& c, const Peer& p) {
  const FlowRef ref = c.shard.flows.find(c.shard.hasher(p.key), p.key, c.shard);
  ASSERT_TRUE(ref && ref.kind() == FlowKind::connection);
  wire::Tcp h;
  h.flags = flag::rst;
  h.seq = c.shard.connections.at(ref.index()).tcb.rcv_nxt;
  ASSERT_TRUE(c.arrives(p.key, h));
  c.turn();
}

TEST(Exhaustion, OfConnectionRecordsRefusesTheNewAndSparesTheOld) {
  ShardSettings s;
  s.connections = 8;
  Lone c(s);
  listen(c);
  std::vector<Peer> all;
  for (std::uint32_t n = 0; n < 8; ++n) {
    all.push_back(peer(n));
    ASSERT_TRUE(all[n].connect(c));
  }
  Peer more = peer(100);
  EXPECT_FALSE(more.connect(c));
  EXPECT_EQ(c.count(tcp::Counter::accept_queue_full), 1U);
  EXPECT_EQ(c.core.connect(Lone::from(Ip4{10, 1, 1, 1}, 9)).error, ConnectError::no_record);
  EXPECT_EQ(c.count(CoreCounter::connect_no_record), 1U);
  for (Peer& p : all) EXPECT_TRUE(answers(c, p));
  ASSERT_TRUE(all[0].say(c, {}, flag::rst | flag::ack));
  c.turn();
  EXPECT_TRUE(more.connect(c)); // its SYN comes again, and there is room
  EXPECT_TRUE(answers(c, more));
}

TEST(Exhaustion, OfSynRecordsFallsBackToCookiesOrDrops) {
  for (const auto mode : {tcp::CookieMode::Auto, tcp::CookieMode::Never}) {
    ShardSettings s;
    s.syn_records = 4;
    s.tcp.synack_retries = 1;
    Lone c(s);
    listen(c, {.cookies = mode});
    for (std::uint32_t n = 0; n < 4; ++n) ASSERT_TRUE(c.arrives(peer(n).key, test::linux_syn(Seq{n}, 1)));
    c.turn();
    Peer honest = peer(500);
    EXPECT_EQ(honest.connect(c), mode == tcp::CookieMode::Auto);
    EXPECT_EQ(c.count(tcp::Counter::syn_limit_drop), mode == tcp::CookieMode::Never ? 1U : 0U);
    c.run(Duration::seconds(5)); // the four are given up
    (void)c.take_sent();
    Peer later = peer(501);
    EXPECT_TRUE(later.connect(c));
    EXPECT_TRUE(answers(c, later));
  }
}

TEST(Exhaustion, OfTimeWaitRecordsEvictsTheOldestFirst) {
  ShardSettings s;
  s.time_wait_records = 128;
  Lone c(s);
  listen(c);
  std::vector<FlowKey4> closed;
  for (std::uint32_t n = 0; n < 400; ++n) {
    Connection ours =
        c.core.connect(Lone::from(Ip4{Be32{10U << 24 | 1}}, 80, static_cast<std::uint16_t>(2000 + n)))
            .connection;
    c.turn();
    const auto syn = c.take_sent();
    ASSERT_EQ(syn.size(), 1U);
    Peer p{Lone::from(Ip4{Be32{10U << 24 | 1}}, 80, static_cast<std::uint16_t>(2000 + n))};
    wire::Tcp h;
    h.flags = flag::syn | flag::ack;
    h.seq = Seq{n};
    h.ack = syn[0].h.seq + 1;
    h.window = 500;
    ASSERT_TRUE(c.arrives(p.key, h));
    c.turn();
    ours.close();
    c.turn();
    p.snd_nxt = Seq{n} + 1;
    p.rcv_nxt = syn[0].h.seq + 2;
    ASSERT_TRUE(p.say(c, {}, flag::fin | flag::ack));
    c.turn();
    (void)c.take_sent();
    closed.push_back(p.key);
  }
  const auto& streams = c.shard.time_wait4.streams;
  EXPECT_LE(streams.size(), 128U);
  EXPECT_EQ(c.count(tcp::Counter::time_wait_evicted), 400U - streams.size());
  const auto resting = [&](const FlowKey4& k) {
    return static_cast<bool>(c.shard.flows.find(c.shard.hasher(k), k, c.shard));
  };
  bool seen = false; // from some point on all rest, and none before
  for (const FlowKey4& k : closed) {
    EXPECT_TRUE(!seen || resting(k));
    seen = seen || resting(k);
  }
  c.run(Duration::seconds(61), Duration::ms(50));
  EXPECT_EQ(streams.size(), 0U);
  EXPECT_EQ(c.shard.flows.size(), 0U);
}

TEST(Exhaustion, OfPacketsByUsersWhoDoNotReadLeavesTheReserve) {
  ShardSettings s;
  s.connections = 1024;
  s.packet_reserve = 256;
  Lone c(s, 2047);
  listen(c);
  Peer old = peer(0);
  ASSERT_TRUE(old.connect(c));
  std::vector<Peer> crowd;
  for (std::uint32_t n = 1; n <= 200; ++n) {
    crowd.push_back(peer(n, 81));
    ASSERT_TRUE(crowd.back().connect(c));
  }
  EXPECT_GT(pin_by_not_reading(c, crowd), 1500U);
  EXPECT_LE(c.pool.pool().free(), 256U);
  EXPECT_GT(c.count(tcp::Counter::drop_text_scarce), 100U);
  EXPECT_GE(c.count(CoreCounter::packets_scarce), 1U);
  EXPECT_GE(c.pool.pool().free(), 256U / 4 - 1); // that much nobody can pin
  // The old goes on, with text both ways; a new one is let in; a closed port refuses; an ARP request is
  // answered.
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(answers(c, old)) << i;
  Peer fresh = peer(900);
  EXPECT_TRUE(fresh.connect(c));
  ASSERT_TRUE(c.arrives(Lone::from(Ip4{10, 9, 9, 9}, 1, 9999), test::linux_syn(Seq{1}, 1)));
  c.turn();
  const auto refused = c.take_sent();
  ASSERT_EQ(refused.size(), 1U);
  EXPECT_TRUE(refused[0].h.has(flag::rst));
  // Pressure ends: the crowd is reset, and what was held is free.
  for (Peer& p : crowd) reset(c, p);
  c.run(Duration::ms(5));
  EXPECT_EQ(c.shard.watch.look(), tcp::Scarcity::none);
  EXPECT_EQ(c.shard.env.scarcity, tcp::Scarcity::none);
  EXPECT_TRUE(answers(c, fresh));
}

TEST(Exhaustion, OfPacketsByPeersWhoDoNotAcknowledgeLeavesTheReserve) {
  ShardSettings s;
  s.connections = 1024;
  s.packet_reserve = 256;
  Lone c(s, 2047);
  listen(c);
  Peer old = peer(0);
  ASSERT_TRUE(old.connect(c));
  std::vector<Peer> crowd;
  for (std::uint32_t n = 1; n <= 200; ++n) {
    crowd.push_back(peer(n, 82));
    ASSERT_TRUE(crowd.back().connect(c)) << n;
    ASSERT_TRUE(crowd.back().say(c, "more")) << n; // and 60,000 bytes are queued for it, in 41 packets
    c.turn();
    (void)c.take_sent();
  }
  EXPECT_LE(c.pool.pool().free(), 256U);
  EXPECT_GE(c.pool.pool().free(), 256U / 4 - 1);
  EXPECT_GT(c.count(tcp::Counter::no_packet), 0U);
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(answers(c, old)) << i;
  for (Peer& p : crowd) reset(c, p);
  c.run(Duration::ms(5));
  EXPECT_EQ(c.shard.env.scarcity, tcp::Scarcity::none);
  EXPECT_LT(c.pool.used(), 20U);
  EXPECT_TRUE(answers(c, old));
}

// Text out of order is the first that is not kept: a hole in each of many streams.
TEST(Exhaustion, OfPacketsByHolesInStreamsIsStoppedAtTheReserve) {
  ShardSettings s;
  s.connections = 1024;
  s.packet_reserve = 256;
  Lone c(s, 2047);
  listen(c);
  Peer old = peer(0);
  ASSERT_TRUE(old.connect(c));
  std::vector<Peer> crowd;
  for (std::uint32_t n = 1; n <= 200; ++n) {
    crowd.push_back(peer(n));
    ASSERT_TRUE(crowd.back().connect(c));
  }
  for (int round = 0; round < 20; ++round)
    for (Peer& p : crowd) {
      p.snd_nxt += 2; // the hole, and one more every time
      ASSERT_TRUE(p.say(c, std::string(900, 'h')));
      c.turn();
      (void)c.take_sent();
    }
  EXPECT_GE(c.pool.pool().free(), 256U - 40);
  EXPECT_GT(c.count(tcp::Counter::drop_text_scarce), 1000U);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(answers(c, old)) << i;
  for (Peer& p : crowd) reset(c, p);
  c.run(Duration::ms(5));
  EXPECT_EQ(c.shard.env.scarcity, tcp::Scarcity::none);
  EXPECT_TRUE(answers(c, old));
}

// With nothing at all left: nothing arrives, nothing is sent, nothing breaks; and then it goes on.
TEST(Exhaustion, OfTheVeryLastPacketIsSurvived) {
  Lone c({}, 511);
  listen(c);
  Peer old = peer(0);
  ASSERT_TRUE(old.connect(c));
  std::vector<Packet> taken;
  while (Packet p = c.pool.pool().alloc()) taken.push_back(std::move(p));
  EXPECT_FALSE(old.say(c, "ping"));
  taken.pop_back();
  ASSERT_TRUE(old.say(c, "ping"));
  const Seq said = old.snd_nxt;
  c.turn(); // no packet for text: it is not taken, so it comes again
  c.run(Duration::seconds(2), Duration::ms(10));
  taken.clear();
  (void)c.take_sent();
  old.snd_nxt = said + static_cast<std::uint32_t>(-4);
  EXPECT_TRUE(answers(c, old));
}

TEST(Exhaustion, OfEverythingAtOnceIsSurvivedAndPasses) {
  ShardSettings s;
  s.connections = 220;
  s.syn_records = 16;
  s.time_wait_records = 64;
  s.long_connections = 8;
  s.packet_reserve = 256;
  s.tcp.synack_retries = 1;
  Lone c(s, 2047);
  listen(c);
  Peer old = peer(0);
  ASSERT_TRUE(old.connect(c));
  std::vector<Peer> crowd;
  for (std::uint32_t n = 1; n < 220; ++n) {
    crowd.push_back(peer(n, n % 2 == 0 ? 81 : 82));
    ASSERT_TRUE(crowd.back().connect(c)) << n;
  }
  for (Peer& p : crowd) (void)p.say(c, "more"), c.turn();
  pin_by_not_reading(c, crowd);
  for (std::uint32_t n = 0; n < 2000; ++n) { // a SYN flood on top
    (void)c.arrives(Lone::from(Ip4{Be32{11U << 24 | n}}, 1), test::linux_syn(Seq{n}, 1));
    c.turn();
  }
  (void)c.take_sent();
  EXPECT_EQ(c.shard.connections.used(), 220U);
  EXPECT_NE(c.shard.env.scarcity, tcp::Scarcity::none);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(answers(c, old)) << i;
  for (Peer& p : crowd) reset(c, p);
  c.run(Duration::seconds(10), Duration::ms(10));
  EXPECT_EQ(c.shard.env.scarcity, tcp::Scarcity::none);
  EXPECT_EQ(c.shard.syn4.slots.used(), 0U);
  EXPECT_EQ(c.shard.connections.used(), 1U);
  EXPECT_EQ(c.shard.flows.size(), 1U);
  EXPECT_LT(c.pool.used(), 20U);
  EXPECT_TRUE(answers(c, old));
  Peer fresh = peer(999);
  EXPECT_TRUE(fresh.connect(c));
  EXPECT_TRUE(answers(c, fresh));
}

} // namespace
} // namespace tern
