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
  // The level, for who stands at `now_at`: that one is left an eighth above where it began, so that packets that come and
  // go about its border do not begin it anew each time.
  [[nodiscard]] tcp::Scarcity look(tcp::Scarcity now_at = tcp::Scarcity::none) const {
    const unsigned n = left();
    if (now_at == tcp::Scarcity::none && n >= reserve_) [[likely]]
      return now_at;
    auto level = static_cast<unsigned>(tcp::Scarcity::last);
    const auto stays = [&] { return level <= static_cast<unsigned>(now_at) ? border(level) / 8 : 0; };
    while (level != 0 && n >= border(level) + stays()) --level;
    return static_cast<tcp::Scarcity>(level);
  }
  // How many segments with text a tick may send at the last: they take two packets, and half of those in a tick at most.
  [[nodiscard]] std::uint32_t text_at_last() const { return std::clamp(reserve_ / 16, 1U, 32U); }

 private:
  // A level begins below so many.
  [[nodiscard]] unsigned border(unsigned level) const {
    constexpr unsigned eighths[] = {8, 8, 4, 3, 2}; // none, low, critical, dire, last
    return reserve_ * eighths[level] / 8;
  }

  rte_mempool* pool_;
  rte_mempool_get_count count_ = nullptr; // of what all cores share
  unsigned reserve_ = 0;
};

} // namespace tern
