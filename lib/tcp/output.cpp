// Output: one pass decides ACK, text, FIN and retransmissions together.
#include "base/copy.hpp"
#include "tcp/internal.hpp"
#include "tcp/predicted_inl.hpp"
#include "tcp/reassembly.hpp"
#include "tcp/send_queue.hpp"
#include "tcp/syn_options.hpp"
#include "wire/tcp_inl.hpp"

namespace tern::tcp {

using namespace detail;

namespace {

// SACK takes what room timestamps leave: three blocks beside them, else four (RFC 2018 §3).
void fill_sack(Tcb& t, wire::TcpOptions& o) {
  const std::uint8_t most = t.has(flag_timestamps) ? 3 : 4;
  std::uint8_t n = 0;
  if (t.has(flag_dsack)) {
    o.sack[n++] = {t.dsack_left, t.dsack_right};
    t.clear(flag_dsack);
  }
  if (t.has(flag_has_reassembly))
    n = static_cast<std::uint8_t>(n + reassembly::blocks(t, o.sack.data() + n, most - n));
  o.sack_count = n;
}

bool owes_sack(const Tcb& t) {
  return t.has(flag_sack) && t.has(flag_dsack | flag_has_reassembly);
}

void fill_header(Tcb& t, wire::Tcp& h, Seq seq, std::uint8_t flags, bool with_sack, Instant now) {
  h.seq = seq;
  h.ack = t.rcv_nxt;
  h.flags = flags;
  h.window = advertise_window(t);
  if (t.has(flag_timestamps)) {
    h.options.has = wire::TcpOptions::timestamps_bit;
    h.options.ts_val = now.ms32() + t.ts_offset;
    h.options.ts_ecr = t.ts_recent;
  }
  if (with_sack && owes_sack(t)) fill_sack(t, h.options);
  if (t.has(flag_ece)) h.flags |= flag::ece;
}

// The last packets are for control segments. Some text leaves all the same, new or again: what its queue holds comes
// back only when it is acknowledged.
bool may_leave(const Env& env, std::uint32_t text) {
  if (text == 0 || env.scarcity != Scarcity::last) [[likely]]
    return true;
  if (env.text_at_last == 0) return false;
  --env.text_at_last;
  return true;
}

bool push(const Env& env, Tcb& t, const wire::Tcp& h, std::uint32_t text, bool ect, TxBurst& burst) {
  Packet p = may_leave(env, text) ? env.packets.alloc(static_cast<std::uint32_t>(wire::emitted_length(h)))
                                  : Packet{};
  if (!p) return env.count(Counter::no_packet), false;
  wire::SummedFront front;
  wire::emit_tcp(h, p.data(), front);
  if (text != 0 && !send_queue::gather(env, t, h.seq, text, p)) return env.count(Counter::no_packet), false;
  burst.push(std::move(p), ect, front);
  return true;
}

// The same for a header without options, or with a timestamp alone, and for short text: one packet, each byte
// of which is written once.
bool push_lean(const Env& env, Tcb& t, Seq seq, std::uint32_t text, std::uint8_t flags, bool ect, Instant now,
               TxBurst& burst) {
  if (!may_leave(env, text)) return env.count(Counter::no_packet), false;
  const bool stamped = t.has(flag_timestamps);
  const std::uint32_t header = lean_length(t, 0);
  const std::byte* run = text == 0 ? nullptr : send_queue::in_one_run(t, seq, text);
  const std::uint32_t here = run == nullptr ? 0 : text;
  Packet p = env.packets.alloc(header + here);
  if (!p) return env.count(Counter::no_packet), false;
  std::byte* const at = p.data();
  copy_short(at + header, run, here);
  const wire::LeanHeader h{.seq = seq,
                           .ack = t.rcv_nxt,
                           .flags = flags,
                           .stamped = stamped,
                           .window = advertise_window(t),
                           .stamp = {now.ms32() + t.ts_offset, t.ts_recent}};
  const wire::SummedFront front = wire::emit(h, 0, at);
  if (here != text && !send_queue::gather(env, t, seq, text, p)) return env.count(Counter::no_packet), false;
  burst.push(std::move(p), ect, front);
  return true;
}

// One segment of an open connection. It carries the ACK that is owed, whatever else it is for.
bool emit(const Env& env, Tcb& t, Seq seq, std::uint32_t text, std::uint8_t flags, bool ect, Instant now,
          TxBurst& burst) {
  // RFC 6691 §2: options come out of the segment's size. Text that fills it leaves no room for SACK, which
  // then goes in an ACK of its own; shorter text carries it.
  constexpr std::uint32_t most_sack_bytes = 4 + 4 * 8;
  const bool with_sack = text == 0 || text + most_sack_bytes <= t.mss;
  const bool owes = owes_sack(t);
  if (!owes) [[likely]] {
    if (t.has(flag_ece)) flags |= flag::ece;
    if (!push_lean(env, t, seq, text, flags, ect, now, burst)) return false;
  } else {
    wire::Tcp h;
    fill_header(t, h, seq, flags, with_sack, now);
    if (!push(env, t, h, text, ect, burst)) return false;
  }
  constexpr std::uint32_t acked = flag_ack_now | flag_ack_delayed;
  t.clear(with_sack || !owes_sack(t) ? acked : std::uint32_t{flag_ack_delayed});
  t.ack_at_ms = 0;
  t.last_ack_sent = t.rcv_nxt;
  return true;
}

bool push_syn(const Env& env, Tcb& t, Instant now, TxBurst& burst) {
  wire::Tcp h;
  h.seq = t.iss;
  h.flags = flag::syn;
  if (t.state == State::SynReceived) {
    h.flags |= flag::ack;
    h.ack = t.rcv_nxt;
  }
  fill_syn(env, t, h, now);
  return push(env, t, h, 0, false, burst);
}

bool emit_syn(const Env& env, Tcb& t, Instant now, TxBurst& burst) {
  if (!push_syn(env, t, now, burst)) return false;
  if (t.rtx_count != 0) {
    env.count(t.state == State::SynSent ? Counter::retransmit_syn : Counter::retransmit_syn_ack);
    t.clear(flag_timing); // Karn
  } else if (!t.has(flag_timing)) {
    t.set(flag_timing);
    t.timed_seq = t.iss;
    t.timed_at_us = now.us32();
  }
  t.clear(flag_syn_due);
  set_retransmission_timer(env, t, now, t.rtx_at_ms == 0);
  return true;
}

bool emit_reset(const Env& env, Tcb& t, Instant now, TxBurst& burst) {
  wire::Tcp h;
  fill_header(t, h, t.snd_nxt, flag::rst | flag::ack, false, now);
  h.flags &= static_cast<std::uint8_t>(~flag::ece);
  h.options.sack_count = 0;
  if (!push(env, t, h, 0, false, burst)) return false;
  env.count(Counter::reset_out);
  t.clear(flag_abort_due | flag_ack_now);
  return true;
}

// Sends [range) again; its end may be the FIN.
bool resend(const Env& env, Tcb& t, SendRange range, Instant now, TxBurst& burst) {
  const Seq end = range.seq + range.length;
  const std::uint32_t text = range.seq.before(t.snd_end) ? earlier_of(end, t.snd_end).since(range.seq) : 0;
  std::uint8_t flags = flag::ack;
  if (t.has(flag_fin_sent) && end.after(t.snd_end)) flags |= flag::fin;
  if (end == t.snd_nxt) flags |= flag::psh;
  if (!emit(env, t, range.seq, text, flags, false, now, burst)) return false; // RFC 3168 §6.1.5: never ECT
  env.count(text != 0 ? Counter::retransmit_data : Counter::retransmit_fin);
  t.clear(flag_timing);
  if (t.has(flag_has_recovery)) t.recovery->on_transmit(env, t, range, true, now);
  // The ACK that the timer waits for is now due a round trip from here.
  if (range.seq == t.snd_una) set_retransmission_timer(env, t, now, true);
  return true;
}

// What was lost, as far as recovery lets it leave. True: more is due but did not fit.
bool send_lost(const Env& env, Tcb& t, Instant now, TxBurst& burst) {
  if (t.has(flag_retransmit_head)) {
    if (burst.full()) return true;
    const SendRange head{t.snd_una, std::min<std::uint32_t>(t.mss, t.outstanding())};
    if (head.length != 0 && !resend(env, t, head, now, burst)) return true;
    t.clear(flag_retransmit_head);
  }
  if (!t.has(flag_has_recovery)) return false;
  while (t.recovery->allowance(t) != 0) {
    const auto lost = t.recovery->next_lost(t);
    if (!lost) return false;
    if (burst.full() || !resend(env, t, *lost, now, burst)) return true;
  }
  return false;
}

// What may leave next of the new text, and whether the FIN goes with it.
struct Next {
  std::uint32_t text = 0;
  bool fin = false;
};

Next next_new(const Tcb& t, bool forced) {
  Next next;
  const std::uint32_t unsent = t.unsent();
  const bool fin = fin_pending(t);
  if (unsent == 0 && !fin) return next;
  const Seq right = t.snd_una + t.snd_wnd;
  const std::uint32_t window = right.after(t.snd_nxt) ? right.since(t.snd_nxt) : 0;
  const std::uint32_t out = t.outstanding();
  const std::uint32_t allowed =
      t.has(flag_has_recovery) ? t.recovery->allowance(t) : (t.cwnd > out ? t.cwnd - out : 0);
  const std::uint32_t n = std::min(std::min(unsent, window), std::min(allowed, std::uint32_t{t.mss}));
  if (unsent == 0) {
    next.fin = window != 0; // else it is probed for, as for text
    return next;
  }
  // Sender's SWS avoidance (RFC 9293 §3.8.6.2.1) and Nagle: a full segment; or all there is with nothing
  // unacknowledged or no delay wanted; or a good part of the peer's largest window.
  const bool all = n == unsent;
  const bool push_out = all && (out == 0 || t.has(flag_no_delay) || fin);
  if (n == 0 || !(n == t.mss || push_out || n >= t.max_snd_wnd / 2 || forced)) return next;
  next.text = n;
  next.fin = all && fin && window > n;
  return next;
}

bool send_new(const Env& env, Tcb& t, Instant now, TxBurst& burst) {
  bool forced = t.has(flag_probe_due) && t.outstanding() == 0;
  for (;;) {
    const Next next = next_new(t, forced);
    if (next.text == 0 && !next.fin) return false;
    if (burst.full()) return true;
    // The second segment in flight is the first that can be told lost by what follows it.
    if (next.text != 0 && t.outstanding() != 0 && !t.has(flag_has_recovery))
      take_recovery_record(env, t, now);
    std::uint8_t flags = flag::ack;
    if (next.fin) flags |= flag::fin;
    if (next.text == t.unsent()) flags |= flag::psh;
    const bool ect = t.has(flag_ecn) && next.text != 0;
    if (ect && t.has(flag_cwr)) flags |= flag::cwr;
    const Seq seq = t.snd_nxt;
    if (!emit(env, t, seq, next.text, flags, ect, now, burst)) return true;
    if ((flags & flag::cwr) != 0) t.clear(flag_cwr);
    t.snd_nxt += next.text + next.fin;
    if (next.fin) t.set(flag_fin_sent);
    if (!t.has(flag_timing)) {
      t.set(flag_timing);
      t.timed_seq = seq;
      t.timed_at_us = now.us32();
    }
    if (t.has(flag_has_recovery)) t.recovery->on_transmit(env, t, {seq, next.text + next.fin}, false, now);
    // RFC 8985 §7.2: new text moves the tail that a probe would be for.
    const bool probed = t.has(flag_has_recovery) && t.recovery->probe_timeout_us(t) != 0;
    set_retransmission_timer(env, t, now, t.rtx_at_ms == 0 || probed);
    t.clear(flag_probe_due);
    forced = false;
  }
}

// A tail loss probe (RFC 8985 §7.3): new text if there is any that the window lets out, else the last segment
// again.
bool send_tail_probe(const Env& env, Tcb& t, Instant now, TxBurst& burst) {
  if (burst.full()) return true;
  const SendRange range = t.recovery->tail_probe(t);
  if (range.length != 0) {
    if (!resend(env, t, range, now, burst)) return true;
    env.count(Counter::retransmit_tlp);
  }
  t.clear(flag_tlp_due);
  t.recovery->on_tail_probe(t, now);
  set_retransmission_timer(env, t, now, true);
  return false;
}

// Zero-window and keepalive probes: an empty segment left of the window, which any receiver answers with an
// ACK. Differs: RFC 9293 §3.8.6.1 probes with an octet of text; as Linux we send none, so nothing is in
// flight that the peer must refuse.
bool send_probe(const Env& env, Tcb& t, Instant now, TxBurst& burst) {
  if (burst.full() || !emit(env, t, t.snd_una - 1, 0, flag::ack, false, now, burst)) return true;
  t.clear(flag_probe_due);
  env.count(t.has(flag_idle_probe) ? Counter::keepalive_probe : Counter::zero_window_probe);
  return false;
}

// The segment that was predicted, in a packet of its own. False: there is none to be had, and nothing was done.
bool push_predicted(const Env& env, Tcb& t, const Prediction& p, Instant now, TxBurst& burst) {
  const bool syn = p.what == Prediction::What::syn;
  Packet packet =
      env.packets.alloc(syn ? wire::FullSyn::length(env.settings.timestamps) : lean_length(t, p.text));
  if (!packet) [[unlikely]]
    return false;
  std::byte* const at = packet.data();
  if (p.text != 0) copy_short(at + (packet.data_length() - p.text), p.run, p.text);
  const wire::SummedFront front =
      syn ? wire::emit(leave_syn(env, t, now), 0, at) : wire::emit(leave(env, t, p, now), 0, at);
  burst.push(std::move(packet), false, front);
  return true;
}

} // namespace

void detail::take_recovery_record(const Env& env, Tcb& t, Instant now) {
  if (env.side.recovery != nullptr) t.recovery = env.side.recovery->take(env.settings, t, now);
  if (t.recovery == nullptr) return env.count(Counter::no_recovery_record);
  t.set(flag_has_recovery);
}

bool output_by_steps(const Env& env, Tcb& t, Instant now, TxBurst& burst) {
  if (t.has(flag_abort_due)) return burst.full() || !emit_reset(env, t, now, burst);
  if (t.state == State::Closed) return false;
  if (t.state == State::SynSent || t.state == State::SynReceived) {
    if (t.has(flag_syn_due) && (burst.full() || !emit_syn(env, t, now, burst))) return true;
    // §3.10.7.4, first and fourth: what is not acceptable draws a bare ACK in SYN-RECEIVED too.
    return t.state == State::SynReceived && t.has(flag_ack_now) &&
           (burst.full() || !emit(env, t, t.snd_nxt, 0, flag::ack, false, now, burst));
  }
  bool more = t.has(flag_retransmit_head | flag_has_recovery) && send_lost(env, t, now, burst);
  if (!more && t.has(flag_tlp_due) && t.has(flag_has_recovery)) more = send_tail_probe(env, t, now, burst);
  if (!more && t.state != State::TimeWait) more = send_new(env, t, now, burst);
  if (!more && t.has(flag_probe_due)) more = send_probe(env, t, now, burst);
  // Text that waits because packets are scarce does not keep the ACK waiting, which may take the last.
  if (t.has(flag_ack_now) && (!more || env.scarcity == Scarcity::last))
    more = burst.full() || !emit(env, t, t.snd_nxt, 0, flag::ack, false, now, burst) || more;
  if (t.rtx_at_ms == 0 || t.rtx == RtxTimer::Idle)
    set_retransmission_timer(env, t, now, false); // text that the window holds back wants a probe
  return more;
}

// What was predicted at one go, else by the steps.
bool output(const Env& env, Tcb& t, Instant now, TxBurst& burst) {
  const Prediction p = burst.full() ? Prediction{} : predict_output(env, t);
  if (p.what == Prediction::What::nothing) return false;
  if (p.what != Prediction::What::unusual && push_predicted(env, t, p, now, burst)) return false;
  return output_by_steps(env, t, now, burst);
}

} // namespace tern::tcp
