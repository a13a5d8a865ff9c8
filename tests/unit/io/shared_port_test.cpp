// Several cores on one port: each receives what it owns and nothing else.
#include "io/shared_port.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "frames.hpp"
#include "io/memory_pair.hpp"
#include "support/eal.hpp"

namespace tern::io {
namespace shared_port_test {

using namespace test;
using tern::test::TestPool;

const std::vector<std::uint8_t> key = [] {
  std::vector<std::uint8_t> k(40);
  for (std::size_t i = 0; i < k.size(); ++i) k[i] = static_cast<std::uint8_t>(i * 73 + 5);
  return k;
}();
Way way(std::uint32_t i) {
  return {Ip{Ip4{10, 0, 0, 9}}, Ip{Ip4{10, 0, 0, 1}}, static_cast<std::uint16_t>(1024 + i), 80};
}
std::uint16_t source_port(const rte_mbuf* m) {
  return load_be<std::uint16_t>(rte_pktmbuf_mtod_offset(m, const std::byte*, 34));
}

struct Rig {
  Rig(CoreId cores, std::uint16_t queues, Offload rss, std::uint32_t ring = 1024, unsigned packets = 4095)
      : pool(packets),
        pair({.queues = queues, .rss = rss}),
        steering(pair.b().plan().rss == Where::hardware && queues == cores
                     ? Steering::by_port(pair.b().rss(), cores)
                     : Steering::by_software(key, cores)),
        port(pair.b(), steering, ring) {}

  void send(std::uint32_t i, QueueId queue = 0) {
    rte_mbuf* m = tcp_frame(pool.pool(), way(i)).release();
    pair.a().tx_burst(queue, &m, 1);
  }
  CoreId owner(std::uint16_t source) const {
    const Way w = way(source - 1024U);
    return steering.owner(w.src.v4(), w.dst.v4(), test::Port{w.src_port}, test::Port{w.dst_port});
  }
  // What a core receives in one poll, every other time ahead of time.
  std::vector<std::uint16_t> poll(CoreId core) {
    rte_mbuf* m[burst_size];
    ahead = !ahead;
    const std::uint16_t n = ahead ? port.rx_ahead(core, m, burst_size) : port.rx_burst(core, m, burst_size);
    std::vector<std::uint16_t> got;
    for (std::uint16_t i = 0; i < n; ++i) {
      if (ahead) port.rx_comes(m[i]);
      got.push_back(source_port(m[i]));
    }
    if (n != 0) rte_pktmbuf_free_bulk(m, n);
    return got;
  }
  std::uint64_t count(CoreId core, SteerCounter c) const { return port.steered(core).get(c); }

