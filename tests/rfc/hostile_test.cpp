// What a peer may try: each costs bounded work and memory, is counted, and moves nothing that it should not.
// The rig checks the engine's invariants after every segment.
#include <random>

#include "rig.hpp"
#include "tcp/listen.hpp"
#include "tcp/reassembly.hpp"
#include "tcp/recovery/recovery.hpp"

namespace tern::rfc {
namespace hostile_test {

using tcp::Counter;
using O = wire::TcpOptions;

class Attack : public ::testing::Test {
 protected:
  explicit Attack(const tcp::Settings& s = Rig::plain_settings(),
                  const tcp::SideCounts& c = tcp::SideCounts::for_busy(64))
      : r(s, c) {}
  void SetUp() override {
    enter(r, State::Established); // 200 bytes in flight
    nxt = r.tcb.rcv_nxt;
    una = r.tcb.snd_una;
  }
  [[nodiscard]] std::uint64_t count(Counter c) const { return r.counters.get(c); }
  Rig r;
  Seq nxt;
  Seq una;
};

// ---- ACKs.

TEST_F(Attack, AckOfWhatWasNotSentIsChallenged) { // RFC 5961 §5
  r.arrives(nxt, flag::ack, r.tcb.snd_nxt + 1, 10);
  EXPECT_EQ(r.delivered, 0u);
  EXPECT_EQ(r.tcb.snd_una, una);
  EXPECT_EQ(count(Counter::drop_ack_of_unsent), 1u);
  r.arrives(nxt, flag::ack, una - r.tcb.max_snd_wnd - 1, 10);
  EXPECT_EQ(r.delivered, 0u);
  EXPECT_EQ(count(Counter::drop_ack_too_old), 1u);
  EXPECT_EQ(count(Counter::challenge_ack), 2u);
}

TEST_F(Attack, AckInTwoHundredPiecesGrowsTheWindowAsOneDoes) { // RFC 3465: bytes count, not ACKs
  const std::uint32_t before = r.tcb.cwnd;
  for (std::uint32_t i = 1; i <= 200; ++i) r.arrives(nxt, flag::ack, una + i);
  EXPECT_LE(r.tcb.cwnd, before + 200);
  EXPECT_EQ(r.tcb.outstanding(), 0u);
  EXPECT_EQ(count(Counter::ack_divided), 199u); // all but the last end inside the segment
}

TEST_F(Attack, AckInPiecesOfManySegmentsIsCountedAndAnHonestOneIsNot) {
  r.arrives(nxt, flag::ack, r.tcb.snd_nxt);
  const std::uint32_t mss = r.tcb.mss;
  const Seq from = r.tcb.snd_nxt;
  say(r, 6 * mss + 10);
  for (const std::uint32_t at : {1U, 2U, 5U}) r.arrives(nxt, flag::ack, from + at * mss);
  EXPECT_EQ(count(Counter::ack_divided), 0u);
  const std::uint32_t before = r.tcb.cwnd;
  for (std::uint32_t i = 1; i < 50; ++i) r.arrives(nxt, flag::ack, from + 5 * mss + i);
  EXPECT_EQ(count(Counter::ack_divided), 49u);
  EXPECT_LE(r.tcb.cwnd, before + 50);
  r.arrives(nxt, flag::ack, r.tcb.snd_nxt);
  EXPECT_EQ(count(Counter::ack_divided), 49u);
}

// Savage et al. 1999: who acknowledges text before it can have arrived has its sender hurry. By no more than what it
// did send and the window allows; and it is seen, against the time that the handshake took.
TEST_F(Attack, AcksThatComeSoonerThanThePathAllowsAreCounted) {
  r.arrives(nxt, flag::ack, r.tcb.snd_nxt);
  const auto round = [&](Duration after) {
    const std::uint32_t before = r.tcb.cwnd;
    const Seq from = r.tcb.snd_nxt;
    say(r, 4U * r.tcb.mss);
    EXPECT_LE(r.tcb.outstanding(), r.tcb.snd_wnd);
    r.pass(after);
    while (r.tcb.snd_una != r.tcb.snd_end) r.arrives(nxt, flag::ack, r.tcb.snd_nxt);
    EXPECT_LE(r.tcb.cwnd, before + r.tcb.snd_nxt.since(from));
  };
  for (int i = 0; i < 10; ++i) round(Duration::ms(10)); // as long as the handshake
  EXPECT_EQ(count(Counter::ack_optimistic), 0u);
  for (int i = 0; i < 10; ++i) round(Duration::ms(1));
  EXPECT_GE(count(Counter::ack_optimistic), 10u);
  for (int i = 0; i < 100; ++i) round(Duration::ms(1)); // the path may have become so short
  EXPECT_EQ(count(Counter::ack_optimistic), 16u);
}

// ---- Windows.

TEST_F(Attack, WindowThatShrinksToNothingAndComesBackLosesNothing) {
  r.arrives(nxt, flag::ack, una, 0, 0); // left of what is in flight
  EXPECT_EQ(count(Counter::window_shrunk_by_peer), 1u);
  say(r, 3000);
  EXPECT_TRUE(r.sent.empty());
  ASSERT_TRUE(r.timer_fires()); // what is in flight is sent again, nothing new
  for (const Sent& s : r.sent) EXPECT_TRUE((s.h.seq + s.text).at_or_before(una + 200));
  r.arrives(nxt, flag::ack, una + 200, 0, 5000);
  std::uint32_t sent = 0;
  for (int i = 0; i < 20 && r.tcb.snd_una != r.tcb.snd_end; ++i) {
    for (const Sent& s : r.sent) sent += s.text;
    r.arrives(nxt, flag::ack, r.tcb.snd_nxt, 0, 5000);
  }
  EXPECT_EQ(sent, 3000u);
}

TEST_F(Attack, TextBeyondTheWindowIsCutOff) {
  const std::uint32_t window = r.tcb.rcv_adv.since(nxt);
  r.arrives(r.tcb.rcv_adv - 10, flag::ack, una, 100);
  EXPECT_EQ(count(Counter::drop_beyond_window), 1u);
  ASSERT_NE(r.tcb.reassembly, nullptr);
  EXPECT_EQ(r.tcb.reassembly->tail->right, nxt + window);
}

// ---- Options.

// A segment whose options are these bytes, as it came off the wire.
wire::Verdict parsed(std::vector<std::uint8_t> options, std::uint8_t flags, Seq seq, Seq ack, wire::Tcp& h) {
  options.resize((options.size() + 3) / 4 * 4, 1); // NOP
  std::vector<std::byte> bytes(20);
  wire::emit_tcp(header(flags, seq, ack, 5000), bytes.data());
  bytes[12] = static_cast<std::byte>((20 + options.size()) / 4 << 4);
  for (const std::uint8_t o : options) bytes.push_back(static_cast<std::byte>(o));
  return wire::parse_tcp(bytes, h);
}

TEST_F(Attack, StormsOfOptionsCostOnePassAndAreCountedByKind) {
  const auto arrives = [&](const std::vector<std::uint8_t>& options) {
    wire::Tcp h;
    ASSERT_EQ(parsed(options, flag::ack, r.tcb.rcv_nxt, una, h), wire::Verdict::ok);
    r.arrives(h, 10);
    EXPECT_EQ(r.delivered, 10u); // the segment itself is as good as any
  };
  std::vector<std::uint8_t> storm;
  for (std::uint8_t kind = 100; kind < 120; ++kind) storm.insert(storm.end(), {kind, 2});
  arrives(storm);
  EXPECT_EQ(count(Counter::options_unknown), 1u);
  EXPECT_EQ(count(Counter::options_misfit) + count(Counter::options_repeated), 0u);
  storm.clear();
  for (int i = 0; i < 10; ++i) storm.insert(storm.end(), {3, 3, 7, 1}); // window scale, again and again
  arrives(storm);
  EXPECT_EQ(count(Counter::options_repeated), 1u);
  arrives({2, 3, 0, 8, 2, 4, 2}); // MSS, timestamps, SACK permitted
  EXPECT_EQ(count(Counter::options_misfit), 1u);
  arrives({5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 5, 10, 0, 0, 0, 3, 0, 0, 0, 4}); // SACK twice
  EXPECT_EQ(count(Counter::options_repeated), 2u);
  arrives(std::vector<std::uint8_t>(40, 1)); // padding is nothing
  EXPECT_EQ(count(Counter::options_unknown), 1u);
  EXPECT_EQ(count(Counter::options_misfit), 1u);
  EXPECT_EQ(r.tcb.snd_scale, 0u); // what belongs on a SYN means nothing here
  for (const std::uint8_t length : std::initializer_list<std::uint8_t>{0, 1, 39}) {
    wire::Tcp h;
    EXPECT_EQ(parsed({100, length, 0, 0}, flag::ack, nxt, una, h), wire::Verdict::bad_option_length);
  }
}

TEST(AttackOnSyn, StormOfOptionsIsCountedWhereItListensToo) {
  Rig r;
  tcp::SynGate gate{tcp::derive_secrets({1, 2}), 0};
  wire::Tcp h;
  ASSERT_EQ(parsed({100, 2, 2, 4, 0, 100, 2, 4, 5, 0xb4, 3, 2}, flag::syn, their_iss, Seq{}, h),
            wire::Verdict::ok);
  tcp::ListenOutcome out;
  const auto verdict = tcp::listen_arrives(r.env(), gate, tcp::CookieMode::Never, {.mtu_mss = interface_mss},
                                           tcp::Tuple4{}, {.h = h}, r.now, out);
  EXPECT_EQ(verdict, tcp::ListenVerdict::Record);
  EXPECT_EQ(out.record.peer_mss, 0x5b4u); // of two the later counts
  EXPECT_EQ(r.counters.get(Counter::options_unknown), 1u);
  EXPECT_EQ(r.counters.get(Counter::options_repeated), 1u);
  EXPECT_EQ(r.counters.get(Counter::options_misfit), 1u);
}

TEST(AttackOnSack, BlocksOfWhatWasNeverSentAreCountedAndMoveNothing) {
  tcp::Settings s = Rig::plain_settings();
  s.sack = true;
  Rig r{s};
  O o;
  o.has = O::sack_permitted_bit;
  open(r, o, 5000);
  say(r, 4U * r.tcb.mss);
  const Seq una = r.tcb.snd_una, end = r.tcb.snd_nxt;
  wire::Tcp h = header(flag::ack, r.tcb.rcv_nxt, una, 5000);
  h.options.sack_count = 2;
  h.options.sack[0] = {end - 2U * r.tcb.mss, end + 1};
  h.options.sack[1] = {end + 1000, end + 2'000'000'000};
  r.arrives(h, 0);
  EXPECT_EQ(r.counters.get(Counter::sack_of_unsent), 2u);
  ASSERT_NE(r.tcb.recovery, nullptr);
  EXPECT_EQ(r.tcb.recovery->log().sacked(), 0u);
  h.options.sack[0] = {end - 10, end};
  h.options.sack_count = 1;
  r.arrives(h, 0);
  EXPECT_EQ(r.counters.get(Counter::sack_of_unsent), 2u);
}

TEST(AttackOnSyn, AbsurdSegmentSizeIsRaised) { // CVE-2019-11479
  Rig r;
  O o;
  o.has = O::mss_bit;
  o.mss = 1;
  open(r, o);
  EXPECT_EQ(r.tcb.mss, 88u);
  EXPECT_EQ(r.counters.get(Counter::mss_raised), 1u);
}

struct AttackOnTimestamps : Attack {
  static tcp::Settings timestamps() {
    tcp::Settings s = Rig::plain_settings();
    s.timestamps = true;
    return s;
  }
  AttackOnTimestamps() : Attack(timestamps()) {}
  void SetUp() override {
    O o;
    o.has = O::timestamps_bit;
    o.ts_val = 1;
    o.ts_ecr = r.now.ms32();
    open(r, o, 5000);
    ASSERT_TRUE(r.tcb.has(tcp::flag_timestamps));
  }
  [[nodiscard]] wire::Tcp stamped(std::uint32_t val, std::uint32_t ecr) const {
    wire::Tcp h = header(flag::ack, r.tcb.rcv_nxt, r.tcb.snd_una, 5000);
    h.options.has = O::timestamps_bit;
    h.options.ts_val = val;
    h.options.ts_ecr = ecr;
    return h;
  }
};

TEST_F(AttackOnTimestamps, EchoFromTheFutureMeasuresNothing) {
  const std::uint32_t srtt = r.tcb.srtt_us;
  say(r, 10);
  r.tcb.clear(tcp::flag_timing); // as after a retransmission: the echo alone could tell
  wire::Tcp h = stamped(2, r.now.ms32() + 5000);
  h.ack = r.tcb.snd_nxt;
  r.arrives(h, 0);
  EXPECT_EQ(r.tcb.outstanding(), 0u);
  EXPECT_EQ(r.tcb.srtt_us, srtt);
  EXPECT_EQ(count(Counter::ts_echo_wrong), 1u);
}

// Who cannot see the connection cannot have its true segments refused by a timestamp from the future.
TEST_F(AttackOnTimestamps, ValueFromTheFutureOnWhatIsRefusedIsNotKept) {
  wire::Tcp h = stamped(0x7000'0000, 0);
  h.ack = r.tcb.snd_nxt + 1000; // a guess
  r.arrives(h, 10);
  h = stamped(0x7000'0000, 0);
  h.seq += 100'000; // another
  r.arrives(h, 10);
  r.arrives(stamped(2, 0), 10);
  EXPECT_EQ(r.delivered, 10u);
  EXPECT_EQ(count(Counter::drop_paws), 0u);
  EXPECT_EQ(count(Counter::drop_ack_of_unsent), 1u);
  EXPECT_EQ(count(Counter::drop_out_of_window), 1u);
}

// ---- Text.

// Against a model: a byte that was taken is never changed by another that comes for its place.
TEST_F(Attack, ContradictingRetransmissionsFirstBytesWin) {
  std::mt19937 random{7}; // NOLINT: the same each time
  constexpr std::uint32_t size = 4000;
  for (int round = 0; round < 50; ++round) {
    const Seq from = r.tcb.rcv_nxt;
    std::vector<int> held(size, -1);
    std::vector<std::byte> got;
    const auto arrive = [&](std::uint32_t at, std::uint32_t text, int lie) {
      for (std::uint32_t i = at; i < at + text; ++i)
        if (held[i] < 0) held[i] = lie;
      r.twist = static_cast<std::byte>(lie);
      r.arrives(from + at, flag::ack, r.tcb.snd_una, text);
      got.insert(got.end(), r.taken.begin(), r.taken.end());
    };
    for (int i = 1; i <= 20; ++i) {
      const auto at = static_cast<std::uint32_t>(1 + random() % (size - 500));
      arrive(at, static_cast<std::uint32_t>(1 + random() % 499), i);
    }
    for (std::uint32_t at = 0; at < size; at += 500) arrive(at, 500, 99);
    ASSERT_EQ(got.size(), size);
    for (std::uint32_t i = 0; i < size; ++i)
      ASSERT_EQ(got[i], Rig::stream_byte(from + i) ^ static_cast<std::byte>(held[i])) << i;
  }
  EXPECT_GT(count(Counter::duplicate_bytes_in), 0u);
  EXPECT_EQ(count(Counter::drop_reassembly_full), 0u);
}

TEST_F(Attack, TenThousandHolesOfOneByteHoldNoMoreThanTheirShare) {
  for (std::uint32_t i = 1; i <= 10'000; ++i) r.arrives(nxt + 2 * i, flag::ack, una, 1);
  ASSERT_NE(r.tcb.reassembly, nullptr);
  EXPECT_LE(r.tcb.reassembly->ranges, tcp::Reassembly::most_ranges);
  EXPECT_LE(r.tcb.reassembly->pinned, tcp::Reassembly::most_pinned(r.tcb));
  EXPECT_GT(count(Counter::drop_reassembly_full), 0u);
  r.arrives(nxt, flag::ack, una, 2); // and what is true goes on
  EXPECT_GE(r.delivered, 2u);
}

TEST_F(Attack, FinBeforeItsTextEndsNothingUntilTheTextIsThere) {
  r.arrives(nxt + 100, flag::fin | flag::ack, una);
  EXPECT_EQ(r.tcb.state, State::Established);
  r.arrives(nxt + 50, flag::ack, una, 50);
  EXPECT_EQ(r.tcb.state, State::Established);
  r.arrives(nxt, flag::ack, una, 50);
  EXPECT_EQ(r.tcb.state, State::CloseWait);
  EXPECT_EQ(r.delivered, 100u);
  EXPECT_EQ(r.tcb.rcv_nxt, nxt + 101);
}

TEST_F(Attack, TextHeldBehindAnEarlyFinIsNeverHandedOut) {
  r.arrives(nxt + 100, flag::fin | flag::ack, una);
  EXPECT_EQ(count(Counter::out_of_order_in), 1u);
  r.arrives(nxt + 101, flag::ack, una, 50); // behind it
  r.arrives(nxt + 100, flag::ack, una, 50); // in its place
  r.arrives(nxt + 50, flag::ack, una, 80);  // across it
  EXPECT_EQ(count(Counter::drop_after_close), 3u);
  r.arrives(nxt, flag::ack, una, 60);
  EXPECT_EQ(r.delivered, 100u);
  EXPECT_TRUE(r.stream_intact);
  EXPECT_EQ(r.tcb.state, State::CloseWait);
  EXPECT_EQ(r.tcb.rcv_nxt, nxt + 101);
}

TEST_F(Attack, TextAcrossAnEarlyFinInOrderEndsThere) {
  r.arrives(nxt + 100, flag::fin | flag::ack, una);
  r.arrives(nxt, flag::ack, una, 200);
  EXPECT_EQ(r.delivered, 100u);
  EXPECT_EQ(r.tcb.state, State::CloseWait);
  EXPECT_EQ(r.tcb.rcv_nxt, nxt + 101);
}

TEST_F(Attack, TextThatWaitedBehindTheFinsPlaceGoesWithIt) {
  r.arrives(nxt + 101, flag::ack, una, 50);
  r.arrives(nxt, flag::fin | flag::ack, una, 100);
  EXPECT_EQ(r.delivered, 100u);
  EXPECT_EQ(r.tcb.state, State::CloseWait);
  EXPECT_EQ(r.tcb.rcv_nxt, nxt + 101);
  EXPECT_FALSE(r.tcb.has(tcp::flag_has_reassembly));
}

// First bytes win: a FIN cannot lie where there is text.
TEST_F(Attack, FinInTheMiddleOfHeldTextIsIgnored) {
  r.arrives(nxt + 50, flag::ack, una, 100);
  r.arrives(nxt, flag::fin | flag::ack, una, 100); // in order, its FIN inside of what is held
  EXPECT_EQ(r.delivered, 150u);
  EXPECT_TRUE(r.stream_intact);
  EXPECT_EQ(r.tcb.state, State::Established);
  EXPECT_EQ(r.tcb.rcv_nxt, nxt + 150);
  EXPECT_EQ(count(Counter::drop_after_close), 1u);
  r.arrives(nxt + 250, flag::ack, una, 100);
  r.arrives(nxt + 200, flag::fin | flag::ack, una, 60); // the same out of order
  r.arrives(nxt + 150, flag::ack, una, 50);
  EXPECT_EQ(r.delivered, 200u);
  EXPECT_EQ(r.tcb.state, State::Established);
}

TEST_F(Attack, TextAfterTheFinIsDropped) {
  r.arrives(nxt, flag::fin | flag::ack, una, 10);
  ASSERT_EQ(r.tcb.state, State::CloseWait);
  r.arrives(r.tcb.rcv_nxt, flag::ack, una, 100);
  EXPECT_EQ(r.delivered, 0u);
  EXPECT_EQ(r.tcb.rcv_nxt, nxt + 11);
  EXPECT_EQ(count(Counter::drop_after_close), 1u);
}

// ---- Sprays. Ten answers a second, each connection its own (CVE-2016-5696).

TEST_F(Attack, ResetsAllOverTheWindowDrawTenChallengesASecond) { // RFC 5961 §3.2, §7
  const std::uint32_t window = r.tcb.rcv_adv.since(nxt);
  std::size_t answers = 0;
  std::uint64_t inside = 0;
  for (std::uint32_t i = 1; i <= 1000; ++i, ++inside) {
    r.arrives(nxt + i * (window / 1001), flag::rst, Seq{});
    answers += r.sent.size();
  }
  EXPECT_EQ(r.tcb.state, State::Established);
  EXPECT_EQ(answers, 10u);
  EXPECT_EQ(count(Counter::drop_rst_not_exact), inside);
  EXPECT_EQ(count(Counter::challenge_ack_limited), inside - 10);
  r.pass(Duration::seconds(1));
  r.arrives(nxt + 1, flag::rst, Seq{});
  EXPECT_EQ(r.sent.size(), 1u);
}

TEST_F(Attack, SynsWhereverTheyLieDrawTenChallengesASecond) { // RFC 5961 §4.2
  std::size_t answers = 0;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    r.arrives(Seq{i * 4'294'967U}, flag::syn, Seq{});
    answers += r.sent.size();
  }
  EXPECT_EQ(r.tcb.state, State::Established);
  EXPECT_EQ(r.tcb.rcv_nxt, nxt);
  EXPECT_EQ(answers, 10u);
  EXPECT_EQ(count(Counter::challenge_ack) + count(Counter::challenge_ack_limited), 1000u);
  r.arrives(nxt + 10, flag::syn, Seq{});
  EXPECT_EQ(r.tcb.state, State::Established);
  EXPECT_EQ(count(Counter::drop_syn) + count(Counter::drop_out_of_window), 1001u);
  EXPECT_GE(count(Counter::drop_syn), 1u);
}

// ---- ICMP that anyone can forge (RFC 5927 §4, §7; RFC 5461 §4).

TEST_F(Attack, IcmpTooBigIsHeardOnlyAboutWhatIsInFlight) {
  const auto icmp = [&](Seq quoted, std::uint16_t mss) {
    r.user([&] { tcp::path_mtu_reduced(r.env(), r.tcb, quoted, mss, r.now, r.outcome); });
  };
  const std::uint16_t before = r.tcb.path_mss;
  icmp(una - 1, 600);       // acknowledged long ago
  icmp(r.tcb.snd_nxt, 600); // not sent yet
  icmp(una + 5000, 600);
  icmp(una, before); // says nothing new
  EXPECT_EQ(r.tcb.path_mss, before);
  EXPECT_EQ(count(Counter::pmtu_ignored), 4u);
  icmp(una, 1);
  EXPECT_EQ(r.tcb.path_mss, 536u); // RFC 1191 §3: no path carries less
  EXPECT_EQ(count(Counter::pmtu_reduced), 1u);
  ASSERT_FALSE(r.sent.empty()); // and what did not fit is sent again, without waiting for a timer
  EXPECT_EQ(r.sent[0].h.seq, una);
}

TEST_F(Attack, IcmpUnreachableEndsNoConnectionThatStands) {
  r.user([&] { tcp::icmp_unreachable(r.env(), r.tcb, una, tcp::CloseReason::Refused, r.outcome); });
  EXPECT_EQ(r.tcb.state, State::Established);
}

TEST(AttackOnSyn, IcmpErrorEndsAnOpeningIfItQuotesTheSynAndSaysWhy) {
  for (const tcp::CloseReason why : {tcp::CloseReason::Refused, tcp::CloseReason::Unreachable}) {
    Rig r;
    enter(r, State::SynSent);
    r.user([&] { tcp::icmp_unreachable(r.env(), r.tcb, our_iss + 1, why, r.outcome); });
    EXPECT_EQ(r.tcb.state, State::SynSent);
    r.user([&] { tcp::icmp_unreachable(r.env(), r.tcb, our_iss, why, r.outcome); });
    EXPECT_EQ(r.tcb.state, State::Closed);
    EXPECT_EQ(r.tcb.reason, why);
  }
}

// ---- Memory that others have used up.

struct WithoutRecords : Attack {
  WithoutRecords() : Attack(Rig::plain_settings(), tcp::SideCounts{}) {}
};

TEST_F(WithoutRecords, TextOutOfOrderIsDroppedAndCounted) {
  r.arrives(nxt + 100, flag::ack, una, 100);
  EXPECT_EQ(r.delivered, 0u);
  EXPECT_EQ(r.sent.size(), 1u); // the peer hears where the hole is
  EXPECT_EQ(count(Counter::drop_no_memory), 1u);
  r.arrives(nxt, flag::ack, una, 200);
  EXPECT_EQ(r.delivered, 200u);
}

TEST_F(WithoutRecords, LossIsMendedByTheTimerAlone) {
  r.arrives(nxt, flag::ack, r.tcb.snd_nxt); // one piece is all it may queue
  say(r, 3U * r.tcb.mss);
  EXPECT_GT(count(Counter::no_recovery_record), 0u);
  const Seq end = r.tcb.snd_nxt;
  for (int i = 0; i < 20 && r.tcb.snd_una != end; ++i) { // all of it was lost, and comes again from its head
    if (r.sent.empty()) {
      ASSERT_TRUE(r.timer_fires());
    }
    ASSERT_FALSE(r.sent.empty());
    const Sent& last = r.sent.back();
    if (r.counters.get(Counter::retransmit_rto) == 0) {
      r.sent.clear();
      continue;
    }
    r.arrives(nxt, flag::ack, last.h.seq + last.text);
  }
  EXPECT_EQ(r.tcb.snd_una, end);
}

TEST_F(WithoutRecords, SecondPieceToSendIsRefusedAndCounted) {
  static const std::vector<std::byte> bytes(10, std::byte{'x'});
  r.user([&] { EXPECT_EQ(tcp::send_static(r.env(), r.tcb, bytes, r.now), 0u); });
  EXPECT_GT(count(Counter::no_queue_record), 0u);
  r.arrives(nxt, flag::ack, r.tcb.snd_nxt); // the first is acknowledged: there is room
  r.user([&] { EXPECT_EQ(tcp::send_static(r.env(), r.tcb, bytes, r.now), 10u); });
}

// The last packets are for control segments, whichever way a segment goes out.
class LastPackets : public ::testing::TestWithParam<bool> {};

TEST_P(LastPackets, CarryNoText) {
  tcp::Settings s = Rig::plain_settings();
  s.sack = true;
  Rig r{s};
  r.by_rfc = GetParam();
  O o;
  o.has = O::sack_permitted_bit;
  open(r, o, 5000);
  r.scarcity = tcp::Scarcity::last;
  say(r, 100);
  EXPECT_TRUE(r.sent.empty());
  EXPECT_GT(r.counters.get(Counter::no_packet), 0u);
  r.arrives(their_iss + 1, flag::ack, our_iss + 1, 10); // an ACK of ours is owed
  for (const Sent& one : r.sent) EXPECT_EQ(one.text, 0u);
  r.scarcity = tcp::Scarcity::none;
  r.arrives(r.tcb.rcv_nxt + 100, flag::ack, our_iss + 1, 10); // a hole: segments carry SACK now
  r.scarcity = tcp::Scarcity::last;
  say(r, 100);
  for (const Sent& one : r.sent) EXPECT_EQ(one.text, 0u);
  // And who asks whether we are there is told so, with the SACK.
  r.arrives(r.tcb.rcv_nxt - 1, flag::ack, our_iss + 1);
  ASSERT_EQ(r.sent.size(), 1u);
  EXPECT_EQ(r.sent[0].text, 0u);
  EXPECT_EQ(r.sent[0].h.flags, flag::ack);
  EXPECT_EQ(r.sent[0].h.options.sack_count, 1u);
  r.scarcity = tcp::Scarcity::none;
  std::uint32_t text = 0;
  for (int i = 0; i < 5 && r.tcb.unsent() != 0; ++i) {
    ASSERT_TRUE(r.timer_fires());
    for (const Sent& one : r.sent) text += one.text;
  }
  EXPECT_EQ(r.tcb.unsent(), 0u) << text;
}

// But as much as is allowed leaves, and leaves again: it holds packets until it is acknowledged.
TEST_P(LastPackets, CarryTheTextThatIsAllowed) {
  Rig r;
  r.by_rfc = GetParam();
  open(r);
  r.scarcity = tcp::Scarcity::last;
  r.text_at_last = 2;
  say(r, 3U * r.tcb.mss);
  EXPECT_EQ(r.sent.size(), 2u);
  EXPECT_EQ(r.tcb.unsent(), r.tcb.mss);
  r.text_at_last = 1;
  const std::uint64_t before = r.counters.get(Counter::retransmit_rto);
  while (r.counters.get(Counter::retransmit_rto) == before) {
    r.sent.clear();
    ASSERT_TRUE(r.timer_fires());
  }
  ASSERT_EQ(r.sent.size(), 1u);
  EXPECT_EQ(r.sent[0].h.seq, our_iss + 1);
  EXPECT_EQ(r.sent[0].text, r.tcb.mss);
}

TEST_P(LastPackets, CarryTheSyn) {
  Rig r;
  r.by_rfc = GetParam();
  r.scarcity = tcp::Scarcity::last;
  open_active(r);
  ASSERT_EQ(r.sent.size(), 1u);
  EXPECT_EQ(r.sent[0].h.flags, flag::syn);
}

// Due again, and no packet for it, when the first one is answered after all: nothing is due any more.
TEST(Opening, ASynThatWaitedToBeSentAgainIsForgottenOnceItIsAnswered) {
  Rig r;
  open_active(r);
  r.tcb.set(tcp::flag_syn_due);
  r.arrives(their_iss, flag::syn | flag::ack, our_iss + 1);
  EXPECT_EQ(r.tcb.state, State::Established);
  EXPECT_FALSE(r.tcb.has(tcp::flag_syn_due));
}

INSTANTIATE_TEST_SUITE_P(Output, LastPackets, ::testing::Bool(),
                         [](const auto& i) { return i.param ? "ByTheSteps" : "AsPredicted"; });

} // namespace hostile_test
} // namespace tern::rfc
