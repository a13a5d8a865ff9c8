// What the engine's own files share. Nobody outside lib/tcp includes this, but through predicted_inl.hpp.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.hpp"
#include "tcp/deadlines.hpp"
#include "tcp/engine.hpp"
#include "tcp/recovery/recovery.hpp"
#include "tcp/syn_options.hpp"
#include "tcp/tcb.hpp"

namespace tern::tcp::detail {

namespace flag = wire::tcp_flag;

inline constexpr std::uint32_t timestamp_bytes = 12; // of every segment, once negotiated

// ---- States as questions.
[[nodiscard]] constexpr bool in(State s, std::initializer_list<State> set) {
  for (const State one : set)
    if (s == one) return true;
  return false;
}
[[nodiscard]] constexpr bool may_receive(State s) {
  return s == State::Established || s == State::FinWait1 || s == State::FinWait2;
}
[[nodiscard]] constexpr bool may_send(State s) {
  return s == State::Established || s == State::CloseWait;
}
[[nodiscard]] constexpr bool synchronized(State s) {
  return s >= State::Established;
}
// Everything queued, FIN included, has been acknowledged.
[[nodiscard]] inline bool fin_acknowledged(const Tcb& t) {
  return t.has(flag_fin_sent) && t.snd_una == t.snd_nxt;
}
[[nodiscard]] inline bool fin_pending(const Tcb& t) {
  return t.has(flag_fin_queued) && !t.has(flag_fin_sent);
}

// ---- The end of a connection: what the user is told. The caller frees the Tcb after output.
inline void stop_timers(Tcb& t) {
  t.rtx_at_ms = t.idle_at_ms = 0;
  t.rtx = RtxTimer::Off;
}
inline void finish(Tcb& t, CloseReason reason, Outcome& out) {
  t.state = State::Closed;
  t.reason = reason;
  stop_timers(t);
  t.ack_at_ms = 0;
  out.events |= event_closed;
  out.reason = reason;
}

// ---- Retransmission timer (timers.cpp).
// Something was sent or acknowledged: the timer stands for what is now outstanding.
void set_retransmission_timer(const Env&, Tcb&, Instant now, bool restart);
inline void note_progress(Tcb& t) {
  t.rtx_backoff = t.rtx_count = 0;
  t.clear(flag_backed_off);
}
// CLOSE-WAIT begins: the user's turn, but not for ever.
void watch_close_wait(const Env&, Tcb&, Instant now);

// ---- ACKs and windows (receive_window.cpp, text.cpp).
// Where the right edge could stand now.
[[nodiscard]] inline Seq window_edge(const Tcb& t) {
  const std::uint32_t taken = t.has(flag_reading_paused) ? t.rcv_limit : std::min(t.rcv_held, t.rcv_limit);
  return t.rcv_nxt + (t.rcv_limit - taken);
}
// How far that is from where it stands.
[[nodiscard]] inline std::uint32_t window_growth(const Tcb& t) {
  return static_cast<std::uint32_t>(std::max(static_cast<std::int32_t>(window_edge(t).since(t.rcv_adv)), 0));
}
// The window to offer, in the header's units; the right edge it promises is noted.
[[nodiscard, gnu::always_inline]] inline std::uint16_t advertise_window(Tcb& t) {
  // RFC 9293 §3.8.6.2.2: the edge moves in steps worth a segment, and never left.
  const std::uint32_t growth = window_growth(t);
  const std::uint32_t step = std::min<std::uint32_t>(t.rcv_limit / 2, t.rcv_mss);
  Seq edge = t.rcv_adv;
  if (growth >= step) edge += growth;
  const std::uint32_t wnd = edge.after(t.rcv_nxt) ? edge.since(t.rcv_nxt) : 0;
  // Rounded down, so that what is promised never creeps past the buffer. The peer may see the edge stand back
  // by less than one unit of the scale; what it had sent by then is still taken (RFC 7323 §2.4).
  const std::uint32_t units = std::min<std::uint32_t>(wnd >> t.rcv_scale, 65535);
  t.rcv_adv = later_of(t.rcv_adv, t.rcv_nxt + (units << t.rcv_scale));
  return static_cast<std::uint16_t>(units);
}
// The receive buffer grows with what the user reads in a round trip.
void tune_receive_window(const Env&, Tcb&, Instant now);
// How far tuning may go.
[[nodiscard]] std::uint32_t most_window(const Env&, const Tcb&);
inline void ack_now(Tcb& t, Outcome& out) {
  t.set(flag_ack_now);
  out.output = true;
}
// RFC 5961 §7: a challenge ACK, limited per connection.
void challenge(const Env&, Tcb&, Instant now, Outcome&);

// What a window can say without a scale (RFC 7323 §2.3).
inline constexpr std::uint32_t widest_unscaled = 65'535;

// What a segment says its sender can take. RFC 7323 §2.2: never scaled on a SYN, the SYN-ACK's included.
[[nodiscard]] inline std::uint32_t offered_window(const Tcb& t, const wire::Tcp& h) {
  return h.has(flag::syn) ? h.window : std::uint32_t{h.window} << t.snd_scale;
}

// ---- Options (open.cpp).
[[nodiscard]] inline std::uint16_t syn_window(const Tcb& t) { // never scaled
  return static_cast<std::uint16_t>(std::min<std::uint32_t>(t.rcv_limit, 65535));
}
void fill_syn(const Env&, const Tcb&, wire::Tcp&, Instant now);
inline void derive_mss(Tcb& t) {
  // RFC 6691: the MSS option leaves options out of account, so the sender takes off what every segment
  // carries.
  const std::uint32_t most = std::min<std::uint32_t>(t.peer_mss, t.path_mss);
  const std::uint32_t options = t.has(flag_timestamps) ? timestamp_bytes : 0;
  t.mss = static_cast<std::uint16_t>(std::max<std::uint32_t>(most, least_mss) - options);
}

// ---- The recovery record comes from its pool, if there is one to be had (output.cpp), and goes back.
void take_recovery_record(const Env&, Tcb&, Instant now);
void give_back_recovery(const Env&, Tcb&);

// ---- Black holes (black_hole.cpp).
void suspect_black_hole(const Env&, Tcb&); // one more time-out without an answer
void doubt_black_hole(Tcb&);               // something got through

// ---- Arrival's steps that two files share; the fifth's are in ack_inl.hpp, the eighth is in text_inl.hpp.
// Seventh (text.cpp): true when what now stands at rcv.nxt is the peer's FIN.
[[nodiscard]] bool seventh_take_text(const Env&, Tcb&, const Segment&, Instant now, Outcome&);
// It and the eighth, for text that lies on a segment with SYN.
void take_text_behind_syn(const Env&, Tcb&, const Segment&, Instant now, Outcome&);
// Refuses everything: RFC 9293 §3.10.7.1's reset for a segment.
void reply_reset(const Env&, const Segment&, Outcome&);
// SYN-SENT (syn_sent.cpp).
void syn_sent_arrives(const Env&, Tcb&, const Segment&, Instant now, Outcome&);

} // namespace tern::tcp::detail
