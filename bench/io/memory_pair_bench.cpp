// What the in-memory pair costs: an empty poll, a packet sent and received on one thread, and a packet
// carried to another thread and back. Cycles are those of the TSC. Between two cores the result depends on
// how near they are, which on some machines changes within minutes: BM_LineRoundTrip says which it was.
#include <benchmark/benchmark.h>
#include <pthread.h>
#include <rte_cycles.h>
#include <rte_lcore.h>
#include <sched.h>

#include <atomic>
#include <thread>

#include "io/memory_pair.hpp"
#include "packet/packet.hpp"
#include "support/eal.hpp"

namespace tern::io {
namespace {

rte_mempool* bench_pool() {
  test::start_eal();
  static rte_mempool* pool =
      rte_pktmbuf_pool_create("bench", 16383, 512, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  TERN_CHECK(pool != nullptr);
  return pool;
}

void pin(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  (void)pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

// A burst of minimal frames: allocated and their headers written, as a stack does.
std::uint16_t make_burst(const PacketPool& pool, rte_mbuf** m) {
  std::uint16_t n = 0;
  for (; n < burst_size; ++n) {
    Packet p = pool.alloc();
    if (!p) break;
    std::byte* b = p.append(54);
    std::memset(b, n, 54);
    m[n] = p.release();
  }
  return n;
}
std::uint64_t read_and_free(rte_mbuf** m, std::uint16_t n) {
  std::uint64_t sum = 0;
  for (std::uint16_t i = 0; i < n; ++i) sum += *rte_pktmbuf_mtod(m[i], std::uint64_t*);
  for (std::uint16_t i = 0; i < n; ++i) rte_pktmbuf_free(m[i]);
  return sum;
}

void report(benchmark::State& state, std::uint64_t cycles, std::uint64_t packets) {
  state.counters["cycles/packet"] = static_cast<double>(cycles) / static_cast<double>(packets);
  state.SetItemsProcessed(static_cast<std::int64_t>(packets));
}

void BM_EmptyPoll(benchmark::State& state) {
  (void)bench_pool();
  MemoryPairSettings s;
  s.queues = static_cast<std::uint16_t>(state.range(0));
  MemoryPair pair(s);
  rte_mbuf* m[burst_size];
  for (auto _ : state) benchmark::DoNotOptimize(pair.a().rx_burst(0, m, burst_size));
}
BENCHMARK(BM_EmptyPoll)->Arg(1)->Arg(2)->Name("BM_EmptyPoll/queues");

// The rings alone: packets made once, sent and received.
void BM_OneThreadRing(benchmark::State& state) {
  MemoryPairSettings s;
  s.queues = static_cast<std::uint16_t>(state.range(0));
  s.rss = Offload::never;
  MemoryPair pair(s);
  rte_mbuf* m[burst_size];
  std::uint16_t n = make_burst(PacketPool{bench_pool()}, m);
  std::uint64_t packets = 0;
  const std::uint64_t start = rte_rdtsc();
  for (auto _ : state) {
    pair.a().tx_burst(0, m, n);
    n = pair.b().rx_burst(0, m, burst_size);
    packets += n;
  }
  report(state, rte_rdtsc() - start, packets);
  rte_pktmbuf_free_bulk(m, n);
}
BENCHMARK(BM_OneThreadRing)->Arg(1)->Arg(2)->Name("BM_OneThreadRing/queues");

// And with what every stack adds: allocate, write a header, read it, free.
void BM_OneThreadWhole(benchmark::State& state) {
  const PacketPool pool{bench_pool()};
  MemoryPair pair({});
  rte_mbuf* m[burst_size];
  std::uint64_t packets = 0;
  const std::uint64_t start = rte_rdtsc();
  for (auto _ : state) {
    const std::uint16_t n = make_burst(pool, m);
    pair.a().tx_burst(0, m, n);
    const std::uint16_t got = pair.b().rx_burst(0, m, burst_size);
    packets += got;
    benchmark::DoNotOptimize(read_and_free(m, got));
  }
  report(state, rte_rdtsc() - start, packets);
}
BENCHMARK(BM_OneThreadWhole);

// Each side allocates, writes, sends, receives, reads and frees, on its own core, from one pool: what a side
// receives it frees into the cache from which it takes what it sends, so the pool's own ring is left alone.
void BM_TwoThreads(benchmark::State& state) {
  const PacketPool pool{bench_pool()};
  pin(0);
  MemoryPair pair({});
  std::atomic<bool> stop{false};
  std::thread other([&] {
    pin(1);
    TERN_CHECK(rte_thread_register() == 0);
    rte_mbuf* m[burst_size];
    while (!stop.load(std::memory_order_relaxed)) {
      const std::uint16_t got = pair.b().rx_burst(0, m, burst_size);
      if (got == 0) continue;
      benchmark::DoNotOptimize(read_and_free(m, got));
      for (std::uint16_t i = 0; i < got; ++i) {
        Packet p = pool.alloc();
        TERN_CHECK(p);
        std::memset(p.append(54), i, 54);
        m[i] = p.release();
      }
      pair.b().tx_burst(0, m, got);
    }
    rte_thread_unregister();
  });
  rte_mbuf* m[burst_size];
  std::uint64_t packets = 0;
  std::uint64_t in_flight = 0;
  const std::uint64_t start = rte_rdtsc();
  for (auto _ : state) {
    if (in_flight <= 256 - burst_size) in_flight += pair.a().tx_burst(0, m, make_burst(pool, m));
    const std::uint16_t got = pair.a().rx_burst(0, m, burst_size);
    packets += got;
    in_flight -= got;
    benchmark::DoNotOptimize(read_and_free(m, got));
  }
  report(state, rte_rdtsc() - start, packets);
  stop = true;
  other.join();
}
BENCHMARK(BM_TwoThreads)->UseRealTime();

void BM_LineRoundTrip(benchmark::State& state) {
  (void)bench_pool();
  pin(0);
  alignas(2 * cache_line) static std::atomic<std::uint64_t> ball{0};
  ball = 0;
  std::thread other([] {
    pin(1);
    for (;;) {
      const std::uint64_t v = ball.load(std::memory_order_acquire);
      if (v == ~std::uint64_t{0}) return;
      if ((v & 1) != 0) ball.store(v + 1, std::memory_order_release);
    }
  });
  std::uint64_t v = 0;
  std::uint64_t trips = 0;
  const std::uint64_t start = rte_rdtsc();
  for (auto _ : state) {
    ball.store(v + 1, std::memory_order_release);
    while (ball.load(std::memory_order_acquire) != v + 2) {
    }
    v += 2;
    ++trips;
  }
  state.counters["cycles"] = static_cast<double>(rte_rdtsc() - start) / static_cast<double>(trips);
  ball = ~std::uint64_t{0};
  other.join();
}
BENCHMARK(BM_LineRoundTrip)->UseRealTime();

} // namespace
} // namespace tern::io

BENCHMARK_MAIN();
