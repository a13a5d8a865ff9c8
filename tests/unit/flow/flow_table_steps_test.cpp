// A reader that looks between any two instructions of the owner's changes: whatever stays is found at each of these
// moments, and nothing is seen that is not there. Threads that race meet such a moment now and then at best
// (flow_table_readers_test.cpp).
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <vector>

#include "flow/flow_table.hpp"
#include "support/stepping.hpp"
#include "unit/flow/chosen_hash.hpp"

#if TERN_CAN_STEP
namespace tern {
namespace flow_table_steps_test {

class Steps : public testing::Test {
 protected:
  void come(FlowHash h, std::uint32_t record) {
    ASSERT_TRUE(table_.insert(h, conn(record)));
    there_.push_back({h, conn(record)});
  }
  // Ten alike; the first, which is moved before the others, is watched, and the last.
  void fill(FlowHash h) {
    come(h, next_++);
    for (int i = 0; i < 8; ++i) ASSERT_TRUE(table_.insert(h, conn(next_++)));
    come(h, next_++);
  }
  // Records that are free now have been in those slots: what a reader must not take up again.
  void use_before(std::uint32_t bucket) {
    for (std::uint32_t i = 0; i < 10; ++i)
      ASSERT_TRUE(table_.insert(chosen_.hash(bucket, 99), conn(free_from + i)));
    for (std::uint32_t i = 0; i < 10; ++i)
      ASSERT_TRUE(table_.erase(chosen_.hash(bucket, 99), conn(free_from + i)));
  }

  struct Flow {
    FlowHash hash;
    FlowRef record;
  };
  // `change` touches only the flow of `h`, which is `before` until it is `after`.
  void expect_whole_throughout(const std::function<void()>& change, FlowHash h, FlowRef before,
                               FlowRef after) {
    unsigned lost = 0, wrong = 0, ghosts = 0, looks = 0;
    bool over = false;
    const auto find = [&](FlowHash of, FlowRef wanted) {
      return table_.read(of, [&](FlowRef r) { return r == wanted; }) == FlowTable::Read::found;
    };
    const auto look = [&] {
      ++looks;
      for (const Flow& f : there_) lost += find(f.hash, f.record) ? 0 : 1;
      const bool old = before && find(h, before), fresh = after && find(h, after);
      wrong += (old && fresh) || (over && (old || (after && !fresh))) ? 1 : 0;
      wrong += before && after && !old && !fresh ? 1 : 0;
      over = over || fresh || (before && !old);
      (void)table_.read_each([](FlowRef r) { return std::optional{r}; },
                             [&](FlowRef r) { ghosts += r.index() >= free_from ? 1 : 0; });
      return true;
    };
    EXPECT_GT(test::Stepping::through(change, look), 100U);
    EXPECT_TRUE(over);
    EXPECT_EQ(lost, 0U) << "of " << there_.size() << " flows in " << looks << " looks";
    EXPECT_EQ(wrong, 0U);
    EXPECT_EQ(ghosts, 0U);
  }

  static constexpr std::uint32_t free_from = 900;
  FlowTable table_{process_arena(), 200};
  ChosenHash chosen_{table_};
  std::vector<Flow> there_;
  std::uint32_t next_ = 0;
};

TEST_F(Steps, OfAnInsertIntoAFreeSlot) {
  use_before(3);
  come(chosen_.hash(3, 7), next_++);
  const FlowHash h = chosen_.hash(3, 7); // the same bucket, the same tag
  expect_whole_throughout([&] { EXPECT_TRUE(table_.insert(h, conn(500))); }, h, {}, conn(500));
}

TEST_F(Steps, OfAnInsertAwayFromHome) {
  fill(chosen_.between(3, 5));
  use_before(9);
  const FlowHash h = chosen_.between(3, 9);
  expect_whole_throughout([&] { EXPECT_TRUE(table_.insert(h, conn(500))); }, h, {}, conn(500));
}

TEST_F(Steps, OfAnInsertThatMovesOne) {
  fill(chosen_.between(3, 5));
  fill(chosen_.hash(9, 1));
  use_before(5);
  const FlowHash h = chosen_.between(3, 9);
  expect_whole_throughout([&] { EXPECT_TRUE(table_.insert(h, conn(500))); }, h, {}, conn(500));
  EXPECT_EQ(table_.moves(), 1U);
}

TEST_F(Steps, OfAnInsertThatMovesTwo) {
  fill(chosen_.between(3, 5));
  fill(chosen_.between(5, 20));
  fill(chosen_.between(9, 12));
  fill(chosen_.between(12, 3)); // nowhere to go
  use_before(20);
  const FlowHash h = chosen_.between(3, 9);
  expect_whole_throughout([&] { EXPECT_TRUE(table_.insert(h, conn(500))); }, h, {}, conn(500));
  EXPECT_EQ(table_.moves(), 2U);
}

TEST_F(Steps, OfAMoveBackHome) {
  fill(chosen_.hash(3, 1));
  const FlowHash mover = chosen_.between(3, 5);
  come(mover, next_++); // away, in 5
  for (int i = 0; i < 9; ++i) come(chosen_.between(5, 9), next_++);
  fill(chosen_.hash(9, 1));
  ASSERT_TRUE(table_.erase(there_[0].hash, there_[0].record)); // a free slot at its home
  there_.erase(there_.begin());
  const FlowHash h = chosen_.between(5, 9);
  expect_whole_throughout([&] { EXPECT_TRUE(table_.insert(h, conn(500))); }, h, {}, conn(500));
  EXPECT_EQ(table_.moves(), 1U);
}

TEST_F(Steps, OfAReplacement) {
  fill(chosen_.between(3, 5));
  const FlowHash home = there_.back().hash;
  const FlowHash away = chosen_.between(3, 9);
  const Flow last = there_.back();
  there_.pop_back();
  expect_whole_throughout([&] { EXPECT_TRUE(table_.replace(home, last.record, conn(500))); }, home,
                          last.record, conn(500));
  there_.push_back({home, conn(500)});
  come(away, next_++);
  const Flow further = there_.back();
  there_.pop_back();
  expect_whole_throughout([&] { EXPECT_TRUE(table_.replace(away, further.record, conn(501))); }, away,
                          further.record, conn(501));
}

TEST_F(Steps, OfAnErasure) {
  fill(chosen_.between(3, 5));
  come(chosen_.between(3, 9), next_++);
  for (int i = 0; i < 2; ++i) { // the one away from home, then one at home
    const Flow last = there_.back();
    there_.pop_back();
    expect_whole_throughout([&] { EXPECT_TRUE(table_.erase(last.hash, last.record)); }, last.hash,
                            last.record, {});
  }
}

} // namespace flow_table_steps_test
} // namespace tern
#endif
