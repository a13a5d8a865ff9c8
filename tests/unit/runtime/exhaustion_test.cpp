// Everything there is a limited number of, used up: alone and together. Established connections go on,
// control segments find packets, counters tell, and when pressure ends everything is as before.
#include <string>
#include <vector>

#include "mixed_core.hpp"

namespace tern {
namespace exhaustion_test {

using test::listen;
using test::Lone;
using test::Peer;
using test::peer;
using test::place_of;
namespace flag = wire::tcp_flag;

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
  const FlowRef ref = place_of(c, p.key);
  ASSERT_TRUE(ref && ref.kind() == FlowKind::connection);
  wire::Tcp h;
  h.flags = flag::rst;
  h.seq = c.shard.connections.at(ref.index()).tcb.rcv_nxt;
  ASSERT_TRUE(c.arrives(p.key, h));
  c.turn();
}

// What a Core needs to draw local ports by itself: so few that they run out.
struct FewPorts {
  explicit FewPorts(Lone& c) { c.core.handle().set_dialer(&dialer); }
  net::Interface self{{.addresses = {{Ip{Lone::ip}, 24}}}};
  io::Steering steering;
  DialPlan plan{self, steering, {.ports = {5000, 5007}}};
  Dialer dialer{plan, 0};
};
const Endpoint far_web{Ip{Ip4{10, 77, 0, 1}}, Port{443}};

// Opens a connection and answers its SYN; the peer, who stands where it began, is open only if all went well.
Peer dial(Lone& c, ConnectError& error, const Endpoint& to = far_web) {
  (void)c.take_sent();
  const Connecting made = c.core.handle().connect(to);
  error = made.error;
  if (!made) return {};
  Peer p{Lone::from(to.ip.v4(), to.port.raw(), made.connection.local().port.raw())};
  c.turn();
  for (const test::Sent& s : c.take_sent()) {
    if (s.h.flags != flag::syn || s.key.remote_port != p.key.local_port) continue;
    wire::Tcp h;
    h.flags = flag::syn | flag::ack;
    h.seq = p.snd_nxt;
    h.ack = s.h.seq + 1;
    h.window = 500;
    if (!c.arrives(p.key, h)) return p;
    p.snd_nxt += 1;
    p.rcv_nxt = h.ack;
    p.open = true;
  }
  c.turn();
  (void)c.take_sent();
  return p;
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

// Two are on their way in while one record is left. The second to prove itself, from his record or by his cookie, with
// text or without, is not heard, and not refused: he tries again, and is let in when there is room.
TEST(Exhaustion, OfConnectionRecordsWhileHandshakesAreUnderWay) {
  for (const auto mode : {tcp::CookieMode::Never, tcp::CookieMode::Always})
    for (const std::string_view text : {"", "ping"}) {
      ShardSettings s;
      s.connections = 1;
      Lone c(s);
      listen(c, {.cookies = mode});
      Peer both[] = {peer(0), peer(1)};
      for (Peer& p : both) {
        wire::Tcp syn = test::linux_syn(p.snd_nxt, 1);
        syn.options.has &= static_cast<std::uint8_t>(~wire::TcpOptions::timestamps_bit);
        ASSERT_TRUE(c.arrives(p.key, syn));
        c.turn();
        const auto answer = c.take_sent();
        ASSERT_EQ(answer.size(), 1U);
        p.snd_nxt = answer[0].h.ack;
        p.rcv_nxt = answer[0].h.seq + 1;
      }
      const auto prove = [&](Peer p) {
        (void)p.say(c, text);
        c.turn();
        return place_of(c, p.key);
      };
      const FlowRef first = prove(both[0]);
      ASSERT_TRUE(first && first.kind() == FlowKind::connection);
      (void)c.take_sent();
      for (std::uint64_t i = 1; i <= 2; ++i) {
        const FlowRef second = prove(both[1]);
        EXPECT_FALSE(second && second.kind() == FlowKind::connection);
        EXPECT_EQ(c.count(tcp::Counter::accept_queue_full), i);
        EXPECT_TRUE(c.take_sent().empty());
      }
      reset(c, both[0]);
      const FlowRef second = prove(both[1]);
      EXPECT_TRUE(second && second.kind() == FlowKind::connection);
    }
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

// A connection of ours, the n-th, opened and closed by us first: it rests in TIME-WAIT under this name.
FlowKey4 open_and_close(Lone& c, std::uint32_t n) {
  Peer p{Lone::from(Ip4{Be32{10U << 24 | 1}}, 80, static_cast<std::uint16_t>(2000 + n))};
  Connection ours = c.core.connect(p.key).connection;
  c.turn();
  const auto syn = c.take_sent();
  EXPECT_EQ(syn.size(), 1U);
  if (syn.size() != 1) return p.key;
  wire::Tcp h;
  h.flags = flag::syn | flag::ack;
  h.seq = Seq{n};
  h.ack = syn[0].h.seq + 1;
  h.window = 500;
  EXPECT_TRUE(c.arrives(p.key, h));
  c.turn();
  ours.close();
  c.turn();
  p.snd_nxt = Seq{n} + 1;
  p.rcv_nxt = syn[0].h.seq + 2;
  EXPECT_TRUE(p.say(c, {}, flag::fin | flag::ack));
  c.turn();
  (void)c.take_sent();
  return p.key;
}

TEST(Exhaustion, OfTimeWaitRecordsEvictsTheOldestFirst) {
  ShardSettings s;
  s.time_wait_records = 128;
  Lone c(s);
  listen(c);
  std::vector<FlowKey4> closed;
  for (std::uint32_t n = 0; n < 400; ++n) closed.push_back(open_and_close(c, n));
  const auto& streams = c.shard.time_wait4.streams;
  EXPECT_LE(streams.size(), 128U);
  EXPECT_EQ(c.count(tcp::Counter::time_wait_evicted), 400U - streams.size());
  bool seen = false; // from some point on all rest, and none before
  for (const FlowKey4& k : closed) {
    const auto rests = static_cast<bool>(place_of(c, k));
    EXPECT_TRUE(!seen || rests);
    seen = seen || rests;
  }
  c.run(Duration::seconds(61), Duration::ms(50));
  EXPECT_EQ(streams.size(), 0U);
  EXPECT_EQ(c.shard.flows.size(), 0U);
}

// Those whose names were soon used again leave holes, and the few between them hold the memory: as many of those must
// go as it takes, or who closes now would not rest at all.
TEST(Exhaustion, OfTimeWaitMemoryByHolesEvictsUntilThereIsRoom) {
  ShardSettings s;
  s.time_wait_records = 128;
  Lone c(s);
  listen(c);
  auto& streams = c.shard.time_wait4.streams;
  for (std::uint32_t n = 0; n < 1000; ++n) {
    const FlowKey4 key = open_and_close(c, n);
    const FlowRef rests = place_of(c, key);
    ASSERT_TRUE(rests && rests.kind() == FlowKind::time_wait) << n;
    if (n % 8 == 0) continue;
    ASSERT_TRUE(c.shard.flows.erase(c.shard.hasher(key), rests));
    streams.kill(rests.index());
  }
  EXPECT_LT(streams.size(), 128U);
  EXPECT_GT(c.count(tcp::Counter::time_wait_evicted), 0U);
  EXPECT_EQ(c.shard.flows.size(), streams.size());
}

TEST(Exhaustion, OfLocalPortsIsAClearErrorTowardsThatPeerAlone) {
  Lone c;
  FewPorts ports(c);
  listen(c);
  ConnectError error{};
  std::vector<Peer> all;
  for (int i = 0; i < 8; ++i) {
    all.push_back(dial(c, error));
    ASSERT_TRUE(all.back().open) << i;
  }
  for (unsigned i = 1; i <= 100; ++i) { // each is refused after a bounded number of tries
    EXPECT_FALSE(dial(c, error).open);
    EXPECT_EQ(error, ConnectError::no_port);
    EXPECT_EQ(c.count(CoreCounter::connect_no_port), i);
  }
  EXPECT_LE(ports.dialer.counts().get(PortCount::taken), 8 * 9 + 100 * PortPool::default_tries);
  for (Peer& p : all) EXPECT_TRUE(answers(c, p));
  Peer elsewhere =
      dial(c, error, {Ip{Ip4{10, 77, 0, 2}}, Port{443}}); // ports are short towards one peer only
  EXPECT_TRUE(elsewhere.open);
  Peer visitor = peer(1); // and who comes to us needs none
  EXPECT_TRUE(visitor.connect(c));
  EXPECT_TRUE(answers(c, visitor));
  // One that we close rests in TIME-WAIT with its port; without timestamps it serves again only after 2MSL.
  c.shard.handle(c.shard.connections.at(place_of(c, all[0].key).index())).close();
  c.turn();
  all[0].rcv_nxt += 1;
  ASSERT_TRUE(all[0].say(c, {}, flag::fin | flag::ack));
  c.turn();
  EXPECT_EQ(c.shard.time_wait4.streams.size(), 1U);
  EXPECT_FALSE(dial(c, error).open);
  EXPECT_EQ(error, ConnectError::no_port);
  c.run(Duration::seconds(61), Duration::ms(50));
  EXPECT_TRUE(dial(c, error).open);
  reset(c, all[1]); // a reset frees its port at once
  EXPECT_TRUE(dial(c, error).open);
  for (std::size_t i = 2; i < all.size(); ++i) EXPECT_TRUE(answers(c, all[i]));
}

// A core with few packets, a connection from before the trouble, and those that make it.
struct Crowded {
  Crowded() {
    listen(c);
    EXPECT_TRUE(old.connect(c));
  }
  static ShardSettings settings() {
    ShardSettings s;
    s.connections = 1024;
    s.packet_reserve = 256;
    return s;
  }
  void join(int n, std::uint16_t to) {
    for (; n != 0; --n) {
      crowd.push_back(peer(static_cast<std::uint32_t>(crowd.size() + 1), to));
      ASSERT_TRUE(crowd.back().connect(c)) << crowd.size();
    }
  }
  void leave() {
    for (Peer& p : crowd) reset(c, p);
    c.run(Duration::ms(5));
  }
  Lone c{settings(), 2047};
  Peer old = peer(0);
  std::vector<Peer> crowd;
};

TEST(Exhaustion, OfPacketsByUsersWhoDoNotReadLeavesTheReserve) {
  Crowded x;
  Lone& c = x.c;
  x.join(200, 81);
  EXPECT_GT(pin_by_not_reading(c, x.crowd), 1500U);
  EXPECT_LE(c.pool.pool().free(), 256U);
  EXPECT_GT(c.count(tcp::Counter::drop_text_scarce), 100U);
  EXPECT_GE(c.count(CoreCounter::packets_scarce), 1U);
  EXPECT_GE(c.pool.pool().free(), 256U / 4 - 1); // that much nobody can pin
  // The old goes on, with text both ways; a new one is let in; a closed port refuses; an ARP request is
  // answered.
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(answers(c, x.old)) << i;
  Peer fresh = peer(900);
  EXPECT_TRUE(fresh.connect(c));
  ASSERT_TRUE(c.arrives(Lone::from(Ip4{10, 9, 9, 9}, 1, 9999), test::linux_syn(Seq{1}, 1)));
  c.turn();
  const auto refused = c.take_sent();
  ASSERT_EQ(refused.size(), 1U);
  EXPECT_TRUE(refused[0].h.has(flag::rst));
  // Pressure ends: the crowd is reset, and what was held is free.
  x.leave();
  EXPECT_EQ(c.shard.watch.look(), tcp::Scarcity::none);
  EXPECT_EQ(c.shard.env.scarcity, tcp::Scarcity::none);
  EXPECT_TRUE(answers(c, fresh));
}

TEST(Exhaustion, OfPacketsByPeersWhoDoNotAcknowledgeLeavesTheReserve) {
  Crowded x;
  Lone& c = x.c;
  for (int n = 0; n < 200; ++n) {
    x.join(1, 82);
    ASSERT_TRUE(x.crowd.back().say(c, "more")) << n; // and 60,000 bytes are queued for it, in 41 packets
    c.turn();
    (void)c.take_sent();
  }
  EXPECT_LE(c.pool.pool().free(), 256U);
  EXPECT_GE(c.pool.pool().free(), 256U / 4 - 1);
  EXPECT_GT(c.count(tcp::Counter::no_packet), 0U);
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(answers(c, x.old)) << i;
  x.leave();
  EXPECT_EQ(c.shard.env.scarcity, tcp::Scarcity::none);
  EXPECT_LT(c.pool.used(), 20U);
  EXPECT_TRUE(answers(c, x.old));
}

// Text out of order is the first that is not kept: a hole in each of many streams.
TEST(Exhaustion, OfPacketsByHolesInStreamsIsStoppedAtTheReserve) {
  Crowded x;
  Lone& c = x.c;
  x.join(200, 80);
  for (int round = 0; round < 20; ++round)
    for (Peer& p : x.crowd) {
      p.snd_nxt += 2; // the hole, and one more every time
      ASSERT_TRUE(p.say(c, std::string(900, 'h')));
      c.turn();
      (void)c.take_sent();
    }
  EXPECT_GE(c.pool.pool().free(), 256U - 40);
  EXPECT_GT(c.count(tcp::Counter::drop_text_scarce), 1000U);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(answers(c, x.old)) << i;
  x.leave();
  EXPECT_EQ(c.shard.env.scarcity, tcp::Scarcity::none);
  EXPECT_TRUE(answers(c, x.old));
}

// More gateways than have numbers (Hops) and than the neighbours' table holds: the way is looked up for each
// segment, who was evicted is asked for again, and every connection goes on.
TEST(Exhaustion, OfNextHopNumbersCostsALookupNotAConnection) {
  constexpr std::uint32_t ways = 1200;
  ShardSettings s;
  s.connections = 2 * ways;
  Lone c(s);
  listen(c);
  std::vector<net::Route> routes;
  const auto beyond = [](std::uint32_t n, std::uint8_t host) {
    return Ip4{172, static_cast<std::uint8_t>(16 + n / 256), static_cast<std::uint8_t>(n), host};
  };
  for (std::uint32_t n = 0; n < ways; ++n)
    routes.push_back({Prefix{Ip{beyond(n, 0)}, 24}, Ip{Ip4{192, 0, static_cast<std::uint8_t>(100 + n / 200),
                                                           static_cast<std::uint8_t>(1 + n % 200)}}});
  c.network.set_routes(net::Routes{std::move(routes)});
  std::vector<Peer> all;
  for (std::uint32_t n = 0; n < ways; ++n) {
    all.push_back(Peer{Lone::from(beyond(n, 1), 4000)});
    ASSERT_TRUE(all.back().connect(c)) << n;
  }
  EXPECT_GT(c.count(CoreCounter::next_hop_unnumbered), 0U);
  EXPECT_GT(c.network.counters().get(net::NetCounter::neighbours_evicted), 0U);
  for (int round = 0; round < 2; ++round)
    for (Peer& p : all) ASSERT_TRUE(answers(c, p));
  EXPECT_GE(c.count(CoreCounter::next_hop_unnumbered), 2 * (ways - 1024)); // one or two for each answer
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
  FewPorts ports(c);
  Peer old = peer(0);
  ASSERT_TRUE(old.connect(c));
  for (std::uint32_t n = 0; n < 64; ++n) // every TIME-WAIT record
    c.rests(Lone::from(Ip4{Be32{12U << 24 | n}}, 1));
  for (std::uint32_t n = 0; n < 100; ++n) // every handshake's
    ASSERT_TRUE(c.arrives(Lone::from(Ip4{Be32{13U << 24 | n}}, 1), test::linux_syn(Seq{n}, 1)));
  c.turn();
  ASSERT_EQ(c.shard.syn4.slots.used(), 16U);
  std::vector<Peer> crowd;
  ConnectError error{};
  for (int i = 0; i < 8; ++i) { // every local port towards far_web
    crowd.push_back(dial(c, error));
    ASSERT_TRUE(crowd.back().open) << i;
  }
  for (std::uint32_t n = 1; n < 212; ++n) { // and every other record
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
  EXPECT_EQ(c.shard.syn4.slots.used(), 16U);
  EXPECT_EQ(c.shard.time_wait4.streams.size(), 64U);
  EXPECT_NE(c.shard.env.scarcity, tcp::Scarcity::none);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(answers(c, old)) << i;
  // Each limit says which it is, and is counted.
  (void)dial(c, error);
  EXPECT_EQ(error, ConnectError::no_port);
  (void)dial(c, error, {Ip{Ip4{10, 77, 0, 2}}, Port{443}});
  EXPECT_EQ(error, ConnectError::no_record);
  Peer late = peer(900);
  EXPECT_FALSE(late.connect(c));
  EXPECT_EQ(c.count(CoreCounter::connect_no_port), 1U);
  EXPECT_EQ(c.count(CoreCounter::connect_no_record), 1U);
  EXPECT_GE(c.count(tcp::Counter::accept_queue_full), 2001U);
  EXPECT_GT(c.count(tcp::Counter::drop_text_scarce), 0U);
  EXPECT_GE(c.count(CoreCounter::packets_scarce), 1U);
  EXPECT_GT(c.shard.side.used(), 0U);
  // Control segments still find packets: a closed port is refused, a listener's peer is reset.
  (void)c.take_sent();
  ASSERT_TRUE(c.arrives(Lone::from(Ip4{10, 9, 9, 9}, 1, 9999), test::linux_syn(Seq{1}, 1)));
  c.turn();
  const auto refused = c.take_sent();
  ASSERT_EQ(refused.size(), 1U);
  EXPECT_TRUE(refused[0].h.has(flag::rst));
  EXPECT_EQ(c.count(CoreCounter::drop_control_no_packet), 0U);
  for (Peer& p : crowd) reset(c, p);
  c.run(Duration::seconds(10), Duration::ms(10));
  EXPECT_EQ(c.shard.env.scarcity, tcp::Scarcity::none);
  EXPECT_EQ(c.shard.syn4.slots.used(), 0U);
  EXPECT_EQ(c.shard.connections.used(), 1U);
  EXPECT_EQ(c.shard.flows.size(), 1 + c.shard.time_wait4.streams.size());
  EXPECT_LT(c.pool.used(), 20U);
  EXPECT_TRUE(answers(c, old));
  Peer fresh = peer(999);
  EXPECT_TRUE(fresh.connect(c));
  EXPECT_TRUE(answers(c, fresh));
  for (int i = 0; i < 8; ++i) { // every port is there again
    Peer again = dial(c, error);
    EXPECT_TRUE(again.open) << i;
    EXPECT_TRUE(answers(c, again)) << i;
  }
}

} // namespace exhaustion_test
} // namespace tern
