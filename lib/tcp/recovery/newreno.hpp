// Additive increase, multiplicative decrease (RFC 5681), counted in bytes (RFC 3465).
#pragma once

#include <algorithm>
#include <cstdint>

namespace tern::tcp {

inline constexpr std::uint32_t largest_cwnd = 1U << 30; // what a scaled window can carry

struct NewReno {
  std::uint32_t acked = 0; // since cwnd last grew

  // Congestion avoidance: one segment for each window acknowledged.
  void grow(std::uint32_t& cwnd, std::uint32_t newly, std::uint32_t mss) {
    acked += std::min(newly, cwnd);
    if (acked < cwnd) return;
    acked -= cwnd;
    cwnd = std::min(cwnd + mss, largest_cwnd);
  }
  [[nodiscard]] std::uint32_t on_congestion(std::uint32_t flight, std::uint32_t mss) {
    acked = 0;
    return std::max(flight / 2, 2 * mss); // RFC 5681 equation 4
  }
};

} // namespace tern::tcp
