// A Core's turns: what of one burst is said at once, and clocks that jump between two of them.
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "support/core_pair.hpp"
#include "support/lone_core.hpp"

namespace tern {
namespace turn_test {

using test::Peer;

struct Echo {
  void on_data(Connection c, Payload& p) { c.send(p); }
  void on_closed(Connection, CloseReason) { ++closed; }
  int closed = 0;
};
struct Sink {
  void on_data(Connection, Payload& p) {
    bytes += p.size();
    p.drop_all();
  }
  std::uint64_t bytes = 0;
};

template <class Handler>
Peer peer(std::uint16_t port) {
  return {.key = test::LoneCore<Handler>::from(Ip4{198, 51, 100, 1}, port)};
}

TEST(Turn, SegmentsOfOneBurstAreAcknowledgedOnce) {
  test::LoneCore<Sink> c;
  c.listen();
  Peer p = peer<Sink>(5000);
  ASSERT_TRUE(p.connect(c));
  (void)c.take_sent();
  for (int i = 0; i < 9; ++i) ASSERT_TRUE(p.say(c, "part"));
  c.turns(1);
  EXPECT_EQ(c.handler.bytes, 36U);
  const auto sent = c.take_sent();
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].h.ack, p.snd_nxt);
}

TEST(Turn, EchoesOfOneBurstLeaveTogether) {
  test::LoneCore<Echo> c;
  c.listen();
  std::vector<Peer> peers;
  for (std::uint16_t i = 0; i < 3; ++i) {
    peers.push_back(peer<Echo>(static_cast<std::uint16_t>(5000 + i)));
    ASSERT_TRUE(peers.back().connect(c));
  }
  (void)c.take_sent();
  for (int i = 0; i < 4; ++i) // in turns, so that none of them has two in a row
    for (Peer& p : peers) ASSERT_TRUE(p.say(c, "part"));
  c.turns(1);
  const auto sent = c.take_sent();
  EXPECT_EQ(sent.size(), peers.size());
  for (Peer& p : peers) EXPECT_EQ(p.hear(sent), 16U);
}

// A machine that was paused, for half a minute or for more than half of the millisecond clock's round: who is open
// goes on, and what was due ends.
TEST(Turn, AfterAnyPauseConnectionsGoOnAndHandshakesEnd) {
  for (const std::int64_t pause :
       {30'000LL, 3'000'000LL, 0x7fff'0000LL, 0x8000'0010LL, 0xfffe'0000LL, 0x1'0000'0100LL}) {
    ShardSettings s;
    s.tcp.synack_retries = 2;
    test::LoneCore<Echo> c(s);
    c.listen({.backlog = 1000});
    std::vector<Peer> peers;
    for (std::uint16_t i = 0; i < 200; ++i) {
      peers.push_back(peer<Echo>(static_cast<std::uint16_t>(5000 + i)));
      ASSERT_TRUE(peers.back().connect(c));
      ASSERT_TRUE(answers(c, peers.back()));
    }
    for (std::uint32_t i = 0; i < 300; ++i)
      ASSERT_TRUE(c.arrives(peer<Echo>(static_cast<std::uint16_t>(1 + i)).key, test::linux_syn(Seq{i}, 1)));
    c.turn();
    ASSERT_EQ(c.shard.syn4.slots.used(), 300U);
    c.now = c.now + Duration::ms(pause);
    c.turn();
    for (Peer& p : peers) ASSERT_TRUE(answers(c, p)) << pause;
    c.run(Duration::seconds(20), Duration::ms(10));
    EXPECT_EQ(c.shard.syn4.slots.used(), 0U) << pause;
    EXPECT_EQ(c.count(tcp::Counter::syn_given_up), 300U) << pause;
    for (Peer& p : peers) ASSERT_TRUE(answers(c, p)) << pause;
    EXPECT_EQ(c.handler.closed, 0);
    EXPECT_EQ(c.count(tcp::Counter::retransmit_rto), 0U) << pause;
    EXPECT_EQ(c.shard.flows.size(), 200U);
  }
}

