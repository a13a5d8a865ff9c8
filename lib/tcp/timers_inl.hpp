// Arming the retransmission timer.
#pragma once

#include <algorithm>
#include <cstdint>

#include "tcp/internal.hpp"
#include "tcp/recovery/rtt.hpp"

namespace tern::tcp::detail {

[[gnu::always_inline]] inline Duration backed_off_rto(const Env& env, const Tcb& t) {
  const Duration rto = rtt::rto(t, env.settings);
  const std::uint8_t shift = std::min<std::uint8_t>(t.rtx_backoff, 16);
  return std::min(Duration::ns(rto.as_ns() << shift), env.settings.rto_max);
}

inline void arm(Tcb& t, RtxTimer what, Duration d, Instant now) {
  t.rtx = what;
  t.rtx_at_ms = deadline_in(d, now);
}

} // namespace tern::tcp::detail
