// Windows: that of a segment with SYN is never scaled (RFC 7323 §2.2), what lies outside is refused, and a shut one.
#include "rig.hpp"

namespace tern::rfc {
namespace window_test {

TEST(SynSent, SynAckHasAnUnscaledWindow) {
  tcp::Settings s = Rig::plain_settings();
  s.window_scale = true;
  Rig r{s};
  wire::TcpOptions o;
  o.has = wire::TcpOptions::mss_bit | wire::TcpOptions::wscale_bit;
  o.mss = 1460;
  o.wscale = 4;
  open(r, o, 50'000);
  EXPECT_EQ(r.tcb.snd_wnd, 50'000u);
  EXPECT_EQ(r.tcb.max_snd_wnd, 50'000u);
}

TEST(SynReceived, SynAckOfSimultaneousOpenHasAnUnscaledWindow) {
  tcp::Settings s = Rig::plain_settings();
  s.window_scale = true;
  Rig r{s};
  open_active(r);
  wire::Tcp syn = header(flag::syn, their_iss, Seq{}, 50'000);
  syn.options.has = wire::TcpOptions::mss_bit | wire::TcpOptions::wscale_bit;
  syn.options.mss = 1460;
  syn.options.wscale = 4;
  r.arrives(syn, 0);
  ASSERT_EQ(r.tcb.state, State::SynReceived);
  syn.flags |= flag::ack;
  syn.ack = our_iss + 1;
  r.arrives(syn, 0);
  ASSERT_EQ(r.tcb.state, State::Established);
  EXPECT_EQ(r.tcb.snd_wnd, 50'000u); // and not sixteen times that
  EXPECT_EQ(r.tcb.max_snd_wnd, 50'000u);
  r.arrives(r.tcb.rcv_nxt, flag::ack, r.tcb.snd_una, 0, 3000);
  EXPECT_EQ(r.tcb.snd_wnd, 48'000u);
}

// Their SYN again, with text on it or without: whoever sends it has not heard our SYN, which an ACK alone would not tell.
TEST(SynReceived, SynAgainIsAnsweredByTheSynAckWhateverLiesOnIt) {
  for (const std::uint32_t text : {0U, 10U, 1460U})
    for (const std::uint8_t fin : {std::uint8_t{0}, flag::fin}) {
      SCOPED_TRACE(text);
      Rig r;
      enter(r, State::SynReceived);
      r.arrives(header(static_cast<std::uint8_t>(flag::syn | fin), their_iss), text);
      EXPECT_EQ(r.tcb.state, State::SynReceived);
      ASSERT_EQ(r.sent.size(), 1u);
      EXPECT_EQ(r.sent[0].h.flags, flag::syn | flag::ack);
      EXPECT_EQ(r.sent[0].h.seq, our_iss);
      EXPECT_EQ(r.sent[0].h.ack, their_iss + 1); // the text will come again
      r.arrives(header(flag::syn | flag::ack, their_iss, our_iss + 1), text);
      EXPECT_EQ(r.tcb.state, State::Established);
      EXPECT_EQ(r.delivered, text);
    }
}

// ---- §3.10.7.4, first: what is refused, and by what name. Honest peers send old ACKs too, on the cleanest of links.

TEST(Established, OldAckIsAnsweredAndIsNoDrop) {
  Rig r;
  enter(r, State::Established);
  const Seq nxt = r.tcb.rcv_nxt;
  const auto count = [&](tcp::Counter c) { return r.counters.get(c); };
  r.arrives(nxt, flag::ack, r.tcb.snd_una, 100);
  r.arrives(nxt, flag::ack, r.tcb.snd_una); // that text overtook it
  EXPECT_EQ(r.sent.size(), 1u);
  r.arrives(nxt + 99, flag::ack, r.tcb.snd_nxt); // keep-alive, or a probe of a shut window
  EXPECT_EQ(r.sent.size(), 1u);
  EXPECT_EQ(count(tcp::Counter::old_ack_in), 2u);
  EXPECT_EQ(count(tcp::Counter::drop_out_of_window), 0u);
  EXPECT_EQ(r.tcb.outstanding(), 200u); // refused all the same
}

TEST(Established, WhatNoHonestPeerSendsIsADropOutsideTheWindow) {
  Rig r;
  enter(r, State::Established);
  const Seq nxt = r.tcb.rcv_nxt;
  r.arrives(nxt - 1, flag::ack, r.tcb.snd_nxt + 1);                     // of what we have not sent
  r.arrives(nxt - 1, flag::ack, r.tcb.snd_una - r.tcb.max_snd_wnd - 1); // of what nobody remembers
  r.arrives(r.tcb.rcv_adv + 1, flag::ack, r.tcb.snd_una);               // beyond
  r.arrives(nxt - 1, flag::rst | flag::ack, r.tcb.snd_una);             // a guess
  r.arrives(nxt - 1, flag::syn | flag::ack, r.tcb.snd_una);             // the handshake's
  r.arrives(nxt - 1, 0, r.tcb.snd_una);                                 // of nothing
  EXPECT_EQ(r.counters.get(tcp::Counter::drop_out_of_window), 6u);
  EXPECT_EQ(r.counters.get(tcp::Counter::old_ack_in), 0u);
}

// ---- §3.10.7.4: "If the RCV.WND is zero, no segments will be acceptable, but special allowance should be
// made".

class ShutWindow : public ::testing::Test {
 protected:
  static tcp::Settings small() {
    tcp::Settings s = Rig::plain_settings();
    s.receive_buffer = s.receive_buffer_max = 1000;
    return s;
  }
  ShutWindow() : r{small()} {}
  void SetUp() override {
    enter(r, State::Established);
    r.user_reads = false;
    r.arrives(r.tcb.rcv_nxt, flag::ack, r.tcb.snd_una, 1000 - 20); // 20 are there from before
    r.arrives(r.tcb.rcv_nxt, flag::ack, r.tcb.snd_una, r.tcb.rcv_adv.since(r.tcb.rcv_nxt));
    ASSERT_EQ(r.tcb.rcv_adv, r.tcb.rcv_nxt);
    nxt = r.tcb.rcv_nxt;
  }
  Rig r;
  Seq nxt;
};

TEST_F(ShutWindow, AckOfASegmentWithTextCounts) {
  ASSERT_EQ(r.tcb.outstanding(), 200u);
  r.arrives(nxt, flag::ack, r.tcb.snd_nxt, 100);
  EXPECT_EQ(r.tcb.outstanding(), 0u);
  EXPECT_EQ(r.delivered, 0u);
  EXPECT_EQ(r.tcb.rcv_nxt, nxt);
  ASSERT_EQ(r.sent.size(), 1u); // and the text is answered by where the window stands
  EXPECT_EQ(r.sent[0].h.ack, nxt);
  EXPECT_EQ(r.sent[0].h.window, 0u);
}

TEST_F(ShutWindow, AckOfAProbeThatBeginsBelowCounts) {
  r.arrives(nxt - 1, flag::ack, r.tcb.snd_nxt, 2);
  EXPECT_EQ(r.tcb.outstanding(), 0u);
  EXPECT_EQ(r.tcb.rcv_nxt, nxt);
  EXPECT_EQ(r.sent.size(), 1u);
}

TEST_F(ShutWindow, ResetWithTextIsBelievedAtRcvNxtOnly) {
  r.arrives(nxt - 1, flag::rst | flag::ack, r.tcb.snd_nxt, 2);
  EXPECT_EQ(r.tcb.state, State::Established);
  r.arrives(nxt, flag::rst | flag::ack, r.tcb.snd_nxt, 1);
  EXPECT_EQ(r.tcb.state, State::Closed);
}

TEST_F(ShutWindow, TextAboveIsRefusedWithItsAck) {
  r.arrives(nxt + 1, flag::ack, r.tcb.snd_nxt, 100);
  EXPECT_EQ(r.tcb.outstanding(), 200u);
  EXPECT_EQ(r.sent.size(), 1u);
  EXPECT_EQ(r.tcb.reassembly, nullptr);
}

TEST_F(ShutWindow, FinAloneIsTakenSinceItNeedsNoRoom) {
  r.arrives(nxt, flag::fin | flag::ack, r.tcb.snd_nxt);
  EXPECT_EQ(r.tcb.state, State::CloseWait);
  EXPECT_EQ(r.tcb.rcv_nxt, nxt + 1);
}

TEST_F(ShutWindow, FinBehindTextIsNotTakenBeforeIt) {
  r.arrives(nxt, flag::fin | flag::ack, r.tcb.snd_nxt, 1);
  EXPECT_EQ(r.tcb.state, State::Established);
  EXPECT_EQ(r.tcb.rcv_nxt, nxt);
}

} // namespace window_test
} // namespace tern::rfc
