#include "runtime/core_to_core.hpp"

#include <pthread.h>
#include <rte_cycles.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "base/counters.hpp"

namespace tern {

bool pin_to(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return pthread_setaffinity_np(pthread_self(), sizeof set, &set) == 0;
}

double core_to_core_cycles(unsigned cpu_a, unsigned cpu_b) {
  constexpr std::uint32_t trips = 4000;
  struct alignas(2 * cache_line) Line {
    std::atomic<std::uint32_t> turn{0}; // even: ours; odd: theirs
  } line;
  std::atomic<bool> good{true};
  std::atomic<bool> stop{false};
  std::vector<double> each;
  const auto partner = [&] {
    if (!pin_to(cpu_b)) good = false;
    for (std::uint32_t i = 0; i < trips; ++i) {
      while (line.turn.load(std::memory_order_acquire) != 2 * i + 1)
        if (stop.load(std::memory_order_relaxed)) return;
      line.turn.store(2 * i + 2, std::memory_order_release);
    }
  };
  const auto ours = [&] {
    if (!pin_to(cpu_a)) good = false;
    const auto limit =
        std::chrono::steady_clock::now() + std::chrono::seconds(2); // a machine with one free core
    for (std::uint32_t i = 0; i < trips; ++i) {
      const std::uint64_t start = rte_rdtsc();
      line.turn.store(2 * i + 1, std::memory_order_release);
      while (line.turn.load(std::memory_order_acquire) != 2 * i + 2) {
      }
      each.push_back(static_cast<double>(rte_rdtsc() - start));
      if (i % 256 == 0 && std::chrono::steady_clock::now() > limit) break;
    }
    stop = true;
  };
  std::thread b(partner);
  std::thread a(ours);
  a.join();
  b.join();
  if (!good || each.empty()) return 0;
  std::nth_element(each.begin(), each.begin() + static_cast<std::ptrdiff_t>(each.size() / 2), each.end());
  return each[each.size() / 2];
}

} // namespace tern
