#include "tcp/recovery/cubic.hpp"

#include <algorithm>

#include "tcp/recovery/newreno.hpp"

namespace tern::tcp {

std::uint32_t cube_root(std::uint64_t n) {
  std::uint64_t root = 0;
  for (int bit = 21; bit >= 0; --bit) { // 2^22 cubed is above 2^64
    const std::uint64_t next = root | (std::uint64_t{1} << bit);
    if (next <= 2'642'245 && next * next * next <= n) root = next;
  }
  return static_cast<std::uint32_t>(root);
}

void Cubic::begin_epoch(std::uint32_t cwnd, std::uint32_t mss, std::uint32_t now_ms) {
  running_ = true;
  epoch_ms_ = now_ms;
  est_acc_ = acc_ = 0;
  w_est_ = cwnd;
  if (cwnd < w_max_) {
    // K = cbrt((W_max − cwnd) / C) seconds, C = 0.4 segments/s³: in ms, 10^9 / 0.4 under the root.
    origin_ = w_max_;
    k_ms_ = cube_root(std::uint64_t{w_max_ - cwnd} * 2'500'000'000U / mss);
  } else {
    origin_ = cwnd;
    k_ms_ = 0;
  }
}

std::uint32_t Cubic::window_at(std::uint32_t since_epoch_ms, std::uint32_t mss) const {
  constexpr std::uint64_t farthest_ms = 1U << 18; // 262 s from the plateau: past any window there is
  const bool below = since_epoch_ms < k_ms_;
  const std::uint64_t d =
      std::min<std::uint64_t>(below ? k_ms_ - since_epoch_ms : since_epoch_ms - k_ms_, farthest_ms);
  // 0.4 × mss × (d / 1000)³, in an order that neither overflows 64 bits nor loses a byte.
  const std::uint64_t climb = d * d * d / 10'000 * (4 * std::uint64_t{mss}) / 1'000'000;
  if (below) return climb < origin_ ? origin_ - static_cast<std::uint32_t>(climb) : 0;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(origin_ + climb, largest_cwnd));
}

void Cubic::grow(std::uint32_t& cwnd, std::uint32_t newly, std::uint32_t mss, std::uint32_t srtt_us,
                 std::uint32_t now_ms) {
  if (!running_) begin_epoch(cwnd, mss, now_ms);
  const std::uint32_t t = now_ms - epoch_ms_;
  newly = std::min(newly, cwnd);
  // §4.3: W_est grows by α segments a window; α = 3(1 − β)/(1 + β) = 9/17 until the old window is regained,
  // then 1.
  est_acc_ += newly;
  const bool regained = w_est_ >= prior_;
  const auto window = static_cast<std::uint32_t>(regained ? w_est_ : std::uint64_t{w_est_} * 17 / 9);
  if (est_acc_ >= window) {
    est_acc_ -= window;
    w_est_ = std::min(w_est_ + mss, largest_cwnd);
  }
  if (window_at(t, mss) < w_est_) { // the Reno-friendly region
    cwnd = std::max(cwnd, w_est_);
    return;
  }
  // §4.4, §4.5: (target − cwnd) / cwnd for each byte; the target at most half above.
  const std::uint32_t target =
      std::clamp<std::uint32_t>(window_at(t + srtt_us / 1000, mss), cwnd, cwnd + cwnd / 2);
  const std::uint64_t grown = std::uint64_t{target - cwnd} * newly + acc_;
  const auto whole = static_cast<std::uint32_t>(grown / cwnd);
  acc_ = static_cast<std::uint32_t>(grown % cwnd);
  cwnd = std::min(cwnd + whole, largest_cwnd);
}

std::uint32_t Cubic::on_congestion(std::uint32_t cwnd, std::uint32_t flight, std::uint32_t mss) {
  running_ = false;
  prior_ = cwnd;
  // §4.7: a window lower than the last one's peak: another flow came, leave it room; (1 + β) / 2 = 0.85.
  w_max_ = cwnd < w_max_ ? static_cast<std::uint32_t>(std::uint64_t{cwnd} * 17 / 20) : cwnd;
  return std::max(static_cast<std::uint32_t>(std::uint64_t{flight} * 7 / 10), 2 * mss);
}

void Cubic::on_timeout() {
  running_ = false;
  w_max_ = 0;
}

} // namespace tern::tcp
