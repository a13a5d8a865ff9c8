// One core's client and a server of its kind, joined in memory, on a clock that the test moves.
#include "app/client/client.hpp"

#include <gtest/gtest.h>

#include "support/core_pair.hpp"

namespace tern::app {
namespace client_test {

using Near = Client<io::MemoryPort>;

wire::Toeplitz toeplitz() {
  wire::ToeplitzKey key;
  key.fill(0x6d);
  return wire::Toeplitz{key};
}

// Answers each connection's first text with `ok`, or a page of HTTP, the first another than all that follow, or one that says
// that it is the last; or resets, or says nothing.
struct Answers {
  enum class Way : std::uint8_t { answer, page, of_port, last, reset, hang };
  void on_data(Connection c, Payload& p) {
    p.drop_all();
    if (way == Way::reset) return c.abort();
    if (way == Way::hang) return;
    if (way == Way::last)
      c.send(StaticBytes{"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\npage"});
    else if (way == Way::of_port)
      c.send(StaticBytes{c.local().port == Port{80} ? other : another});
    else if (way == Way::page)
      c.send(StaticBytes{answered++ == 0 ? std::string_view{first} : other});
    else
      c.send(StaticBytes{"ok"});
    c.close();
  }
  void on_peer_closed(Connection c) { c.close(); }
  Way way = Way::answer;
  unsigned answered = 0;
  static constexpr std::string_view other = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage";
  static constexpr std::string_view another = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother";
  const std::string first =
      "HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + std::string(60'000, 'p'); // it takes a few turns
};

LoadPlan plan() {
  LoadPlan p;
  p.targets = {{Ip{Ip4{10, 0, 0, 2}}, Port{80}}};
  p.sources.add(Ip{Ip4{10, 0, 0, 1}}, 1);
  p.ports = {1024, 65535};
  p.request = p.last_request = "ask";
  p.response = "ok";
  return p;
}

std::uint64_t count(const observe::Histogram& h) {
  observe::Latencies all;
  h.add_to(all);
  return all.count();
}

struct Rig {
  explicit Rig(LoadPlan what, double cps = LoadControl::closed_loop, PortRange ports = {1024, 65535})
      : load(std::move(what)), table(toeplitz(), 1, ports, 1) {
    control.cps = cps;
    near.attach(client.core);
    EXPECT_TRUE(server.shard.listeners.add({.ip = Ip{}, .first = Port{80}, .last = Port{80}}));
  }
  void settle() {
    for (int idle = far ? 2 : 0; idle < 3;) {
      const bool a = client.core.poll(now);
      const bool b = deaf ? lost() : server.core.poll(now);
      idle = !far && (a || b) ? 0 : idle + 1;
    }
  }
  // What comes to the server meanwhile is lost.
  bool lost() {
    rte_mbuf* m[32];
    const std::uint16_t n = pair.b().rx_burst(io::QueueId{}, m, 32);
    for (std::uint16_t i = 0; i < n; ++i) rte_pktmbuf_free(m[i]);
    return n != 0;
  }
  // The server's side asks who has the client's address, so each knows where the other is.
  void introduce() {
    ASSERT_TRUE(server.core.handle().connect({Ip{Ip4{10, 0, 0, 1}}, Port{9}}));
    settle();
  }
  // As run_client() does it, until the client is over or for `d`. The time that it took.
  Duration play(Duration d, Duration step = Duration::us(500)) {
    const Instant began = now;
    while (now - began < d) {
      near.drive(now);
      settle();
      if (near.all_over(now)) break;
      now = now + step;
    }
    return now - began;
  }
  [[nodiscard]] std::uint64_t count(Load n) const { return stats.load.get(n); }

