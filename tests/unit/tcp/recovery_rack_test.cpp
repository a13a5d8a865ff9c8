#include "tcp/recovery/rack.hpp"

#include <gtest/gtest.h>

namespace tern::tcp {
namespace recovery_rack_test {

constexpr Seq base{0xffff'fe00};

Delivered arrived(std::uint32_t sent, std::uint32_t now, std::uint32_t left, std::uint32_t right,
                  std::uint8_t flags = 0, std::uint32_t min_rtt = 0) {
  Delivered d{.now_us = now, .min_rtt_us = min_rtt};
  d.take(base + left, base + right, sent, flags);
  return d;
}

TEST(Rack, SentAfterIsByTimeThenSequence) {
  EXPECT_TRUE(sent_after(5, base, 4, base + 100));
  EXPECT_TRUE(sent_after(3, base, 0xffff'fff0, base));   // the clock wraps
  EXPECT_TRUE(sent_after(5, base + 600, 5, base + 500)); // the sequence numbers too
  EXPECT_FALSE(sent_after(5, base, 5, base));
}

TEST(Rack, NewestTransmissionIsKept) {
  Rack r;
  r.learn(arrived(1000, 51'000, 0, 100));
  r.learn(arrived(900, 52'000, 100, 200)); // sent earlier: changes nothing
  const RackRule rule = r.rule(50'000, true, 60'000);
  EXPECT_EQ(rule.sent_us, 1000U);
  EXPECT_EQ(rule.end, base + 100);
  EXPECT_EQ(rule.patience_us, 50'000U); // the RTT alone
  EXPECT_EQ(r.min_rtt_us(), 50'000U);
}

TEST(Rack, RetransmissionDoesNotSetTheLeastRtt) {
  Rack r;
  r.learn(arrived(1000, 51'000, 0, 100));
  r.learn(arrived(10'000, 60'001, 100, 200, tx_again, 50'000));
  EXPECT_EQ(r.min_rtt_us(), 50'000U);
  r.learn(arrived(10'000, 30'000, 200, 300, tx_again, 50'000)); // too quick: it was the original
  EXPECT_EQ(r.rule(1, true, 0).sent_us, 10'000U);
  EXPECT_EQ(r.rtt_us(), 50'001U);
}

// §6.2 step 4: none until reordering was seen, while there are reasons to hurry; else a quarter of the RTT.
TEST(Rack, WindowOpensWithReordering) {
  Rack r;
  r.learn(arrived(1000, 41'000, 500, 600));
  EXPECT_EQ(r.window_us(50'000, true), 0U);
  EXPECT_EQ(r.window_us(50'000, false), 10'000U);
  r.learn(arrived(900, 41'500, 100, 200)); // never sent twice, and below what had arrived
  EXPECT_TRUE(r.reordering_seen());
  EXPECT_EQ(r.window_us(50'000, true), 10'000U);
}

TEST(Rack, RepeatedTextBelowIsNoReordering) {
  Rack r;
  r.learn(arrived(1000, 41'000, 500, 600));
  r.learn(arrived(1100, 42'000, 100, 200, tx_again));
  EXPECT_FALSE(r.reordering_seen());
}

TEST(Rack, OneAckThatCoversBothIsNoReordering) {
  Rack r;
  r.learn(arrived(900, 40'900, 0, 100));
  Delivered d{.now_us = 41'000};
  d.take(base + 500, base + 600, 1000, 0); // its SACK blocks come newest first
  d.take(base + 300, base + 400, 1000, 0);
  r.learn(d);
  EXPECT_FALSE(r.reordering_seen());
}

// Each D-SACK round widens by a quarter; sixteen recoveries later it is as before; SRTT bounds it.
TEST(Rack, DsackWidensForSixteenRecoveries) {
  Rack r;
  r.learn(arrived(0, 40'000, 500, 600));
  r.on_spurious();
  r.on_dsack(base + 600, base + 1000);
  EXPECT_EQ(r.window_us(100'000, true), 20'000U);
  r.on_dsack(base + 700, base + 1100); // the same round trip
  EXPECT_EQ(r.window_us(100'000, true), 20'000U);
  r.on_dsack(base + 1000, base + 1400);
  EXPECT_EQ(r.window_us(100'000, true), 30'000U);
  EXPECT_EQ(r.window_us(25'000, true), 25'000U);
  for (int i = 0; i < 15; ++i) r.on_recovery_exit();
  EXPECT_EQ(r.window_us(100'000, true), 30'000U);
  r.on_recovery_exit();
  EXPECT_EQ(r.window_us(100'000, true), 10'000U);
}

TEST(Rack, HostileDsacksAreBounded) {
  Rack r;
  r.learn(arrived(0, 40'000, 500, 600));
  r.on_spurious();
  for (std::uint32_t i = 0; i < 10'000; ++i) r.on_dsack(base + i * 1000, base + i * 1000 + 10);
  EXPECT_EQ(r.window_us(70'000, true), 70'000U);
}

TEST(Rack, LeastRttIsForgottenAfterFiveMinutes) {
  Rack r;
  r.learn(arrived(0, 10'000, 0, 100));
  r.learn(arrived(100'000'000, 100'050'000, 100, 200));
  EXPECT_EQ(r.min_rtt_us(), 10'000U);
  r.learn(arrived(400'000'000, 400'050'000, 200, 300));
  EXPECT_EQ(r.min_rtt_us(), 50'000U);
}

} // namespace recovery_rack_test
} // namespace tern::tcp
