// What an ACK means where something was lost, shut or marked; the usual is in ack_inl.hpp.
#include "tcp/ack_inl.hpp"

namespace tern::tcp::detail {
namespace {

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

// What was refused while the window was shut goes again within one time-out, however far they were backed off. It counts as
// one: a window that opens and shuts again is no progress.
void expect_soon(const Env& env, Tcb& t, Instant now) {
  const std::uint32_t soon = deadline_in(rtt::rto(t, env.settings), now);
  if (t.rtx == RtxTimer::Rto && static_cast<std::int32_t>(soon - t.rtx_at_ms) < 0) t.rtx_at_ms = soon;
}

} // namespace

// What an ACK means to a connection on which something went wrong, or that waits for more than it.
void acknowledge_rare(const Env& env, Tcb& t, const Segment& s, bool newer, std::uint32_t wnd_before,
                      Instant now, Outcome& out) {
  const wire::Tcp& h = s.h;
  AckInfo info{.una_before = t.snd_una};
  // On a SYN-ACK the bit only agrees to ECN (RFC 3168 §6.1.1).
  const bool ece = t.has(flag_ecn) && h.has(flag::ece) && !h.has(flag::syn);
  if (t.has(flag_backed_off)) { // whoever answers is alive, even if nothing new is acknowledged
    const bool idle = t.snd_una == t.snd_nxt;
    const bool opened = wnd_before == 0 && t.snd_wnd != 0;
    if (opened && !newer && !idle) expect_soon(env, t, now);
    if (newer || (idle && t.snd_wnd != 0)) note_progress(t);
    if (newer) doubt_black_hole(t);
    // RFC 1122 §4.2.2.17: the connection stays open, what is sent into a shut window goes on backing off, and the
    // user timeout goes on counting.
    else if (t.snd_wnd == 0)
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
    if (h.ack.before(info.una_before)) info.behind = info.una_before.since(h.ack);
    info.pure = s.len() == 0 && !s.shortened && wnd_before == t.snd_wnd && info.behind == 0;
    if (newer) info.ts_ecr_us_rtt = echoed_rtt(env, t, echo_of(h), now);
    const AckVerdict v = t.recovery->on_ack(env, t, info, now);
    if (v.rtt_us != 0) rtt::add_sample(t, env.settings, v.rtt_us);
    if (newer) t.clear(flag_timing);
    if (v.lost) out.output = true;
  } else if (newer) {
    sample_rtt(env, t, h.ack, echo_of(h), now);
    if (t.snd_una != t.snd_nxt) count_divided(env, t, info.una_before);
    if (ece) react_to_ece(env, t);
    if (t.has(flag_rto_recovery)) {
      continue_simple_recovery(env, t);
      out.output = true;
    }
  }
  if (t.unsent() != 0 || fin_pending(t)) out.output = true;
  if (newer || t.has(flag_has_recovery)) set_retransmission_timer(env, t, now, newer);
}

} // namespace tern::tcp::detail
