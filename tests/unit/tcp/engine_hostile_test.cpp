// The engine under what no honest peer, path or user does; and what it once got wrong.
#include "peer_test.hpp"

namespace tern::tcp {
namespace engine_hostile_test {

using O = wire::TcpOptions;

class Hostile : public PeerTest {
 protected:
  using PeerTest::PeerTest;
  void establish(std::uint16_t window = 65535, bool timestamps = false) {
    O o;
    if (timestamps) o.has = O::timestamps_bit, o.ts_val = 1000, o.ts_ecr = now.ms32();
    open(window, o);
  }
};

TEST_F(Hostile, WindowOfASynAckIsNotScaled) {
  open_active(t.env, t.tcb, Seq{1}, 0, 1460, 536, now);
  (void)t.output(now);
  wire::Tcp h = segment(flag::syn | flag::ack);
  h.ack = Seq{2};
  h.window = 1000;
  h.options.has = O::wscale_bit;
  h.options.wscale = 14;
  arrive(h);
  ASSERT_EQ(t.tcb.state, State::Established);
  EXPECT_EQ(t.tcb.snd_wnd, 1000U); // RFC 7323 §2.2
  EXPECT_EQ(t.tcb.max_snd_wnd, 1000U);
}

TEST_F(Hostile, SimultaneousOpenTakesTextOfTheSynAckFromBehindItsSyn) {
  open_active(t.env, t.tcb, Seq{1}, 0, 1460, 536, now);
  (void)t.output(now);
  wire::Tcp syn;
  syn.header_length = 20;
  syn.seq = peer_iss;
  syn.flags = flag::syn;
  syn.window = 1000;
  syn.options.has = O::wscale_bit;
  syn.options.wscale = 7;
  arrive(syn);
  ASSERT_EQ(t.tcb.state, State::SynReceived);
  wire::Tcp both = syn;
  both.flags = flag::syn | flag::ack | flag::fin;
  both.ack = Seq{2};
  arrive(both, "hello");
  EXPECT_EQ(t.received, "hello");
  EXPECT_EQ(t.tcb.state, State::CloseWait);
  EXPECT_EQ(t.tcb.rcv_nxt, peer_iss + 7);
  EXPECT_EQ(t.tcb.max_snd_wnd, 1000U);
}

TEST_F(Hostile, PersistProbesBackOffAlthoughThePeerAnswers) {
  establish(0);
  ASSERT_EQ(t.send("held", now), 4U);
  (void)t.output(now);
  for (int ms = 0; ms < 60'000; ++ms) {
    now = now + Duration::ms(1);
    const std::uint32_t at = next_deadline(t.tcb);
    if (at == 0 || static_cast<std::int32_t>(now.ms32() - at) < 0) continue;
    t.timer(now);
    if (t.output(now).empty()) continue;
    wire::Tcp h = segment();
    h.window = 0;
    arrive(h);
  }
  EXPECT_EQ(t.tcb.state, State::Established); // RFC 1122 §4.2.2.17: open as long as it answers
  EXPECT_GE(t.counters.get(Counter::zero_window_probe), 5U);
  EXPECT_LE(t.counters.get(Counter::zero_window_probe), 12U);
  wire::Tcp open = segment();
  arrive(open);
  EXPECT_EQ(t.tcb.rtx_backoff, 0);
  EXPECT_EQ(t.output(now).size(), 1U);
}

struct HostileUserTimeout : Hostile {
  static Settings five_seconds() {
    Settings s;
    s.user_timeout = Duration::seconds(5);
    return s;
  }
  HostileUserTimeout() : Hostile(five_seconds()) {}
};

TEST_F(HostileUserTimeout, EndsAConnectionWhosePeerAnswersAndNeverOpensItsWindow) {
  establish(0);
  ASSERT_EQ(t.send("held", now), 4U);
  (void)t.output(now);
  for (int ms = 0; ms < 30'000 && t.tcb.state != State::Closed; ++ms) {
    now = now + Duration::ms(1);
    const std::uint32_t at = next_deadline(t.tcb);
    if (at == 0 || static_cast<std::int32_t>(now.ms32() - at) < 0) continue;
    t.timer(now);
    if (t.tcb.state == State::Closed || t.output(now).empty()) continue;
    wire::Tcp h = segment();
    h.window = 0;
    arrive(h);
  }
  EXPECT_EQ(t.tcb.state, State::Closed);
  EXPECT_EQ(t.tcb.reason, CloseReason::TimedOut);
}

TEST_F(Hostile, TimestampThatWrappedDuringALongSilenceIsTakenAgain) {
  establish(65535, true);
  ASSERT_TRUE(t.tcb.has(flag_timestamps));
  now = now + Duration::seconds(25LL * 24 * 3600);
  wire::Tcp h = segment();
  h.options.has = O::timestamps_bit;
  h.options.ts_val = 1000 + 0x9000'0000; // "older" than 1000
  arrive(h, "one");
  h = segment();
  h.options.has = O::timestamps_bit;
  h.options.ts_val = 1001 + 0x9000'0000;
  arrive(h, "two");
  EXPECT_EQ(t.received, "onetwo"); // RFC 7323 §5.5
}

TEST_F(Hostile, SegmentWhoseAckIsRefusedDoesNotMoveTheTimestamp) {
  establish(65535, true);
  wire::Tcp h = segment();
  h.ack = t.tcb.snd_nxt + 1000;
  h.options.has = O::timestamps_bit;
  h.options.ts_val = 0x4000'0000;
  arrive(h, "forged");
  EXPECT_EQ(t.tcb.ts_recent, 1000U);
  EXPECT_EQ(t.received, "");
}

TEST_F(Hostile, TextBeyondTheFinIsForgotten) {
  establish();
  wire::Tcp beyond = segment();
  beyond.seq += 5;
  arrive(beyond, "beyond");
  ASSERT_TRUE(t.tcb.has(flag_has_reassembly));
  arrive(segment(flag::ack | flag::fin), "end");
  EXPECT_EQ(t.tcb.state, State::CloseWait);
  EXPECT_FALSE(t.tcb.has(flag_has_reassembly)); // nothing may follow a FIN, nor be reported by SACK
  EXPECT_EQ(t.received, "end");
}

TEST_F(Hostile, OrphanTakesTheFinBehindTextItHasAlready) {
  establish();
  arrive(segment(), "text");
  Outcome out;
  orphan(t.env, t.tcb, Farewell::Reset, now, out);
  (void)t.output(now);
  wire::Tcp h = segment(flag::ack | flag::fin);
  h.seq = h.seq - 4;
  arrive(h, "text");
  EXPECT_EQ(t.tcb.state, State::TimeWait);
}

TEST_F(Hostile, AbortInTimeWaitStillAcknowledgesTheFin) {
  establish();
  Outcome out;
  close(t.env, t.tcb, now, out);
  (void)t.output(now);
  arrive(segment(flag::ack | flag::fin));
  ASSERT_EQ(t.tcb.state, State::TimeWait);
  abort(t.env, t.tcb, out);
  EXPECT_EQ(t.output(now).size(), 1U);
  EXPECT_EQ(t.tcb.reason, CloseReason::Done);
}

struct HostileEcn : Hostile {
  static Settings ecn() {
    Settings s;
    s.ecn = true;
    return s;
  }
  HostileEcn() : Hostile(ecn()) {}
};

TEST_F(HostileEcn, CongestionIsHeardWhereverTheSequenceSpaceBegins) {
  open_active(t.env, t.tcb, Seq{0x9000'0000}, 0, 1460, 536, now);
  (void)t.output(now);
  wire::Tcp h = segment(flag::syn | flag::ack | flag::ece);
  arrive(h);
  ASSERT_TRUE(t.tcb.has(flag_ecn));
  t.send("x", now);
  (void)t.output(now);
  arrive(segment(flag::ack | flag::ece));
  EXPECT_EQ(t.counters.get(Counter::ecn_reduced), 1U);
}

} // namespace engine_hostile_test
} // namespace tern::tcp
