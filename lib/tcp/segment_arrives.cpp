// Segment arrival, to be read beside RFC 9293 §3.10.7: one function a step, in the RFC's order, called by one
// short parent, segment_arrives_by_rfc(). RFC 5961's hardening and RFC 7323's PAWS stand in the steps they amend.
//
//   §3.10.7.1 CLOSED                 reply_reset(); a port that nobody listens at: listen.cpp, closed_arrives()
//   §3.10.7.2 LISTEN                 listen.cpp, listen_arrives()
//   §3.10.7.3 SYN-SENT               syn_sent.cpp, the four checks and what follows
//   §3.10.7.4 first: sequence number first_check_sequence()
//             second: RST            second_check_reset()
//             third: security        there is none
//             fourth: SYN            fourth_check_syn()
//             fifth: ACK             fifth_check_ack(); what an acceptable one does: ack_inl.hpp, ack.cpp
//             sixth: URG             nothing to do
//             seventh: text          text.cpp, seventh_take_text()
//             eighth: FIN            text_inl.hpp, eighth_take_fin()
//   §3.10.8   time-outs              timers.cpp
//
// Two states of §3.10.7.4 are records of their own with the same steps, fewer of which can matter there:
// SYN-RECEIVED of the side that listened (syn_received.cpp) and TIME-WAIT (time_wait.cpp). In front of it all stands
// segment_arrives(), which does at once what the steps come to for a segment that was predicted.
#include "tcp/ack_inl.hpp"
#include "tcp/internal.hpp"
#include "tcp/open_inl.hpp"
#include "tcp/predicted_inl.hpp"
#include "tcp/text_inl.hpp"

