// What an ACK means for loss recovery and for the congestion window.
#include <algorithm>

#include "tcp/recovery/recovery.hpp"
#include "tcp/recovery/rtt.hpp"

namespace tern::tcp {

AckVerdict Recovery::on_ack(const Env& env, Tcb& t, const AckInfo& info, Instant now) {
  Ack a;
  a.d.now_us = now.us32();
  a.d.min_rtt_us = rack_.min_rtt_us();
  if (info.ts_ecr_us_rtt) a.d.echoed_us = *info.ts_ecr_us_rtt;
  a.advanced = info.acked != 0;
  a.limited = info.una_before.before(limited_until_) || phase_ == Phase::Loss;
  if (phase_ == Phase::Open && t.snd_una.since(recover_) > 1U << 30)
    recover_ = t.snd_una - (1U << 30); // never so old that it seems to lie ahead

  const std::uint32_t held_before = log_.sacked() + reno_sacked_;
  log_.acknowledge(env.side.tx_log, t.snd_una, a.d);
  read_sack(env, t, info, a);
  if (!t.has(flag_sack)) count_duplicates(env, t, info, a);
  const std::uint32_t held_after = log_.sacked() + reno_sacked_;
  const std::uint32_t delivered = info.acked + held_after - held_before;
  a.delivered = static_cast<std::int32_t>(delivered) > 0 ? delivered : 0;
  if (a.d.divided) [[unlikely]]
    env.count(Counter::ack_divided);
  rack_.learn(a.d);
  end_probe(env, t, info, a);

  AckVerdict v;
  if (was_spurious(t, info, a, now)) {
    undo(env, t);
    v.undone = a.spurious = true;
  }
  leave_phase(env, t, a);
  find_lost(t, a, now);
  if (a.newly_lost != 0 && (phase_ == Phase::Open || phase_ == Phase::Reduced)) enter_fast(env, t);
  if (info.ece && phase_ == Phase::Open && !t.has(flag_cwr) && t.snd_una.after(recover_)) {
    env.count(Counter::ecn_reduced);
    enter_reduced(env, t);
  }
  if (phase_ == Phase::Loss) continue_frto(t, a);
  mend_head(env, t, a);
  if (phase_ == Phase::Fast || phase_ == Phase::Reduced) {
    if (a.delivered != 0 || a.newly_lost != 0)
      pace_reduction(t, a.delivered, a.advanced && a.newly_lost == 0);
  } else if (a.advanced && a.limited && !a.spurious) {
    grow(env, t, a, now);
  }
  v.rtt_us = rtt_sample(t, info, a);
  if (v.rtt_us != 0) watch_for_optimism(env, t, v.rtt_us);
  v.lost = next_lost(t).has_value();
  v.window_opened = allowance(t) >= t.mss;
  return v;
}

// RFC 2018, 2883. A block must name something in flight; the first may report a duplicate instead: what lies below the
// ACK of its own segment, which others may have overtaken on their way.
void Recovery::read_sack(const Env& env, Tcb& t, const AckInfo& info, Ack& a) {
  const Seq own_ack = t.snd_una - info.behind;
  for (std::size_t i = 0; i < info.sack.size(); ++i) {
    const wire::SackBlock& b = info.sack[i];
    if (!b.left.before(b.right)) continue;
    if (i == 0) {
      const bool below = b.right.at_or_before(own_ack);
      const bool inside = info.sack.size() > 1 && b.left.at_or_after(info.sack[1].left) &&
                          b.right.at_or_before(info.sack[1].right);
      if (below || inside) {
        a.dsack = true;
        a.dsack_right = b.right;
        on_dsack(env, t, b);
        continue;
      }
    }
    if (b.right.after(t.snd_nxt)) env.count(Counter::sack_of_unsent);
    if (b.left.before(t.snd_una) || b.right.after(t.snd_nxt)) continue;
    log_.sack(env.side.tx_log, b.left, b.right, a.d);
  }
}

void Recovery::on_dsack(const Env& env, const Tcb& t, const wire::SackBlock& b) {
  env.count(Counter::retransmit_spurious);
  rack_.on_dsack(t.snd_una, t.snd_nxt);
  if (!undo_valid_ || !b.right.after(undo_marker_) || b.right.after(recover_)) return;
  const std::uint32_t segments = (b.right.since(b.left) + t.mss - 1) / t.mss;
  undo_left_ = static_cast<std::uint16_t>(undo_left_ - std::min<std::uint32_t>(segments, undo_left_));
}

// A peer without SACK: a duplicate ACK (RFC 5681 §2) says that one segment more has arrived, not which; the
// third says that the first is lost (RFC 6582).
void Recovery::count_duplicates(const Env& env, Tcb& t, const AckInfo& info, Ack& a) {
  if (a.advanced) {
    // All but the segment that was missing had been counted as duplicates before.
    const std::uint32_t counted = info.acked > t.mss ? info.acked - t.mss : 0;
    reno_sacked_ -= std::min(reno_sacked_, phase_ == Phase::Fast ? counted : reno_sacked_);
    reno_sacked_ = std::min(reno_sacked_, t.outstanding());
    dup_acks_ = 0;
    return;
  }
  if (!info.pure || t.outstanding() == 0) return;
  a.duplicate = true;
  if (dup_acks_ != 0xff) ++dup_acks_;
  // Optimistic duplicates cannot count for more than is there, less the one that is missing.
  const std::uint32_t most = t.outstanding() > t.mss ? t.outstanding() - t.mss : 0;
  if (phase_ != Phase::Loss) reno_sacked_ = std::min(reno_sacked_ + t.mss, most);
  // §3.2 step 2: not for the echoes of what a time-out sent in vain.
  if (dup_acks_ == Rack::dup_threshold && phase_ != Phase::Fast && phase_ != Phase::Loss &&
      t.snd_una.after(recover_)) {
    if (log_.empty()) t.set(flag_retransmit_head); // no room for a log: the head is known without
    a.newly_lost += log_.empty() ? t.mss : log_.mark_front_lost(env.side.tx_log, t.mss);
  }
}

void Recovery::find_lost(const Tcb& t, Ack& a, Instant now) {
  a.newly_lost += mark_by_rack(t, now).lost;
}

// RFC 8985 §7.4: did the tail probe mend a loss that nothing else would have shown?
void Recovery::end_probe(const Env& env, Tcb& t, const AckInfo& info, const Ack& a) {
  if (!tlp_active_ || t.snd_una.before(tlp_end_)) return;
  if (!tlp_again_) {
    tlp_active_ = tlp_credit_ = false;
  } else if (a.dsack && a.dsack_right == tlp_end_) {
    tlp_active_ = false; // both copies arrived
  } else if (t.snd_una.after(tlp_end_)) {
    tlp_active_ = false; // one arrived: the other was lost, and the window was too large for the path
    if (phase_ == Phase::Open) enter_reduced(env, t);
  } else if (!a.advanced && info.pure && info.sack.empty()) {
    tlp_active_ = false; // a duplicate ACK: both arrived
  }
}

// Was the retransmission needless? By a timestamp older than it (RFC 3522), by D-SACKs for all of it (RFC
// 3708, as Linux), or by F-RTO (RFC 5682 §3).
bool Recovery::was_spurious(const Tcb& t, const AckInfo& info, const Ack& a, Instant now) {
  if (!undo_valid_ || !undo_sent_) return false;
  if (a.dsack && undo_left_ == 0) return true;
  // An ACK that falls short of it may be one that others overtook, and says nothing.
  if (in_recovery() && a.advanced && info.ts_ecr_us_rtt && t.snd_una.at_or_after(undo_end_)) {
    // Both clocks are of whole milliseconds, and an echo of the present one is reported as 1 ms old.
    const std::uint32_t left_ms = now.ms32() - *info.ts_ecr_us_rtt / 1000;
    if (static_cast<std::int32_t>(left_ms + 1 - undo_ms_) < 0) return true;
  }
  if (phase_ != Phase::Loss || frto_ == Frto::Off) return false;
  if (t.has(flag_sack)) return a.d.original && a.d.lowest_original.at_or_before(recover_);
  return frto_ == Frto::NewSent && a.advanced;
}

void Recovery::continue_frto(const Tcb& t, const Ack& a) {
  if (frto_ == Frto::Off || (a.delivered == 0 && !a.duplicate && !a.advanced)) return;
  // §2.1 step 2b: the head alone was acknowledged; new text, if it may leave, tells more than a retransmission would.
  frto_ = frto_ == Frto::HeadSent && a.advanced && new_text_may_leave(t) ? Frto::NewSent : Frto::Off;
}

void Recovery::leave_phase(const Env&, Tcb& t, const Ack&) {
  if (phase_ == Phase::Open || t.snd_una.before(recover_)) return;
  if (phase_ == Phase::Fast || phase_ == Phase::Reduced) t.cwnd = std::max<std::uint32_t>(t.ssthresh, t.mss);
  if (phase_ != Phase::Reduced) rack_.on_recovery_exit();
  phase_ = Phase::Open;
  frto_ = Frto::Off;
  reno_sacked_ = 0;
  dup_acks_ = 0;
}

// A partial ACK without SACK: the next hole begins where it points (RFC 6582 §3.2 step 3). Without a log the
// head is all that is known, after a time-out too.
void Recovery::mend_head(const Env& env, Tcb& t, Ack& a) {
  if (!a.advanced || !in_recovery() || t.outstanding() == 0) return;
  if (log_.empty()) return t.set(flag_retransmit_head);
  if (phase_ == Phase::Fast && !t.has(flag_sack))
    a.newly_lost += log_.mark_front_lost(env.side.tx_log, t.mss);
}

std::uint32_t Recovery::rtt_sample(const Tcb& t, const AckInfo& info, const Ack& a) {
  if (!a.advanced || t.snd_una.before(rtt_round_)) return 0;
  std::uint32_t us = 0;
  if (a.d.any_time && !a.d.newest_again)
    us = std::max(a.d.now_us - a.d.newest_sent_us, 1U);
  else if (info.ts_ecr_us_rtt)
    us = *info.ts_ecr_us_rtt; // good after a retransmission too (RFC 7323 §4)
  if (us != 0) rtt_round_ = t.snd_nxt;
  return us;
}

// Text that is acknowledged in less than a quarter of the least time the path ever took was acknowledged before it
// arrived (optimistic ACKs: Savage et al. 1999), or the path is another now: so many in a row say so. The handshake
// is a measure that nobody can forge who has not heard our SYN or SYN-ACK. Below a few ms a sleepy host explains
// more than the path does.
void Recovery::watch_for_optimism(const Env& env, const Tcb& t, std::uint32_t rtt_us) {
  constexpr std::uint32_t least_path_us = 4000;
  constexpr std::uint8_t in_a_row = 16;
  if (path_us_ == 0) path_us_ = rtt::measured(t) ? rtt::smoothed_us(t) : rtt_us;
  const bool early = path_us_ >= least_path_us && rtt_us < path_us_ / 4;
  if (early) env.count(Counter::ack_optimistic);
  early_ = early ? static_cast<std::uint8_t>(early_ + 1) : std::uint8_t{0};
  if (early && early_ < in_a_row) return;
  path_us_ = std::min(path_us_, rtt_us);
  early_ = 0;
}

// ---- Congestion.

void Recovery::grow(const Env& env, Tcb& t, const Ack& a, Instant now) {
  const std::uint32_t mss = t.mss;
  if (t.cwnd < t.ssthresh) {
    std::uint32_t more = std::min(a.delivered, phase_ == Phase::Loss ? 2 * mss : 8 * mss);
    if (env.settings.hystart && t.ssthresh == 0xffff'ffff) { // the first slow start only (RFC 9406 §4.2)
      const bool timed = a.d.any_time && !a.d.newest_again;
      const std::uint32_t rtt = timed ? std::max(a.d.now_us - a.d.newest_sent_us, 1U) : 0;
      if (hystart_.on_ack(t.snd_una, t.snd_nxt, rtt)) {
        t.ssthresh = t.cwnd;
        return;
      }
      more = hystart_.growth(more, mss);
    }
    t.cwnd = std::min({t.cwnd + more, std::max(t.ssthresh, t.cwnd), largest_cwnd});
    return;
  }
  if (env.settings.congestion == CongestionControl::Cubic)
    cubic_.grow(t.cwnd, a.delivered, mss, rtt::smoothed_us(t), now.ms32());
  else
    reno_.grow(t.cwnd, a.delivered, mss);
}

// One congestion event: ssthresh. What was not in flight does not count for it (RFC 5681 §3.1), but an ACK
// that was read before output could answer it is no sign that less was wanted.
void Recovery::reduce(const Env& env, Tcb& t) {
  const bool full = t.snd_una.before(limited_until_);
  const std::uint32_t flight = full ? t.cwnd : std::min(t.cwnd, t.outstanding());
  t.ssthresh = env.settings.congestion == CongestionControl::Cubic
                   ? cubic_.on_congestion(t.cwnd, flight, t.mss)
                   : reno_.on_congestion(flight, t.mss);
  if (t.has(flag_ecn)) t.set(flag_cwr); // RFC 3168 §6.1.2: for any cause
}

void Recovery::save_undo(const Tcb& t) {
  undo_cwnd_ = phase_ == Phase::Open ? t.cwnd : t.ssthresh; // what an ECN echo took before was taken rightly
  undo_ssthresh_ = t.ssthresh;
  undo_cubic_ = cubic_.save();
  undo_marker_ = t.snd_una;
  undo_left_ = tlp_active_ && tlp_again_ ? 1 : 0; // the probe's copy is on its way, and its D-SACK with it
  undo_sent_ = false;
  undo_valid_ = true;
}

void Recovery::enter_fast(const Env& env, Tcb& t) {
  save_undo(t);
  if (phase_ == Phase::Open) { // within a window that is being reduced already, loss adds nothing
    reduce(env, t);
    prr_.begin(t.outstanding());
  }
  phase_ = Phase::Fast;
  recover_ = t.recover = t.snd_nxt;
  tlp_active_ = tlp_credit_ = false;
}

void Recovery::enter_reduced(const Env& env, Tcb& t) {
  reduce(env, t);
  prr_.begin(t.outstanding());
  undo_valid_ = false;
  phase_ = Phase::Reduced;
  recover_ = t.recover = t.snd_nxt;
}

void Recovery::pace_reduction(Tcb& t, std::uint32_t delivered, bool safe) {
  const std::uint32_t pipe = in_flight(t);
  t.cwnd = std::max<std::uint32_t>(pipe + prr_.on_ack(delivered, pipe, t.ssthresh, t.mss, safe), t.mss);
}

void Recovery::undo(const Env& env, Tcb& t) {
  env.count(Counter::undo);
  t.cwnd = std::max(t.cwnd, undo_cwnd_);
  t.ssthresh = std::max(t.ssthresh, undo_ssthresh_);
  cubic_.restore(undo_cubic_);
  log_.unmark_lost();
  if (phase_ != Phase::Loss) rack_.on_spurious();
  if (phase_ == Phase::Fast || phase_ == Phase::Loss) phase_ = Phase::Open;
  frto_ = Frto::Off;
  reno_sacked_ = 0;
  dup_acks_ = 0;
  undo_valid_ = false;
}

} // namespace tern::tcp
