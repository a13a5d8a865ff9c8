// The splice: what one side does, seen from the other.
#include <set>

#include "support/lb_rig.hpp"

namespace tern::app::lb {
namespace lb_splice_test {

using test::End;
using test::LbRig;

std::string text_of(std::size_t n, std::uint32_t seed = 1) {
  std::string s(n, '\0');
  for (char& c : s) c = static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24);
  return s;
}

TEST(Splice, CarriesBytesBothWaysAndEndsCleanly) {
  LbRig r(LbRig::service());
  auto [client, backend] = r.open();
  EXPECT_EQ(backend.c.local().ip, test::backend_ip(0));
  EXPECT_EQ(backend.c.remote().ip, test::lb_ip);
  client.c.send("request");
  r.settle();
  EXPECT_EQ(backend.got, "request");
  backend.c.send("response");
  backend.c.close();
  r.settle();
  EXPECT_EQ(client.got, "response");
  EXPECT_TRUE(client.peer_closed);
  client.c.close();
  r.run(Duration::ms(10));
  EXPECT_TRUE(client.closed && backend.closed);
  EXPECT_EQ(client.why, CloseReason::Done);
  EXPECT_EQ(backend.why, CloseReason::Done);
  EXPECT_EQ(r.count(Count::ended_done), 1U);
  EXPECT_EQ(r.count(Count::bytes_in), 7U);
  EXPECT_EQ(r.count(Count::bytes_out), 8U);
  r.expect_nothing_left();
}

TEST(Splice, TextThatComesBeforeTheBackendIsKept) {
  LbRig r(LbRig::service());
  End& client = r.connect();
  client.c.send("early"); // with the last ACK of the handshake
  while (client.c.state() != tcp::State::Established) {
    r.around.core.poll(r.now);
    r.balancer.core.poll(r.now);
  }
  client.c.close();
  r.run(Duration::ms(10));
  ASSERT_EQ(r.world.accepted.size(), 1U);
  End& backend = *r.world.accepted[0];
  EXPECT_EQ(backend.got, "early");
  EXPECT_TRUE(backend.peer_closed);
  EXPECT_FALSE(client.peer_closed);
  backend.c.send("answer to a half-closed client");
  backend.c.close();
  r.run(Duration::ms(10));
  EXPECT_EQ(client.got, "answer to a half-closed client");
  r.expect_nothing_left();
}

TEST(Splice, HalfCloseByTheBackendLeavesTheOtherWayOpen) {
  LbRig r(LbRig::service());
  auto [client, backend] = r.open();
  backend.c.send("all I have to say");
  backend.c.close();
  r.run(Duration::ms(100));
  EXPECT_TRUE(client.peer_closed);
  EXPECT_EQ(client.got, "all I have to say");
  client.c.send("still talking");
  r.run(Duration::ms(100));
  EXPECT_EQ(backend.got, "still talking");
  client.c.close();
  r.run(Duration::ms(100));
  EXPECT_EQ(backend.why, CloseReason::Done);
  r.expect_nothing_left();
}

// The client's connection is over on both sides while its last text still waits for a backend that is slow to read.
TEST(Splice, WhatTheClientSaidLastOutlivesItsConnection) {
  test::LbRigSettings s;
  s.shard.tcp.receive_buffer = s.shard.tcp.receive_buffer_max = 32 * 1024;
  s.shard.tcp.send_buffer = 8 * 1024;
  const std::string text = text_of(58'000);
  for (const bool reads_on : {true, false}) {
    SCOPED_TRACE(reads_on);
    LbRig r(LbRig::service(), s);
    auto [client, backend] = r.open();
    backend.reading = false;
    backend.c.close();
    r.settle();
    EXPECT_TRUE(client.peer_closed);
    r.world.send_all(client.c, text, true);
    r.run(Duration::seconds(1));
    EXPECT_TRUE(client.closed);
    EXPECT_EQ(client.why, CloseReason::Done);
    EXPECT_FALSE(backend.closed);
    if (reads_on) {
      backend.reading = true;
      backend.c.resume_reading();
      r.run(Duration::seconds(2));
      EXPECT_TRUE(backend.got == text) << backend.got.size();
      EXPECT_TRUE(backend.peer_closed);
      EXPECT_EQ(backend.why, CloseReason::Done);
      EXPECT_EQ(r.count(Count::ended_done), 1U);
    } else { // the pair's patience is with the backend, as ever
      r.run(Duration::seconds(61), Duration::ms(50));
      EXPECT_EQ(backend.why, CloseReason::Reset);
      EXPECT_EQ(r.count(Count::ended_idle), 1U);
    }
    r.expect_nothing_left();
  }
}

TEST(Splice, ResetIsCarriedThroughEachWay) {
  LbRig r(LbRig::service());
  {
    auto [client, backend] = r.open();
    client.c.abort();
    r.settle();
    EXPECT_EQ(backend.why, CloseReason::Reset);
    EXPECT_EQ(r.count(Count::ended_client), 1U);
  }
  {
    auto [client, backend] = r.open();
    backend.c.abort();
    r.settle();
    EXPECT_EQ(client.why, CloseReason::Reset);
    EXPECT_EQ(r.count(Count::ended_backend), 1U);
  }
  r.expect_nothing_left();
}

TEST(Splice, ResetComesAfterTheTextBeforeIt) {
  LbRig r(LbRig::service());
  auto [client, backend] = r.open();
  const std::string text = text_of(20'000);
  client.reading = false;
  backend.c.send(std::string_view{text});
  for (int i = 0; i < 3; ++i) { // the text is with the balancer, the client has not acknowledged all of it
    r.around.core.poll(r.now);
    r.balancer.core.poll(r.now);
  }
  backend.c.abort();
  client.reading = true;
  r.run(Duration::ms(500));
  EXPECT_EQ(client.why, CloseReason::Reset);
  EXPECT_TRUE(client.got == text.substr(0, client.got.size()));
  EXPECT_GT(client.got.size(), 10'000U);
  r.expect_nothing_left();
}

TEST(Splice, RefusedClientTextGoesToAnotherBackend) {
  LbRig r([] {
    ServiceConfig v = LbRig::service(2);
    v.backends[0].address.port = Port{81}; // nobody listens
    return v;
  }());
  for (int i = 0; i < 4; ++i) {
    End& client = r.connect();
    client.c.send("not lost");
    r.run(Duration::ms(10));
    ASSERT_EQ(r.world.accepted.size(), static_cast<std::size_t>(i) + 1);
    EXPECT_EQ(r.world.accepted.back()->got, "not lost");
    EXPECT_EQ(r.world.accepted.back()->c.local().ip, test::backend_ip(1));
  }
  EXPECT_GE(r.count(Count::connect_refused), 2U);
  EXPECT_EQ(r.count(Count::connected), 4U);
}

TEST(Splice, SilentBackendIsLeftAfterTheConnectTimeOut) {
  LbRig r([] {
    ServiceConfig v = LbRig::service(2);
    v.backends[0].address.ip = Ip{Ip4{10, 0, 0, 99}}; // no such host
    v.timeouts.connect = Duration::ms(700);
    return v;
  }());
  std::vector<End*> clients;
  for (int i = 0; i < 2; ++i) {
    clients.push_back(&r.connect());
    clients.back()->c.send("patience");
  }
  r.run(Duration::ms(600));
  EXPECT_EQ(r.world.accepted.size(), 1U);
  r.run(Duration::ms(200));
  ASSERT_EQ(r.world.accepted.size(), 2U);
  EXPECT_EQ(r.world.accepted[1]->got, "patience");
  EXPECT_EQ(r.count(Count::connect_timed_out), 1U);
}

TEST(Splice, WithoutAnyBackendTheClientIsReset) {
  LbRig r([] {
    ServiceConfig v = LbRig::service(3);
    for (auto& b : v.backends) b.address.port = Port{81};
    return v;
  }());
  End& client = r.connect();
  client.c.send("to nobody");
  r.run(Duration::ms(20));
  EXPECT_EQ(client.why, CloseReason::Reset);
  EXPECT_EQ(r.count(Count::connect_refused), 3U);
  EXPECT_EQ(r.count(Count::ended_no_backend), 1U);
  r.expect_nothing_left();
}

TEST(Splice, ClientThatGivesUpWhileWeConnectTakesTheBackendWithIt) {
  LbRig r([] {
    ServiceConfig v = LbRig::service(1);
    v.backends[0].address.ip = Ip{Ip4{10, 0, 0, 99}};
    return v;
  }());
  End& client = r.connect();
  r.run(Duration::ms(20));
  client.c.abort();
  r.run(Duration::ms(20));
  EXPECT_EQ(r.count(Count::ended_client), 1U);
  EXPECT_EQ(r.count(Count::connect_tried), 1U);
  r.expect_nothing_left();
}

TEST(Splice, MegabytesArriveWholeBothWays) {
  LbRig r(LbRig::service());
  auto [client, backend] = r.open();
  const std::string up = text_of(2'000'000, 7);
  const std::string down = text_of(3'000'000, 9);
  r.world.send_all(client.c, up);
  r.world.send_all(backend.c, down);
  r.run(Duration::seconds(3));
  EXPECT_TRUE(backend.got == up);
  EXPECT_TRUE(client.got == down);
  client.c.close();
  backend.c.close();
  r.run(Duration::ms(100));
  r.expect_nothing_left();
}

TEST(Splice, SlowReadersOnEitherSideBoundMemory) {
  LbRig r(LbRig::service());
  auto [client, backend] = r.open();
  client.reading = backend.reading = false;
  const std::string text = text_of(4'000'000);
  r.world.send_all(client.c, text);
  r.world.send_all(backend.c, text);
  r.run(Duration::seconds(2));
  const std::uint32_t window = r.balancer.shard.settings.tcp.receive_buffer;
  // In the balancer: at most one receive buffer each way.
  EXPECT_LE(r.balancer.shard.connections.at(0).tcb.rcv_held, window);
  EXPECT_LE(r.balancer.shard.connections.at(1).tcb.rcv_held, window);
  EXPECT_LE(r.count(Count::bytes_in), std::uint64_t{2} * window);
  EXPECT_LE(r.count(Count::bytes_out), std::uint64_t{2} * window);
  client.reading = backend.reading = true;
  client.c.resume_reading();
  backend.c.resume_reading();
  r.run(Duration::seconds(10));
  EXPECT_TRUE(backend.got == text);
  EXPECT_TRUE(client.got == text);
}

TEST(Splice, BackendThatSpeaksFirst) {
  LbRig r(LbRig::service());
  r.world.greeting = "220 ready";
  auto [client, backend] = r.open();
  EXPECT_EQ(client.got, "220 ready");
}

TEST(Splice, IdleAndHalfClosedPairsAreReset) {
  LbRig r([] {
    ServiceConfig v = LbRig::service();
    v.timeouts.idle = Duration::seconds(10);
    v.timeouts.half_closed = Duration::seconds(3);
    return v;
  }());
  auto [client, backend] = r.open();
  for (int i = 0; i < 3; ++i) { // as long as something moves
    r.run(Duration::seconds(8), Duration::ms(20));
    client.c.send("x");
  }
  r.run(Duration::seconds(9), Duration::ms(20));
  EXPECT_FALSE(client.closed);
  r.run(Duration::seconds(2), Duration::ms(20));
  EXPECT_EQ(client.why, CloseReason::Reset);
  EXPECT_EQ(backend.why, CloseReason::Reset);
  auto [client2, backend2] = r.open();
  client2.c.close();
  r.run(Duration::ms(2500));
  EXPECT_FALSE(backend2.closed);
  r.run(Duration::ms(1000));
  EXPECT_EQ(backend2.why, CloseReason::Reset);
  EXPECT_EQ(r.count(Count::ended_idle), 2U);
  r.expect_nothing_left();
}

TEST(Splice, DualStack) {
  LbRig r([] {
    ServiceConfig v = LbRig::service(2);
    v.backends[1].address.ip = test::backend_ip6(1);
    return v;
  }());
  for (const bool v6 : {false, true, false, true}) {
    auto [client, backend] = r.open(v6);
    client.c.send("to whichever family");
    backend.c.send("and back");
    r.run(Duration::ms(10));
    EXPECT_EQ(backend.got, "to whichever family");
    EXPECT_EQ(client.got, "and back");
    client.c.close();
    backend.c.close();
    r.run(Duration::ms(10));
  }
  r.expect_nothing_left();
}

TEST(Splice, ProxyHeaderComesFirstEvenIfTheClientNeverSpeaks) {
  for (const ProxyProtocol kind : {ProxyProtocol::v1, ProxyProtocol::v2}) {
    LbRig r([&] {
      ServiceConfig v = LbRig::service();
      v.send_proxy = kind;
      return v;
    }());
    auto [client, backend] = r.open();
    ProxyHeader room;
    const auto h = proxy_header(kind, {test::client_ip, Port{20'000}}, {test::lb_ip, Port{80}}, room);
    const std::string header(reinterpret_cast<const char*>(h.data()), h.size());
    EXPECT_TRUE(backend.got == header);
    client.c.send("then the client");
    r.settle();
    EXPECT_TRUE(backend.got == header + "then the client");
  }
}

TEST(Splice, BackendLimitSendsElsewhereThenResets) {
  LbRig r([] {
    ServiceConfig v = LbRig::service(2);
    v.backends[1].backup = true;
    return v;
  }());
  r.shared.bank.set_limit(0, 2);
  r.shared.bank.set_limit(1, 1);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(r.open().backend.c.local().ip, test::backend_ip(0));
  EXPECT_EQ(r.open().backend.c.local().ip, test::backend_ip(1));
  End& refused = r.connect();
  r.run(Duration::ms(5));
  EXPECT_EQ(refused.why, CloseReason::Reset);
  EXPECT_EQ(r.count(Count::ended_full), 1U);
  r.world.accepted[0]->c.abort();
  r.run(Duration::ms(5));
  EXPECT_EQ(r.open().backend.c.local().ip, test::backend_ip(0));
}

TEST(Splice, ServiceLimitIsOneForAllItsPorts) {
  LbRig r([] {
    ServiceConfig v = LbRig::service();
    v.listen.push_back({Ip{}, Port{81}, Port{81}});
    return v;
  }());
  ASSERT_TRUE(r.balancer.shard.listeners.add({.ip = Ip{}, .first = Port{81}, .last = Port{81}}));
  r.shared.service_bank.set_limit(0, 3);
  std::vector<End*> in;
  for (const unsigned port : {80U, 81U, 80U}) {
    in.push_back(&r.connect(false, Port{static_cast<std::uint16_t>(port)}));
    r.run(Duration::ms(5));
  }
  EXPECT_EQ(r.splice.open_of_service(0), 3U);
  End& fourth = r.connect(false, Port{80});
  End& fifth = r.connect(false, Port{81});
  r.run(Duration::ms(900));
  EXPECT_EQ(fourth.c.state(), tcp::State::SynSent); // not answered, not refused: it tries again
  EXPECT_EQ(fifth.c.state(), tcp::State::SynSent);
  EXPECT_EQ(r.count(Count::ended_full), 0U);
  in[1]->c.abort();
  // The SYNs come again, and both are answered; the first ACK takes what is free, the other must come again.
  r.run(Duration::ms(300));
  EXPECT_EQ(r.splice.open_of_service(0), 3U);
  EXPECT_EQ(r.world.accepted.size(), 4U);
  in[0]->c.abort();
  in[2]->c.abort();
  r.run(Duration::seconds(4));
  EXPECT_EQ(fourth.c.state(), tcp::State::Established);
  EXPECT_EQ(fifth.c.state(), tcp::State::Established);
  EXPECT_EQ(r.world.accepted.size(), 5U);
  EXPECT_EQ(r.splice.open_of_service(0), 2U);
  r.splice.kill_all();
  r.run(Duration::ms(10));
  r.expect_nothing_left();
}

TEST(Splice, HandshakesThatTheLimitOvertakesAreReset) {
  LbRig r(LbRig::service());
  r.shared.service_bank.set_limit(0, 2);
  std::vector<End*> all;
  for (int i = 0; i < 5; ++i) all.push_back(&r.connect()); // all at once
  r.run(Duration::ms(20));
  std::size_t reset = 0;
  for (const End* e : all) reset += e->closed ? 1U : 0U;
  EXPECT_EQ(r.splice.open_of_service(0), 2U);
  EXPECT_EQ(r.count(Count::ended_full), reset);
  EXPECT_EQ(r.count(Count::connected), 2U);
}

TEST(Splice, DeadPeerIsFoundByKeepaliveLongBeforeTheIdleTimeout) {
  test::LbRigSettings s;
  s.shard.tcp.keepalive_idle = Duration::seconds(60);
  s.shard.tcp.keepalive_interval = Duration::seconds(10);
  s.shard.tcp.keepalive_probes = 3;
  LbRig r(LbRig::service(), s);
  auto [client, backend] = r.open();
  // The backend loses the connection without a word: its reset is lost on the way.
  backend.c.abort();
  r.drop_from_world();
  r.run(Duration::seconds(55), Duration::ms(20));
  EXPECT_FALSE(client.closed);
  r.run(Duration::seconds(10), Duration::ms(20)); // the probe is answered by a reset
  EXPECT_EQ(client.why, CloseReason::Reset);
  EXPECT_EQ(r.count(Count::ended_backend), 1U);
  r.expect_nothing_left();
}

TEST(Splice, LeastConnectionsCountsWhatOtherCoresHave) {
  LbRig r(LbRig::service(3, Balance::least_connections), {.cores = 2});
  // The other core, played by the test.
  r.shared.loads.tell(1, 0, 4);
  r.shared.loads.tell(1, 1, 2);
  r.shared.loads.tell(1, 2, 4);
  r.run(Duration::ms(2));
  for (int i = 0; i < 2; ++i) EXPECT_EQ(r.open().backend.c.local().ip, test::backend_ip(1));
  std::set<std::string> seen; // equals now
  for (int i = 0; i < 3; ++i) seen.insert(r.open().backend.c.local().ip.to_string());
  EXPECT_EQ(seen.size(), 3U);
  EXPECT_EQ(r.shared.loads.others(1, 1), 3U);
}

TEST(Splice, DeniedClientIsReset) {
  LbRig r([] {
    ServiceConfig v = LbRig::service();
    v.deny = {*Prefix::parse("10.0.0.0/24")};
    return v;
  }());
  End& client = r.connect();
  client.c.send("let me in");
  r.run(Duration::ms(5));
  EXPECT_EQ(client.why, CloseReason::Reset);
  EXPECT_EQ(r.count(Count::ended_denied), 1U);
  EXPECT_TRUE(r.world.accepted.empty());
  r.expect_nothing_left();
}

TEST(Splice, NoRecordLeftIsAReset) {
  LbRig r(LbRig::service(), {.pairs = 1});
  r.open();
  End& second = r.connect();
  r.run(Duration::ms(5));
  EXPECT_EQ(second.why, CloseReason::Reset);
  EXPECT_EQ(r.count(Count::ended_no_memory), 1U);
}

TEST(Splice, KillResetsBothEnds) {
  LbRig r(LbRig::service(2));
  auto [c0, b0] = r.open();
  auto [c1, b1] = r.open();
  r.splice.kill(b0.c.local().ip == test::backend_ip(0) ? 0 : 1);
  r.run(Duration::ms(5));
  EXPECT_EQ(c0.why, CloseReason::Reset);
  EXPECT_EQ(b0.why, CloseReason::Reset);
  EXPECT_FALSE(c1.closed || b1.closed);
  r.splice.kill_all();
  r.run(Duration::ms(5));
  EXPECT_EQ(r.count(Count::ended_killed), 2U);
  r.expect_nothing_left();
}

TEST(Splice, PortsTowardsABackendAreUsedAgainWithinTimeWait) {
  LbRig r(LbRig::service(), {.sources = {*Prefix::parse("10.0.0.32/30")}});
  for (int i = 0; i < 8; ++i) {
    auto [client, backend] = r.open();
    EXPECT_TRUE(Prefix::parse("10.0.0.32/30")->contains(backend.c.remote().ip));
    client.c.close(); // so TIME-WAIT towards the backend is ours
    r.run(Duration::ms(2));
    backend.c.close();
    r.run(Duration::ms(2));
  }
  EXPECT_EQ(r.balancer.shard.time_wait4.streams.size(), 8U);
  r.expect_nothing_left();
}

} // namespace lb_splice_test
} // namespace tern::app::lb
