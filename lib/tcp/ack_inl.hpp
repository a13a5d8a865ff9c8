// What an acceptable ACK does to a connection on which nothing was lost, shut or marked: inline, for it is asked of
// every segment.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "tcp/internal.hpp"
#include "tcp/recovery/rtt.hpp"
#include "tcp/send_queue.hpp"

namespace tern::tcp::detail {

// The timestamp of ours that a segment brings back.
struct Echo {
  bool there;
  std::uint32_t ecr;
};
[[nodiscard]] inline Echo echo_of(const wire::Tcp& h) {
  return {h.options.has_timestamps(), h.options.ts_ecr};
}

// RTT by the echoed timestamp (RFC 7323 §4.1), in µs: coarse, but good after a retransmission too.
inline std::optional<std::uint32_t> echoed_rtt(const Env& env, const Tcb& t, Echo echo, Instant now) {
  if (!t.has(flag_timestamps) || !echo.there || echo.ecr == 0) return std::nullopt;
  const std::uint32_t ms = now.ms32() + t.ts_offset - echo.ecr;
  if (ms > 120'000) [[unlikely]] // from the future, or from nowhere: not ours
    return env.count(Counter::ts_echo_wrong), std::nullopt;
  return std::max<std::uint32_t>(ms, 1) * 1000;
}

[[gnu::always_inline]] inline void sample_rtt(const Env& env, Tcb& t, Seq ack, Echo echo, Instant now) {
  if (t.has(flag_timing)) {
    if (!ack.after(t.timed_seq)) return;
    t.clear(flag_timing);
    return rtt::add_sample(t, env.settings, now.us32() - t.timed_at_us);
  }
  // Karn, and as Linux: a SYN-ACK that was sent more than once measures nothing, not by its echo either. A client
  // that heard the first goes on echoing it (RFC 7323 §5.3: one that comes again is outside of its window and moves
  // nothing), however many of its ACKs are lost on their way, and the RTO would be minutes.
  if (!rtt::measured(t) && t.rttvar_us == rtt::fallback_us && !t.has(flag_active) && ack == t.iss + 1) return;
  if (const auto us = echoed_rtt(env, t, echo, now)) rtt::add_sample(t, env.settings, *us);
}

// Drops what was acknowledged from the queue; the SYN and the FIN are not in it.
[[gnu::always_inline]] inline void shorten_queue(const Env& env, Tcb& t, Seq ack, Outcome& out) {
  if (!t.has(flag_syn_acked)) {
    t.snd_una += 1;
    t.set(flag_syn_acked);
  }
  const std::uint32_t text = earlier_of(ack, t.snd_end).since(t.snd_una);
  if (text != 0) {
    out.returned += send_queue::acknowledge(env, t, text);
    if (out.returned != 0) out.events |= event_returned;
  }
  t.snd_una = ack;
}

// `wnd`: as offered, scaled.
[[gnu::always_inline]] inline void update_window(const Env& env, Tcb& t, Seq seq, Seq ack, std::uint32_t wnd,
                                                 Outcome& out) {
  // §3.10.7.4: only from a segment newer than the one that last set it.
  if (!(t.snd_wl1.before(seq) || (t.snd_wl1 == seq && t.snd_wl2.at_or_before(ack)))) return;
  const std::uint32_t before = t.snd_wnd;
  // An edge that stands back by less than the scale's unit is rounding (RFC 7323 §2.4).
  if (wnd < before && (ack + wnd + ((1U << t.snd_scale) - 1)).before(t.snd_wl2 + before))
    env.count(Counter::window_shrunk_by_peer);
  t.snd_wnd = wnd;
  t.snd_wl1 = seq;
  t.snd_wl2 = ack;
  if (wnd > t.max_snd_wnd) t.max_snd_wnd = wnd;
  if (wnd > before && (t.unsent() != 0 || fin_pending(t))) out.output = true;
}

// A connection without a recovery record has one segment of text in flight, unless there were no records: an ACK that
// leaves a part of it ends inside of it.
inline void count_divided(const Env& env, const Tcb& t, Seq una_before) {
  const Seq end = earlier_of(t.snd_nxt, t.snd_end);
  if (!t.snd_una.before(end)) return; // all but the FIN, which went alone
  if (t.snd_una.since(una_before) % t.mss != 0) env.count(Counter::ack_divided);
}

// The same where something went wrong, or waits for more than the ACK (ack.cpp).
void acknowledge_rare(const Env&, Tcb&, const Segment&, bool newer, std::uint32_t wnd_before, Instant now,
                      Outcome&);

// What the two below part by.
inline constexpr std::uint32_t rare_for_ack =
    flag_backed_off | flag_want_writable | flag_has_recovery | flag_rto_recovery | flag_ecn;

// Behind the window: the steps that a connection takes on which nothing was lost, shut or marked; the same in the
// same order.
[[gnu::always_inline]] inline void acknowledge_usual(const Env& env, Tcb& t, Seq ack, bool newer, Echo echo,
                                                     Instant now, Outcome& out) {
  const Seq una_before = t.snd_una;
  if (newer) {
    shorten_queue(env, t, ack, out);
    sample_rtt(env, t, ack, echo, now);
  }
  const bool waiting = t.unsent() != 0 || fin_pending(t);
  if (waiting) out.output = true;
  if (!newer) return;
  if (t.snd_una != t.snd_nxt) count_divided(env, t, una_before);
  if (waiting || t.snd_una != t.snd_nxt) return set_retransmission_timer(env, t, now, true);
  t.rtx_at_ms = 0; // all is acknowledged
  t.rtx = RtxTimer::Off;
}

// snd.una moves to the segment's ACK: the window, the queue, the RTT, the timer.
[[gnu::always_inline]] inline void acknowledge(const Env& env, Tcb& t, const Segment& s, Instant now,
                                               Outcome& out) {
  const bool newer = s.h.ack.after(t.snd_una);
  const std::uint32_t wnd_before = t.snd_wnd;
  // §3.10.7.4: SND.UNA =< SEG.ACK. An older one's window ends where its ACK says, not so far from snd.una.
  if (!s.h.ack.before(t.snd_una)) update_window(env, t, s.h.seq, s.h.ack, offered_window(t, s.h), out);
  if (t.has(rare_for_ack)) [[unlikely]]
    return acknowledge_rare(env, t, s, newer, wnd_before, now, out);
  acknowledge_usual(env, t, s.h.ack, newer, echo_of(s.h), now, out);
}

// Our FIN is acknowledged. False: the segment goes no further.
inline bool our_fin_acknowledged(const Env& env, Tcb& t, Instant now, Outcome& out) {
  switch (t.state) {
    case State::FinWait1:
      t.state = State::FinWait2;
      if (t.has(flag_orphan)) t.idle_at_ms = deadline_in(env.settings.fin_wait_2, now);
      return true;
    case State::Closing:
      t.state = State::TimeWait;
      stop_timers(t);
      t.reason = out.reason = CloseReason::Done;
      out.events |= event_time_wait;
      return false;
    case State::LastAck:
      finish(t, CloseReason::Done, out);
      return false;
    default:
      return true;
  }
}

// RFC 7323 §4.3: the echo follows the segment that the last ACK covered. Only once its ACK is believed, as
// Linux: a forged timestamp would have PAWS refuse all that is true.
inline void note_timestamp(Tcb& t, Seq seq, std::uint32_t ts_val) {
  if (seq.at_or_before(t.last_ack_sent)) t.ts_recent = ts_val;
}

} // namespace tern::tcp::detail
