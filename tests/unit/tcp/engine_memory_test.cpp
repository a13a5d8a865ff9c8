// What a connection holds: charged as it should be, and given back when it is of no more use.
#include "peer_test.hpp"
#include "tcp/reassembly.hpp"
#include "tcp/recovery/rtt.hpp"

namespace tern::tcp {
namespace engine_memory_test {

constexpr std::uint16_t full = 1460;

class Memory : public PeerTest {
 protected:
  Memory() : PeerTest(without_options()) {}
  static Settings without_options() {
    Settings s;
    s.timestamps = false;
    return s;
  }
  void establish() {
    wire::TcpOptions o;
    o.has = wire::TcpOptions::sack_permitted_bit | wire::TcpOptions::mss_bit;
    o.mss = full;
    open(65535, o, Duration::ms(10));
  }
  void arrive(const wire::Tcp& h, std::string_view text = {}) {
    (void)PeerTest::arrive(h, text);
    (void)t.output(now);
  }
  // To the next deadline, which fires.
  void timer() {
    const std::uint32_t at = next_deadline(t.tcb);
    ASSERT_NE(at, 0U);
    now = now + Duration::ms(static_cast<std::int32_t>(at - now.ms32()));
    t.timer(now);
  }
  void send(std::size_t n) { ASSERT_EQ(t.send(std::string(n, 'x'), now), n); }
};

TEST_F(Memory, SingleBytesOutOfOrderAreChargedTheirBuffers) {
  establish();
  const Seq from = t.tcb.rcv_nxt;
  for (std::uint32_t i = 1; i <= 10'000; ++i) {
    wire::Tcp h = segment();
    h.seq = from + 2 * i;
    arrive(h, "x");
  }
  const unsigned most = Reassembly::most_pinned(t.tcb) / 2048;
  EXPECT_LE(pool.pool().used(), most);
  EXPECT_GT(t.counters.get(Counter::drop_reassembly_full), 0U);
  ASSERT_NE(t.tcb.reassembly, nullptr);
  EXPECT_LE(t.tcb.reassembly->pinned, Reassembly::most_pinned(t.tcb));
}

// Neighbours share a buffer: a window of small segments behind one hole is not refused.
TEST_F(Memory, SmallSegmentsBehindAHoleAllFit) {
  establish();
  const Seq from = t.tcb.rcv_nxt;
  const std::uint32_t window = t.tcb.rcv_adv.since(from);
  for (std::uint32_t at = 536; at + 536 <= window; at += 536) {
    wire::Tcp h = segment();
    h.seq = from + at;
    arrive(h, std::string(536, 'x'));
  }
  EXPECT_EQ(t.counters.get(Counter::drop_reassembly_full), 0U);
  arrive(segment(), std::string(536, 'x'));
  EXPECT_EQ(t.received.size(), window / 536 * 536);
}

TEST_F(Memory, RecoveryRecordGoesBackWhenTheConnectionRests) {
  establish();
  for (int round = 0; round < 3; ++round) {
    send(30'000);
    while (t.tcb.snd_una != t.tcb.snd_end) {
      (void)t.output(now);
      now = now + Duration::ms(10);
      arrive(segment());
    }
    ASSERT_NE(t.tcb.recovery, nullptr);
    const std::uint32_t grown = t.tcb.cwnd;
    EXPECT_GT(grown, 10U * full);
    ASSERT_EQ(t.tcb.rtx, RtxTimer::Idle);
    timer();
    EXPECT_EQ(t.tcb.recovery, nullptr);
    EXPECT_EQ(next_deadline(t.tcb), 0U);
    EXPECT_EQ(t.tcb.cwnd, 10U * full); // RFC 5681 §4.1
    EXPECT_GE(t.tcb.ssthresh, grown / 4 * 3);
  }
}

TEST_F(Memory, RecoveryRecordStaysWhileThereIsSomethingToSend) {
  establish();
  send(30'000);
  (void)t.output(now);
  now = now + Duration::ms(10);
  wire::Tcp shut = segment();
  shut.window = 0;
  arrive(shut);
  EXPECT_EQ(t.tcb.rtx, RtxTimer::Persist);
  arrive(segment());
  now = now + Duration::ms(10);
  while (t.tcb.snd_una != t.tcb.snd_end) arrive(segment());
  ASSERT_EQ(t.tcb.rtx, RtxTimer::Idle);
  send(100); // in time: the timer guards it now
  ASSERT_EQ(t.output(now).size(), 1U);
  EXPECT_NE(t.tcb.rtx, RtxTimer::Idle);
  EXPECT_NE(t.tcb.recovery, nullptr);
}

// ---- Black holes.

TEST_F(Memory, FullSegmentsThatVanishAreMadeSmaller) {
  establish();
  send(3 * full);
  ASSERT_EQ(t.output(now).size(), 3U);
  for (int i = 0; i < 20 && t.tcb.path_mss == full; ++i) timer(), (void)t.output(now);
  EXPECT_EQ(t.tcb.rtx_count, 3U);
  EXPECT_EQ(t.tcb.path_mss, 1160U);
  timer();
  timer();
  EXPECT_EQ(t.tcb.path_mss, 536U);
  const auto again = t.output(now);
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].length(), 20U + 536U);
  EXPECT_EQ(t.counters.get(Counter::pmtu_black_hole), 2U);
}

TEST_F(Memory, ALinkThatWasDownIsNoBlackHole) {
  establish();
  send(3 * full);
  (void)t.output(now);
  while (t.tcb.path_mss == full) timer(), (void)t.output(now);
  wire::Tcp h = segment();
  h.ack = t.tcb.snd_una + t.tcb.mss;
  arrive(h);
  EXPECT_EQ(t.tcb.path_mss, full); // a second look
  arrive(segment());
  send(3 * full);
  (void)t.output(now);
  arrive(segment());
  EXPECT_EQ(t.tcb.path_mss, full);
}

TEST_F(Memory, ABlackHoleSeenTwiceIsBelieved) {
  establish();
  send(6 * full);
  (void)t.output(now);
  for (int look = 0; look < 2; ++look) {
    for (int i = 0; i < 10 && t.tcb.path_mss == full; ++i) timer(), (void)t.output(now);
    ASSERT_EQ(t.tcb.path_mss, 1160U);
    wire::Tcp h = segment();
    h.ack = t.tcb.snd_una + t.tcb.mss;
    arrive(h);
  }
  EXPECT_EQ(t.tcb.path_mss, 1160U);
  EXPECT_EQ(t.tcb.hole, BlackHole::Believed);
}

TEST_F(Memory, SmallTextThatVanishesIsNoBlackHole) {
  establish();
  send(500);
  (void)t.output(now);
  for (int i = 0; i < 8; ++i) timer(), (void)t.output(now);
  EXPECT_EQ(t.tcb.path_mss, full);
}

// ---- RFC 6298 §5.7: a handshake that took more than one SYN-ACK, and could not be timed.

wire::Tcp third_segment(const Handshake& hs) {
  wire::Tcp h;
  h.seq = hs.irs + 1;
  h.ack = hs.iss + 1;
  h.flags = flag::ack;
  h.window = 65535;
  return h;
}

TEST_F(Memory, RtoIsThreeSecondsWhenTheSynAckWasSentAgain) {
  for (std::uint8_t resent = 0; resent < 3; ++resent) {
    tern::test::Host host{pool.pool(), without_options()};
    Handshake hs{.iss = Seq{0xffff'ffff}, .irs = Seq{0xffff'fffe}, .peer_mss = full, .resent = resent};
    open_passive(host.env, host.tcb, hs, full, now);
    host.arrive(third_segment(hs), {}, now);
    ASSERT_EQ(host.tcb.state, State::Established);
    EXPECT_EQ(rtt::rto(host.tcb, host.settings), Duration::seconds(resent == 0 ? 1 : 3));
    EXPECT_EQ(host.tcb.cwnd, (resent > 1 ? 1U : 10U) * host.tcb.mss); // RFC 5681 §3.1, as Linux
    EXPECT_EQ(host.tcb.rtx_count, 0U);
  }
}

// All the client's ACKs but the last were lost: it echoes the first SYN-ACK, 13 s old, though it heard five.
TEST_F(Memory, ASynAckSentAgainIsNotMeasuredByItsEcho) {
  tern::test::Host host{pool.pool(), {}};
  const Handshake hs{
      .iss = Seq{0xffff'ffff}, .irs = Seq{0xffff'fffe}, .peer_mss = full, .timestamps = true, .resent = 4};
  open_passive(host.env, host.tcb, hs, full, now);
  wire::Tcp h = third_segment(hs);
  h.options.has = wire::TcpOptions::timestamps_bit;
  h.options.ts_val = 1;
  h.options.ts_ecr = now.ms32() + hs.ts_offset - 13'000;
  host.arrive(h, {}, now);
  ASSERT_EQ(host.tcb.state, State::Established);
  EXPECT_EQ(rtt::rto(host.tcb, host.settings), Duration::seconds(3));
}

} // namespace engine_memory_test
} // namespace tern::tcp
