// How pairs end that do not end well: what the lost leg had said, what is left of the other, and what is counted.
#include "support/lb_rig.hpp"

namespace tern::app::lb {
namespace lb_ends_test {

using test::End;
using test::LbRig;

const std::string text(60'000, 't');

// A client that has taken little of what its backend has said.
struct Slow {
  Slow(LbRig& r, bool ends) : ends_(r.open()) {
    client().reading = false;
    r.world.send_all(backend().c, text, ends);
    r.run(Duration::ms(200));
  }
  [[nodiscard]] End& client() const { return ends_.client; }
  [[nodiscard]] End& backend() const { return ends_.backend; }
  // Some of it now and then, for so long.
  void read_slowly(LbRig& r, Duration d) const {
    const Instant end = r.now + d;
    while (r.now < end && !client().closed) {
      client().reading = true;
      client().c.resume_reading();
      r.run(Duration::ms(1));
      client().reading = false;
      r.run(Duration::ms(999), Duration::ms(20));
    }
  }

 private:
  LbRig::Ends ends_;
};

test::LbRigSettings small_windows() { // of the client, so that what it has not read lies with the balancer
  test::LbRigSettings s;
  s.shard.tcp.receive_buffer = s.shard.tcp.receive_buffer_max = 16 * 1024;
  s.shard.tcp.send_buffer = 128 * 1024;
  return s;
}

// The backend closed, and its system resets what a client still says: that takes nothing from what it said.
TEST(Ends, AResetBehindAnEndThatWasPassedOnTruncatesNothing) {
  test::LbRigSettings s = small_windows();
  LbRig r(LbRig::service(), s);
  auto [client, backend] = r.open();
  client.reading = false;
  const std::string all(15'000, 't'); // the balancer has all of it, and the end
  r.world.send_all(backend.c, all, true);
  r.settle();
  r.world_port.lose = true; // the client's ACKs
  r.balancer.core.poll(r.now);
  r.world_port.lose = false;
  backend.c.abort();
  r.run(Duration::seconds(20), Duration::ms(10));
  EXPECT_FALSE(client.closed);
  client.reading = true;
  client.c.resume_reading();
  r.run(Duration::ms(500));
  EXPECT_TRUE(client.got == all) << client.got.size();
  EXPECT_TRUE(client.peer_closed);
  client.c.close();
  r.run(Duration::seconds(1));
  EXPECT_EQ(client.why, CloseReason::Done);
  EXPECT_EQ(r.count(Count::ended_backend), 1U);
  r.expect_nothing_left();
}

// The same while the client takes it in its own time.
TEST(Ends, ASlowClientGetsAllThatTheBackendHadFinished) {
  LbRig r(LbRig::service());
  const Slow pair(r, true);
  ASSERT_TRUE(pair.backend().c.state() == tcp::State::FinWait2 ||
              pair.backend().c.state() == tcp::State::FinWait1);
  pair.backend().c.abort();
  r.run(Duration::seconds(8), Duration::ms(20));
  EXPECT_FALSE(pair.client().closed);
  pair.read_slowly(r, Duration::seconds(10));
  EXPECT_TRUE(pair.client().got == text) << pair.client().got.size();
  EXPECT_TRUE(pair.client().peer_closed);
  pair.client().c.close();
  r.run(Duration::seconds(1));
  EXPECT_EQ(pair.client().why, CloseReason::Done);
  r.expect_nothing_left();
}

TEST(Ends, ABackendGetsAllThatAClientHadFinished) {
  LbRig r(LbRig::service());
  auto [client, backend] = r.open();
  backend.reading = false;
  r.world.send_all(client.c, text, true);
  r.run(Duration::ms(200));
  client.c.abort();
  r.run(Duration::seconds(8), Duration::ms(20));
  backend.reading = true;
  backend.c.resume_reading();
  r.run(Duration::ms(500));
  EXPECT_TRUE(backend.got == text) << backend.got.size();
  EXPECT_TRUE(backend.peer_closed);
  backend.c.close();
  r.run(Duration::seconds(1));
  EXPECT_EQ(r.count(Count::ended_client), 1U);
  r.expect_nothing_left();
}

// A client that closed, and is gone: its backend has its end, and talks to nobody.
TEST(Ends, ABackendThatTalksOnAfterItsClientIsGoneIsResetAtOnce) {
  LbRig r(LbRig::service());
  auto [client, backend] = r.open();
  client.c.close();
  r.run(Duration::ms(50));
  ASSERT_TRUE(backend.peer_closed);
  client.c.abort();
  r.run(Duration::ms(50));
  r.world.send_all(backend.c, text);
  r.run(Duration::seconds(1));
  EXPECT_EQ(backend.why, CloseReason::Reset);
  EXPECT_EQ(r.count(Count::ended_client), 1U);
  r.expect_nothing_left();
}

// Not before it has acknowledged all that its client said.
TEST(Ends, ABackendThatTalksIsNotResetBeforeItHasItsClientsEnd) {
  LbRig r(LbRig::service(), small_windows());
  auto [client, backend] = r.open();
  backend.reading = false;
  const std::string all(25'000, 'u');
  r.world.send_all(client.c, all, true);
  r.run(Duration::ms(200));
  client.c.abort();
  r.world.send_all(backend.c, text);
  r.run(Duration::seconds(5), Duration::ms(20));
  EXPECT_EQ(r.splice.pairs(), 1U);
  std::uint32_t seen = 0;
  EXPECT_FALSE(r.splice.each_pair(0, 100, [&](Pair&) { ++seen; }));
  EXPECT_EQ(seen, 1U);
  backend.reading = true;
  backend.c.resume_reading();
  r.run(Duration::seconds(1));
  EXPECT_TRUE(backend.got == all) << backend.got.size();
  EXPECT_TRUE(backend.peer_closed);
  backend.c.send("more");
  r.run(Duration::ms(100));
  EXPECT_EQ(backend.why, CloseReason::Reset);
  r.expect_nothing_left();
}

// Answered early, as by a 413: what of its upload was lent to the backend is not kept from being thrown away.
TEST(Ends, AClientThatUploadsOnAfterItsBackendIsGoneIsReadToItsEnd) {
  LbRig r(LbRig::service());
  auto [client, backend] = r.open();
  backend.reading = false;
  r.world.send_all(client.c, std::string(400'000, 'u'), true);
  r.run(Duration::ms(500));
  backend.c.send("413");
  backend.c.close();
  r.run(Duration::ms(100));
  ASSERT_TRUE(client.peer_closed);
  backend.c.abort();
  r.run(Duration::seconds(5), Duration::ms(5));
  EXPECT_EQ(client.got, "413");
  EXPECT_EQ(client.why, CloseReason::Done);
  r.expect_nothing_left();
}

// Nothing was said for longer than anybody waits: what came last is delivered all the same.
TEST(Ends, PatienceWithWhatIsLeftBeginsWithTheLoss) {
  ServiceConfig v = LbRig::service();
  v.timeouts.idle = Duration::seconds(600);
  v.timeouts.half_closed = Duration::seconds(5);
  LbRig r(v, small_windows());
  const Slow pair(r, false);
  r.run(Duration::seconds(20), Duration::ms(20));
  pair.backend().c.abort();
  r.run(Duration::seconds(3), Duration::ms(20));
  EXPECT_FALSE(pair.client().closed);
  r.run(Duration::seconds(4), Duration::ms(20));
  EXPECT_TRUE(pair.client().closed);
  r.expect_nothing_left();
}

// Nobody waits for a client for ever, though its end is on its way to it.
TEST(Ends, AClientThatNeverReadsAgainIsGivenUp) {
  LbRig r(LbRig::service());
  const Slow pair(r, true);
  pair.backend().c.abort();
  r.run(Duration::seconds(300), Duration::ms(50));
  EXPECT_EQ(r.splice.pairs(), 0U);
  EXPECT_EQ(r.count(Count::ended_backend), 1U);
}

// Reset before its end: as long as the client goes on taking what had come, it gets that.
TEST(Ends, WhatCameBeforeAResetIsDeliveredForAsLongAsItIsTaken) {
  LbRig r(LbRig::service(), small_windows());
  const Slow pair(r, false);
  pair.backend().c.abort();
  pair.read_slowly(r, Duration::seconds(10));
  EXPECT_EQ(pair.client().why, CloseReason::Reset);
  EXPECT_GT(pair.client().got.size(), 30'000U);
  EXPECT_EQ(r.count(Count::ended_backend), 1U);
  r.expect_nothing_left();
}

TEST(Ends, WhatTheEndOfADrainResetsIsKilledByUs) {
  LbRig r([] {
    ServiceConfig v = LbRig::service(2);
    v.backends[1].address.ip = Ip{Ip4{10, 0, 0, 99}}; // no such host: one client waits for it
    return v;
  }());
  r.connect();
  r.connect();
  r.run(Duration::ms(5));
  ASSERT_EQ(r.splice.pairs(), 2U);
  ASSERT_EQ(r.count(Count::connected), 1U);
  Shard& shard = r.balancer.shard;
  for (std::uint32_t i = 0; i < shard.connections.fresh(); ++i) // as Worker::abort_all() does
    if (shard.connections.at(i).has(ConnectionRecord::in_use)) shard.handle(shard.connections.at(i)).abort();
  r.run(Duration::ms(5));
  EXPECT_EQ(r.count(Count::ended_killed), 2U);
  EXPECT_EQ(r.count(Count::connect_tried), 2U);
  EXPECT_EQ(r.count(Count::connect_timed_out), 0U);
  r.expect_nothing_left();
}

TEST(Ends, ANewPlansPatienceIsForThePairsThatAreThere) {
  for (const Duration before : {Duration{}, Duration::seconds(300)}) {
    SCOPED_TRACE(before.as_ms());
    ServiceConfig v = LbRig::service();
    v.timeouts.idle = before;
    LbRig r(v);
    End& client = r.open().client;
    v.timeouts.idle = Duration::seconds(2);
    r.splice.publish(std::make_shared<Plan>(make_plan({.services = {v}})));
    r.run(Duration::ms(1500));
    EXPECT_FALSE(client.closed);
    r.run(Duration::seconds(1));
    EXPECT_EQ(client.why, CloseReason::Reset);
    EXPECT_EQ(r.count(Count::ended_idle), 1U);
    r.expect_nothing_left();
  }
}

TEST(Ends, WantOfOurOwnIsNotCalledWantOfABackend) {
  {
    test::LbRigSettings s;
    s.shard.connections = 1;
    LbRig r(LbRig::service(), s);
    EXPECT_EQ((r.connect(), r.run(Duration::ms(10)), r.count(Count::ended_no_memory)), 1U);
    EXPECT_EQ(r.count(Count::ended_no_backend), 0U);
    EXPECT_TRUE(r.shared.backends.up(0));
  }
}

// ---- Packets

// More stalled readers than the packets carry: they go, the others stay and are served.
TEST(Ends, ReadersThatStandStillDoNotStopTheOthers) {
  test::LbRigSettings s;
  s.packets = 4095;
  ServiceConfig v = LbRig::service();
  v.check.kind = CheckKind::http;
  LbRig r(v, s);
  r.world.answer = "HTTP/1.1 200 OK\r\n\r\n";
  r.run(Duration::ms(50));
  std::vector<End*> stalled;
  for (int i = 0; i < 120; ++i) {
    auto [client, backend] = r.open();
    client.reading = false;
    stalled.push_back(&client);
    r.world.send_all(backend.c, text);
    r.run(Duration::ms(5));
  }
  r.run(Duration::seconds(20), Duration::ms(5));
  EXPECT_GT(r.count(Count::ended_scarce), 0U);
  EXPECT_LT(r.count(Count::ended_scarce), 120U); // not more than had to
  EXPECT_EQ(r.shared.shed.load(), r.count(Count::ended_scarce));
  EXPECT_EQ(r.count(Count::checks_failed), 0U);
  EXPECT_TRUE(r.shared.backends.up(0));
  End& good = r.connect();
  good.c.send("hello"); // taken with the handshake's last ACK
  r.run(Duration::ms(500));
  good.c.send("?");
  r.run(Duration::ms(500));
  for (End* e : r.world.accepted) // checks are among them
    if (e->got == "hello?" || e->got == "?") e->c.send("yes");
  r.run(Duration::ms(500));
  EXPECT_EQ(good.got, "yes");
  r.splice.kill_all();
  r.run(Duration::seconds(2), Duration::ms(5));
  EXPECT_EQ(r.splice.pairs(), 0U);
  EXPECT_EQ(r.shared.shedding.load(), 0U);
}

// They take a little every second of what they hold: they go all the same, and who is slow because his line is, 50 kbit/s,
// stays.
TEST(Ends, ReadersThatTakeNextToNothingDoNotStopTheOthers) {
  constexpr std::size_t slow =
      380; // bytes every tenth of a second: two segments, which open a window, in 0.8 s
  constexpr std::size_t phone = 625;
  test::LbRigSettings s;
  s.packets = 4095;
  s.world_packets = 32'767;
  LbRig r(LbRig::service(), s);
  struct Reader {
    End* end;
    std::size_t each;
  };
  std::vector<Reader> readers;
  for (std::size_t i = 0; i < 40; ++i) {
    auto [client, backend] = r.open();
    client.may_take = 0;
    readers.push_back({&client, i % 10 == 0 ? phone : slow});
    r.world.send_all(backend.c, std::string(200'000, 't'));
  }
  r.run(Duration::seconds(1), Duration::ms(5));
  ASSERT_EQ(r.balancer.shard.env.scarcity, tcp::Scarcity::none);
  std::vector<Packet> others; // whatever is given back somebody else takes
  for (int tenths = 0; tenths < 100; ++tenths) {
    while (r.pool.pool().free() > 100) others.push_back(r.pool.pool().alloc());
    for (const Reader& reader : readers) {
      reader.end->may_take += reader.each;
      reader.end->c.resume_reading();
    }
    r.run(Duration::ms(100), Duration::ms(5));
  }
  for (const Reader& reader : readers) EXPECT_EQ(reader.end->closed, reader.each == slow);
  EXPECT_EQ(r.count(Count::ended_scarce), 36U);
}

TEST(Standing, IsSinceTheFloorWasLastKept) {
  const auto ms = [](std::int64_t n) { return Duration::ms(n); };
  Taking t;
  t.begin(10'000, 5);
  EXPECT_EQ(t.look(13'000, 60'000, 5, 256), ms(3000));
  EXPECT_EQ(t.look(14'000, 60'000, 6, 256), ms(4000)); // a byte now and then
  EXPECT_EQ(t.look(15'000, 60'000, 5 + 1280, 256), ms(0));
  EXPECT_EQ(t.look(16'000, 60'000, 5 + 1280 + 255, 256), ms(1000));
  EXPECT_EQ(t.look(17'000, 100, 5 + 1280 + 255, 256), ms(0)); // all that it held has gone, and more has come
  EXPECT_EQ(t.look(18'000, 0, 5 + 1280 + 255, 256), ms(0));
  EXPECT_EQ(t.look(18'000, 60'000, 5 + 1280 + 255, 256), ms(0));
  EXPECT_EQ(t.look(18'004, 60'000, 5 + 1280 + 255, 256), ms(4));
  EXPECT_EQ(t.look(20'000, 0, 5 + 1280 + 255, 256), ms(0));
  EXPECT_EQ(t.look(21'500, 400, 5 + 1280 + 255, 256), ms(0)); // it came since the last look: who knows when
  EXPECT_EQ(t.look(22'000, 400, 5 + 1280 + 255, 256), ms(500));
  t.begin(0xffff'ff00U, 0xffff'fff0U); // both wrap
  EXPECT_EQ(t.look(0x300, 60'000, 0xffff'fff8U, 256), ms(1024));
  EXPECT_EQ(t.look(0x300, 60'000, 0x1000, 256), ms(0));
}

TEST(Shedding, RaisesItsFloorWhileNobodyIsFound) {
  using tcp::Scarcity;
  const auto at = [](std::int64_t ms) { return Instant::at_ns((100'000 + ms) * 1'000'000); };
  Shedding s;
  s.look(at(0), Scarcity::critical);
  std::int64_t now = 1001;
  const auto round = [&](std::uint32_t reset) {
    s.look(at(now), Scarcity::critical);
    s.round(at(now), reset);
  };
  for (int i = 0; i < 10; ++i) round(0);
  ASSERT_EQ(s.still(), Shedding::shortest);
  EXPECT_EQ(s.floor(), Shedding::least_floor);
  now += 900;
  round(1);
  now += 900;
  round(0); // somebody was found within the last second
  EXPECT_EQ(s.floor(), Shedding::least_floor);
  for (int i = 0; i < 10; ++i) {
    now += 1001;
    round(0);
    EXPECT_EQ(s.floor(), std::min(Shedding::most_floor, Shedding::least_floor << (i + 1)));
  }
  const auto episode = s.episode();
  s.look(at(now), Scarcity::none);
  s.look(at(now + 5000), Scarcity::critical);
  EXPECT_TRUE(s.look(at(now + 6001), Scarcity::critical));
  EXPECT_EQ(s.episode(), episode + 1);
  EXPECT_EQ(s.floor(), Shedding::most_floor); // it was not over for long
  s.look(at(now + 6002), Scarcity::none);
  s.look(at(now + 70'000), Scarcity::critical);
  EXPECT_EQ(s.floor(), Shedding::least_floor);
}

TEST(Shedding, BeginsAfterASecondAndEndsWithScarcity) {
  using tcp::Scarcity;
  const auto at = [](std::int64_t ms) { return Instant::at_ns((100'000 + ms) * 1'000'000); };
  Shedding s;
  EXPECT_FALSE(s.look(at(0), Scarcity::low));
  EXPECT_FALSE(s.look(at(5000), Scarcity::low)); // nobody starves
  EXPECT_FALSE(s.look(at(5001), Scarcity::critical));
  EXPECT_FALSE(s.look(at(5500), Scarcity::low));
  EXPECT_FALSE(s.look(at(6000), Scarcity::critical));
  EXPECT_TRUE(s.look(at(6001), Scarcity::low));
  EXPECT_EQ(s.still(), Shedding::longest);
  s.round(at(6001), 0); // low: who stands still a little is left alone
  EXPECT_EQ(s.still(), Shedding::longest);
  EXPECT_TRUE(s.look(at(6002), Scarcity::last));
  s.round(at(6002), 3);
  EXPECT_EQ(s.still(), Shedding::longest);
  for (int i = 0; i < 20; ++i) s.round(at(6002), 0);
  EXPECT_EQ(s.still(), Shedding::shortest);
  EXPECT_FALSE(s.look(at(6003), Scarcity::none));
  EXPECT_TRUE(s.starved(at(6500), Duration::seconds(1)));
  EXPECT_FALSE(s.starved(at(8000), Duration::seconds(1)));
  EXPECT_FALSE(s.look(at(9000), Scarcity::dire)); // anew
  EXPECT_TRUE(s.watches());
  EXPECT_FALSE(s.look(at(9100), Scarcity::none));
  EXPECT_FALSE(s.watches());
}

} // namespace lb_ends_test
} // namespace tern::app::lb
