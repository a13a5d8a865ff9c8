// Segment arrival's seventh and eighth steps: text and FIN, wherever they lie.
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

// Text at rcv.nxt, or none, where more is held behind it. First bytes win: what was held is handed out, and of the
// text only what lies in the gaps. True: the peer's FIN comes next.
bool fill_gaps(const Env& env, Tcb& t, Packet text, Instant now, Outcome& out) {
  for (Seq at = t.rcv_nxt;;) { // where `text` begins
    bool held_fin = false;
    const std::uint32_t ready =
        t.has(flag_has_reassembly) ? reassembly::take_ready(env, t, out.data, held_fin) : 0;
    if (ready != 0) deliver(env, t, ready, now, out);
    if (held_fin) return true;
    if (!text) return false;
    if (const std::uint32_t stale = std::min(text.length(), t.rcv_nxt.since(at)); stale != 0) {
      env.count(Counter::duplicate_bytes_in, stale);
      if (stale == text.length()) return false;
      text.trim_front(stale);
      at = t.rcv_nxt;
    }
    Packet rest;
    const ReassemblyRange* held = t.has(flag_has_reassembly) ? t.reassembly->head : nullptr;
    if (held != nullptr && held->left.before(at + text.length())) {
      if (!held->left.after(at)) return false; // no more can be handed out now: it comes again
      const std::uint32_t gap = held->left.since(at);
      rest = text.split(gap, env.packets);
      if (!rest) text.trim_back(text.length() - gap); // no packet for the part behind: likewise
    }
    const std::uint32_t n = text.length();
    if (!out.data.append(std::move(text))) return false;
    t.rcv_nxt += n;
    deliver(env, t, n, now, out);
    at = t.rcv_nxt;
    text = std::move(rest);
  }
}

void note_ecn(Tcb& t, const Segment& s, Outcome& out) {
  if (s.h.has(flag::cwr)) t.clear(flag_ece);
  if (!s.ce) return;
  t.set(flag_ece); // RFC 3168 §6.1.3: until the sender says CWR
  ack_now(t, out);
}

} // namespace

void take_text_behind_syn(const Env& env, Tcb& t, const Segment& s, Instant now, Outcome& out) {
  wire::Tcp after_syn = s.h;
  after_syn.seq = s.h.seq + 1;
  after_syn.flags = static_cast<std::uint8_t>(s.h.flags & ~flag::syn);
  const Segment rest{.h = after_syn, .payload = s.payload, .text = s.text, .ce = s.ce};
  if (seventh_take_text(env, t, rest, now, out)) eighth_take_fin(env, t, now, out);
}

bool seventh_take_text(const Env& env, Tcb& t, const Segment& s, Instant now, Outcome& out) {
  if (t.has(flag_ecn)) note_ecn(t, s, out);
  if (!may_receive(t.state)) { // the peer already closed: nothing can follow its FIN
    if (s.text != 0) env.count(Counter::drop_after_close);
    if (s.h.has(flag::fin)) ack_now(t, out);
    return false;
  }
  if (t.has(flag_orphan) && !t.has(flag_drains) && s.text != 0 && (s.h.seq + s.text).after(t.rcv_nxt)) {
    // RFC 1122 §4.2.2.13: text for a user who is gone is lost, so say so.
    t.set(flag_abort_due);
    out.output = true;
    return finish(t, CloseReason::Reset, out), false;
  }
  const Cut c = cut_to_window(env, t, s);
  if (s.text != 0 && c.text == 0) ack_now(t, out); // a probe of a shut window: where it stands is the answer
  if (c.seq != t.rcv_nxt) {                        // a hole before it
    t.quick_acks = 16;
    ack_now(t, out);
    if (c.text != 0 || c.fin) reassembly::insert(env, t, c.seq, c.text, s.payload, c.fin);
    return false;
  }
  if (t.has(flag_has_reassembly)) {
    ack_now(t, out); // RFC 5681 §4.2: at once when a hole is filled, wholly or in part
    const std::uint32_t text = reassembly::before_fin(env, t, c.seq, c.text, c.fin);
    Packet p = text != 0 ? std::move(*s.payload) : Packet{};
    if (text != 0 && text != c.text) p.trim_back(c.text - text);
    return fill_gaps(env, t, std::move(p), now, out);
  }
  if (c.text != 0) {
    t.rcv_nxt += c.text;
    (void)out.data.append(std::move(*s.payload));
    deliver(env, t, c.text, now, out);
    owe_ack(env, t, c.text, now, out);
  }
  return c.fin;
}

} // namespace tern::tcp::detail
