// How scarce packets are. One pool serves receiving, sending and what is held unread or unacknowledged; its
// last packets, the reserve, are for control segments and for segments that are let go of at once, so that
// ACKs, resets and handshakes go on, and free what others hold (see tcp::Scarcity).
#pragma once

#include <rte_mempool.h>

#include <algorithm>

#include "packet/packet.hpp"
#include "tcp/env.hpp"

namespace tern {

class PacketWatch {
 public:
  // `reserve` 0: an eighth of the pool, 4096 at most.
  explicit PacketWatch(PacketPool pool, unsigned reserve = 0) : pool_(pool.raw()) {
    if (pool_ == nullptr) return;
    reserve_ = reserve != 0 ? reserve : std::min(pool_->size / 8, 4096U);
    count_ = rte_mempool_get_ops(pool_->ops_index)->get_count;
  }

  [[nodiscard]] unsigned reserve() const { return reserve_; }
  // What lies in the cores' caches is not counted, which is quick, and sees scarcity early.
  [[nodiscard]] unsigned left() const { return pool_ == nullptr ? ~0U : count_(pool_); }
  [[nodiscard]] tcp::Scarcity look() const {
    const unsigned n = left();
    if (n >= reserve_) [[likely]]
      return tcp::Scarcity::none;
    if (n >= reserve_ / 2) return tcp::Scarcity::low;
    if (n >= reserve_ * 3 / 8) return tcp::Scarcity::critical;
    return n >= reserve_ / 4 ? tcp::Scarcity::dire : tcp::Scarcity::last;
  }
  // How many segments with text a tick may send at the last: they take two packets, and half of those in a tick at most.
  [[nodiscard]] std::uint32_t text_at_last() const { return std::min(reserve_ / 16, 32U); }

 private:
  rte_mempool* pool_;
  rte_mempool_get_count count_ = nullptr; // of what all cores share
  unsigned reserve_ = 0;
};

} // namespace tern
