// HyStart++ (RFC 9406): leaves the first slow start when the RTT grows, before the queue overflows.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/seq.hpp"

namespace tern::tcp {

class HyStart {
 public:
  static constexpr std::uint32_t min_rtt_thresh_us = 4'000;
  static constexpr std::uint32_t max_rtt_thresh_us = 16'000;
  static constexpr std::uint32_t min_rtt_divisor = 8;
  static constexpr std::uint8_t n_rtt_sample = 8;
  static constexpr std::uint32_t css_growth_divisor = 4;
  static constexpr std::uint8_t css_rounds = 5;

  // An ACK in slow start. `rtt_us`: 0 without a sample. True: slow start is over, ssthresh becomes cwnd.
  [[nodiscard]] bool on_ack(Seq una, Seq snd_nxt, std::uint32_t rtt_us) {
    bool over = false;
    if (!started_ || una.at_or_after(round_end_)) over = begin_round(snd_nxt);
    if (rtt_us == 0 || over) return over;
    current_us_ = std::min(current_us_, rtt_us);
    if (samples_ != 0xff) ++samples_;
    if (samples_ < n_rtt_sample) return false;
    if (!in_css_) {
      if (current_us_ == unknown || last_us_ == unknown) return false;
      const std::uint32_t thresh =
          std::clamp(last_us_ / min_rtt_divisor, min_rtt_thresh_us, max_rtt_thresh_us);
      if (current_us_ >= last_us_ + thresh) { // conservative slow start, until we know
        baseline_us_ = current_us_;
        in_css_ = true;
        css_left_ = css_rounds;
      }
    } else if (current_us_ < baseline_us_) { // jitter it was
      baseline_us_ = unknown;
      in_css_ = false;
    }
    return false;
  }
  // How many bytes cwnd grows for so many acknowledged (§4.2, L = 8: we do not pace).
  [[nodiscard]] std::uint32_t growth(std::uint32_t newly, std::uint32_t mss) const {
    const std::uint32_t n = std::min(newly, 8 * mss);
    return in_css_ ? n / css_growth_divisor : n;
  }
  [[nodiscard]] bool in_css() const { return in_css_; }

 private:
  static constexpr std::uint32_t unknown = 0xffff'ffff;

  bool begin_round(Seq snd_nxt) {
    const bool over = in_css_ && --css_left_ == 0;
    started_ = true;
    round_end_ = snd_nxt;
    last_us_ = current_us_;
    current_us_ = unknown;
    samples_ = 0;
    return over;
  }

  Seq round_end_;
  std::uint32_t last_us_ = unknown; // least RTT of the round before
  std::uint32_t current_us_ = unknown;
  std::uint32_t baseline_us_ = unknown;
  std::uint8_t samples_ = 0;
  std::uint8_t css_left_ = 0;
  bool in_css_ = false;
  bool started_ = false;
};
static_assert(sizeof(HyStart) <= 20);

} // namespace tern::tcp
