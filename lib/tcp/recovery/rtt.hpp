// The retransmission timeout (RFC 6298), on a microsecond clock.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.hpp"
#include "tcp/settings.hpp"
#include "tcp/tcb.hpp"

namespace tern::tcp::rtt {

// One sample. The Tcb keeps SRTT scaled by 8 and RTTVAR by 4, so that the RFC's 1/8 and 1/4 are shifts (§2.2,
// §2.3).
inline void add_sample(Tcb& t, const Settings&, std::uint32_t us) {
  constexpr std::uint32_t longest = 120'000'000; // keeps ×8 within 32 bits
  us = std::clamp<std::uint32_t>(us, 1, longest);
  if (t.srtt_us == 0) {
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
  if (t.srtt_us == 0) return s.rto_initial;
  // RTTVAR is bounded from below as Linux bounds it: a path without jitter must not time out on the first
  // delayed ACK.
  const Duration margin = std::max(Duration::us(t.rttvar_us), s.rto_min);
  return std::min(Duration::us(t.srtt_us / 8) + margin, s.rto_max);
}

} // namespace tern::tcp::rtt
