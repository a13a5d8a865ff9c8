// Deadlines on the wrapping millisecond clock: 0 is none, so a deadline that falls on 0 moves to 1. None is armed further
// ahead than `furthest_ms`, for no setting allows more than a week: whatever seems further is past.
#pragma once

#include <cstdint>

#include "base/check.hpp"
#include "base/time.hpp"

namespace tern::tcp {

inline constexpr std::uint32_t furthest_ms = 8 * 86'400'000;
// What is past for longer is taken for what is to come: whoever was away for longer lets the time pass in steps.
inline constexpr Duration longest_past = Duration::ms(0U - furthest_ms); // 41 days

[[nodiscard]] inline std::uint32_t deadline_in(Duration d, Instant now) {
  TERN_DCHECK(d.as_ms() < furthest_ms);
  const std::uint32_t at = (now + d + Duration::ns(999'999)).ms32();
  return at == 0 ? 1 : at;
}
[[nodiscard]] inline bool due(std::uint32_t at, Instant now) {
  return at != 0 && now.ms32() - at < 0U - furthest_ms;
}

} // namespace tern::tcp
