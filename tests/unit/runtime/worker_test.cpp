// One core's loop on its thread: what it does beside the Core's turns.
#include "runtime/worker.hpp"

#include <gtest/gtest.h>

#include <chrono>

#include "support/lone_core.hpp"

namespace tern {
namespace worker_test {

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

// Millions that are late are not walked in one turn, nor all of them in each.
TEST(Worker, AbortsSomeThousandsATurn) {
  test::TestPool pool{8191};
  test::WirePort port{pool.pool()};
  const net::Interface self{{.mac = test::WirePort::our_mac, .addresses = {{Ip{Ip4{192, 0, 2, 1}}, 24}}}};
  Mute mute;
  Worker<test::WirePort, Mute> worker(port, 0, self, net::Routes{}, pool.pool(), {.idle = IdlePolicy::Busy},
                                      mute);
  for (std::uint16_t i = 0; i < 5000; ++i)
    ASSERT_EQ(worker.core()
                  .connect(FlowKey4{Ip4{198, 51, 100, 1}, Ip4{192, 0, 2, 1}, Be16{80},
                                    Be16{static_cast<std::uint16_t>(1024 + i)}})
                  .error,
              ConnectError::none);
  (void)worker.turn();
  worker.begin_drain();
  worker.abort_some();
  (void)worker.turn();
  EXPECT_EQ(worker.shard().connections.used(), 5000U - 4096);
  worker.abort_some();
  (void)worker.turn();
  EXPECT_TRUE(worker.drained());
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

// One who waits for packets that others hold does not keep the core awake, and is told in time.
TEST(Worker, SleepsWhileSomebodyWaitsForPackets) {
  struct Waiting {
    void on_writable(Connection) { told = true; }
    bool told = false;
  } waiting;
  test::TestPool pool{511};
  test::WirePort port{pool.pool()};
  const Ip4 ip{192, 0, 2, 1};
  const net::Interface self{{.mac = test::WirePort::our_mac, .addresses = {{Ip{ip}, 24}}}};
  Worker<test::WirePort, Waiting> worker(port, 0, self, net::Routes{}, pool.pool(), {}, waiting);
  const auto turn_until = [&](auto&& seen) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!seen() && std::chrono::steady_clock::now() < end) (void)worker.turn();
    return seen();
  };
  (void)worker.turn();
  const FlowKey4 key{Ip4{192, 0, 2, 9}, ip, Be16{80}, Be16{5000}};
  Connection ours = worker.core().connect(key).connection;
  ASSERT_TRUE(turn_until([&] { return !port.sent.empty(); }));
  wire::Tcp h;
  h.flags = wire::tcp_flag::syn | wire::tcp_flag::ack;
  h.ack = port.sent.back().h.seq + 1;
  h.window = 500;
  port.in.push_back(
      test::forge(pool.pool(), test::WirePort::our_mac, test::WirePort::router_mac, key, h).release());
  ASSERT_TRUE(turn_until([&] { return ours.state() == tcp::State::Established; }));
  std::vector<Packet> taken;
  while (Packet p = pool.pool().alloc()) taken.push_back(std::move(p));
  ASSERT_TRUE(turn_until([&] { return worker.shard().env.scarcity == tcp::Scarcity::last; }));
  EXPECT_EQ(ours.send("text"), 0U);
  ASSERT_TRUE(turn_until([&] { return worker.shard().dirty_count == 1; }));
  const auto sleeps = [&] { return worker.shard().counters.get(CoreCounter::sleeps); };
  const std::uint64_t before = sleeps();
  EXPECT_TRUE(turn_until([&] { return sleeps() >= before + 10; }));
  EXPECT_FALSE(waiting.told);
  taken.clear();
  EXPECT_TRUE(turn_until([&] { return waiting.told; }));
}

} // namespace worker_test
} // namespace tern
