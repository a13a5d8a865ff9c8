#include "tcp/time_wait.hpp"

#include <gtest/gtest.h>

#include "machines.hpp"

namespace tern::tcp::test {
namespace time_wait_test {

constexpr Seq snd_nxt{0xffff'8000}; // the next incarnation's ISN lies past the wrap
constexpr Seq rcv_nxt{0x0000'0001}; // after the FIN at 0
constexpr std::uint32_t ts_recent = 0x7fff'ffff;

struct TimeWait : testing::Test, Host {
  TimeWaitRecord record = make(true);
  wire::Tcp reply;

  TimeWaitRecord make(bool timestamps, std::uint32_t window = 500) {
    return make_time_wait(env, {.snd_nxt = snd_nxt,
                                .rcv_nxt = rcv_nxt,
                                .rcv_wnd = window,
                                .ts_recent = timestamps ? ts_recent : 0,
                                .ts_recent_at_ms = t0.ms32(),
                                .ts_offset = 0x4000'0000,
                                .timestamps = timestamps});
  }
  TimeWaitVerdict arrives(const wire::Tcp& h, std::uint32_t text = 0, Instant now = t0) {
    reply = header(0xff, Seq{1}, Seq{2}); // whatever is not written shows
    return time_wait_arrives(env, record, Segment{.h = h, .text = text}, now, reply);
  }
  static wire::Tcp fin(std::uint32_t ts = ts_recent, std::uint32_t text = 0) {
    return stamped(header(flag::fin | flag::ack, rcv_nxt - 1 - text, snd_nxt), ts);
  }
  void expect_ack() const {
    EXPECT_EQ(reply.flags, flag::ack);
    EXPECT_EQ(reply.seq, snd_nxt);
    EXPECT_EQ(reply.ack, rcv_nxt);
    EXPECT_EQ(reply.window, 500);
  }
};

TEST_F(TimeWait, AWindowThatWasScaledIsTheLargestThatFits) {
  record = make(true, 65'536 + 7);
  EXPECT_EQ(arrives(fin(ts_recent + 5)), TimeWaitVerdict::Restart);
  EXPECT_EQ(reply.window, 65'535);
}

TEST_F(TimeWait, FinAgainIsAcknowledgedAndRestarts2Msl) {
  EXPECT_EQ(arrives(fin(ts_recent + 5)), TimeWaitVerdict::Restart); // past the sign: still newer
  expect_ack();
  EXPECT_EQ(reply.options.has, O::timestamps_bit);
  EXPECT_EQ(reply.options.ts_val, t0.ms32() + 0x4000'0000);
  EXPECT_EQ(reply.options.ts_ecr, ts_recent + 5); // RFC 7323 §4.3
  EXPECT_EQ(count(Counter::time_wait_fin_again), 1U);
}

TEST_F(TimeWait, FinWithItsTextAgainRestartsToo) {
  EXPECT_EQ(arrives(fin(ts_recent, 1000), 1000), TimeWaitVerdict::Restart);
  expect_ack();
}

TEST_F(TimeWait, AnotherFinOrAnOlderOneDoesNotRestart) {
  wire::Tcp other = fin();
  other.seq += 1;
  EXPECT_EQ(arrives(other), TimeWaitVerdict::Reply);
  expect_ack();
  EXPECT_EQ(arrives(fin(ts_recent - 1)), TimeWaitVerdict::Reply); // PAWS
  expect_ack();
  EXPECT_EQ(record.ts_recent, ts_recent);
  EXPECT_EQ(count(Counter::time_wait_old_segment), 2U);
}

TEST_F(TimeWait, ResetIsIgnoredEvenExactly) { // RFC 1337
  for (const Seq s : {rcv_nxt, rcv_nxt - 1, rcv_nxt + 100})
    EXPECT_EQ(arrives(header(flag::rst, s)), TimeWaitVerdict::Drop);
  EXPECT_EQ(arrives(header(flag::rst | flag::syn, rcv_nxt)), TimeWaitVerdict::Drop);
  EXPECT_EQ(count(Counter::time_wait_rst_ignored), 4U);
}

TEST_F(TimeWait, OldTextIsAcknowledgedAndDies) {
  EXPECT_EQ(arrives(stamped(header(flag::ack, rcv_nxt - 3000, snd_nxt), ts_recent - 9), 1000),
            TimeWaitVerdict::Reply);
  expect_ack();
  EXPECT_EQ(arrives(stamped(header(flag::ack, rcv_nxt, snd_nxt), ts_recent), 10),
            TimeWaitVerdict::Reply); // after the FIN
  expect_ack();
}

// Two ends in TIME-WAIT (simultaneous close) must not answer each other for ever.
TEST_F(TimeWait, EmptySegmentsAreNeverAnswered) {
  for (const Seq s : {rcv_nxt, rcv_nxt - 1, rcv_nxt + 0x7000'0000})
    EXPECT_EQ(arrives(header(flag::ack, s, snd_nxt)), TimeWaitVerdict::Drop);
  EXPECT_EQ(count(Counter::time_wait_old_segment), 3U);
}

// ---- The next incarnation, RFC 6191 §2: every case.
TEST_F(TimeWait, SynWithLaterTimestampReusesWhateverItsNumber) {
  EXPECT_EQ(arrives(full_syn(rcv_nxt - 1'000'000, ts_recent + 1)), TimeWaitVerdict::Reuse);
  EXPECT_EQ(arrives(full_syn(rcv_nxt + 1'000'000, ts_recent + 0x7fff'ffff)), TimeWaitVerdict::Reuse);
  EXPECT_EQ(record.next_iss(), snd_nxt + 65'537);
  EXPECT_TRUE(record.next_iss().after(snd_nxt));
}

TEST_F(TimeWait, SynWithEqualTimestampNeedsAHigherNumber) {
  EXPECT_EQ(arrives(full_syn(rcv_nxt + 1, ts_recent)), TimeWaitVerdict::Reuse);
  EXPECT_EQ(arrives(full_syn(rcv_nxt, ts_recent)), TimeWaitVerdict::Reply);
  EXPECT_EQ(arrives(full_syn(rcv_nxt - 1, ts_recent)), TimeWaitVerdict::Reply);
}

TEST_F(TimeWait, SynWithEarlierTimestampIsAnsweredWithAckWhateverItsNumber) {
  EXPECT_EQ(arrives(full_syn(rcv_nxt + 1'000'000, ts_recent - 1)), TimeWaitVerdict::Reply);
  expect_ack();
  EXPECT_EQ(count(Counter::time_wait_old_syn), 1U);
}

TEST_F(TimeWait, SynWithoutTimestampsNeedsAHigherNumber) {
  EXPECT_EQ(arrives(header(flag::syn, rcv_nxt + 1)), TimeWaitVerdict::Reuse);
  EXPECT_EQ(arrives(header(flag::syn, rcv_nxt + 0x7fff'ffff)), TimeWaitVerdict::Reuse);
  EXPECT_EQ(arrives(header(flag::syn, rcv_nxt)), TimeWaitVerdict::Reply);
  EXPECT_EQ(arrives(header(flag::syn, rcv_nxt - 1)), TimeWaitVerdict::Reply);
  expect_ack();
}

TEST_F(TimeWait, NewTimestampsReuseAConnectionThatHadNone) {
  record = make(false);
  EXPECT_EQ(arrives(full_syn(rcv_nxt - 1000, 0)), TimeWaitVerdict::Reuse);
  settings.timestamps = false; // they would not be enabled: the number decides
  EXPECT_EQ(arrives(full_syn(rcv_nxt - 1000, 0)), TimeWaitVerdict::Reply);
  EXPECT_EQ(reply.options.has, 0);
  EXPECT_EQ(arrives(full_syn(rcv_nxt + 1000, 0)), TimeWaitVerdict::Reuse);
}

TEST_F(TimeWait, SynThatIsMoreThanASynIsNoNewConnection) {
  EXPECT_EQ(arrives(header(flag::syn | flag::ack, rcv_nxt + 9, snd_nxt)), TimeWaitVerdict::Reply);
  EXPECT_EQ(arrives(header(flag::syn | flag::fin, rcv_nxt + 9)), TimeWaitVerdict::Reply);
}

// ---- Active opens: Linux's tcp_tw_reuse.
TEST_F(TimeWait, ActiveOpenReusesAfterASecondWithTimestampsOnly) {
  for (int ms = 0; ms < 1000; ++ms)
    ASSERT_FALSE(may_reuse_for_active_open(record, t0 + Duration::ms(ms))) << ms;
  EXPECT_TRUE(may_reuse_for_active_open(record, t0 + Duration::ms(1100)));
  EXPECT_TRUE(may_reuse_for_active_open(record, t0 + time_wait_most));
  record = make(false);
  EXPECT_FALSE(may_reuse_for_active_open(record, t0 + Duration::seconds(10)));
}

TEST_F(TimeWait, AgeIsRightWhereverTheClockStands) {
  // Every phase of the 64 ms unit, across the wraps of the 15-bit stamp and of the 32-bit clock.
  for (const std::int64_t wrap : {std::int64_t{1} << 21, std::int64_t{1} << 32})
    for (int phase = -2200; phase < 100; ++phase) {
      const Instant in = Instant::at_ns(0) + Duration::ms(wrap + phase);
      TimeWaitFacts f{
          .snd_nxt = snd_nxt, .rcv_nxt = rcv_nxt, .ts_recent_at_ms = in.ms32(), .timestamps = true};
      const TimeWaitRecord r = make_time_wait(env, f);
      ASSERT_FALSE(may_reuse_for_active_open(r, in + Duration::ms(999)));
      ASSERT_TRUE(may_reuse_for_active_open(r, in + Duration::ms(1152)));
    }
}

TEST_F(TimeWait, FinAgainMakesTheTimestampYoungAgain) {
  const Instant later = t0 + Duration::seconds(5);
  ASSERT_TRUE(may_reuse_for_active_open(record, later));
  EXPECT_EQ(arrives(fin(), 0, later), TimeWaitVerdict::Restart);
  EXPECT_FALSE(may_reuse_for_active_open(record, later + Duration::ms(900)));
}

} // namespace time_wait_test
} // namespace tern::tcp::test
