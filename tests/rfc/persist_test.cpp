// A window that the peer holds shut, seen from the sender (RFC 9293 §3.8.6.1, RFC 1122 §4.2.2.17): the connection stays
// open for as long as the peer answers, and goes on at once when the window opens.
#include "rig.hpp"

namespace tern::rfc {
namespace persist_test {

using tcp::Counter;

constexpr std::uint32_t mss = 1460;

void close(Rig& r) {
  r.user([&] { tcp::close(r.env(), r.tcb, r.now, r.outcome); });
}

// ---- A FIN before a shut window waits for it, as text does.

TEST(FinBeforeAShutWindow, WaitsAndIsProbedFor) {
  Rig r;
  open_bulk(r, false);
  say(r, 1000);
  hears(r, 1000, {}, 0);
  close(r);
  EXPECT_TRUE(r.sent.empty());
  ASSERT_TRUE(r.timer_fires());
  ASSERT_EQ(r.sent.size(), 1u);
  EXPECT_FALSE(r.sent[0].h.has(flag::fin));
  EXPECT_EQ(r.sent[0].h.seq, our_iss + 1000); // a probe, from left of the window
}

// However near the peer is: its answers are nearly as old as the pause between two tries.
TEST(FinBeforeAShutWindow, DoesNotEndTheConnectionOfAPeerThatAnswers) {
  for (const int rtt_ms : {0, 5}) {
    Rig r;
    open_bulk(r, false);
    say(r, 1000);
    hears(r, 1000, {}, 0);
    close(r);
    for (int i = 0; i < 40; ++i) {
      ASSERT_TRUE(r.timer_fires());
      r.pass(Duration::ms(rtt_ms));
      hears(r, 1000, {}, 0);
    }
    EXPECT_EQ(r.tcb.state, State::FinWait1) << rtt_ms;
  }
}

TEST(FinBeforeAShutWindow, LeavesWhenItOpens) {
  Rig r;
  open_bulk(r, false);
  say(r, 1000);
  hears(r, 1000, {}, 0);
  close(r);
  for (int i = 0; i < 9; ++i) {
    ASSERT_TRUE(r.timer_fires());
    r.pass(Duration::ms(5));
    hears(r, 1000, {}, 0);
  }
  r.pass(Duration::ms(100));
  hears(r, 1000);
  ASSERT_EQ(r.sent.size(), 1u);
  EXPECT_TRUE(r.sent[0].h.has(flag::fin));
}

TEST(FinBeforeAShutWindow, IsGivenUpWhenNobodyAnswers) {
  Rig r;
  open_bulk(r, false);
  say(r, 1000);
  hears(r, 1000, {}, 0);
  close(r);
  for (int i = 0; i < 40 && r.tcb.state != State::Closed; ++i) ASSERT_TRUE(r.timer_fires());
  EXPECT_EQ(r.tcb.state, State::Closed);
  EXPECT_EQ(r.tcb.reason, tcp::CloseReason::TimedOut);
}

// ---- The peer took its window back over text in flight (RFC 9293 §3.8.6: "shrinking").

class ShrunkWindow : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    open_bulk(r, GetParam());
    say(r, 10 * mss);
    r.pass(Duration::ms(10));
    hears(r, mss, {}, 0);
  }
  void answer_for(int tries, int rtt_ms) {
    for (int i = 0; i < tries; ++i) {
      ASSERT_TRUE(r.timer_fires());
      r.pass(Duration::ms(rtt_ms));
      hears(r, mss, {}, 0);
      if (r.tcb.state == State::Closed) return;
    }
  }
  Rig r;
};

TEST_P(ShrunkWindow, DoesNotEndTheConnectionOfAPeerThatAnswers) {
  answer_for(60, 0);
  EXPECT_EQ(r.tcb.state, State::Established);
}

TEST_P(ShrunkWindow, OneAnswerLostIsNotSilence) {
  answer_for(30, 0);
  ASSERT_TRUE(r.timer_fires());
  answer_for(3, 0);
  EXPECT_EQ(r.tcb.state, State::Established);
}

TEST_P(ShrunkWindow, HeadLeavesSoonAfterItOpens) {
  answer_for(9, 5);
  r.pass(Duration::ms(100));
  hears(r, mss);
  const Instant opened = r.now;
  ASSERT_TRUE(r.timer_fires());
  EXPECT_LE(r.now - opened, Duration::ms(250)); // one time-out, not the two minutes that it was backed off to
  ASSERT_FALSE(r.sent.empty());
  EXPECT_EQ(r.sent[0].h.seq, our_iss + 1 + mss);
  EXPECT_EQ(r.sent[0].text, mss);
}

