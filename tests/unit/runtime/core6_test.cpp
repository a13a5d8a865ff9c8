// What IPv6 has of its own in a whole Core: its records, their timers, its cookies.
#include <gtest/gtest.h>

#include <string>

#include "support/core_pair.hpp"
#include "support/forge.hpp"

namespace tern {
namespace core6_test {

struct Client {
  void on_connected(Connection c) { c.send(StaticBytes{std::string_view{"GET"}}); }
  void on_data(Connection, Payload& p) {
    bytes += p.size();
    p.drop_all();
  }
  void on_closed(Connection, CloseReason r) {
    ++closed;
    reason = r;
  }
  std::uint64_t bytes = 0;
  int closed = 0;
  CloseReason reason = CloseReason::None;
};
struct Server {
  void on_data(Connection c, Payload& p) {
    p.drop_all();
    c.send(StaticBytes{std::string_view{"200"}});
    c.close();
  }
};

struct Pair6 : test::CorePair<Client, Server> {
  explicit Pair6(const ShardSettings& s = {}, ListenerSettings l = {}) : CorePair(s, 0, {}, {}, {}, true) {
    l.first = l.last = Port{80};
    EXPECT_TRUE(server.shard.listeners.add(l));
  }
  // A whole life: it asks, is answered, and the server closes.
  void live(std::uint16_t port) {
    const int before = client_handler.closed;
    ASSERT_EQ(client.core.connect(key6(port)).error, ConnectError::none) << port;
    settle();
    run(Duration::ms(3));
    ASSERT_EQ(client_handler.closed, before + 1) << port;
    EXPECT_EQ(client_handler.reason, CloseReason::Done);
  }
  // A SYN whose sender is never heard again.
  void abandon(std::uint16_t port) {
    ASSERT_EQ(client.core.connect(key6(port)).error, ConnectError::none);
    client.core.poll(now);
    server.core.poll(now);
  }
  FlowRef at_server(std::uint16_t port) {
    const FlowKey6 k{client_ip6, server_ip6, Be16{port}, Be16{80}};
    return server.shard.flows.find(server.shard.hasher(k), k, server.shard);
  }
  // The server alone, its peer being silent.
  void server_alone(Duration d) {
    for (const Instant end = now + d; now < end;) {
      now = now + Duration::ms(1);
      server.core.poll(now);
    }
  }
  std::uint64_t count(tcp::Counter c) const { return server.shard.tcp_counters.get(c); }
};

TEST(Core6, TimeWaitIsItsOwnRecordAndExpires) {
  Pair6 p;
  p.live(1000);
  p.live(1001);
  EXPECT_EQ(p.client_handler.bytes, 6U);
  EXPECT_EQ(p.server.shard.time_wait6.streams.size(), 2U);
  EXPECT_EQ(p.server.shard.time_wait4.streams.size(), 0U);
  EXPECT_EQ(p.at_server(1000).kind(), FlowKind::time_wait6);
  p.run(Duration::seconds(58), Duration::ms(100));
  EXPECT_EQ(p.server.shard.time_wait6.streams.size(), 2U);
  p.run(Duration::seconds(3), Duration::ms(100));
  EXPECT_EQ(p.count(tcp::Counter::time_wait_expired), 2U);
  EXPECT_EQ(p.server.shard.flows.size(), 0U);
}

TEST(Core6, TimeWaitIsUsedAgainByANewSyn) {
  Pair6 p;
  for (int i = 0; i < 5; ++i) p.live(1000);
  EXPECT_EQ(p.count(tcp::Counter::time_wait_reused), 4U);
  EXPECT_EQ(p.server.shard.time_wait6.streams.size(), 1U);
  EXPECT_EQ(p.server.shard.flows.size(), 1U);
}

TEST(Core6, TimeWaitComesBackWhenItsHandshakeIsGivenUp) {
  ShardSettings s;
  s.tcp.synack_retries = 1;
  Pair6 p(s);
  p.live(1000);
  p.abandon(1000);
  ASSERT_EQ(p.at_server(1000).kind(), FlowKind::syn_received);
  p.server_alone(Duration::seconds(4));
  EXPECT_EQ(p.count(tcp::Counter::syn_given_up), 1U);
  ASSERT_TRUE(p.at_server(1000));
  EXPECT_EQ(p.at_server(1000).kind(), FlowKind::time_wait6);
  EXPECT_EQ(p.server.shard.syn6.slots.used(), 0U);
}

TEST(Core6, TheOldestTimeWaitGoesWhereThereIsNoRoom) {
  ShardSettings s;
  s.time_wait_records = 4 * 64; // a quarter is IPv6's
  Pair6 p(s);
  const std::uint32_t room = p.server.shard.time_wait6.streams.limit();
  for (std::uint32_t i = 0; i < 2 * room; ++i) p.live(static_cast<std::uint16_t>(1000 + i));
  EXPECT_GE(p.count(tcp::Counter::time_wait_evicted), room);
  EXPECT_LE(p.server.shard.time_wait6.streams.size(), room);
  EXPECT_FALSE(p.at_server(1000));
  EXPECT_TRUE(p.at_server(static_cast<std::uint16_t>(999 + 2 * room)));
  EXPECT_EQ(p.server.shard.flows.size(), p.server.shard.time_wait6.streams.size());
}

TEST(Core6, SynAckIsSentAgainAndGivenUp) {
  ShardSettings s;
  s.tcp.synack_retries = 3;
  Pair6 p(s);
  p.live(999); // addresses are known from here on
  p.abandon(1000);
  ASSERT_EQ(p.server.shard.syn6.slots.used(), 1U);
  EXPECT_EQ(p.server.shard.syn4.slots.used(), 0U);
  p.server_alone(Duration::seconds(20)); // 1, 2, 4 and 8 s
  EXPECT_EQ(p.count(tcp::Counter::retransmit_syn_ack), 3U);
  EXPECT_EQ(p.count(tcp::Counter::syn_given_up), 1U);
  EXPECT_EQ(p.server.shard.syn6.slots.used(), 0U);
  EXPECT_FALSE(p.at_server(1000));
}

TEST(Core6, ACookieTakesNoRecordAndOpensTheConnection) {
  Pair6 p({}, {.cookies = tcp::CookieMode::Always});
  p.abandon(1000);
  EXPECT_EQ(p.server.shard.syn6.slots.used(), 0U);
  EXPECT_FALSE(p.at_server(1000));
  p.settle();
  p.live(1001);
  EXPECT_GE(p.count(tcp::Counter::syn_cookie_sent), 2U);
  EXPECT_GE(p.count(tcp::Counter::syn_cookie_valid), 2U);
  EXPECT_EQ(p.client_handler.bytes, 6U);
}

TEST(Core6, RecordsThatAreOutGiveWayToCookies) {
  ShardSettings s;
  s.syn_records = 64;
  Pair6 p(s, {.backlog = 1000});
  p.live(999);
  const std::uint32_t room = p.server.shard.syn6.slots.capacity();
  for (std::uint32_t i = 0; i < room + 10; ++i)
    ASSERT_EQ(p.client.core.connect(p.key6(static_cast<std::uint16_t>(1000 + i))).error, ConnectError::none);
  for (int polls = 0; polls < 4; ++polls) p.client.core.poll(p.now);
  while (p.server.core.poll(p.now)) {
  }
  EXPECT_EQ(p.server.shard.syn6.slots.used(), room);
  EXPECT_EQ(p.count(tcp::Counter::syn_cookie_sent), 10U);
  EXPECT_EQ(p.count(tcp::Counter::syn_limit_drop), 0U);
}

TEST(Core6, AClosedPortRefuses) {
  Pair6 p;
  ASSERT_EQ(p.client.core.connect(p.key6(1000, 81)).error, ConnectError::none);
  p.settle();
  EXPECT_EQ(p.client_handler.reason, CloseReason::Refused);
  EXPECT_EQ(p.count(tcp::Counter::listen_rst_out), 1U);
}

// ---- RFC 9293 §3.7.1: who says nothing of his MSS takes 1,220 bytes.
struct Plain6 : Pair6 {
  Plain6() { live(999); } // addresses are known from here on
  void to_server(const wire::Tcp& h) {
    const FlowKey6 k{client_ip6, server_ip6, Be16{1000}, Be16{80}};
    rte_mbuf* m = test::forge(pool.pool(), server.self.mac(), client.self.mac(), k, h).release();
    (void)pair.a().tx_burst(0, &m, 1);
    server.core.poll(now);
  }
  void to_client(const wire::Tcp& h) {
    rte_mbuf* m = test::forge(pool.pool(), client.self.mac(), server.self.mac(), key6(1000), h).release();
    (void)pair.b().tx_burst(0, &m, 1);
    client.core.poll(now);
  }
  // Its SYN has left, and the server, which is not asked, says nothing.
  const tcp::Tcb& opening() {
    EXPECT_EQ(client.core.connect(key6(1000)).error, ConnectError::none);
    client.core.poll(now);
    const FlowRef ref = client.shard.flows.find(client.shard.hasher(key6(1000)), key6(1000), client.shard);
    EXPECT_EQ(ref.kind(), FlowKind::connection);
    return client.shard.connections.at(ref.index()).tcb;
  }
  static wire::Tcp bare(std::uint8_t flags, Seq ack = Seq{}) {
    wire::Tcp h;
    h.flags = flags;
    h.seq = Seq{77};
    h.ack = ack;
    h.window = 50'000;
    return h;
  }
};

TEST(Core6, ASynWithoutAnMssIsOneOf1220) {
  Plain6 p;
  p.to_server(Plain6::bare(wire::tcp_flag::syn));
  const FlowRef ref = p.at_server(1000);
  ASSERT_TRUE(ref && ref.kind() == FlowKind::syn_received);
  EXPECT_EQ(p.server.shard.syn_at<FlowKey6>(ref).facts.peer_mss, 1220);
}

TEST(Core6, ASynAckWithoutAnMssIsOneOf1220) {
  Plain6 p;
  const tcp::Tcb& t = p.opening();
  p.to_client(Plain6::bare(wire::tcp_flag::syn | wire::tcp_flag::ack, t.iss + 1));
  ASSERT_EQ(t.state, tcp::State::Established);
  EXPECT_EQ(t.mss, 1220);
}

TEST(Core6, ASimultaneousSynWithoutAnMssIsOneOf1220) {
  Plain6 p;
  const tcp::Tcb& t = p.opening();
  p.to_client(Plain6::bare(wire::tcp_flag::syn));
  ASSERT_EQ(t.state, tcp::State::SynReceived);
  EXPECT_EQ(t.mss, 1220);
}

// ---- RFC 8200 §5: every link carries 1,280 bytes, so nobody who looks for a black hole need go below that.
struct Talker {
  void on_accept(Connection c) { mine = c; }
  void on_connected(Connection c) {
    mine = c;
    c.send(StaticBytes{std::string_view{"hello"}});
  }
  void on_data(Connection, Payload& p) { p.drop_all(); }
  Connection mine;
};

TEST(Core6, NoBlackHoleIsLookedForBelow1280) {
  const std::string text(8000, 't');
  for (const auto cookies : {tcp::CookieMode::Never, tcp::CookieMode::Always})
    for (const bool opens : {true, false}) {
      test::CorePair<Talker, Talker> p({}, 0, {}, {}, {}, true);
      ASSERT_TRUE(p.server.shard.listeners.add({.first = Port{80}, .last = Port{80}, .cookies = cookies}));
      ASSERT_EQ(p.client.core.connect(p.key6(999)).error, ConnectError::none);
      p.run(Duration::ms(100));
      // It speaks to nobody from here on, with more on its way than one segment holds.
      Connection& mine = (opens ? p.client_handler : p.server_handler).mine;
      ASSERT_EQ(mine.send(StaticBytes{text}), text.size());
      for (const Instant end = p.now + Duration::seconds(60); p.now < end;) {
        p.now = p.now + Duration::ms(1);
        opens ? p.client.core.poll(p.now) : p.server.core.poll(p.now);
      }
      Shard& shard = opens ? p.client.shard : p.server.shard;
      const tcp::Tcb& t = shard.connections.at(mine.index()).tcb;
      EXPECT_GE(t.rtx_count, 5U);
      EXPECT_EQ(t.path_mss, 1220U) << opens;
      EXPECT_EQ(shard.tcp_counters.get(tcp::Counter::pmtu_black_hole), 1U) << opens;
    }
}

// ---- Everything used up at once, as exhaustion_test.cpp has it over IPv4: what IPv6 has of its own, and what both share.
struct Hoarder { // on port 81 it reads nothing, on port 82 it echoes
  void on_data(Connection c, Payload& p) {
    if (c.local().port == Port{81}) return;
    if (c.local().port == Port{82}) return void(c.send(p));
    p.drop_all();
    c.send(StaticBytes{std::string_view{"200"}});
    c.close();
  }
};
struct Pusher {
  void on_connected(Connection c) {
    if (c.remote().port == Port{81}) c.send(StaticBytes{text});
    if (c.remote().port == Port{80}) c.send(StaticBytes{std::string_view{"GET"}});
  }
  void on_data(Connection, Payload& p) {
    heard += p.size();
    p.drop_all();
  }
  const std::string text = std::string(1 << 20, 'd');
  std::uint64_t heard = 0;
};
struct Crowded6 : test::CorePair<Pusher, Hoarder> {
  Crowded6() : CorePair(settings(), 0, {}, {}, {}, true) {
    for (const Port at : {Port{80}, Port{81}, Port{82}})
      EXPECT_TRUE(server.shard.listeners.add({.first = at, .last = at}));
  }
  static ShardSettings settings() {
    ShardSettings s;
    s.connections = 64;
    s.syn_records = 8;
    s.time_wait_records = 4 * 64; // a quarter is IPv6's
    s.long_connections = 8;
    s.packet_reserve = 1024;
    s.tcp.synack_retries = 1;
    s.tcp.receive_buffer = 256 * 1024;
    return s;
  }
  Connection open(std::uint16_t from, std::uint16_t to) {
    const Connecting made = client.core.connect(key6(from, to));
    EXPECT_EQ(made.error, ConnectError::none) << from;
    run(Duration::ms(2));
    return made.connection;
  }
  // A SYN of somebody who is not there.
  void strange_syn(std::uint16_t from) {
    const FlowKey6 k{*Ip::parse("fd00::dead"), server_ip6, Be16{from}, Be16{80}};
    Packet frame =
        test::forge(pool.pool(), server.self.mac(), client.self.mac(), k, test::linux_syn(Seq{from}, 1));
    if (!frame) return;
    rte_mbuf* m = frame.release();
    (void)pair.a().tx_burst(0, &m, 1);
    settle();
  }
  std::uint64_t count(tcp::Counter c) const { return server.shard.tcp_counters.get(c); }
};

TEST(Core6, EverythingUsedUpAtOnceIsSurvivedAndPasses) {
  Crowded6 p;
  Shard& at = p.server.shard;
  Connection old = p.open(999, 82);
  const auto old_answers = [&] {
    const std::uint64_t before = p.client_handler.heard;
    old.send(StaticBytes{std::string_view{"ping"}});
    p.run(Duration::ms(3));
    return p.client_handler.heard == before + 4;
  };
  ASSERT_TRUE(old_answers());
  for (std::uint16_t i = 0; i < 80; ++i) (void)p.open(static_cast<std::uint16_t>(1000 + i), 80);
  EXPECT_EQ(at.time_wait6.streams.size(), at.time_wait6.streams.limit());
  EXPECT_GT(p.count(tcp::Counter::time_wait_evicted), 0U);
  for (std::uint16_t i = 0; i < 100; ++i) p.strange_syn(static_cast<std::uint16_t>(2000 + i));
  EXPECT_EQ(at.syn6.slots.used(), 8U);
  EXPECT_GE(p.count(tcp::Counter::syn_cookie_sent), 92U);
  std::vector<Connection> crowd;
  for (std::uint16_t i = 0; i < 63; ++i) crowd.push_back(p.open(static_cast<std::uint16_t>(3000 + i), 81));
  p.run(Duration::ms(100));
  EXPECT_EQ(at.connections.used(), 64U);
  EXPECT_NE(at.env.scarcity, tcp::Scarcity::none);
  EXPECT_GT(p.count(tcp::Counter::drop_text_scarce), 0U);
  EXPECT_GE(p.pool.pool().free(), 1024U / 4 - 1); // that much nobody can pin
  // Each limit says which it is, and who is there feels none of them.
  EXPECT_EQ(p.client.core.connect(p.key6(4000, 82)).error, ConnectError::no_record);
  p.strange_syn(2200);
  EXPECT_EQ(p.count(tcp::Counter::accept_queue_full), 1U);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(old_answers()) << i;
  EXPECT_EQ(at.syn4.slots.used() + at.time_wait4.streams.size(), 0U); // the other family's are its own
  // Pressure ends, and all is as before.
  for (Connection& c : crowd) c.abort();
  p.run(Duration::seconds(10), Duration::ms(10));
  EXPECT_EQ(at.env.scarcity, tcp::Scarcity::none);
  EXPECT_EQ(at.syn6.slots.used(), 0U);
  EXPECT_EQ(at.connections.used(), 1U);
  EXPECT_EQ(at.flows.size(), 1 + at.time_wait6.streams.size());
  EXPECT_LT(p.pool.used(), 40U);
  EXPECT_TRUE(old_answers());
  Connection fresh = p.open(4000, 82);
  EXPECT_EQ(fresh.state(), tcp::State::Established);
  p.run(Duration::seconds(61), Duration::ms(50));
  EXPECT_EQ(at.flows.size(), 2U);
}

} // namespace core6_test
} // namespace tern