  TestPool pool;
  MemoryPair pair;
  Steering steering;
  SharedPort<MemoryPort> port;
  bool ahead = false;
};

TEST(SharedPort, WithoutRssEachCoreGetsWhatItOwnsAndHandOffsAreCounted) {
  Rig rig(2, 2, Offload::never);
  std::set<std::uint16_t> seen;
  for (std::uint32_t i = 0; i < 500; ++i) {
    rig.send(i, static_cast<QueueId>(i % 2)); // the queue says nothing about the owner
    for (CoreId c : {CoreId{0}, CoreId{1}, CoreId{0}})
      for (const std::uint16_t p : rig.poll(c)) {
        EXPECT_EQ(rig.owner(p), c);
        EXPECT_TRUE(seen.insert(p).second);
      }
  }
  EXPECT_EQ(seen.size(), 500U);
  const auto given = rig.count(0, SteerCounter::steer_handoff) + rig.count(1, SteerCounter::steer_handoff);
  EXPECT_NEAR(static_cast<double>(given), 250, 60);
  EXPECT_EQ(given, rig.count(0, SteerCounter::steer_received) + rig.count(1, SteerCounter::steer_received));
}

TEST(SharedPort, WithRssNothingIsHandedOff) {
  Rig rig(2, 2, Offload::automatic);
  ASSERT_TRUE(rig.steering.by_port());
  std::map<CoreId, int> share;
  for (std::uint32_t i = 0; i < 500; ++i) {
    rig.send(i);
    for (CoreId c : {CoreId{0}, CoreId{1}})
      for (const std::uint16_t p : rig.poll(c)) {
        EXPECT_EQ(rig.owner(p), c);
        ++share[c];
      }
  }
  EXPECT_EQ(share[0] + share[1], 500);
  EXPECT_GT(share[0], 150);
  EXPECT_GT(share[1], 150);
  for (CoreId c : {CoreId{0}, CoreId{1}}) EXPECT_EQ(rig.count(c, SteerCounter::steer_handoff), 0U);
}

TEST(SharedPort, CoresWithoutAQueueLiveFromHandOffs) {
  Rig rig(3, 1, Offload::never);
  std::map<CoreId, int> share;
  for (std::uint32_t i = 0; i < 600; ++i) {
    rig.send(i);
    for (CoreId c : {CoreId{0}, CoreId{1}, CoreId{2}})
      for (const std::uint16_t p : rig.poll(c)) {
        EXPECT_EQ(rig.owner(p), c);
        ++share[c];
      }
  }
  EXPECT_EQ(share[0] + share[1] + share[2], 600);
  for (CoreId c : {CoreId{0}, CoreId{1}, CoreId{2}}) EXPECT_GT(share[c], 120);
  EXPECT_EQ(rig.count(0, SteerCounter::steer_handoff), static_cast<std::uint64_t>(share[1] + share[2]));
}

TEST(SharedPort, CoresWithoutAQueueTransmitThroughAnothersInOrder) {
  Rig rig(3, 1, Offload::never);
  for (std::uint32_t i = 0; i < 200; ++i) {
    rte_mbuf* m = tcp_frame(rig.pool.pool(), way(i)).release();
    EXPECT_EQ(rig.port.tx_burst(2, &m, 1), 1);
  }
  EXPECT_EQ(rig.port.tx_pending(2), 200U);
  std::uint32_t next = 1024;
  for (int turn = 0; turn < 10; ++turn) {
    rig.port.tx_flush(2);
    rig.port.tx_flush(0);
    rte_mbuf* m[burst_size];
    while (const std::uint16_t n = rig.pair.a().rx_burst(0, m, burst_size)) {
      for (std::uint16_t i = 0; i < n; ++i) EXPECT_EQ(source_port(m[i]), next++);
      rte_pktmbuf_free_bulk(m, n);
    }
  }
  EXPECT_EQ(next, 1224U);
  EXPECT_EQ(rig.port.tx_pending(2), 0U);
  EXPECT_EQ(rig.count(0, SteerCounter::tx_relayed), 200U);
  EXPECT_EQ(rig.port.counters(2).get(PortCounter::tx_packets), 200U);
}

TEST(SharedPort, ARingThatIsFullDropsCountsAndLeaksNothing) {
  Rig rig(2, 1, Offload::never, 64);
  std::uint64_t kept = 0;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    rig.send(i);
    kept += rig.poll(0).size(); // core 1 never looks
  }
  EXPECT_EQ(rig.count(0, SteerCounter::steer_handoff), 64U);
  EXPECT_EQ(rig.count(0, SteerCounter::steer_ring_full), 1000U - kept - 64U);
  EXPECT_EQ(rig.pool.used(), 64U);
  EXPECT_TRUE(rig.port.waiting(1));
  EXPECT_FALSE(rig.port.waiting(0));
}

TEST(SharedPort, NeitherTheQueueNorTheOthersStarveACore) {
  Rig rig(2, 2, Offload::never);
  std::vector<std::uint32_t> mine;
  for (std::uint32_t i = 0; mine.size() < 200; ++i)
    if (rig.owner(static_cast<std::uint16_t>(1024 + i)) == 0) mine.push_back(i);
  for (std::size_t i = 0; i < 100; ++i) rig.send(mine[i], 1); // core 1 will hand these over
  for (std::size_t i = 100; i < 200; ++i) rig.send(mine[i], 0);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(rig.poll(1).empty());
  const auto got = rig.poll(0);
  EXPECT_EQ(got.size(), burst_size);
  const auto handed = std::count_if(got.begin(), got.end(), [&](std::uint16_t p) {
    return std::find(mine.begin(), mine.begin() + 100, p - 1024U) != mine.begin() + 100;
  });
  EXPECT_EQ(handed, burst_size / 2);
  while (!rig.poll(0).empty()) {
  }
}

TEST(SharedPort, OneCoreIsThePortItself) {
  Rig rig(1, 1, Offload::automatic);
  rig.send(1);
  EXPECT_EQ(rig.poll(0).size(), 1U);
  EXPECT_EQ(rig.count(0, SteerCounter::steer_handoff), 0U);
}

TEST(SharedPort, ThreadsHandOffToOneAnotherWithoutLossOrMixUp) {
  constexpr std::uint32_t packets = 20'000;
  Rig rig(2, 2, Offload::never, 1024, 8191);
  std::atomic<std::uint32_t> received{0};
  std::atomic<bool> mixed{false};
  std::vector<std::thread> cores;
  for (CoreId c : {CoreId{0}, CoreId{1}})
    cores.emplace_back([&, c] {
      rte_mbuf* m[burst_size];
      while (received.load() < packets) {
        const std::uint16_t n = rig.port.rx_burst(c, m, burst_size);
        for (std::uint16_t i = 0; i < n; ++i)
          if (rig.owner(source_port(m[i])) != c) mixed = true;
        if (n == 0) std::this_thread::yield();
        for (std::uint16_t i = 0; i < n; ++i) rte_pktmbuf_free(m[i]);
        received += n;
      }
    });
  for (std::uint32_t i = 0; i < packets; ++i) {
    while (i - received.load() > 700) std::this_thread::yield(); // rings of 1024 never fill
    rig.send(i % 60'000, static_cast<QueueId>(i % 2));
  }
  for (auto& t : cores) t.join();
  EXPECT_FALSE(mixed);
  EXPECT_EQ(received, packets);
  for (CoreId c : {CoreId{0}, CoreId{1}}) EXPECT_EQ(rig.count(c, SteerCounter::steer_ring_full), 0U);
}

TEST(Bell, WorkThatWasThereIsNotSleptOver) {
  Bell bell;
  EXPECT_EQ(bell.sleep(-1, Duration::seconds(60), [] { return true; }), Bell::Woken::not_asleep);
}

TEST(Bell, TimeEndsASleep) {
  Bell bell;
  EXPECT_EQ(bell.sleep(-1, Duration::ms(1), [] { return false; }), Bell::Woken::time);
  bell.ring(); // of one that is awake: nothing
  EXPECT_EQ(bell.sleep(-1, Duration::ms(1), [] { return false; }), Bell::Woken::time);
}

// Work and a ring that come when the sleeper has looked already, and does not sleep yet.
TEST(Bell, ARingBetweenTheLookAndTheSleepIsHeard) {
  Bell bell;
  const auto looks_too_early = [&] {
    bell.ring();
    return false;
  };
  EXPECT_EQ(bell.sleep(-1, Duration::seconds(60), looks_too_early), Bell::Woken::knock);
  EXPECT_EQ(bell.sleep(-1, Duration::ms(1), [] { return false; }), Bell::Woken::time); // once
}

// As hand-offs do it: work, then a ring. One that is slept over lasts for a minute, longer than a test may.
TEST(Bell, WorkOfAnotherThreadEndsEverySleep) {
  constexpr int pieces = 5'000;
  const Duration most = Bell::never_missed() ? Duration::seconds(60) : Duration::ms(1);
  Bell bell;
  std::atomic<int> put{0};
  std::atomic<int> taken{0};
  std::thread other([&] {
    for (int i = 1; i <= pieces; ++i) {
      put.store(i, std::memory_order_release);
      bell.ring();
      while (taken.load(std::memory_order_acquire) < i) std::this_thread::yield();
    }
  });
  while (taken < pieces) {
    (void)bell.sleep(-1, most, [&] { return put.load(std::memory_order_acquire) != taken; });
    taken.store(put);
  }
  other.join();
}

TEST(Bell, APortThatHasSomethingEndsASleep) {
  Bell bell;
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const auto no = [] { return false; };
  EXPECT_EQ(bell.sleep(pipe_ends[0], Duration::ms(1), no), Bell::Woken::time);
  ASSERT_EQ(write(pipe_ends[1], "x", 1), 1);
  EXPECT_EQ(bell.sleep(pipe_ends[0], Duration::seconds(60), no), Bell::Woken::port);
  char c;
  ASSERT_EQ(read(pipe_ends[0], &c, 1), 1);
  close(pipe_ends[1]); // hung up: it would end every sleep from now on
  EXPECT_EQ(bell.sleep(pipe_ends[0], Duration::seconds(60), no), Bell::Woken::trouble);
  close(pipe_ends[0]);
}

} // namespace shared_port_test
} // namespace tern::io
