// How a connection begins, and how its handshake ends: inline, for where one follows the other (predicted_inl.hpp) the
// compiler writes the new Tcb once, as it will stand. So the state is the caller's to set: others look at it, who may still
// hold the record's last generation, so that it may only be published, and what is written before that can not be written
// once with what comes behind.
#pragma once

#include <algorithm>
#include <cstdint>
#include <new>

#include "tcp/internal.hpp"
#include "tcp/recovery/rtt.hpp"

namespace tern::tcp::detail {

[[gnu::always_inline]] inline void begin(const Env& env, Tcb& t, Seq iss, std::uint16_t mtu_mss) {
  // In place: assigned, it would be made beside and copied, in words of another width than it is written in.
  ::new (static_cast<void*>(&t)) Tcb(Untouched{});
  t.iss = t.snd_una = iss;
  t.snd_nxt = t.snd_end = iss + 1; // the SYN occupies iss; text follows it
  t.path_mss = mtu_mss;
  t.rcv_limit = env.settings.receive_buffer;
  if (!env.settings.nagle) t.set(flag_no_delay);
}

// Of the side that listened, its SYN-ACK sent and the proof of it at hand.
[[gnu::always_inline]] inline void begin_answered(const Env& env, Tcb& t, const Handshake& hs,
                                                  std::uint16_t mtu_mss, Instant now) {
  env.count(Counter::handshake_done);
  begin(env, t, hs.iss, mtu_mss);
  t.irs = hs.irs;
  t.rcv_nxt = t.last_ack_sent = hs.irs + 1;
  t.rcv_adv = t.rcv_nxt + std::min<std::uint32_t>(t.rcv_limit, 65535);
  t.snd_wnd = t.max_snd_wnd = hs.syn_window;
  t.snd_wl1 = hs.irs;
  t.snd_wl2 = hs.iss;
  t.peer_mss = std::max(hs.peer_mss, least_mss);
  t.snd_scale = hs.snd_scale & 15;
  t.rcv_scale = hs.rcv_scale & 15;
  if (hs.scaled)
    t.set(flag_scaled);
  else
    t.rcv_limit = std::min(t.rcv_limit, widest_unscaled);
  if (hs.sack) t.set(flag_sack);
  if (hs.ecn) t.set(flag_ecn);
  if (hs.timestamps) {
    t.set(flag_timestamps);
    t.ts_recent = hs.ts_recent;
    t.ts_offset = hs.ts_offset;
  }
  t.heard_at = now.coarse32();
  derive_mss(t);
  t.rtx_count = hs.resent; // what start_sending() goes by
  if (hs.timed) {
    t.set(flag_timing);
    t.timed_seq = hs.iss;
    t.timed_at_us = hs.sent_at_us;
  }
}

// The peer's SYN or SYN-ACK: what both sides now agree on.
[[gnu::always_inline]] inline void take_syn(const Env& env, Tcb& t, const wire::Tcp& h, Instant now) {
  const wire::TcpOptions& o = h.options;
  const Settings& s = env.settings;
  using O = wire::TcpOptions;
  t.irs = h.seq;
  t.rcv_nxt = h.seq + 1;
  t.rcv_adv = t.rcv_nxt + std::min<std::uint32_t>(t.rcv_limit, 65535);
  t.last_ack_sent = t.rcv_nxt;
  if ((o.has & O::mss_bit) != 0) t.peer_mss = std::max(o.mss, least_mss);
  if (absurd_mss(o)) env.count(Counter::mss_raised);
  if (s.window_scale && (o.has & O::wscale_bit) != 0) {
    t.set(flag_scaled);
    t.snd_scale = std::min<std::uint8_t>(o.wscale, 14) & 15; // RFC 7323 §2.3
  } else {
    t.rcv_scale = 0;
    t.rcv_limit = std::min(t.rcv_limit, widest_unscaled);
  }
  if (s.sack && (o.has & O::sack_permitted_bit) != 0) t.set(flag_sack);
  if (s.timestamps && o.has_timestamps()) {
    t.set(flag_timestamps);
    t.ts_recent = o.ts_val;
  }
  const auto ecn = h.flags & (flag::ece | flag::cwr);
  if (t.has(flag_ecn_setup) && ecn == (h.has(flag::ack) ? flag::ece : flag::ece | flag::cwr)) t.set(flag_ecn);
  t.heard_at = now.coarse32();
  derive_mss(t);
  t.snd_wnd = t.max_snd_wnd = h.window; // RFC 7323 §2.2: never scaled on a SYN
  t.snd_wl1 = h.seq;
}

// What a connection knows once its SYN is acknowledged, but for its state.
[[gnu::always_inline]] inline void start_sending(const Env& env, Tcb& t, Instant now) {
  // RFC 6928; after more than one lost SYN the path is taken for poor (RFC 5681 §3.1, as Linux).
  t.cwnd = (t.rtx_count > 1 ? 1U : env.settings.initial_window) * t.mss;
  if (t.rtx_count != 0) rtt::after_lost_syn(t);
  t.quick_acks = 16;
  note_progress(t);
  t.clear(flag_syn_due); // it may have been due again, and waited for a packet
  if (env.settings.keepalive_idle > Duration{}) t.idle_at_ms = deadline_in(env.settings.keepalive_idle, now);
}
[[nodiscard]] inline State established(const Tcb& t) {
  return t.has(flag_fin_queued) ? State::FinWait1 : State::Established;
}

// Fifth, in SYN-RECEIVED: an ACK of our SYN, of what was sent and no more. `wnd`: as offered, scaled.
[[gnu::always_inline]] inline void handshake_ends(const Env& env, Tcb& t, Seq seq, Seq ack, std::uint32_t wnd,
                                                  Instant now, Outcome& out) {
  start_sending(env, t, now);
  t.snd_wnd = wnd;
  t.max_snd_wnd = std::max(t.max_snd_wnd, wnd);
  t.snd_wl1 = seq;
  t.snd_wl2 = ack;
  out.events |= event_established;
  if (t.unsent() != 0 || fin_pending(t)) out.output = true;
}

} // namespace tern::tcp::detail
