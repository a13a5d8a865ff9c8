#include "sim/invariants.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "tcp/deadlines.hpp"
#include "tcp/reassembly.hpp"
#include "tcp/recovery/recovery.hpp"
#include "tcp/send_queue.hpp"

namespace tern::sim {

using namespace tcp;

namespace {

using Broken = std::optional<std::string>;

#define HOLDS(condition)                 \
  if (!(condition)) return std::string { \
#condition                         \
    }

// The send queue holds exactly the text from snd.una (or from behind the SYN) to snd.end.
Broken send_queue_broken(const Tcb& t) {
  std::uint64_t held = t.first.length;
  if (t.more != nullptr) {
    const PieceBlock* last = nullptr;
    for (const PieceBlock* b = t.more->head; b != nullptr; b = b->next) {
      HOLDS(b->begin <= b->end && b->end <= PieceBlock::most);
      for (std::uint8_t i = b->begin; i < b->end; ++i) held += b->pieces[i].length;
      last = b;
    }
    HOLDS(t.more->tail == last);
  }
  const Seq from = t.has(flag_syn_acked) ? t.snd_una : t.iss + 1;
  const std::uint32_t due = t.snd_end.after(from) ? t.snd_end.since(from) : 0;
  if (t.state != State::Closed && held != due)
    return fmt::format("the send queue holds {} bytes, not {}", held, due);
  return std::nullopt;
}

Broken reassembly_broken(const Tcb& t) {
  HOLDS(t.has(flag_has_reassembly) == (t.reassembly != nullptr));
  if (t.reassembly == nullptr) return std::nullopt;
  const Reassembly& r = *t.reassembly;
  HOLDS(r.head != nullptr || r.fin);
  HOLDS(!r.fin || r.fin_seq.after(t.rcv_nxt));
  HOLDS(r.ranges <= Reassembly::most_ranges);
  std::uint16_t n = 0;
  std::uint64_t pinned = 0;
  const ReassemblyRange* before = nullptr;
  for (const ReassemblyRange* i = r.head; i != nullptr; before = i, i = i->next, ++n) {
    HOLDS(i->left.after(t.rcv_nxt));
    HOLDS(i->right.after(i->left));
    HOLDS(i->right.at_or_before(t.rcv_adv));
    HOLDS(i->text.length() == i->right.since(i->left));
    pinned += i->pinned;
    if (before != nullptr && !i->left.after(before->right))
      return fmt::format("ranges [{}, {}) and [{}, {}) of {} segments", before->left.since(t.rcv_nxt),
                         before->right.since(t.rcv_nxt), i->left.since(t.rcv_nxt), i->right.since(t.rcv_nxt),
                         before->text.length());
  }
  HOLDS(n == r.ranges);
  HOLDS(pinned == r.pinned && pinned <= Reassembly::most_pinned(t));
  HOLDS(r.tail == before);
  return std::nullopt;
}

Broken timers_broken(const Tcb& t) {
  HOLDS((t.rtx == RtxTimer::Off) == (t.rtx_at_ms == 0));
  // Something is outstanding, or waits for the window: a timer stands guard, or the connection could hang.
  if (t.state != State::Closed && t.state != State::TimeWait && t.outstanding() != 0) HOLDS(t.rtx_at_ms != 0);
  if (t.has(flag_ack_delayed)) HOLDS(t.ack_at_ms != 0 || t.has(flag_ack_now));
  return std::nullopt;
}

} // namespace

Broken broken_invariant(const Env& env, const Tcb& t) {
  if (t.state == State::Closed) return std::nullopt;
  // Sequence space: una <= nxt <= end (+ the FIN behind it).
  HOLDS(t.snd_una.at_or_before(t.snd_nxt));
  HOLDS(t.snd_nxt.at_or_before(t.snd_end + (t.has(flag_fin_sent) ? 1U : 0U)));
  if (t.has(flag_fin_sent)) HOLDS(t.has(flag_fin_queued));
  if (t.has(flag_fin_sent)) HOLDS(t.snd_nxt == t.snd_end + 1);
  HOLDS(t.outstanding() < (1U << 30));
  // A packet's first segment is taken whole, so the buffer may be passed by one segment.
  HOLDS(t.snd_una.after(t.snd_end) || t.snd_end.since(t.snd_una) <= env.settings.send_buffer + 65536U);
  // The receive window: never beyond the buffer, its right edge never left of rcv.nxt but by the FIN.
  HOLDS((t.rcv_nxt - (t.has(flag_peer_fin) ? 1U : 0U)).at_or_before(t.rcv_adv) || t.state == State::SynSent);
  if (t.state >= State::Established)
    HOLDS(t.rcv_adv.since(t.rcv_nxt - 1) <=
          std::max<std::uint32_t>(t.rcv_limit, 65535) + (1U << t.rcv_scale) + 1);
  HOLDS(t.rcv_limit <= std::max(env.settings.receive_buffer, env.settings.receive_buffer_max));
  HOLDS(t.snd_scale <= 14 && t.rcv_scale <= 14);
  HOLDS(t.mss >= 1);
  if (t.state >= State::Established) HOLDS(t.cwnd >= t.mss || t.cwnd > 0);
  // States and what they mean.
  const bool closing = t.state == State::FinWait1 || t.state == State::FinWait2 ||
                       t.state == State::Closing || t.state == State::LastAck || t.state == State::TimeWait;
  HOLDS(!closing || t.has(flag_fin_queued));
  const bool peer_done = t.state == State::CloseWait || t.state == State::Closing ||
                         t.state == State::LastAck || t.state == State::TimeWait;
  HOLDS(t.has(flag_peer_fin) == peer_done);
  HOLDS(t.has(flag_has_recovery) == (t.recovery != nullptr));
  if (Broken b = timers_broken(t)) return b;
  if (Broken b = reassembly_broken(t)) return b;
  return send_queue_broken(t);
}
#undef HOLDS

std::string due_timers(const Tcb& t, Instant now) {
  std::string s;
  const auto add = [&s](std::string what) { s += (s.empty() ? "" : ", ") + std::move(what); };
  if (due(t.ack_at_ms, now)) add("delayed ACK");
  if (due(t.rtx_at_ms, now)) {
    switch (t.rtx) {
      case RtxTimer::Off:
        break;
      case RtxTimer::Rto:
        add(t.state >= State::Established ? "retransmission timer" : "SYN timer");
        break;
      case RtxTimer::Tlp:
        add("tail loss probe");
        break;
      case RtxTimer::Rack:
        add("RACK reordering timer");
        break;
      case RtxTimer::Persist:
        add("persist timer");
        break;
      case RtxTimer::Idle:
        add("idle timer");
        break;
    }
  }
  if (due(t.idle_at_ms, now)) {
    if (t.state == State::FinWait2)
      add("FIN-WAIT-2 timer");
    else
      add(t.state == State::CloseWait ? "CLOSE-WAIT timer" : "keepalive timer");
  }
  return s;
}

} // namespace tern::sim
