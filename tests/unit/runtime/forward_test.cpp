// Text passed on from one connection to another: the far writer is held to what the near reader takes.
#include <string>

#include "support/core_pair.hpp"

namespace tern {
namespace forward_test {

// A handler takes text from the front of a payload, and cannot put another in its place: what is left of it is kept by
// where it ends.
template <class P>
concept CanBeReached = requires(P& p) {
  p.packet();
}
|| requires(P& p) {
  p.spent();
}
|| requires(P& p) {
  p.lend(1U);
};
static_assert(!CanBeReached<Payload>);
static_assert(!std::is_move_constructible_v<Payload> && !std::is_move_assignable_v<Payload>);

// Opens two connections: writes on the first, reads (or does not) on the second.
struct Ends {
  void on_data(Connection c, Payload& p) {
    if (!reading) return;
    while (!p.empty()) {
      const auto piece = p.front();
      got.append(reinterpret_cast<const char*>(piece.data()), piece.size());
      p.drop(static_cast<std::uint32_t>(piece.size()));
    }
    (void)c;
  }
  void on_peer_closed(Connection) { ++ended; }
  void on_returned(Connection, std::uint32_t) { ADD_FAILURE() << "nothing was lent here"; }
  bool reading = false;
  std::string got;
  int ended = 0;
};

// Passes what comes on the first on to the second.
struct Relay {
  void on_accept(Connection c) { (from.alive() ? to : from) = c; }
  void on_data(Connection c, Payload& p) {
    ASSERT_EQ(c, from);
    to.forward(p);
  }
  void on_returned(Connection c, std::uint32_t bytes) {
    ASSERT_EQ(c, to);
    returned += bytes;
    from.reopen(bytes);
  }
  void on_writable(Connection c) { c.forward_unread(from); }
  void on_peer_closed(Connection) { to.close(); }
  Connection from;
  Connection to;
  std::uint64_t returned = 0;
};

template <class Pair>
void open_both(Pair& p, Connection& writer, Connection& reader) {
  ASSERT_TRUE(p.server.shard.listeners.add({.ip = Ip{}, .first = Port{80}, .last = Port{80}}));
  writer = p.client.core.connect(p.key(1000)).connection;
  p.settle();
  reader = p.client.core.connect(p.key(1001)).connection;
  p.settle();
}

struct Forwarding : testing::Test {
  using Pair = test::CorePair<Ends, Relay>;
  static ShardSettings settings() {
    ShardSettings s;
    s.tcp.receive_buffer = 32 * 1024;
    s.tcp.send_buffer = 1024 * 1024;
    return s;
  }
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(open_both(p, writer, reader));
    ASSERT_TRUE(relay().to.alive());
    for (int i = 0; i < 200'000; ++i) text += static_cast<char>('a' + i % 26);
  }
  Relay& relay() { return p.server_handler; }
  Ends& ends() { return p.client_handler; }
  [[nodiscard]] const tcp::Tcb& source() { return p.server.shard.connections.at(relay().from.index()).tcb; }
  Pair p{settings()};
  Connection writer;
  Connection reader;
  std::string text;
};

TEST_F(Forwarding, ReaderThatStopsStopsTheWriterAndLosesNothing) {
  ASSERT_EQ(writer.send(text), text.size());
  p.run(Duration::seconds(3));
  // The reader's window and the writer's are both full, but for less than a segment, and nothing more is
  // anywhere in between.
  EXPECT_GT(reader.unread() + 1460, 32U * 1024);
  EXPECT_LE(reader.unread(), 32U * 1024);
  EXPECT_GT(source().rcv_held + 1460, 32U * 1024);
  EXPECT_LE(source().rcv_held, 32U * 1024);
  EXPECT_EQ(relay().returned, reader.unread());
  EXPECT_EQ(source().rcv_nxt.since(source().irs + 1), relay().returned + source().rcv_held);
  ends().reading = true;
  reader.resume_reading();
  p.run(Duration::seconds(5));
  EXPECT_TRUE(ends().got == text);
  EXPECT_EQ(relay().returned, text.size());
  EXPECT_EQ(source().rcv_held, 0U);
  writer.close();
  p.run(Duration::ms(500));
  EXPECT_EQ(ends().ended, 1);
}

TEST_F(Forwarding, OneByteSegmentsPinNoBufferEach) {
  const unsigned before = p.pool.used();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(writer.send(std::string_view{text}.substr(static_cast<std::size_t>(i), 1)), 1U);
    p.run(Duration::ms(90), Duration::ms(45)); // Nagle: a byte leaves when the one before it is acknowledged
  }
  EXPECT_EQ(reader.unread(), 1000U);
  EXPECT_LE(p.pool.used() - before, 4U);
  ends().reading = true;
  reader.resume_reading();
  p.run(Duration::ms(500));
  EXPECT_EQ(ends().got, text.substr(0, 1000));
}

TEST_F(Forwarding, ThatTheConnectionEndedLeavesNothingBehind) {
  ASSERT_EQ(writer.send(text), text.size());
  p.run(Duration::ms(100));
  relay().from.abort();
  p.run(Duration::ms(100));
  relay().from.reopen(1 << 20); // of a stale handle, and more than there ever was
  ends().reading = true;
  reader.resume_reading();
  p.run(Duration::seconds(2));
  EXPECT_TRUE(ends().got == text.substr(0, ends().got.size()));
  EXPECT_GT(ends().got.size() + 2 * 1460, 64U * 1024);
}

TEST_F(Forwarding, ReopenNeverPromisesMoreThanTheBuffer) {
  ASSERT_EQ(writer.send(text), text.size());
  p.run(Duration::ms(100));
  relay().from.reopen(1 << 20);
  EXPECT_EQ(source().rcv_held, 0U);
  p.run(Duration::ms(100));
  EXPECT_LE(source().rcv_held, 32U * 1024);
}

// Ends the near writer's connection both ways while its text still waits for the far reader.
struct Patient {
  void on_accept(Connection c) {
    if (accepted == 0) from = c;
    if (accepted == 1) to = c;
    ++accepted;
  }
  void on_data(Connection c, Payload& p) {
    if (c == from) to.forward(p);
  }
  void on_returned(Connection, std::uint32_t bytes) { from.reopen(bytes); }
  void on_writable(Connection c) {
    if (c != to) return;
    c.forward_unread(from);
    pass_end();
  }
  void on_peer_closed(Connection c) {
    if (c != from) return;
    end_came = true;
    pass_end();
  }
  bool on_end_unread(Connection c) {
    ++asked;
    return waits && c == from;
  }
  void on_closed(Connection c, CloseReason why) {
    if (c != from) return;
    EXPECT_EQ(why, CloseReason::Done);
    ++closed;
  }
  void pass_end() {
    if (end_came && from.unread() == 0) to.close();
  }
  Connection from, to;
  unsigned accepted = 0, asked = 0, closed = 0;
  bool end_came = false;
  bool waits = true;
};

// The reader's window takes 32 KiB, the relay's buffer 8, and the rest of the text is unread when its connection ends.
struct LastWords : testing::TestWithParam<bool> {
  using Pair = test::CorePair<Ends, Patient>;
  static ShardSettings settings() {
    ShardSettings s;
    s.tcp.receive_buffer = s.tcp.receive_buffer_max = 32 * 1024;
    s.tcp.send_buffer = 8 * 1024;
    return s;
  }
  Patient& relay() { return p.server_handler; }
  Ends& ends() { return p.client_handler; }
  [[nodiscard]] std::uint64_t dropped() const {
    return p.server.shard.counters.get(CoreCounter::unread_payload_dropped);
  }
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(open_both(p, writer, reader));
    ASSERT_EQ(relay().accepted, 2U);
    for (int i = 0; i < 58'000; ++i) text += static_cast<char>('a' + i % 26);
  }
  void write_and_end() {
    const bool relay_first = GetParam();
    if (relay_first) relay().from.close();
    p.settle();
    for (std::size_t sent = 0, turns = 0; sent < text.size() && turns < 100; ++turns) {
      sent += writer.send(std::string_view{text}.substr(sent));
      p.run(Duration::ms(20));
    }
    writer.close();
    p.run(Duration::ms(200));
    if (!relay_first) relay().from.close();
    p.run(Duration::ms(200));
  }
  Pair p{settings()};
  Connection writer;
  Connection reader;
  std::string text;
};

TEST_P(LastWords, WaitForWhoPassesThemOn) {
  write_and_end();
  EXPECT_FALSE(relay().from.alive());
  EXPECT_GT(relay().from.unread(), 10'000U);
  EXPECT_EQ(relay().asked, 1U);
  EXPECT_EQ(relay().closed, 0U);
  EXPECT_EQ(p.server.shard.connections.used(), 2U);
  EXPECT_EQ(p.server.shard.flows.size(), GetParam() ? 2U : 1U); // TIME-WAIT is of who closed first
  p.run(Duration::seconds(3));                                  // no clock of ours runs
  EXPECT_EQ(relay().closed, 0U);
  if (GetParam()) { // whose name it was may come again
    ASSERT_EQ(p.client.core.connect(p.key(1000)).error, ConnectError::none);
    p.run(Duration::ms(100));
    EXPECT_EQ(relay().accepted, 3U);
    EXPECT_EQ(p.server.shard.connections.used(), 3U);
  }
  ends().reading = true;
  reader.resume_reading();
  p.run(Duration::seconds(3));
  EXPECT_TRUE(ends().got == text) << ends().got.size();
  EXPECT_EQ(ends().ended, 2); // the writer's and the reader's
  EXPECT_EQ(relay().closed, 1U);
  EXPECT_EQ(dropped(), 0U);
  EXPECT_EQ(p.server.shard.dirty_count, 0U);
}

TEST_P(LastWords, AreDroppedWhereNobodyWillCome) {
  relay().waits = false;
  write_and_end();
  EXPECT_EQ(relay().closed, 1U);
  EXPECT_EQ(dropped(), 1U);
  EXPECT_EQ(p.server.shard.connections.used(), 1U);
}

TEST_P(LastWords, AreDroppedWhenWhoWaitedParts) {
  write_and_end();
  ASSERT_EQ(p.server.shard.connections.used(), 2U);
  relay().from.abort();
  p.run(Duration::ms(10));
  EXPECT_EQ(relay().closed, 1U);
  EXPECT_EQ(dropped(), 1U);
  EXPECT_EQ(p.server.shard.connections.used(), 1U);
  EXPECT_EQ(p.server.shard.dirty_count, 0U);
}

TEST_P(LastWords, AreThrownAwayForWhoDrains) {
  write_and_end();
  relay().from.drain();
  p.run(Duration::ms(10));
  EXPECT_EQ(relay().closed, 1U);
  EXPECT_EQ(p.server.shard.connections.used(), 1U);
}

INSTANTIATE_TEST_SUITE_P(Closing, LastWords, testing::Bool(),
                         [](const auto& i) { return i.param ? "First" : "Last"; });

} // namespace forward_test
} // namespace tern
