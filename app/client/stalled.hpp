// Of the connections under way, those that wait for a retransmission.
#pragma once

#include <algorithm>
#include <cstdint>

#include "app/client/visit.hpp"

namespace tern::app {

// They made no step for long, and cost neither a processor nor a cache anything meanwhile. Counted by looking at some of the
// visits, now and then: for who is late, and must know whether more would fit.
class Stalled {
 public:
  static constexpr std::uint32_t sample = 1024; // of the visits, at most
  static constexpr Duration long_ago = Duration::ms(100);

  // `opening`: of connections that stay, those that open are under way.
  explicit Stalled(bool opening) : opening_(opening) {}

  // About how many of visits[0 … all), ten milliseconds ago at most.
  [[nodiscard]] std::uint64_t count(const Visit* visits, std::uint32_t all, Instant now) {
    if (now < again_at_) return about_;
    again_at_ = now + Duration::ms(10);
    const std::uint32_t looked_at = std::min(all, sample);
    std::uint64_t found = 0;
    for (std::uint64_t k = 0; k < looked_at; ++k) {
      const Visit& v = visits[k * all / looked_at]; // some of each part
      const bool steps = v.phase == Phase::connecting ||
                         (!opening_ && (v.phase == Phase::asking || v.phase == Phase::closing));
      found += steps && v.tired(now, long_ago) ? 1 : 0;
    }
    about_ = looked_at == 0 ? 0 : found * all / looked_at;
    return about_;
  }

 private:
  bool opening_;
  Instant again_at_;
  std::uint64_t about_ = 0;
};

} // namespace tern::app