namespace tern::tcp {

using namespace detail;

namespace detail {

void reply_reset(const Env& env, const Segment& s, Outcome& out) {
  if (s.h.has(flag::rst)) return; // §3.10.7.1: or two hosts that know nothing reset each other for ever
  env.count(Counter::reset_out);
  out.reply_reset = true;
  if (s.h.has(flag::ack)) {
    out.reset_seq = s.h.ack;
    return;
  }
  out.reset_has_ack = true;
  out.reset_ack = s.end();
}

void challenge(const Env& env, Tcb& t, Instant now, Outcome& out) {
  constexpr std::uint8_t most_a_second =
      10; // per connection: a shared budget is a side channel (CVE-2016-5696)
  if (now.ms32() - t.challenge_ms >= 1000) {
    t.challenge_ms = now.ms32();
    t.challenges = 0;
  }
  if (t.challenges >= most_a_second) return env.count(Counter::challenge_ack_limited);
  ++t.challenges;
  env.count(Counter::challenge_ack);
  ack_now(t, out);
}

} // namespace detail

namespace {

// RFC 7323 §5: a segment older than one already taken is an old duplicate. RST is exempt.
bool is_older(const Tcb& t, const wire::Tcp& h) {
  // Differs: RFC 7323 §3.2 would drop a segment without the option once it was agreed; Linux takes it, and so
  // do we.
  return t.has(flag_timestamps) && h.options.has_timestamps() &&
         static_cast<std::int32_t>(h.options.ts_val - t.ts_recent) < 0 && !h.has(flag::rst);
}

// §5.5: the peer was silent for so long that its clock may have come round, and what we know of it says nothing. That ends
// with a timestamp that is no guess (note_timestamp()): until then the silence lasts.
bool outlived_timestamp(const Tcb& t, Instant now) {
  return t.has(flag_timestamps) && t.silent_for(now) >= Duration::seconds(24 * 24 * 3600);
}

bool in_window(const Tcb& t, Seq seq, std::uint32_t len) {
  const std::uint32_t wnd = t.rcv_adv.after(t.rcv_nxt) ? t.rcv_adv.since(t.rcv_nxt) : 0;
  // Differs: §3.10.7.4 would refuse an empty segment exactly at the right edge of an open window; that is
  // where a peer stands that has used all of it, and its ACKs count (as Linux).
  if (len == 0) return seq.since(t.rcv_nxt) <= wnd;
  // Into a shut window no text is taken, but the ACK and the RST of a segment that reaches rcv.nxt are:
  // whoever probes us with text may be acknowledging ours (§3.10.7.4's special allowance).
  if (wnd == 0) return seq.at_or_before(t.rcv_nxt) && (seq + len).after(t.rcv_nxt);
  return seq.in_window(t.rcv_nxt, wnd) || (seq + len - 1).in_window(t.rcv_nxt, wnd) ||
         (seq.before(t.rcv_nxt) && (seq + len).after(t.rcv_nxt));
}

// What an honest peer sends from left of the window, and no drop to be alarmed by: an ACK that text overtook on its way, or
// a probe (keep-alive, shut window), which is to be answered. Who forges one must guess what we have sent.
bool is_old_ack(const Tcb& t, const Segment& s) {
  const wire::Tcp& h = s.h;
  return s.len() == 0 && (h.flags & (flag::ack | flag::rst)) == flag::ack && h.seq.before(t.rcv_nxt) &&
         h.ack.at_or_after(t.snd_una - t.max_snd_wnd) && h.ack.at_or_before(t.snd_nxt);
}

// First, the sequence number. False: the segment goes no further.
bool first_check_sequence(const Env& env, Tcb& t, const Segment& s, Instant now, Outcome& out) {
  const wire::Tcp& h = s.h;
  const bool outlived = outlived_timestamp(t, now);
  const bool old = is_older(t, h) && !outlived;
  // Simultaneous open: the peer repeats the SYN that we already took, which lies left of the window, though its text, if it
  // has some, does not. As SYN-ACK it is what proves that ours arrived (RFC 9293 figure 7; the RFC's own test would refuse
  // it); else the peer has not heard ours.
  const bool their_syn =
      t.state == State::SynReceived && h.seq == t.irs && h.has(flag::syn) && !h.has(flag::rst);
  const bool proof = their_syn && h.has(flag::ack) && h.ack == t.snd_nxt;
  if (!old && (their_syn ? proof : in_window(t, h.seq, s.len()))) [[likely]] {
    if (!outlived) t.heard_at = now.coarse32();
    return true;
  }
  env.count(old ? Counter::drop_paws : is_old_ack(t, s) ? Counter::old_ack_in : Counter::drop_out_of_window);
  if (h.has(flag::rst)) return false;
  if (their_syn) { // our SYN-ACK was lost
    t.set(flag_syn_due);
    out.output = true;
    return false;
  }
  const bool all_before = s.text != 0 && s.end().at_or_before(t.rcv_nxt);
  if (all_before && t.has(flag_sack)) {
    t.set(flag_dsack); // RFC 2883 §4: say which text came twice
    t.dsack_left = h.seq;
    t.dsack_right = h.seq + s.text;
  }
  if (all_before) {
    env.count(Counter::duplicate_in);
    env.count(Counter::duplicate_bytes_in, s.text);
  }
  // An ACK is owed for whatever could be a retransmission or a probe of the window; a bare ACK or SYN could
  // be half of a loop or an attack, so it draws on the challenge budget.
  if (s.text != 0 || h.has(flag::fin))
    ack_now(t, out);
  else
    challenge(env, t, now, out);
  return false;
}

// Second, the RST bit (RFC 5961 §3.2): believed only at exactly rcv.nxt.
bool second_check_reset(const Env& env, Tcb& t, const Segment& s, Instant now, Outcome& out) {
  if (!s.h.has(flag::rst)) [[likely]]
    return true;
  if (s.h.seq != t.rcv_nxt) {
    env.count(Counter::drop_rst_not_exact);
    challenge(env, t, now, out);
    return false;
  }
  env.count(Counter::reset_in);
  CloseReason reason = CloseReason::Reset;
  if (t.state == State::SynReceived) reason = CloseReason::Refused;
  // CLOSING and LAST-ACK have nothing left to lose but the FIN's ACK: the RFC has them close without a word.
  if (in(t.state, {State::Closing, State::LastAck}) && t.snd_una == t.snd_end) reason = CloseReason::Done;
  finish(t, reason, out);
  return false;
}

// Fourth, the SYN bit: RFC 5961 §4.2, a challenge whatever the sequence number. A peer that did restart answers
// the challenge with the RST that proves it.
bool fourth_check_syn(const Env& env, Tcb& t, const Segment& s, Instant now, Outcome& out) {
  if (!s.h.has(flag::syn)) [[likely]]
    return true;
  if (t.state == State::SynReceived && s.h.has(flag::ack) && s.h.seq == t.irs)
    return true; // see the first step
  env.count(Counter::drop_syn);
  challenge(env, t, now, out);
  return false;
}

// Nothing was known any more? Now this is, even from behind a gap; what it overtook there may have to come again.
void note_timestamp(Tcb& t, const wire::Tcp& h, Instant now) {
  if (!h.options.has_timestamps()) return;
  if (!outlived_timestamp(t, now)) return detail::note_timestamp(t, h.seq, h.options.ts_val);
  t.ts_recent = h.options.ts_val;
  t.heard_at = now.coarse32();
}

// Fifth, the ACK field.
bool fifth_check_ack(const Env& env, Tcb& t, const Segment& s, Instant now, Outcome& out) {
  const wire::Tcp& h = s.h;
  if (!h.has(flag::ack)) return env.count(Counter::drop_no_ack), false;
  if (t.state == State::SynReceived) {
    if (!h.ack.after(t.snd_una) || h.ack.after(t.snd_nxt)) {
      env.count(Counter::drop_ack_of_unsent);
      return reply_reset(env, s, out), false;
    }
    handshake_ends(env, t, h.seq, h.ack, offered_window(t, h), now, out);
    t.state = established(t);
  }
  // RFC 5961 §5.2: what is older than the largest window the peer ever had is an attack, or useless.
  if (h.ack.before(t.snd_una - t.max_snd_wnd)) {
    env.count(Counter::drop_ack_too_old);
    return challenge(env, t, now, out), false;
  }
  if (h.ack.after(t.snd_nxt)) {
    env.count(Counter::drop_ack_of_unsent);
    return challenge(env, t, now, out), false;
  }
  note_timestamp(t, h, now);
  acknowledge(env, t, s, now, out);
  return !fin_acknowledged(t) || our_fin_acknowledged(env, t, now, out);
}

// What the segment says, if it is of the layout that the predicted way (predicted_inl.hpp) knows.
bool lean(const Segment& s, wire::LeanHeader& h) {
  const wire::TcpOptions& o = s.h.options;
  if (s.ce || (o.has & ~wire::TcpOptions::timestamps_bit) != 0 || o.sack_count != 0) return false;
  h.seq = s.h.seq;
  h.ack = s.h.ack;
  h.flags = s.h.flags;
  h.stamped = o.has != 0;
  h.window = s.h.window;
  h.stamp = {o.ts_val, o.ts_ecr};
  return true;
}

// The question of the wider path behind that one, for a connection that is about to open too, or that lost something: in
// sequence, inside the window, nothing on it but ACK, PSH and FIN; an ACK of what is outstanding; nothing held out of
// order, the user there, the options as agreed? All that the first four steps ask is then answered, and all that the
// fifth would refuse is excluded.
bool predicted(const Tcb& t, const Segment& s) {
  const wire::Tcp& h = s.h;
  const State state = t.state;
  if (h.seq != t.rcv_nxt || (h.flags & ~(flag::psh | flag::fin)) != flag::ack || s.ce) return false;
  if (state < State::SynReceived || state > State::LastAck) return false;
  const std::uint32_t acked = h.ack.since(t.snd_una);
  if (acked > t.outstanding() || t.has(flag_has_reassembly | flag_orphan)) return false;
  if (state == State::SynReceived && acked == 0) return false;
  if (t.has(flag_timestamps)) {
    if (h.options.has != wire::TcpOptions::timestamps_bit) return false;
    if (static_cast<std::int32_t>(h.options.ts_val - t.ts_recent) < 0) return false;
  } else if (h.options.has != 0) {
    return false;
  }
  if (h.options.sack_count != 0) return false;
  if ((s.text != 0 || h.has(flag::fin)) && state > State::FinWait2) return false; // behind the peer's FIN
  return !t.rcv_adv.before(t.rcv_nxt + s.text);
}

} // namespace

void segment_arrives_by_rfc(const Env& env, Tcb& t, const Segment& s, Instant now, Outcome& out) {
  count_odd_options(env, s.h.options);
  if (t.state == State::Closed) return reply_reset(env, s, out);
  if (t.state == State::SynSent) return syn_sent_arrives(env, t, s, now, out);
  if (!first_check_sequence(env, t, s, now, out)) return;
  if (!second_check_reset(env, t, s, now, out)) return;
  // Third, security: there is none.
  if (!fourth_check_syn(env, t, s, now, out)) return;
  if (!fifth_check_ack(env, t, s, now, out)) return;
  // Sixth, the URG bit. Differs: §3.8.5 would have the user told that urgent text is on its way; it is delivered in line,
  // and no program should ask for more (RFC 6093). So the pointer needs nothing.
  if (s.text == 0 && !s.h.has(flag::fin)) return;
  if (s.h.has(flag::syn)) [[unlikely]] // the SYN-ACK of a simultaneous open
    return take_text_behind_syn(env, t, s, now, out);
  if (seventh_take_text(env, t, s, now, out)) eighth_take_fin(env, t, now, out);
}

// What the steps come to for a segment that was predicted; any other goes by them one by one.
void segment_arrives(const Env& env, Tcb& t, const Segment& s, Instant now, Outcome& out) {
  wire::LeanHeader h;
  if (t.has(flag_syn_acked) && lean(s, h) && arrive_as_predicted(env, t, h, s.text, now, out)) [[likely]] {
    if (s.text != 0) (void)out.data.append(std::move(*s.payload));
    return;
  }
  if (t.state == State::SynSent || !predicted(t, s)) return segment_arrives_by_rfc(env, t, s, now, out);
  t.heard_at = now.coarse32();         // first
  if (t.state == State::SynReceived) { // fifth
    handshake_ends(env, t, s.h.seq, s.h.ack, offered_window(t, s.h), now, out);
    t.state = established(t);
  }
  if (t.has(flag_timestamps)) detail::note_timestamp(t, s.h.seq, s.h.options.ts_val);
  acknowledge(env, t, s, now, out);
  if (fin_acknowledged(t) && !our_fin_acknowledged(env, t, now, out)) return;
  take_in_order(env, t, s, now, out); // seventh, eighth
}

} // namespace tern::tcp
