// What an ACK tells of losses, and what it does not: one that others overtook on their way, a duplicate that a probe of
// ours made, one that new text could answer, one of a part of what no longer fits the path.
#include "rig.hpp"

namespace tern::rfc {
namespace losses_test {

using tcp::Counter;

constexpr std::uint32_t mss = 1460;

// ---- An ACK below snd.una is old news (RFC 9293 §3.10.7.4), however late it comes.

// RFC 2883 §4: a duplicate lies below the ACK of the segment that reports it.
TEST(OldAck, WhatItHeldThenIsNoDuplicateNow) {
  Rig r;
  open_bulk(r, true);
  say(r, 10 * mss);
  r.pass(Duration::ms(50));
  for (std::uint32_t n = 2; n <= 4; ++n) hears(r, 0, {{mss, n * mss}});
  ASSERT_EQ(r.counters.get(Counter::retransmit_fast), 1u);
  const std::uint32_t ssthresh = r.tcb.ssthresh;
  ASSERT_LT(ssthresh, 10 * mss);
  r.pass(Duration::ms(50));
  hears(r, 10 * mss);
  const std::uint32_t cwnd = r.tcb.cwnd;
  hears(r, 0, {{mss, 9 * mss}}); // overtaken
  EXPECT_EQ(r.counters.get(Counter::undo), 0u);
  EXPECT_EQ(r.counters.get(Counter::retransmit_spurious), 0u);
  EXPECT_EQ(r.tcb.ssthresh, ssthresh);
  EXPECT_EQ(r.tcb.cwnd, cwnd);
}

// RFC 5681 §2 (e): a duplicate ACK is one of the greatest that was received.
TEST(OldAck, IsNoDuplicateOfALaterOne) {
  Rig r;
  open_bulk(r, false);
  say(r, 10 * mss);
  r.pass(Duration::ms(50));
  hears(r, 4 * mss);
  for (std::uint32_t n = 1; n <= 3; ++n) hears(r, n * mss);
  EXPECT_EQ(r.counters.get(Counter::retransmit_fast), 0u);
  for (std::uint32_t n = 1; n <= 3; ++n) hears(r, 4 * mss); // and these are some
  EXPECT_EQ(r.counters.get(Counter::retransmit_fast), 1u);
}

// RFC 8985 §7.4.2: only an ACK of all that the probe ended says that both of its copies arrived.
TEST(OldAck, DoesNotSayThatAProbeWasNeedless) {
  Rig r;
  open_bulk(r, true);
  say(r, mss);
  r.pass(Duration::ms(10));
  hears(r, mss);
  say(r, 2 * mss);
  ASSERT_TRUE(r.timer_fires());
  ASSERT_EQ(r.counters.get(Counter::retransmit_tlp), 1u);
  r.pass(Duration::ms(10));
  hears(r, 3 * mss);
  hears(r, 2 * mss); // overtaken
  const std::uint32_t cwnd = r.tcb.cwnd;
  say(r, mss);
  r.pass(Duration::ms(10));
  hears(r, 4 * mss);
  EXPECT_LT(r.tcb.cwnd, cwnd); // the probe mended a loss
}

// What came without its text is heard, and is no duplicate ACK either: whoever sends text says nothing of ours.
TEST(OldAck, NorIsOneWhoseTextWasTakenOff) {
  Rig r;
  open_bulk(r, false);
  say(r, 10 * mss);
  for (std::uint32_t n = 0; n < 4; ++n) {
    const wire::Tcp full = header(flag::ack | flag::psh, r.tcb.rcv_nxt + 1000 * n, r.tcb.snd_una);
    wire::Tcp bare;
    const tcp::Segment s = tcp::without_text({.h = full, .text = 1000}, bare);
    r.user([&] { tcp::segment_arrives(r.env(), r.tcb, s, r.now, r.outcome); });
  }
  EXPECT_EQ(r.counters.get(Counter::retransmit_fast), 0u);
}

// ---- Undo (RFC 3708): the duplicate that answers a tail probe says nothing of what was sent again after it.

class AfterProbe : public ::testing::Test {
 protected:
  void SetUp() override {
    open_bulk(r, true);
    say(r, mss);
    r.pass(Duration::ms(10));
    hears(r, mss);
    say(r, 10 * mss);
    ASSERT_TRUE(r.timer_fires());
    ASSERT_EQ(r.counters.get(Counter::retransmit_tlp), 1u);
  }
  void probe_arrives_too() { hears(r, mss, {{10 * mss, 11 * mss}, {2 * mss, 11 * mss}}); }
  Rig r;
};

TEST_F(AfterProbe, ItsDuplicateDoesNotUndoAFastRetransmit) {
  r.pass(Duration::ms(3));
  hears(r, mss, {{2 * mss, 11 * mss}}); // late: the second segment is lost
  ASSERT_EQ(r.counters.get(Counter::retransmit_fast), 1u);
  const std::uint32_t ssthresh = r.tcb.ssthresh;
  r.pass(Duration::ms(8));
  probe_arrives_too();
  r.pass(Duration::ms(2));
  hears(r, 11 * mss);
  EXPECT_EQ(r.counters.get(Counter::undo), 0u);
  EXPECT_EQ(r.tcb.ssthresh, ssthresh);
}

TEST_F(AfterProbe, AllDuplicatesTogetherUndo) {
  r.pass(Duration::ms(3));
  hears(r, mss, {{2 * mss, 11 * mss}});
  ASSERT_EQ(r.counters.get(Counter::retransmit_fast), 1u);
  r.pass(Duration::ms(8));
  probe_arrives_too();
  hears(r, 11 * mss); // the first of both copies, and it was the original
  hears(r, 11 * mss, {{mss, 2 * mss}});
  EXPECT_EQ(r.counters.get(Counter::undo), 1u);
}

// ---- F-RTO (RFC 5682 §2.1 step 2b): new text tells more than what was lost would, but only text that may leave.

class AfterTimeOut : public ::testing::Test {
 protected:
  void lose(std::uint32_t bytes) {
    open_bulk(r, false);
    say(r, bytes);
    r.pass(Duration::ms(10));
    ASSERT_TRUE(r.timer_fires());
    ASSERT_EQ(r.counters.get(Counter::retransmit_rto), 1u);
    r.pass(Duration::ms(10));
    hears(r, mss);
  }
  Rig r;
};

TEST_F(AfterTimeOut, WhatNagleHoldsIsNotWaitedFor) {
  r.settings.nagle = true;
  lose(3 * mss + 100);
  ASSERT_FALSE(r.sent.empty());
  EXPECT_EQ(r.sent[0].h.seq, our_iss + 1 + mss); // the next that was lost, at once
}

TEST_F(AfterTimeOut, NewTextGoesFirst) {
  r.settings.initial_window = 3;
  lose(5 * mss);
  ASSERT_FALSE(r.sent.empty());
  EXPECT_EQ(r.sent[0].h.seq, our_iss + 1 + 3 * mss);
}

// ---- The path's MTU comes down (RFC 1191 §6.5): all that is too long goes again, not its first part alone.

TEST(PathMtu, SegmentThatIsTooLongIsSentAgainWhole) {
  Rig r;
  open_bulk(r, false);
  say(r, mss);
  const std::uint32_t cwnd = r.tcb.cwnd;
  r.pass(Duration::ms(10));
  r.user([&] { tcp::path_mtu_reduced(r.env(), r.tcb, r.tcb.snd_una, 1200, r.now, r.outcome); });
  std::uint32_t again = 0;
  for (const Sent& s : r.sent) again += s.text;
  EXPECT_EQ(again, mss);
  EXPECT_EQ(r.sent.size(), 2u);
  EXPECT_GE(r.tcb.cwnd, cwnd - mss); // in bytes of the smaller segments
  r.pass(Duration::ms(10));
  hears(r, mss);
  EXPECT_EQ(r.counters.get(Counter::retransmit_rto), 0u);
  EXPECT_EQ(r.tcb.outstanding(), 0u);
}

} // namespace losses_test
} // namespace tern::rfc
