#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "app/lb/choose/credits.hpp"

namespace tern::app::lb {
namespace lb_credits_test {

TEST(Credits, LimitHoldsOverAllCores) {
  CreditBank bank(4);
  bank.set_limit(3, 100);
  std::vector<CreditPurse> cores;
  for (int i = 0; i < 4; ++i) cores.emplace_back(bank);
  std::uint32_t open = 0;
  for (int i = 0; i < 400; ++i) open += cores[static_cast<std::size_t>(i) % 4].take(3) ? 1U : 0U;
  EXPECT_EQ(open, 100U);
  EXPECT_EQ(bank.free(3), 0);
}

TEST(Credits, OneCoreMayHaveThemAll) {
  CreditBank bank(64);
  bank.set_limit(0, 7);
  CreditPurse busy(bank);
  CreditPurse idle(bank);
  for (int i = 0; i < 7; ++i) EXPECT_TRUE(busy.take(0));
  EXPECT_FALSE(busy.take(0));
  busy.give_back(0);
  EXPECT_TRUE(idle.take(0)); // what ended on one core is free for another
  EXPECT_FALSE(busy.take(0));
}

TEST(Credits, WhatACoreKeepsComesBackWhenItIsMissed) {
  CreditBank bank(2);
  bank.set_limit(0, 320);
  CreditPurse a(bank);
  CreditPurse b(bank);
  ASSERT_TRUE(a.take(0));
  EXPECT_LT(bank.free(0), 319); // a batch was borrowed
  std::uint32_t open = 1;
  while (b.take(0)) ++open;
  EXPECT_LT(open, 320U);
  a.settle(0); // the tick after
  while (b.take(0)) ++open;
  EXPECT_EQ(open, 320U);
  EXPECT_FALSE(a.take(0));
}

TEST(Credits, WithoutALimitTheBankIsNotTouched) {
  CreditBank bank(2);
  CreditPurse a(bank);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(a.take(9));
  EXPECT_EQ(bank.free(9), 0);
  EXPECT_EQ(a.open(9), 1000U);
}

TEST(Credits, LimitSetLaterCountsWhatIsOpen) {
  CreditBank bank(2);
  CreditPurse a(bank);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(a.take(0));
  bank.set_limit(0, 8);
  a.settle(0);
  EXPECT_EQ(bank.free(0), -2);
  EXPECT_FALSE(a.take(0));
  a.give_back(0), a.give_back(0);
  EXPECT_FALSE(a.take(0));
  a.give_back(0);
  EXPECT_TRUE(a.take(0));
  EXPECT_FALSE(a.take(0));
  EXPECT_EQ(a.open(0), 8U);
}

TEST(Credits, LimitLoweredAndTakenAwayUnderLiveConnections) {
  CreditBank bank(1);
  bank.set_limit(0, 100);
  CreditPurse a(bank);
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(a.take(0));
  bank.set_limit(0, 20);
  EXPECT_FALSE(a.has(0) && a.take(0) && a.open(0) > 63); // at most what the core had kept
  while (a.open(0) > 19) a.give_back(0);
  a.settle(0);
  EXPECT_TRUE(a.take(0));
  EXPECT_FALSE(a.take(0));
  bank.set_limit(0, 0);
  for (int i = 0; i < 500; ++i) ASSERT_TRUE(a.take(0));
  while (a.open(0) > 0) a.give_back(0);
  a.settle(0);
  EXPECT_EQ(bank.free(0), 0); // nothing out, no limit
  bank.set_limit(0, 5);
  std::uint32_t open = 0;
  while (a.take(0)) ++open;
  EXPECT_EQ(open, 5U);
}

TEST(Credits, ThreadsNeverExceedTheLimit) {
  constexpr std::int64_t limit = 50;
  CreditBank bank(2);
  bank.set_limit(1, limit);
  std::atomic<std::int64_t> open{0};
  std::atomic<std::int64_t> most{0};
  const auto core = [&] {
    CreditPurse purse(bank);
    for (int round = 0; round < 2000; ++round) {
      int mine = 0;
      for (int i = 0; i < 40; ++i) {
        if (!purse.take(1)) break;
        ++mine;
        const std::int64_t n = open.fetch_add(1) + 1;
        std::int64_t m = most.load();
        while (n > m && !most.compare_exchange_weak(m, n)) {
        }
      }
      for (; mine > 0; --mine) {
        open.fetch_sub(1);
        purse.give_back(1);
      }
      purse.settle(1);
    }
    bank.set_limit(1, limit); // from any thread
  };
  std::thread one(core);
  std::thread two(core);
  one.join(), two.join();
  EXPECT_LE(most.load(), limit);
  EXPECT_GT(most.load(), limit / 2);
}

} // namespace lb_credits_test
} // namespace tern::app::lb
