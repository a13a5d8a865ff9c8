// Text and FIN at rcv.nxt, and the ACKs they are owed: inline, for nearly all text lies there.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "tcp/internal.hpp"
#include "tcp/reassembly.hpp"

namespace tern::tcp::detail {

// `text` has come, and rcv.nxt is behind it.
inline void owe_ack(const Env& env, Tcb& t, std::uint32_t text, Instant now, Outcome& out) {
  // Large receives (LRO) are several segments: none is larger than our path lets it be.
  if (text > t.rcv_mss) {
    const std::uint32_t most = t.path_mss - (t.has(flag_timestamps) ? timestamp_bytes : 0);
    t.rcv_mss = static_cast<std::uint16_t>(std::max<std::uint32_t>(t.rcv_mss, std::min(text, most)));
  }
  // RFC 1122 §4.2.3.2: at least every second full segment, counted in bytes (RFC 5681 §4.2), as Linux: whoever's
  // segments are smaller than the largest we saw is answered as often.
  if (!env.settings.delayed_ack || t.rcv_nxt.since(t.last_ack_sent) > t.rcv_mss) return ack_now(t, out);
  if (t.quick_acks != 0) {
    --t.quick_acks;
    return ack_now(t, out);
  }
  if (t.has(flag_ack_delayed)) return;
  t.set(flag_ack_delayed);
  t.ack_at_ms = deadline_in(env.settings.ack_delay, now);
}

// Text at rcv.nxt goes to the user.
inline void deliver(const Env& env, Tcb& t, std::uint32_t n, Instant now, Outcome& out) {
  // Now and then, so that a short connection never touches what tuning needs.
  if (((t.rcv_nxt.raw() ^ (t.rcv_nxt - n).raw()) >> 14) != 0) [[unlikely]]
    tune_receive_window(env, t, now);
  t.rcv_held += n;
  out.events |= event_data;
}

// Eighth: the peer's FIN.
inline void eighth_take_fin(const Env& env, Tcb& t, Instant now, Outcome& out) {
  t.rcv_nxt += 1;
  if (t.has(flag_has_reassembly))
    reassembly::release(env, t); // text beyond a FIN is nonsense, and nobody would ever take it
  t.set(flag_peer_fin);
  ack_now(t, out);
  out.events |= event_peer_closed;
  switch (t.state) {
    case State::Established:
      t.state = State::CloseWait;
      watch_close_wait(env, t, now);
      return;
    case State::FinWait1: // our FIN is not acknowledged, or the fifth step would have moved on
      t.state = State::Closing;
      return;
    case State::FinWait2:
      t.state = State::TimeWait;
      t.reason = out.reason = CloseReason::Done;
      out.events |= event_time_wait;
      stop_timers(t);
      return;
    default:
      break;
  }
}

// What the segment holds, once it is known to begin at rcv.nxt, to end inside the window, and to have nothing
// behind it.
[[gnu::always_inline]] inline void take_in_order(const Env& env, Tcb& t, const Segment& s, Instant now,
                                                 Outcome& out) {
  if (s.text != 0) {
    t.rcv_nxt += s.text;
    (void)out.data.append(std::move(*s.payload));
    deliver(env, t, s.text, now, out);
    owe_ack(env, t, s.text, now, out);
  }
  if (s.h.has(flag::fin)) eighth_take_fin(env, t, now, out);
}

} // namespace tern::tcp::detail
