// The wrapping millisecond clock of timers: Instant::ms32().
#pragma once

#include <cstdint>

namespace tern {

using Tick = std::uint32_t;

// The way from `from` to `to`: negative if `to` is past. Two ticks can be told apart within ±2^31 (24.8
// days).
[[nodiscard]] constexpr std::int32_t ticks_between(Tick from, Tick to) {
  return static_cast<std::int32_t>(to - from);
}

// The clock as its keeper last saw it, brought forward. Callers that took their `now` at different moments
// may hand in one that is a little behind: it counts as no movement. Any other distance is forward, however
// long the pause.
inline constexpr Tick tick_slack = 1U << 16;
[[nodiscard]] constexpr Tick later_tick(Tick last, Tick now) {
  return now - last >= 0U - tick_slack ? last : now;
}

} // namespace tern
