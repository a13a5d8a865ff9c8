// CUBIC (RFC 9438) in integers: windows in bytes, time in milliseconds.
#pragma once

#include <cstdint>

namespace tern::tcp {

// The integer part of the cube root.
[[nodiscard]] std::uint32_t cube_root(std::uint64_t);

class Cubic {
 public:
  // Congestion avoidance: `newly` bytes were delivered.
  void grow(std::uint32_t& cwnd, std::uint32_t newly, std::uint32_t mss, std::uint32_t srtt_us,
            std::uint32_t now_ms);
  // Loss or ECN: the new ssthresh, 0.7 × flight (§4.6); remembers W_max, with fast convergence (§4.7).
  [[nodiscard]] std::uint32_t on_congestion(std::uint32_t cwnd, std::uint32_t flight, std::uint32_t mss);
  // Time-out: the next epoch starts with K = 0 from the window it finds (§4.8).
  void on_timeout();
  // Nothing was in flight for so long: the curve stands still meanwhile (§5.8).
  void on_idle(std::uint32_t idle_ms) {
    if (running_) epoch_ms_ += idle_ms;
  }

  // What a spurious reduction is undone with (§4.9).
  struct Saved {
    std::uint32_t w_max, origin, k_ms, epoch_ms, w_est;
  };
  [[nodiscard]] Saved save() const { return {w_max_, origin_, k_ms_, running_ ? epoch_ms_ : 0, w_est_}; }
  void restore(const Saved& s) {
    w_max_ = s.w_max, origin_ = s.origin, k_ms_ = s.k_ms, epoch_ms_ = s.epoch_ms, w_est_ = s.w_est;
    running_ = s.epoch_ms != 0;
  }

  // W_cubic(t) = C × (t − K)³ + W_max, in bytes (§4.2).
  [[nodiscard]] std::uint32_t window_at(std::uint32_t since_epoch_ms, std::uint32_t mss) const;
  [[nodiscard]] std::uint32_t w_max() const { return w_max_; }
  [[nodiscard]] std::uint32_t k_ms() const { return k_ms_; }
  [[nodiscard]] std::uint32_t w_est() const { return w_est_; }

 private:
  void begin_epoch(std::uint32_t cwnd, std::uint32_t mss, std::uint32_t now_ms);

  std::uint32_t w_max_ = 0;  // bytes; 0: unknown
  std::uint32_t origin_ = 0; // the plateau of this epoch
  std::uint32_t k_ms_ = 0;
  std::uint32_t epoch_ms_ = 0;
  std::uint32_t w_est_ = 0;   // what Reno would have (§4.3)
  std::uint32_t prior_ = 0;   // cwnd before the last reduction
  std::uint32_t est_acc_ = 0; // bytes acknowledged since w_est_ grew
  std::uint32_t acc_ = 0;     // growth too small for a byte yet
  bool running_ = false;
};
static_assert(sizeof(Cubic) <= 36);

} // namespace tern::tcp
