// Several cores on a port: no connection is ever served by two, whoever spreads the packets.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <set>
#include <string>
#include <thread>

#include "base/endian.hpp"
#include "runtime/ask.hpp"
#include "runtime/clock.hpp"
#include "support/core_grid.hpp"
#include "wire/checksum.hpp"

namespace tern {
namespace cores_test {

struct Client {
  void on_start(CoreHandle& c) { core = &c; }
  void on_connected(Connection c) { c.send(StaticBytes{std::string_view{"GET"}}); }
  void on_data(Connection c, Payload& p) {
    answered += p.size() == 3;
    p.drop_all();
    c.close();
  }
  void on_closed(Connection, CloseReason r) { ++(r == CloseReason::Done ? done : failed); }
  void open(const Endpoint& to, int n) {
    for (int i = 0; i < n; ++i) errors += core->connect(to) ? 0 : 1;
  }
  CoreHandle* core = nullptr;
  int errors = 0;
  int answered = 0;
  int done = 0;
  int failed = 0;
};

struct Server {
  void on_accept(Connection c) {
    ++accepted;
    peers.insert(c.remote().to_string());
  }
  void on_data(Connection c, Payload& p) {
    unexpected += peers.contains(c.remote().to_string()) ? 0 : 1;
    p.drop_all();
    c.send(StaticBytes{std::string_view{"200"}});
  }
  std::set<std::string> peers; // that this core served
  int accepted = 0;
  int unexpected = 0;
};

using Grid = test::CoreGrid<Client, Server>;

struct Case {
  const char* name;
  test::GridSettings grid;
  bool hands_off;
};

void PrintTo(const Case& c, std::ostream* to) {
  *to << c.name;
}

class Cores : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(
    Spread, Cores,
    testing::Values(Case{"ByTheNic", {.cores = 2, .queues = 2}, false},
                    Case{"BySoftware", {.cores = 2, .queues = 2, .rss = io::Offload::never}, true},
                    Case{"ByOneQueue", {.cores = 2, .queues = 1}, true},
                    Case{"ByTwoQueuesForThree", {.cores = 3, .queues = 2}, true},
                    Case{"NotAtAll", {.cores = 1, .queues = 1}, false}),
    [](const auto& c) { return std::string{c.param.name}; });

TEST_P(Cores, NoConnectionIsServedByTwo) {
  Grid g(GetParam().grid);
  g.listen();
  g.settle();
  constexpr int each = 300;
  for (const int n : {1, each - 1}) { // the first finds the way: only four packets wait for a neighbour
    for (auto& c : g.client.all) {
      c->handler.open({Grid::ip4(2), Port{80}}, n);
      c->handler.open({Grid::ip6(2), Port{80}}, n);
    }
    g.run(Duration::ms(200));
  }
  std::set<std::string> all;
  int accepted = 0;
  for (auto& c : g.client.all) {
    EXPECT_EQ(c->handler.errors, 0);
    EXPECT_EQ(c->handler.answered, 2 * each);
    EXPECT_EQ(c->handler.done, 2 * each);
    EXPECT_EQ(c->handler.failed, 0);
    EXPECT_EQ(c->shard.connections.used(), 0U);
  }
  for (auto& c : g.server.all) {
    EXPECT_GT(c->handler.accepted, each);
    EXPECT_EQ(c->handler.unexpected, 0);
    accepted += c->handler.accepted;
    for (const auto& peer : c->handler.peers) EXPECT_TRUE(all.insert(peer).second) << peer;
  }
  EXPECT_EQ(accepted, 2 * each * static_cast<int>(g.client.size()));
  for (const CoreCounter c : {CoreCounter::drop_no_listener, CoreCounter::closed_reset})
    EXPECT_EQ(g.client.sum(c) + g.server.sum(c), 0U) << name_of(c);
  const auto handed = g.server.sum(io::SteerCounter::steer_handoff);
  if (GetParam().hands_off)
    EXPECT_GT(handed, static_cast<std::uint64_t>(accepted)); // of some four packets each way
  else
    EXPECT_EQ(handed, 0U);
  EXPECT_EQ(g.server.sum(io::SteerCounter::steer_received), handed);
  EXPECT_EQ(g.server.sum(io::SteerCounter::steer_ring_full), 0U);
}

// The answer to a core's solicitation comes to another core: it is told. A second of waiting would be another
// solicitation's.
TEST_P(Cores, EveryCoreHearsOfNeighboursAtOnce) {
  Grid g(GetParam().grid);
  g.listen();
  g.settle();
  for (auto& c : g.client.all) {
    c->handler.open({Grid::ip4(2), Port{80}}, 1);
    c->handler.open({Grid::ip6(2), Port{80}}, 1);
  }
  g.run(Duration::ms(20));
  for (auto& c : g.client.all) EXPECT_EQ(c->handler.done, 2);
  // And only one core answers: as many answers leave as solicitations came.
  std::uint64_t asked = 0;
  std::uint64_t answered = 0;
  for (auto& c : g.client.all) asked += c->network.counters().get(net::NetCounter::arp_requests_out);
  for (auto& c : g.server.all) answered += c->network.counters().get(net::NetCounter::arp_replies_out);
  EXPECT_EQ(answered, asked);
  EXPECT_EQ(asked, g.client.size());
}

// A frame as a router near the client sends it: `what` never arrived.
Packet unreachable(const PacketPool& pool, const io::MacBytes& to, const Endpoint& from,
                   const Endpoint& remote) {
  std::array<std::byte, 14 + 20 + 8 + 28> f{};
  std::memcpy(f.data(), &to, 6);
  store_be<std::uint16_t>(f.data() + 12, 0x0800);
  const auto ip = [&](std::byte* b, std::uint16_t length, std::uint8_t protocol, Ip4 src, Ip4 dst) {
    b[0] = std::byte{0x45};
    store_be<std::uint16_t>(b + 2, length);
    b[8] = std::byte{64};
    b[9] = std::byte{protocol};
    store_be<std::uint32_t>(b + 12, src.host());
    store_be<std::uint32_t>(b + 16, dst.host());
    const Be16 sum = wire::finish(wire::sum_bytes({b, 20}));
    std::memcpy(b + 10, &sum, 2);
  };
  ip(f.data() + 14, 56, 1, Ip4{10, 0, 0, 99}, from.ip.v4());
  std::byte* icmp = f.data() + 34;
  icmp[0] = std::byte{3};
  icmp[1] = std::byte{1};
  ip(icmp + 8, 40, 6, from.ip.v4(), remote.ip.v4());
  store_be<std::uint16_t>(icmp + 28, from.port.raw());
  store_be<std::uint16_t>(icmp + 30, remote.port.raw());
  const Be16 sum = wire::finish(wire::sum_bytes({icmp, 36}));
  std::memcpy(icmp + 2, &sum, 2);
  Packet p = pool.alloc();
  std::memcpy(p.append(static_cast<std::uint16_t>(f.size())), f.data(), f.size());
  return p;
}

TEST_P(Cores, AnIcmpErrorIsHeardByTheCoreWhoseConnectionItSpeaksOf) {
  Grid g(GetParam().grid);
  g.listen();
  g.settle();
  std::vector<std::uint64_t> expected(g.server.size());
  for (std::uint16_t port = 3000; port < 3100; ++port) {
    const Endpoint from{Grid::ip4(2), Port{80}};
    const Endpoint remote{Grid::ip4(1), Port{port}};
    ++expected[g.server.steering.owner(remote.ip, from.ip, remote.port, from.port)];
    rte_mbuf* m = unreachable(g.pool.pool(), g.server.self.mac(), from, remote).release();
    g.pair.a().tx_burst(0, &m, 1);
    g.settle();
  }
  for (std::size_t c = 0; c < g.server.size(); ++c)
    EXPECT_EQ(g.server[c].network.counters().get(net::NetCounter::icmp_errors_in), expected[c]) << c;
}

TEST(CoresHandOff, ALossInAFullRingIsMendedByTcp) {
  Grid g({.cores = 2, .queues = 1, .ring = 16});
  g.listen();
  g.settle();
  g.client[0].handler.open({Grid::ip4(2), Port{80}}, 1);
  g.run(Duration::ms(20));
  for (auto& c : g.client.all) c->handler.open({Grid::ip4(2), Port{80}}, 200);
  g.run(Duration::seconds(60), Duration::ms(10));
  EXPECT_GT(g.server.sum(io::SteerCounter::steer_ring_full), 0U);
  EXPECT_EQ(g.client[0].handler.done, 201);
  EXPECT_EQ(g.client[1].handler.done, 200);
}

TEST(CoresMailbox, ACoreReachesAnother) {
  Grid g({});
  g.settle();
  CoreHandle* seen = nullptr;
  CoreHandle& zero = g.client[0].core.handle();
  ASSERT_EQ(zero.count(), 2U);
  ASSERT_TRUE(zero.peer(1).post([&](CoreHandle& c) { seen = &c; }));
  g.settle();
  EXPECT_EQ(seen, &g.client[1].core.handle());
  EXPECT_EQ(seen->id(), 1);
}

TEST(CoresMailbox, AThreadAsksAndIsAnsweredUntilTheCoreEnds) {
  Grid g({.cores = 1, .queues = 1});
  CoreHandle& core = g.client[0].core.handle();
  std::atomic<bool> over{false};
  std::thread thread([&] {
    while (!over.load()) {
      g.client[0].core.poll(g.now);
      std::this_thread::yield();
    }
    core.close_mail();
  });
  EXPECT_EQ(ask(core, [](CoreHandle& c) { return c.shard().connections.used() + 41; }), 41U);
  bool ran = false;
  EXPECT_EQ(ask(core, [&](CoreHandle&) { ran = true; }), true);
  EXPECT_TRUE(ran);
  over = true;
  thread.join();
  EXPECT_EQ(ask(core, [](CoreHandle&) { return 1; }), std::nullopt);
}

// Each core a thread, real time: what a sanitizer for races looks at.
TEST(CoresThreads, EachOnItsOwn) {
  for (const auto& grid :
       {test::GridSettings{.cores = 2, .queues = 2, .rss = io::Offload::never},
        test::GridSettings{.cores = 2, .queues = 2}, test::GridSettings{.cores = 2, .queues = 1}}) {
    Grid g(grid);
    g.listen();
    constexpr int each = 100;
    std::atomic<int> undone{2};
    std::vector<std::thread> threads;
    const TscClock clock;
    const Instant begin = clock.now();
    const auto turn = [&](auto& one) {
      const Instant now = g.now + (clock.now() - begin);
      if (!one.core.poll(now)) std::this_thread::yield();
      return now;
    };
    for (auto& s : g.server.all)
      threads.emplace_back([&, one = s.get()] {
        while (undone.load() != 0) turn(*one);
      });
    for (auto& c : g.client.all)
      threads.emplace_back([&, one = c.get()] {
        turn(*one);
        one->handler.open({Grid::ip4(2), Port{80}}, each);
        bool told = false;
        while (undone.load() != 0) {
          const Instant now = turn(*one);
          if (told || (one->handler.done + one->handler.failed < each && now < g.now + Duration::seconds(30)))
            continue;
          told = true;
          --undone;
        }
      });
    for (auto& t : threads) t.join();
    for (auto& c : g.client.all) EXPECT_EQ(c->handler.done, each);
  }
}

} // namespace cores_test
} // namespace tern
