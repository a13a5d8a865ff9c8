// Timers: one retransmission deadline (RTO, tail probe, RACK, persist), one for the delayed ACK, one for idle
// life (keepalive, FIN-WAIT-2, CLOSE-WAIT).
#include "tcp/timers_inl.hpp"

namespace tern::tcp {

using namespace detail;

namespace {

void back_off(Tcb& t, Instant now) {
  if (!t.has(flag_backed_off)) t.stalled_since_ms = now.ms32();
  if (t.rtx_count != 255) ++t.rtx_count;
  if (t.rtx_backoff != 255) ++t.rtx_backoff;
  t.set(flag_backed_off);
}

// Nobody is left who could care: the user let go, or both sides have closed.
bool ownerless(const Tcb& t) {
  return t.has(flag_orphan) || in(t.state, {State::Closing, State::LastAck});
}

// Has the peer been silent beyond what the user or RFC 1122 §4.2.3.5 (R2) bears?
bool give_up(const Env& env, const Tcb& t, Instant now) {
  const Duration user = env.settings.user_timeout;
  if (user > Duration{} && t.has(flag_backed_off) && Duration::ms(now.ms32() - t.stalled_since_ms) >= user) {
    env.count(Counter::timeout_user);
    return true;
  }
  std::uint8_t most = env.settings.data_retries;
  if (t.state == State::SynSent) most = env.settings.syn_retries;
  if (t.state == State::SynReceived) most = env.settings.synack_retries;
  std::uint8_t tries = t.rtx_count;
  if (synchronized(t.state) && ownerless(t)) {
    // A window held shut is no reason to wait for ever when nobody waits: answered probes count too, as in
    // Linux.
    most = std::min(most, env.settings.orphan_retries);
    tries = t.rtx_backoff;
  }
  if (tries < most) return false;
  env.count(Counter::timeout_retransmit);
  return true;
}

// Gives the connection up. A peer that holds its window shut, and answered the last try, is told that what it did not take
// is lost.
void end_by_silence(Tcb& t, Outcome& out) {
  if (t.snd_wnd == 0 && t.rtx_count == 0 && synchronized(t.state) && ownerless(t)) {
    t.set(flag_abort_due);
    out.output = true;
  }
  finish(t, CloseReason::TimedOut, out);
}

void rto_fires(const Env& env, Tcb& t, Instant now, Outcome& out) {
  if (give_up(env, t, now)) return end_by_silence(t, out);
  if (!synchronized(t.state)) {
    back_off(t, now);
    t.set(flag_syn_due);
  } else {
    env.count(Counter::retransmit_rto);
    t.clear(flag_timing); // Karn
    if (t.has(flag_has_recovery)) {
      t.recovery->on_rto(env, t, now);
    } else {
      if (!t.has(flag_rto_recovery)) t.ssthresh = std::max<std::uint32_t>(t.outstanding() / 2, 2U * t.mss);
      t.cwnd = t.mss;
      t.recover = t.snd_nxt;
      t.set(flag_rto_recovery | flag_retransmit_head);
    }
    back_off(t, now);
    suspect_black_hole(env, t);
  }
  out.output = true;
  arm(t, RtxTimer::Rto, backed_off_rto(env, t), now);
}

void persist_fires(const Env& env, Tcb& t, Instant now, Outcome& out) {
  // RFC 1122 §4.2.2.17: as long as the peer answers the probes the connection stays open, however long that
  // takes.
  if (give_up(env, t, now)) return end_by_silence(t, out);
  back_off(t, now);
  t.set(flag_probe_due);
  out.output = true;
  arm(t, RtxTimer::Persist, backed_off_rto(env, t), now);
}

void retransmission_timer_fires(const Env& env, Tcb& t, Instant now, Outcome& out) {
  const RtxTimer what = t.rtx;
  t.rtx_at_ms = 0;
  t.rtx = RtxTimer::Off;
  switch (what) {
    case RtxTimer::Off:
      return;
    case RtxTimer::Rto:
      return rto_fires(env, t, now, out);
    case RtxTimer::Persist:
      return persist_fires(env, t, now, out);
    case RtxTimer::Tlp:
      if (!t.has(flag_has_recovery)) return set_retransmission_timer(env, t, now, true);
      t.set(flag_tlp_due);
      out.output = true;
      return;
    case RtxTimer::Idle: // output came first, or nothing did for as long as the window keeps its worth
      if (t.outstanding() == 0 && t.has(flag_has_recovery)) {
        t.recovery->retire(env, t, now);
        give_back_recovery(env, t);
      }
      return;
    case RtxTimer::Rack:
      if (t.has(flag_has_recovery)) t.recovery->on_rack_timer(env, t, now);
      out.output = true;
      return set_retransmission_timer(env, t, now, true);
  }
}

// RFC 1122 §4.2.3.6.
void keep_alive(const Env& env, Tcb& t, Instant now, Outcome& out) {
  const Settings& s = env.settings;
  if (s.keepalive_idle <= Duration{}) return;
  const Duration quiet = t.silent_for(now) + Instant::coarse_step; // no less than it is
  if (quiet < s.keepalive_idle) { // somebody spoke since: lazily, the deadline moves now
    t.idle_at_ms = deadline_in(s.keepalive_idle - quiet + Instant::coarse_step, now);
    return t.clear(flag_idle_probe);
  }
  t.idle_at_ms = deadline_in(s.keepalive_interval, now);
  if (t.outstanding() != 0 || t.rtx == RtxTimer::Persist)
    return; // that timer probes better, and gives up later
  if (quiet >= s.keepalive_idle + s.keepalive_interval * s.keepalive_probes) {
    env.count(Counter::timeout_keepalive);
    t.set(flag_abort_due);
    out.output = true;
    return finish(t, CloseReason::TimedOut, out);
  }
  t.set(flag_idle_probe | flag_probe_due);
  out.output = true;
}

// CLOSE-WAIT is the user's turn, and no peer can end it: who forgets to close would keep a record for ever.
// Sending and reading are signs of life, so a half-closed connection serves for as long as the user likes;
// text on its way is the retransmission timer's.

// Grows with every byte that the user sends or reads.
std::uint32_t user_stands(const Tcb& t) {
  return t.snd_end.raw() - t.rcv_held;
}

bool user_forgot(const Env& env, Tcb& t, Instant now) {
  if (env.settings.close_wait <= Duration{}) return false;
  if (t.has(flag_backed_off) || t.outstanding() != 0 || t.unsent() != 0) {
    t.user_stood = user_stands(t) - 1; // it is the peer that is waited for: the user's time begins after that
    return false;
  }
  if (const std::uint32_t stands = user_stands(t); stands != t.user_stood) {
    t.user_stood = stands;
    t.stalled_since_ms = now.ms32();
    return false;
  }
  return Duration::ms(now.ms32() - t.stalled_since_ms) >= env.settings.close_wait;
}

void look_again(const Env& env, Tcb& t, Instant now) {
  const Duration limit = env.settings.close_wait;
  if (limit <= Duration{}) return;
  const Duration still = Duration::ms(now.ms32() - t.stalled_since_ms);
  const std::uint32_t at = deadline_in(still < limit ? limit - still : limit, now);
  if (t.idle_at_ms == 0 || static_cast<std::int32_t>(at - t.idle_at_ms) < 0) t.idle_at_ms = at;
}

// FIN-WAIT-2 of an orphan, CLOSE-WAIT of a user who forgot, keepalive.
void idle_timer_fires(const Env& env, Tcb& t, Instant now, Outcome& out) {
  t.idle_at_ms = 0;
  if (t.state == State::FinWait2 && t.has(flag_orphan)) {
    env.count(Counter::timeout_fin_wait_2);
    return finish(t, CloseReason::TimedOut, out);
  }
  if (t.state == State::CloseWait && user_forgot(env, t, now)) {
    env.count(Counter::timeout_close_wait);
    t.set(flag_abort_due); // what the peer sent was not read, or not answered: it may as well know
    out.output = true;
    return finish(t, CloseReason::TimedOut, out);
  }
  keep_alive(env, t, now, out);
  if (t.state == State::CloseWait) look_again(env, t, now);
}

} // namespace

namespace detail {

void watch_close_wait(const Env& env, Tcb& t, Instant now) {
  t.user_stood = user_stands(t);
  if (!t.has(flag_backed_off)) t.stalled_since_ms = now.ms32();
  look_again(env, t, now);
}

void set_retransmission_timer(const Env& env, Tcb& t, Instant now, bool restart) {
  if (!synchronized(t.state)) {
    if (restart) arm(t, RtxTimer::Rto, backed_off_rto(env, t), now);
    return;
  }
  if (t.outstanding() == 0) {
    const bool waiting = t.unsent() != 0 || fin_pending(t);
    if (!waiting && t.has(flag_has_recovery)) {
      t.recovery->on_idle(env.settings, t, now);
      t.clear(flag_tlp_due);
      if (restart || t.rtx != RtxTimer::Idle) arm(t, RtxTimer::Idle, rtt::rto(t, env.settings), now);
    } else if (!waiting) {
      t.rtx_at_ms = 0;
      t.rtx = RtxTimer::Off;
    } else if (t.rtx != RtxTimer::Persist || t.rtx_at_ms == 0) {
      arm(t, RtxTimer::Persist, backed_off_rto(env, t), now);
    }
    return;
  }
  restart |= t.rtx == RtxTimer::Idle;
  if (t.has(flag_has_recovery)) {
    if (const std::uint32_t at = t.recovery->rack_deadline_us(); at != 0) {
      const auto left = static_cast<std::int32_t>(at - now.us32());
      return arm(t, RtxTimer::Rack, Duration::us(std::max(left, 0)), now);
    }
    if (const std::uint32_t pto = restart ? t.recovery->probe_timeout_us(t) : 0;
        pto != 0 && t.rtx_backoff == 0) {
      // RFC 8985 §7.2: never later than the time-out, which then follows the probe.
      return arm(t, RtxTimer::Tlp, std::min(Duration::us(pto), rtt::rto(t, env.settings)), now);
    }
  }
  if (restart || t.rtx_at_ms == 0 || t.rtx == RtxTimer::Persist)
    arm(t, RtxTimer::Rto, backed_off_rto(env, t), now);
}

} // namespace detail

void timer_fires(const Env& env, Tcb& t, Instant now, Outcome& out) {
  if (due(t.ack_at_ms, now)) {
    t.ack_at_ms = 0;
    if (t.has(flag_ack_delayed)) ack_now(t, out);
  }
  if (due(t.rtx_at_ms, now)) retransmission_timer_fires(env, t, now, out);
  if (t.state != State::Closed && due(t.idle_at_ms, now)) idle_timer_fires(env, t, now, out);
}

} // namespace tern::tcp
