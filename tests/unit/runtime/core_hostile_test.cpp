// Whole cores under what peers and handlers should not do.
#include <string>
#include <string_view>

#include "support/core_pair.hpp"

namespace tern {
namespace core_hostile_test {

void listen(Shard& s) {
  ASSERT_TRUE(s.listeners.add({.ip = Ip{}, .first = Port{80}, .last = Port{80}}));
}

struct Closer {
  void on_data(Connection c, Payload& p) {
    p.drop_all();
    c.send(StaticBytes{std::string_view{"200"}});
    c.close();
  }
};

struct Asker {
  void on_connected(Connection c) { c.send(StaticBytes{std::string_view{"GET"}}); }
  void on_data(Connection, Payload& p) { p.drop_all(); }
  void on_closed(Connection, CloseReason) { ++closed; }
  int closed = 0;
};

using Pair = test::CorePair<Asker, Closer>;

FlowRef at_server(Pair& p, std::uint16_t port) {
  const FlowKey4 k{Pair::client_ip, Pair::server_ip, Be16{port}, Be16{80}};
  Shard& s = p.server.shard;
  return s.flows.find(s.hasher(k), k, s);
}

// A connection that leaves a TIME-WAIT record at the server.
void leave_time_wait(Pair& p) {
  listen(p.server.shard);
  ASSERT_EQ(p.client.core.connect(p.key(1000)).error, ConnectError::none);
  p.settle();
  p.run(Duration::ms(3));
  ASSERT_TRUE(at_server(p, 1000));
  ASSERT_EQ(at_server(p, 1000).kind(), FlowKind::time_wait);
}

TEST(TimeWait, StaysWhenTheHandshakeThatWouldReuseItIsReset) {
  Pair p;
  leave_time_wait(p);
  // A SYN nobody stands behind: its sender forgets it, and answers the SYN-ACK with RST.
  Connection c = p.client.core.connect(p.key(1000)).connection;
  p.client.core.poll(p.now);
  c.abort();
  p.settle();
  ASSERT_EQ(p.server.shard.tcp_counters.get(tcp::Counter::syn_in), 2U);
  EXPECT_EQ(p.server.shard.tcp_counters.get(tcp::Counter::time_wait_reused), 0U);
  ASSERT_EQ(p.server.shard.syn4.slots.used(), 0U);
  ASSERT_TRUE(at_server(p, 1000));
  EXPECT_EQ(at_server(p, 1000).kind(), FlowKind::time_wait);
  EXPECT_EQ(p.server.shard.time_wait4.streams.size(), 1U);
}

TEST(TimeWait, StaysWhenTheHandshakeThatWouldReuseItIsGivenUp) {
  ShardSettings s;
  s.tcp.synack_retries = 1;
  Pair p{s};
  leave_time_wait(p);
  ASSERT_EQ(p.client.core.connect(p.key(1000)).error, ConnectError::none);
  p.client.core.poll(p.now);
  for (int i = 0; i < 10'000 && p.server.shard.tcp_counters.get(tcp::Counter::syn_given_up) == 0; ++i) {
    p.now = p.now + Duration::ms(1); // the client is silent from here on
    p.server.core.poll(p.now);
  }
  ASSERT_EQ(p.server.shard.tcp_counters.get(tcp::Counter::syn_given_up), 1U);
  ASSERT_TRUE(at_server(p, 1000));
  EXPECT_EQ(at_server(p, 1000).kind(), FlowKind::time_wait);
  p.settle();
}

TEST(TimeWait, ThatExpiresBehindAHandshakeDoesNotComeBack) {
  ShardSettings s;
  s.tcp.time_wait = Duration::seconds(2);
  Pair p{s};
  leave_time_wait(p);
  ASSERT_EQ(p.client.core.connect(p.key(1000)).error, ConnectError::none);
  p.client.core.poll(p.now);
  for (int i = 0; i < 100'000 && p.server.shard.tcp_counters.get(tcp::Counter::syn_given_up) == 0; ++i) {
    p.now = p.now + Duration::ms(1);
    p.server.core.poll(p.now);
  }
  EXPECT_EQ(p.server.shard.flows.size(), 0U);
  EXPECT_EQ(p.server.shard.time_wait4.streams.size(), 0U);
  p.settle();
}

TEST(TimeWait, IsGoneOnceTheHandshakeIsDone) {
  Pair p;
  leave_time_wait(p);
  ASSERT_EQ(p.client.core.connect(p.key(1000)).error, ConnectError::none);
  p.settle();
  EXPECT_EQ(p.client_handler.closed, 2);
  EXPECT_EQ(p.server.shard.time_wait4.streams.size(), 1U); // the second connection's
  EXPECT_EQ(p.server.shard.flows.size(), 1U);
}

TEST(Handler, MayCallAnythingInOnClosed) {
  struct Late : Asker {
    void on_closed(Connection c, CloseReason r) {
      Asker::on_closed(c, r);
      c.close();
      c.abort();
      c.resume_reading();
      EXPECT_EQ(c.send("late"), 0U);
    }
  };
  test::CorePair<Late, Closer> p;
  listen(p.server.shard);
  for (std::uint16_t i = 0; i < 3; ++i) {
    ASSERT_EQ(p.client.core.connect(p.key(static_cast<std::uint16_t>(1000 + i))).error, ConnectError::none);
    p.settle();
  }
  EXPECT_EQ(p.client_handler.closed, 3);
  EXPECT_EQ(p.client.shard.connections.used(), 0U);
  EXPECT_EQ(p.client.shard.dirty_count, 0U);
}

// Opens another connection, and ends it at once, whenever one closes.
struct Restless {
  void on_closed(Connection, CloseReason) {
    ++closed;
    if (core == nullptr || left == 0) return;
    --left;
    const FlowKey4 k{Ip4{10, 0, 0, 2}, Ip4{10, 0, 0, 1}, Be16{80}, Be16{port++}};
    core->connect(k).connection.abort();
  }
  Core<io::MemoryPort, Restless>* core = nullptr;
  std::uint16_t port = 5000;
  int left = 1000;
  int closed = 0;
};

TEST(Handler, MayOpenAsManyInOnClosedAsThereAreRecords) {
  ShardSettings s;
  s.connections = 4;
  test::CorePair<Restless, Closer> p{s};
  std::vector<Connection> all;
  for (std::uint16_t i = 0; i < 4; ++i)
    all.push_back(p.client.core.connect(p.key(static_cast<std::uint16_t>(1000 + i))).connection);
  p.client_handler.core = &p.client.core;
  for (Connection& c : all) c.abort();
  ASSERT_EQ(p.client.shard.dirty_count, 4U);
  p.client.core.poll(p.now);
  EXPECT_LE(p.client.shard.dirty_count, 4U); // the list has room for no more
  EXPECT_LE(p.client_handler.closed, 4);     // one turn ends
  p.settle();
  EXPECT_EQ(p.client.shard.connections.used(), 0U);
}

TEST(Burst, SynBehindResetIsTakenAsANewConnection) {
  struct Quiet {
    void on_closed(Connection, CloseReason r) { reason = r; }
    CloseReason reason = CloseReason::None;
  };
  struct Patient {
    void on_accept(Connection) { ++accepted; }
    int accepted = 0;
  };
  test::CorePair<Quiet, Patient> p;
  listen(p.server.shard);
  Connection c = p.client.core.connect(p.key(1000)).connection;
  p.settle();
  p.run(Duration::ms(3));
  ASSERT_EQ(p.server_handler.accepted, 1);
  c.abort();
  p.client.core.poll(p.now); // RST, and the record is free
  c = p.client.core.connect(p.key(1000)).connection;
  p.client.core.poll(p.now); // SYN: both lie in the server's queue
  p.settle();
  EXPECT_TRUE(c.alive());
  EXPECT_EQ(p.server_handler.accepted, 2);
  c.abort();
  p.settle();
}

TEST(Unread, TinySegmentsAreCoalesced) {
  struct Stubborn {
    void on_data(Connection, Payload&) {} // reads nothing
  };
  struct Dripper {
    void on_closed(Connection, CloseReason) {}
  };
  ShardSettings s;
  s.tcp.nagle = false;
  test::CorePair<Dripper, Stubborn> p{s};
  listen(p.server.shard);
  Connection c = p.client.core.connect(p.key(1000)).connection;
  p.settle();
  const unsigned before = p.pool.used();
  for (int i = 0; i < 2000; ++i) {
    ASSERT_EQ(c.send("x"), 1U);
    p.settle();
  }
  EXPECT_LT(p.pool.used() - before, 50U);
  c.abort();
  p.settle();
}

} // namespace core_hostile_test
} // namespace tern
