// The user's calls (RFC 9293 §3.10.1–6), and what ICMP may say.
#include "tcp/internal.hpp"
#include "tcp/reassembly.hpp"
#include "tcp/send_queue.hpp"

namespace tern::tcp {

using namespace detail;

namespace {

// Text is taken while the handshake is under way too, and leaves when it is done.
bool takes_text(const Tcb& t) {
  return !t.has(flag_fin_queued) && (may_send(t.state) || in(t.state, {State::SynSent, State::SynReceived}));
}

std::uint32_t queued(const Tcb& t) {
  const Seq from = t.has(flag_syn_acked) ? t.snd_una : t.iss + 1;
  return t.snd_end.after(from) ? t.snd_end.since(from) : 0;
}

std::uint32_t cut_short(Tcb& t, std::size_t asked, std::uint32_t taken) {
  if (taken < asked) t.set(flag_want_writable);
  return taken;
}

} // namespace

std::uint32_t send_space(const Env& env, const Tcb& t) {
  if (!takes_text(t)) return 0;
  const std::uint32_t used = queued(t);
  return used < env.settings.send_buffer ? env.settings.send_buffer - used : 0;
}

std::uint32_t send_static(const Env& env, Tcb& t, std::span<const std::byte> bytes, Instant) {
  const auto n = static_cast<std::uint32_t>(std::min<std::size_t>(bytes.size(), send_space(env, t)));
  if (n == 0) return cut_short(t, takes_text(t) ? bytes.size() : 0, 0);
  Piece p;
  p.bytes = bytes.data();
  p.length = n & 0x7fff'ffff;
  p.is_static = 1;
  if (!send_queue::push(env, t, p)) return cut_short(t, bytes.size(), 0);
  t.snd_end += n;
  return cut_short(t, bytes.size(), n);
}

std::uint32_t send_copy(const Env& env, Tcb& t, std::span<const std::byte> bytes, Instant) {
  std::span<const std::byte> rest = bytes.first(std::min<std::size_t>(bytes.size(), send_space(env, t)));
  std::uint32_t taken = send_queue::fill_tail(t, rest);
  rest = rest.subspan(taken);
  while (!rest.empty()) {
    Packet p = env.scarcity >= Scarcity::critical ? Packet{} : env.packets.alloc();
    if (!p) {
      env.count(Counter::no_packet);
      break;
    }
    const std::size_t n = std::min<std::size_t>(rest.size(), p.tailroom());
    if (!send_queue::may_pin(env, t, p.truesize())) break;
    std::memcpy(p.append(static_cast<std::uint16_t>(n)), rest.data(), n);
    Piece piece;
    piece.length = static_cast<std::uint32_t>(n) & 0x7fff'ffff;
    piece.segment = p.mbuf();
    if (!send_queue::push(env, t, piece)) break;
    (void)p.release();
    taken += static_cast<std::uint32_t>(n);
    rest = rest.subspan(n);
  }
  t.snd_end += taken;
  return cut_short(t, takes_text(t) ? bytes.size() : 0, taken);
}

std::uint32_t send_packet(const Env& env, Tcb& t, Packet& payload, bool lent, Instant) {
  const std::uint32_t asked = payload.length();
  std::uint32_t taken = 0;
  while (payload && send_space(env, t) != 0) {
    Packet head = take_first_segment(payload);
    const std::uint32_t n = head.length();
    std::uint32_t copied = 0;
    if (n < 256)
      copied = send_queue::fill_tail(t, head.bytes(), lent); // small text does not pin a buffer of its own
    if (copied < n) {
      Piece piece;
      piece.length = (n - copied) & 0x7fff'ffff;
      piece.segment = head.mbuf();
      if (lent) piece.lent = n - copied;
      if (copied != 0) head.trim_front(copied);
      if (!send_queue::may_pin(env, t, head.truesize()) || !send_queue::push(env, t, piece)) {
        taken += copied, t.snd_end += copied;
        if (payload && !head.chain(std::move(payload))) payload.reset(); // cannot be: it was one chain before
        payload = std::move(head);
        break;
      }
      (void)head.release();
    }
    taken += n;
    t.snd_end += n;
  }
  return cut_short(t, takes_text(t) ? asked : 0, taken);
}

void close(const Env&, Tcb& t, Instant, Outcome& out) {
  if (t.has(flag_fin_queued)) return;
  switch (t.state) {
    case State::SynSent:
      return finish(t, CloseReason::Aborted, out);
    case State::SynReceived:
      t.set(flag_fin_queued); // leaves once the handshake is done
      return;
    case State::Established:
      t.state = State::FinWait1;
      break;
    case State::CloseWait:
      t.state = State::LastAck;
      t.idle_at_ms = 0; // from here on the FIN's retransmission is what waits
      break;
    default:
      return;
  }
  t.set(flag_fin_queued);
  out.output = true;
}

void abort(const Env&, Tcb& t, Outcome& out) {
  if (t.state == State::Closed || t.state == State::TimeWait)
    return; // in TIME-WAIT its last ACK is still to go
  if (in(t.state,
         {State::SynReceived, State::Established, State::FinWait1, State::FinWait2, State::CloseWait})) {
    t.set(flag_abort_due);
    out.output = true;
  }
  finish(t, CloseReason::Aborted, out);
}

void orphan(const Env& env, Tcb& t, Farewell how, Instant now, Outcome& out) {
  if (t.state == State::Closed || t.has(flag_orphan)) return;
  t.set(flag_orphan);
  t.clear(flag_reading_paused | flag_want_writable);
  if (how == Farewell::Drain)
    t.set(flag_drains);
  else if (t.rcv_held != 0 && may_receive(t.state))
    return abort(env, t, out);
  close(env, t, now, out);
  out.output = true; // the deadlines moved
  if (t.state == State::FinWait2) t.idle_at_ms = deadline_in(env.settings.fin_wait_2, now);
}

void release_received(const Env&, Tcb& t, std::uint32_t bytes, Outcome& out) {
  TERN_DCHECK(bytes <= t.rcv_held);
  t.rcv_held -= bytes;
  if (!may_receive(t.state)) return;
  // The peer is told when the edge can move by half the buffer, or by two segments when it stands still for
  // want of it.
  const std::uint32_t growth = window_growth(t);
  const bool was_shut = !t.rcv_adv.after(t.rcv_nxt + t.rcv_mss - 1);
  if (growth >= t.rcv_limit / 2 || (was_shut && growth >= 2U * t.rcv_mss)) ack_now(t, out);
}

void pause_reading(Tcb& t) {
  t.set(flag_reading_paused);
}

void resume_reading(const Env& env, Tcb& t, Outcome& out) {
  t.clear(flag_reading_paused);
  release_received(env, t, 0, out);
}

namespace {
// RFC 5927 §4: what a returned header quotes must be in flight.
bool in_flight(const Tcb& t, Seq quoted) {
  return t.outstanding() != 0 && quoted.in_window(t.snd_una, t.outstanding());
}
} // namespace

void path_mtu_reduced(const Env& env, Tcb& t, Seq quoted, std::uint16_t mtu_mss, Instant now, Outcome& out) {
  // RFC 1191 §3: never below what every path carries (576 − 40); a larger or equal value says nothing new.
  const std::uint16_t mss = std::max<std::uint16_t>(mtu_mss, 536);
  if (!in_flight(t, quoted) || mss >= t.path_mss) return env.count(Counter::pmtu_ignored);
  env.count(Counter::pmtu_reduced);
  t.path_mss = mss;
  t.hole = BlackHole::None; // what was silence has spoken
  derive_mss(t);
  if (!synchronized(t.state)) return;
  // One segment becomes several: what comes behind its head is remembered there.
  if (!t.has(flag_has_recovery)) take_recovery_record(env, t, now);
  if (t.has(flag_has_recovery))
    t.recovery->on_path_mtu(env, t, now);
  else
    t.set(flag_retransmit_head);
  out.output = true;
}

void icmp_unreachable(const Env&, Tcb& t, Seq quoted, CloseReason why, Outcome& out) {
  if (!in_flight(t, quoted)) return;
  // RFC 5461 §4: hard for a connection that is still opening; soft for one that stands.
  if (t.state == State::SynSent || t.state == State::SynReceived) finish(t, why, out);
}

void release(const Env& env, Tcb& t) {
  if (t.first.length != 0 || t.more != nullptr) send_queue::release(env, t);
  if (t.has(flag_has_reassembly)) reassembly::release(env, t);
  if (t.has(flag_has_recovery)) give_back_recovery(env, t);
}

void detail::give_back_recovery(const Env& env, Tcb& t) {
  if (t.recovery == nullptr) return;
  t.recovery->release(env);
  env.side.recovery->give_back(t.recovery);
  t.recovery = nullptr;
  t.clear(flag_has_recovery);
}

TimeWaitFacts time_wait_facts(const Tcb& t, Instant now) {
  const std::uint32_t wnd = t.rcv_adv.after(t.rcv_nxt) ? t.rcv_adv.since(t.rcv_nxt) : 0;
  return {.snd_nxt = t.snd_nxt,
          .rcv_nxt = t.rcv_nxt,
          .rcv_wnd = std::min<std::uint32_t>(wnd >> t.rcv_scale, 65535),
          .ts_recent = t.ts_recent,
          .ts_recent_at_ms = now.ms32(),
          .ts_offset = t.ts_offset,
          .timestamps = t.has(flag_timestamps)};
}

} // namespace tern::tcp
