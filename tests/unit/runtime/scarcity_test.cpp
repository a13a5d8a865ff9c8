// Packets run short: who is turned away at which level, and that nobody is forgotten.
#include <string>
#include <vector>

#include "mixed_core.hpp"

namespace tern {
namespace scarcity_test {

using test::listen;
using test::Lone;
using test::LoneCore;
using test::Peer;
using test::peer;
using test::place_of;
namespace flag = wire::tcp_flag;

// Takes packets until so many are left that the level is reached: below the reserve, its half, its quarter.
tcp::Scarcity take_until(auto& c, unsigned packets, std::vector<Packet>& taken) {
  while (c.shard.watch.left() > packets) taken.push_back(c.pool.pool().alloc());
  c.now = c.now + Duration::ms(1);
  c.turns(1);
  return c.shard.env.scarcity;
}

// The fewer packets are left, the fewer are given text: first not who leaves it unread, then not who has some of its own
// on the way, at last nobody.
TEST(Scarcity, TurnsAwayTheTextOfThoseWhoHoldMostFirst) {
  ShardSettings s;
  s.packet_reserve = 256;
  Lone c(s, 1023);
  listen(c);
  Peer quiet[] = {peer(0), peer(1), peer(2)}; // one for each level: its echo stays unacknowledged
  Peer owed = peer(3, 82), unread = peer(4, 81), paused = peer(5);
  for (Peer* p : {&quiet[0], &quiet[1], &quiet[2], &owed, &unread, &paused}) ASSERT_TRUE(p->connect(c));
  const auto record = [&](const Peer& p) -> ConnectionRecord& {
    return c.shard.connections.at(place_of(c, p.key).index());
  };
  const auto takes = [&](Peer& p) {
    const std::uint64_t dropped = c.count(tcp::Counter::drop_text_scarce);
    Peer once = p; // what is not taken comes again
    EXPECT_TRUE(once.say(c, "text"));
    c.turns(3);
    (void)c.take_sent();
    const bool taken = record(p).tcb.rcv_nxt == once.snd_nxt;
    EXPECT_EQ(c.count(tcp::Counter::drop_text_scarce), dropped + (taken ? 0 : 1));
    if (taken) p = once;
    return taken;
  };
  EXPECT_TRUE(takes(owed)); // 60,000 bytes are on their way to it, as much as its window lets
  EXPECT_TRUE(takes(unread));
  c.shard.handle(record(paused)).pause_reading();
  std::vector<Packet> taken;
  ASSERT_EQ(take_until(c, 250, taken), tcp::Scarcity::low);
  EXPECT_TRUE(takes(quiet[0]));
  EXPECT_TRUE(takes(owed));
  EXPECT_FALSE(takes(unread));
  EXPECT_FALSE(takes(paused));
  ASSERT_EQ(take_until(c, 120, taken), tcp::Scarcity::critical);
  EXPECT_TRUE(takes(quiet[1]));
  EXPECT_FALSE(takes(owed));
  EXPECT_FALSE(takes(unread));
  EXPECT_FALSE(takes(paused));
  ASSERT_EQ(take_until(c, 60, taken), tcp::Scarcity::last);
  EXPECT_FALSE(takes(quiet[2]));
  EXPECT_FALSE(takes(owed));
  EXPECT_FALSE(takes(paused));
  taken.clear();
  c.run(Duration::ms(2));
  EXPECT_EQ(c.shard.env.scarcity, tcp::Scarcity::none);
  EXPECT_TRUE(takes(quiet[2]));
  EXPECT_TRUE(takes(owed));
}

// An ACK that proves the handshake, and whose text begins before the window. With the text thrown away it would prove
// nothing to the connection that had begun for it, and nobody would ever ask again.
TEST(Scarcity, LeavesNoConnectionWithoutAHandshakeNorATimer) {
  ShardSettings s;
  s.packet_reserve = 256;
  s.tcp.synack_retries = 1;
  Lone c(s, 1023);
  listen(c);
  Peer p = peer(0);
  wire::Tcp syn = test::linux_syn(p.snd_nxt, 1);
  syn.options.has &= static_cast<std::uint8_t>(~wire::TcpOptions::timestamps_bit);
  ASSERT_TRUE(c.arrives(p.key, syn));
  c.turn();
  const auto answer = c.take_sent();
  ASSERT_EQ(answer.size(), 1U);
  std::vector<Packet> taken;
  ASSERT_EQ(take_until(c, 60, taken), tcp::Scarcity::last);
  p.rcv_nxt = answer[0].h.seq + 1;
  ASSERT_TRUE(p.say(c, "xy")); // from the SYN's own number on
  c.turns(3);
  EXPECT_EQ(c.shard.connections.used(), 0U);
  EXPECT_EQ(c.shard.syn4.slots.used(), 1U);
  EXPECT_EQ(c.count(tcp::Counter::drop_text_scarce), 1U);
  EXPECT_EQ(c.count(tcp::Counter::handshake_done), 0U);
  p.snd_nxt = answer[0].h.ack;
  ASSERT_TRUE(p.say(c, {})); // proved without text it is a connection
  c.turns(3);
  EXPECT_EQ(c.count(tcp::Counter::handshake_done), 1U);
  EXPECT_EQ(c.shard.connections.used(), 1U);
  EXPECT_EQ(c.shard.syn4.slots.used(), 0U);
  taken.clear();
  c.run(Duration::ms(2));
  EXPECT_TRUE(answers(c, p));
}

// RFC 9293 §3.8.6.1: a shut window is no reason not to answer who probes it, nor is want of packets for his text.
TEST(Scarcity, AnswersWhoProbesAShutWindow) {
  ShardSettings s;
  s.packet_reserve = 256;
  Lone c(s, 1023);
  listen(c);
  Peer p = peer(0, 81);
  ASSERT_TRUE(p.connect(c));
  const tcp::Tcb& t = c.shard.connections.at(place_of(c, p.key).index()).tcb;
  for (int i = 0; i < 1000 && t.rcv_adv.after(t.rcv_nxt); ++i) {
    ASSERT_TRUE(p.say(c, std::string(std::min<std::uint32_t>(1400, t.rcv_adv.since(t.rcv_nxt)), 'w')));
    c.turn();
  }
  ASSERT_EQ(t.rcv_adv, t.rcv_nxt);
  std::vector<Packet> taken;
  for (const auto& [left, level] : {std::pair{250U, tcp::Scarcity::low}, {60U, tcp::Scarcity::last}}) {
    ASSERT_EQ(take_until(c, left, taken), level);
    (void)c.take_sent();
    Peer probe = p;
    ASSERT_TRUE(probe.say(c, "?"));
    c.turns(3);
    const auto sent = c.take_sent();
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0].h.flags, flag::ack);
    EXPECT_EQ(sent[0].h.ack, p.snd_nxt);
    EXPECT_EQ(sent[0].h.window, 0U);
  }
}