// The reduction is made once for what was in flight, however often its head was refused.
TEST_P(ShrunkWindow, CostsTheThresholdOnce) {
  answer_for(3, 5);
  const std::uint32_t ssthresh = r.tcb.ssthresh;
  answer_for(9, 5);
  EXPECT_EQ(r.tcb.ssthresh, ssthresh);
}

// A window that opens and shuts again, and nothing acknowledged: neither an orphan nor the user's patience is held up.
TEST_P(ShrunkWindow, ThatFlapsIsNoProgress) {
  for (const bool orphan : {false, true}) {
    Rig flapping;
    if (!orphan) flapping.settings.user_timeout = Duration::seconds(60);
    open_bulk(flapping, GetParam());
    say(flapping, 10 * mss);
    flapping.pass(Duration::ms(10));
    hears(flapping, mss, {}, 0);
    if (orphan)
      flapping.user([&] {
        tcp::orphan(flapping.env(), flapping.tcb, tcp::Farewell::Drain, flapping.now, flapping.outcome);
      });
    const Instant began = flapping.now;
    constexpr std::uint32_t not_reduced = 0xffff'ffff; // a tail probe comes first
    std::uint32_t ssthresh = not_reduced;
    while (flapping.tcb.state != State::Closed && flapping.now - began < Duration::seconds(1000)) {
      ASSERT_TRUE(flapping.timer_fires());
      if (ssthresh == not_reduced) ssthresh = flapping.tcb.ssthresh;
      EXPECT_EQ(flapping.tcb.ssthresh, ssthresh);
      flapping.pass(Duration::ms(5));
      hears(flapping, mss, {}, 1);
      hears(flapping, mss, {}, 0);
    }
    EXPECT_EQ(flapping.tcb.state, State::Closed) << orphan;
  }
}

INSTANTIATE_TEST_SUITE_P(Sack, ShrunkWindow, ::testing::Bool());

// ---- A window may stay shut for longer than a clock of microseconds can tell past from future.

void opens_after(Rig& r, int minutes) {
  const Instant until = r.now + Duration::seconds(60 * minutes);
  while (r.now < until) {
    ASSERT_TRUE(r.timer_fires());
    r.pass(Duration::ms(5));
    hears(r, 10 * mss, {}, 0);
  }
  hears(r, 10 * mss);
  ASSERT_EQ(r.sent.size(), 10u);
}

TEST(LongShutWindow, WhatLeavesAfterItIsNotTakenForLost) {
  for (const int minutes : {1, 30, 40, 65, 80}) {
    Rig r;
    r.settings.nagle = true;
    open_bulk(r, true);
    say(r, 10 * mss);
    r.pass(Duration::ms(50));
    hears(r, 5 * mss);
    hears(r, 10 * mss, {}, 0);
    say(r, 40'000);
    opens_after(r, minutes);
    r.pass(Duration::ms(70));
    hears(r, 11 * mss);
    r.pass(Duration::ms(1));
    hears(r, 12 * mss);
    EXPECT_EQ(r.counters.get(Counter::retransmit_data), 0u) << minutes;
  }
}

// And so may a user be silent.
TEST(LongSilence, WhatLeavesAfterItIsNotTakenForLost) {
  for (const int minutes : {1, 30, 40, 65, 80}) {
    Rig r;
    open_bulk(r, true);
    say(r, 10 * mss);
    r.pass(Duration::ms(50));
    hears(r, 5 * mss);
    hears(r, 10 * mss);
    while (r.timer_fires()) {
    }
    r.pass(Duration::seconds(60 * minutes));
    say(r, 10 * mss);
    r.pass(Duration::ms(70));
    hears(r, 11 * mss);
    r.pass(Duration::ms(1));
    hears(r, 12 * mss);
    EXPECT_EQ(r.counters.get(Counter::retransmit_data), 0u) << minutes;
  }
}

// What the peer took its window back over leaves again after it, and is not taken for lost a second time.
TEST(LongShrunkWindow, WhatLeavesAfterItIsNotTakenForLost) {
  for (const int minutes : {1, 40}) {
    Rig r;
    open_bulk(r, true);
    say(r, 10 * mss);
    r.pass(Duration::ms(50));
    hears(r, mss, {}, 0);
    const Instant until = r.now + Duration::seconds(60 * minutes);
    while (r.now < until) {
      ASSERT_TRUE(r.timer_fires());
      r.pass(Duration::ms(5));
      hears(r, mss, {}, 0);
    }
    hears(r, mss);
    const std::uint64_t before = r.counters.get(Counter::retransmit_data);
    for (std::uint32_t n = 2; n <= 10; ++n) {
      r.pass(Duration::ms(5));
      hears(r, n * mss);
    }
    EXPECT_LE(r.counters.get(Counter::retransmit_data), before + 8) << minutes; // each once
    EXPECT_EQ(r.tcb.outstanding(), 0u);
  }
}

} // namespace persist_test
} // namespace tern::rfc
