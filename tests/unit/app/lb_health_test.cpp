// Health: active checks through the data path, and what clients' failures tell.
#include "support/lb_rig.hpp"

namespace tern::app::lb {
namespace lb_health_test {

using test::End;
using test::LbRig;

ServiceConfig checked(CheckKind kind, int backends = 1) {
  ServiceConfig v = LbRig::service(backends);
  v.check.kind = kind;
  v.check.interval = Duration::seconds(2);
  v.check.jitter = 0;
  v.check.timeout = Duration::seconds(1);
  v.check.rise = 2;
  v.check.fall = 3;
  v.check.path = "/health";
  return v;
}

TEST(Health, HttpStatusDecidesByRiseAndFall) {
  LbRig r(checked(CheckKind::http));
  r.world.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  const Backends& b = r.shared.backends;
  EXPECT_TRUE(b.up(0));
  EXPECT_EQ(b.because(0), Because::assumed);
  r.run(Duration::ms(100));
  ASSERT_EQ(r.world.accepted.size(), 1U);
  EXPECT_TRUE(r.world.accepted[0]->got.starts_with("GET /health HTTP/1.1\r\nHost: 10.0.0.11:8080\r\n"));
  EXPECT_EQ(r.count(Count::checks_passed), 1U);
  EXPECT_EQ(b.because(0), Because::check_passed); // no longer assumed, though nothing changed
  EXPECT_EQ(b.changes(0), 0U);
  r.world.answer = "HTTP/1.0 503 Service Unavailable\r\n\r\n";
  r.run(Duration::ms(4100)); // two checks
  EXPECT_EQ(r.count(Count::checks_failed), 2U);
  EXPECT_TRUE(b.up(0));
  r.run(Duration::seconds(2));
  EXPECT_FALSE(b.up(0));
  EXPECT_EQ(b.because(0), Because::bad_status);
  EXPECT_EQ(b.changes(0), 1U);
  r.world.answer = "HTTP/1.1 399 Odd\r\n\r\n";
  r.run(Duration::seconds(2));
  EXPECT_FALSE(b.up(0));
  r.run(Duration::seconds(2));
  EXPECT_TRUE(b.up(0));
  EXPECT_EQ(b.because(0), Because::check_passed);
  EXPECT_EQ(b.changes(0), 2U);
}

TEST(Health, HostAndStatusAreAsConfigured) {
  LbRig r([] {
    ServiceConfig v = checked(CheckKind::http);
    v.check.host = "shop.example";
    v.check.status = {503, 503};
    return v;
  }());
  r.world.answer = "HTTP/1.1 503 In Maintenance\r\n\r\n";
  r.run(Duration::ms(100));
  ASSERT_EQ(r.world.accepted.size(), 1U);
  EXPECT_NE(r.world.accepted[0]->got.find("\r\nHost: shop.example\r\n"), std::string::npos);
  EXPECT_EQ(r.count(Count::checks_passed), 1U);
  r.world.answer = "HTTP/1.1 200 OK\r\n\r\n"; // not what is wanted
  r.run(Duration::seconds(2));
  EXPECT_EQ(r.count(Count::checks_failed), 1U);
  EXPECT_EQ(r.count(Count::checks_passed), 1U);
}

TEST(Health, FirstCheckDecidesAtOnce) {
  LbRig r([] {
    ServiceConfig v = checked(CheckKind::tcp);
    v.backends[0].address.port = Port{81};
    return v;
  }());
  r.run(Duration::ms(50));
  EXPECT_FALSE(r.shared.backends.up(0));
  EXPECT_EQ(r.shared.backends.because(0), Because::refused);
}

TEST(Health, CheckFindsAPortBesideLongLivedConnections) {
  LbRig r(LbRig::service());
  for (int i = 0; i < 300; ++i) { // the first ports that this core draws towards the backend
    r.connect();
    r.run(Duration::ms(2));
  }
  ASSERT_EQ(r.count(Count::connected), 300U);
  auto two =
      std::make_shared<Plan>(make_plan({.services = {checked(CheckKind::tcp), checked(CheckKind::tcp)}}));
  two->services[1].serial = 7;
  r.splice.publish(two); // checked from now on, and of two services
  r.run(Duration::ms(100));
  EXPECT_GE(r.count(Count::checks_passed), 2U);
  EXPECT_EQ(r.count(Count::checks_failed), 0U);
}

// Our own want of records or packets tells nothing of a backend.
TEST(Health, ACheckThatCannotBeMadeIsSkipped) {
  LbRig::Settings small;
  small.shard.connections = 4;
  LbRig r(checked(CheckKind::http), small);
  r.world.answer = "HTTP/1.1 200 OK\r\n\r\n";
  r.run(Duration::ms(100));
  ASSERT_EQ(r.count(Count::checks_passed), 1U);
  End& one = r.open().client;
  End& other = r.open().client; // a record for each end of each
  r.run(Duration::seconds(10));
  EXPECT_GE(r.count(Count::checks_skipped), 4U);
  EXPECT_EQ(r.count(Count::checks_failed), 0U);
  EXPECT_TRUE(r.shared.backends.up(0));
  one.c.abort();
  other.c.abort();
  r.run(Duration::seconds(3));
  EXPECT_GE(r.count(Count::checks_passed), 2U);
  EXPECT_EQ(r.count(Count::checks_failed), 0U);
}

TEST(Health, ACheckWhoseRequestFindsNoPacketIsSkipped) {
  LbRig r(checked(CheckKind::http));
  r.world.answer = "HTTP/1.1 200 OK\r\n\r\n";
  r.run(Duration::ms(100));
  ASSERT_EQ(r.count(Count::checks_passed), 1U);
  r.run(Duration::ms(1850));
  std::vector<rte_mbuf*> held; // until only what is for control segments is left
  while (r.balancer.shard.watch.look() != tcp::Scarcity::critical)
    held.push_back(rte_pktmbuf_alloc(r.pool.pool().raw()));
  r.run(Duration::seconds(10));
  EXPECT_GE(r.count(Count::checks_skipped), 4U);
  EXPECT_EQ(r.count(Count::checks_failed), 0U);
  EXPECT_TRUE(r.shared.backends.up(0));
  for (rte_mbuf* m : held) rte_pktmbuf_free(m);
  r.run(Duration::seconds(3));
  EXPECT_GE(r.count(Count::checks_passed), 2U);
  EXPECT_EQ(r.count(Count::checks_failed), 0U);
  r.expect_nothing_left();
}

TEST(Health, TcpCheckLeavesNothingBehind) {
  LbRig r(checked(CheckKind::tcp));
  r.run(Duration::seconds(9));
  EXPECT_EQ(r.count(Count::checks_passed), 5U);
  EXPECT_EQ(r.balancer.shard.time_wait4.streams.size(), 0U);
  EXPECT_EQ(r.around.shard.time_wait4.streams.size(), 0U);
  EXPECT_EQ(r.around.shard.connections.used(), 0U);
  r.expect_nothing_left();
}

TEST(Health, BackendThatAcceptsAndNeverSpeaksIsDown) {
  LbRig r(checked(CheckKind::http));
  r.run(Duration::ms(900));
  EXPECT_TRUE(r.shared.backends.up(0));
  r.run(Duration::ms(200));
  EXPECT_FALSE(r.shared.backends.up(0));
  EXPECT_EQ(r.shared.backends.because(0), Because::silent);
}

TEST(Health, WhatIsNotHttpOrEndsEarlyIsDown) {
  LbRig r(checked(CheckKind::http));
  r.world.answer = "SSH-2.0-OpenSSH_9.2\r\n";
  r.run(Duration::ms(100));
  EXPECT_EQ(r.shared.backends.because(0), Because::not_http);
  r.world.answer = "HTTP/1.1";
  r.run(Duration::seconds(2));
  EXPECT_EQ(r.count(Count::checks_failed), 2U);
}

TEST(Health, ChecksSpeakTheProxyProtocolToo) {
  LbRig r([] {
    ServiceConfig v = checked(CheckKind::http);
    v.send_proxy = ProxyProtocol::v1;
    return v;
  }());
  r.world.answer = "HTTP/1.1 200 OK\r\n\r\n";
  r.run(Duration::ms(100));
  ASSERT_EQ(r.world.accepted.size(), 1U);
  EXPECT_TRUE(r.world.accepted[0]->got.starts_with("PROXY UNKNOWN\r\nGET /health"));
}

TEST(Health, JitterSpreadsChecks) {
  LbRig r([] {
    ServiceConfig v = checked(CheckKind::tcp);
    v.check.jitter = 0.5;
    return v;
  }());
  std::vector<std::int64_t> gaps;
  Instant last = r.now;
  for (std::uint64_t seen = 0; gaps.size() < 20;) {
    r.run(Duration::ms(1));
    if (r.count(Count::checks_passed) == seen) continue;
    seen = r.count(Count::checks_passed);
    gaps.push_back((r.now - last).as_ms());
    last = r.now;
  }
  gaps.erase(gaps.begin());
  const auto [least, most] = std::minmax_element(gaps.begin(), gaps.end());
  EXPECT_GE(*least, 1000);
  EXPECT_LE(*most, 3010);
  EXPECT_GT(*most - *least, 500);
}

TEST(Health, AllDownResetsClientsWithoutTrying) {
  LbRig r([] {
    ServiceConfig v = checked(CheckKind::tcp, 2);
    for (auto& b : v.backends) b.address.port = Port{81};
    return v;
  }());
  r.run(Duration::ms(50));
  End& client = r.connect();
  r.run(Duration::ms(5));
  EXPECT_EQ(client.why, CloseReason::Reset);
  EXPECT_EQ(r.count(Count::connect_tried), 0U);
  EXPECT_EQ(r.count(Count::ended_no_backend), 1U);
}

TEST(Health, BackupServesWhenTheOthersAreDown) {
  LbRig r([] {
    ServiceConfig v = checked(CheckKind::tcp, 3);
    v.backends[0].address.port = v.backends[1].address.port = Port{81};
    v.backends[2].backup = true;
    return v;
  }());
  r.run(Duration::ms(50));
  EXPECT_EQ(r.open().backend.c.local().ip, test::backend_ip(2));
}

TEST(Health, ClientsFailuresTakeABackendOutAndTimeBringsItBack) {
  LbRig r([] {
    ServiceConfig v = checked(CheckKind::none, 2);
    v.backends[0].address.port = Port{81};
    return v;
  }());
  for (int i = 0; i < 12; ++i) r.open();
  EXPECT_FALSE(r.shared.backends.up(0));
  EXPECT_EQ(r.shared.backends.because(0), Because::clients_failed);
  EXPECT_EQ(r.count(Count::connect_refused), 3U); // and then no more
  r.run(Prober::leave_alone, Duration::ms(10));
  EXPECT_TRUE(r.shared.backends.up(0));
  EXPECT_EQ(r.shared.backends.because(0), Because::tried_again);
}

TEST(Health, MaintainedBackendIsNotChecked) {
  LbRig r(checked(CheckKind::tcp, 2));
  r.run(Duration::ms(50));
  r.shared.backends.set_admin(0, Admin::maintain);
  r.run(Duration::seconds(10));
  EXPECT_EQ(r.count(Count::checks_passed), 2U + 5U);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(r.open().backend.c.local().ip, test::backend_ip(1));
}

TEST(Health, PublishedPlanMovesTheChecks) {
  ServiceConfig v = checked(CheckKind::tcp);
  LbRig r(v);
  r.run(Duration::ms(50));
  v.backends[0].address = {test::backend_ip(1), Port{81}};
  auto moved = std::make_shared<Plan>(make_plan({.services = {v}}));
  moved->backends[0].serial = 7; // another, in its slot
  r.splice.publish(moved);
  r.run(Duration::ms(50));
  EXPECT_FALSE(r.shared.backends.up(0));
  r.splice.publish(std::make_shared<Plan>()); // nobody left
  r.run(Duration::seconds(5));
  EXPECT_EQ(r.count(Count::checks_failed), 1U);
}

TEST(Health, ARemovedBackendIsNotChecked) {
  const ServiceConfig v = checked(CheckKind::tcp);
  LbRig r(v);
  r.run(Duration::ms(50));
  ASSERT_EQ(r.count(Count::checks_passed), 1U);
  auto plan = std::make_shared<Plan>(make_plan({.services = {v}}));
  plan->backends[0].gone = true;
  r.splice.publish(plan);
  r.run(Duration::seconds(9));
  EXPECT_EQ(r.count(Count::checks_passed), 1U);
}

TEST(Health, AShorterIntervalIsKeptAtOnce) {
  ServiceConfig v = checked(CheckKind::tcp);
  v.check.interval = Duration::seconds(3600);
  LbRig r(v);
  r.run(Duration::ms(50));
  v.check.interval = Duration::seconds(1);
  r.splice.publish(std::make_shared<Plan>(make_plan({.services = {v}})));
  r.run(Duration::ms(3500));
  EXPECT_EQ(r.count(Count::checks_passed), 4U);
}

TEST(Health, RiseIsAskedOfABackendThatClientsFoundDown) {
  LbRig r([] {
    ServiceConfig v = checked(CheckKind::tcp);
    v.check.rise = 3;
    return v;
  }());
  r.run(Duration::ms(9500)); // many in a row have passed
  for (int i = 0; i < 3; ++i) r.shared.backends.failed(0, 3);
  ASSERT_FALSE(r.shared.backends.up(0));
  r.run(Duration::seconds(4));
  EXPECT_FALSE(r.shared.backends.up(0));
  r.run(Duration::seconds(2));
  EXPECT_TRUE(r.shared.backends.up(0));
}

TEST(Health, TheFirstCheckAfterMaintenanceDecides) {
  ServiceConfig v = checked(CheckKind::tcp);
  LbRig r(v);
  r.run(Duration::ms(50));
  r.shared.backends.set_admin(0, Admin::maintain);
  r.run(Duration::seconds(5));
  r.around.shard.listeners.close_all(); // its port is refused now
  r.shared.backends.set_admin(0, Admin::ready);
  r.run(Duration::ms(100));
  EXPECT_FALSE(r.shared.backends.up(0));
}

TEST(Health, NoAnswerWhilePacketsAreScarceTellsNothing) {
  LbRig r(checked(CheckKind::http)); // it accepts, and says nothing
  r.run(Duration::ms(20));
  ASSERT_EQ(r.world.accepted.size(), 1U);
  EXPECT_TRUE(r.world.accepted[0]->got.starts_with("GET ")); // it was asked
  std::vector<rte_mbuf*> held;
  while (r.balancer.shard.watch.look() < tcp::Scarcity::critical)
    held.push_back(rte_pktmbuf_alloc(r.pool.pool().raw()));
  r.run(Duration::ms(20));
  for (rte_mbuf* m : held) rte_pktmbuf_free(m);
  r.run(Duration::ms(1200));
  EXPECT_EQ(r.count(Count::checks_failed), 0U);
  EXPECT_TRUE(r.shared.backends.up(0));
  r.run(Duration::seconds(4));
  EXPECT_FALSE(r.shared.backends.up(0)); // nothing is scarce now
}

// Who is told to stop has no check to wait for.
TEST(Health, ADrainEndsTheChecksThatAreUnderWay) {
  LbRig r(checked(CheckKind::http, 4)); // they accept, and never answer
  r.run(Duration::ms(100));
  ASSERT_EQ(r.balancer.shard.connections.used(), 4U);
  r.splice.on_drain();
  r.run(Duration::ms(10));
  EXPECT_EQ(r.balancer.shard.connections.used(), 0U);
}

TEST(Health, ABackendThatNothingLeadsToIsDown) {
  LbRig r([] {
    ServiceConfig v = checked(CheckKind::none);
    v.backends[0].address.ip = Ip{Ip4{192, 0, 2, 1}};
    return v;
  }());
  for (int i = 0; i < 4; ++i) {
    r.connect();
    r.run(Duration::ms(5));
  }
  EXPECT_GE(r.count(Count::connect_no_route), 3U);
  EXPECT_GE(r.splice.slot_counts(0).failed, 3U);
  EXPECT_FALSE(r.shared.backends.up(0));
  EXPECT_EQ(r.shared.backends.because(0), Because::unreachable);
}

// Slot and address may come again: it is another backend all the same, and what was counted was not its own.
TEST(Health, ABackendThatGetsTheSlotOfAnotherBeginsAtNought) {
  const ServiceConfig v = checked(CheckKind::none);
  LbRig r(v);
  r.open();
  ASSERT_EQ(r.splice.slot_counts(0).tried, 1U);
  ASSERT_EQ(r.splice.slot_counts(0).connected, 1U);
  const auto plan = std::make_shared<Plan>(make_plan({.services = {v}}));
  r.splice.publish(plan); // the same
  EXPECT_EQ(r.splice.slot_counts(0).tried, 1U);
  const auto with_another = std::make_shared<Plan>(*plan);
  with_another->backends[0].serial = 7;
  r.splice.publish(with_another);
  EXPECT_EQ(r.splice.slot_counts(0).tried, 0U);
  EXPECT_EQ(r.splice.slot_counts(0).connected, 0U);
}

} // namespace lb_health_test
} // namespace tern::app::lb
