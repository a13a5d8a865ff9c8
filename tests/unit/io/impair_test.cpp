#include "io/impair.hpp"

#include <gtest/gtest.h>

#include "io/memory_pair.hpp"
#include "support/eal.hpp"

namespace tern::io {
namespace impair_test {

using test::TestPool;
static_assert(PacketPort<Impaired<MemoryPort>>);

constexpr std::uint32_t frame_length = 64;

struct Link {
  TestPool pool{4095};
  MemoryPair pair{[] {
    MemoryPairSettings s;
    s.ring_size = 4096;
    return s;
  }()};
  Impaired<MemoryPort> a;
  explicit Link(const Impairment& how) : a(pair.a(), how, pool.pool()) {}

  void send(std::uint32_t number) {
    Packet p = pool.pool().alloc();
    std::byte* b = p.append(frame_length);
    std::fill_n(b, frame_length, std::byte{0});
    std::memcpy(b, &number, 4);
    rte_mbuf* m = p.release();
    EXPECT_EQ(a.tx_burst(0, &m, 1), 1);
  }
  std::vector<std::uint32_t> receive(std::uint32_t* damaged = nullptr) {
    std::vector<std::uint32_t> out;
    rte_mbuf* m[32];
    while (const std::uint16_t n = pair.b().rx_burst(0, m, 32))
      for (std::uint16_t i = 0; i < n; ++i) {
        const Packet p{m[i]};
        std::uint32_t number;
        std::memcpy(&number, p.data(), 4);
        out.push_back(number);
        for (std::uint32_t k = 4; damaged != nullptr && k < frame_length; ++k)
          *damaged += static_cast<std::uint32_t>(std::popcount(std::to_integer<unsigned>(p.data()[k])));
      }
    return out;
  }
};
std::uint64_t count(const Link& l, ImpairCounter c) {
  return l.a.impairments().get(c);
}

TEST(Impaired, WithNothingOnItPassesAllInOrder) {
  Link l({});
  for (std::uint32_t i = 0; i < 100; ++i) l.send(i);
  const auto got = l.receive();
  ASSERT_EQ(got.size(), 100U);
  EXPECT_TRUE(std::is_sorted(got.begin(), got.end()));
}

TEST(Impaired, LosesAboutWhatItWasToldAndTheSameBySeed) {
  Impairment how;
  how.loss = 0.1;
  std::vector<std::uint32_t> runs[3];
  for (int r = 0; r < 3; ++r) {
    how.seed = r == 2 ? 99 : 7;
    Link l(how);
    for (std::uint32_t i = 0; i < 2000; ++i) l.send(i);
    runs[r] = l.receive();
    EXPECT_NEAR(static_cast<double>(runs[r].size()), 1800, 60);
    EXPECT_EQ(count(l, ImpairCounter::lost) + runs[r].size(), 2000U);
  }
  EXPECT_EQ(runs[0], runs[1]);
  EXPECT_NE(runs[0], runs[2]);
}

TEST(Impaired, DelaysUntilTheTimeHasCome) {
  Impairment how;
  how.delay = Duration::ms(5);
  Link l(how);
  l.a.advance(Instant{} + Duration::ms(1));
  l.send(1);
  l.a.advance(Instant{} + Duration::us(5999));
  EXPECT_TRUE(l.receive().empty());
  EXPECT_EQ(l.a.tx_pending(0), 1U);
  l.a.advance(Instant{} + Duration::ms(6));
  EXPECT_EQ(l.receive().size(), 1U);
}

TEST(Impaired, ReordersWithoutLoss) {
  Impairment how;
  how.reorder = 0.2;
  Link l(how);
  for (std::uint32_t i = 0; i < 500; ++i) {
    l.a.advance(Instant{} + Duration::us(100 * i));
    l.send(i);
  }
  l.a.advance(Instant{} + Duration::seconds(1));
  auto got = l.receive();
  ASSERT_EQ(got.size(), 500U);
  EXPECT_FALSE(std::is_sorted(got.begin(), got.end()));
  std::sort(got.begin(), got.end());
  for (std::uint32_t i = 0; i < 500; ++i) EXPECT_EQ(got[i], i);
}

TEST(Impaired, DuplicatesAreOwnPackets) {
  Impairment how;
  how.duplicate = 1;
  Link l(how);
  for (std::uint32_t i = 0; i < 10; ++i) l.send(i);
  EXPECT_EQ(l.pool.used(), 20U);
  EXPECT_EQ(l.receive().size(), 20U);
}

TEST(Impaired, CorruptsOneBitOfACopyOnly) {
  Impairment how;
  how.corrupt = 1;
  Link l(how);
  Packet p = l.pool.pool().alloc();
  std::fill_n(p.append(frame_length), frame_length, std::byte{0});
  const Packet held = p.share(0, frame_length, l.pool.pool()); // as a retransmission queue would
  rte_mbuf* m = p.release();
  l.a.tx_burst(0, &m, 1);
  std::uint32_t damaged = 0;
  EXPECT_EQ(l.receive(&damaged).size(), 1U);
  EXPECT_EQ(damaged, 1U);
  for (const std::byte b : held.bytes()) EXPECT_EQ(b, std::byte{0});
}

TEST(Impaired, LeavingWithPacketsUnderWayLeaksNone) {
  Impairment how;
  how.delay = Duration::seconds(10);
  how.limit = 8;
  Link l(how);
  for (std::uint32_t i = 0; i < 20; ++i) l.send(i);
  EXPECT_EQ(count(l, ImpairCounter::overflowed), 12U);
  EXPECT_EQ(l.pool.used(), 8U);
}

} // namespace impair_test
} // namespace tern::io
