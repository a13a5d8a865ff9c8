#include "observe/histogram.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <random>
#include <thread>
#include <vector>

namespace tern::observe {
namespace histogram_test {

TEST(Buckets, EveryBucketBeginsWhereTheLastEnded) {
  std::uint64_t next = 0;
  for (std::uint32_t i = 0; i < buckets::count; ++i) {
    ASSERT_EQ(buckets::lowest(i), next) << i;
    ASSERT_EQ(buckets::index_of(buckets::lowest(i)), i);
    ASSERT_EQ(buckets::index_of(buckets::highest(i)), i);
    // Three significant digits: no bucket wider than a thousandth of what is in it.
    ASSERT_LE((buckets::highest(i) - buckets::lowest(i)) * 1000,
              std::max<std::uint64_t>(buckets::lowest(i), 1));
    next = buckets::highest(i) + 1;
  }
  EXPECT_EQ(next, buckets::limit + 1);
  EXPECT_EQ(buckets::index_of(~std::uint64_t{0}), buckets::count - 1);
}

TEST(Latencies, NothingRecordedIsAllZero) {
  const Latencies l;
  EXPECT_EQ(l.count(), 0U);
  EXPECT_EQ(l.min(), 0U);
  EXPECT_EQ(l.max(), 0U);
  EXPECT_EQ(l.percentile(50), 0U);
  EXPECT_EQ(l.mean(), 0.0);
  EXPECT_TRUE(l.bars().empty());
}

TEST(Latencies, PercentileIsTheLeastValueThatSoManyDoNotExceed) {
  Latencies l;
  for (std::uint64_t v = 1; v <= 1000; ++v) l.record(v);
  EXPECT_EQ(l.percentile(0), 1U);
  EXPECT_EQ(l.percentile(0.1), 1U);
  EXPECT_EQ(l.percentile(0.11), 2U);
  EXPECT_EQ(l.percentile(50), 500U);
  EXPECT_EQ(l.percentile(99.9), 999U);
  EXPECT_EQ(l.percentile(99.91), 1000U);
  EXPECT_EQ(l.percentile(100), 1000U);
  EXPECT_EQ(l.min(), 1U);
  EXPECT_EQ(l.mean(), 500.5);
}

TEST(Latencies, PercentilesAgreeWithSortedValuesToThreeDigits) {
  std::mt19937_64 random{7};
  std::lognormal_distribution<double> shape{11.0, 2.5}; // 60 us in the middle, seconds at the end
  std::vector<std::uint64_t> values;
  Latencies l;
  for (int i = 0; i < 200'000; ++i) {
    values.push_back(static_cast<std::uint64_t>(shape(random)));
    l.record(values.back());
  }
  std::sort(values.begin(), values.end());
  for (const double p : {1.0, 25.0, 50.0, 90.0, 99.0, 99.9, 99.99}) {
    const auto rank = static_cast<std::size_t>(std::llround(p / 100 * static_cast<double>(values.size())));
    const auto exact = static_cast<double>(values[rank - 1]);
    EXPECT_GE(static_cast<double>(l.percentile(p)), exact) << p;
    EXPECT_LE(static_cast<double>(l.percentile(p)), exact * 1.001 + 1) << p;
  }
  EXPECT_EQ(l.max(), values.back());
  EXPECT_EQ(l.percentile(100), values.back());
}

TEST(Latencies, LongerThanTheLastBucketKeepsItsMaximum) {
  Latencies l;
  l.record(std::uint64_t{10} * 3600 * 1'000'000'000); // ten hours
  l.record(5);
  EXPECT_EQ(l.max(), std::uint64_t{36'000} * 1'000'000'000);
  EXPECT_EQ(l.percentile(99), l.max());
  EXPECT_EQ(l.percentile(50), 5U);
}

TEST(Latencies, MergeIsAsIfAllWereRecordedInOne) {
  Latencies a, b, both;
  for (std::uint64_t v = 10; v < 5'000'000; v += 997) {
    (v % 2 != 0 ? a : b).record(v);
    both.record(v);
  }
  a.merge(b);
  EXPECT_EQ(a.count(), both.count());
  EXPECT_EQ(a.min(), both.min());
  EXPECT_EQ(a.max(), both.max());
  EXPECT_EQ(a.mean(), both.mean());
  for (double p = 0; p <= 100; p += 0.5) EXPECT_EQ(a.percentile(p), both.percentile(p));
}

TEST(Latencies, SinceHoldsOnlyWhatCameAfter) {
  Latencies l;
  l.record(1'000'000, 90);
  const Latencies before = l;
  l.record(5'000, 10);
  const Latencies between = l.since(before);
  EXPECT_EQ(between.count(), 10U);
  EXPECT_EQ(between.mean(), 5000.0);
  EXPECT_NEAR(static_cast<double>(between.max()), 5'000, 5);
  EXPECT_NEAR(static_cast<double>(between.min()), 5'000, 5);
  EXPECT_EQ(l.since(l).count(), 0U);
  EXPECT_EQ(l.since(l).max(), 0U);
}

TEST(Latencies, BarsHoldEveryRecordOnceAndDoNotOverlap) {
  Latencies l;
  std::mt19937_64 random{11};
  for (int i = 0; i < 50'000; ++i) l.record(random() >> (20 + random() % 44));
  std::uint64_t total = 0;
  std::uint64_t next = 0;
  for (const auto& bar : l.bars(4)) {
    EXPECT_GE(bar.from, next);
    EXPECT_GE(bar.to, bar.from);
    const std::uint64_t width = bar.to - bar.from + 1;
    EXPECT_EQ(width, std::max<std::uint64_t>(1, std::bit_floor(bar.from) / 16));
    next = bar.to + 1;
    total += bar.count;
  }
  EXPECT_EQ(total, l.count());
}

TEST(Histogram, SnapshotHoldsWhatWasRecorded) {
  Histogram h;
  Latencies same;
  std::mt19937_64 random{3};
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t v = random() >> (20 + random() % 44);
    h.record(v);
    same.record(v);
  }
  const Latencies s = h.snapshot();
  EXPECT_EQ(s.count(), same.count());
  EXPECT_EQ(s.min(), same.min());
  EXPECT_EQ(s.max(), same.max());
  EXPECT_EQ(s.mean(), same.mean());
  for (double p = 0; p <= 100; p += 0.5) EXPECT_EQ(s.percentile(p), same.percentile(p));
  h.clear();
  EXPECT_EQ(h.snapshot().count(), 0U);
  EXPECT_EQ(h.snapshot().max(), 0U);
}

TEST(Histogram, ABucketCountsBeyond32Bits) {
  Histogram h;
  constexpr std::uint32_t most = ~std::uint32_t{0};
  h.record(700, most);
  EXPECT_EQ(h.snapshot().count(), most);
  h.record(700);
  EXPECT_EQ(h.snapshot().count(), std::uint64_t{1} << 32);
  h.record(700);
  EXPECT_EQ(h.snapshot().count(), (std::uint64_t{1} << 32) + 1);
  h.record(700, most);
  EXPECT_EQ(h.snapshot().count(), (std::uint64_t{1} << 33));
  EXPECT_EQ(h.snapshot().mean(), 700.0);
}

// One writer whose bucket wraps at every record, one reader: the total never goes back and never leaps.
TEST(Histogram, ReaderSeesACarryWholeOrNotAtAll) {
  Histogram h;
  constexpr std::uint32_t most = ~std::uint32_t{0};
  constexpr std::uint64_t rounds = 20'000;
  std::atomic<std::uint64_t> begun{0};
  std::atomic<std::uint64_t> done{0};
  std::thread writer([&] {
    for (std::uint64_t i = 1; i <= rounds; ++i) {
      begun.store(i, std::memory_order_release);
      h.record(42, most);
      done.store(i, std::memory_order_release);
      if (i % 64 == 0) std::this_thread::yield();
    }
  });
  std::uint64_t last = 0;
  bool whole = true;
  while (done.load(std::memory_order_acquire) < rounds) {
    const std::uint64_t least = done.load(std::memory_order_acquire) * most;
    const Latencies s = h.snapshot();
    const std::uint64_t greatest = begun.load(std::memory_order_acquire) * most;
    whole =
        whole && s.count() >= least && s.count() <= greatest && s.count() >= last && s.count() % most == 0;
    last = s.count();
  }
  writer.join();
  EXPECT_TRUE(whole);
  EXPECT_EQ(h.snapshot().count(), rounds * most);
}

} // namespace histogram_test
} // namespace tern::observe
