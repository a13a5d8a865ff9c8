#include "observe/machine.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace tern::observe {
namespace machine_test {

bool stay_on(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  return ::sched_setaffinity(0, sizeof one, &one) == 0;
}

// Two that never rest, on one CPU: each waits for the other.
TEST(Machine, WhoSharesItsCpuIsKnownToHaveWaited) {
  const bool kernel_tells = ::access("/proc/self/schedstat", R_OK) == 0;
  const int cpu = ::sched_getcpu();
  std::atomic<pid_t> id{0};
  std::atomic<bool> over{false};
  const auto spin = [&](bool told) {
    (void)stay_on(cpu);
    if (told) id = ::gettid();
    while (!over.load(std::memory_order_relaxed)) {
    }
  };
  std::thread one(spin, true);
  std::thread other(spin, false);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(kernel_tells ? 20 : 0);
  std::uint64_t waited = 0;
  while (waited < 20'000'000 && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    if (id != 0) waited = waited_for_cpu_ns(id);
  }
  over = true;
  one.join();
  other.join();
  EXPECT_EQ(waited >= 20'000'000, kernel_tells) << waited;
}
TEST(Machine, OfNoThreadOfOursNothingIsKnown) {
  EXPECT_EQ(waited_for_cpu_ns(0), 0U);
}

} // namespace machine_test
} // namespace tern::observe