// Answers with a copy, and once more if there was no room for all of it.
struct Persistent {
  void on_data(Connection c, Payload& p) {
    p.drop_all();
    left = 100;
    push(c);
  }
  void on_writable(Connection c) {
    ++asked;
    push(c);
  }
  void push(Connection c) { left -= c.send(std::string(left, 'x')); }
  std::uint32_t left = 0;
  unsigned asked = 0;
};

// Nothing of his is on its way, so no ACK will tell him: the packets that come back do.
TEST(Scarcity, TellsWhoCouldSendNothingWhenThereAreSome) {
  ShardSettings s;
  s.packet_reserve = 256;
  LoneCore<Persistent> c(s, 1023);
  c.listen();
  Peer p = peer(0);
  ASSERT_TRUE(p.connect(c));
  std::vector<Packet> taken;
  ASSERT_EQ(take_until(c, 120, taken), tcp::Scarcity::critical);
  ASSERT_TRUE(p.say(c, "speak"));
  c.turns(10);
  for (const test::Sent& one : c.take_sent()) EXPECT_EQ(one.text, 0U);
  EXPECT_EQ(c.handler.left, 100U);
  EXPECT_EQ(c.handler.asked, 0U); // it would be in vain
  taken.clear();
  c.run(Duration::ms(3));
  EXPECT_EQ(p.hear(c.take_sent()), 100U);
  EXPECT_EQ(c.handler.left, 0U);
  EXPECT_EQ(c.handler.asked, 1U);
  // And one whom no packet made speak.
  ASSERT_TRUE(p.say(c, {}));
  c.turn();
  ASSERT_EQ(take_until(c, 120, taken), tcp::Scarcity::critical);
  c.handler.left = 50;
  c.handler.push(c.shard.handle(c.shard.connections.at(place_of(c, p.key).index())));
  EXPECT_EQ(c.handler.left, 50U);
  taken.clear();
  c.run(Duration::ms(3));
  EXPECT_EQ(p.hear(c.take_sent()), 50U);
}

