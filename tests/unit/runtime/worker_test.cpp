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

} // namespace
} // namespace tern
