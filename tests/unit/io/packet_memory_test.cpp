// The pool of packets, wherever its memory lies.
#include "io/packet_memory.hpp"

#include <gtest/gtest.h>
#include <rte_mempool.h>

#include <algorithm>
#include <vector>

#include "support/eal.hpp"

namespace tern::io {
namespace packet_memory_test {

TEST(PacketMemory, EveryPacketIsWholeAndItsOwn) {
  test::start_eal();
  rte_mempool* pool = make_packet_pool("packet memory", 8, 0);
  std::vector<rte_mbuf*> all(pool->size);
  ASSERT_EQ(rte_pktmbuf_alloc_bulk(pool, all.data(), pool->size), 0) << "fewer than it promised";
  EXPECT_EQ(rte_pktmbuf_alloc(pool), nullptr);
  EXPECT_GT(pool->size, 3000U);
  std::vector<std::uintptr_t> starts;
  for (rte_mbuf* m : all) {
    EXPECT_EQ(rte_pktmbuf_tailroom(m), RTE_MBUF_DEFAULT_BUF_SIZE - RTE_PKTMBUF_HEADROOM);
    std::fill_n(static_cast<char*>(m->buf_addr), m->buf_len, 'x');
    starts.push_back(reinterpret_cast<std::uintptr_t>(m->buf_addr));
  }
  std::sort(starts.begin(), starts.end());
  for (std::size_t i = 1; i < starts.size(); ++i)
    ASSERT_GE(starts[i] - starts[i - 1], RTE_MBUF_DEFAULT_BUF_SIZE + sizeof(rte_mbuf));
  // Side by side: not a page each. net_af_xdp gives the kernel as much from the first on as all would need so.
  EXPECT_LT(starts.back() - starts.front(),
            pool->size * (RTE_MBUF_DEFAULT_BUF_SIZE + sizeof(rte_mbuf) + 128));
  rte_pktmbuf_free_bulk(all.data(), pool->size);
  EXPECT_EQ(rte_mempool_in_use_count(pool), 0U);
  rte_mempool_free(pool);
}

#ifndef __SANITIZE_THREAD__ // which has the ring in its place
// What one core took and another gave back: met again while it is warm.
TEST(PacketMemory, WhatWasGivenBackLastIsTakenFirst) {
  test::start_eal();
  rte_mempool* pool = make_packet_pool("last first", 8, 0);
  rte_mbuf* first = rte_pktmbuf_alloc(pool);
  rte_mbuf* second = rte_pktmbuf_alloc(pool);
  rte_pktmbuf_free(second);
  rte_pktmbuf_free(first);
  EXPECT_EQ(rte_pktmbuf_alloc(pool), first);
  EXPECT_EQ(rte_pktmbuf_alloc(pool), second);
  rte_pktmbuf_free(second);
  rte_pktmbuf_free(first);
  EXPECT_EQ(rte_mempool_in_use_count(pool), 0U);
  rte_mempool_free(pool);
}
#endif

} // namespace packet_memory_test
} // namespace tern::io
