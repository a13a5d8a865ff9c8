// No ring is lost, however the sleep and the ring fall together. (What wakes, and why: shared_port_test.cpp.)
#include "io/bell.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <random>
#include <thread>
#include <vector>

namespace tern::io {
namespace bell_test {

TEST(Bell, RingsWhileAwakeAreNotKept) {
  Bell bell;
  bell.ring();
  EXPECT_EQ(bell.sleep(-1, Duration::ms(1), [] { return false; }), Bell::Woken::time);
}

// Rounds of one post, one ring and one look. Spelled with release and acquire only: a stronger store would be a barrier of
// its own, and what is under test is the bell's.
struct alignas(2 * cache_line) Lane {
  std::atomic<std::uint64_t> posted{0};
  std::atomic<std::uint64_t> rung{0};   // the latest round whose ring() returned,
  std::atomic<std::int64_t> rung_at{0}; // and when
  alignas(2 * cache_line) std::atomic<std::uint64_t> taken{0};
};

std::int64_t monotonic_ns() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Of all lengths, from nothing to a microsecond or two, so that the two sides meet at every step of each other's.
class Dawdler {
 public:
  explicit Dawdler(std::uint32_t seed) : random_(seed) {}
  void dawdle() {
    for (std::uint64_t n = random_() & ((1U << (random_() % 11)) - 1U); n != 0; --n)
      std::atomic_signal_fence(std::memory_order_seq_cst); // the compiler keeps the loop
  }

 private:
  std::minstd_rand random_;
};

class Race {
 public:
  static constexpr Duration patience = Duration::seconds(6); // a ring not heard for so long is lost
  static constexpr std::uint64_t all_rounds = 100'000;
  static constexpr std::int64_t no_longer_than =
      10'000'000'000; // where the machine is slow, fewer rounds are run

  explicit Race(std::size_t wakers) : lanes_(wakers + 1) {} // the last one is for the end

  void run() {
    std::thread sleeper([this] { sleep_and_look(); });
    std::vector<std::thread> wakers;
    for (std::size_t i = 0; i + 1 < lanes_.size(); ++i)
      wakers.emplace_back([this, i] { post_and_ring(lanes_[i], static_cast<std::uint32_t>(i) + 1); });
    for (std::thread& w : wakers) w.join();
    post(lanes_.back(), 1);
    sleeper.join();
  }
  [[nodiscard]] std::uint64_t taken() const {
    std::uint64_t sum = 0;
    for (const Lane& l : lanes_) sum += l.taken.load();
    return sum;
  }
  std::array<std::uint64_t, 5> woken{}; // by Bell::Woken
  std::atomic<bool> lost{false};

 private:
  void post(Lane& lane, std::uint64_t round) {
    lane.posted.store(round, std::memory_order_release);
    bell_.ring();
    lane.rung_at.store(monotonic_ns(), std::memory_order_relaxed);
    lane.rung.store(round, std::memory_order_release);
  }
  void post_and_ring(Lane& lane, std::uint32_t seed) {
    Dawdler dawdler(seed);
    const std::int64_t end = monotonic_ns() + no_longer_than;
    for (std::uint64_t round = 1; round <= all_rounds / (lanes_.size() - 1) && monotonic_ns() < end;
         ++round) {
      dawdler.dawdle();
      post(lane, round);
      for (unsigned spins = 1; lane.taken.load(std::memory_order_acquire) != round; ++spins) {
        if (lost.load(std::memory_order_relaxed)) return;
        relax();
        if (spins % 256 == 0) sched_yield();
      }
    }
  }
  // Its first look follows the sleeper's store as closely as can be.
  bool any_posted() const {
    for (std::size_t i = 0; i != count_; ++i)
      if (lane_[i].posted.load(std::memory_order_acquire) != lane_[i].taken.load(std::memory_order_relaxed))
        return true;
    return false;
  }
  // Posted, rung, and slept over. Who has not come round to ringing by then is not meant.
  bool slept_over_a_ring() const {
    const std::int64_t now = monotonic_ns();
    return std::any_of(lanes_.begin(), lanes_.end(), [now](const Lane& l) {
      const std::uint64_t rung = l.rung.load(std::memory_order_acquire);
      return rung == l.posted.load(std::memory_order_acquire) &&
             rung != l.taken.load(std::memory_order_relaxed) &&
             now - l.rung_at.load(std::memory_order_relaxed) > patience.as_ns() / 2;
    });
  }
  void sleep_and_look() {
    Dawdler dawdler(0x5eed);
    while (lanes_.back().taken.load(std::memory_order_relaxed) == 0) {
      const Bell::Woken why = bell_.sleep(-1, patience, [this] { return any_posted(); });
      ++woken[static_cast<std::size_t>(why)];
      if (why == Bell::Woken::time && slept_over_a_ring()) lost.store(true);
      for (Lane& l : lanes_)
        l.taken.store(l.posted.load(std::memory_order_acquire), std::memory_order_release);
      dawdler.dawdle();
    }
  }

  Bell bell_;
  std::vector<Lane> lanes_;
  const Lane* lane_ = lanes_.data();
  std::size_t count_ = lanes_.size();
};

void no_ring_is_lost(std::size_t wakers) {
  ASSERT_TRUE(Bell::never_missed()) << "this kernel has no membarrier(2)";
  Race race(wakers);
  race.run();
  std::printf("%llu rounds: %llu not slept, %llu rung awake, %llu by time\n",
              static_cast<unsigned long long>(race.taken()),
              static_cast<unsigned long long>(race.woken[static_cast<std::size_t>(Bell::Woken::not_asleep)]),
              static_cast<unsigned long long>(race.woken[static_cast<std::size_t>(Bell::Woken::knock)]),
              static_cast<unsigned long long>(race.woken[static_cast<std::size_t>(Bell::Woken::time)]));
  EXPECT_FALSE(race.lost.load()) << "after " << race.taken() << " rounds a ring was slept over";
  EXPECT_GT(race.woken[static_cast<std::size_t>(Bell::Woken::knock)], 0U);
}

TEST(Bell, NoRingIsLostBetweenOneWhoRingsAndTheSleeper) {
  no_ring_is_lost(1);
}

TEST(Bell, NoRingIsLostBetweenTwoWhoRingAndTheSleeper) {
  no_ring_is_lost(2);
}

} // namespace bell_test
} // namespace tern::io
