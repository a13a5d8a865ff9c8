#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "app/lb/choose/slow_start.hpp"
#include "app/lb/control/planner.hpp"
#include "runtime/listener.hpp"

namespace tern::app::lb {
namespace lb_planner_test {

constexpr Instant start = Instant::at_ns(1'000'000'000'000);
Instant after(Duration d) {
  return start + d;
}

BackendConfig backend(const std::string& name, std::uint8_t host, std::uint32_t weight = 1) {
  BackendConfig b;
  b.name = name;
  b.address = {Ip4{10, 0, 0, host}, Port{80}};
  b.weight = weight;
  return b;
}

ServiceConfig service(const std::string& name, std::uint16_t port, std::vector<BackendConfig> backends) {
  ServiceConfig s;
  s.name = name;
  s.listen = {{Ip4{10, 0, 0, 2}, Port{port}, Port{port}}};
  s.balance = Balance::weighted_round_robin;
  s.backends = std::move(backends);
  return s;
}

LbConfig config(std::vector<ServiceConfig> services) {
  LbConfig c;
  c.services = std::move(services);
  return c;
}

std::map<Slot, std::size_t> shares(const Chooser& c) {
  std::map<Slot, std::size_t> all;
  for (const Slot s : c.table()) ++all[s];
  return all;
}

const LbConfig two = config({service("web", 80, {backend("a", 11), backend("b", 12)})});

TEST(Planner, FreshPlanIsAsWritten) {
  const Planner p(two, start);
  const auto plan = p.make(start);
  ASSERT_EQ(plan->services.size(), 1U);
  EXPECT_EQ(plan->backends.size(), 2U);
  EXPECT_EQ(plan->backends[1].config.name, "b");
  EXPECT_EQ(plan->service_of_listener, std::vector<std::uint16_t>{0});
  EXPECT_EQ(plan->listeners.at(0).settings.first, Port{80});
  EXPECT_EQ(shares(plan->services[0].primary), (std::map<Slot, std::size_t>{{0, 1}, {1, 1}}));
  EXPECT_EQ(p.name_of(1), "web/b");
}

TEST(Planner, SeedIsTheChoosers) {
  LbConfig c = two;
  c.services[0].balance = Balance::source_hash;
  const auto plan = Planner(c, start).make(start);
  c.services[0].seed = 7;
  const auto other = Planner(c, start).make(start);
  EXPECT_FALSE(std::ranges::equal(plan->services[0].primary.table(), other->services[0].primary.table()));
  EXPECT_NE(plan->services[0].key, other->services[0].key); // clients are hashed by it too
}

TEST(Planner, ReloadOfTheSameChangesNothing) {
  Planner p(two, start);
  EXPECT_TRUE(p.reload(two, start).empty());
}

TEST(Planner, ReloadKeepsTheNumbersOfWhatStays) {
  Planner p(two, start);
  const auto told = p.reload(config({service("db", 5432, {backend("x", 20)}),
                                     service("web", 80, {backend("c", 13), backend("b", 12, 7)})}),
                             after(Duration::seconds(5)));
  EXPECT_EQ(told,
            (std::vector<std::string>{"service db: added", "backend db/x: added", "backend web/a: removed",
                                      "backend web/c: added", "backend web/b: weight 1 -> 7"}));
  EXPECT_EQ(p.find("web", "b"), Slot{1});
  EXPECT_EQ(p.find_service("web"), 0);
  EXPECT_EQ(p.find_service("db"), 1);
  EXPECT_FALSE(p.find("web", "a"));
  const auto plan = p.make(after(Duration::seconds(5)));
  EXPECT_EQ(plan->backends[0].config.name, "a"); // its connections still ask for it
  EXPECT_EQ(plan->backends[0].service, 0);
  EXPECT_FALSE(shares(plan->services[0].primary).contains(0));
  EXPECT_EQ(shares(plan->services[0].primary).at(1), 7U);
}

TEST(Planner, SlotIsGivenAgainOnlyOnceItIsFree) {
  Planner p(two, start);
  const std::uint32_t serial = p.make(start)->backends[0].serial;
  (void)p.reload(config({service("web", 80, {backend("b", 12)})}), start);
  ASSERT_FALSE(p.add("web", backend("c", 13), start));
  EXPECT_EQ(p.find("web", "c"), Slot{2});
  p.free_slot(0);
  ASSERT_FALSE(p.add("web", backend("d", 14), start));
  EXPECT_EQ(p.find("web", "d"), Slot{0});
  EXPECT_NE(p.make(start)->backends[0].serial, serial); // it is another's, whatever its address
  p.free_slot(0);                                       // of one that is in use: nothing happens
  EXPECT_EQ(p.find("web", "d"), Slot{0});
}

TEST(Planner, SameNameAtAnotherAddressIsAnotherBackend) {
  Planner p(two, start);
  const auto told = p.reload(config({service("web", 80, {backend("a", 99), backend("b", 12)})}), start);
  EXPECT_EQ(told.front(), "backend web/a: moved to 10.0.0.99:80");
  EXPECT_EQ(p.find("web", "a"), Slot{2});
  EXPECT_TRUE(p.backends()[0].gone);
}

TEST(Planner, ListenersCloseAndOpenAndPassFromOneServiceToAnother) {
  Planner p(two, start);
  LbConfig moved = two;
  moved.services[0].listen = {{Ip4{10, 0, 0, 2}, Port{81}, Port{81}}};
  moved.services.push_back(service("new", 80, {backend("n", 30)}));
  (void)p.reload(moved, start);
  auto plan = p.make(start);
  ASSERT_EQ(plan->listeners.size(), 3U);
  EXPECT_TRUE(plan->listeners[0].closed); // web's :80, which still has connections
  EXPECT_EQ(plan->service_of_listener[0], 0);
  EXPECT_FALSE(plan->listeners[1].closed);
  EXPECT_EQ(plan->service_of_listener[2], 1);
  (void)p.reload(two, start);
  plan = p.make(start);
  EXPECT_EQ(plan->listeners.size(), 3U);
  EXPECT_FALSE(plan->listeners[0].closed); // its own again
  EXPECT_TRUE(plan->listeners[1].closed && plan->listeners[2].closed);
}

TEST(Planner, RemovedServiceComesBackUnderAnotherNumber) {
  Planner p(two, start);
  (void)p.reload(config({service("db", 5432, {backend("x", 20)})}), start);
  EXPECT_TRUE(p.services()[0].gone);
  (void)p.reload(two, start);
  EXPECT_EQ(p.find_service("web"), 2); // 0 may still be named by connections
  const auto plan = p.make(start);
  EXPECT_TRUE(plan->services[0].primary.empty());
  EXPECT_EQ(plan->services[0].config.name, "web"); // its timeouts hold for what is left
}

TEST(Planner, NumbersOfWhatIsGoneAreGivenAgain) {
  Planner p(two, start);
  for (std::uint16_t i = 0; i < 2000; ++i) {
    // Another service on another port each time, and nothing is left of the one before.
    const auto port = static_cast<std::uint16_t>(1000 + i);
    const auto told = p.reload(config({service("s" + std::to_string(i), port, {backend("a", 11)})}), start);
    ASSERT_EQ(told.size(), 3U) << told.back(); // one removed, one added, its backend added
    ASSERT_TRUE(p.retiring());
    for (std::size_t s = 0; s < p.backends().size(); ++s) p.free_slot(static_cast<Slot>(s));
    for (std::size_t l = 0; l < p.listeners().size(); ++l) p.free_listener(l);
    for (std::uint16_t n = 0; n < p.services().size(); ++n) p.free_service(n);
    ASSERT_FALSE(p.retiring());
  }
  EXPECT_LE(p.services().size(), 2U);
  EXPECT_LE(p.listeners().size(), 2U);
  EXPECT_LE(p.backends().size(), 4U);
}

TEST(Planner, NumbersOfWhatHasConnectionsAreNot) {
  Planner p(two, start);
  (void)p.reload(config({service("db", 5432, {backend("x", 20)})}), start);
  const std::uint32_t serial = p.services()[0].serial;
  p.free_service(0); // a slot and a listener of it are still there
  EXPECT_FALSE(p.services()[0].free);
  p.free_slot(0), p.free_slot(1), p.free_listener(0);
  EXPECT_FALSE(p.services()[0].free);
  p.free_service(0);
  p.free_service(1); // in use: nothing happens
  (void)p.reload(config({service("db", 5432, {backend("x", 20)}), service("new", 80, {backend("y", 21)})}),
                 start);
  EXPECT_EQ(p.find_service("new"), 0);
  EXPECT_NE(p.services()[0].serial, serial);
  EXPECT_EQ(p.find_service("db"), 1);
}

TEST(Planner, PlacesToListenOnThatRunOutAreTold) {
  Planner p(two, start);
  std::vector<std::string> told;
  for (std::uint16_t port = 1; port <= Listeners::most + 1; ++port) // nobody frees them: connections are left
    told = p.reload(config({service("web", port, {backend("a", 11), backend("b", 12)})}), start);
  EXPECT_EQ(told.back(),
            "service web: does not listen on 10.0.0.2:255, 254 places are in use or have connections left");
}

TEST(Planner, CommandsSayWhatIsWrong) {
  Planner p(two, start);
  EXPECT_EQ(p.add("wbe", backend("c", 13), start),
            "there is no service 'wbe'; tern ctl show services lists them");
  EXPECT_EQ(p.add("web", backend("a", 13), start), "web/a is there already");
  EXPECT_EQ(p.add("web", backend("c", 11), start), "10.0.0.11:80 is already web/a; give it more weight");
  EXPECT_EQ(p.remove("web", "z", start), "there is no backend 'web/z'");
  EXPECT_EQ(p.set_weight(0, 1001), "1001 is too large; give 0 to 1000");
}

TEST(Planner, ReloadMakesWeightsAndBackendsWhatTheFileSays) {
  Planner p(two, start);
  ASSERT_FALSE(p.set_weight(0, 9));
  ASSERT_FALSE(p.add("web", backend("c", 13), start));
  EXPECT_EQ(p.reload(two, start),
            (std::vector<std::string>{"backend web/c: removed", "backend web/a: weight 9 -> 1"}));
}

TEST(Planner, NobodyIsColdAtTheStart) {
  LbConfig slow = two;
  slow.services[0].slow_start = Duration::seconds(10);
  const Planner p(slow, start);
  EXPECT_EQ(shares(p.make(start)->services[0].primary), (std::map<Slot, std::size_t>{{0, 1}, {1, 1}}));
  EXPECT_FALSE(p.next_step(start));
}

TEST(Planner, BackendThatComesUpGrows) {
  LbConfig slow = two;
  slow.services[0].slow_start = Duration::seconds(10);
  Planner p(slow, start);
  p.went_down(0, start);
  // Planned as it will begin, so that it is cold from its first connection on.
  EXPECT_EQ(shares(p.make(after(Duration::seconds(60)))->services[0].primary),
            (std::map<Slot, std::size_t>{{0, 1}, {1, 10}}));
  const Instant up = after(Duration::seconds(100));
  p.went_up(0, up);
  int steps = 0;
  std::optional<Instant> next = p.next_step(up);
  while (next) {
    ++steps;
    ASSERT_LE(steps, 10);
    auto part = shares(p.make(*next)->services[0].primary);
    EXPECT_NEAR(static_cast<double>(part[0]) / static_cast<double>(part[1]),
                std::min(1.0, (steps + 1) / 10.0), 0.001);
    next = p.next_step(Instant{*next});
  }
  EXPECT_EQ(steps, 10);
}

TEST(Planner, SlowStartIsForRoundRobinToo) {
  LbConfig slow = two;
  slow.services[0].slow_start = Duration::seconds(10);
  slow.services[0].balance = Balance::round_robin;
  slow.services[0].backends[0].weight = 7; // which is set aside
  Planner p(slow, start);
  p.went_down(1, start);
  p.went_up(1, start);
  EXPECT_EQ(shares(p.make(after(Duration::ms(1)))->services[0].primary),
            (std::map<Slot, std::size_t>{{0, 10}, {1, 1}}));
  EXPECT_EQ(shares(p.make(after(Duration::seconds(11)))->services[0].primary),
            (std::map<Slot, std::size_t>{{0, 1}, {1, 1}}));
}

TEST(Planner, WhatIsRemovedIsGoneInThePlan) {
  Planner p(two, start);
  EXPECT_EQ(p.remove("web", "a", start), std::nullopt);
  EXPECT_TRUE(p.make(start)->backends[0].gone);
  EXPECT_FALSE(p.make(start)->backends[1].gone);
}

TEST(Planner, AddedBackendStartsSlowly) {
  LbConfig slow = two;
  slow.services[0].slow_start = Duration::seconds(10);
  Planner p(slow, start);
  ASSERT_FALSE(p.add("web", backend("c", 13), start));
  EXPECT_EQ(shares(p.make(start)->services[0].primary),
            (std::map<Slot, std::size_t>{{0, 10}, {1, 10}, {2, 1}}));
}

TEST(Planner, BackupsStandApart) {
  LbConfig c = two;
  c.services[0].backends[1].backup = true;
  const auto plan = Planner(c, start).make(start);
  EXPECT_EQ(shares(plan->services[0].primary), (std::map<Slot, std::size_t>{{0, 1}}));
  EXPECT_EQ(shares(plan->services[0].backup), (std::map<Slot, std::size_t>{{1, 1}}));
}

} // namespace lb_planner_test
} // namespace tern::app::lb
