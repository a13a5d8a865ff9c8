#include "observe/machine.hpp"

#include <pthread.h>
#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <x86intrin.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <ctime>
#include <fstream>
#include <string_view>
#include <thread>
#include <vector>

#include "base/counters.hpp"

namespace tern::observe {
namespace {

std::string_view trimmed(std::string_view s) {
  const auto from = s.find_first_not_of(" \t");
  if (from == s.npos) return {};
  return s.substr(from, s.find_last_not_of(" \t\n") - from + 1);
}

// The text behind "name:" in a file of such lines; empty when there is none.
std::string field(const char* path, std::string_view name) {
  std::ifstream in{path};
  for (std::string line; std::getline(in, line);) {
    const auto colon = line.find(':');
    if (colon != line.npos && trimmed(std::string_view{line}.substr(0, colon)) == name)
      return std::string{trimmed(std::string_view{line}.substr(colon + 1))};
  }
  return {};
}

std::uint64_t number(const std::string& text) { // "123 kB" is 123
  std::uint64_t n = 0;
  std::from_chars(text.data(), text.data() + text.size(), n);
  return n;
}

// "always [madvise] never": the one in brackets.
std::string chosen(const char* path) {
  std::ifstream in{path};
  std::string line;
  std::getline(in, line);
  const auto open = line.find('[');
  const auto close = line.find(']');
  return open == line.npos || close == line.npos || close < open ? ""
                                                                 : line.substr(open + 1, close - open - 1);
}

} // namespace

Machine machine_facts() {
  constexpr const char* memory = "/proc/meminfo";
  Machine m;
  m.cpu = field("/proc/cpuinfo", "model name");
  m.cores = std::max(1U, std::thread::hardware_concurrency());
  m.memory_bytes = number(field(memory, "MemTotal")) * 1024;
  utsname name{};
  if (uname(&name) == 0) m.kernel = name.release;
  m.huge_page_bytes = number(field(memory, "Hugepagesize")) * 1024;
  m.huge_pages = number(field(memory, "HugePages_Total"));
  m.huge_pages_free = number(field(memory, "HugePages_Free"));
  m.transparent_huge_pages = chosen("/sys/kernel/mm/transparent_hugepage/enabled");
  return m;
}

Resident resident() {
  Resident r;
  r.rss_bytes = number(field("/proc/self/smaps_rollup", "Rss")) * 1024;
  for (const char* kind :
       {"AnonHugePages", "ShmemPmdMapped", "FilePmdMapped", "Shared_Hugetlb", "Private_Hugetlb"})
    r.huge_bytes += number(field("/proc/self/smaps_rollup", kind)) * 1024;
  return r;
}

std::uint64_t waited_for_cpu_ns(
    pid_t thread) { // "ran waited turns": Linux, Documentation/scheduler/sched-stats.rst
  std::ifstream in{"/proc/self/task/" + std::to_string(thread) + "/schedstat"};
  std::uint64_t ran = 0;
  std::uint64_t waited = 0;
  in >> ran >> waited;
  return in ? waited : 0;
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[sizeof "2030-01-31T23:59:59Z"];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

namespace {

bool pin(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (cpu >= CPU_SETSIZE) return false;
  CPU_SET(cpu, &set);
  return pthread_setaffinity_np(pthread_self(), sizeof set, &set) == 0;
}

struct alignas(2 * cache_line) SharedLine { // its neighbour line is prefetched with it
  std::atomic<std::uint32_t> n{0};
};

constexpr std::uint32_t bursts = 64;
constexpr std::uint32_t trips = 256;

// Odd numbers are a's, even ones b's. The other may be off its core for a while: so the waiting is bounded,
// and what an interruption stretched does not reach the median.
bool wait_for(const SharedLine& line, std::uint32_t n, std::uint64_t until) {
  while (line.n.load(std::memory_order_acquire) != n) {
    if (__rdtsc() > until) return false;
    _mm_pause();
  }
  return true;
}

constexpr std::uint64_t patience = 2'000'000'000; // cycles, for all of it: about a second

} // namespace

double core_round_trip_cycles(unsigned cpu_a, unsigned cpu_b) {
  if (cpu_a == cpu_b) return 0;
  SharedLine line;
  std::atomic<int> pinned{0}; // -1: one could not be
  const std::uint64_t until = __rdtsc() + patience;
  const auto answer = [&] {
    if (!pin(cpu_b)) {
      pinned.store(-1);
      return;
    }
    pinned.store(1);
    for (std::uint32_t i = 0; i < bursts * trips; ++i) {
      if (!wait_for(line, 2 * i + 1, until)) return;
      line.n.store(2 * i + 2, std::memory_order_release);
    }
  };
  std::vector<double> cycles;
  const auto ask = [&] {
    const bool here = pin(cpu_a);
    while (pinned.load() == 0) std::this_thread::yield();
    if (!here || pinned.load() < 0) return;
    for (std::uint32_t burst = 0; burst < bursts; ++burst) {
      const std::uint64_t start = __rdtsc();
      for (std::uint32_t i = burst * trips; i < (burst + 1) * trips; ++i) {
        line.n.store(2 * i + 1, std::memory_order_release);
        if (!wait_for(line, 2 * i + 2, until)) return;
      }
      cycles.push_back(static_cast<double>(__rdtsc() - start) / trips);
    }
  };
  // Threads of their own, so that the caller's affinity stays what it is.
  std::thread b(answer);
  std::thread a(ask);
  a.join();
  b.join();
  if (cycles.empty()) return 0;
  const auto middle = cycles.begin() + static_cast<std::ptrdiff_t>(cycles.size() / 2);
  std::nth_element(cycles.begin(), middle, cycles.end());
  return *middle;
}

} // namespace tern::observe