// Who waits for packets is no reason to spin: the core may sleep until the next tick looks whether there are some.
TEST(Scarcity, LetsTheCoreRestFromTickToTickWhileSomebodyWaits) {
  ShardSettings s;
  s.packet_reserve = 256;
  LoneCore<Persistent> c(s, 1023);
  c.listen();
  Peer p = peer(0);
  ASSERT_TRUE(p.connect(c));
  c.turn();
  EXPECT_GT(c.core.nothing_before(Duration::seconds(1)), c.now + Duration::ms(1));
  std::vector<Packet> taken;
  ASSERT_EQ(take_until(c, 120, taken), tcp::Scarcity::critical);
  ASSERT_TRUE(p.say(c, "speak"));
  c.turns(1); // its ACK leaves
  c.now = c.now + Duration::us(300);
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(c.core.poll(c.now)) << i;
  EXPECT_EQ(c.shard.dirty_count, 1U);
  const Instant next = c.core.nothing_before(Duration::seconds(1));
  EXPECT_EQ(next, c.now + Duration::us(700));
  c.now = next;
  EXPECT_FALSE(c.core.poll(c.now)); // there are none yet
  taken.clear();
  c.now = c.core.nothing_before(Duration::seconds(1));
  EXPECT_EQ(c.now, next + Duration::ms(1));
  (void)c.take_sent();
  EXPECT_TRUE(c.core.poll(c.now));
  EXPECT_EQ(p.hear(c.take_sent()), 100U);
  c.turn();
  EXPECT_EQ(c.shard.dirty_count, 0U);
}

// The last quarter of the reserve is for what makes room: of text, of whatever length and in whatever form, little leaves in a
// tick, for it frees what its queue holds; what ends a connection or acknowledges leaves at once.
TEST(Scarcity, KeepsTheLastForControlSegments) {
  ShardSettings s;
  s.packet_reserve = 256;
  s.tcp.timestamps = false;
  Lone c(s, 1023);
  listen(c);
  static const std::string long_text(2 * 1460, 'l');
  const std::string_view texts[] = {"short", long_text};
  Peer readers[40], quitter = peer(100);
  const auto record = [&](const Peer& p) -> ConnectionRecord& {
    return c.shard.connections.at(place_of(c, p.key).index());
  };
  for (std::uint32_t i = 0; i < 40; ++i) {
    readers[i] = peer(i);
    ASSERT_TRUE(readers[i].connect(c));
  }
  ASSERT_TRUE(quitter.connect(c));
  std::vector<Packet> taken;
  ASSERT_EQ(take_until(c, 256 / 4 - 10, taken), tcp::Scarcity::last);
  for (std::size_t i = 0; i < 40; ++i)
    EXPECT_EQ(c.shard.handle(record(readers[i])).send(StaticBytes{texts[i % 2]}), texts[i % 2].size());
  c.turns(10);
  std::vector<test::Sent> heard = c.take_sent();
  EXPECT_EQ(heard.size(), 256U / 16);
  EXPECT_GE(c.count(tcp::Counter::no_packet), 24U);
  c.shard.handle(record(quitter)).close();
  c.turns(10);
  auto sent = c.take_sent();
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_TRUE(sent[0].h.has(flag::fin));
  EXPECT_EQ(sent[0].key.local_port, quitter.key.remote_port);
  Peer probing = readers[39]; // asks whether we are still there
  probing.snd_nxt = probing.snd_nxt - 1;
  ASSERT_TRUE(probing.say(c, {}));
  c.turns(10);
  sent = c.take_sent();
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].h.flags, flag::ack);
  EXPECT_EQ(sent[0].text, 0U);
  EXPECT_EQ(sent[0].h.ack, readers[39].snd_nxt);
  c.run(Duration::ms(4)); // tick by tick the text, too
  EXPECT_EQ(c.shard.env.scarcity, tcp::Scarcity::last);
  for (test::Sent& one : c.take_sent()) heard.push_back(std::move(one));
  for (std::size_t i = 0; i < 40; ++i) EXPECT_EQ(readers[i].hear(heard), texts[i % 2].size()) << i;
}

