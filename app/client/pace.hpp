// Open loop: when the next is due.
//
//   rate  |        ________      In a ramp of length T the rate at t is rate * t / T, and what is due by then is its
//         |      /               integral, rate * t² / 2T. The next is due where that is one more: at a few a second
//         |   /                  the rate of the moment would say too much or, at the beginning, nothing.
//         |/______T_______ t
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/time.hpp"

namespace tern::app {

// From what is due `since` the beginning to the next, in nanoseconds.
[[nodiscard]] inline double gap_ns(double rate, Duration since, Duration ramp) {
  if (since >= ramp) return 1e9 / rate;
  const double s = since.as_seconds();
  const double all = ramp.as_seconds();
  const double next = std::sqrt(s * s + 2 * all / rate);
  if (next <= all) return (next - s) * 1e9;
  const double in_ramp =
      rate * (all * all - s * s) / (2 * all); // of the one; the rest comes at the full rate
  return (all - s + (1 - in_ramp) / rate) * 1e9;
}

// How many a rate brings by `s` seconds, with a ramp of `ramp`.
[[nodiscard]] inline double due_by(double rate, double s, double ramp) {
  if (s <= 0) return 0;
  return s < ramp ? rate * s * s / (2 * ramp) : rate * (s - ramp / 2);
}

// How many are due from `since` the beginning, where one is, until then.
[[nodiscard]] inline std::uint64_t due_between(double rate, Duration since, Duration until, Duration ramp) {
  const auto by = [&](Duration d) { return due_by(rate, d.as_seconds(), ramp.as_seconds()); };
  return until < since ? 0 : 1 + static_cast<std::uint64_t>(by(until) - by(since));
}

// What a limit is `since` the beginning, while it is still being approached: never nothing.
[[nodiscard]] inline std::uint32_t ramped(std::uint32_t n, Duration since, Duration ramp) {
  if (since >= ramp) return n;
  return std::max(1U, static_cast<std::uint32_t>(n * (since.as_seconds() / ramp.as_seconds())));
}

} // namespace tern::app
