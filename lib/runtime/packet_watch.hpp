// How scarce packets are. One pool serves receiving, sending and what is held unread or unacknowledged; its
// last packets, the reserve, are for control segments and for segments that are let go of at once, so that
// ACKs, resets and handshakes go on, and free what others hold (see tcp::Scarcity).
#pragma once

#include <rte_mempool.h>
#include <rte_ring.h>

#include <algorithm>
#include <cstring>

#include "packet/packet.hpp"
#include "tcp/env.hpp"

namespace tern {

class PacketWatch {
 public:
  // `reserve` 0: an eighth of the pool, 4096 at most.
  explicit PacketWatch(PacketPool pool, unsigned reserve = 0) : pool_(pool.raw()) {
    if (pool_ == nullptr) return;
    reserve_ = reserve != 0 ? reserve : std::min(pool_->size / 8, 4096U);
    const char* how = rte_mempool_get_ops(pool_->ops_index)->name;
    ring_ = std::strncmp(how, "ring", 4) == 0 ? static_cast<rte_ring*>(pool_->pool_data) : nullptr;
  }

  [[nodiscard]] unsigned reserve() const { return reserve_; }
  // Two loads where the pool is a ring, as DPDK's own are: what lies in the cores' caches is not counted, so
  // scarcity is seen early. Else the pool counts, which is slow.
  [[nodiscard]] unsigned left() const {
    if (ring_ != nullptr) [[likely]]
      return rte_ring_count(ring_);
    return pool_ == nullptr ? ~0U : rte_mempool_avail_count(pool_);
  }
  [[nodiscard]] tcp::Scarcity look() const {
    const unsigned n = left();
    if (n >= reserve_) [[likely]]
      return tcp::Scarcity::none;
    if (n >= reserve_ / 2) return tcp::Scarcity::low;
    return n >= reserve_ / 4 ? tcp::Scarcity::critical : tcp::Scarcity::last;
  }

 private:
  rte_mempool* pool_;
  rte_ring* ring_ = nullptr;
  unsigned reserve_ = 0;
};

} // namespace tern
