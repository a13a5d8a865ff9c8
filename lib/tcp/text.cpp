// The seventh and eighth steps of segment arrival: text and FIN, wherever they lie.
#include "tcp/text_inl.hpp"

namespace tern::tcp::detail {
namespace {

// Only what is new and inside the window is left of the segment.
struct Cut {
  Seq seq;
  std::uint32_t text;
  bool fin;
};

Cut cut_to_window(const Env& env, const Tcb& t, const Segment& s) {
  Cut c{s.h.seq, s.text, s.h.has(flag::fin)};
  if (c.text != 0 && (c.seq + c.text).after(t.rcv_adv)) {
    const std::uint32_t over = std::min(c.text, (c.seq + c.text).since(t.rcv_adv));
    env.count(Counter::drop_beyond_window);
    c.text -= over;
    c.fin = false;
    if (c.text != 0) s.payload->trim_back(over);
  }
  if (c.seq.before(t.rcv_nxt)) {
    const std::uint32_t stale = std::min(c.text, t.rcv_nxt.since(c.seq));
    if (stale != 0) {
      if (c.text == stale && !c.fin) env.count(Counter::duplicate_in);
      env.count(Counter::duplicate_bytes_in, stale);
      if (stale < c.text) s.payload->trim_front(stale);
    }
    c.seq += stale;
    c.text -= stale;
  }
  return c;
}

void note_ecn(Tcb& t, const Segment& s, Outcome& out) {
  if (s.h.has(flag::cwr)) t.clear(flag_ece);
  if (!s.ce) return;
  t.set(flag_ece); // RFC 3168 §6.1.3: until the sender says CWR
  ack_now(t, out);
}

} // namespace

void fin_arrives(const Env& env, Tcb& t, Instant now, Outcome& out) {
  t.rcv_nxt += 1;
  if (t.has(flag_has_reassembly))
    reassembly::release(env, t); // text beyond a FIN is nonsense, and nobody would ever take it
  t.set(flag_peer_fin);
  ack_now(t, out);
  out.events |= event_peer_closed;
  switch (t.state) {
    case State::Established:
      t.state = State::CloseWait;
      watch_close_wait(env, t, now);
      return;
    case State::FinWait1: // our FIN is not acknowledged, or the fifth step would have moved on
      t.state = State::Closing;
      return;
    case State::FinWait2:
      t.state = State::TimeWait;
      t.reason = out.reason = CloseReason::Done;
      out.events |= event_time_wait;
      stop_timers(t);
      return;
    default:
      break;
  }
}

void take_text_behind_syn(const Env& env, Tcb& t, const Segment& s, Instant now, Outcome& out) {
  wire::Tcp after_syn = s.h;
  after_syn.seq = s.h.seq + 1;
  after_syn.flags = static_cast<std::uint8_t>(s.h.flags & ~flag::syn);
  take_text(env, t, Segment{.h = after_syn, .payload = s.payload, .text = s.text, .ce = s.ce}, now, out);
}

void take_text(const Env& env, Tcb& t, const Segment& s, Instant now, Outcome& out) {
  if (t.has(flag_ecn)) note_ecn(t, s, out);
  if (!may_receive(t.state)) { // the peer already closed: nothing can follow its FIN
    if (s.text != 0) env.count(Counter::drop_after_close);
    if (s.h.has(flag::fin)) ack_now(t, out);
    return;
  }
  if (t.has(flag_orphan) && !t.has(flag_drains) && s.text != 0 && (s.h.seq + s.text).after(t.rcv_nxt)) {
    // RFC 1122 §4.2.2.13: text for a user who is gone is lost, so say so.
    env.count(Counter::reset_out);
    t.set(flag_abort_due);
    out.output = true;
    return finish(t, CloseReason::Reset, out);
  }
  const Cut c = cut_to_window(env, t, s);
  if (s.text != 0 && c.text == 0) ack_now(t, out); // a probe of a shut window: where it stands is the answer
  if (c.seq != t.rcv_nxt) {                        // a hole before it
    t.quick_acks = 16;
    ack_now(t, out);
    if (c.text == 0 && !c.fin) return;
    reassembly::insert(env, t, c.seq, c.text, s.payload, c.fin);
    return;
  }
  bool fin = c.fin;
  if (c.text != 0) {
    t.rcv_nxt += c.text;
    (void)out.data.append(std::move(*s.payload));
    deliver(env, t, c.text, now, out);
  }
  if (t.has(flag_has_reassembly)) {
    const std::uint32_t more = reassembly::take_ready(env, t, out.data, fin);
    if (more != 0) deliver(env, t, more, now, out);
    ack_now(t, out); // RFC 5681 §4.2: at once when a hole is filled, wholly or in part
  } else if (c.text != 0) {
    owe_ack(env, t, c.text, now, out);
  }
  if (fin) fin_arrives(env, t, now, out);
}

} // namespace tern::tcp::detail
