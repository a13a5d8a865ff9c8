// Whole cores under floods: what is decided at each limit happens, is counted, and passes.
#include <cmath>
#include <random>

#include "support/lone_core.hpp"

namespace tern {
namespace flood_test {

using test::LoneCore;
using test::Peer;
namespace flag = wire::tcp_flag;

struct Echo {
  void on_accept(Connection) { ++accepted; }
  void on_data(Connection c, Payload& p) { c.send(p); }
  void on_closed(Connection, CloseReason) { ++closed; }
  int accepted = 0;
  int closed = 0;
};

Ip4 stranger(std::uint32_t n) {
  return Ip4{Be32{10U << 24 | (n & 0xff'ffff)}};
}

struct Flood : testing::Test {
  ShardSettings small() const {
    ShardSettings s;
    s.connections = 256;
    s.syn_records = 64;
    s.tcp.synack_retries = 2;
    return s;
  }
};

TEST_F(Flood, OfSynsFromRandomAddressesIsAnsweredByCookiesAndHurtsNobody) {
  LoneCore<Echo> c(small());
  c.listen();
  Peer old{LoneCore<Echo>::from(Ip4{198, 51, 100, 1}, 5000)};
  ASSERT_TRUE(old.connect(c));
  std::mt19937 random(7);
  constexpr unsigned syns = 20'000;
  for (unsigned i = 0; i < syns; ++i) {
    const auto key = LoneCore<Echo>::from(stranger(static_cast<std::uint32_t>(random())),
                                          static_cast<std::uint16_t>(1024 + random() % 60'000));
    ASSERT_TRUE(c.arrives(key, test::linux_syn(Seq{static_cast<std::uint32_t>(random())}, 1)));
    if (i % 32 == 31) {
      c.turn();
      (void)c.take_sent();
    }
    if (i % 1000 == 999) {
      ASSERT_TRUE(answers(c, old)) << i;
      Peer fresh{LoneCore<Echo>::from(Ip4{198, 51, 100, 2}, static_cast<std::uint16_t>(6000 + i / 1000))};
      ASSERT_TRUE(fresh.connect(c)) << i; // by cookie, as the records are full
      ASSERT_TRUE(answers(c, fresh)) << i;
    }
  }
  EXPECT_EQ(c.shard.syn4.slots.used(), 64U);
  EXPECT_EQ(c.count(tcp::Counter::syn_cookie_sent), syns + 20 - 64);
  EXPECT_EQ(c.count(tcp::Counter::syn_cookie_valid), 20U);
  c.run(Duration::seconds(20), Duration::ms(10)); // nobody stands behind the records: 1, 2, 4 s, and they go
  EXPECT_EQ(c.count(tcp::Counter::syn_given_up), 64U);
  EXPECT_EQ(c.shard.syn4.slots.used(), 0U);
  EXPECT_EQ(c.shard.flows.size(), c.shard.connections.used());
  (void)c.take_sent();
  Peer after{LoneCore<Echo>::from(Ip4{198, 51, 100, 3}, 7000)};
  ASSERT_TRUE(after.connect(c));
  EXPECT_EQ(c.count(tcp::Counter::syn_cookie_valid), 20U); // by record again
}

// One address, one port, one sequence number after another: a chosen tuple is one record, whoever repeats it.
TEST_F(Flood, OfSynsFromOneChosenTupleTakesOneRecord) {
  LoneCore<Echo> c(small());
  c.listen();
  for (std::uint32_t i = 0; i < 5000; ++i) {
    ASSERT_TRUE(c.arrives(LoneCore<Echo>::from(stranger(1), 1000), test::linux_syn(Seq{i * 7919}, 1)));
    c.turn();
  }
  EXPECT_EQ(c.shard.syn4.slots.used(), 1U);
  EXPECT_LE(c.take_sent().size(), 11U); // its SYN-ACK, and the challenges of one second
}

// Every port of one address: the tuples differ as little as they can.
TEST_F(Flood, OfSynsFromOneAddressSpreadsOverTheTableAsAnyOther) {
  ShardSettings s = small();
  s.syn_records = 20'000;
  LoneCore<Echo> c(s);
  c.listen({.backlog = 20'000});
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    ASSERT_TRUE(c.arrives(LoneCore<Echo>::from(stranger(1), static_cast<std::uint16_t>(1024 + i)),
                          test::linux_syn(Seq{i}, 1)));
    c.turn();
  }
  EXPECT_EQ(c.shard.syn4.slots.used(), 20'000U); // none was refused for want of a place
  EXPECT_EQ(c.count(CoreCounter::drop_no_flow_entry), 0U);
  (void)c.take_sent();
}

// A listener's backlog is its own: what is over it is answered by cookie, or dropped where there are to be none.
TEST_F(Flood, ABacklogBoundsItsListenersHandshakesAndNoOthers) {
  LoneCore<Echo> c(small());
  c.listen({.backlog = 10});
  c.listen({.first = Port{81}, .last = Port{81}, .cookies = tcp::CookieMode::Never, .backlog = 20});
  for (const std::uint16_t port : {std::uint16_t{80}, std::uint16_t{81}})
    for (std::uint32_t i = 0; i < 30; ++i) {
      ASSERT_TRUE(c.arrives(LoneCore<Echo>::from(stranger(i), 1000, port), test::linux_syn(Seq{i}, 1)));
      c.turn();
    }
  EXPECT_EQ(c.shard.syn4.slots.used(), 30U);
  EXPECT_EQ(c.count(tcp::Counter::syn_cookie_sent), 20U);
  EXPECT_EQ(c.count(tcp::Counter::syn_limit_drop), 10U);
  EXPECT_EQ(c.take_sent().size(), 50U);
}

// However many are due in one millisecond: a poll does some, and the next goes on.
TEST_F(Flood, SynAcksThatAreDueTogetherAllGoInTheirMillisecond) {
  ShardSettings s = small();
  s.syn_records = 500;
  LoneCore<Echo> c(s);
  c.listen({.backlog = 500});
  for (std::uint32_t i = 0; i < 500; ++i)
    ASSERT_TRUE(c.arrives(LoneCore<Echo>::from(stranger(i), 1000), test::linux_syn(Seq{i}, 1)));
  c.turn();
  ASSERT_EQ(c.take_sent().size(), 500U);
  c.now = c.now + Duration::ms(1001);
  c.turn();
  EXPECT_EQ(c.take_sent().size(), 500U);
  EXPECT_EQ(c.count(tcp::Counter::retransmit_syn_ack), 500U);
}

// A million that end at once end in as many milliseconds as their bound says, whatever else is due.
TEST_F(Flood, TimeWaitsThatEndTogetherEndBoundedByTheMillisecond) {
  ShardSettings s = small();
  s.syn_records = 500;
  s.time_wait_records = 20'000;
  LoneCore<Echo> c(s);
  c.listen({.backlog = 500});
  auto& streams = c.shard.time_wait4.streams;
  for (std::uint32_t i = 0; i < 10'000; ++i) c.rests(LoneCore<Echo>::from(stranger(i), 7));
  c.now = c.now + s.tcp.time_wait - Duration::ms(1000);
  for (std::uint32_t i = 0; i < 500; ++i) // their SYN-ACKs keep the core busy for several polls
    ASSERT_TRUE(c.arrives(LoneCore<Echo>::from(stranger(i), 1000), test::linux_syn(Seq{i}, 1)));
  c.turn();
  EXPECT_EQ(streams.size(), 10'000U);
  c.now = c.now + Duration::ms(1000);
  c.turn();
  EXPECT_EQ(c.count(tcp::Counter::retransmit_syn_ack), 500U);
  EXPECT_EQ(streams.size(), 10'000U - 8192);
  c.now = c.now + Duration::ms(1);
  c.turn();
  EXPECT_EQ(streams.size(), 0U);
  (void)c.take_sent();
}

TEST_F(Flood, SynRateBoundsRecordsAndTheRestIsCookies) {
  ShardSettings s = small();
  s.syn_records = 4096;
  s.syn_rate = 100; // and a tenth of it at once
  LoneCore<Echo> c(s);
  c.listen();
  for (std::uint32_t i = 0; i < 4000; ++i) { // a second
    c.now = c.now + Duration::us(250);
    ASSERT_TRUE(c.arrives(LoneCore<Echo>::from(stranger(i), 1000), test::linux_syn(Seq{i}, 1)));
    c.turn();
  }
  EXPECT_NEAR(c.shard.syn4.slots.used(), 110, 2);
  EXPECT_EQ(c.count(tcp::Counter::syn_cookie_sent), 4000U - c.shard.syn4.slots.used());
  (void)c.take_sent();
}

// A forged ACK passes with a chance of 3/4 / 2^21 (of four epoch values three are looked at, then 21 bits): 2 million of
// them, 0.72 expected. That 8 or more pass has a chance of 2e-6; none is as likely as not.
TEST_F(Flood, OfForgedAcksMakesNoConnectionsBeyondChance) {
  ShardSettings s = small();
  s.reset_rate = 100;
  LoneCore<Echo> c(s);
  c.listen({.cookies = tcp::CookieMode::Always});
  ASSERT_TRUE(c.arrives(LoneCore<Echo>::from(stranger(1), 999), test::linux_syn(Seq{1}, 1)));
  c.turn(); // cookies are out, so ACKs are looked at
  Peer old{LoneCore<Echo>::from(Ip4{198, 51, 100, 1}, 5000)};
  ASSERT_TRUE(old.connect(c)); // by cookie
  (void)c.take_sent();
  std::mt19937_64 random(11);
  constexpr unsigned acks = 2'000'000;
  wire::Tcp h;
  h.flags = flag::ack;
  for (unsigned i = 0; i < acks; ++i) {
    const std::uint64_t r = random();
    h.seq = Seq{static_cast<std::uint32_t>(r)};
    h.ack = Seq{static_cast<std::uint32_t>(r >> 32)};
    const auto key =
        LoneCore<Echo>::from(stranger(i * 2654435761U), static_cast<std::uint16_t>(1024 + i % 60'000));
    ASSERT_TRUE(c.arrives(key, h));
    if (i % 256 == 255) c.turn();
    ASSERT_TRUE(i % 500'000 != 0 || answers(c, old)) << i;
  }
  c.turn();
  EXPECT_EQ(c.count(tcp::Counter::syn_cookie_valid) + c.count(tcp::Counter::syn_cookie_invalid), acks + 1);
  EXPECT_LT(c.count(tcp::Counter::syn_cookie_valid), 1 + 8U);
  EXPECT_EQ(c.shard.connections.used(), c.count(tcp::Counter::syn_cookie_valid));
  EXPECT_EQ(c.take_sent().size(), 0U); // forged ACKs are not answered
}

TEST_F(Flood, OfAcksWithoutCookiesOutCostsLimitedResetsOnly) {
  ShardSettings s = small();
  s.reset_rate = 100;
  LoneCore<Echo> c(s);
  c.listen();
  wire::Tcp h;
  h.flags = flag::ack;
  for (std::uint32_t i = 0; i < 10'000; ++i) {
    h.ack = Seq{i};
    ASSERT_TRUE(c.arrives(LoneCore<Echo>::from(stranger(i), 1000), h));
    c.turn();
  }
  EXPECT_EQ(c.count(tcp::Counter::syn_cookie_invalid), 0U); // no hash was computed
  EXPECT_EQ(c.take_sent().size(), 10U);                     // a tenth of the rate at once
  EXPECT_EQ(c.count(tcp::Counter::listen_rst_limited), 9'990U);
}

// Connections that are opened and never speak: bounded by the listener, and the rest of the world goes on.
TEST_F(Flood, OfConnectionsThatNeverSpeakStopsAtTheListenersBound) {
  ShardSettings s = small();
  s.tcp.keepalive_idle = Duration::seconds(60);
  LoneCore<Echo> c(s);
  c.listen({.connections = 100});
  c.listen({.first = Port{81}, .last = Port{81}});
  std::vector<Peer> mute;
  for (std::uint32_t i = 0; i < 300; ++i) {
    Peer p{LoneCore<Echo>::from(stranger(i), 1000)};
    if (p.connect(c)) mute.push_back(p);
  }
  EXPECT_EQ(mute.size(), 100U);
  EXPECT_EQ(c.count(tcp::Counter::accept_queue_full),
            200U); // SYNs dropped, not reset: an honest one comes again
  Peer other{LoneCore<Echo>::from(stranger(1), 1001, 81)};
  ASSERT_TRUE(other.connect(c)); // another listener has its own bound
  EXPECT_TRUE(answers(c, other));
  // They are gone without a word; keepalive finds out, and there is room again.
  c.run(Duration::seconds(3600), Duration::ms(250));
  EXPECT_EQ(c.shard.connections.used(), 0U);
  EXPECT_GE(c.count(tcp::Counter::timeout_keepalive), 100U);
  (void)c.take_sent();
  Peer late{LoneCore<Echo>::from(stranger(1), 1002)};
  EXPECT_TRUE(late.connect(c));
}

} // namespace flood_test
} // namespace tern
