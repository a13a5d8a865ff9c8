// Since when whoever a pair's text is for has taken less of it than he should. Judged by what he acknowledged, not by when
// he last moved: a byte now and then, or text of his own, keeps nobody here. Looked at only while packets are scarce, so it
// lies beside the pairs and costs them nothing.
//
//   holds nothing ──▶ since the first look that finds text again
//   holds text    ──▶ since anything last came by ──took as much as the floor asks for, or as he still holds──▶ since now
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/time.hpp"

namespace tern::app::lb {

// One way of a pair.
struct Taking {
  std::uint32_t since_ms = 0;
  std::uint32_t taken = 0; // by then: acknowledged bytes, modulo 2^32
  bool idle = false; // nothing was held for him at the last look: since when there is something nobody saw

  // Seen for the first time: all that is known is when anything last came by.
  void begin(std::uint32_t moved_ms, std::uint32_t taken_now) { *this = {moved_ms, taken_now}; }
  // For how long he stood still.
  Duration look(std::uint32_t now_ms, std::uint32_t held, std::uint32_t taken_now, std::uint32_t floor) {
    const std::uint32_t ms = now_ms - since_ms;
    const std::uint64_t went = taken_now - taken;
    if (held == 0 || idle || went * 1000 >= std::min(std::uint64_t{held} * 1000, std::uint64_t{floor} * ms))
      *this = {now_ms, taken_now, held == 0};
    return Duration::ms(now_ms - since_ms);
  }
};

// Both ways, and whose they are: what was seen of another pair, or in an earlier scarcity, is not looked at.
struct Standing {
  std::uint32_t client = 0; // its connection's generation
  std::uint32_t episode = 0;
  std::array<Taking, 2> to{};
};

} // namespace tern::app::lb
