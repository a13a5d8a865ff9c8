// The retransmission timeout (RFC 6298), on a microsecond clock.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.hpp"
#include "tcp/settings.hpp"
#include "tcp/tcb.hpp"

namespace tern::tcp::rtt {

inline constexpr std::uint32_t largest_sample_us = 120'000'000; // keeps ×8 within 32 bits
// §5.7: what the RTO falls back to when the SYN was sent more than once and nothing was measured.
inline constexpr std::uint32_t fallback_us = 3'000'000;

// False until the first sample: one is at least 1 µs.
[[nodiscard]] inline bool measured(const Tcb& t) {
  return t.srtt_us != 0;
}
[[nodiscard]] inline std::uint32_t smoothed_us(const Tcb& t) {
  return t.srtt_us / 8;
}

// One sample, at most one a round trip (more would shorten the filter's memory: RFC 7323 §4.2). The Tcb keeps
// SRTT scaled by 8 and RTTVAR by 4, so that the RFC's 1/8 and 1/4 are shifts (§2.2, §2.3).
inline void add_sample(Tcb& t, const Settings&, std::uint32_t us) {
  us = std::clamp<std::uint32_t>(us, 1, largest_sample_us);
  if (!measured(t)) {
    t.srtt_us = us * 8;
    t.rttvar_us = us * 2; // R/2, ×4
    return;
  }
  const std::uint32_t srtt = t.srtt_us / 8;
  const std::uint32_t error = srtt > us ? srtt - us : us - srtt;
  t.rttvar_us = t.rttvar_us - t.rttvar_us / 4 + error;
  t.srtt_us = t.srtt_us - srtt + us;
}

// Before any back-off.
[[nodiscard]] inline Duration rto(const Tcb& t, const Settings& s) {
  if (!measured(t)) return t.rttvar_us != 0 ? Duration::us(t.rttvar_us) : s.rto_initial;
  // Differs: RFC 6298 §2.4 rounds the sum up to the minimum; here, as in Linux, the minimum bounds the
  // variance's term. A path without jitter must not time out on the first delayed ACK.
  const Duration margin = std::max(Duration::us(t.rttvar_us), s.rto_min);
  return std::min(Duration::us(smoothed_us(t)) + margin, s.rto_max);
}

// §5.7: the handshake is done, but took more than one SYN or SYN-ACK. No effect once there is a sample.
inline void after_lost_syn(Tcb& t) {
  if (!measured(t)) t.rttvar_us = fallback_us;
}

} // namespace tern::tcp::rtt
