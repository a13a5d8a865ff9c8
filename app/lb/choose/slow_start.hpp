// A backend that just came up is cold: it begins with a tenth of its weight and has it all when slow start is
// over. In ten steps, because each is a new table, made off the packet path.
#pragma once

#include <cstdint>

#include "base/time.hpp"

namespace tern::app::lb {

inline constexpr std::uint32_t full_share = 10; // weights are given in tenths

// What a chooser is given for a weight: tenths of it, so that 1 can be a tenth too.
[[nodiscard]] constexpr std::uint32_t ramped(std::uint32_t weight, Duration up_for, Duration slow_start) {
  if (up_for >= slow_start) return weight * full_share;
  const std::int64_t step = up_for <= Duration{} ? 0 : up_for.as_ns() / (slow_start.as_ns() / full_share + 1);
  return weight * static_cast<std::uint32_t>(step + 1);
}

// When the share grows next, counted from the time it came up; zero when it has grown up.
[[nodiscard]] constexpr Duration next_step(Duration up_for, Duration slow_start) {
  if (up_for >= slow_start) return Duration{};
  const Duration each = Duration::ns(slow_start.as_ns() / full_share + 1);
  const std::int64_t step = up_for <= Duration{} ? 0 : up_for / each;
  return each * (step + 1);
}

} // namespace tern::app::lb
