// CUBIC, NewReno, HyStart++ and PRR, each on its own.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tcp/recovery/cubic.hpp"
#include "tcp/recovery/hystart.hpp"
#include "tcp/recovery/newreno.hpp"
#include "tcp/recovery/prr.hpp"

namespace tern::tcp {
namespace recovery_congestion_test {

constexpr std::uint32_t mss = 1460;

TEST(CubeRoot, IsExact) {
  EXPECT_EQ(cube_root(0), 0U);
  for (std::uint64_t r : {1ULL, 2ULL, 3ULL, 10ULL, 999ULL, 65'536ULL, 2'097'152ULL, 2'642'245ULL}) {
    EXPECT_EQ(cube_root(r * r * r), r);
    EXPECT_EQ(cube_root(r * r * r - 1), r - 1);
    EXPECT_EQ(cube_root(r * r * r + 1), r == 1 ? 1 : r);
  }
  EXPECT_EQ(cube_root(UINT64_MAX), 2'642'245U);
}

// RFC 9438 §4.2 figure 1: W_cubic(t) = 0.4 (t − K)³ + W_max, over the whole curve.
TEST(Cubic, CurveIsTheClosedFormula) {
  for (const std::uint32_t w_max : {20U, 100U, 1000U, 20'000U}) { // segments
    Cubic c;
    std::uint32_t cwnd = w_max * mss;
    cwnd = c.on_congestion(cwnd, cwnd, mss);
    c.grow(cwnd, 0, mss, 0, 1000); // the epoch begins
    const double k = std::cbrt((w_max - w_max * 0.7) / 0.4);
    EXPECT_NEAR(c.k_ms() / 1000.0, k, 0.002);
    for (double t = 0; t < 3 * k; t += k / 50) {
      const double want = (0.4 * std::pow(t - k, 3) + w_max) * mss;
      const double got = c.window_at(static_cast<std::uint32_t>(t * 1000), mss);
      EXPECT_NEAR(got, want, 0.002 * want + 3) << w_max << " at " << t;
    }
  }
}

// A flow with ACKs of every two segments for many round trips follows the curve: at K it is back at W_max.
TEST(Cubic, WindowFollowsTheCurve) {
  const std::uint32_t w_max = 2000 * mss;
  Cubic c;
  std::uint32_t cwnd = c.on_congestion(w_max, w_max, mss);
  ASSERT_NEAR(cwnd, 0.7 * w_max, 2);
  constexpr std::uint32_t rtt_ms = 100;
  const double k = std::cbrt(2000 * 0.3 / 0.4);
  for (std::uint32_t now = 0; now < 2 * k * 1000; now += rtt_ms) {
    for (std::uint32_t acked = 0, window = cwnd; acked < window; acked += 2 * mss)
      c.grow(cwnd, 2 * mss, mss, rtt_ms * 1000, now + rtt_ms * acked / window);
    const double t = (now + rtt_ms) / 1000.0;
    const double want = (0.4 * std::pow(t - k, 3) + 2000) * mss;
    EXPECT_NEAR(cwnd, want, 0.02 * want) << "at " << t;
  }
}

// §4.3: where the curve is slower than Reno would be, the window grows as W_est: 9/17 of a segment a round
// trip until the old window is regained, then one.
TEST(Cubic, SmallWindowsGrowAsRenoWould) {
  Cubic c;
  std::uint32_t cwnd = c.on_congestion(20 * mss, 20 * mss, mss);
  const std::uint32_t begin = cwnd;
  std::uint32_t now = 5;
  for (int round = 0; round < 10; ++round, now += 5)
    for (std::uint32_t acked = 0, window = cwnd; acked < window; acked += mss)
      c.grow(cwnd, mss, mss, 5000, now);
  EXPECT_NEAR((cwnd - begin) / double{mss}, 10 * 9.0 / 17, 1.0);
  for (int round = 0; round < 10; ++round, now += 5)
    for (std::uint32_t acked = 0, window = cwnd; acked < window; acked += mss)
      c.grow(cwnd, mss, mss, 5000, now);
  const std::uint32_t regained = cwnd;
  EXPECT_GE(regained, 20 * mss);
  for (int round = 0; round < 20; ++round, now += 5)
    for (std::uint32_t acked = 0, window = cwnd; acked < window; acked += mss)
      c.grow(cwnd, mss, mss, 5000, now);
  EXPECT_NEAR((cwnd - regained) / double{mss}, 20, 2.0);
}

// §4.7.
TEST(Cubic, FastConvergenceLeavesRoom) {
  Cubic c;
  (void)c.on_congestion(100 * mss, 100 * mss, mss);
  EXPECT_EQ(c.w_max(), 100 * mss);
  (void)c.on_congestion(80 * mss, 80 * mss, mss);
  EXPECT_EQ(c.w_max(), 68 * mss); // 0.85 × 80
  (void)c.on_congestion(90 * mss, 90 * mss, mss);
  EXPECT_EQ(c.w_max(), 90 * mss);
}

// §4.8.
TEST(Cubic, AfterTimeoutThePlateauIsHere) {
  Cubic c;
  std::uint32_t cwnd = c.on_congestion(100 * mss, 100 * mss, mss);
  c.on_timeout();
  c.grow(cwnd, mss, mss, 50'000, 777);
  EXPECT_EQ(c.k_ms(), 0U);
  EXPECT_EQ(c.window_at(0, mss), 70 * mss);
}

TEST(Cubic, IdleTimeDoesNotCount) {
  Cubic c;
  std::uint32_t cwnd = c.on_congestion(1000 * mss, 1000 * mss, mss);
  c.grow(cwnd, mss, mss, 10'000, 0);
  c.on_idle(60'000);
  const std::uint32_t before = cwnd;
  c.grow(cwnd, mss, mss, 10'000, 60'010);
  EXPECT_LE(cwnd - before, mss);
}

TEST(Cubic, OneAckNeverAddsMoreThanHalf) {
  Cubic c;
  std::uint32_t cwnd = 10 * mss;
  c.grow(cwnd, 1, mss, 1000, 0);
  c.grow(cwnd, 0xffff'ffff, mss, 0xffff'ffff, 4'000'000); // an hour later, an absurd RTT
  EXPECT_LE(cwnd, 16 * mss);
  for (int i = 0; i < 1000; ++i) c.grow(cwnd, cwnd, 65'535, 1000, 4'000'000);
  EXPECT_EQ(cwnd, largest_cwnd);
}

TEST(Cubic, UndoneReductionGoesOnWhereItWas) {
  Cubic c;
  std::uint32_t cwnd = c.on_congestion(100 * mss, 100 * mss, mss);
  c.grow(cwnd, mss, mss, 10'000, 500);
  const std::uint32_t at_2s = c.window_at(2000, mss);
  const auto saved = c.save();
  std::uint32_t other = c.on_congestion(90 * mss, 90 * mss, mss);
  c.grow(other, mss, mss, 10'000, 900);
  EXPECT_NE(c.window_at(2000, mss), at_2s);
  c.restore(saved);
  EXPECT_EQ(c.window_at(2000, mss), at_2s);
}

// RFC 5681 §3.1: one segment a window, whatever the ACKs cover.
TEST(NewReno, GrowsOneSegmentAWindow) {
  for (const std::uint32_t step : {1U, 700U, mss, 2 * mss, 9 * mss}) {
    NewReno r;
    std::uint32_t cwnd = 10 * mss;
    for (std::uint32_t acked = 0; acked < 10 * mss; acked += step)
      r.grow(cwnd, std::min(step, 10 * mss - acked), mss);
    EXPECT_EQ(cwnd, 11 * mss) << step;
  }
}

TEST(NewReno, HalvesTheFlightButKeepsTwo) {
  NewReno r;
  EXPECT_EQ(r.on_congestion(30 * mss, mss), 15 * mss);
  EXPECT_EQ(r.on_congestion(3 * mss, mss), 2 * mss);
}

// ---- RFC 9406.

struct Rounds {
  HyStart h;
  Seq una{0xffff'fff0};
  Seq nxt = una + 100;
  // One round trip with n samples.
  bool round(std::uint32_t rtt_us, int n) {
    bool over = false;
    for (int i = 0; i < n; ++i) over |= h.on_ack(i == 0 ? nxt : nxt + 1, nxt + 100, rtt_us);
    nxt += 100;
    return over;
  }
};

TEST(HyStart, SteadyRttNeverLeaves) {
  Rounds r;
  for (int i = 0; i < 50; ++i) EXPECT_FALSE(r.round(50'000, 20));
  EXPECT_FALSE(r.h.in_css());
  EXPECT_EQ(r.h.growth(3 * mss, mss), 3 * mss);
  EXPECT_EQ(r.h.growth(30 * mss, mss), 8 * mss); // L
}

TEST(HyStart, RisingRttLeavesAfterFiveRounds) {
  Rounds r;
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(r.round(50'000, 20));
  EXPECT_FALSE(r.round(50'000 + 6249, 20)); // an eighth is 6.25 ms
  EXPECT_FALSE(r.h.in_css());
  EXPECT_FALSE(r.round(64'000, 20));
  EXPECT_TRUE(r.h.in_css());
  EXPECT_EQ(r.h.growth(4 * mss, mss), mss);
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(r.round(64'000, 20)) << i;
  EXPECT_TRUE(r.round(64'000, 20));
}

TEST(HyStart, JitterResumesSlowStart) {
  Rounds r;
  for (int i = 0; i < 3; ++i) (void)r.round(50'000, 20);
  (void)r.round(60'000, 20);
  ASSERT_TRUE(r.h.in_css());
  EXPECT_FALSE(r.round(51'000, 20));
  EXPECT_FALSE(r.h.in_css());
}

TEST(HyStart, FewSamplesDecideNothing) {
  Rounds r;
  for (int i = 0; i < 3; ++i) (void)r.round(50'000, 20);
  (void)r.round(90'000, 7);
  EXPECT_FALSE(r.h.in_css());
}

TEST(HyStart, ThresholdIsClamped) {
  Rounds low; // an eighth of 2 ms is less than 4 ms
  for (int i = 0; i < 3; ++i) (void)low.round(2'000, 20);
  (void)low.round(5'999, 20);
  EXPECT_FALSE(low.h.in_css());
  Rounds high; // an eighth of 400 ms is more than 16 ms
  for (int i = 0; i < 3; ++i) (void)high.round(400'000, 20);
  (void)high.round(416'000, 20);
  EXPECT_TRUE(high.h.in_css());
}

// ---- RFC 6937.

// §4's first example in numbers: 20 segments in flight, the first lost, ssthresh 10: on average one segment
// leaves for every two delivered, and the pipe ends at ssthresh.
TEST(Prr, HalvesInProportion) {
  Prr p;
  p.begin(20 * mss);
  std::uint32_t pipe = 19 * mss;
  std::uint32_t left = 0;
  for (int ack = 0; ack < 19; ++ack) {
    pipe -= mss;
    std::uint32_t n = p.on_ack(mss, pipe, 10 * mss, mss, false);
    for (; n >= mss; n -= mss, ++left) {
      p.sent(mss);
      pipe += mss;
    }
    EXPECT_LE(left, static_cast<std::uint32_t>(ack / 2 + 2));
  }
  EXPECT_NEAR(left, 10, 1);
  EXPECT_NEAR(pipe / mss, 10, 1);
}

// §4's second: the pipe fell far below ssthresh. Without progress at una it is only conserved; with it, it is
// refilled one more segment an ACK, never past ssthresh.
TEST(Prr, BurstLossIsRefilledOnlyWhenSafe) {
  Prr p;
  p.begin(20 * mss);
  p.sent(mss);
  (void)p.on_ack(mss, 4 * mss, 10 * mss, mss, false);
  EXPECT_EQ(p.on_ack(mss, 4 * mss, 10 * mss, mss, false), mss);
  EXPECT_EQ(p.on_ack(mss, 4 * mss, 10 * mss, mss, true),
            3 * mss); // owed 2 (delivered 3, sent 1), and one more
  EXPECT_EQ(p.on_ack(8 * mss, 9 * mss, 10 * mss, mss, true), mss);
}

TEST(Prr, FirstRetransmissionAlwaysLeaves) {
  Prr p;
  p.begin(100 * mss);
  EXPECT_EQ(p.on_ack(0, 99 * mss, 50 * mss, mss, false), mss);
  p.sent(mss);
  EXPECT_EQ(p.on_ack(0, 99 * mss, 50 * mss, mss, false), 0U);
}

} // namespace recovery_congestion_test
} // namespace tern::tcp
