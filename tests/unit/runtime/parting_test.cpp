// The ways to part from a connection (handler.hpp), and that none of them leaves it to a silent peer for
// ever.
#include <string>
#include <string_view>

#include "support/core_pair.hpp"

namespace tern {
namespace parting_test {

constexpr Duration hour = Duration::seconds(3600);

// A peer that asks, and then neither closes nor says a word unless the test makes it.
struct Peer {
  void on_connected(Connection c) {
    if (deaf) c.pause_reading();
    c.send(StaticBytes{std::string_view{"GET"}});
  }
  void on_data(Connection, Payload& p) {
    got += p.size();
    p.drop_all();
  }
  void on_peer_closed(Connection) { ++ends; }
  void on_closed(Connection, CloseReason r) { ++closed, reason = r; }
  bool deaf = false;
  std::uint64_t got = 0;
  int ends = 0;
  int closed = 0;
  CloseReason reason = CloseReason::None;
};

enum class Way { Close, Drain, Release, ReleaseUnread };

// Answers the first text and parts.
struct Host {
  void on_data(Connection c, Payload& p) {
    read += p.size();
    ++texts;
    if (way != Way::ReleaseUnread) p.drop_all();
    if (texts > 1) return;
    static const std::string answer(200'000, 'x');
    c.send(StaticBytes{std::string_view{answer}.substr(0, size)});
    if (way == Way::Close) c.close();
    if (way == Way::Drain) c.drain();
    if (way == Way::Release) c.release();
    last = c;
  }
  void on_peer_closed(Connection c) {
    ++ends;
    c.close();
  }
  void on_writable(Connection) { ++writables; }
  void on_closed(Connection, CloseReason r) { ++closed, reason = r; }
  Way way = Way::Close;
  std::size_t size = 3;
  std::uint64_t read = 0;
  int texts = 0;
  int ends = 0;
  int writables = 0;
  int closed = 0;
  CloseReason reason = CloseReason::None;
  Connection last;
};

class Parting : public ::testing::Test {
 protected:
  Connection open(Way way) {
    p.server_handler.way = way;
    EXPECT_TRUE(p.server.shard.listeners.add({.ip = Ip{}, .first = Port{80}, .last = Port{80}}));
    const auto opened = p.client.core.connect(p.key(1000));
    EXPECT_EQ(opened.error, ConnectError::none);
    p.run(Duration::ms(300));
    return opened.connection;
  }
  std::uint64_t count(tcp::Counter c) { return p.server.shard.tcp_counters.get(c); }