// One whose text is acknowledged at once, and never ends, takes a whole tick's. Those behind him have their turns.
TEST(Scarcity, GivesEachATurnAtTheLastPackets) {
  ShardSettings s;
  s.packet_reserve = 128;
  Lone c(s, 1023);
  listen(c);
  static const std::string bulk(400'000, 'b');
  Peer hog = peer(0), other = peer(1);
  const auto send = [&](const Peer& p, std::string_view text) {
    return c.shard.handle(c.shard.connections.at(place_of(c, p.key).index())).send(StaticBytes{text});
  };
  ASSERT_TRUE(hog.connect(c));
  ASSERT_TRUE(other.connect(c));
  std::vector<Packet> taken;
  ASSERT_EQ(take_until(c, 128 / 4 - 8, taken), tcp::Scarcity::last);
  c.now = c.now + Duration::ms(1);
  ASSERT_GT(send(hog, bulk), 200'000U);
  ASSERT_EQ(send(other, "short"), 5U);
  std::size_t of_hog = 0;
  std::size_t of_other = 0;
  unsigned ticks = 0;
  for (; ticks < 10 && of_other == 0; ++ticks) {
    c.run(Duration::ms(1));
    std::vector<test::Sent> heard = c.take_sent();
    of_hog += hog.hear(heard);
    of_other += other.hear(heard);
    ASSERT_TRUE(hog.say(c, {}));
    ASSERT_EQ(c.shard.env.scarcity, tcp::Scarcity::last);
  }
  EXPECT_EQ(of_other, 5U);
  EXPECT_LE(ticks, 3U);
  EXPECT_GT(of_hog, 0U);
}

// As Peer::say(), with a window of its own: 0 shuts it.
template <class H>
bool say_with(LoneCore<H>& c, Peer& p, std::string_view text, std::uint16_t window) {
  wire::Tcp h;
  h.flags = flag::ack;
  h.seq = p.snd_nxt;
  h.ack = p.rcv_nxt;
  h.window = window;
  if (!c.arrives(p.key, h, text)) return false;
  p.snd_nxt += static_cast<std::uint32_t>(text.size());
  c.turn();
  return true;
}

// Queues of text that nobody wanted hold the packets. What frees them is that the text leaves and is acknowledged: it may
// not wait for packets to come from elsewhere.
TEST(Scarcity, EndsWhenThoseWhoShutTheirWindowsOpenThem) {
  ShardSettings s;
  s.packet_reserve = 256;
  Lone c(s, 2047);
  listen(c);
  std::vector<Peer> readers;
  while (c.shard.env.scarcity < tcp::Scarcity::critical) {
    readers.push_back(peer(static_cast<std::uint32_t>(readers.size()), 82));
    ASSERT_TRUE(readers.back().connect(c));
    ASSERT_TRUE(say_with(c, readers.back(), "speak", 0));
    c.run(Duration::ms(1));
    ASSERT_LT(readers.size(), 100U);
  }
  std::vector<Packet> taken; // by another core
  ASSERT_EQ(take_until(c, 60, taken), tcp::Scarcity::last);
  ASSERT_LT(taken.size(), 100U);
  (void)c.take_sent();
  c.run(Duration::seconds(2), Duration::ms(10));
  for (const test::Sent& one : c.take_sent()) ASSERT_EQ(one.text, 0U); // the windows are shut
  std::vector<std::uint32_t> queued;
  for (const Peer& p : readers)
    queued.push_back(c.shard.handle(c.shard.connections.at(place_of(c, p.key).index())).unacknowledged());
  for (Peer& p : readers) ASSERT_TRUE(say_with(c, p, {}, 500));
  std::vector<std::uint32_t> heard(readers.size());
  for (int ms = 0; ms < 2000; ++ms) {
    c.run(Duration::ms(1));
    const auto sent = c.take_sent();
    for (const test::Sent& one : sent) ASSERT_FALSE(one.h.has(flag::rst));
    for (std::size_t i = 0; !sent.empty() && i < readers.size(); ++i)
      if (const std::uint32_t n = readers[i].hear(sent)) {
        heard[i] += n;
        ASSERT_TRUE(say_with(c, readers[i], {}, 500));
      }
  }
  EXPECT_EQ(heard, queued);
  EXPECT_EQ(c.shard.env.scarcity, tcp::Scarcity::none);
}

// Passes on what comes on one connection of a pair to the other: the first two that were accepted, the next two, ...
struct Relays {
  void on_accept(Connection c) {
    c.set_user(all.size());
    all.push_back(c);
  }
  void on_data(Connection c, Payload& p) { beside(c).forward(p); }
  void on_returned(Connection c, std::uint32_t bytes) { beside(c).reopen(bytes); }
  void on_writable(Connection c) { c.forward_unread(beside(c)); }
  [[nodiscard]] Connection beside(Connection c) const { return all[c.user() ^ 1]; }
  std::vector<Connection> all;
};

// Text that was passed on lies in another's queue, and holds packets all the same: readers who do not read it may not take
// the packets that the others live from.
TEST(Scarcity, CountsTextThatWasPassedOn) {
  ShardSettings s;
  s.packet_reserve = 256;
  LoneCore<Relays> c(s, 2047);
  c.listen();
  std::uint32_t n = 0;
  Peer well[] = {peer(n++), peer(n++)};
  for (Peer& p : well) ASSERT_TRUE(p.connect(c));
  std::vector<Peer> writers;
  for (int i = 0; i < 200; ++i) {
    writers.push_back(peer(n++));
    Peer shut = peer(n++);
    ASSERT_TRUE(writers.back().connect(c));
    ASSERT_TRUE(shut.connect(c));
    ASSERT_TRUE(say_with(c, shut, {}, 0));
  }
  const auto press = [&](std::span<Peer> from) {
    for (int round = 0; round < 40; ++round)
      for (Peer& p : from) {
        Peer once = p; // what is not taken would come again
        ASSERT_TRUE(once.say(c, std::string(1000, 'd')));
        c.turn();
        if (c.shard.connections.at(place_of(c, p.key).index()).tcb.rcv_nxt == once.snd_nxt) p = once;
      }
  };
  const auto goes_on = [&] {
    for (int i = 0; i < 50; ++i) {
      (void)c.take_sent();
      ASSERT_TRUE(well[0].say(c, "ping"));
      c.turn();
      ASSERT_EQ(well[1].hear(c.take_sent()), 4U) << i;
      ASSERT_TRUE(well[1].say(c, {}));
      c.turn();
    }
  };
  press(std::span{writers}.first(100));
  c.run(Duration::ms(1));
  EXPECT_LE(c.shard.watch.left(), 256U);
  EXPECT_GE(c.shard.watch.left(), 256U / 2);
  goes_on();
  press(std::span{writers}.subspan(100)); // who waited until packets were scarce
  c.run(Duration::ms(1));
  EXPECT_LE(c.shard.watch.left(), 256U / 2);
  EXPECT_GE(c.shard.watch.left(), 256U / 4);
  goes_on();
}

// A connection that holds nothing may be given text, and leave it unread: many of them leave many packets. When few are
// left, text is for those who were seen to let go of theirs.
TEST(Scarcity, StopsTheManyWhoLeaveOneSegmentEach) {
  ShardSettings s;
  s.packet_reserve = 256;
  Lone c(s, 2047);
  listen(c);
  Peer reader = peer(0), stranger = peer(1);
  ASSERT_TRUE(reader.connect(c));
  ASSERT_TRUE(stranger.connect(c));
  std::vector<Peer> quiet;
  for (std::uint32_t n = 0; n < 500; ++n) {
    quiet.push_back(peer(10 + n, 81));
    ASSERT_TRUE(quiet.back().connect(c));
  }
  std::vector<Packet> taken;
  ASSERT_EQ(take_until(c, 250, taken), tcp::Scarcity::low);
  EXPECT_TRUE(answers(c, reader));
  for (Peer& p : quiet) {
    Peer once = p;
    ASSERT_TRUE(once.say(c, "text"));
    c.turn();
  }
  c.run(Duration::ms(1));
  EXPECT_LT(c.shard.watch.left(), 256U / 2);
  EXPECT_GE(c.shard.watch.left(), 256U / 4);
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(answers(c, reader)) << i;
  Peer once = stranger;
  EXPECT_FALSE(answers(c, once));
  Peer fresh = peer(2); // who is not connected yet may be, and speaks later
  EXPECT_TRUE(fresh.connect(c));
  taken.resize(taken.size() - 20);
  c.run(Duration::ms(1));
  EXPECT_TRUE(answers(c, stranger));
  EXPECT_TRUE(answers(c, fresh));
}

// What is left is looked at within a turn, too: one turn may ask for more than there is.
TEST(Scarcity, IsSeenWhileATurnTakesPackets) {
  ShardSettings s;
  s.packet_reserve = 256;
  s.tcp.send_buffer = 1 << 20;
  struct Generous {
    void on_data(Connection c, Payload& p) {
      p.drop_all();
      (void)c.send(std::string(256 * 1024, 'x'));
    }
  };
  LoneCore<Generous> c(s, 2047);
  c.listen();
  std::vector<Peer> crowd;
  for (std::uint32_t n = 0; n < 32; ++n) {
    crowd.push_back(peer(n));
    ASSERT_TRUE(crowd.back().connect(c));
  }
  for (Peer& p : crowd) ASSERT_TRUE(p.say(c, "more"));
  c.turns(1);
  EXPECT_LT(c.shard.watch.left(), 256U);
  EXPECT_GE(c.shard.watch.left(), 256U / 4);
}

// The same of many small ones, from no packet's arrival.
TEST(Scarcity, IsSeenWhileATickSendsToMany) {
  ShardSettings s;
  s.packet_reserve = 256;
  struct Ticking {
    void on_accept(Connection c) { all.push_back(c); }
    void on_tick(Instant) {
      if (speaks)
        for (Connection c : all) (void)c.send("tick");
    }
    std::vector<Connection> all;
    bool speaks = false;
  };
  LoneCore<Ticking> c(s, 1023);
  c.listen();
  for (std::uint32_t n = 0; n < 1000; ++n) {
    Peer p = peer(n);
    ASSERT_TRUE(p.connect(c));
  }
  c.handler.speaks = true;
  c.now = c.now + Duration::ms(1);
  c.turns(1);
  c.handler.speaks = false;
  EXPECT_LT(c.shard.watch.left(), 256U);
  EXPECT_GE(c.shard.watch.left(), 256U / 4);
}

// And of text on its way out, which a port keeps until it has sent it.
TEST(Scarcity, IsSeenWhileATurnSends) {
  ShardSettings s;
  s.packet_reserve = 512;
  Lone c(s, 2047);
  listen(c);
  static const std::string text(14'000, 't');
  std::vector<Peer> crowd;
  for (std::uint32_t n = 0; n < 300; ++n) {
    crowd.push_back(peer(n, 81));
    ASSERT_TRUE(crowd.back().connect(c));
  }
  c.port.keeps = true;
  for (const Peer& p : crowd)
    (void)c.shard.handle(c.shard.connections.at(place_of(c, p.key).index())).send(StaticBytes{text});
  c.turns(20);
  EXPECT_LT(c.shard.watch.left(), 512U / 4);
  EXPECT_GE(c.shard.watch.left(), 512U / 16);
  Peer asks = crowd[0]; // whether we are there
  asks.snd_nxt = asks.snd_nxt - 1;
  ASSERT_TRUE(asks.say(c, {}));
  (void)c.take_sent();
  c.turns(2);
  ASSERT_FALSE(c.take_sent().empty());
  EXPECT_EQ(c.count(CoreCounter::drop_control_no_packet), 0U);
  c.port.kept.clear();
  c.port.keeps = false;
  c.run(Duration::ms(2));
  EXPECT_EQ(c.shard.env.scarcity, tcp::Scarcity::none);
}

} // namespace scarcity_test
} // namespace tern
