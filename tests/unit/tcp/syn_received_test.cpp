#include "tcp/syn_received.hpp"

#include <gtest/gtest.h>

#include "machines.hpp"

namespace tern::tcp::test {
namespace syn_received_test {

struct SynReceived : testing::Test, Host {
  SynRecord record = make(full_syn());
  wire::Tcp reply;

  SynRecord make(const wire::Tcp& syn) {
    return make_syn_record(settings, syn, 536, {.iss = iss, .ts_offset = 0x8000'0000}, t0);
  }
  SynVerdict arrives(const wire::Tcp& h, std::uint32_t text = 0, bool room = true, Instant now = t0) {
    reply = header(0xff, Seq{1}, Seq{2}); // whatever is not written shows
    return syn_received_arrives(env, record, Segment{.h = h, .text = text}, 1460, room, now, reply);
  }
  static wire::Tcp ack(std::uint32_t past_syn = 0) {
    return stamped(header(flag::ack, irs + 1 + past_syn, iss + 1), 0xffff'fff5);
  }
};

TEST_F(SynReceived, SynAckSaysWhatWasAgreed) {
  const wire::Tcp h = syn_ack(settings, record, 1460, t0);
  EXPECT_EQ(h.flags, flag::syn | flag::ack);
  EXPECT_EQ(h.seq, iss);
  EXPECT_EQ(h.ack, irs + 1);
  EXPECT_EQ(h.window, 65535);
  EXPECT_EQ(h.options.has, O::mss_bit | O::wscale_bit | O::sack_permitted_bit | O::timestamps_bit);
  EXPECT_EQ(h.options.mss, 1460);
  EXPECT_EQ(h.options.wscale, 7); // 4 MiB need a shift of 7
  EXPECT_EQ(h.options.ts_val, t0.ms32() + 0x8000'0000);
  EXPECT_EQ(h.options.ts_ecr, 0xffff'fff0);
}

TEST_F(SynReceived, SynAckOffersOnlyWhatTheSynOffered) {
  record = make(header(flag::syn, irs));
  const wire::Tcp h = syn_ack(settings, record, 1460, t0);
  EXPECT_EQ(h.options.has, O::mss_bit);
  const Handshake hs = handshake_of(settings, record);
  EXPECT_EQ(hs.peer_mss, 536); // RFC 9293 §3.7.1
  EXPECT_FALSE(hs.scaled || hs.sack || hs.timestamps || hs.ecn);
  EXPECT_EQ(hs.rcv_scale, 0);
}

TEST_F(SynReceived, SettingsTurnOptionsOff) {
  settings.sack = settings.timestamps = settings.window_scale = false;
  record = make(full_syn());
  EXPECT_EQ(syn_ack(settings, record, 1460, t0).options.has, O::mss_bit);
}

TEST_F(SynReceived, EcnIsAgreedOnlyForAnEcnSetupSyn) {
  wire::Tcp syn = full_syn();
  syn.flags |= flag::ece | flag::cwr;
  EXPECT_FALSE(make(syn).ecn); // off by default
  settings.ecn = true;
  EXPECT_TRUE(make(syn).ecn);
  EXPECT_EQ(syn_ack(settings, make(syn), 1460, t0).flags, flag::syn | flag::ack | flag::ece);
  syn.flags = flag::syn | flag::ece;
  EXPECT_FALSE(make(syn).ecn);
}

TEST_F(SynReceived, AbsurdOptionsAreClamped) {
  wire::Tcp syn = full_syn();
  syn.options.wscale = 255;
  syn.options.mss = 1;
  EXPECT_EQ(make(syn).snd_scale, 14); // RFC 7323 §2.3
  EXPECT_EQ(make(syn).peer_mss, 88);
}

TEST_F(SynReceived, OwnScaleIsTheSmallestThatServes) {
  for (std::uint32_t buffer : {0U, 1U, 65535U, 65536U, 131070U, 131071U, 4U << 20, 1U << 30, 0xffff'ffffU}) {
    settings.receive_buffer = 0;
    settings.receive_buffer_max = buffer;
    std::uint8_t s = 0;
    while (s < 14 && (std::uint64_t{65535} << s) < buffer) ++s;
    EXPECT_EQ(own_scale(settings), s) << buffer;
  }
}

TEST_F(SynReceived, AckCompletes) {
  EXPECT_EQ(arrives(ack()), SynVerdict::Complete);
  const Handshake hs = handshake_of(settings, record);
  EXPECT_EQ(hs.iss, iss);
  EXPECT_EQ(hs.irs, irs);
  EXPECT_EQ(hs.peer_mss, 1460);
  EXPECT_EQ(hs.snd_scale, 7);
  EXPECT_EQ(hs.rcv_scale, 7);
  EXPECT_TRUE(hs.scaled && hs.sack && hs.timestamps);
  EXPECT_EQ(hs.ts_recent, 0xffff'fff0);
  EXPECT_EQ(hs.ts_offset, 0x8000'0000);
  EXPECT_EQ(hs.syn_window, 50'000U);
  EXPECT_EQ(hs.sent_at_us, t0.us32());
  EXPECT_TRUE(hs.timed);
  EXPECT_EQ(count(Counter::handshake_done), 0U); // it is, once there is a connection
}

TEST_F(SynReceived, AckWithTextOrFinOrOutOfOrderTextCompletes) {
  EXPECT_EQ(arrives(ack(), 100), SynVerdict::Complete);
  wire::Tcp fin = ack();
  fin.flags |= flag::fin | flag::psh;
  EXPECT_EQ(arrives(fin, 100), SynVerdict::Complete);
  EXPECT_EQ(arrives(ack(1460), 1460), SynVerdict::Complete); // the third ACK was lost: text mends it
}

TEST_F(SynReceived, AckWithoutTheAgreedTimestampCompletes) { // as Linux
  EXPECT_EQ(arrives(header(flag::ack, irs + 1, iss + 1)), SynVerdict::Complete);
}

// Some clients try without options, or without ECN (RFC 3168 §6.1.1.1), when a SYN with them is not answered.
TEST_F(SynReceived, SynAgainWithFewerOptionsAgreesOnFewer) {
  settings.ecn = true;
  wire::Tcp syn = full_syn();
  syn.flags |= flag::ece | flag::cwr;
  record = make(syn);
  EXPECT_EQ(arrives(full_syn()), SynVerdict::Reply);
  EXPECT_EQ(reply.flags, flag::syn | flag::ack);
  EXPECT_TRUE(handshake_of(settings, record).sack);
  wire::Tcp bare = full_syn();
  bare.options = {};
  EXPECT_EQ(arrives(bare), SynVerdict::Reply);
  EXPECT_EQ(reply.options.has, wire::TcpOptions::mss_bit);
  EXPECT_EQ(arrives(full_syn()), SynVerdict::Reply); // the first, late: what was taken back does not return
  const Handshake hs = handshake_of(settings, record);
  EXPECT_FALSE(hs.scaled || hs.sack || hs.timestamps || hs.ecn);
  EXPECT_EQ(hs.snd_scale, 0);
  EXPECT_EQ(hs.rcv_scale, 0);
  EXPECT_EQ(hs.peer_mss, 1460); // of a segment's size there is no need to be sure
}

TEST_F(SynReceived, AckForAFullListenerIsDroppedAndTheRecordStays) {
  EXPECT_EQ(arrives(ack(), 100, false), SynVerdict::Drop);
  EXPECT_EQ(count(Counter::accept_queue_full), 1U);
  EXPECT_EQ(arrives(ack(), 100, true), SynVerdict::Complete);
}

TEST_F(SynReceived, TextWithoutAckIsDropped) {
  EXPECT_EQ(arrives(stamped(header(flag::psh, irs + 1), 0xffff'fff5), 10), SynVerdict::Drop);
  EXPECT_EQ(count(Counter::drop_no_ack), 1U);
}

TEST_F(SynReceived, UnacceptableAckIsReset) {
  for (const Seq wrong : {iss, iss + 2, iss - 1, iss + 0x7fff'ffff, iss + 0x8000'0001}) {
    wire::Tcp h = ack();
    h.ack = wrong;
    EXPECT_EQ(arrives(h), SynVerdict::Reply);
    EXPECT_EQ(reply.flags, flag::rst);
    EXPECT_EQ(reply.seq, wrong);
  }
  EXPECT_EQ(count(Counter::reset_out), 5U);
  EXPECT_EQ(arrives(ack()), SynVerdict::Complete); // and the record is as it was
}

TEST_F(SynReceived, SameSynAgainResendsTheSynAck) {
  EXPECT_EQ(arrives(full_syn(irs, 5)), SynVerdict::Reply); // TSval past the wrap: newer
  EXPECT_EQ(reply.flags, flag::syn | flag::ack);
  EXPECT_EQ(reply.seq, iss);
  EXPECT_EQ(reply.options.ts_ecr, 5U); // RFC 7323 §4.3
  EXPECT_EQ(record.retries, 0);        // the timer's count is its own
  EXPECT_FALSE(handshake_of(settings, record).timed);
  EXPECT_EQ(count(Counter::syn_duplicate), 1U);
}

// Its text was not taken, so it comes with the SYN each time; the bare ACK of a challenge would say nothing to SYN-SENT.
TEST_F(SynReceived, SameSynAgainWithTextResendsTheSynAck) {
  for (const std::uint32_t text : {1U, 1000U, 65'534U, 65'535U}) {
    EXPECT_EQ(arrives(full_syn(irs, 5), text), SynVerdict::Reply) << text;
    EXPECT_EQ(reply.flags, flag::syn | flag::ack) << text;
    EXPECT_EQ(reply.seq, iss);
    EXPECT_EQ(reply.ack, irs + 1);
  }
  EXPECT_EQ(count(Counter::syn_duplicate), 4U);
  EXPECT_EQ(count(Counter::challenge_ack), 0U);
  // An older copy with text is none of that.
  EXPECT_EQ(arrives(full_syn(irs, 0xffff'ffef), 1000), SynVerdict::Reply);
  EXPECT_EQ(reply.flags, flag::ack);
  EXPECT_EQ(count(Counter::drop_paws), 1U);
}

TEST_F(SynReceived, OlderCopyOfTheSynIsChallenged) {
  EXPECT_EQ(arrives(full_syn(irs, 0xffff'ffef)), SynVerdict::Reply);
  EXPECT_EQ(reply.flags, flag::ack);
  EXPECT_EQ(count(Counter::drop_paws), 1U);
  EXPECT_EQ(record.ts_recent, 0xffff'fff0);
}

// RFC 9293 figure 9, told from the side that listens: an old duplicate SYN made the record; the real SYN is
// another.
TEST_F(SynReceived, Figure9OldDuplicateSynEndsInReset) {
  record = make(header(flag::syn, Seq{90} - 100)); // the old one: the real SYN's number is past the wrap
  EXPECT_EQ(arrives(header(flag::syn, Seq{100})), SynVerdict::Reply);
  EXPECT_EQ(reply.flags, flag::ack); // RFC 5961 §4: a challenge
  EXPECT_EQ(reply.seq, iss + 1);
  EXPECT_EQ(reply.ack, Seq{91} - 100);
  // The peer, in SYN-SENT, never sent 91 - 100: it answers with RST there (so it does to the SYN-ACK itself).
  EXPECT_EQ(arrives(header(flag::rst, reply.ack)), SynVerdict::Closed);
}

TEST_F(SynReceived, SynOutsideTheWindowIsChallenged) {
  for (const Seq s : {irs - 1, irs - 70'000, irs + 1 + 65'535}) {
    EXPECT_EQ(arrives(header(flag::syn, s)), SynVerdict::Reply) << s.raw();
    EXPECT_EQ(reply.flags, flag::ack);
  }
}

TEST_F(SynReceived, SynAckOfAnotherIncarnationIsChallenged) {
  EXPECT_EQ(arrives(header(flag::syn | flag::ack, irs, iss + 1)), SynVerdict::Reply);
  EXPECT_EQ(reply.flags, flag::ack);
}

TEST_F(SynReceived, ResetExactlyAtRcvNxtCloses) {
  EXPECT_EQ(arrives(header(flag::rst, irs + 1)), SynVerdict::Closed);
  EXPECT_EQ(count(Counter::reset_in), 1U);
}

TEST_F(SynReceived, ResetElsewhereInTheWindowIsChallenged) {
  for (const std::uint32_t at : {1U, 2U, 65'534U}) {
    EXPECT_EQ(arrives(header(flag::rst, irs + 1 + at)), SynVerdict::Reply);
    EXPECT_EQ(reply.flags, flag::ack);
  }
  EXPECT_EQ(count(Counter::drop_rst_not_exact), 3U);
}

TEST_F(SynReceived, ResetOutsideTheWindowIsDropped) {
  EXPECT_EQ(arrives(header(flag::rst, irs)), SynVerdict::Drop);
  EXPECT_EQ(arrives(header(flag::rst, irs + 1 + 65'535)), SynVerdict::Drop);
  EXPECT_EQ(arrives(header(flag::rst | flag::ack, irs, iss + 1)), SynVerdict::Drop);
}

TEST_F(SynReceived, ResetIsExemptFromPaws) {
  EXPECT_EQ(arrives(stamped(header(flag::rst, irs + 1), 1'000'000 - 0x7000'0000U)), SynVerdict::Closed);
}

TEST_F(SynReceived, TextLeftOfTheWindowIsAcknowledged) {
  EXPECT_EQ(arrives(stamped(header(flag::ack, irs - 99, iss + 1), 0xffff'fff5), 100), SynVerdict::Reply);
  EXPECT_EQ(reply.flags, flag::ack);
  EXPECT_EQ(reply.ack, irs + 1);
}

TEST_F(SynReceived, TextAcrossTheLeftEdgeCompletes) {
  EXPECT_EQ(arrives(stamped(header(flag::ack, irs, iss + 1), 0xffff'fff5), 100), SynVerdict::Complete);
}

TEST_F(SynReceived, PawsRefusesAnOldTimestamp) {
  EXPECT_EQ(arrives(stamped(header(flag::ack, irs + 1, iss + 1), 0xffff'ffef)), SynVerdict::Reply);
  EXPECT_EQ(reply.flags, flag::ack);
  EXPECT_EQ(count(Counter::drop_paws), 1U);
}

TEST_F(SynReceived, AnswersAreLimitedPerRecordAndSecond) {
  for (int i = 0; i < 10; ++i) EXPECT_EQ(arrives(full_syn()), SynVerdict::Reply);
  EXPECT_EQ(arrives(full_syn()), SynVerdict::Drop);
  EXPECT_EQ(arrives(header(flag::syn, irs - 5)), SynVerdict::Drop);
  EXPECT_EQ(count(Counter::challenge_ack_limited), 2U);
  EXPECT_EQ(arrives(full_syn(), 0, true, t0 + Duration::seconds(1)), SynVerdict::Reply);
  EXPECT_EQ(arrives(ack()), SynVerdict::Complete); // what completes is never limited
}

TEST_F(SynReceived, TimerBacksOffAndGivesUpAfter63Seconds) {
  Duration lived = first_syn_ack_timeout(settings);
  EXPECT_EQ(lived, Duration::seconds(1));
  for (const int s : {2, 4, 8, 16, 32}) {
    const auto next = syn_ack_timer_fires(env, record);
    ASSERT_TRUE(next);
    EXPECT_EQ(*next, Duration::seconds(s));
    lived = lived + *next;
  }
  EXPECT_FALSE(syn_ack_timer_fires(env, record));
  EXPECT_EQ(lived, Duration::seconds(63));
  EXPECT_EQ(count(Counter::retransmit_syn_ack), 5U);
  EXPECT_EQ(count(Counter::syn_given_up), 1U);
  EXPECT_FALSE(handshake_of(settings, record).timed);
}

TEST_F(SynReceived, TimerIsBoundedByTheLargestRto) {
  settings.synack_retries = 255;
  int fired = 0;
  while (const auto next = syn_ack_timer_fires(env, record)) {
    EXPECT_LE(*next, settings.rto_max);
    EXPECT_GT(*next, Duration{});
    ++fired;
  }
  EXPECT_EQ(fired, 255);
}

} // namespace syn_received_test
} // namespace tern::tcp::test
