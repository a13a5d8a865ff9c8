// One core's loop on its thread: what it does beside the Core's turns.
#include "runtime/worker.hpp"

#include <gtest/gtest.h>

#include <chrono>

#include "support/lone_core.hpp"

namespace tern {
namespace {

struct Mute {};

// A flood that lasts for hours meets keys of the hour: at the loop's first turn, and when it has long been running.
TEST(Worker, TurnsToTheCookiesOfTheTimeOfDay) {
  test::TestPool pool{511};
  test::WirePort port{pool.pool()};
  const net::Interface self{{.mac = test::WirePort::our_mac, .addresses = {{Ip{Ip4{192, 0, 2, 1}}, 24}}}};
  Mute mute;
  Worker<test::WirePort, Mute> worker(port, 0, self, net::Routes{}, pool.pool(), {.idle = IdlePolicy::Busy},
                                      mute);
  tcp::CookieJar& jar = worker.shard().gate.jar;
  for (std::uint32_t once = 0; once < 2; ++once) {
    jar.turn_to(once);
    const std::uint32_t least = cookie_epoch_now();
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (jar.epoch() == once && std::chrono::steady_clock::now() < end) (void)worker.turn();
    EXPECT_GE(jar.epoch(), least);
    EXPECT_LE(jar.epoch(), cookie_epoch_now());
  }
}

// Another thread reads how many connections there are: what it sees is no older than a turn of the next millisecond, and
// right while the worker sleeps.
TEST(Worker, ShowsItsConnectionsToAnyThread) {
  for (const IdlePolicy idle : {IdlePolicy::Busy, IdlePolicy::Adaptive}) {
    test::TestPool pool{511};
    test::WirePort port{pool.pool()};
    const net::Interface self{{.mac = test::WirePort::our_mac, .addresses = {{Ip{Ip4{192, 0, 2, 1}}, 24}}}};
    Mute mute;
    Worker<test::WirePort, Mute> worker(port, 0, self, net::Routes{}, pool.pool(), {.idle = idle}, mute);
    const auto turn_until = [&](auto&& seen) {
      const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
      while (!seen() && std::chrono::steady_clock::now() < end) (void)worker.turn();
    };
    const Gauges& g = worker.gauges();
    ConnectionRecord* const r = worker.shard().connections.take();
    EXPECT_EQ(g.live.load(), 0U);
    turn_until([&] { return g.live.load() != 0; });
    EXPECT_EQ(g.live.load(), 1U);
    if (idle == IdlePolicy::Adaptive) {
      const auto slept = [&] { return worker.shard().counters.get(CoreCounter::sleeps); };
      const std::uint64_t before = slept();
      worker.shard().connections.give_back(*r);
      turn_until([&] { return slept() != before; });
    } else {
      worker.shard().connections.give_back(*r);
      turn_until([&] { return g.live.load() == 0; });
    }
    EXPECT_EQ(g.live.load(), 0U);
    EXPECT_EQ(g.live_peak.load(), 1U);
  }
}

} // namespace
} // namespace tern
