#include <gtest/gtest.h>

#include <array>
#include <thread>
#include <vector>

#include "base/check.hpp"
#include "base/counters.hpp"
#include "base/endian.hpp"
#include "base/pool.hpp"
#include "base/time.hpp"

namespace tern {
namespace base_test {

TEST(Be, LiesInNetworkOrderWithoutAlignment) {
  const Be32 v{0x01020304};
  const auto bytes = std::bit_cast<std::array<std::uint8_t, 4>>(v);
  EXPECT_EQ(bytes, (std::array<std::uint8_t, 4>{1, 2, 3, 4}));
  EXPECT_EQ(v.host(), 0x01020304U);
  EXPECT_EQ(Be32::from_raw(v.raw()), v);
  static_assert(Be16{0x1234}.raw() == 0x3412 && Be64{1}.raw() == 0x0100000000000000);
  std::array<std::uint8_t, 9> at{};
  store_be<std::uint64_t>(at.data() + 1, 0x0102030405060708);
  EXPECT_EQ(at[1], 1);
  EXPECT_EQ(at[8], 8);
  EXPECT_EQ(load_be<std::uint64_t>(at.data() + 1), 0x0102030405060708U);
  EXPECT_EQ(load_be<std::uint16_t>(at.data() + 1), 0x0102U);
}

TEST(Time, SpansAndPointsKeepTheirUnits) {
  EXPECT_EQ(Duration::seconds(2), Duration::ms(2000));
  EXPECT_EQ(Duration::ms(1).as_us(), 1000);
  EXPECT_EQ((Duration::us(3) * 2).as_ns(), 6000);
  EXPECT_EQ(Duration::seconds(1) / Duration::ms(1), 1000);
  EXPECT_LT(Duration::ns(-1), Duration{});
  EXPECT_DOUBLE_EQ(Duration::ms(1500).as_seconds(), 1.5);
  const Instant t = Instant::at_ns(5'000'000'000'000);
  EXPECT_EQ((t + Duration::ms(1)) - t, Duration::ms(1));
  EXPECT_EQ((t - Duration::ms(1)).since_origin_ns(), 4'999'999'000'000);
  EXPECT_EQ(t.us32(), static_cast<std::uint32_t>(5'000'000'000ULL)); // it wraps every 71.6 minutes
  EXPECT_EQ(t.ms32(), 5'000'000U);
}

enum class Events { seen, dropped, count_ };

TEST(Counters, OneWritesAnotherReads) {
  static_assert(alignof(Counters<Events>) == 64 && sizeof(Counters<Events>) % 64 == 0);
  Counters<Events> c;
  EXPECT_EQ(c.get(Events::seen), 0U);
  std::thread writer([&c] {
    for (int i = 0; i < 100'000; ++i) c.add(Events::seen);
    c.add(Events::dropped, 7);
  });
  std::uint64_t last = 0;
  while (last < 100'000) { // it never goes back
    const std::uint64_t now = c.get(Events::seen);
    ASSERT_GE(now, last);
    last = now;
  }
  writer.join();
  EXPECT_EQ(c.get(Events::dropped), 7U);
}

struct Record {
  explicit Record(int v) : value(v) { ++alive; }
  ~Record() { --alive; }
  int value;
  static inline int alive = 0;
};

struct PoolOfFour : testing::Test {
  alignas(Pool<Record>::alignment) std::array<std::byte, Pool<Record>::bytes_for(4)> memory;
  Pool<Record> pool{memory.data(), 4};
};

TEST_F(PoolOfFour, HandsOutFreshRecordsInAddressOrderAndThenNone) {
  Record* last = nullptr;
  for (int i = 0; i < 4; ++i) {
    Record* r = pool.take(i);
    ASSERT_NE(r, nullptr);
    EXPECT_EQ(r->value, i);
    EXPECT_EQ(pool.index_of(r), static_cast<std::uint32_t>(i));
    EXPECT_EQ(pool.at(static_cast<std::uint32_t>(i)), r);
    EXPECT_GT(r, last);
    last = r;
  }
  EXPECT_EQ(pool.take(9), nullptr);
  EXPECT_EQ(pool.used(), 4U);
  EXPECT_EQ(pool.left(), 0U);
  for (std::uint32_t i = 0; i < 4; ++i) pool.give_back(pool.at(i));
  EXPECT_EQ(Record::alive, 0);
}

TEST_F(PoolOfFour, LastGivenBackIsFirstTakenBeforeAnyFreshOne) {
  Record* a = pool.take(1);
  Record* b = pool.take(2);
  pool.give_back(a);
  pool.give_back(b);
  EXPECT_EQ(pool.take(3), b);
  EXPECT_EQ(pool.take(4), a);
  EXPECT_EQ(pool.index_of(pool.take(5)), 2U);
  EXPECT_EQ(pool.used(), 3U);
  for (std::uint32_t i = 0; i < 3; ++i) pool.give_back(pool.at(i));
}

TEST_F(PoolOfFour, MovesWithItsRecords) {
  Record* a = pool.take(1);
  Pool<Record> other = std::move(pool);
  EXPECT_EQ(other.used(), 1U);
  other.give_back(a);
  EXPECT_EQ(other.take(2), a);
  other.give_back(a);
  EXPECT_EQ(Pool<Record>{}.take(1), nullptr);
}

#ifndef NDEBUG
TEST(PoolDeathTest, RecordOfAnotherPoolIsABrokenInvariant) {
  alignas(8) std::array<std::byte, 32> one{};
  alignas(8) std::array<std::byte, 32> two{};
  Pool<Record> mine{one.data(), 2};
  Pool<Record> theirs{two.data(), 2};
  Record* r = mine.take(1);
  EXPECT_DEATH(theirs.give_back(r), "broken invariant");
  mine.give_back(r);
}
#endif

TEST(CheckDeathTest, SaysWhatAndWhere) {
  TERN_CHECK(1 + 1 == 2);
  EXPECT_DEATH(TERN_CHECK(1 + 1 == 3), "1 \\+ 1 == 3 at .*base_test.cpp:");
}

TEST(PoolLayout, MemoryIsAlignedForTheFreeListToo) {
  static_assert(Pool<char>::alignment == alignof(void*));
  static_assert(Pool<char>::bytes_for(3) == 3 * sizeof(void*));
}

} // namespace base_test
} // namespace tern
