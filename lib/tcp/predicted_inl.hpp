// What nearly every pass over a connection comes to, inline: for who puts a frame around a segment while it is still in
// registers (runtime/core_predicted_inl.hpp), and for the engine's own entries, which go the same way and then the steps'.
// What is out of the ordinary is not done here: a prediction says so, and changes nothing.
#pragma once

#include <algorithm>
#include <cstdint>

#include "tcp/ack_inl.hpp"
#include "tcp/internal.hpp"
#include "tcp/listen.hpp"
#include "tcp/open_inl.hpp"
#include "tcp/send_queue.hpp"
#include "tcp/syn_received.hpp"
#include "tcp/text_inl.hpp"
#include "tcp/timers_inl.hpp"
#include "wire/tcp_inl.hpp"

namespace tern::tcp {

// ---- In. The segment that was predicted: the connection stands, and nothing on it was lost, shut, marked or put aside;
// in sequence, inside the window, nothing on it but ACK, PSH and FIN; an ACK of what is outstanding; the options as
// agreed. All that the first four steps of RFC 9293 §3.10.7.4 ask is then answered, and all that the fifth would refuse
// is excluded. An ECN mark is the caller's to look for.
// Two questions, of numbers that gather all there is to ask: hardly any segment is another, and a branch for each would
// cost more than all of their answers.
[[nodiscard, gnu::always_inline]] inline bool predicts_arrival(const Tcb& t, const wire::LeanHeader& h,
                                                               std::uint32_t text) {
  namespace flag = wire::tcp_flag;
  constexpr std::uint32_t unusual = detail::rare_for_ack | flag_has_reassembly | flag_orphan;
  const bool takes_room = (text | (h.flags & flag::fin)) != 0; // nothing does behind the peer's FIN
  const std::uint32_t asked =
      unusual | flag_syn_acked | flag_timestamps | (takes_room ? std::uint32_t{flag_peer_fin} : 0);
  const std::uint32_t wanted = flag_syn_acked | (h.stamped ? std::uint32_t{flag_timestamps} : 0);
  const std::uint32_t differs = (h.seq.raw() ^ t.rcv_nxt.raw()) |
                                ((h.flags & ~std::uint32_t{flag::psh | flag::fin}) ^ flag::ack) |
                                ((t.flags & asked) ^ wanted);
  // None of these is below zero: how far the ACK reaches, what it leaves outstanding, what the text leaves of the
  // window, how much newer the timestamp is.
  const std::uint32_t acked = h.ack.since(t.snd_una);
  std::uint32_t signs = acked | (t.outstanding() - acked) | t.rcv_adv.since(t.rcv_nxt + text);
  if (h.stamped) signs |= h.stamp.val - t.ts_recent;
  const auto state = static_cast<unsigned>(State{t.state});
  constexpr auto first = static_cast<unsigned>(State::Established);
  constexpr auto last = static_cast<unsigned>(State::LastAck);
  return differs == 0 && static_cast<std::int32_t>(signs) >= 0 && state - first <= last - first;
}

namespace detail {
// The fifth step of a segment that was predicted.
[[gnu::always_inline]] inline void take_predicted_ack(const Env& env, Tcb& t, const wire::LeanHeader& h,
                                                      Instant now, Outcome& out) {
  t.heard_at = now.coarse32();
  if (h.stamped) note_timestamp(t, h.seq, h.stamp.val);
  const bool newer = h.ack.after(t.snd_una);
  update_window(env, t, h.seq, h.ack, std::uint32_t{h.window} << t.snd_scale, out);
  acknowledge_usual(env, t, h.ack, newer, {h.stamped, h.stamp.ecr}, now, out);
}
// The seventh and eighth.
[[gnu::always_inline]] inline void take_predicted_text(const Env& env, Tcb& t, const wire::LeanHeader& h,
                                                       std::uint32_t text, Instant now, Outcome& out) {
  if (text != 0) {
    t.rcv_nxt += text;
    deliver(env, t, text, now, out);
    owe_ack(env, t, text, now, out);
  }
  if ((h.flags & flag::fin) != 0) eighth_take_fin(env, t, now, out);
}
} // namespace detail

// What the steps come to for it: the fifth, seventh and eighth. Its text is the caller's to hand on, if event_data says
// so. False: it is for the steps one by one, and nothing was done.
[[nodiscard, gnu::always_inline]] inline bool arrive_as_predicted(const Env& env, Tcb& t,
                                                                  const wire::LeanHeader& h,
                                                                  std::uint32_t text, Instant now,
                                                                  Outcome& out) {
  if (!predicts_arrival(t, h, text)) [[unlikely]]
    return false;
  detail::take_predicted_ack(env, t, h, now, out);
  if (!detail::fin_acknowledged(t) || detail::our_fin_acknowledged(env, t, now, out))
    detail::take_predicted_text(env, t, h, text, now, out);
  return true;
}

// ---- In, where nobody is known by its name: the SYN that a listener keeps a record of. It offers all options that we
// have too, timestamps aside (Windows has none), there is nothing else on it, there is room, and its client holds no cookie
// of ours, whose number it would get.
[[nodiscard, gnu::always_inline]] inline bool predicts_record(const Env& env, const SynGate& gate,
                                                              CookieMode mode, const ListenRoom& room,
                                                              const wire::FullSyn& h, std::uint32_t text,
                                                              Instant now) {
  const Settings& s = env.settings;
  const std::uint32_t differs = (h.flags ^ std::uint32_t{wire::tcp_flag::syn}) | text;
  return differs == 0 && h.mss >= least_mss && s.sack && s.window_scale && room.accept && room.record &&
         mode != CookieMode::Always && !gate.cookies_held() && gate.syn_rate.has(now);
}
// What listen_arrives() comes to for it.
template <std::size_t N>
[[nodiscard, gnu::always_inline]] inline SynRecord record_predicted(const Env& env, SynGate& gate,
                                                                    const TupleWords<N>& tuple,
                                                                    const wire::FullSyn& h, Instant now) {
  env.count(Counter::syn_in);
  (void)gate.syn_rate.take(now);
  const Origins origins = gate.isn.both(tuple, now);
  SynRecord r;
  r.iss = origins.iss;
  r.irs = h.seq;
  r.timestamps = h.stamped && env.settings.timestamps;
  if (r.timestamps != 0) r.ts_recent = h.stamp.val;
  r.ts_offset = origins.ts_offset;
  r.sent_at_us = now.us32();
  r.peer_mss = h.mss;
  r.syn_window = h.window;
  r.snd_scale = std::min<std::uint8_t>(h.wscale, 14) & 15; // RFC 7323 §2.3
  r.scaled = r.sack = 1;
  return r;
}

// ---- In, and it ends a handshake: the segment that proves the SYN-ACK of a record, with the first request or without.
// The SYN-ACK has left once, and the peer has all options that we have, and timestamps if they were agreed; in sequence,
// inside the first window, nothing on it but ACK, PSH and FIN. All that syn_received_arrives() asks is then answered, but
// for the listener's room.
[[nodiscard, gnu::always_inline]] inline bool predicts_proof(const Env& env, const SynRecord& r,
                                                             const wire::LeanHeader& h, std::uint32_t text) {
  namespace flag = wire::tcp_flag;
  const std::uint32_t differs = (h.seq.raw() ^ (r.irs + 1).raw()) | (h.ack.raw() ^ (r.iss + 1).raw()) |
                                ((h.flags & ~std::uint32_t{flag::psh | flag::fin}) ^ flag::ack) |
                                static_cast<std::uint32_t>(!full(r)) | r.resent |
                                (static_cast<std::uint32_t>(h.stamped) ^ r.timestamps);
  const std::uint32_t taken = text + (h.flags & flag::fin); // the FIN takes one: its flag's value
  std::uint32_t signs = first_window(env.settings) - taken;
  if (h.stamped) signs |= h.stamp.val - r.ts_recent;
  return differs == 0 && static_cast<std::int32_t>(signs) >= 0;
}
// What open_passive() and segment_arrives() come to for it; its text as arrive_as_predicted() has it.
[[gnu::always_inline]] inline void open_proved(const Env& env, Tcb& t, const SynRecord& r, wire::LeanHeader h,
                                               std::uint32_t text, std::uint16_t mtu_mss, Instant now,
                                               Outcome& out) {
  Handshake hs = handshake_of(env.settings, r);
  hs.scaled = hs.sack = hs.timed = true; // as was found: here for the compiler to see
  hs.timestamps = h.stamped;
  hs.ecn = false;
  hs.resent = 0;
  h.seq = hs.irs + 1;
  h.ack = hs.iss + 1;
  detail::begin_answered(env, t, hs, mtu_mss, now);
  detail::handshake_ends(env, t, h.seq, h.ack, std::uint32_t{h.window} << t.snd_scale, now, out);
  detail::take_predicted_ack(env, t, h, now, out);
  t.state = State::Established;
  detail::take_predicted_text(env, t, h, text, now, out);
}

// ---- In, and it ends our side's handshake: the SYN-ACK that was predicted. Our SYN went unanswered no longer than it
// should, both sides have all options, timestamps perhaps not, and there is nothing else on it.
[[nodiscard, gnu::always_inline]] inline bool predicts_syn_ack(const Env& env, const Tcb& t,
                                                               const wire::FullSyn& h, std::uint32_t text) {
  namespace flag = wire::tcp_flag;
  constexpr std::uint32_t unusual = detail::rare_for_ack | flag_ecn_setup | flag_orphan;
  const Settings& s = env.settings;
  const std::uint32_t differs =
      (h.ack.raw() ^ (t.iss + 1).raw()) | (h.flags ^ (flag::syn | flag::ack)) | (t.flags & unusual) | text;
  return differs == 0 && t.state == State::SynSent && h.mss >= least_mss && s.sack && s.window_scale &&
         (s.timestamps || !h.stamped);
}
// What syn_sent_arrives() comes to for it.
[[gnu::always_inline]] inline void open_answered(const Env& env, Tcb& t, const wire::FullSyn& h, Instant now,
                                                 Outcome& out) {
  wire::Tcp syn; // not in memory: whom it is given to is inline
  syn.seq = h.seq;
  syn.flags = wire::tcp_flag::syn | wire::tcp_flag::ack;
  syn.window = h.window;
  syn.options.has = h.stamped ? wire::detail::syn_bits : wire::detail::bare_syn_bits;
  syn.options.wscale = h.wscale;
  syn.options.mss = h.mss;
  syn.options.ts_val = h.stamp.val;
  detail::take_syn(env, t, syn, now);
  t.snd_wl2 = h.ack;
  detail::start_sending(env, t, now);
  detail::acknowledge_usual(env, t, h.ack, true, {h.stamped, h.stamp.ecr}, now, out);
  t.state = detail::established(t);
  out.events |= event_established;
  detail::ack_now(t, out);
}

// ---- Out. A connection on which nothing went wrong has nothing in flight, and all that waits, with the FIN if there is
// one, fits one segment; or it owes an ACK alone; or nothing.
struct Prediction {
  enum class What : std::uint8_t { unusual, nothing, segment, syn };
  What what = What::unusual;
  bool fin = false;
  std::uint32_t text = 0;
  const std::byte* run = nullptr; // where the text lies, in one piece
};

// Our SYN for the first time, with the settings as they mostly are.
[[nodiscard]] inline bool predicts_syn(const Env& env, const Tcb& t) {
  constexpr std::uint32_t unusual = flag_timing | flag_backed_off | flag_abort_due;
  const Settings& s = env.settings;
  return t.state == State::SynSent && t.has(flag_syn_due) && !t.has(unusual) && t.rtx_at_ms == 0 && s.sack &&
         s.window_scale && !s.ecn;
}

[[nodiscard, gnu::always_inline]] inline Prediction predict_output(const Env& env, const Tcb& t) {
  using What = Prediction::What;
  constexpr std::uint32_t unusual = flag_abort_due | flag_syn_due | flag_retransmit_head | flag_probe_due |
                                    flag_tlp_due | flag_has_recovery | flag_has_reassembly | flag_dsack |
                                    flag_ecn | flag_ece | flag_cwr;
  if (t.has(unusual) || !detail::synchronized(t.state))
    return {.what = predicts_syn(env, t) ? What::syn : What::unusual};
  const bool fin = detail::fin_pending(t);
  const std::uint32_t text = t.unsent();
  if (text == 0 && !fin) {
    if (t.rtx_at_ms == 0 && t.outstanding() != 0) return {};
    return {.what = t.has(flag_ack_now) ? What::segment : What::nothing};
  }
  // A window that holds more than the text takes the FIN too; with nothing in flight, Nagle has nothing to say.
  if (t.outstanding() != 0 || !(t.rtx_at_ms == 0 || t.rtx == RtxTimer::Persist)) return {};
  if (text >= t.snd_wnd || text > std::min<std::uint32_t>(t.cwnd, t.mss)) return {};
  if (text == 0) return {.what = What::segment, .fin = true};
  const std::byte* const run = send_queue::in_one_run(t, t.snd_nxt, text);
  if (run == nullptr || env.scarcity == Scarcity::last) return {};
  return {.what = What::segment, .fin = fin, .text = text, .run = run};
}

// What the segment is long, with its header.
[[nodiscard]] inline std::uint32_t lean_length(const Tcb& t, std::uint32_t text) {
  return text + (t.has(flag_timestamps) ? wire::stamped_header : std::uint32_t{wire::tcp_min_header});
}
// There is a packet for the segment, so it leaves: what the connection then knows, and the header, ports aside.
[[nodiscard, gnu::always_inline]] inline wire::LeanHeader leave(const Env& env, Tcb& t, const Prediction& p,
                                                                Instant now) {
  namespace flag = wire::tcp_flag;
  const bool waiting = p.text != 0 || p.fin;
  wire::LeanHeader h;
  h.seq = t.snd_nxt;
  h.ack = t.rcv_nxt;
  h.flags = static_cast<std::uint8_t>(flag::ack | (waiting ? flag::psh : 0) | (p.fin ? flag::fin : 0));
  h.window = detail::advertise_window(t);
  h.stamped = t.has(flag_timestamps);
  h.stamp = {now.ms32() + t.ts_offset, t.ts_recent};
  t.ack_at_ms = 0;
  t.last_ack_sent = h.ack;
  std::uint32_t flags = t.flags & ~(flag_ack_now | flag_ack_delayed);
  if (waiting) {
    t.snd_nxt = h.seq + (p.text + p.fin);
    if (p.fin) flags |= flag_fin_sent;
    if ((flags & flag_timing) == 0) {
      flags |= flag_timing;
      t.timed_seq = h.seq;
      t.timed_at_us = now.us32();
    }
    detail::arm(t, RtxTimer::Rto, detail::backed_off_rto(env, t), now);
  }
  t.flags = flags;
  return h;
}

// The same for the SYN.
[[nodiscard, gnu::always_inline]] inline wire::FullSyn leave_syn(const Env& env, Tcb& t, Instant now) {
  t.flags = (t.flags & ~flag_syn_due) | flag_timing;
  t.timed_seq = t.iss;
  t.timed_at_us = now.us32();
  detail::arm(t, RtxTimer::Rto, detail::backed_off_rto(env, t), now);
  return {.seq = t.iss,
          .flags = wire::tcp_flag::syn,
          .wscale = t.rcv_scale,
          .stamped = env.settings.timestamps,
          .window = detail::syn_window(t),
          .mss = t.path_mss,
          .stamp = {now.ms32() + t.ts_offset, 0}};
}

} // namespace tern::tcp