  test::CorePair<Peer, Host> p;
};

TEST_F(Parting, CloseReadsOnForAsLongAsThePeerLikes) {
  Connection c = open(Way::Close);
  ASSERT_EQ(p.server_handler.last.state(), tcp::State::FinWait2);
  for (int i = 0; i < 5; ++i) {
    p.run(hour, Duration::seconds(1));
    EXPECT_EQ(c.send("still here"), 10U);
    p.run(Duration::ms(100));
  }
  EXPECT_EQ(p.server_handler.read, 3U + 5U * 10U);
  EXPECT_EQ(p.server_handler.closed, 0);
  c.close();
  p.run(Duration::ms(100));
  EXPECT_EQ(p.server_handler.ends, 1);
  EXPECT_EQ(p.server_handler.reason, CloseReason::Done);
  EXPECT_EQ(p.client_handler.reason, CloseReason::Done);
}

TEST_F(Parting, DrainEndsThoughThePeerNeverCloses) {
  open(Way::Drain);
  ASSERT_EQ(p.server_handler.last.state(), tcp::State::FinWait2);
  EXPECT_EQ(p.client_handler.got, 3U);
  p.run(Duration::seconds(58), Duration::ms(100));
  EXPECT_EQ(p.server_handler.closed, 0);
  p.run(Duration::seconds(3), Duration::ms(100));
  EXPECT_EQ(p.server_handler.reason, CloseReason::TimedOut);
  EXPECT_EQ(count(tcp::Counter::timeout_fin_wait_2), 1U);
  EXPECT_EQ(p.server.shard.connections.used(), 0U);
}

TEST_F(Parting, DrainThrowsAwayWhatStillComesAndResetsNothing) {
  Connection c = open(Way::Drain);
  const std::string more(40'000, 'm');
  std::size_t sent = 0;
  for (int i = 0; i < 20; ++i) {
    sent += c.send(more);
    p.run(Duration::ms(50));
  }
  EXPECT_EQ(sent, 20U * 40'000U); // the window never shut
  EXPECT_EQ(p.server_handler.texts, 1);
  EXPECT_EQ(count(tcp::Counter::reset_out), 0U);
  c.close();
  p.run(Duration::ms(100));
  EXPECT_EQ(p.client_handler.reason, CloseReason::Done);
  EXPECT_EQ(p.server_handler.reason, CloseReason::Done);
  EXPECT_EQ(p.server_handler.ends, 0); // nothing but on_closed after drain()
}

TEST_F(Parting, ReleaseAnswersTextThatStillComesWithReset) {
  Connection c = open(Way::Release);
  ASSERT_EQ(p.server_handler.last.state(), tcp::State::FinWait2); // what it read in the callback was read
  EXPECT_EQ(p.client_handler.got, 3U);
  (void)c.send("too late");
  p.run(Duration::ms(100));
  EXPECT_EQ(p.client_handler.reason, CloseReason::Reset);
  EXPECT_EQ(p.server_handler.texts, 1);
  EXPECT_EQ(p.server_handler.closed, 1);
  EXPECT_EQ(p.server.shard.connections.used(), 0U);
}

TEST_F(Parting, ReleaseOfUnreadTextResets) {
  open(Way::ReleaseUnread);
  ASSERT_EQ(p.server_handler.last.state(), tcp::State::Established);
  p.server_handler.last.release();
  p.run(Duration::ms(100));
  EXPECT_EQ(p.server_handler.closed, 1);
  EXPECT_EQ(p.client_handler.reason, CloseReason::Reset);
}

TEST_F(Parting, DrainLaterThrowsUnreadTextAway) {
  Connection c = open(Way::ReleaseUnread);
  p.server_handler.last.drain();
  p.run(Duration::ms(100));
  EXPECT_EQ(p.client_handler.ends, 1);
  EXPECT_EQ(p.server_handler.last.state(), tcp::State::FinWait2);
  c.close();
  p.run(Duration::ms(100));
  EXPECT_EQ(p.client_handler.reason, CloseReason::Done);
  EXPECT_EQ(p.server.shard.counters.get(CoreCounter::unread_payload_dropped), 0U);
}

TEST_F(Parting, ReleaseOfWhatWasClosedLongAgoStartsItsTime) {
  open(Way::Close);
  p.run(hour, Duration::seconds(1));
  p.server_handler.last.release();
  p.run(Duration::seconds(61), Duration::ms(100));
  EXPECT_EQ(p.server_handler.reason, CloseReason::TimedOut);
}

// The peer answers every probe, and takes nothing.
TEST_F(Parting, AWindowHeldShutDoesNotHoldADrainedConnection) {
  p.client_handler.deaf = true;
  p.server_handler.size = 200'000;
  open(Way::Drain);
  ASSERT_EQ(p.server_handler.last.state(), tcp::State::FinWait1);
  p.run(Duration::seconds(900), Duration::ms(100));
  EXPECT_GE(count(tcp::Counter::zero_window_probe), 5U);
  EXPECT_EQ(p.server_handler.reason, CloseReason::TimedOut);
  EXPECT_EQ(p.client_handler.reason, CloseReason::Reset); // it lives, so it is told
  EXPECT_EQ(p.server.shard.connections.used(), 0U);
}

TEST_F(Parting, AWindowHeldShutHoldsAnOpenConnectionAndOneHalfClosed) {
  p.client_handler.deaf = true;
  p.server_handler.size = 200'000;
  Connection c = open(Way::Close);
  p.run(hour, Duration::ms(500));
  ASSERT_EQ(p.server_handler.last.state(), tcp::State::FinWait1);
  c.resume_reading();
  p.run(Duration::seconds(130), Duration::ms(100));
  EXPECT_EQ(p.client_handler.got, 200'000U);
  EXPECT_EQ(p.client_handler.ends, 1);
}

// It has nothing to wait for once the peer has closed too.
TEST_F(Parting, AWindowHeldShutDoesNotHoldLastAck) {
  p.client_handler.deaf = true;
  p.server_handler.size = 200'000;
  Connection c = open(Way::Close);
  c.close();
  p.run(Duration::ms(100));
  ASSERT_EQ(p.server_handler.last.state(), tcp::State::Closing);
  p.run(Duration::seconds(900), Duration::ms(100));
  EXPECT_EQ(p.server_handler.reason, CloseReason::TimedOut);
}

// ---- CLOSE-WAIT: the peer has closed, and it is the handler's turn

struct Caller {
  void on_data(Connection, Payload& p) {
    got += p.size();
    p.drop_all();
  }
  void on_peer_closed(Connection) {}
  void on_closed(Connection, CloseReason r) { reason = r; }
  std::uint64_t got = 0;
  CloseReason reason = CloseReason::None;
};

// Hears that the peer closed, and does nothing of its own accord.
struct Forgetful {
  void on_data(Connection c, Payload& p) {
    last = c;
    if (reads) p.drop_all();
  }
  void on_peer_closed(Connection c) { last = c; }
  void on_closed(Connection, CloseReason r) { ++closed, reason = r; }
  bool reads = true;
  int closed = 0;
  CloseReason reason = CloseReason::None;
  Connection last;
};

class CloseWait : public ::testing::Test {
 protected:
  static ShardSettings settings(Duration keepalive = {}) {
    ShardSettings s;
    s.tcp.close_wait = Duration::seconds(600);
    s.tcp.keepalive_idle = keepalive;
    s.tcp.keepalive_interval = Duration::seconds(1);
    return s;
  }
  explicit CloseWait(const ShardSettings& s = settings()) : p(s) {}
  // The client says a word and closes.
  void begin() {
    ASSERT_TRUE(p.server.shard.listeners.add({.ip = Ip{}, .first = Port{80}, .last = Port{80}}));
    c = p.client.core.connect(p.key(1000)).connection;
    p.settle();
    c.send("GET");
    c.close();
    p.run(Duration::ms(100));
    ASSERT_EQ(ours().state(), tcp::State::CloseWait);
  }
  Connection& ours() { return p.server_handler.last; }
  std::uint64_t forgotten() { return p.server.shard.tcp_counters.get(tcp::Counter::timeout_close_wait); }

  test::CorePair<Caller, Forgetful> p;
  Connection c;
};

class CloseWaitWithKeepalive : public CloseWait {
 protected:
  CloseWaitWithKeepalive() : CloseWait(settings(Duration::seconds(7))) {}
};

TEST_F(CloseWait, OfAHandlerThatForgetsIsResetAndCounted) {
  begin();
  p.run(Duration::seconds(599), Duration::ms(500));
  EXPECT_EQ(p.server_handler.closed, 0);
  p.run(Duration::seconds(602), Duration::ms(500)); // at the first look it had read since the FIN came
  EXPECT_EQ(p.server_handler.reason, CloseReason::TimedOut);
  EXPECT_EQ(p.client_handler.reason, CloseReason::Reset);
  EXPECT_EQ(forgotten(), 1U);
  EXPECT_EQ(p.server.shard.connections.used(), 0U);
}

TEST_F(CloseWait, WithUnreadTextIsBoundedToo) {
  p.server_handler.reads = false;
  begin();
  p.run(Duration::seconds(601), Duration::ms(500));
  EXPECT_EQ(forgotten(), 1U);
  EXPECT_EQ(p.server.shard.connections.used(), 0U);
}

TEST_F(CloseWait, OfAHandlerThatStillSendsLastsAsLongAsItLikes) {
  begin();
  for (int i = 0; i < 20; ++i) {
    p.run(Duration::seconds(590), Duration::ms(500));
    ASSERT_EQ(ours().send("more"), 4U) << i;
  }
  p.run(Duration::seconds(1));
  EXPECT_EQ(p.client_handler.got, 80U);
  ours().close();
  p.run(Duration::seconds(1));
  EXPECT_EQ(p.server_handler.reason, CloseReason::Done);
  EXPECT_EQ(forgotten(), 0U);
}

TEST_F(CloseWait, WaitsForAPeerThatDoesNotReadAndThenForTheHandlerAnew) {
  begin();
  c.pause_reading();
  static const std::string much(200'000, 'x');
  (void)ours().send(StaticBytes{std::string_view{much}});
  p.run(hour, Duration::seconds(1)); // the window is shut: the peer's doing
  ASSERT_EQ(p.server_handler.closed, 0);
  c.resume_reading();
  p.run(Duration::seconds(599), Duration::ms(500));
  EXPECT_EQ(p.client_handler.got, much.size());
  EXPECT_EQ(p.server_handler.closed, 0);
  p.run(Duration::seconds(1300), Duration::ms(500));
  EXPECT_EQ(forgotten(), 1U);
}

TEST_F(CloseWaitWithKeepalive, EndsAtItsOwnTime) {
  begin();
  p.run(Duration::seconds(590), Duration::ms(500));
  EXPECT_EQ(p.server_handler.closed, 0);
  EXPECT_GE(p.server.shard.tcp_counters.get(tcp::Counter::keepalive_probe), 50U);
  p.run(Duration::seconds(30), Duration::ms(500)); // it looks with every probe
  EXPECT_EQ(forgotten(), 1U);
}

TEST(PartingOfADeafHandler, CloseDrains) {
  struct Daytime {
    void on_accept(Connection c) {
      c.send(StaticBytes{std::string_view{"noon"}});
      c.close();
    }
    void on_closed(Connection, CloseReason r) { reason = r; }
    CloseReason reason = CloseReason::None;
  };
  test::CorePair<Peer, Daytime> p;
  ASSERT_TRUE(p.server.shard.listeners.add({.ip = Ip{}, .first = Port{80}, .last = Port{80}}));
  ASSERT_EQ(p.client.core.connect(p.key(1000)).error, ConnectError::none);
  p.run(Duration::seconds(2), Duration::ms(10));
  EXPECT_EQ(p.client_handler.got, 4U);
  EXPECT_EQ(p.client_handler.closed, 0); // its text was not refused
  p.run(Duration::seconds(61), Duration::ms(100));
  EXPECT_EQ(p.server_handler.reason, CloseReason::TimedOut);
  EXPECT_EQ(p.server.shard.connections.used(), 0U);
}

} // namespace parting_test
} // namespace tern
