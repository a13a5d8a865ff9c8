// A rate limit that costs one compare and one add.
#pragma once

#include <cstdint>

#include "base/time.hpp"

namespace tern {

// Lets `rate` events a second pass, and up to `burst` at once after a pause. It keeps no tokens but the time
// at which the bucket would be full again (the generic cell rate algorithm), so nothing has to be topped up.
class TokenBucket {
 public:
  TokenBucket() = default; // lets everything pass
  // A rate of 0 lets nothing pass. A burst is at least 1.
  TokenBucket(std::uint32_t rate, std::uint32_t burst)
      : interval_ns_(rate == 0 ? -1 : std::int64_t{1'000'000'000} / rate),
        slack_ns_(interval_ns_ * (burst == 0 ? 0 : static_cast<std::int64_t>(burst) - 1)) {}

  [[nodiscard]] bool take(Instant now) {
    if (interval_ns_ <= 0) return interval_ns_ == 0;
    const std::int64_t t = now.since_origin_ns();
    if (!started_ || full_at_ns_ < t) {
      started_ = true;
      full_at_ns_ = t;
    }
    if (full_at_ns_ - t > slack_ns_) return false;
    full_at_ns_ += interval_ns_;
    return true;
  }
  // Whether take() would succeed.
  [[nodiscard]] bool has(Instant now) const {
    if (interval_ns_ <= 0) return interval_ns_ == 0;
    return !started_ || full_at_ns_ - now.since_origin_ns() <= slack_ns_;
  }

 private:
  std::int64_t interval_ns_ = 0; // 0: no limit; -1: nothing passes
  std::int64_t slack_ns_ = 0;
  std::int64_t full_at_ns_ = 0;
  bool started_ = false;
};

} // namespace tern
