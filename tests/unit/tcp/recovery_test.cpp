#include "tcp/recovery/recovery.hpp"

#include <gtest/gtest.h>

#include <random>

#include "recovery_rig.hpp"

namespace tern::tcp {
namespace recovery_test {

using test::Rig;
using Fate = Rig::Fate;

// Loses the given transmissions: (segment, n-th time).
auto lose(std::vector<std::pair<std::uint32_t, unsigned>> which) {
  return [which](std::uint32_t segment, unsigned nth) {
    return std::find(which.begin(), which.end(), std::pair{segment, nth}) != which.end() ? Fate::Lost
                                                                                         : Fate::Arrives;
  };
}

TEST(Recovery, CleanPathRetransmitsNothing) {
  Rig rig;
  rig.segments = 2000;
  rig.run();
  EXPECT_TRUE(rig.done());
  EXPECT_EQ(rig.again(), 0U);
  EXPECT_EQ(rig.timeouts + rig.probes + rig.undone, 0U);
  EXPECT_LE(rig.worst_entries, 80U); // 1/64 of a round trip each
}

// RFC 8985 §6.2: three segments held above the hole, no reordering ever seen: at once.
TEST(Recovery, OneLossIsRepairedInOneRoundTrip) {
  Rig rig;
  rig.segments = 30;
  rig.fate = lose({{3, 0}});
  rig.run();
  ASSERT_TRUE(rig.done());
  ASSERT_EQ(rig.again(), 1U);
  EXPECT_EQ(rig.resent()[0].segment, 3U);
  EXPECT_EQ(rig.resent()[0].at_us, 100'070); // the seventh of the first flight: third above the hole
  EXPECT_EQ(rig.timeouts, 0U);
  EXPECT_EQ(rig.probes, 0U);
}

TEST(Recovery, LossReducesTheWindowOnceByBeta) {
  for (const auto& [algorithm, tenths] :
       {std::pair{CongestionControl::Cubic, 7U}, {CongestionControl::NewReno, 5U}}) {
    Rig rig;
    rig.settings.congestion = algorithm;
    rig.segments = 400;
    rig.t.cwnd = 100 * Rig::mss;
    rig.t.ssthresh = 100 * Rig::mss; // no slow start
    rig.fate = lose({{10, 0}, {20, 0}, {21, 0}, {60, 0}});
    rig.run(340'000);
    EXPECT_EQ(rig.again(), 4U);
    EXPECT_NEAR(rig.t.ssthresh, tenths * 10U * Rig::mss, 1 * Rig::mss);
    EXPECT_NEAR(rig.t.cwnd, rig.t.ssthresh, 4 * Rig::mss); // and a little growth since
    rig.run();
    EXPECT_TRUE(rig.done());
    EXPECT_EQ(rig.again(), 4U);
    EXPECT_EQ(rig.timeouts, 0U);
  }
}

// RFC 6937: while cwnd comes down, about β segments leave for each that arrives, none in a burst.
TEST(Recovery, ReductionIsProportional) {
  Rig rig;
  rig.settings.congestion = CongestionControl::NewReno;
  rig.segments = 400;
  rig.t.cwnd = rig.t.ssthresh = 100 * Rig::mss;
  rig.fate = lose({{0, 0}});
  rig.run(199'999);
  // 99 ACKs came within the round trip, all above the hole: half as many segments left.
  const auto left =
      std::count_if(rig.sent.begin(), rig.sent.end(), [](auto& s) { return s.at_us >= 100'000; });
  EXPECT_NEAR(static_cast<double>(left), 50, 3);
}

TEST(Recovery, LostRetransmissionIsFoundWithoutTimeout) {
  Rig rig;
  rig.segments = 200;
  rig.fate = lose({{5, 0}, {5, 1}, {5, 2}});
  rig.run();
  ASSERT_TRUE(rig.done());
  EXPECT_EQ(rig.timeouts, 0U);
  EXPECT_EQ(rig.again(), 3U);
  for (const auto& s : rig.resent()) EXPECT_EQ(s.segment, 5U);
}

// RFC 8985 §7: the last segments lost: a probe after two round trips, not a time-out.
TEST(Recovery, TailLossIsProbed) {
  Rig rig;
  rig.segments = 50;
  rig.fate = lose({{49, 0}});
  rig.run();
  ASSERT_TRUE(rig.done());
  EXPECT_EQ(rig.timeouts, 0U);
  EXPECT_EQ(rig.probes, 1U);
  ASSERT_EQ(rig.again(), 1U);
  EXPECT_EQ(rig.resent()[0].segment, 49U);
}

TEST(Recovery, TailOfThreeIsProbedAndThenRepairedBySack) {
  Rig rig;
  rig.segments = 50;
  rig.fate = lose({{47, 0}, {48, 0}, {49, 0}});
  rig.run();
  ASSERT_TRUE(rig.done());
  EXPECT_EQ(rig.timeouts, 0U);
  EXPECT_EQ(rig.probes, 1U);
  EXPECT_EQ(rig.again(), 3U);
}

TEST(Recovery, ProbeThatMendedALossReducesTheWindow) {
  Rig rig;
  rig.segments = 50;
  rig.t.cwnd = rig.t.ssthresh = 40 * Rig::mss;
  rig.fate = lose({{49, 0}});
  rig.run();
  ASSERT_TRUE(rig.done());
  ASSERT_EQ(rig.probes, 1U);
  const std::uint32_t before = rig.t.ssthresh;
  rig.send_more(20, 10'000); // only what is acknowledged beyond the probe tells
  ASSERT_TRUE(rig.done());
  EXPECT_LT(rig.t.ssthresh, before);
}

TEST(Recovery, NeedlessProbeCostsNothing) {
  Rig rig;
  rig.segments = 50;
  rig.t.cwnd = rig.t.ssthresh = 60 * Rig::mss;
  rig.extra_us = [](std::uint32_t s, unsigned nth) { return s == 49 && nth == 0 ? 450'000 : 0; };
  rig.run(900'000); // first copy late, probe's copy first; D-SACK for the other
  EXPECT_EQ(rig.probes, 1U);
  EXPECT_EQ(rig.t.ssthresh, 60U * Rig::mss);
  rig.send_more(20, 500'000);
  ASSERT_TRUE(rig.done());
  EXPECT_EQ(rig.t.ssthresh, 60U * Rig::mss);
}

TEST(Recovery, WholeFlightLostTimesOut) {
  Rig rig;
  rig.segments = 40;
  rig.fate = [](std::uint32_t, unsigned nth) { return nth == 0 ? Fate::Lost : Fate::Arrives; };
  rig.run();
  ASSERT_TRUE(rig.done());
  EXPECT_GE(rig.timeouts, 1U);
  EXPECT_EQ(rig.undone, 0U);
}

TEST(Recovery, TimeoutStartsFromOneSegment) {
  Rig rig;
  rig.segments = 40;
  bool cut = true;
  rig.fate = [&](std::uint32_t, unsigned) { return cut ? Fate::Lost : Fate::Arrives; };
  rig.run(1'999'999); // nothing was measured: a probe after a second, the time-out a second later
  EXPECT_EQ(rig.probes, 1U);
  EXPECT_EQ(rig.t.cwnd, 10U * Rig::mss);
  rig.run(2'900'000);
  EXPECT_EQ(rig.timeouts, 1U);
  EXPECT_EQ(rig.t.cwnd, Rig::mss);
  EXPECT_EQ(rig.t.ssthresh, 7U * Rig::mss);
  EXPECT_EQ(rig.again(), 1U); // the head
  rig.run(4'900'000);         // backed off: no second reduction for the same data
  EXPECT_EQ(rig.t.ssthresh, 7U * Rig::mss);
  cut = false;
  rig.run();
  EXPECT_TRUE(rig.done());
}

// Mild reordering after the first time it was seen: borne for a quarter of the least RTT.
TEST(Recovery, ReorderingIsLearned) {
  Rig rig;
  rig.segments = 3000;
  rig.t.cwnd = rig.t.ssthresh = 60 * Rig::mss;
  rig.extra_us = [](std::uint32_t s, unsigned) { return s % 50 == 7 ? 15'000 : 0; };
  rig.run();
  ASSERT_TRUE(rig.done());
  EXPECT_TRUE(rig.recovery().rack().reordering_seen());
  EXPECT_LE(rig.again(), 2U); // before it was known
}

TEST(Recovery, SpuriousRetransmissionIsUndoneByDsackOrTimestamp) {
  for (const std::uint32_t flags : {std::uint32_t{flag_sack}, flag_sack | flag_timestamps}) {
    Rig rig(flags);
    rig.segments = 300;
    rig.t.cwnd = rig.t.ssthresh = 50 * Rig::mss;
    rig.extra_us = [](std::uint32_t s, unsigned nth) { return s == 20 && nth == 0 ? 40'000 : 0; };
    rig.run();
    ASSERT_TRUE(rig.done());
    EXPECT_EQ(rig.again(), 1U);
    EXPECT_EQ(rig.undone, 1U);
    EXPECT_EQ(rig.t.ssthresh, 50U * Rig::mss);
    EXPECT_GE(rig.t.cwnd, 50U * Rig::mss);
    EXPECT_EQ(rig.counters.get(Counter::undo), 1U);
  }
}

// RFC 5682: a delay spike longer than the RTO.
TEST(Recovery, SpuriousTimeoutIsUndone) {
  for (const std::uint32_t flags :
       {std::uint32_t{flag_sack}, std::uint32_t{0}, flag_sack | flag_timestamps}) {
    Rig rig(flags);
    rig.segments = 400;
    rig.t.cwnd = rig.t.ssthresh = 30 * Rig::mss;
    // Whatever leaves while the path stalls arrives, in order, when it goes on.
    rig.extra_us = [&rig](std::uint32_t, unsigned) {
      constexpr std::int64_t from = 350'000;
      constexpr std::int64_t to = 1'500'000;
      return rig.now_us() >= from && rig.now_us() < to ? to - rig.now_us() : 0;
    };
    rig.run();
    ASSERT_TRUE(rig.done());
    EXPECT_GE(rig.timeouts, 1U);
    EXPECT_GE(rig.undone, 1U) << flags;
    EXPECT_EQ(rig.t.ssthresh, 30U * Rig::mss);
  }
}

TEST(Recovery, RealTimeoutIsNotUndone) {
  for (const std::uint32_t flags :
       {std::uint32_t{flag_sack}, std::uint32_t{0}, flag_sack | flag_timestamps}) {
    Rig rig(flags);
    rig.segments = 400;
    rig.t.cwnd = rig.t.ssthresh = 30 * Rig::mss;
    // A cut of the path: everything from 90 on, until it is sent a third time (twice: by probe and time-out).
    rig.fate = [](std::uint32_t s, unsigned nth) {
      return s >= 90 && s < 120 && nth == 0 ? Fate::Lost : Fate::Arrives;
    };
    rig.run();
    ASSERT_TRUE(rig.done());
    EXPECT_EQ(rig.undone, 0U);
    EXPECT_LT(rig.t.ssthresh, 30U * Rig::mss);
  }
}

// RFC 6582: without SACK, one hole a round trip, each partial ACK shows the next; no time-out.
TEST(Recovery, WithoutSackPartialAcksMendOneHoleARoundTrip) {
  Rig rig(0);
  rig.settings.congestion = CongestionControl::NewReno;
  rig.segments = 200;
  rig.t.cwnd = rig.t.ssthresh = 40 * Rig::mss;
  rig.fate = lose({{50, 0}, {60, 0}, {70, 0}});
  rig.run();
  ASSERT_TRUE(rig.done());
  EXPECT_EQ(rig.timeouts, 0U);
  const auto r = rig.resent();
  ASSERT_EQ(r.size(), 3U);
  EXPECT_EQ(r[0].segment, 50U);
  EXPECT_EQ(r[1].segment, 60U);
  EXPECT_EQ(r[2].segment, 70U);
  EXPECT_EQ(r[1].at_us - r[0].at_us, 100'010);
  EXPECT_EQ(r[2].at_us - r[1].at_us, 100'010);
}

// RFC 3042: with a window of three, the first two duplicates let new segments out, so that a third comes.
TEST(Recovery, LimitedTransmitSavesSmallWindows) {
  for (const std::uint32_t flags : {std::uint32_t{flag_sack}, std::uint32_t{0}}) {
    Rig rig(flags);
    rig.segments = 12;
    rig.t.cwnd = rig.t.ssthresh = 3 * Rig::mss;
    rig.fate = lose({{3, 0}});
    rig.run();
    ASSERT_TRUE(rig.done());
    EXPECT_EQ(rig.timeouts, 0U);
    EXPECT_EQ(rig.again(), 1U);
  }
}

// RFC 3168 §6.1.2: once a window, however many echoes.
TEST(Recovery, EcnReducesOncePerWindow) {
  Rig rig(flag_sack | flag_timestamps | flag_ecn);
  rig.segments = 300;
  rig.t.cwnd = rig.t.ssthresh = 50 * Rig::mss;
  rig.marked_ce = [](std::uint32_t s) { return s >= 60 && s < 80; };
  rig.run();
  ASSERT_TRUE(rig.done());
  EXPECT_EQ(rig.again(), 0U);
  EXPECT_EQ(rig.counters.get(Counter::ecn_reduced), 1U);
  EXPECT_NEAR(rig.t.ssthresh, 35U * Rig::mss, Rig::mss);
  EXPECT_TRUE(rig.t.has(flag_cwr));
}

// RFC 5681 §4.1.
TEST(Recovery, IdleRestartsTheWindow) {
  Rig rig;
  rig.segments = 500;
  rig.run();
  ASSERT_TRUE(rig.done());
  const std::uint32_t grown = rig.t.cwnd;
  ASSERT_GT(grown, 50U * Rig::mss);
  rig.send_more(1, 100'000); // shorter than the RTO: nothing changes
  EXPECT_GE(rig.t.cwnd, grown);
  rig.send_more(1, 5'000'000);
  EXPECT_LE(rig.t.cwnd, 11U * Rig::mss);
  EXPECT_GE(rig.t.ssthresh, grown / 4 * 3);
}

// RFC 7661, RFC 9438 §5.8: a window that is not used does not grow.
TEST(Recovery, UnusedWindowDoesNotGrow) {
  Rig rig;
  rig.segments = 1000;
  rig.t.cwnd = 50 * Rig::mss;
  rig.window = 5 * Rig::mss;
  rig.run();
  ASSERT_TRUE(rig.done());
  EXPECT_EQ(rig.t.cwnd, 50U * Rig::mss);
}

// A recovery record by itself: the test says what is sent and acknowledged.
struct Alone {
  Alone(std::uint32_t flags, std::uint16_t mss, std::uint32_t cwnd, Settings s = {})
      : settings(s), r(settings, prepared(t, flags, mss, cwnd), Instant::at_ns(0)) {}
  ~Alone() { r.release(env); }
  Alone(const Alone&) = delete;
  Alone& operator=(const Alone&) = delete;
  static Tcb& prepared(Tcb& t, std::uint32_t flags, std::uint16_t mss, std::uint32_t cwnd) {
    t.flags = flags;
    t.mss = mss;
    t.cwnd = cwnd;
    t.snd_una = t.snd_nxt = Seq{0xffff'fff0};
    return t;
  }
  void send(int segments) {
    for (; segments != 0; --segments) {
      const Seq at = t.snd_nxt;
      t.snd_nxt += t.mss;
      r.on_transmit(env, t, {at, t.mss}, false, Instant::at_ns(0));
    }
  }

  Settings settings;
  SideMemory side{{.recovery = 1, .tx_log = 8}};
  TcpCounters counters;
  Env env{.settings = settings, .counters = counters, .packets = {}, .side = side.pools()};
  Tcb t;
  Recovery r;
};

// A segment that there was no log for is one, however much of what is in flight the log does not know.
TEST(Recovery, GoingWithoutALogIsCountedOnceASegment) {
  Alone a(flag_timestamps, 1000, 20'000);
  std::vector<TxLogBlock*> others;
  while (TxLogBlock* block = a.env.side.tx_log->take()) others.push_back(block);
  a.t.snd_nxt += 3000; // from before there was a record
  a.send(1);
  EXPECT_EQ(a.counters.get(Counter::no_tx_log), 1U);
  a.send(4);
  EXPECT_EQ(a.counters.get(Counter::no_tx_log), 5U);
  a.r.on_transmit(a.env, a.t, {a.t.snd_una, 1000}, true, Instant::at_ns(0));
  EXPECT_EQ(a.counters.get(Counter::no_tx_log), 6U);
  for (TxLogBlock* block : others) a.env.side.tx_log->give_back(block);
}

// A peer that splits its ACKs gains nothing (RFC 3465): growth counts bytes.
TEST(Recovery, DividedAcksDoNotGrowTheWindow) {
  Settings s;
  s.congestion = CongestionControl::NewReno;
  s.hystart = false;
  Alone alone(flag_sack, 1000, 10'000, s);
  Tcb& t = alone.t;
  Recovery& r = alone.r;
  alone.send(10);
  for (int i = 0; i < 1000; ++i) {
    const AckInfo info{.una_before = t.snd_una, .acked = 1};
    t.snd_una += 1;
    (void)r.on_ack(alone.env, t, info, Instant::at_ns(100'000'000));
  }
  EXPECT_EQ(t.cwnd, 11'000U);
}

TEST(Recovery, AbsurdSackBlocksAreIgnored) {
  Alone alone(flag_sack, 1000, 10'000);
  Tcb& t = alone.t;
  Recovery& r = alone.r;
  alone.send(10);
  const Seq u = t.snd_una;
  const std::vector<wire::SackBlock> blocks = {
      {u + 2000, u + 1000},      // the wrong way round
      {u + 1000, u + 1000},      // empty
      {u + 9000, u + 10'001},    // never sent
      {u - 1000, u + 1000},      // across una
      {u + 0x7fff'0000, u + 10}, // nonsense
  };
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const AckInfo info{.una_before = u, .sack = std::span(blocks).subspan(i, 1)};
    (void)r.on_ack(alone.env, t, info, Instant::at_ns(1000));
    EXPECT_EQ(r.log().sacked(), 0U) << i;
  }
  EXPECT_EQ(r.in_flight(t), 10'000U);
}

// A peer that drops what it said it held (RFC 2018 §8): the time-out forgets it, and sends it again.
TEST(Recovery, RenegedSackIsSentAgainAfterTimeout) {
  Alone alone(flag_sack, 1000, 10'000);
  Tcb& t = alone.t;
  Recovery& r = alone.r;
  alone.send(4);
  const Seq u = t.snd_una;
  const std::vector<wire::SackBlock> held = {{u + 1000, u + 4000}};
  (void)r.on_ack(alone.env, t, {.una_before = u, .sack = held}, Instant::at_ns(1'000'000));
  t.snd_una += 1000;
  (void)r.on_ack(alone.env, t, {.una_before = u, .acked = 1000}, Instant::at_ns(2'000'000));
  ASSERT_EQ(r.in_flight(t), 0U); // all held, none acknowledged
  r.on_rto(alone.env, t, Instant::at_ns(500'000'000));
  ASSERT_TRUE(r.next_lost(t).has_value());
  EXPECT_EQ(r.next_lost(t)->seq, u + 1000);
  EXPECT_EQ(r.log().sacked(), 0U);
  EXPECT_EQ(r.log().lost(), 3000U);
}

// RFC 6582 §3.2 step 2, and its bug of old: what a time-out sent in vain comes back as duplicates, which must
// not be taken for a loss.
TEST(Recovery, DuplicatesAtRecoverAfterTimeoutRetransmitNothing) {
  Alone alone(0, 1000, 20'000);
  Tcb& t = alone.t;
  Recovery& r = alone.r;
  const auto ack = [&](std::uint32_t segments) {
    const AckInfo info{.una_before = t.snd_una, .acked = segments * 1000, .pure = true};
    t.snd_una += segments * 1000;
    return r.on_ack(alone.env, t, info, Instant::at_ns(1'000'000'000));
  };
  alone.send(4);
  r.on_rto(alone.env, t, Instant::at_ns(900'000'000));
  (void)ack(4); // snd.una is recover now
  t.cwnd = 20'000;
  alone.send(8);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(ack(0).lost);
  (void)ack(1);
  (void)ack(0);
  (void)ack(0);
  EXPECT_FALSE(r.in_recovery());
  EXPECT_TRUE(ack(0).lost); // past recover, three are three
  EXPECT_TRUE(r.in_recovery());
}

TEST(Recovery, SmallerPathCostsNoWindow) {
  Alone alone(flag_sack, 1400, 14'000);
  Tcb& t = alone.t;
  Recovery& r = alone.r;
  alone.send(3);
  t.mss = 1000;
  r.on_path_mtu(alone.env, t, Instant::at_ns(10));
  EXPECT_EQ(t.cwnd, 14'000U);
  std::uint32_t bytes = 0;
  for (auto lost = r.next_lost(t); lost; lost = r.next_lost(t)) {
    EXPECT_LE(lost->length, 1000U);
    bytes += lost->length;
    r.on_transmit(alone.env, t, *lost, true, Instant::at_ns(10));
  }
  EXPECT_EQ(bytes, 4200U);
}

// ---- Random paths: everything arrives whatever is lost, with SACK and without, and with hardly any memory.

class RecoveryRandom : public ::testing::TestWithParam<unsigned> {};

TEST_P(RecoveryRandom, EverythingArrives) {
  std::mt19937 rng(GetParam());
  const unsigned kind = GetParam();
  const std::uint32_t flags = ((kind & 1) != 0 ? std::uint32_t{flag_sack} : 0) |
                              ((kind & 2) != 0 ? std::uint32_t{flag_timestamps} : 0);
  const std::uint32_t blocks = (kind & 12) == 12 ? 0 : (kind & 12) == 8 ? 2 : 64;
  Rig rig(flags, {.recovery = 1, .tx_log = blocks});
  rig.settings.congestion = (kind & 16) != 0 ? CongestionControl::NewReno : CongestionControl::Cubic;
  rig.segments = 1500;
  const unsigned loss = static_cast<unsigned>(rng() % 12);
  const unsigned reorder = static_cast<unsigned>(rng() % 10);
  rig.fate = [&rng, loss](std::uint32_t, unsigned) {
    return rng() % 100 < loss ? Fate::Lost : Fate::Arrives;
  };
  rig.extra_us = [&rng, reorder](std::uint32_t, unsigned) {
    return rng() % 100 < reorder ? static_cast<std::int64_t>(rng() % 60'000) : 0;
  };
  rig.ack_lost = [&rng, loss](std::uint32_t) { return rng() % 100 < loss; };
  rig.run(40'000'000'000);
  EXPECT_TRUE(rig.done()) << rig.acked_segments() << " of " << rig.segments << " at " << rig.now_us();
  if (loss == 0 && reorder == 0) {
    EXPECT_EQ(rig.again(), 0U);
  }
  if (blocks == 64 && (flags & flag_sack) != 0) {
    EXPECT_LT(rig.again(), 1500U * (loss + reorder + 3) / 40); // within reason of what was lost
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, RecoveryRandom, ::testing::Range(0U, 64U));

// ---- ACKs that overtake each other, and nothing else: no text is out of order, so nothing is ever in doubt but what was
// lost.

class AcksOvertake : public ::testing::TestWithParam<unsigned> {
 protected:
  AcksOvertake()
      : rng(GetParam()),
        rig(((GetParam() & 1) != 0 ? std::uint32_t{flag_sack} : 0) |
            ((GetParam() & 2) != 0 ? std::uint32_t{flag_timestamps} : 0)) {
    rig.segments = 1500;
    rig.per_segment_us = 200;
    rig.ack_extra_us = [this](std::uint32_t) {
      return rng() % 100 < 30 ? static_cast<std::int64_t>(rng() % 5'000) : 0;
    };
  }
  std::mt19937 rng;
  Rig rig;
};

TEST_P(AcksOvertake, NothingIsSentAgain) {
  rig.run();
  EXPECT_TRUE(rig.done());
  EXPECT_EQ(rig.again(), 0U);
  EXPECT_EQ(rig.undone, 0U);
  EXPECT_EQ(rig.counters.get(Counter::retransmit_spurious), 0U);
}

TEST_P(AcksOvertake, NoLossIsUndone) {
  std::uint32_t lost = 0;
  rig.fate = [&](std::uint32_t segment, unsigned nth) {
    const bool gone = segment > 100 && segment < 1400 && nth == 0 && rng() % 100 < 1;
    lost += gone;
    return gone ? Fate::Lost : Fate::Arrives;
  };
  rig.run();
  EXPECT_TRUE(rig.done());
  if ((GetParam() & 1) == 0) return; // duplicates alone do not tell what was sent again in vain
  EXPECT_EQ(rig.again(), lost);
  EXPECT_EQ(rig.undone, 0U);
  EXPECT_EQ(rig.counters.get(Counter::retransmit_spurious), 0U);
}
INSTANTIATE_TEST_SUITE_P(Seeds, AcksOvertake, ::testing::Range(0U, 64U));

} // namespace recovery_test
} // namespace tern::tcp
