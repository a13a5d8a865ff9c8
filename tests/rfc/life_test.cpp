// A connection's life where the table of states does not look: how often, how long, and what it costs whom.
#include "rig.hpp"

namespace tern::rfc {
namespace life_test {

using tcp::Counter;

// RFC 6298 §5.5, RFC 1122 §4.2.3.5: as often as the setting says, each wait twice the one before.
TEST(SynSent, SynGoesAgainWithBackOffAsOftenAsTheSettingSays) {
  for (const std::uint8_t tries : {std::uint8_t{0}, std::uint8_t{3}}) {
    tcp::Settings s = Rig::plain_settings();
    s.syn_retries = tries;
    Rig r{s};
    open_active(r);
    Duration wait = Duration::seconds(1);
    for (int i = 0; i < tries; ++i, wait = wait * 2) {
      const Instant before = r.now;
      ASSERT_TRUE(r.timer_fires());
      EXPECT_EQ(r.now - before, wait);
      ASSERT_EQ(r.sent.size(), 1u);
      EXPECT_EQ(r.sent[0].h.flags, flag::syn);
      EXPECT_EQ(r.sent[0].h.seq, our_iss);
    }
    ASSERT_TRUE(r.timer_fires());
    EXPECT_EQ(r.tcb.state, State::Closed);
    EXPECT_EQ(r.tcb.reason, tcp::CloseReason::TimedOut);
    EXPECT_EQ(r.counters.get(Counter::retransmit_syn), tries);
  }
}

// Half-closed, and somebody owns it: no timer but the peer's own (RFC 9293 §3.6; RFC 1122 §4.2.2.13).
TEST(FinWait2, LastsAsLongAsThePeerTalksUnlessItIsAnOrphan) {
  for (const bool orphan : {false, true}) {
    Rig r;
    enter(r, State::FinWait2);
    if (orphan) r.user([&] { tcp::orphan(r.env(), r.tcb, tcp::Farewell::Drain, r.now, r.outcome); });
    EXPECT_EQ(tcp::next_deadline(r.tcb) != 0, orphan);
    if (orphan) {
      ASSERT_TRUE(r.timer_fires());
      EXPECT_EQ(r.tcb.reason, tcp::CloseReason::TimedOut);
      EXPECT_EQ(r.counters.get(Counter::timeout_fin_wait_2), 1u);
      continue;
    }
    for (int day = 0; day < 30; ++day) {
      r.pass(Duration::seconds(24 * 3600));
      r.arrives(r.tcb.rcv_nxt, flag::ack, r.tcb.snd_una, 1000);
      ASSERT_EQ(r.delivered, 1000u);
      ASSERT_FALSE(r.sent.empty() && tcp::next_deadline(r.tcb) == 0); // it is acknowledged, or will be
      while (r.timer_fires()) {
      }
    }
    r.arrives(r.tcb.rcv_nxt, flag::fin | flag::ack, r.tcb.snd_una);
    EXPECT_EQ(r.tcb.state, State::TimeWait);
  }
}

// Off by default; else the peer is asked after a rest, again and again, and what answers is alive (RFC 1122 §4.2.3.6).
TEST(Keepalive, AsksAfterARestAndAnAnswerIsEnough) {
  Rig silent;
  enter(silent, State::Established);
  silent.arrives(silent.tcb.rcv_nxt, flag::ack, silent.tcb.snd_nxt);
  EXPECT_EQ(tcp::next_deadline(silent.tcb), 0u);

  tcp::Settings s = Rig::plain_settings();
  s.keepalive_idle = Duration::seconds(100);
  s.keepalive_interval = Duration::seconds(5);
  s.keepalive_probes = 3;
  Rig r{s};
  enter(r, State::Established);
  r.arrives(r.tcb.rcv_nxt, flag::ack, r.tcb.snd_nxt);
  const auto next_probe = [&] {
    const Instant from = r.now;
    do {
      if (!r.timer_fires()) return Duration{};
    } while (r.sent.empty() && r.tcb.state != State::Closed);
    return r.now - from;
  };
  for (int round = 0; round < 3; ++round) {
    EXPECT_NEAR(next_probe().as_seconds(), 100, 0.1);
    EXPECT_NEAR(next_probe().as_seconds(), 5, 0.1);
    EXPECT_EQ(r.sent[0].h.seq, r.tcb.snd_una - 1); // left of the window, and no text: any TCP answers
    EXPECT_EQ(r.sent[0].text, 0u);
    r.arrives(r.tcb.rcv_nxt, flag::ack, r.tcb.snd_una);
    ASSERT_EQ(r.tcb.state, State::Established);
  }
  EXPECT_NEAR(next_probe().as_seconds(), 100, 0.1);
  for (int i = 0; i < 2; ++i) EXPECT_NEAR(next_probe().as_seconds(), 5, 0.1);
  EXPECT_NEAR(next_probe().as_seconds(), 5, 0.1);
  EXPECT_EQ(r.tcb.state, State::Closed);
  EXPECT_EQ(r.counters.get(Counter::timeout_keepalive), 1u);
  EXPECT_TRUE(r.sent[0].h.has(flag::rst));
}

// CVE-2016-5696: were the budget of challenge ACKs shared, one connection could be asked whether another was.
TEST(Challenge, BudgetOfOneConnectionIsNoOthers) {
  Rig one, other;
  enter(one, State::Established);
  enter(other, State::Established);
  std::size_t answers = 0;
  for (int i = 0; i < 100; ++i) {
    one.arrives(one.tcb.rcv_nxt, flag::syn, Seq{});
    answers += one.sent.size();
  }
  EXPECT_EQ(answers, 10u);
  other.now = one.now;
  for (int i = 0; i < 10; ++i) {
    other.arrives(other.tcb.rcv_nxt, flag::syn, Seq{});
    EXPECT_EQ(other.sent.size(), 1u) << i;
  }
}

// What the simulation says of a timer that fires is what the engine goes by, after a pause of weeks too.
TEST(Timers, AreNamedWhenTheyAreDue) {
  Rig r;
  enter(r, State::Established);
  EXPECT_EQ(sim::due_timers(r.tcb, r.now), "");
  for (const int days : {1, 20, 30, 40}) {
    const Instant later = r.now + Duration::seconds(days * 86'400);
    EXPECT_EQ(sim::due_timers(r.tcb, later), "retransmission timer") << days;
  }
}

// RFC 3168 §6.1: text that is new says that it may be marked; ACKs, retransmissions and SYNs do not.
TEST(Ecn, NewTextAloneMayBeMarked) {
  tcp::Settings s = Rig::plain_settings();
  s.ecn = true;
  Rig r{s};
  open_active(r);
  ASSERT_EQ(r.sent.size(), 1u);
  EXPECT_FALSE(r.sent[0].ect);
  EXPECT_TRUE(r.sent[0].h.has(flag::ece) && r.sent[0].h.has(flag::cwr)); // §6.1.1
  r.arrives(header(flag::syn | flag::ack | flag::ece, their_iss, our_iss + 1), 0);
  ASSERT_EQ(r.sent.size(), 1u);
  EXPECT_FALSE(r.sent[0].ect);
  say(r, 100);
  ASSERT_EQ(r.sent.size(), 1u);
  EXPECT_TRUE(r.sent[0].ect);
  ASSERT_TRUE(r.timer_fires());
  ASSERT_EQ(r.sent.size(), 1u);
  EXPECT_EQ(r.sent[0].text, 100u);
  EXPECT_FALSE(r.sent[0].ect); // §6.1.5
}

// Once a window, the echo halves what may be in flight, and the next new text says so (§6.1.2).
TEST(Ecn, EchoIsAnsweredByLessAndByCwr) {
  tcp::Settings s = Rig::plain_settings();
  s.ecn = true;
  Rig r{s};
  open_active(r);
  r.arrives(header(flag::syn | flag::ack | flag::ece, their_iss, our_iss + 1), 0);
  say(r, 30U * r.tcb.mss);
  const std::uint32_t before = r.tcb.cwnd;
  const std::uint32_t mss = r.tcb.mss;
  bool cwr = false;
  for (std::uint32_t i = 1; i <= 6; ++i) {
    wire::Tcp h = header(flag::ack | flag::ece, r.tcb.rcv_nxt, our_iss + 1 + i * mss);
    r.arrives(h, 0);
    for (const Sent& one : r.sent) {
      EXPECT_FALSE(cwr && one.h.has(flag::cwr)); // once
      cwr |= one.h.has(flag::cwr);
    }
  }
  EXPECT_EQ(r.counters.get(Counter::ecn_reduced), 1u);
  EXPECT_LT(r.tcb.cwnd, before);
  EXPECT_LE(r.tcb.ssthresh, before * 7 / 10 + mss);
}

TEST(FinWait2, TextForNobodyIsAnsweredByOneReset) { // RFC 1122 §4.2.2.13
  Rig r;
  enter(r, State::FinWait2);
  r.user([&] { tcp::orphan(r.env(), r.tcb, tcp::Farewell::Reset, r.now, r.outcome); });
  r.arrives(r.tcb.rcv_nxt, flag::ack, r.tcb.snd_una, 100);
  ASSERT_EQ(r.sent.size(), 1u);
  EXPECT_TRUE(r.sent[0].h.has(flag::rst));
  EXPECT_EQ(r.counters.get(tcp::Counter::reset_out), 1u);
}

} // namespace life_test
} // namespace tern::rfc
