// Messages to a core: order, bounds, ends.
#include "runtime/mailbox.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "support/core_pair.hpp"

namespace tern {
namespace mailbox_test {

struct Silent {};

// A core that nobody talks to: messages are called with its handle.
struct Idle {
  test::CorePair<Silent, Silent> pair;
  CoreHandle& handle = pair.client.core.handle();
};

TEST(Mailbox, RunsMessagesInTheOrderTheyCameWithTheCoreTheyWerePostedTo) {
  Idle idle;
  std::vector<int> seen;
  CoreHandle* core = nullptr;
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(idle.handle.post([&, i](CoreHandle& c) {
      core = &c;
      seen.push_back(i);
    }));
  EXPECT_TRUE(seen.empty());
  EXPECT_TRUE(idle.pair.client.core.poll(idle.pair.now));
  EXPECT_EQ(seen, (std::vector{0, 1, 2}));
  EXPECT_EQ(core, &idle.handle);
  idle.pair.settle();
  EXPECT_FALSE(idle.pair.client.core.poll(idle.pair.now));
}

TEST(Mailbox, AMessageIsRunAtTheTimeOfItsTurn) {
  Idle idle;
  Instant seen;
  const Instant later = idle.pair.now + Duration::seconds(3);
  ASSERT_TRUE(idle.handle.post([&](CoreHandle& c) { seen = c.now(); }));
  idle.pair.client.core.poll(later);
  EXPECT_EQ(seen, later);
}

TEST(Mailbox, WhatAMessagePostsWaitsForTheNextTurn) {
  Idle idle;
  int turns = 0;
  ASSERT_TRUE(idle.handle.post([&](CoreHandle& c) { (void)c.post([&](CoreHandle&) { ++turns; }); }));
  idle.pair.client.core.poll(idle.pair.now);
  EXPECT_EQ(turns, 0);
  idle.pair.client.core.poll(idle.pair.now);
  EXPECT_EQ(turns, 1);
}

TEST(Mailbox, AFullOneRefusesAndTheMessageStaysTheCallers) {
  Idle idle;
  Mailbox box(4);
  int run = 0;
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(box.post([&](CoreHandle&) { ++run; }));
  Message kept([&](CoreHandle&) { run += 100; });
  EXPECT_FALSE(box.post(kept));
  EXPECT_TRUE(kept);
  EXPECT_EQ(box.run(idle.handle), 4U);
  EXPECT_EQ(run, 4);
  EXPECT_TRUE(box.post(kept));
  EXPECT_EQ(box.run(idle.handle), 1U);
  EXPECT_EQ(run, 104);
}

TEST(Mailbox, AClosedOneRefusesAndDestroysWhatWasLeft) {
  auto held = std::make_shared<int>(0);
  Mailbox box(4);
  ASSERT_TRUE(box.post([held](CoreHandle&) { ++*held; }));
  EXPECT_EQ(held.use_count(), 2);
  box.close();
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_EQ(*held, 0);
  EXPECT_FALSE(box.post([held](CoreHandle&) { ++*held; }));
  EXPECT_EQ(held.use_count(), 1);
}

TEST(Mailbox, ManyThreadsLoseNothingAndEachKeepsItsOrder) {
  constexpr int threads = 3;
  constexpr int each = 2000;
  Idle idle;
  Mailbox box(16);
  std::vector<int> next(threads, 0); // written by the consumer alone
  bool in_order = true;
  std::vector<std::thread> producers;
  for (int t = 0; t < threads; ++t)
    producers.emplace_back([&, t] {
      for (int i = 0; i < each; ++i) {
        Message m([&, t, i](CoreHandle&) {
          auto& expected = next[static_cast<std::size_t>(t)];
          in_order = in_order && expected == i;
          ++expected;
        });
        while (!box.post(m)) std::this_thread::yield();
      }
    });
  std::uint32_t run = 0;
  while (run < threads * each) {
    const std::uint32_t n = box.run(idle.handle);
    if (n == 0) std::this_thread::yield();
    run += n;
  }
  for (auto& p : producers) p.join();
  EXPECT_TRUE(in_order);
  EXPECT_EQ(next, std::vector<int>(threads, each));
  EXPECT_TRUE(box.empty());
}

} // namespace mailbox_test
} // namespace tern
