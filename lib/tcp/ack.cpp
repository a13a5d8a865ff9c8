// What an acceptable ACK does: the queue shrinks, the RTT is measured, recovery learns, the window moves.
#include "tcp/internal.hpp"
#include "tcp/recovery/rtt.hpp"
#include "tcp/send_queue.hpp"

namespace tern::tcp::detail {
namespace {

// RTT by the echoed timestamp (RFC 7323 §4.1), in µs: coarse, but good after a retransmission too.
std::optional<std::uint32_t> echoed_rtt(const Tcb& t, const wire::Tcp& h, Instant now) {
  if (!t.has(flag_timestamps) || (h.options.has & wire::TcpOptions::timestamps_bit) == 0 ||
      h.options.ts_ecr == 0)
    return std::nullopt;
  const std::uint32_t ms = now.ms32() + t.ts_offset - h.options.ts_ecr;
  if (ms > 120'000) return std::nullopt; // from the future, or from nowhere: not ours
  return std::max<std::uint32_t>(ms, 1) * 1000;
}

void sample_rtt(const Env& env, Tcb& t, const wire::Tcp& h, Instant now) {
  if (t.has(flag_timing)) {
    if (!h.ack.after(t.timed_seq)) return;
    t.clear(flag_timing);
    return rtt::add_sample(t, env.settings, now.us32() - t.timed_at_us);
  }
  if (const auto us = echoed_rtt(t, h, now)) rtt::add_sample(t, env.settings, *us);
}

// Without a recovery record the connection goes back to its head after a timeout and sends its way forward
// again.
void continue_simple_recovery(const Env&, Tcb& t) {
  if (t.snd_una.at_or_after(t.recover)) {
    t.clear(flag_rto_recovery | flag_retransmit_head);
    t.cwnd = std::max<std::uint32_t>(t.ssthresh, t.mss);
    return;
  }
  t.cwnd += t.mss;
  t.set(flag_retransmit_head);
}

void react_to_ece(const Env& env, Tcb& t) {
  // RFC 3168 §6.1.2: once a window. With a recovery record, that one does it.
  const bool reducing =
      t.recover.after(t.snd_una) && t.recover.at_or_before(t.snd_nxt); // else it is from long ago
  if (t.has(flag_cwr) || reducing) return;
  env.count(Counter::ecn_reduced);
  t.ssthresh = std::max<std::uint32_t>(t.cwnd / 2, 2U * t.mss);
  t.cwnd = t.ssthresh;
  t.recover = t.snd_nxt;
  t.set(flag_cwr);
}

// Drops what was acknowledged from the queue; the SYN and the FIN are not in it.
void shorten_queue(const Env& env, Tcb& t, Seq ack, Outcome& out) {
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

} // namespace

void note_progress(Tcb& t) {
  t.rtx_backoff = t.rtx_count = 0;
  t.clear(flag_backed_off);
}

void update_window(const Env& env, Tcb& t, const Segment& s, Outcome& out) {
  const wire::Tcp& h = s.h;
  // §3.10.7.4: only from a segment newer than the one that last set it.
  if (!(t.snd_wl1.before(h.seq) || (t.snd_wl1 == h.seq && t.snd_wl2.at_or_before(h.ack)))) return;
  const std::uint32_t wnd = offered_window(t, h);
  // An edge that stands back by less than the scale's unit is rounding (RFC 7323 §2.4).
  if (wnd < t.snd_wnd && (h.ack + wnd + ((1U << t.snd_scale) - 1)).before(t.snd_wl2 + t.snd_wnd))
    env.count(Counter::window_shrunk_by_peer);
  const bool opened = wnd > t.snd_wnd;
  t.snd_wnd = wnd;
  t.snd_wl1 = h.seq;
  t.snd_wl2 = h.ack;
  if (wnd > t.max_snd_wnd) t.max_snd_wnd = wnd;
  if (opened && (t.unsent() != 0 || fin_pending(t))) out.output = true;
}

namespace {

// What an ACK means to a connection on which something went wrong, or that waits for more than it.
void acknowledge_rare(const Env& env, Tcb& t, const Segment& s, bool newer, bool same_window, Instant now,
                      Outcome& out) {
  const wire::Tcp& h = s.h;
  AckInfo info{.una_before = t.snd_una};
  // On a SYN-ACK the bit only agrees to ECN (RFC 3168 §6.1.1).
  const bool ece = t.has(flag_ecn) && h.has(flag::ece) && !h.has(flag::syn);
  if (t.has(flag_backed_off)) { // whoever answers is alive, even if nothing new is acknowledged
    const bool idle = t.snd_una == t.snd_nxt;
    if (newer || (idle && t.snd_wnd != 0)) note_progress(t);
    if (newer) doubt_black_hole(t);
    // RFC 1122 §4.2.2.17: the connection stays open, the probes of a shut window go on backing off, and the
    // user timeout goes on counting.
    else if (idle)
      t.rtx_count = 0;
  }
  if (newer) {
    info.acked = h.ack.since(t.snd_una);
    shorten_queue(env, t, h.ack, out);
    if (t.has(flag_want_writable)) {
      t.clear(flag_want_writable);
      out.events |= event_writable;
    }
  }
  if (t.has(flag_has_recovery)) {
    info.sack = {h.options.sack.data(), t.has(flag_sack) ? std::size_t{h.options.sack_count} : 0};
    info.ece = ece;
    info.pure = s.text == 0 && !h.has(flag::fin) && same_window;
    if (newer) info.ts_ecr_us_rtt = echoed_rtt(t, h, now);
    const AckVerdict v = t.recovery->on_ack(env, t, info, now);
    if (v.rtt_us != 0) rtt::add_sample(t, env.settings, v.rtt_us);
    if (newer) t.clear(flag_timing);
    if (v.lost) out.output = true;
  } else if (newer) {
    sample_rtt(env, t, h, now);
    if (ece) react_to_ece(env, t);
    if (t.has(flag_rto_recovery)) {
      continue_simple_recovery(env, t);
      out.output = true;
    }
  }
  if (t.unsent() != 0 || fin_pending(t)) out.output = true;
  if (newer || t.has(flag_has_recovery)) set_retransmission_timer(env, t, now, newer);
}

} // namespace

void acknowledge(const Env& env, Tcb& t, const Segment& s, Instant now, Outcome& out) {
  const bool newer = s.h.ack.after(t.snd_una);
  const std::uint32_t wnd_before = t.snd_wnd;
  update_window(env, t, s, out);
  // The steps that a connection takes on which nothing was lost, shut or marked; the same in the same order.
  constexpr std::uint32_t rare =
      flag_backed_off | flag_want_writable | flag_has_recovery | flag_rto_recovery | flag_ecn;
  if (t.has(rare)) [[unlikely]]
    return acknowledge_rare(env, t, s, newer, wnd_before == t.snd_wnd, now, out);
  if (newer) {
    shorten_queue(env, t, s.h.ack, out);
    sample_rtt(env, t, s.h, now);
  }
  const bool waiting = t.unsent() != 0 || fin_pending(t);
  if (waiting) out.output = true;
  if (!newer) return;
  if (waiting || t.snd_una != t.snd_nxt) return set_retransmission_timer(env, t, now, true);
  t.rtx_at_ms = 0; // all is acknowledged
  t.rtx = RtxTimer::Off;
}

} // namespace tern::tcp::detail
