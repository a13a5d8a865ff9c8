// Text both ways, rule by rule: when it may leave, when it is acknowledged, what its windows mean.
#include <array>
#include <functional>

#include "rig.hpp"

namespace tern::rfc {
namespace text_test {

using O = wire::TcpOptions;
using Sizes = std::vector<std::uint32_t>;

void acknowledge_all(Rig& r, std::uint16_t window = 5000) {
  r.arrives(r.tcb.rcv_nxt, flag::ack, r.tcb.snd_nxt, 0, window);
}

// How much text was in each segment that left.
Sizes sizes(const Rig& r) {
  Sizes all;
  for (const Sent& s : r.sent) all.push_back(s.text);
  return all;
}

wire::Tcp segment(const Rig& r) {
  return header(flag::ack, r.tcb.rcv_nxt, r.tcb.snd_una);
}

// ---- When text leaves.

TEST(Nagle, SmallTextWaitsForWhatIsInFlightUnlessSwitchedOff) { // RFC 9293 §3.7.4
  for (const bool on : {true, false}) {
    tcp::Settings s = Rig::plain_settings();
    s.nagle = on;
    Rig r{s};
    enter(r, State::Established); // 200 bytes are in flight
    say(r, 10);
    EXPECT_EQ(sizes(r), on ? Sizes{} : Sizes{10});
    say(r, 20);
    EXPECT_EQ(sizes(r), on ? Sizes{} : Sizes{20});
    acknowledge_all(r);
    EXPECT_EQ(sizes(r), on ? Sizes{30} : Sizes{});
  }
}

TEST(Nagle, AFullSegmentDoesNotWait) {
  tcp::Settings s = Rig::plain_settings();
  s.nagle = true;
  Rig r{s};
  enter(r, State::Established);
  say(r, r.tcb.mss + 10U);
  EXPECT_EQ(sizes(r), Sizes{r.tcb.mss}); // the rest does
}

// RFC 9293 §3.8.6.2.1: half of the largest window the peer ever had, or a full segment, or all there is.
TEST(SillyWindow, SenderWaitsForAGoodPartOfTheWindow) {
  Rig r;
  open(r, {}, 400);
  say(r, 1000);
  EXPECT_EQ(sizes(r), Sizes{400});
  acknowledge_all(r, 100);
  EXPECT_EQ(sizes(r), Sizes{});
  r.arrives(r.tcb.rcv_nxt, flag::ack, r.tcb.snd_nxt, 0, 199);
  EXPECT_EQ(sizes(r), Sizes{});
  r.arrives(r.tcb.rcv_nxt, flag::ack, r.tcb.snd_nxt, 0, 200);
  EXPECT_EQ(sizes(r), Sizes{200});
}

// … and not for ever: the override timer, which is the persist timer's.
TEST(SillyWindow, SenderThatWaitedLongSendsWhatFits) {
  Rig r;
  open(r, {}, 400);
  say(r, 1000);
  acknowledge_all(r, 100);
  ASSERT_EQ(r.tcb.rtx, tcp::RtxTimer::Persist);
  ASSERT_TRUE(r.timer_fires());
  EXPECT_EQ(sizes(r), Sizes{100});
}

// RFC 9293 §3.8.6.2.2: the right edge moves by a segment or half the buffer at least, and never left.
TEST(SillyWindow, ReceiverOpensItsWindowInStepsWorthASegment) {
  tcp::Settings s = Rig::plain_settings();
  s.receive_buffer = s.receive_buffer_max = 1000;
  Rig r{s};
  open(r);
  r.user_reads = false;
  r.arrives(r.tcb.rcv_nxt, flag::ack, r.tcb.snd_una, 500);
  r.arrives(r.tcb.rcv_nxt, flag::ack, r.tcb.snd_una, 500);
  const Seq edge = r.tcb.rcv_nxt;
  ASSERT_EQ(r.tcb.rcv_adv, edge);
  for (int i = 0; i < 4; ++i) { // the user reads byte by byte, as it were
    r.user([&] { tcp::release_received(r.env(), r.tcb, 100, r.outcome); });
    EXPECT_TRUE(r.sent.empty());
    r.arrives(edge, flag::ack, r.tcb.snd_una, 1); // the peer's probe is told: shut
    ASSERT_EQ(r.sent.size(), 1u);
    EXPECT_EQ(r.sent[0].h.window, 0u) << i;
  }
  r.user([&] { tcp::release_received(r.env(), r.tcb, 100, r.outcome); });
  ASSERT_EQ(r.sent.size(), 1u); // unasked
  EXPECT_EQ(r.sent[0].h.window, 500u);
  EXPECT_EQ(r.tcb.rcv_adv, edge + 500);
}

// A buffer beyond what a window without a scale can say is no reason to tell of each byte that was read.
TEST(SillyWindow, UnscaledWindowIsNotToldOfForEachRead) {
  for (const bool offered : {true, false}) {
    tcp::Settings s = Rig::plain_settings();
    s.receive_buffer = 1 << 20;
    s.window_scale = offered; // and the peer has none
    Rig r{s};
    open(r);
    EXPECT_EQ(r.tcb.rcv_limit, 65'535u);
    r.tcb.quick_acks = 0;
    for (int i = 0; i < 5; ++i) {
      r.arrives(segment(r), 100);
      EXPECT_TRUE(r.sent.empty()) << i;
    }
  }
}

TEST(InitialWindow, IsTenSegments) { // RFC 6928
  Rig r;
  open(r);
  say(r, 30U * r.tcb.mss);
  EXPECT_EQ(r.sent.size(), 10u);
}

// ---- When text is acknowledged.

TEST(DelayedAck, QuickAtFirstThenEverySecondFullSegmentAndNoneAfter40Ms) { // RFC 1122 §4.2.3.2
  Rig r;
  open(r);
  constexpr std::uint32_t full = 536;
  int quick = 0;
  for (; r.tcb.quick_acks != 0; ++quick) { // slow start lives on ACKs
    r.arrives(segment(r), full);
    ASSERT_EQ(r.sent.size(), 1u);
  }
  EXPECT_GE(quick, 8);
  for (int i = 0; i < 3; ++i) {
    r.arrives(segment(r), full);
    EXPECT_TRUE(r.sent.empty());
    r.arrives(segment(r), full);
    ASSERT_EQ(r.sent.size(), 1u);
    EXPECT_EQ(r.sent[0].h.ack, r.tcb.rcv_nxt);
  }
  r.arrives(segment(r), 100);
  EXPECT_TRUE(r.sent.empty());
  const Instant came = r.now;
  ASSERT_TRUE(r.timer_fires());
  EXPECT_LE(r.now - came, Duration::ms(40));
  EXPECT_EQ(r.sent.size(), 1u);
}

// How many of `n` such segments are answered at once.
int answered(Rig& r, int n, std::uint32_t text) {
  int acks = 0;
  for (int i = 0; i < n; ++i) {
    wire::Tcp h = segment(r);
    if (r.tcb.has(tcp::flag_timestamps)) {
      h.options.has = O::timestamps_bit;
      h.options.ts_val = r.tcb.ts_recent;
      h.options.ts_ecr = r.now.ms32();
    }
    r.arrives(h, text);
    acks += !r.sent.empty();
  }
  return acks;
}

// RFC 5681 §4.2: at least every two segments' worth, also where they became smaller than they were.
TEST(DelayedAck, EverySecondSegmentIsAnsweredWhateverTheirSize) {
  for (const std::uint32_t first : {1460u, 1388u, 536u, 500u}) {
    for (const std::uint32_t then : {1388u, 1000u}) {
      Rig r;
      open(r);
      r.tcb.quick_acks = 0;
      answered(r, 2, first);
      EXPECT_EQ(answered(r, 18, then), 9) << first << ' ' << then;
    }
  }
}

TEST(DelayedAck, SmallSegmentsAreAnsweredOnceASegmentsWorth) {
  Rig r;
  open(r);
  r.tcb.quick_acks = 0;
  EXPECT_EQ(answered(r, 30, 500), 15);
  EXPECT_EQ(answered(r, 30, 100), 5); // each sixth is more than 536 bytes
}

// A large receive shows no larger segment than what stamped ones can be.
TEST(DelayedAck, LargeReceiveDoesNotHideStampedSegments) {
  tcp::Settings s = Rig::plain_settings();
  s.timestamps = true;
  Rig r{s};
  wire::TcpOptions o;
  o.has = O::timestamps_bit;
  o.ts_val = 5;
  o.ts_ecr = r.now.ms32();
  open(r, o);
  ASSERT_TRUE(r.tcb.has(tcp::flag_timestamps));
  r.tcb.quick_acks = 0;
  EXPECT_EQ(answered(r, 1, 1900), 1); // two in one
  EXPECT_EQ(answered(r, 20, 1448), 10);
}

TEST(DelayedAck, TextCarriesTheAckThatIsOwed) {
  Rig r;
  open(r);
  r.tcb.quick_acks = 0;
  r.arrives(segment(r), 100);
  ASSERT_TRUE(r.sent.empty());
  say(r, 50);
  ASSERT_EQ(sizes(r), Sizes{50});
  EXPECT_EQ(r.sent[0].h.ack, r.tcb.rcv_nxt);
  EXPECT_EQ(r.tcb.ack_at_ms, 0u);
}

TEST(DelayedAck, NeverOutOfOrderNorWhenAHoleIsFilled) { // RFC 5681 §4.2
  Rig r;
  open(r);
  r.tcb.quick_acks = 0;
  wire::Tcp h = segment(r);
  h.seq += 100;
  r.arrives(h, 100);
  EXPECT_EQ(r.sent.size(), 1u);
  r.tcb.quick_acks = 0;
  r.arrives(segment(r), 100);
  ASSERT_EQ(r.sent.size(), 1u);
  EXPECT_EQ(r.sent[0].h.ack, r.tcb.rcv_nxt);
  EXPECT_EQ(r.delivered, 200u);
}

// ---- What the windows mean.

TEST(SendWindow, IsTakenFromNewerSegmentsOnly) { // §3.10.7.4: snd.wl1, snd.wl2
  Rig r;
  enter(r, State::Established);
  const Seq nxt = r.tcb.rcv_nxt, una = r.tcb.snd_una;
  r.arrives(nxt, flag::ack, una + 100, 10, 4000);
  ASSERT_EQ(r.tcb.snd_wnd, 4000u);
  r.arrives(nxt - 5, flag::ack, una + 100, 20, 1); // began before
  EXPECT_EQ(r.tcb.snd_wnd, 4000u);
  EXPECT_EQ(r.delivered, 5u);            // what it brought counts all the same
  r.arrives(nxt, flag::ack, una, 20, 2); // the same place, an older ACK
  EXPECT_EQ(r.tcb.snd_wnd, 4000u);
  r.arrives(r.tcb.rcv_nxt, flag::ack, una + 100, 0, 3000);
  EXPECT_EQ(r.tcb.snd_wnd, 3000u);
}

// §3.10.7.4: and only with an ACK that is not old. What its window ends at is counted from its ACK, not from where we are.
TEST(SendWindow, IsNotTakenFromAnOldAck) {
  Rig r;
  enter(r, State::Established);
  const Seq nxt = r.tcb.rcv_nxt, una = r.tcb.snd_una;
  r.arrives(nxt, flag::ack, una + 100, 10, 4000);     // a retransmission, so with the newest ACK
  r.arrives(nxt + 10, flag::ack, una + 50, 10, 4050); // it overtook this one
  EXPECT_EQ(r.delivered, 10u);
  EXPECT_EQ(r.tcb.snd_una + r.tcb.snd_wnd, una + 4100); // where both say that it ends
  r.arrives(r.tcb.rcv_nxt, flag::ack, una + 100, 0, 3000);
  EXPECT_EQ(r.tcb.snd_wnd, 3000u);
}

TEST(Urgent, TextIsDeliveredInLine) { // RFC 6093 §2
  Rig r;
  open(r);
  wire::Tcp h = segment(r);
  h.flags |= flag::urg;
  h.urgent = 3;
  r.arrives(h, 10);
  EXPECT_EQ(r.delivered, 10u);
  EXPECT_TRUE(r.stream_intact);
  h = segment(r);
  h.flags |= flag::urg;
  h.urgent = 60'000; // beyond all that was sent: nothing waits for it
  r.arrives(h, 10);
  EXPECT_EQ(r.delivered, 10u);
}

// ---- Options.

class WithTimestamps : public ::testing::Test {
 protected:
  static tcp::Settings settings() {
    tcp::Settings s = Rig::plain_settings();
    s.timestamps = true;
    return s;
  }
  WithTimestamps() : r{settings()} {}
  void SetUp() override {
    O o;
    o.has = O::mss_bit | O::timestamps_bit;
    o.mss = 1460;
    o.ts_val = 0xffff'fffe; // wraps with the second segment after it
    open(r, o);
  }
  wire::Tcp stamped(std::uint32_t ts_val) {
    wire::Tcp h = segment(r);
    h.options.has = O::timestamps_bit;
    h.options.ts_val = ts_val;
    return h;
  }
  Rig r;
};

TEST_F(WithTimestamps, PawsDropsWhatIsOlderAndAcknowledges) { // RFC 7323 §5.3
  r.arrives(stamped(2), 10);
  EXPECT_EQ(r.delivered, 10u);
  r.arrives(stamped(1), 10);
  EXPECT_EQ(r.delivered, 0u);
  EXPECT_EQ(r.sent.size(), 1u);
  EXPECT_EQ(r.counters.get(tcp::Counter::drop_paws), 1u);
  r.arrives(stamped(2), 10);
  EXPECT_EQ(r.delivered, 10u);
  wire::Tcp reset = stamped(1);
  reset.flags |= flag::rst;
  r.arrives(reset, 0); // §5.2: RST is exempt
  EXPECT_EQ(r.tcb.state, State::Closed);
}

// RFC 7323 §5.5: after 24 days without a word from the peer nothing is older than its last one, whatever its clock says by
// then (§5.4: a tick is a millisecond to a second, and runs a little fast or slow), and however often ours came round.
TEST_F(WithTimestamps, PawsBelievesNoTimestampOfMoreThan24DaysAgo) {
  constexpr std::int64_t day = 86'400'000;
  std::uint32_t clock = 2;
  r.arrives(stamped(clock), 10);
  for (const std::int64_t rest : {25 * day, 40 * day, 49 * day, (std::int64_t{1} << 32) + 60'000, 55 * day,
                                  70 * day, 75 * day, 110 * day, 260 * day, 400 * day, 3000 * day})
    for (const double tick_ms : {1.0, 1.000'1, 2.0, 4.0, 10.0, 1000.0}) {
      r.pass(Duration::ms(rest));
      clock += static_cast<std::uint32_t>(static_cast<std::int64_t>(static_cast<double>(rest) / tick_ms));
      r.arrives(stamped(clock), 10);
      EXPECT_EQ(r.delivered, 10u) << rest / day << " days, " << tick_ms << " ms";
      r.arrives(stamped(clock - 1), 10); // and from here on it is believed again
      EXPECT_EQ(r.delivered, 0u) << rest / day << " days, " << tick_ms << " ms";
    }
}

// After such a rest the first that comes may stand behind a gap, or be a guess whose ACK is wrong: neither keeps out what
// fills the gap.
TEST_F(WithTimestamps, AGapOrAGuessAfterALongRestKeepsNobodyOut) {
  std::uint32_t clock = 2;
  r.arrives(stamped(clock), 10);
  const auto rests = [&] {
    r.pass(Duration::seconds(30 * 86'400));
    clock += 30U * 86'400 * 1000;
  };
  rests();
  wire::Tcp behind = stamped(clock);
  behind.seq += 10;
  r.arrives(behind, 10);
  r.arrives(stamped(clock + 5), 10);
  EXPECT_EQ(r.delivered, 20u);
  EXPECT_EQ(r.counters.get(tcp::Counter::drop_paws), 0u);
  rests();
  wire::Tcp guess = stamped(clock + 0x1000'0000);
  guess.ack = r.tcb.snd_nxt + 1000;
  r.arrives(guess, 10);
  EXPECT_EQ(r.counters.get(tcp::Counter::drop_ack_of_unsent), 1u);
  r.arrives(stamped(clock), 10);
  EXPECT_EQ(r.delivered, 10u);
}

// Nor does what bears no timestamp, or one that seems newer, and is a guess; nor an honest segment without one.
TEST_F(WithTimestamps, WhatTellsNoTimeAfterALongRestEndsNoRest) {
  std::uint32_t clock = 2;
  r.arrives(stamped(clock), 10);
  const std::array<std::function<wire::Tcp()>, 5> firsts{
      [&] { // a guess
        wire::Tcp h = segment(r);
        h.ack = r.tcb.snd_nxt + 1000;
        return h;
      },
      [&] {
        wire::Tcp h = stamped(r.tcb.ts_recent + 10);
        h.ack = r.tcb.snd_nxt + 1000;
        return h;
      },
      [&] { // its number is inside the window, and not exact
        wire::Tcp h = segment(r);
        h.flags |= flag::rst;
        h.seq += 10;
        return h;
      },
      [&] {
        wire::Tcp h = segment(r);
        h.flags |= flag::syn;
        return h;
      },
      [&] { return segment(r); }};
  for (std::size_t i = 0; i < firsts.size(); ++i) {
    r.pass(Duration::seconds(30 * 86'400));
    clock += 30U * 86'400 * 1000; // seems older
    r.arrives(firsts[i](), 0);
    r.arrives(stamped(clock), 10);
    EXPECT_EQ(r.delivered, 10u) << i;
    r.arrives(stamped(clock - 1), 10); // and from here on it is believed again
    EXPECT_EQ(r.delivered, 0u) << i;
  }
}

TEST_F(WithTimestamps, EchoIsOfTheSegmentThatTheLastAckCovered) { // RFC 7323 §4.3
  wire::Tcp hole = stamped(5);
  hole.seq += 10;
  r.arrives(hole, 10);
  ASSERT_EQ(r.sent.size(), 1u);
  EXPECT_EQ(r.sent[0].h.options.ts_ecr, 0xffff'fffe);
  r.arrives(stamped(4), 10);
  ASSERT_EQ(r.sent.size(), 1u);
  EXPECT_EQ(r.sent[0].h.options.ts_ecr, 4u);
}

class WithSack : public ::testing::Test {
 protected:
  static tcp::Settings settings() {
    tcp::Settings s = Rig::plain_settings();
    s.sack = true;
    return s;
  }
  WithSack() : r{settings()} {}
  void SetUp() override {
    O o;
    o.has = O::mss_bit | O::sack_permitted_bit;
    o.mss = 1460;
    open(r, o);
    nxt = r.tcb.rcv_nxt;
  }
  // The blocks that the one ACK reports, from the left edge of what is missing.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> arrives(std::uint32_t at, std::uint32_t text) {
    wire::Tcp h = segment(r);
    h.seq = nxt + at;
    r.arrives(h, text);
    EXPECT_EQ(r.sent.size(), 1u);
    std::vector<std::pair<std::uint32_t, std::uint32_t>> blocks;
    if (r.sent.empty()) return blocks;
    const O& o = r.sent[0].h.options;
    for (std::size_t i = 0; i < o.sack_count; ++i)
      blocks.emplace_back(o.sack[i].left.since(nxt), o.sack[i].right.since(nxt));
    return blocks;
  }
  using Blocks = std::vector<std::pair<std::uint32_t, std::uint32_t>>;
  Rig r;
  Seq nxt;
};

TEST_F(WithSack, BlocksAreReportedNewestFirst) { // RFC 2018 §4
  EXPECT_EQ(arrives(100, 10), (Blocks{{100, 110}}));
  EXPECT_EQ(arrives(200, 10), (Blocks{{200, 210}, {100, 110}}));
  EXPECT_EQ(arrives(110, 10), (Blocks{{100, 120}, {200, 210}}));
  EXPECT_EQ(arrives(0, 100), (Blocks{{200, 210}}));
  EXPECT_EQ(arrives(120, 80), (Blocks{}));
}

TEST_F(WithSack, TextThatComesTwiceIsReportedOnce) { // RFC 2883 §4
  EXPECT_EQ(arrives(0, 10), (Blocks{}));
  EXPECT_EQ(arrives(0, 10), (Blocks{{0, 10}}));
  EXPECT_EQ(arrives(100, 10), (Blocks{{100, 110}}));
  EXPECT_EQ(arrives(100, 10), (Blocks{{100, 110}, {100, 110}})); // the duplicate, then what it lies in
  EXPECT_EQ(arrives(200, 10), (Blocks{{200, 210}, {100, 110}}));
}

TEST(WithoutSack, TextThatComesTwiceIsNotNoted) {
  Rig r;
  open(r);
  const wire::Tcp h = header(flag::ack, r.tcb.rcv_nxt + 100, r.tcb.snd_una);
  r.arrives(h, 10);
  r.arrives(h, 10);
  EXPECT_EQ(r.counters.get(tcp::Counter::duplicate_in), 1u);
  EXPECT_FALSE(r.tcb.has(tcp::flag_dsack));
}

TEST(Ecn, MarksAreEchoedUntilTheSenderSaysThatItSlowedDown) { // RFC 3168 §6.1.3
  tcp::Settings s = Rig::plain_settings();
  s.ecn = true;
  Rig r{s};
  open_active(r);
  r.arrives(header(flag::syn | flag::ack | flag::ece, their_iss, our_iss + 1), 0);
  ASSERT_TRUE(r.tcb.has(tcp::flag_ecn));
  r.marked = true;
  r.arrives(segment(r), 10);
  r.marked = false;
  ASSERT_EQ(r.sent.size(), 1u);
  EXPECT_TRUE(r.sent[0].h.has(flag::ece));
  r.arrives(segment(r), 10);
  ASSERT_EQ(r.sent.size(), 1u);
  EXPECT_TRUE(r.sent[0].h.has(flag::ece));
  wire::Tcp h = segment(r);
  h.flags |= flag::cwr;
  r.arrives(h, 10);
  ASSERT_EQ(r.sent.size(), 1u);
  EXPECT_FALSE(r.sent[0].h.has(flag::ece));
}

} // namespace text_test
} // namespace tern::rfc
