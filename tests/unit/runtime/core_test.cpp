// Whole cores, packets in and packets out.
#include "support/core_pair.hpp"

#include <string>

namespace tern {
namespace core_test {

struct Client {
  void on_connected(Connection c) {
    ++connected;
    c.send(StaticBytes{request});
  }
  void on_data(Connection, Payload& p) {
    while (!p.empty()) {
      const auto piece = p.front();
      text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
      p.drop(static_cast<std::uint32_t>(piece.size()));
    }
  }
  void on_closed(Connection, CloseReason r) {
    ++closed;
    reason = r;
  }
  std::string_view request = "GET";
  std::string text;
  int connected = 0;
  int closed = 0;
  CloseReason reason = CloseReason::None;
};

struct Server {
  void on_accept(Connection) { ++accepted; }
  void on_data(Connection c, Payload& p) {
    p.drop_all();
    c.send(StaticBytes{std::string_view{"200"}});
    c.close();
  }
  void on_closed(Connection, CloseReason) { ++closed; }
  int accepted = 0;
  int closed = 0;
};

struct Echo {
  void on_data(Connection c, Payload& p) { c.send(p); }
};

using Pair = test::CorePair<Client, Server>;

void listen(Shard& s) {
  ASSERT_TRUE(s.listeners.add({.ip = Ip{}, .first = Port{80}, .last = Port{80}}));
}

TEST(Core, OneRequestOneResponseCostsSixPackets) {
  Pair p;
  listen(p.server.shard);
  p.settle();
  // The first connection also resolves addresses; the second shows what one costs.
  ASSERT_EQ(p.client.core.connect(p.key(1000)).error, ConnectError::none);
  p.settle();
  const auto before = p.client.shard.counters.get(CoreCounter::tx_packets) +
                      p.server.shard.counters.get(CoreCounter::tx_packets);
  p.client_handler.text.clear();
  ASSERT_EQ(p.client.core.connect(p.key(1001)).error, ConnectError::none);
  p.settle();
  const auto after = p.client.shard.counters.get(CoreCounter::tx_packets) +
                     p.server.shard.counters.get(CoreCounter::tx_packets);
  EXPECT_EQ(after - before, 6U);
  EXPECT_EQ(p.client_handler.text, "200");
  EXPECT_EQ(p.client_handler.closed, 2);
  EXPECT_EQ(p.client_handler.reason, CloseReason::Done);
  EXPECT_EQ(p.server_handler.accepted, 2);
  EXPECT_EQ(p.server_handler.closed, 2);
  EXPECT_EQ(p.client.shard.connections.used(), 0U);
  EXPECT_EQ(p.server.shard.connections.used(), 0U);
  EXPECT_EQ(p.server.shard.time_wait4.streams.size(), 2U);
  EXPECT_EQ(p.client.shard.flows.size(), 0U);
}

// Of a million that rest, none is to be fetched for a timer that has nothing to do.
TEST(Core, AConnectionAtRestHasNoTimer) {
  test::CorePair<Client, Echo> p;
  listen(p.server.shard);
  const Connecting made = p.client.core.connect(p.key(1000));
  ASSERT_EQ(made.error, ConnectError::none);
  p.settle();
  p.run(Duration::ms(100)); // an ACK that was put off has left
  ASSERT_EQ(p.client_handler.text, "GET");
  ASSERT_EQ(p.server.shard.connections.used(), 1U);
  EXPECT_EQ(p.client.shard.wheel.size(), 0U);
  EXPECT_EQ(p.server.shard.wheel.size(), 0U);
  Connection c = made.connection;
  ASSERT_EQ(c.send(StaticBytes{std::string_view{"again"}}), 5U);
  (void)p.client.core.poll(p.now);
  EXPECT_EQ(p.client.shard.wheel.size(), 1U); // it might be lost
  p.settle();
  p.run(Duration::ms(100));
  EXPECT_EQ(p.client_handler.text, "GETagain");
  EXPECT_EQ(p.client.shard.wheel.size(), 0U);
}

TEST(Core, TimeWaitExpiresAndLeavesTheTable) {
  Pair p;
  listen(p.server.shard);
  ASSERT_EQ(p.client.core.connect(p.key(1000)).error, ConnectError::none);
  p.settle();
  EXPECT_EQ(p.server.shard.flows.size(), 1U);
  p.run(Duration::seconds(61), Duration::ms(100));
  EXPECT_EQ(p.server.shard.flows.size(), 0U);
  EXPECT_EQ(p.server.shard.tcp_counters.get(tcp::Counter::time_wait_expired), 1U);
}

TEST(Core, SynToTimeWaitIsReusedWithTimestamps) {
  Pair p;
  listen(p.server.shard);
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(p.client.core.connect(p.key(1000)).error, ConnectError::none) << i;
    p.settle();
    p.run(Duration::ms(3));
    EXPECT_EQ(p.client_handler.closed, i + 1);
    // Once a life, and by who began it, not by who would have liked to.
    EXPECT_EQ(p.server.shard.tcp_counters.get(tcp::Counter::handshake_done), std::uint64_t(i) + 1);
    EXPECT_EQ(p.server.shard.tcp_counters.get(tcp::Counter::time_wait_reused), std::uint64_t(i));
  }
}

TEST(Core, ClosedPortRefuses) {
  Pair p;
  ASSERT_EQ(p.client.core.connect(p.key(1000, 81)).error, ConnectError::none);
  p.settle();
  EXPECT_EQ(p.client_handler.reason, CloseReason::Refused);
}

TEST(Core, NobodyThereTimesOut) {
  Pair p;
  FlowKey4 key = p.key(1000);
  key.remote = Ip4{10, 0, 0, 77}; // no such host
  ASSERT_EQ(p.client.core.connect(key).error, ConnectError::none);
  p.run(Duration::seconds(200), Duration::ms(100));
  EXPECT_EQ(p.client_handler.reason, CloseReason::TimedOut);
  EXPECT_EQ(p.client.shard.connections.used(), 0U);
}

TEST(Core, ConnectToAnEndpointInUseIsRefusedToTheCaller) {
  Pair p;
  listen(p.server.shard);
  ASSERT_EQ(p.client.core.connect(p.key(1000)).error, ConnectError::none);
  EXPECT_EQ(p.client.core.connect(p.key(1000)).error, ConnectError::port_taken);
  EXPECT_TRUE(p.client.core.taken(p.key(1000)));
  EXPECT_FALSE(p.client.core.taken(p.key(1001)));
  p.settle();
}

TEST(Core, StaleHandleDoesNothingAndSaysSo) {
  Pair p;
  listen(p.server.shard);
  Connection c = p.client.core.connect(p.key(1000)).connection;
  EXPECT_TRUE(c.alive());
  p.settle();
  EXPECT_FALSE(c.alive());
  EXPECT_EQ(c.send("late"), 0U);
  EXPECT_EQ(c.state(), tcp::State::Closed);
  ASSERT_EQ(p.client.core.connect(p.key(1001)).error,
            ConnectError::none); // the same record, another generation
  EXPECT_FALSE(c.alive());
  p.settle();
}

TEST(Core, CookiesServeWhenNoRecordIsLeft) {
  Pair p;
  ASSERT_TRUE(p.server.shard.listeners.add(
      {.ip = Ip{}, .first = Port{80}, .last = Port{80}, .cookies = tcp::CookieMode::Always}));
  ASSERT_EQ(p.client.core.connect(p.key(1000)).error, ConnectError::none);
  p.settle();
  EXPECT_EQ(p.client_handler.text, "200");
  EXPECT_EQ(p.server.shard.tcp_counters.get(tcp::Counter::syn_cookie_valid), 1U);
}

struct Sender : Client {
  void on_connected(Connection c) { push(c); }
  void on_writable(Connection c) { push(c); }
  void push(Connection c) {
    while (sent < total) {
      std::string block(std::min<std::size_t>(10'000, total - sent), ' ');
      for (std::size_t i = 0; i < block.size(); ++i) block[i] = static_cast<char>((sent + i) * 7 >> 2);
      const std::uint32_t n = c.send(block);
      sent += n;
      if (n < block.size()) return;
    }
    c.close();
  }
  std::size_t sent = 0;
  std::size_t total = 1'000'000;
};

TEST(Core, EchoOfAMegabyteIsExact) {
  test::CorePair<Sender, Echo> p;
  listen(p.server.shard);
  ASSERT_EQ(p.client.core.connect(p.key(1000)).error, ConnectError::none);
  p.settle();
  p.run(Duration::seconds(5));
  ASSERT_EQ(p.client_handler.text.size(), 1'000'000U);
  for (std::size_t i = 0; i < p.client_handler.text.size(); ++i)
    ASSERT_EQ(p.client_handler.text[i], static_cast<char>(i * 7 >> 2)) << i;
  EXPECT_EQ(p.client_handler.reason, CloseReason::Done);
}

struct ClosingEcho : Echo {
  void on_writable(Connection c) { c.resume_reading(); }
  void on_peer_closed(Connection c) { c.close(); }
};

TEST(Core, PeersEndWaitsForTextThatTheSendBufferKeepsUnread) {
  struct SlowSender : Sender {
    void on_connected(Connection c) {
      c.pause_reading();
      push(c);
    }
  };
  test::CorePair<SlowSender, ClosingEcho> p;
  listen(p.server.shard);
  // More than the echo may send to a closed window, less than that and its receive buffer: text and FIN wait
  // there.
  p.client_handler.total = 360'000;
  const auto opened = p.client.core.connect(p.key(1000));
  ASSERT_EQ(opened.error, ConnectError::none);
  p.run(Duration::seconds(2));
  ASSERT_EQ(p.client_handler.sent, 360'000U);
  Connection c = opened.connection;
  ASSERT_EQ(c.state(), tcp::State::FinWait2);
  c.resume_reading();
  p.run(Duration::seconds(5));
  EXPECT_EQ(p.client_handler.text.size(), 360'000U);
  EXPECT_EQ(p.client_handler.reason, CloseReason::Done);
}

TEST(Core, PeersEndIsToldThoughTheHandlerLeavesTextOfItsOwnAccord) {
  struct Waits { // for a line that never ends
    void on_peer_closed(Connection c) {
      ++told;
      c.close();
    }
    void on_data(Connection, Payload&) {}
    int told = 0;
  };
  test::CorePair<Sender, Waits> p;
  listen(p.server.shard);
  p.client_handler.total = 100;
  ASSERT_EQ(p.client.core.connect(p.key(1000)).error, ConnectError::none);
  p.run(Duration::seconds(1));
  EXPECT_EQ(p.server_handler.told, 1);
  EXPECT_EQ(p.client_handler.reason, CloseReason::Done);
}

} // namespace core_test
} // namespace tern
