#include "io/memory_pair.hpp"

#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "base/endian.hpp"
#include "io/error.hpp"
#include "io/rss_hash.hpp"
#include "packet/packet.hpp"
#include "support/eal.hpp"

namespace tern::io {
namespace memory_pair_test {

using test::TestPool;

rte_mbuf* numbered(const PacketPool& pool, std::uint32_t n) {
  Packet p = pool.alloc();
  TERN_CHECK(p);
  std::memcpy(p.append(4), &n, 4);
  return p.release();
}
std::uint32_t number_of(rte_mbuf* m) {
  std::uint32_t n;
  std::memcpy(&n, rte_pktmbuf_mtod(m, void*), 4);
  return n;
}
// An Ethernet frame with an IPv4/TCP header as far as RSS looks.
rte_mbuf* tcp_frame(const PacketPool& pool, std::uint32_t src, std::uint32_t dst, std::uint16_t sport,
                    std::uint16_t dport, std::uint16_t fragment = 0) {
  Packet p = pool.alloc();
  std::byte* b = p.append(58);
  std::fill_n(b, 58, std::byte{0});
  store_be<std::uint16_t>(b + 12, 0x0800);
  b[14] = std::byte{0x45};
  store_be<std::uint16_t>(b + 16, 44);
  store_be<std::uint16_t>(b + 20, fragment);
  b[23] = std::byte{6};
  store_be<std::uint32_t>(b + 26, src);
  store_be<std::uint32_t>(b + 30, dst);
  store_be<std::uint16_t>(b + 34, sport);
  store_be<std::uint16_t>(b + 36, dport);
  return p.release();
}

TEST(SpscRing, KeepsOrderAcrossTheWrapAndRefusesWhenFull) {
  TestPool t;
  SpscRing ring(8);
  rte_mbuf* m[8];
  std::uint32_t next_in = 0;
  std::uint32_t next_out = 0;
  for (int round = 0; round < 50; ++round) {
    for (auto& p : m) p = numbered(t.pool(), next_in++);
    std::uint16_t in = ring.push(m, 5);
    EXPECT_EQ(in, 5);
    in = static_cast<std::uint16_t>(in + ring.push(m + 5, 3));
    EXPECT_EQ(in, 8);
    rte_mbuf* more = numbered(t.pool(), 0);
    EXPECT_EQ(ring.push(&more, 1), 0);
    rte_pktmbuf_free(more);
    rte_mbuf* out[16];
    EXPECT_EQ(ring.pop(out, 3), 3);
    EXPECT_EQ(ring.pop(out + 3, 13), 5);
    for (int i = 0; i < 8; ++i) {
      EXPECT_EQ(number_of(out[i]), next_out++);
      rte_pktmbuf_free(out[i]);
    }
    EXPECT_EQ(ring.pop(out, 16), 0);
    rte_mbuf* shift = numbered(t.pool(), 0); // so that the wrap falls elsewhere each round
    EXPECT_EQ(ring.push(&shift, 1), 1);
    EXPECT_EQ(ring.pop(out, 1), 1);
    rte_pktmbuf_free(out[0]);
  }
}

TEST(MemoryPair, WhatOneEndSendsTheOtherReceivesUncopied) {
  TestPool t;
  MemoryPair pair({});
  rte_mbuf* m = numbered(t.pool(), 7);
  rte_mbuf* sent[1] = {m};
  EXPECT_EQ(pair.a().tx_burst(0, sent, 1), 1);
  rte_mbuf* got[32];
  EXPECT_EQ(pair.a().rx_burst(0, got, 32), 0);
  ASSERT_EQ(pair.b().rx_burst(0, got, 32), 1);
  EXPECT_EQ(got[0], m);
  EXPECT_EQ(pair.b().counters(0).get(PortCounter::rx_packets), 1U);
  EXPECT_EQ(pair.a().counters(0).get(PortCounter::tx_packets), 1U);
  rte_pktmbuf_free(m);
}

TEST(MemoryPair, WhatIsReceivedAheadIsWhatWouldBeReceived) {
  TestPool t;
  MemoryPair pair({});
  rte_mbuf* sent[5];
  for (std::uint32_t i = 0; i < 5; ++i) sent[i] = numbered(t.pool(), i);
  EXPECT_EQ(pair.a().tx_burst(0, sent, 5), 5);
  rte_mbuf* got[32];
  ASSERT_EQ(pair.b().rx_ahead(0, got, 3), 3);
  ASSERT_EQ(pair.b().rx_burst(0, got + 3, 29), 2);
  EXPECT_EQ(pair.b().rx_ahead(0, got + 5, 27), 0);
  for (std::uint32_t i = 0; i < 5; ++i) {
    pair.b().rx_comes(got[i]);
    EXPECT_EQ(number_of(got[i]), i);
    rte_pktmbuf_free(got[i]);
  }
  EXPECT_EQ(pair.b().counters(0).get(PortCounter::rx_packets), 5U);
}

TEST(MemoryPair, ChecksumsLeftToTheNicArriveAsGood) {
  TestPool t;
  MemoryPair pair({});
  rte_mbuf* m = numbered(t.pool(), 7);
  m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM;
  rte_mbuf* burst[2] = {m, numbered(t.pool(), 8)};
  pair.a().tx_burst(0, burst, 2);
  rte_mbuf* got[2];
  ASSERT_EQ(pair.b().rx_burst(0, got, 2), 2);
  EXPECT_EQ(got[0]->ol_flags, RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD);
  EXPECT_EQ(got[1]->ol_flags, 0U); // nothing asked, nothing known
  rte_pktmbuf_free_bulk(got, 2);
}

TEST(MemoryPair, WhatTheRingRefusesIsKeptInOrderBoundedAndCounted) {
  TestPool t{2047};
  MemoryPairSettings s;
  s.ring_size = 64;
  MemoryPair pair(s);
  rte_mbuf* burst[32];
  std::uint32_t sent = 0;
  std::uint32_t taken = 0;
  for (; sent < 1024; sent += 32) {
    for (std::uint32_t i = 0; i < 32; ++i) burst[i] = numbered(t.pool(), sent + i);
    taken += pair.a().tx_burst(0, burst, 32);
  }
  EXPECT_EQ(taken, 64U + 512U);
  EXPECT_EQ(pair.a().tx_pending(0), 512U);
  EXPECT_EQ(pair.a().counters(0).get(PortCounter::tx_backlogged), 512U);
  EXPECT_EQ(pair.a().counters(0).get(PortCounter::tx_dropped), 1024U - 576U);
  EXPECT_EQ(t.used(), 576U);
  std::uint32_t next = 0;
  while (next < taken) {
    rte_mbuf* got[32];
    const std::uint16_t n = pair.b().rx_burst(0, got, 32);
    ASSERT_GT(n, 0);
    for (std::uint16_t i = 0; i < n; ++i) {
      ASSERT_EQ(number_of(got[i]), next++);
      rte_pktmbuf_free(got[i]);
    }
    pair.a().tx_flush(0);
  }
  EXPECT_EQ(pair.a().tx_pending(0), 0U);
}

TEST(MemoryPair, LeavingWithPacketsInFlightLeaksNone) {
  TestPool t;
  {
    MemoryPairSettings s;
    s.ring_size = 4;
    MemoryPair pair(s);
    rte_mbuf* burst[10];
    for (auto& m : burst) m = numbered(t.pool(), 0);
    pair.a().tx_burst(0, burst, 10);
    EXPECT_EQ(t.used(), 10U);
  }
  EXPECT_EQ(t.used(), 0U);
}

// Microsoft's published vectors: 66.9.149.187:2794 → 161.142.100.80:1766 and 199.92.111.2:14230
// → 65.69.140.83:4739.
TEST(RssHash, MatchesMicrosoftsVectors) {
  TestPool t;
  MemoryPairSettings s;
  s.queues = 2;
  MemoryPair pair(s);
  const RssHash hash(pair.a().rss().key);
  const auto of = [&](rte_mbuf* m) {
    std::uint32_t h = 0;
    EXPECT_TRUE(hash.of_frame(m, h));
    rte_pktmbuf_free(m);
    return h;
  };
  EXPECT_EQ(of(tcp_frame(t.pool(), 0x420995bb, 0xa18e6450, 2794, 1766)), 0x51ccc178U);
  EXPECT_EQ(of(tcp_frame(t.pool(), 0xc75c6f02, 0x41458c53, 14230, 4739)), 0xc626b0eaU);
  EXPECT_EQ(of(tcp_frame(t.pool(), 0x420995bb, 0xa18e6450, 2794, 1766, 0x2000)),
            0x323e8fc2U); // a fragment: addresses only
}

TEST(MemoryPair, TheSenderPlaysTheRssNic) {
  TestPool t{4095};
  MemoryPairSettings s;
  s.queues = 2;
  MemoryPair pair(s);
  EXPECT_EQ(pair.a().plan().rss, Where::hardware);
  const RssHash hash(pair.b().rss().key);
  std::map<int, int> seen;
  for (std::uint16_t port = 1000; port < 1400; ++port) {
    rte_mbuf* m[1] = {tcp_frame(t.pool(), 0x0a000001, 0x0a000002, port, 80)};
    std::uint32_t h = 0;
    ASSERT_TRUE(hash.of_frame(m[0], h));
    const QueueId owner = pair.b().rss().reta[h % pair.b().rss().reta.size()];
    pair.a().tx_burst(port % 2, m, 1); // whichever queue it was sent on
    rte_mbuf* got[2];
    ASSERT_EQ(pair.b().rx_burst(owner, got, 2), 1);
    EXPECT_EQ(got[0]->hash.rss, h);
    EXPECT_TRUE((got[0]->ol_flags & RTE_MBUF_F_RX_RSS_HASH) != 0);
    ++seen[owner];
    rte_pktmbuf_free(got[0]);
  }
  EXPECT_GT(seen[0], 100);
  EXPECT_GT(seen[1], 100);
}

TEST(MemoryPair, WithoutRssAQueueFeedsItsCounterpart) {
  TestPool t;
  MemoryPairSettings s;
  s.queues = 2;
  s.rss = Offload::never;
  MemoryPair pair(s);
  EXPECT_EQ(pair.a().plan().rss, Where::software);
  rte_mbuf* m[1] = {tcp_frame(t.pool(), 1, 2, 3, 4)};
  pair.a().tx_burst(1, m, 1);
  rte_mbuf* got[1];
  EXPECT_EQ(pair.b().rx_burst(0, got, 1), 0);
  ASSERT_EQ(pair.b().rx_burst(1, got, 1), 1);
  rte_pktmbuf_free(got[0]);
}

TEST(MemoryPair, AKeyOfTheWrongLengthIsAnError) {
  MemoryPairSettings s;
  s.rss_key = {1, 2, 3};
  EXPECT_THROW(MemoryPair{s}, Error);
}

// Two threads, every packet once and in order; ThreadSanitizer watches in its profile.
TEST(MemoryPair, TwoThreadsKeepOrder) {
  TestPool t{2047};
  MemoryPair pair({});
  constexpr std::uint32_t total = 20'000;
  std::thread echo([&] {
    for (std::uint32_t back = 0; back < total;) {
      rte_mbuf* m[32];
      const std::uint16_t n = pair.b().rx_burst(0, m, 32);
      if (n == 0) std::this_thread::yield();
      back += pair.b().tx_burst(0, m, n);
    }
    while (pair.b().tx_pending(0) != 0) pair.b().tx_flush(0);
  });
  std::uint32_t sent = 0;
  std::uint32_t received = 0;
  while (received < total) {
    rte_mbuf* m[32];
    if (sent < total && sent - received < 512) {
      for (auto& p : m) p = numbered(t.pool(), sent++);
      ASSERT_EQ(pair.a().tx_burst(0, m, 32), 32);
    }
    pair.a().tx_flush(0);
    const std::uint16_t n = pair.a().rx_burst(0, m, 32);
    if (n == 0) std::this_thread::yield();
    for (std::uint16_t i = 0; i < n; ++i) {
      EXPECT_EQ(number_of(m[i]), received++);
      rte_pktmbuf_free(m[i]);
    }
  }
  echo.join();
}

} // namespace memory_pair_test
} // namespace tern::io
