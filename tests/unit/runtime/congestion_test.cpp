// A port that takes less than its core has to say: what can wait waits, in turn, and is not lost; a port that
// takes nothing at all is not waited for.
#include <algorithm>
#include <string_view>

#include "support/core_pair.hpp"
#include "support/lone_core.hpp"

namespace tern {
namespace congestion_test {

struct Echo {
  void on_data(Connection c, Payload& p) { c.send(p); }
  void on_peer_closed(Connection c) { c.close(); }
};

using test::Peer;
using Lone = test::LoneCore<Echo>;

// Peers whose connections stand, at a core whose port takes nothing from now on.
std::vector<Peer> at_full_port(Lone& core, std::uint16_t n) {
  core.listen();
  std::vector<Peer> peers;
  for (std::uint16_t i = 0; i < n; ++i) {
    peers.push_back({.key = Lone::from(Ip4{198, 51, 100, 1}, static_cast<std::uint16_t>(5000 + i))});
    EXPECT_TRUE(peers.back().connect(core));
  }
  (void)core.take_sent();
  core.port.full = true;
  return peers;
}

TEST(Congestion, OutputWaitsInItsOrderUntilThePortTakesMore) {
  Lone core;
  std::vector<Peer> peers = at_full_port(core, 40);
  for (Peer& p : peers) ASSERT_TRUE(p.say(core, "hello"));
  for (int turn = 0; turn < 4; ++turn) EXPECT_TRUE(core.core.poll(core.now)); // busy: it has something to say
  const std::size_t first = core.take_sent().size();
  EXPECT_LE(first, 33U); // the burst that found the port full, and one behind it
  core.port.full = false;
  core.turn();
  std::vector<std::uint16_t> order;
  std::uint32_t text = 0;
  const std::vector<test::Sent> sent = core.take_sent();
  for (const test::Sent& s : sent)
    if (s.text != 0) order.push_back(s.key.local_port.host());
  for (Peer& p : peers) text += p.hear(sent);
  EXPECT_EQ(text + 5 * first, 40U * 5);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(Congestion, APortThatMovesIsWaitedForHoweverSlowItIs) {
  Lone core;
  std::vector<Peer> peers = at_full_port(core, 2);
  ASSERT_TRUE(peers[0].say(core, "one"));
  (void)core.core.poll(core.now);
  const std::size_t before = core.take_sent().size();
  ASSERT_TRUE(peers[1].say(core, "two"));
  for (int turn = 0; turn < 50; ++turn) {
    core.now = core.now + Duration::ms(10);
    core.port.counted(1); // it has taken one
    (void)core.core.poll(core.now);
  }
  EXPECT_LE(before, 1U);
  EXPECT_TRUE(core.take_sent().empty());
}

TEST(Congestion, APortThatTakesNothingAtAllIsNotWaitedFor) {
  Lone core;
  std::vector<Peer> peers = at_full_port(core, 4);
  core.port.down = true;
  for (Peer& p : peers) ASSERT_TRUE(p.say(core, "hello"));
  (void)core.core.poll(core.now);
  ASSERT_EQ(core.port.lost, 4U); // they have found out that it is full
  for (int turn = 0; turn < 200; ++turn) {
    core.now = core.now + Duration::ms(10);
    (void)core.core.poll(core.now);
  }
  EXPECT_GE(core.port.lost, 8U); // sent again all the same, and lost as on any link that is down
}

// Nor at the end, by whomever: what they owe is lost at once, not one burst a turn.
TEST(Congestion, ThousandsEndAtOnceWhereThePortTakesNothing) {
  constexpr std::uint16_t many = 3200;
  Lone core;
  std::vector<Peer> peers = at_full_port(core, many);
  core.port.down = true;
  ASSERT_TRUE(peers[0].say(core, "hello"));
  for (int turn = 0; turn < 200; ++turn) {
    core.now = core.now + Duration::ms(10);
    (void)core.core.poll(core.now);
  }
  for (std::uint32_t i = 0; i < core.shard.connections.fresh(); ++i)
    core.shard.handle(core.shard.connections.at(i)).abort();
  ASSERT_EQ(core.shard.connections.used(), many);
  core.turns(2);
  EXPECT_EQ(core.shard.connections.used(), 0U);
  // A port that comes back is waited for again.
  core.port.down = false;
  core.port.counted(1);
  core.turns(1);
  EXPECT_TRUE(core.core.congested());
  core.port.full = false;
  core.turns(1);
  EXPECT_FALSE(core.core.congested());
}

TEST(Congestion, SynAcksWaitToo) {
  Lone core;
  std::vector<Peer> peers = at_full_port(core, 1); // a first answer finds it full
  ASSERT_TRUE(peers[0].say(core, "hello"));
  (void)core.core.poll(core.now);
  (void)core.take_sent();
  const FlowKey4 key = Lone::from(Ip4{198, 51, 100, 2}, 6000);
  ASSERT_TRUE(core.arrives(key, test::linux_syn(Seq{1}, 1)));
  for (int turn = 0; turn < 100; ++turn) {
    core.now = core.now + Duration::ms(1);
    core.port.counted(1); // it moves
    (void)core.core.poll(core.now);
  }
  EXPECT_TRUE(core.take_sent().empty());
  core.port.full = false;
  core.run(Duration::ms(20));
  const auto sent = core.take_sent();
  EXPECT_EQ(
      std::count_if(sent.begin(), sent.end(), [](const auto& s) { return s.key.local_port.host() == 6000; }),
      1);
  EXPECT_EQ(core.count(tcp::Counter::retransmit_syn_ack), 0U);
  core.run(Duration::ms(1100)); // from now on its retransmission runs as ever
  EXPECT_EQ(core.count(tcp::Counter::retransmit_syn_ack), 1U);
}

// Asks, and is answered; then all at once end.
struct Client {
  void on_connected(Connection c) { open.push_back(c); }
  void on_data(Connection, Payload& p) { p.drop_all(); }
  void on_closed(Connection, CloseReason r) { done += r == CloseReason::Done; }
  std::vector<Connection> open;
  int done = 0;
};

TEST(Congestion, ThousandsThatEndAtOnceLoseNothingToAPeerThatPauses) {
  ShardSettings s;
  s.connections = 4096;
  test::CorePair<Client, Echo> pair(s);
  ASSERT_TRUE(pair.server.shard.listeners.add({.first = Port{80}, .last = Port{80}}));
  constexpr std::uint16_t n = 3000;
  for (std::uint16_t i = 0; i < n; ++i) {
    ASSERT_TRUE(pair.client.core.connect(pair.key(static_cast<std::uint16_t>(10'000 + i))));
    if (i % 64 == 0) pair.settle();
  }
  pair.settle();
  ASSERT_EQ(pair.client_handler.open.size(), n);
  for (Connection c : pair.client_handler.open) c.close();
  for (int turn = 0; turn < 50; ++turn) (void)pair.client.core.poll(pair.now); // the server rests meanwhile
  pair.settle();
  EXPECT_EQ(pair.client_handler.done, n);
  for (io::MemoryPort* port : {&pair.pair.a(), &pair.pair.b()})
    EXPECT_EQ(port->counters(0).get(io::PortCounter::tx_dropped), 0U);
  EXPECT_EQ(pair.client.shard.tcp_counters.get(tcp::Counter::retransmit_rto), 0U);
}

} // namespace congestion_test
} // namespace tern
