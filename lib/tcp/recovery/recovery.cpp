// What is sent, what the timers say, and what may leave.
#include "tcp/recovery/recovery.hpp"

#include <algorithm>

#include "tcp/recovery/rtt.hpp"

namespace tern::tcp {
namespace {

// 1/64 of the round trip: what left within it shares a log entry. A quarter of the least RTT is the finest
// step that anything here decides by.
std::uint32_t slice_us(const Tcb& t) {
  return rtt::smoothed_us(t) / 64;
}

} // namespace

Recovery::Recovery(const Settings&, const Tcb& t, Instant now)
    : recover_(t.snd_una - 1),
      limited_until_(t.snd_una),
      rtt_round_(t.snd_una),
      last_sent_ms_(now.ms32()),
      seed_us_(t.has(flag_timing) ? t.timed_at_us : now.us32()),
      seed_timed_(t.has(flag_timing)) {
  if (t.recover.after(t.snd_una) && t.recover.at_or_before(t.snd_nxt)) recover_ = t.recover;
}

// ---- What leaves.

// Bytes in flight that the log does not know: sent before there was a record, or while no block was to be
// had. False: none is to be had now either.
bool Recovery::cover_gap(const Env& env, Tcb& t, Seq upto, Instant now) {
  if (!log_.empty() || !upto.after(t.snd_una)) return true;
  const bool timed = !seeded_ && seed_timed_;
  if (!log_.append(env.side.tx_log, t.snd_una, upto.since(t.snd_una), t.mss, timed ? seed_us_ : now.us32(),
                   0))
    return false;
  if (!timed) log_.distrust();
  return true;
}

// The first segment since there is a record.
void Recovery::take_over(const Env& env, Tcb& t, SendRange range, Instant now) {
  cover_gap(env, t, range.seq, now);
  seeded_ = true;
  if (!t.has(flag_rto_recovery)) return;
  // The connection was on its way back from a time-out, head by head: the rest of it is ours now.
  t.clear(flag_rto_recovery | flag_retransmit_head);
  if (!t.recover.after(t.snd_una)) return;
  phase_ = Phase::Loss;
  recover_ = t.recover;
  log_.mark_all_lost();
  (void)log_.retransmitted(env.side.tx_log, t.snd_una, earlier_of(t.snd_una + t.mss, range.seq), now.us32());
}

// RFC 5681 §4.1: after an idle time longer than the RTO the path's state is unknown, so the window starts
// again from the initial one. Slow start may then climb back to near where it was, as in Linux.
void Recovery::restart_after_idle(const Env& env, Tcb& t, Instant now) {
  const std::uint32_t idle_ms = now.ms32() - last_sent_ms_;
  cubic_.on_idle(idle_ms);
  if (Duration::ms(idle_ms) <= rtt::rto(t, env.settings)) return;
  const std::uint32_t restart = std::uint32_t{env.settings.initial_window} * t.mss;
  if (t.cwnd <= restart) return;
  t.ssthresh = std::max(t.ssthresh, t.cwnd / 4 * 3);
  t.cwnd = restart;
}

void Recovery::on_transmit(const Env& env, Tcb& t, SendRange range, bool again, Instant now) {
  if (!seeded_) take_over(env, t, again ? SendRange{t.snd_nxt, 0} : range, now);
  if (again) {
    const bool covered = cover_gap(env, t, t.snd_nxt, now);
    if (!log_.retransmitted(env.side.tx_log, range.seq, range.seq + range.length, now.us32()) || !covered)
      env.count(Counter::no_tx_log);
    if (undo_valid_ && in_recovery()) {
      if (!undo_sent_) {
        undo_ms_ = now.ms32();
        undo_end_ = range.seq + range.length;
      }
      undo_sent_ = true;
      if (undo_left_ != 0xffff) ++undo_left_;
    }
    if (phase_ == Phase::Fast) env.count(Counter::retransmit_fast);
  } else {
    if (t.outstanding() == range.length) {
      restart_after_idle(env, t, now);
      rack_.forget_times(); // while a window was shut, the clock may have gone round
    }
    const bool covered = cover_gap(env, t, range.seq, now);
    if (!log_.append(env.side.tx_log, range.seq, range.length, t.mss, now.us32(), slice_us(t)) || !covered)
      env.count(Counter::no_tx_log);
    if (tlp_credit_) {
      tlp_credit_ = false;
      tlp_end_ = t.snd_nxt;
    }
  }
  if (phase_ == Phase::Fast || phase_ == Phase::Reduced) prr_.sent(range.length);
  last_sent_ms_ = now.ms32();
  const std::uint32_t flight = in_flight(t);
  // RFC 9438 §5.8, RFC 7661: growth is for windows that were full; in slow start half full is, as in Linux.
  if (t.cwnd < t.ssthresh ? 2 * std::uint64_t{flight} >= t.cwnd : flight + t.mss > t.cwnd)
    limited_until_ = t.snd_nxt;
}

std::uint32_t Recovery::held(const Tcb& t) const {
  return std::min(log_.sacked() + reno_sacked_, t.outstanding());
}

std::uint32_t Recovery::in_flight(const Tcb& t) const {
  const std::uint32_t out = t.outstanding();
  const std::uint32_t gone = held(t) + log_.lost();
  return out > gone ? out - gone : 0;
}

std::uint32_t Recovery::allowance(const Tcb& t) const {
  const std::uint32_t flight = in_flight(t);
  const std::uint32_t room = t.cwnd > flight ? t.cwnd - flight : 0;
  return tlp_credit_ ? std::max<std::uint32_t>(room, t.mss) : room;
}

std::optional<SendRange> Recovery::next_lost(const Tcb& t) const {
  if (log_.lost() == 0 || frto_ == Frto::NewSent) return std::nullopt;
  const auto [left, right] = log_.first_lost();
  const std::uint32_t length = std::min<std::uint32_t>(right.since(left), t.mss);
  if (length == 0) return std::nullopt;
  const std::uint32_t flight = in_flight(t);
  if (flight != 0 && flight + length > t.cwnd) return std::nullopt;
  return SendRange{left, length};
}

// ---- Timers.

std::uint32_t Recovery::rack_deadline_us() const {
  return rack_deadline_us_;
}

std::uint32_t Recovery::probe_timeout_us(const Tcb& t) const {
  // RFC 8985 §7.2. Nothing to probe for while losses are known, nor twice.
  if (!t.has(flag_sack) || phase_ != Phase::Open || tlp_active_ || t.outstanding() == 0) return 0;
  if (log_.sacked() != 0 || log_.lost() != 0) return 0;
  if (!rtt::measured(t)) return 1'000'000;
  constexpr std::uint32_t grain_us = 2'000; // the timer's own, as Linux's TCP_TIMEOUT_MIN
  constexpr std::uint32_t worst_delayed_ack_us = 200'000;
  const std::uint32_t pto = 2 * rtt::smoothed_us(t) + grain_us;
  return t.outstanding() <= t.mss ? pto + worst_delayed_ack_us : pto;
}

namespace {
std::uint32_t open_window(const Tcb& t) {
  const Seq edge = t.snd_una + t.snd_wnd;
  return edge.after(t.snd_nxt) ? edge.since(t.snd_nxt) : 0;
}
} // namespace

// A whole segment, which waits for nothing.
bool Recovery::new_segment_may_leave(const Tcb& t) {
  return std::min(t.unsent(), open_window(t)) >= t.mss;
}
// That, or all there is, where neither Nagle nor the window has it wait.
bool Recovery::new_text_may_leave(const Tcb& t) {
  const bool waits = !t.has(flag_no_delay) && !t.has(flag_fin_queued);
  return new_segment_may_leave(t) || (t.unsent() != 0 && !waits && t.unsent() <= open_window(t));
}

SendRange Recovery::tail_probe(const Tcb& t) const {
  if (t.outstanding() == 0 || new_segment_may_leave(t)) return {}; // it probes as well, and is not wasted
  const std::uint32_t length = std::min<std::uint32_t>(t.outstanding(), t.mss);
  return {t.snd_nxt - length, length};
}

void Recovery::on_tail_probe(Tcb& t, Instant) {
  tlp_active_ = true;
  tlp_again_ = tail_probe(t).length != 0;
  tlp_credit_ = !tlp_again_;
  tlp_end_ = t.snd_nxt; // moves when the new segment leaves
}

void Recovery::on_rto(const Env& env, Tcb& t, Instant now) {
  if (t.outstanding() == 0) return;
  cover_gap(env, t, t.snd_nxt, now);
  // The peer said it held the very byte it still asks for: it has dropped what it held (RFC 2018 §8).
  if (log_.front_is_sacked()) log_.forget_sacked();
  // F-RTO goes on when the head's retransmission was not answered either; anything else ends it.
  const bool first = t.rtx_backoff == 0; // since anything was acknowledged
  if (phase_ != Phase::Loss || first || frto_ != Frto::HeadSent) frto_ = Frto::Off;
  if (phase_ == Phase::Open || phase_ == Phase::Reduced) {
    save_undo(t);
    frto_ = Frto::HeadSent;
  } else if (phase_ == Phase::Fast) {
    undo_valid_ = false;
  }
  // RFC 5681 §3.1: the reduction is made once for what was in flight, not once for each time-out.
  if (phase_ == Phase::Open || (phase_ == Phase::Loss && first)) reduce(env, t);
  cubic_.on_timeout();
  log_.mark_all_lost();
  reno_sacked_ = 0;
  dup_acks_ = 0;
  phase_ = Phase::Loss;
  recover_ = t.recover = t.snd_nxt;
  t.cwnd = t.mss;
  rack_deadline_us_ = 0;
  rack_.forget_times(); // what leaves now is measured afresh
  tlp_active_ = tlp_credit_ = false;
  if (log_.empty()) t.set(flag_retransmit_head); // without a log: the head, then what the ACKs ask for
}

RackFinding Recovery::mark_by_rack(const Tcb& t, Instant now) {
  rack_deadline_us_ = 0;
  if (!t.has(flag_sack) || !rack_.timed() || log_.empty()) return {};
  const bool eager = in_recovery() || log_.sacked() > (Rack::dup_threshold - 1) * t.mss;
  const RackFinding f = log_.mark_lost(rack_.rule(rtt::smoothed_us(t), eager, now.us32()));
  if (f.wait_us != 0) {
    const std::uint32_t at = now.us32() + f.wait_us;
    rack_deadline_us_ = at == 0 ? 1 : at;
  }
  return f;
}

void Recovery::on_rack_timer(const Env& env, Tcb& t, Instant now) {
  if (mark_by_rack(t, now).lost == 0) return;
  if (phase_ == Phase::Open || phase_ == Phase::Reduced) enter_fast(env, t);
  if (phase_ == Phase::Fast) pace_reduction(t, 0, false);
}

// ---- Other events.

void Recovery::on_path_mtu(const Env& env, Tcb& t, Instant now) {
  const bool unknown = log_.empty();
  cover_gap(env, t, t.snd_nxt, now);
  log_.mark_longer_lost(t.mss);
  if (unknown) log_.mark_all_lost(); // of what size it was nobody noted
  if (log_.empty()) t.set(flag_retransmit_head);
}

bool Recovery::in_recovery() const {
  return phase_ == Phase::Fast || phase_ == Phase::Loss;
}

// The window itself is looked at when something is sent again: only then is the length of the idle time
// known.
void Recovery::on_idle(const Settings&, Tcb&, Instant) {
  rack_deadline_us_ = 0;
  tlp_credit_ = false;
}

void Recovery::release(const Env& env) {
  log_.release(env.side.tx_log);
}

} // namespace tern::tcp
