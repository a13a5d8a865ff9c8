#include "tcp/recovery/tx_log.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

#include "tcp/side_memory.hpp"

namespace tern::tcp {
namespace recovery_tx_log_test {

constexpr Seq start{0xffff'f000}; // the circle's end lies within every test
constexpr std::uint16_t mss = 1000;

class TxLogTest : public ::testing::Test {
 protected:
  explicit TxLogTest(std::uint32_t blocks = 64) : memory_({.tx_log = blocks}) {}
  ~TxLogTest() override {
    log_.release(pool());
    EXPECT_EQ(memory_.used(), 0U);
  }
  TxLog::Blocks* pool() { return memory_.pools().tx_log; }
  // Segment n occupies [at(n), at(n + 1)).
  static Seq at(std::uint32_t n) { return start + n * mss; }
  void send(std::uint32_t from, std::uint32_t to, std::uint32_t now, std::uint32_t slice = 0) {
    for (std::uint32_t n = from; n < to; ++n) EXPECT_TRUE(log_.append(pool(), at(n), mss, mss, now, slice));
  }
  Delivered sack(std::uint32_t from, std::uint32_t to, std::uint32_t now = 1000) {
    Delivered d{.now_us = now};
    log_.sack(pool(), at(from), at(to), d);
    return d;
  }
  Delivered acknowledge(std::uint32_t to, std::uint32_t now = 1000) {
    Delivered d{.now_us = now};
    log_.acknowledge(pool(), at(to), d);
    return d;
  }
  // One letter a segment.
  std::string picture() const {
    std::string s;
    log_.each([&](Seq l, Seq r, const TxEntry& e) {
      const char c = (e.flags & tx_sacked)  ? 'S'
                     : (e.flags & tx_lost)  ? 'L'
                     : (e.flags & tx_again) ? 'R'
                                            : '.';
      s.append(r.since(l) / mss, c);
    });
    return s;
  }

  SideMemory memory_;
  TxLog log_;
};

TEST_F(TxLogTest, SegmentsOfOneBurstShareAnEntry) {
  send(0, 10, 100);
  EXPECT_EQ(log_.entries(), 1);
  send(10, 12, 101);
  EXPECT_EQ(log_.entries(), 2);
  send(12, 14, 110, 9); // within the slice
  EXPECT_EQ(log_.entries(), 2);
  send(14, 15, 111, 9); // and past it
  EXPECT_EQ(log_.entries(), 3);
}

// Comparing any two entries' times must tell which left first.
TEST_F(TxLogTest, NoSliceSpansARetransmission) {
  send(0, 4, 100);
  EXPECT_TRUE(log_.retransmitted(pool(), at(0), at(1), 105));
  send(4, 6, 106, 50);
  EXPECT_EQ(log_.entries(), 3);
  // The retransmission's ACK says nothing of what left after it.
  EXPECT_EQ(
      log_.mark_lost({.sent_us = 105, .end = at(1), .patience_us = 0, .now_us = 200, .again = true}).lost,
      3000U);
  EXPECT_EQ(picture(), "RLLL..");
}

// One output pass has one time: whether new text or a retransmission left first is not known.
TEST_F(TxLogTest, SameTimeOfNewAndRepeatedTextTellsNothing) {
  send(0, 2, 100);
  EXPECT_TRUE(log_.retransmitted(pool(), at(0), at(1), 300));
  send(2, 3, 300);
  EXPECT_EQ(log_.mark_lost({.sent_us = 300, .end = at(3), .patience_us = 0, .now_us = 400}).lost, 1000U);
  EXPECT_EQ(picture(), "RL.");
}

TEST_F(TxLogTest, ShortSegmentEndsItsEntry) {
  EXPECT_TRUE(log_.append(pool(), start, 300, mss, 5, 0));
  EXPECT_TRUE(log_.append(pool(), start + 300, 1000, mss, 5, 0));
  EXPECT_EQ(log_.entries(), 2);
}

TEST_F(TxLogTest, SackCutsAndJoins) {
  send(0, 10, 100);
  EXPECT_EQ(sack(2, 3).bytes, 1000U);
  EXPECT_EQ(sack(4, 5).bytes, 1000U);
  EXPECT_EQ(picture(), "..S.S.....");
  EXPECT_EQ(sack(2, 5).bytes, 1000U);
  EXPECT_EQ(picture(), "..SSS.....");
  EXPECT_EQ(log_.entries(), 3);
  EXPECT_EQ(log_.sacked(), 3000U);
  EXPECT_EQ(sack(2, 5).bytes, 0U);
  EXPECT_EQ(acknowledge(4).bytes, 2000U); // what was held already is not news
  EXPECT_EQ(picture(), "S.....");
  EXPECT_EQ(log_.sacked(), 1000U);
  EXPECT_EQ(acknowledge(10).bytes, 5000U);
  EXPECT_TRUE(log_.empty());
  EXPECT_EQ(log_.sacked(), 0U);
}

// CVE-2019-11477 and its kin: a block that covers part of a segment makes no record of that part.
TEST_F(TxLogTest, SackOfPartsOfSegmentsMarksWholeOnes) {
  send(0, 10, 100);
  Delivered d{.now_us = 200};
  log_.sack(pool(), start + 1500, start + 4700, d);
  EXPECT_EQ(picture(), "..SS......");
  log_.sack(pool(), start + 5001, start + 5999, d);
  EXPECT_EQ(picture(), "..SS......");
  EXPECT_EQ(log_.entries(), 3);
}

TEST_F(TxLogTest, ShortLastSegmentIsWhole) {
  send(0, 2, 100);
  EXPECT_TRUE(log_.append(pool(), at(2), 1, mss, 100, 0));
  Delivered d{.now_us = 200};
  log_.sack(pool(), at(2), at(2) + 1, d);
  EXPECT_EQ(log_.sacked(), 1U);
}

TEST_F(TxLogTest, RackMarksWhatLeftBefore) {
  send(0, 3, 100);
  send(3, 6, 200);
  send(6, 9, 300);
  (void)sack(5, 6, 1000);
  // Sent at 200, ends at segment 6: all before it in time, and at its time the lower ones, are candidates.
  const RackRule rule{.sent_us = 200, .end = at(6), .patience_us = 850, .now_us = 1000};
  const RackFinding f = log_.mark_lost(rule);
  EXPECT_EQ(f.lost, 3000U);
  EXPECT_EQ(f.wait_us, 50U);
  EXPECT_EQ(picture(), "LLL..S...");
  const RackFinding later = log_.mark_lost({200, at(6), 850, 1050});
  EXPECT_EQ(later.lost, 2000U);
  EXPECT_EQ(later.wait_us, 0U);
  EXPECT_EQ(picture(), "LLLLLS...");
  EXPECT_EQ(log_.lost(), 5000U);
}

TEST_F(TxLogTest, RetransmissionIsCutOffAndTimedAnew) {
  send(0, 6, 100);
  log_.mark_all_lost();
  auto first = log_.first_lost();
  EXPECT_EQ(first.left, at(0));
  EXPECT_EQ(first.right, at(6));
  EXPECT_TRUE(log_.retransmitted(pool(), at(0), at(1), 500));
  EXPECT_TRUE(log_.retransmitted(pool(), at(1), at(2), 500));
  EXPECT_EQ(picture(), "RRLLLL");
  EXPECT_EQ(log_.entries(), 2);
  EXPECT_EQ(log_.first_lost().left, at(2));
  EXPECT_EQ(log_.lost(), 4000U);
  // The retransmission is itself lost: something that left after it has arrived.
  EXPECT_EQ(log_.mark_lost({600, at(6), 50, 700}).lost, 2000U);
  EXPECT_EQ(log_.first_lost().left, at(0));
}

TEST_F(TxLogTest, AmbiguousRetransmissionTeachesNoTime) {
  send(0, 1, 100);
  EXPECT_TRUE(log_.retransmitted(pool(), at(0), at(1), 900));
  Delivered d{.now_us = 1000, .min_rtt_us = 400};
  log_.acknowledge(pool(), at(1), d);
  EXPECT_FALSE(d.any_time);
  EXPECT_FALSE(d.original);
}

TEST_F(TxLogTest, EchoOlderThanRetransmissionTeachesNoTime) {
  send(0, 1, 100);
  EXPECT_TRUE(log_.retransmitted(pool(), at(0), at(1), 50'000));
  Delivered d{.now_us = 60'000, .min_rtt_us = 400, .echoed_us = 59'000};
  log_.acknowledge(pool(), at(1), d);
  EXPECT_FALSE(d.any_time);
}

TEST_F(TxLogTest, LargerSegmentsAreLostWhenThePathShrinks) {
  send(0, 2, 100);
  EXPECT_TRUE(log_.append(pool(), at(2), 500, 500, 100, 0));
  log_.mark_longer_lost(600);
  EXPECT_EQ(log_.lost(), 2000U);
  EXPECT_TRUE(log_.retransmitted(pool(), start, start + 600, 200));
  EXPECT_EQ(log_.lost(), 1400U);
}

TEST_F(TxLogTest, ForgottenSackIsInFlightAgain) {
  send(0, 4, 100);
  (void)sack(0, 2);
  EXPECT_TRUE(log_.front_is_sacked());
  log_.forget_sacked();
  EXPECT_EQ(log_.sacked(), 0U);
  EXPECT_FALSE(log_.front_is_sacked());
  log_.mark_all_lost();
  EXPECT_EQ(log_.lost(), 4000U);
}

// Every second segment held, as many as there are: the log stops cutting at its limit, and stays right.
TEST_F(TxLogTest, HolesAreBounded) {
  const std::uint32_t segments = 4 * TxLog::most_entries;
  send(0, segments, 100);
  for (std::uint32_t n = 1; n < segments; n += 2) (void)sack(n, n + 1);
  EXPECT_LE(log_.entries(), TxLog::most_entries);
  EXPECT_LE(memory_.pools().tx_log->used(), 2 * TxLog::most_entries / TxLogBlock::most + 2U);
  EXPECT_GE(log_.sacked(), mss * (TxLog::most_entries / 2U - 1));
  EXPECT_LE(log_.sacked(), mss * segments / 2U);
  const std::uint32_t held = log_.sacked();
  EXPECT_EQ(acknowledge(segments).bytes, segments * mss - held);
  EXPECT_TRUE(log_.empty());
}

class TxLogPoor : public TxLogTest {
 protected:
  TxLogPoor() : TxLogTest(1) {}
};

TEST_F(TxLogPoor, WithoutBlocksTheTailGrowsCoarse) {
  for (std::uint32_t n = 0; n < 40; ++n) {
    const bool exact = log_.append(pool(), at(n), mss, mss, 100 + n, 0);
    EXPECT_EQ(exact, n < TxLogBlock::most) << n;
  }
  EXPECT_EQ(log_.end(), at(40));
  EXPECT_EQ(log_.entries(), TxLogBlock::most);
  Delivered d{.now_us = 1000};
  log_.acknowledge(pool(), at(40), d);
  EXPECT_EQ(d.bytes, 40'000U);
  EXPECT_EQ(d.newest_sent_us, 100U + TxLogBlock::most - 2); // the coarse tail is not measured by
}

TEST_F(TxLogPoor, WithoutBlocksRetransmissionStillMakesProgress) {
  for (std::uint32_t n = 0; n < 30; ++n) (void)log_.append(pool(), at(n), mss, mss, 100 + n, 0);
  log_.mark_all_lost();
  for (int i = 0; i < 100 && log_.lost() != 0; ++i) {
    const auto r = log_.first_lost();
    (void)log_.retransmitted(pool(), r.left, r.left + mss, 500);
  }
  EXPECT_EQ(log_.lost(), 0U);
}

TEST(TxLogEmptyPool, NothingIsLoggedAndNothingBreaks) {
  TxLog log;
  Delivered d{.now_us = 5};
  EXPECT_FALSE(log.append(nullptr, start, 1000, mss, 1, 0));
  EXPECT_FALSE(log.retransmitted(nullptr, start, start + 1000, 2));
  log.sack(nullptr, start, start + 1000, d);
  log.acknowledge(nullptr, start + 1000, d);
  log.mark_all_lost();
  EXPECT_EQ(log.mark_front_lost(nullptr, 10), 0U);
  EXPECT_EQ(log.mark_lost({}).lost, 0U);
  EXPECT_EQ(log.first_lost().left, log.first_lost().right);
  EXPECT_EQ(d.bytes, 0U);
}

// ---- The log beside a plain array of segments, over random histories.

struct Model {
  struct One {
    std::uint32_t sent = 0;
    bool sacked = false, lost = false, again = false;
  };
  std::map<std::uint32_t, One> segments; // by number
};

void check_alike(const TxLog& log, const Model& m, std::uint32_t una) {
  std::uint32_t sacked = 0;
  std::uint32_t lost = 0;
  std::uint32_t n = una;
  Seq expect = start + una * mss;
  std::uint32_t entries = 0;
  log.each([&](Seq l, Seq r, const TxEntry& e) {
    ASSERT_EQ(l, expect);
    ASSERT_TRUE(l.before(r));
    expect = r;
    ++entries;
    for (; l.before(r); l += mss, ++n) {
      const auto& one = m.segments.at(n);
      ASSERT_EQ((e.flags & tx_sacked) != 0, one.sacked) << n;
      if (one.sacked) continue;
      ASSERT_EQ((e.flags & tx_lost) != 0, one.lost) << n;
      ASSERT_EQ((e.flags & tx_again) != 0, one.again) << n;
      ASSERT_EQ(e.sent_us, one.sent) << n;
    }
  });
  for (const auto& [k, one] : m.segments) sacked += one.sacked * mss, lost += (one.lost && !one.sacked) * mss;
  EXPECT_EQ(log.sacked(), sacked);
  EXPECT_EQ(log.lost(), lost);
  EXPECT_EQ(log.entries(), entries);
  EXPECT_EQ(n, una + m.segments.size());
}

class TxLogModel : public ::testing::TestWithParam<unsigned> {};

TEST_P(TxLogModel, AgreesWithPlainMap) {
  std::mt19937 rng(GetParam());
  const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(rng() % n); };
  SideMemory memory({.tx_log = 64});
  TxLog::Blocks* pool = memory.pools().tx_log;
  TxLog log;
  Model m;
  std::uint32_t una = 0;
  std::uint32_t nxt = 0;
  std::uint32_t now = 0xffff'0000;
  const auto at = [](std::uint32_t n) { return start + n * mss; };
  for (int step = 0; step < 1500; ++step) {
    now += below(3) * 10;
    Delivered d{.now_us = now};
    const std::uint32_t out = nxt - una;
    switch (below(8)) {
      case 0:
      case 1:
        for (std::uint32_t k = below(8); k != 0 && nxt - una < 300; --k) {
          ASSERT_TRUE(log.append(pool, at(nxt), mss, mss, now, 0));
          m.segments[nxt++] = {.sent = now};
        }
        break;
      case 2:
        if (out != 0) {
          const std::uint32_t to = una + below(std::min(out, 12U) + 1);
          std::uint32_t fresh = 0;
          for (; una != to; ++una) fresh += !m.segments[una].sacked, m.segments.erase(una);
          log.acknowledge(pool, at(una), d);
          ASSERT_EQ(d.bytes, fresh * mss);
        }
        break;
      case 3:
      case 4:
      case 5:
        if (out != 0) {
          const std::uint32_t from = una + below(out);
          const std::uint32_t to = std::min(nxt, from + 1 + below(6));
          std::uint32_t fresh = 0;
          for (std::uint32_t n = from; n < to; ++n)
            fresh += !m.segments[n].sacked, m.segments[n] = {.sacked = true};
          log.sack(pool, at(from), at(to), d);
          ASSERT_EQ(d.bytes, fresh * mss);
        }
        break;
      case 6:
        if (out != 0) { // RACK by its definition, over all
          const RackRule rule{m.segments[una + below(out)].sent, at(nxt) + 1, below(200), now};
          std::uint32_t lost = 0;
          for (auto& [n, one] : m.segments) {
            if (one.again && one.sent == rule.sent_us) continue; // as told nowhere which left first
            if (one.sacked || one.lost || !sent_after(rule.sent_us, rule.end, one.sent, at(n + 1))) continue;
            if (static_cast<std::int32_t>(one.sent + rule.patience_us - now) > 0) continue;
            one.lost = true;
            lost += mss;
          }
          ASSERT_EQ(log.mark_lost(rule).lost, lost);
        }
        break;
      case 7:
        if (const auto r = log.first_lost(); r.left != r.right) {
          const std::uint32_t n = una + r.left.since(at(una)) / mss;
          for (std::uint32_t k = una; k < n; ++k) ASSERT_FALSE(m.segments[k].lost && !m.segments[k].sacked);
          ASSERT_TRUE(m.segments[n].lost);
          ASSERT_TRUE(log.retransmitted(pool, at(n), at(n + 1), now));
          m.segments[n] = {.sent = now, .again = true};
        } else if (below(20) == 0) {
          log.mark_all_lost();
          for (auto& [n, one] : m.segments) one.lost = !one.sacked;
        } else if (below(20) == 0) {
          log.unmark_lost();
          for (auto& [n, one] : m.segments) one.lost = false;
        }
        break;
    }
    check_alike(log, m, una);
    if (::testing::Test::HasFailure()) FAIL() << "step " << step;
  }
  log.release(pool);
  EXPECT_EQ(memory.used(), 0U);
}
INSTANTIATE_TEST_SUITE_P(Seeds, TxLogModel, ::testing::Range(1U, 31U));

} // namespace recovery_tx_log_test
} // namespace tern::tcp