  Instant now = Instant::at_ns(5'000'000'000);
  LoadPlan load;
  LoadStats stats;
  LoadControl control;
  PortTable table;
  std::vector<std::uint16_t> owners{0};
  test::TestPool pool{8191};
  io::MemoryPair pair{io::MemoryPairSettings{}};
  Near near{load, stats, control, table, owners, 0, ShardSettings{}.connections};
  Answers answers;
  test::Node<Near> client{pair.a(), Ip4{10, 0, 0, 1}, pool.pool(), ShardSettings{}, now, near};
  test::Node<Answers> server{pair.b(), Ip4{10, 0, 0, 2}, pool.pool(), ShardSettings{}, now, answers};
  bool deaf = false;
  bool far = false; // a turn each, rather than until neither has anything to do
};

TEST(Client, WhoWasGivenUpDoesNotComeBackToLife) {
  Rig r(plan());
  r.introduce();
  r.near.drive(r.now);
  ASSERT_EQ(r.count(Load::attempted), 1U);
  r.near.give_up(r.now);
  EXPECT_EQ(r.count(Load::unfinished), 1U);
  r.settle(); // its SYN-ACK comes, and all that would follow
  EXPECT_EQ(r.count(Load::established), 0U);
  EXPECT_EQ(r.count(Load::requests), 0U);
  EXPECT_EQ(r.count(Load::completed), 0U);
  EXPECT_EQ(r.near.live(), 0U);
}

// Only who waited in vain enters the latencies at his age: an early end is no quick answer.
TEST(Client, WhoseConnectionWasResetHadNoAnswer) {
  LoadPlan p = plan();
  p.connections = 20;
  Rig r(p);
  r.answers.way = Answers::Way::reset;
  r.play(Duration::seconds(1));
  EXPECT_EQ(r.count(Load::reset), 20U);
  EXPECT_EQ(count(r.stats.connect), 20U);
  EXPECT_EQ(count(r.stats.response), 0U);
}
TEST(Client, WhoWasRefusedDidNotConnect) {
  LoadPlan p = plan();
  p.connections = 5;
  p.targets[0].port = Port{81};
  Rig r(p);
  r.play(Duration::seconds(1));
  EXPECT_EQ(r.count(Load::refused), 5U);
  EXPECT_EQ(count(r.stats.connect), 0U);
}
TEST(Client, WhoWaitedInVainEntersTheLatenciesAtHisAge) {
  LoadPlan p = plan();
  p.connections = 4;
  p.timeout = Duration::ms(300);
  Rig r(p);
  r.answers.way = Answers::Way::hang;
  r.play(Duration::seconds(2));
  EXPECT_EQ(r.count(Load::response_timeout), 4U);
  EXPECT_EQ(count(r.stats.response), 4U);
}

// Of a rate, each has had its time until the next would have come.
TEST(Client, ABoundedRunIsNoFasterThanItsRate) {
  for (const std::uint64_t n : {1U, 2U, 10U}) {
    LoadPlan p = plan();
    p.connections = n;
    Rig r(p, 10);
    const double seconds = r.play(Duration::seconds(5)).as_seconds();
    EXPECT_EQ(r.count(Load::completed), n);
    EXPECT_NEAR(seconds, 0.1 * static_cast<double>(n), 0.01) << n;
  }
}
TEST(Client, TheSecondWaitsForItsTurnToo) {
  Rig r(plan(), 2);
  r.play(Duration::ms(900));
  EXPECT_EQ(r.count(Load::attempted), 2U);
}
TEST(Client, ALongWayIsNoReasonToOpenMoreThanTheRate) {
  Rig r(plan(), 2);
  r.deaf = true;
  r.play(Duration::ms(900));
  EXPECT_EQ(r.count(Load::attempted), 2U);
}

TEST(Client, AFirstSynThatIsLostHoldsNobodyUp) {
  Rig r(plan());
  r.introduce();
  r.deaf = true;
  r.near.drive(r.now);
  r.settle();
  ASSERT_EQ(r.count(Load::attempted), 1U);
  r.deaf = false;
  r.play(Duration::ms(100));
  EXPECT_GT(r.count(Load::completed), 100U);
}
TEST(Client, WhileNoneStandsFewAreOpened) {
  Rig r(plan());
  r.introduce();
  r.deaf = true;
  r.play(Duration::seconds(3));
  EXPECT_EQ(r.count(Load::attempted), 4U);
}

// The last of forty is the first that lives: sixteen at once, then one a second.
TEST(Client, OfManyTargetsEachIsTried) {
  LoadPlan p = plan();
  p.targets.clear();
  for (std::uint8_t i = 39; i != 0; --i) p.targets.push_back({Ip{Ip4{10, 0, 1, i}}, Port{80}});
  p.targets.push_back({Ip{Ip4{10, 0, 0, 2}}, Port{80}});
  Rig r(p);
  r.introduce();
  r.play(Duration::seconds(2));
  EXPECT_LE(r.count(Load::attempted), 18U);
  for (int s = 0; s < 28 && r.count(Load::established) == 0; ++s) r.play(Duration::seconds(1));
  EXPECT_GT(r.count(Load::established), 0U);
}

// One of the two is no host's, the other one's server hears only one of its ports.
TEST(Client, WhatBecameOfEachTargetIsKnown) {
  LoadPlan p = plan();
  p.targets.push_back({Ip{Ip4{10, 0, 0, 2}}, Port{81}});
  p.targets.push_back({Ip{Ip4{10, 0, 0, 9}}, Port{80}});
  p.connections = 30;
  p.timeout = Duration::ms(300);
  Rig r(p);
  r.introduce();
  r.play(Duration::seconds(3));
  ASSERT_EQ(r.stats.targets.size(), 3U);
  const TargetFate& good = r.stats.targets[0];
  EXPECT_TRUE(good.stood);
  EXPECT_EQ(good.refused + good.unanswered, 0U);
  EXPECT_FALSE(r.stats.targets[1].stood);
  EXPECT_EQ(r.stats.targets[1].refused, 10U);
  EXPECT_FALSE(r.stats.targets[2].stood);
  EXPECT_EQ(r.stats.targets[2].unanswered, 10U);
}

// A host that hears and says nothing, one that nobody is, one that no route leads to.
TEST(Client, WhatStandsBeforeEachTargetIsItsOwn) {
  LoadPlan p = plan();
  p.targets.push_back({Ip{Ip4{10, 0, 0, 3}}, Port{80}});
  p.targets.push_back({Ip{Ip4{10, 0, 0, 9}}, Port{80}});
  p.targets.push_back({Ip{Ip4{192, 168, 7, 7}}, Port{80}});
  p.connections = 40;
  p.timeout = Duration::ms(300);
  Rig r(p);
  r.introduce();
  bool evicted = false;
  net::Neighbours& known = r.client.core.handle().network().neighbours();
  const net::Neighbour& server = *known.find(Ip{Ip4{10, 0, 0, 2}});
  net::Neighbour& deaf = known.find_or_add(Ip{Ip4{10, 0, 0, 3}}, evicted);
  deaf.state = server.state;
  deaf.l2 = server.l2; // who takes it for none of his
  deaf.deadline = server.deadline;
  r.play(Duration::seconds(3));
  r.near.give_up(r.now);
  ASSERT_EQ(r.stats.targets.size(), 4U);
  EXPECT_EQ(r.stats.targets[0].obstacle, Obstacle::none);
  EXPECT_EQ(r.stats.targets[1].obstacle, Obstacle::none);
  EXPECT_EQ(r.stats.targets[2].obstacle, Obstacle::no_neighbour);
  EXPECT_EQ(r.stats.targets[3].obstacle, Obstacle::no_route);
}

// Whatever part of the whole load it has: a client of several ports has the sources of one of them, all of them where it is
// that port's only core.
TEST(Client, PairsAreThoseOfItsOwnCore) {
  LoadPlan p = plan();
  p.sources = {};
  p.sources.add(Ip{Ip4{10, 1, 0, 0}}, 8);
  p.ports = {1001, 2000};
  p.targets.push_back({Ip{Ip4{10, 0, 0, 2}}, Port{81}});
  p.share = 0.5;
  constexpr std::uint16_t one[] = {0};
  constexpr std::uint16_t two[] = {0, 1, 1, 1};
  EXPECT_EQ(pairs_of(p, one, 0), 16'000);
  EXPECT_EQ(pairs_of(p, two, 0), 4'000);
  EXPECT_EQ(pairs_of(p, two, 1), 12'000);
  Rig r(p);
  EXPECT_EQ(r.stats.pairs, 16'000);
  p.rests = true;
  EXPECT_EQ(pairs_of(p, one, 0), 0);
}

// Each with a page of its own.
TEST(Client, OfTwoTargetsEachTeachesItsOwnPage) {
  LoadPlan p = plan();
  p.targets.push_back({Ip{Ip4{10, 0, 0, 2}}, Port{81}});
  p.payload = PayloadKind::http;
  p.response = {};
  p.verify = true;
  p.connections = 40;
  Rig r(p);
  EXPECT_TRUE(r.server.shard.listeners.add({.ip = Ip{}, .first = Port{81}, .last = Port{81}}));
  r.introduce();
  r.answers.way = Answers::Way::of_port;
  r.play(Duration::seconds(3));
  EXPECT_EQ(r.count(Load::completed), 40U);
  EXPECT_EQ(r.count(Load::bad_byte), 0U);
}
TEST(Client, WhoIsAnsweredInHttpIsKnown) {
  LoadPlan p = plan();
  p.connections = 5;
  Rig r(p);
  r.answers.way = Answers::Way::last;
  r.play(Duration::seconds(1));
  EXPECT_EQ(r.count(Load::bad_byte), 5U);
  EXPECT_EQ(r.count(Load::http_text), 5U);
}

// Four ports, and servers that hang: whoever comes next waits, for as many turns as it takes.
TEST(Client, AWaitForAPortIsCountedOnce) {
  LoadPlan p = plan();
  p.ports = {2000, 2003};
  Rig r(p, 1000, p.ports);
  r.answers.way = Answers::Way::hang;
  r.play(Duration::ms(200));
  EXPECT_EQ(r.count(Load::attempted), 4U);
  EXPECT_EQ(r.count(Load::no_port), 1U);
}

// Two connections that are never answered: of 100 requests a second two are made.
TEST(Client, WhatWasDueAndNeverAskedIsCounted) {
  LoadPlan p = plan();
  p.requests = 0;
  p.concurrency = 2;
  p.rps = 100;
  Rig r(p);
  r.answers.way = Answers::Way::hang;
  r.play(Duration::seconds(1));
  r.near.stop(r.now);
  EXPECT_NEAR(static_cast<double>(r.count(Load::never_asked)), 98, 2);
}
TEST(Client, WhatWasDueAndNeverOpenedIsCounted) {
  LoadPlan p = plan();
  p.ports = {2000, 2003};
  Rig r(p, 100, p.ports);
  r.answers.way = Answers::Way::hang;
  r.play(Duration::seconds(1));
  r.near.stop(r.now);
  EXPECT_NEAR(static_cast<double>(r.count(Load::never_opened)), 96, 2);
}
TEST(Client, WhoIsInTimeLeavesNothingBehind) {
  LoadPlan p = plan();
  Rig r(p, 100);
  r.play(Duration::seconds(1));
  r.near.stop(r.now);
  EXPECT_EQ(r.count(Load::never_opened), 0U);
  p.requests = 0;
  p.concurrency = 2;
  p.rps = 100;
  Rig s(p);
  s.play(Duration::seconds(1));
  s.near.stop(s.now);
  EXPECT_EQ(s.count(Load::never_asked), 0U);
}

// The first is at 0; what would be due at the end is due behind it.
TEST(Client, NoneIsDueAtTheEnd) {
  LoadPlan p = plan();
  p.offered = Duration::seconds(3);
  Rig r(p, 1);
  r.play(Duration::ms(3500));
  EXPECT_EQ(r.count(Load::attempted), 3U);
  r.near.stop(r.now);
  EXPECT_EQ(r.count(Load::never_opened), 0U);
}
TEST(Client, NoMoreWereNeverOpenedThanWereToBe) {
  LoadPlan p = plan();
  p.ports = {2000, 2003};
  p.connections = 10;
  Rig r(p, 100, p.ports);
  r.answers.way = Answers::Way::hang;
  r.play(Duration::seconds(1));
  r.near.stop(r.now);
  EXPECT_EQ(r.count(Load::attempted), 4U);
  EXPECT_EQ(r.count(Load::never_opened), 6U);
}
// No tick sees those that are over within a millisecond.
TEST(Client, TheMostThatWereOpenAreThoseOfAMomentToo) {
  LoadPlan p = plan();
  p.connections = 40;
  Rig r(p);
  r.introduce();
  r.play(Duration::us(900), Duration::us(10));
  r.near.give_up(r.now);
  EXPECT_EQ(r.count(Load::completed), 40U);
  EXPECT_GE(r.stats.live_peak.load(), 32U);
}
// Between two ticks they come and go.
TEST(Client, ThePeakOfBadClientsIsExact) {
  LoadPlan p = plan();
  p.bad[static_cast<std::size_t>(Vice::slow)] = 2;
  p.bad[static_cast<std::size_t>(Vice::mute)] = 6;
  Rig r(p);
  r.introduce();
  r.answers.way = Answers::Way::reset; // who says something
  r.play(Duration::us(500), Duration::us(10));
  EXPECT_EQ(r.stats.bad_open_peak[static_cast<std::size_t>(Vice::slow)].load(), 2U);
  EXPECT_EQ(r.stats.bad_open_peak[static_cast<std::size_t>(Vice::mute)].load(), 6U);
}
// Two bytes are an answer that every window holds but a slow reader's: the second waits at the server for as long as he likes.
TEST(Client, SlowReadersHoldTheShortestAnswer) {
  LoadPlan p = plan();
  p.bad[static_cast<std::size_t>(Vice::slow)] = 4;
  Rig r(p, 100); // so that there is a way
  r.introduce();
  const auto bad = [&](Bad n) { return r.stats.bad.get(n); };
  r.play(Duration::ms(900), Duration::ms(1));
  EXPECT_EQ(bad(Bad::slow_opened), 4U);
  EXPECT_EQ(bad(Bad::slow_established), 4U);
  EXPECT_EQ(bad(Bad::slow_bytes), 0U);
  r.play(Duration::ms(600), Duration::ms(1)); // the first byte is read, the second comes and is not
  EXPECT_EQ(bad(Bad::slow_bytes), 4U);
  EXPECT_EQ(bad(Bad::slow_ended), 0U);
  r.play(Duration::seconds(2), Duration::ms(1)); // the answer is at its end: others take their places
  EXPECT_GE(bad(Bad::slow_ended), 4U);
  EXPECT_LE(bad(Bad::slow_opened), 12U);
}
TEST(Client, BadClientsThatAreEndedAtOnceAreReplacedAtAPace) {
  LoadPlan p = plan();
  p.bad[static_cast<std::size_t>(Vice::slow)] = 10;
  Rig r(p, 100); // so that there is a way
  r.introduce();
  r.answers.way = Answers::Way::reset;
  r.play(Duration::seconds(1), Duration::us(100));
  EXPECT_GE(r.stats.bad.get(Bad::slow_opened), 19U); // ten at once, and ten a second
  EXPECT_LE(r.stats.bad.get(Bad::slow_opened), 20U);
}
TEST(Client, WhoWaitsForAPortIsSeenToStarve) {
  LoadPlan p = plan();
  p.ports = {2000, 2003};
  Rig r(p, 1000, p.ports);
  r.answers.way = Answers::Way::hang;
  r.play(Duration::ms(3));
  EXPECT_FALSE(r.stats.starved);
  r.play(Duration::ms(200));
  EXPECT_TRUE(r.stats.starved);
}

// While the way is not found a rate is not offered: that time is told, and what is offered lasts as long as it should.
TEST(Client, WhatALongWayPutsOffIsOfferedBehindIt) {
  LoadPlan p = plan();
  p.offered = Duration::seconds(2);
  Rig r(p, 100);
  r.introduce();
  r.deaf = true;
  r.play(Duration::seconds(1));
  EXPECT_TRUE(r.stats.finding);
  const double withheld = static_cast<double>(r.stats.withheld_ns) * 1e-9;
  EXPECT_NEAR(withheld, 1 - static_cast<double>(r.count(Load::attempted)) / 100, 0.03);
  r.deaf = false;
  r.play(Duration::seconds(10));
  EXPECT_FALSE(r.stats.finding);
  EXPECT_GT(r.stats.found_ns, 990'000'000);
  EXPECT_EQ(r.count(Load::attempted), 200U);
  EXPECT_TRUE(r.near.time_is_up(r.now));
  r.near.give_up(r.now);
  EXPECT_NEAR(static_cast<double>(r.count(Load::withheld)), 100 * withheld, 3);
}
// Nor for ever: who watches ends by the same clock.
TEST(Client, AWayThatTakesTooLongTakesSomeOfWhatIsOffered) {
  LoadPlan p = plan();
  p.offered = Duration::seconds(2);
  p.timeout = Duration::ms(500);
  Rig r(p, 100);
  r.introduce();
  r.deaf = true;
  r.play(Duration::ms(2499));
  EXPECT_GT(r.stats.withheld_ns, 2'000'000'000);
  EXPECT_EQ(r.stats.stood_ns, 500'000'000);
  EXPECT_FALSE(r.near.time_is_up(r.now));
  r.play(Duration::ms(2));
  EXPECT_TRUE(r.near.time_is_up(r.now));
}
TEST(Client, WhatIsOfferedMeanwhileWasNotPutOff) {
  Rig r(plan(), 2);
  r.deaf = true;
  r.play(Duration::ms(900));
  EXPECT_TRUE(r.stats.finding);
  EXPECT_LT(r.stats.withheld_ns, 10'000'000);
}

TEST(Client, AServerThatClosesEarlyIsCounted) {
  for (const std::uint32_t requests : {1U, 3U}) {
    LoadPlan p = plan();
    p.payload = PayloadKind::http;
    p.response = {};
    p.connections = 20;
    p.requests = requests;
    Rig r(p);
    r.answers.way = Answers::Way::last;
    r.play(Duration::seconds(1));
    EXPECT_EQ(r.count(Load::completed), 20U);
    EXPECT_EQ(r.count(Load::requests), 20U);
    EXPECT_EQ(r.count(Load::cut_short), requests == 1 ? 0U : 20U);
  }
}

// What a server that is not ours should send is what its first response was: nobody asks before that is known.
TEST(Client, EveryResponseIsComparedWithTheFirst) {
  LoadPlan p = plan();
  p.payload = PayloadKind::http;
  p.response = {};
  p.verify = true;
  p.connections = 300;
  for (const std::uint32_t held : {0U, 10U}) {
    p.concurrency = held; // in line, until others make way
    Rig r(p);
    r.far = true;
    r.answers.way = Answers::Way::page;
    const double seconds = r.play(Duration::seconds(5)).as_seconds();
    EXPECT_EQ(r.count(Load::completed), 1U);
    EXPECT_EQ(r.count(Load::bad_byte), 299U);
    EXPECT_LT(seconds, 0.9);
  }
}
TEST(Client, WhoIsNotAnsweredIsNotWaitedForForLong) {
  LoadPlan p = plan();
  p.payload = PayloadKind::http;
  p.response = {};
  p.verify = true;
  Rig r(p);
  r.answers.way = Answers::Way::hang;
  r.play(Duration::ms(900));
  EXPECT_EQ(r.count(Load::attempted), 1U);
  r.play(Duration::ms(200));
  EXPECT_EQ(r.count(Load::attempted), 256U);
}

} // namespace client_test
} // namespace tern::app
