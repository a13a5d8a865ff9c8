// SYN-SENT (RFC 9293 §3.10.7.3), in the RFC's order: ACK, RST, SYN.
#include "tcp/internal.hpp"
#include "tcp/open_inl.hpp"

namespace tern::tcp::detail {

constexpr Duration syn_after_reset = Duration::ms(2);

void syn_sent_arrives(const Env& env, Tcb& t, const Segment& s, Instant now, Outcome& out) {
  const wire::Tcp& h = s.h;
  // First, the ACK bit.
  if (h.has(flag::ack) && (h.ack.at_or_before(t.iss) || h.ack.after(t.snd_nxt))) {
    // An old SYN-ACK, or one for another incarnation: reset it, stay.
    env.count(Counter::drop_old_syn_ack);
    if (h.has(flag::rst)) return;
    reply_reset(env, s, out);
    // An ACK without SYN comes of a life before this one, half-open or in TIME-WAIT: that is over now, and our SYN was
    // lost on it. Once it goes again without waiting for its whole time-out (as Linux).
    const bool later = static_cast<std::int32_t>(t.rtx_at_ms - deadline_in(syn_after_reset, now)) > 0;
    if (!h.has(flag::syn) && t.rtx_count == 0 && t.rtx == RtxTimer::Rto && later)
      arm(t, RtxTimer::Rto, syn_after_reset, now);
    return;
  }
  // Second, the RST bit: believed only with an acceptable ACK.
  if (h.has(flag::rst)) {
    if (!h.has(flag::ack)) return env.count(Counter::drop_rst_not_exact);
    env.count(Counter::reset_in);
    return finish(t, CloseReason::Refused, out);
  }
  // Third is security: none. Fourth, the SYN bit.
  if (!h.has(flag::syn)) return env.count(Counter::drop_no_ack);
  take_syn(env, t, h, now);
  if (!h.has(flag::ack)) { // Simultaneous open (RFC 9293 figure 7).
    // Differs: text and FIN on it would be queued until the handshake is done. Our SYN-ACK does not acknowledge them, so
    // they come again.
    t.state = State::SynReceived;
    t.snd_wl2 = t.iss;
    t.set(flag_syn_due);
    out.output = true;
    return;
  }
  t.snd_wl2 = h.ack;
  start_sending(env, t, now);
  t.state = established(t);
  acknowledge(env, t, s, now, out);
  out.events |= event_established;
  ack_now(t, out); // carries the request, if the user has one ready
  // Sixth and seventh, as RFC 9293 says "continue processing at the sixth step": text and FIN on a SYN-ACK
  // are kept.
  if (s.text != 0 || h.has(flag::fin)) take_text_behind_syn(env, t, s, now, out);
}

} // namespace tern::tcp::detail