// Text that is on its way when the machine is paused is sent again after it, whatever the millisecond clock says: it is due
// for longer than half of that clock's round, for nearly the whole, or for more.
TEST(Turn, AfterAnyPauseTextThatWasOnItsWayIsSentAgain) {
  constexpr std::int64_t day = 86'400'000;
  for (const std::int64_t pause : {std::int64_t{30'000}, 13 * day, 20 * day, 30 * day, 40 * day, 45 * day,
                                   49 * day, 49 * day / 2, 50 * day, 98 * day}) {
    test::LoneCore<Echo> c;
    c.listen();
    std::vector<Peer> peers;
    for (std::uint16_t i = 0; i < 200; ++i) {
      peers.push_back(peer<Echo>(static_cast<std::uint16_t>(5000 + i)));
      ASSERT_TRUE(peers.back().connect(c));
      ASSERT_TRUE(peers.back().say(c, "hello"));
    }
    c.turn();
    (void)c.take_sent(); // the echoes are lost
    c.now = c.now + Duration::ms(pause);
    ASSERT_TRUE(peers[0].say(c, "more")); // the first that is heard after it
    c.run(Duration::ms(500));
    const std::vector<test::Sent> sent = c.take_sent();
    for (Peer& p : peers) EXPECT_EQ(p.hear(sent), 5U) << pause / day;
    EXPECT_EQ(c.handler.closed, 0);
  }
}

// ---- A Core whose packets come from another core.
struct Answering {
  void on_data(Connection c, Payload& p) {
    text = p.front().data();
    if (meanwhile) std::exchange(meanwhile, nullptr)();
    p.drop_all();
    c.send(StaticBytes{std::string_view{"answer"}});
  }
  const std::byte* text = nullptr;
  std::function<void()> meanwhile;
};
struct Asking {
  void on_connected(Connection c) { all.push_back(c); }
  void on_data(Connection, Payload& p) {
    heard += p.size();
    texts.push_back(p.front().data());
    p.drop_all();
  }
  std::vector<Connection> all;
  std::vector<const std::byte*> texts;
  std::uint64_t heard = 0;
};
struct Looking : test::CorePair<Asking, Answering> {
  Looking() {
    EXPECT_TRUE(server.shard.listeners.add({.first = Port{80}, .last = Port{80}}));
    for (std::uint16_t i = 0; i < 3; ++i)
      EXPECT_EQ(client.core.connect(key(static_cast<std::uint16_t>(5000 + i))).error, ConnectError::none);
    settle();
    EXPECT_EQ(client_handler.all.size(), 3U);
  }
  void ask(std::size_t i) {
    client_handler.all[i].send(StaticBytes{std::string_view{"question"}});
    (void)client.core.poll(now);
  }
};

TEST(Turn, AnAnswerGoesOutInWhatItsQuestionCameIn) {
  Looking p;
  p.ask(0);
  p.settle();
  ASSERT_EQ(p.client_handler.texts.size(), 1U);
  EXPECT_EQ(p.client_handler.texts[0], p.server_handler.text);
}

// What came while a burst was worked on is on its way before that one's answers are written; nobody rests before it is
// worked on, too.
TEST(Turn, WhatCameMeanwhileIsLookedForBeforeTheOutput) {
  Looking p;
  p.server_handler.meanwhile = [&] { p.ask(1), p.ask(2); };
  p.ask(0);
  EXPECT_TRUE(p.server.core.poll(p.now));
  EXPECT_EQ(p.pair.b().counters(0).get(io::PortCounter::rx_packets) -
                p.server.shard.counters.get(CoreCounter::rx_packets),
            2U); // in hand
  EXPECT_EQ(p.server.core.nothing_before(Duration::ms(100)), p.now);
  EXPECT_TRUE(p.server.core.poll(p.now));
  p.settle();
  EXPECT_EQ(p.client_handler.heard, 3 * std::string_view{"answer"}.size());
}

TEST(Turn, WhatACoreHasInHandAtItsEndGoesBack) {
  Looking p; // its pool counts
  p.server_handler.meanwhile = [&] { p.ask(1), p.ask(2); };
  p.ask(0);
  EXPECT_TRUE(p.server.core.poll(p.now));
}

// A client that was answered by a cookie, and comes again once there is room for a record: the record has the cookie's
// number, for either SYN-ACK may be answered.
TEST(Turn, WhoMayHoldACookieGetsItsNumberWithTheRecord) {
  test::LoneCore<Sink> c;
  c.listen({.backlog = 1});
  const auto syn = [&](std::uint16_t port) {
    EXPECT_TRUE(
        c.arrives(test::LoneCore<Sink>::from(Ip4{198, 51, 100, 1}, port), test::linux_syn(Seq{7}, 1)));
    c.turn();
    const auto sent = c.take_sent();
    EXPECT_EQ(sent.size(), 1U);
    return sent.empty() ? Seq{} : sent[0].h.seq;
  };
  (void)syn(5000); // the one record
  const Seq by_cookie = syn(5001);
  EXPECT_EQ(c.count(tcp::Counter::syn_cookie_sent), 1U);
  c.shard.listeners[0].settings.backlog = 2;
  EXPECT_EQ(syn(5001), by_cookie);
  EXPECT_EQ(c.shard.syn4.slots.used(), 2U);
}

// The same, and an epoch turns in between: the record's number is the next epoch's. Whichever of the two SYN-ACKs came
// first, its answer opens the connection, and what the client then says is heard.
TEST(Turn, WhoAnswersACookieOfTheEpochBeforeIsLetInByTheRecordThatFollowedIt) {
  for (const bool first : {true, false})
    for (const std::string_view text : {"", "ping"}) {
      test::LoneCore<Sink> c;
      c.listen({.backlog = 1});
      Peer busy = peer<Sink>(5000);
      ASSERT_TRUE(c.arrives(busy.key, test::linux_syn(Seq{7}, 1))); // the one record
      c.turn();
      Peer p = peer<Sink>(5001);
      std::vector<test::Sent> answers;
      for (const std::uint32_t backlog : {1U, 2U}) {
        c.shard.listeners[0].settings.backlog = backlog;
        (void)c.take_sent();
        ASSERT_TRUE(c.arrives(p.key, test::linux_syn(Seq{7}, 1)));
        c.turn();
        for (const test::Sent& s : c.take_sent())
          if (s.key.local_port == p.key.remote_port) answers.push_back(s);
        c.now = c.now + Duration::seconds(1);
        c.shard.gate.jar.turn_to(1); // from 0
      }
      ASSERT_EQ(answers.size(), 2U);
      ASSERT_NE(answers[0].h.seq, answers[1].h.seq);
      const wire::Tcp& heard = answers[first ? 0 : 1].h;
      wire::Tcp ack;
      ack.flags = wire::tcp_flag::ack;
      ack.seq = Seq{8};
      ack.ack = heard.seq + 1;
      ack.window = 500;
      ack.options = test::linux_syn(Seq{7}, 2).options;
      ack.options.has = wire::TcpOptions::timestamps_bit;
      ack.options.ts_ecr = heard.options.ts_val;
      ASSERT_TRUE(c.arrives(p.key, ack, text));
      c.turn();
      for (const test::Sent& s : c.take_sent()) EXPECT_FALSE(s.h.has(wire::tcp_flag::rst)) << first;
      ASSERT_EQ(c.shard.connections.used(), 1U) << first;
      EXPECT_EQ(c.handler.bytes, text.size());
      EXPECT_EQ(c.shard.syn4.slots.used(), 1U);
      ack.seq += static_cast<std::uint32_t>(text.size());
      ASSERT_TRUE(c.arrives(p.key, ack, "more"));
      c.turn();
      EXPECT_EQ(c.handler.bytes, text.size() + 4);
    }
}

} // namespace turn_test
} // namespace tern
