// The timer wheel with a million live timers, beside rte_timer in the same run.
#include <benchmark/benchmark.h>
#include <rte_timer.h>

#include <algorithm>
#include <memory>
#include <new>
#include <numeric>
#include <random>
#include <vector>

#include "../cycles.hpp"
#include "flow/arena.hpp"
#include "flow/timer_wheel.hpp"

namespace tern {
namespace {

constexpr std::uint32_t live = 1'000'000;
constexpr Tick longest = 60'000; // deadlines: 1 ms … 60 s

// A connection's hot line.
struct alignas(64) Entry {
  TimerHook hook;
  Tick due = 0;
  std::uint32_t words[13] = {};
};
using Wheel = TimerWheel<MemberTimer<Entry, &Entry::hook, &Entry::due>>;

struct Timers {
  explicit Timers(std::uint32_t n)
      : heads(process_arena().take({"wheel", 1, sizeof(Wheel::Heads)})),
        memory(process_arena().take({"timers", n, sizeof(Entry)})),
        entries(static_cast<Entry*>(memory.data())),
        wheel(static_cast<Wheel::Heads*>(heads.data()), 0) {
    for (std::uint32_t i = 0; i < n; ++i) ::new (entries + i) Entry;
  }
  ArenaPiece heads;
  ArenaPiece memory;
  Entry* entries;
  Wheel wheel;
};

std::vector<std::uint32_t> shuffled(std::uint32_t n, std::uint32_t seed) {
  std::vector<std::uint32_t> v(n);
  std::iota(v.begin(), v.end(), 0U);
  std::shuffle(v.begin(), v.end(), std::mt19937(seed));
  return v;
}
std::vector<Tick> deadlines(std::uint32_t n, std::uint32_t seed) {
  std::mt19937 rng(seed);
  std::vector<Tick> v(n);
  for (auto& t : v) t = static_cast<Tick>(1 + rng() % longest);
  return v;
}

void nothing(rte_timer*, void*) {}

// Cancel and arm again, a timer at random out of a million: wheel and rte_timer in turns.
void timer_ratio(benchmark::State& state) {
  const auto order = shuffled(live, 1);
  const auto pick =
      shuffled(live, 4); // another order, or a timer's neighbours in its slot would come soon after it
  const auto due = deadlines(live, 2);
  Timers timers(live);
  for (const auto i : order) timers.wheel.arm(timers.entries[i], due[i]);

  rte_timer_subsystem_init();
  const std::unique_ptr<rte_timer[]> reference(new rte_timer[live]);
  const std::uint64_t ms = rte_get_timer_hz() / 1000;
  const std::uint64_t hour =
      3600 * 1000 * ms; // so that none expires while we measure: the order is all the same
  for (const auto i : order) {
    rte_timer_init(&reference[i]);
    rte_timer_reset(&reference[i], hour + due[i] * ms, SINGLE, 0, nothing, nullptr);
  }

  constexpr std::uint32_t round = 20'000;
  std::uint32_t at = 0;
  double ours = 0;
  double theirs = 0;
  double count = 0;
  for (auto _ : state) {
    const std::uint64_t t0 = bench::tsc();
    for (std::uint32_t k = 0; k < round; ++k) {
      Entry& e = timers.entries[pick[(at + k) % live]];
      timers.wheel.cancel(e);
      timers.wheel.arm(e, due[(at + k) % live]);
    }
    const std::uint64_t t1 = bench::tsc();
    for (std::uint32_t k = 0; k < round; ++k) {
      rte_timer& t = reference[pick[(at + k) % live]];
      rte_timer_stop(&t);
      rte_timer_reset(&t, hour + due[(at + k) % live] * ms, SINGLE, 0, nothing, nullptr);
    }
    const std::uint64_t t2 = bench::tsc();
    at = (at + round) % live;
    ours += static_cast<double>(t1 - t0);
    theirs += static_cast<double>(t2 - t1);
    count += round;
  }
  for (std::uint32_t i = 0; i < live; ++i) rte_timer_stop(&reference[i]);
  rte_timer_subsystem_finalize();
  state.counters["wheel_random_ns"] = ours / count / bench::tsc_per_ns();
  state.counters["rte_timer_random_ns"] = theirs / count / bench::tsc_per_ns();
  state.counters["timer_ratio"] = theirs / ours;
}
BENCHMARK(timer_ratio)->Iterations(20)->Unit(benchmark::kMillisecond);

// Arm and cancel, hooks just touched, as a connection's is when a segment arrives; a million others are live.
void timer_ns(benchmark::State& state) {
  constexpr std::uint32_t hot = 64;
  const auto order = shuffled(live, 1);
  const auto due = deadlines(live, 2);
  Timers timers(live + hot);
  for (const auto i : order) timers.wheel.arm(timers.entries[i], due[i]);
  std::uint32_t at = 0;
  double cycles = 0;
  double count = 0;
  for (auto _ : state) {
    Entry* const ours = timers.entries + live;
    for (std::uint32_t k = 0; k < hot; ++k) ++ours[k].words[0];
    const std::uint64_t t0 = bench::tsc();
    for (std::uint32_t k = 0; k < hot; ++k) timers.wheel.arm(ours[k], due[at + k]);
    for (std::uint32_t k = 0; k < hot; ++k) timers.wheel.cancel(ours[k]);
    cycles += static_cast<double>(bench::tsc() - t0);
    count += hot;
    at = (at + hot) % (live - hot);
  }
  state.counters["timer_ns"] = cycles / count / bench::tsc_per_ns();
}
BENCHMARK(timer_ns);

// Moved later, as by every ACK.
void timer_later_ns(benchmark::State& state) {
  constexpr std::uint32_t hot = 64;
  Timers timers(hot);
  Tick at = 1000;
  for (std::uint32_t k = 0; k < hot; ++k) timers.wheel.arm(timers.entries[k], at);
  double cycles = 0;
  double count = 0;
  for (auto _ : state) {
    at = at % 1'000'000'000 + 1;
    const std::uint64_t t0 = bench::tsc();
    for (std::uint32_t k = 0; k < hot; ++k) timers.wheel.arm(timers.entries[k], at);
    cycles += static_cast<double>(bench::tsc() - t0);
    count += hot;
  }
  state.counters["timer_later_ns"] = cycles / count / bench::tsc_per_ns();
}
BENCHMARK(timer_later_ns);

// A million expire in one tick, linked in random order; polls back to back, on the real clock, until all have
// fired. Argument: how far away they were armed, so whether they come by level 0 alone or are placed anew
// first. The longest poll is told in processor time, and on the clock, in which others who share the core
// have their part; lateness and time to drain are on the clock. Processor time has interrupts in it: `nothing_us` is
// the longest of as many stretches as long as the median poll that touch nothing.
void timer_burst(benchmark::State& state) {
  const auto order = shuffled(live, 3);
  const auto away = static_cast<Tick>(state.range(0));
  Timers timers(live);
  std::vector<double> polls; // microseconds of processor time
  double longest_wall_us = 0;
  double drain_ms = 0;
  Tick lateness = 0;
  Tick now = 0;
  for (auto _ : state) {
    const Tick due = now + away;
    for (const auto i : order) timers.wheel.arm(timers.entries[i], due);
    const auto timed_poll = [&](std::uint64_t t0) {
      const double from = bench::cpu_ns();
      const unsigned touched = timers.wheel.poll(now, [&](Entry& e) {
        ++e.words[0];
        lateness = std::max(lateness, now - e.due);
      });
      polls.push_back((bench::cpu_ns() - from) / 1000);
      longest_wall_us =
          std::max(longest_wall_us, static_cast<double>(bench::tsc() - t0) / bench::tsc_per_ns() / 1000);
      return touched;
    };
    now = due - 1;
    while (timed_poll(bench::tsc()) > 0) { // what could be placed anew before, has been
    }
    const double per_ms = bench::tsc_per_ns() * 1e6;
    const std::uint64_t start = bench::tsc();
    std::uint64_t t0 = start;
    for (; timers.wheel.size() > 0; t0 = bench::tsc()) {
      now = due + static_cast<Tick>(static_cast<double>(t0 - start) / per_ms);
      timed_poll(t0);
    }
    drain_ms = std::max(drain_ms, static_cast<double>(t0 - start) / per_ms);
    now += 1;
  }
  std::sort(polls.begin(), polls.end());
  const auto median = static_cast<std::uint64_t>(polls[polls.size() / 2] * 1000 * bench::tsc_per_ns());
  double nothing_us = 0;
  for (std::size_t i = 0; i < polls.size(); ++i) {
    const double from = bench::cpu_ns();
    for (const std::uint64_t t0 = bench::tsc(); bench::tsc() - t0 < median;) {
    }
    nothing_us = std::max(nothing_us, (bench::cpu_ns() - from) / 1000);
  }
  state.counters["timer_burst_us"] = polls.back();
  state.counters["nothing_us"] = nothing_us;
  state.counters["longest_wall_us"] = longest_wall_us;
  state.counters["p99.9_us"] = polls[polls.size() * 999 / 1000];
  state.counters["median_us"] = polls[polls.size() / 2];
  state.counters["lateness_ms"] = static_cast<double>(lateness);
  state.counters["drain_ms"] = drain_ms;
}
BENCHMARK(timer_burst)->Arg(200)->Arg(1024)->Iterations(1)->Unit(benchmark::kMillisecond);

} // namespace
} // namespace tern
