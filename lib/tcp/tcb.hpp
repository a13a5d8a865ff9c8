// The connection record.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/published.hpp"
#include "base/seq.hpp"
#include "base/time.hpp"
#include "tcp/segment.hpp"

struct rte_mbuf;

namespace tern::tcp {

class Recovery;   // recovery/recovery.hpp: transmit log, RACK, PRR, congestion detail
class Reassembly; // reassembly.hpp: text that came out of order
class SendQueue;  // send_queue.hpp: what does not fit the one piece in the Tcb

// Bytes waiting to be sent and acknowledged: either memory that outlives the connection, from which
// retransmissions are rebuilt, or one mbuf segment that we hold.
struct Piece {
  union {
    const std::byte* bytes = nullptr; // is_static
    rte_mbuf* segment;                // otherwise
  };
  std::uint32_t length : 31 = 0;
  std::uint32_t is_static : 1 = 0;
  std::uint32_t lent =
      0; // bytes of it that keep another connection's window down until they are acknowledged
};
static_assert(sizeof(Piece) == 16);

enum TcbFlag : std::uint32_t {
  flag_ack_now = 1U << 0,     // an ACK is owed at the next output pass
  flag_ack_delayed = 1U << 1, // an ACK is owed by ack_at
  flag_fin_queued = 1U << 2,  // the user closed: FIN follows the last byte
  flag_fin_sent = 1U << 3,    // and has left at least once
  flag_peer_fin = 1U << 4,    // rcv.nxt is past the peer's FIN
  flag_scaled = 1U << 5,
  flag_sack = 1U << 6,
  flag_timestamps = 1U << 7,
  flag_ecn = 1U << 8,
  flag_ece = 1U << 9,              // echo congestion until CWR comes
  flag_cwr = 1U << 10,             // say CWR on the next new text
  flag_no_delay = 1U << 11,        // Nagle off
  flag_orphan = 1U << 12,          // no user any more: bounded patience
  flag_want_writable = 1U << 13,   // a send was cut short
  flag_retransmit_head = 1U << 14, // send again from snd.una (RTO without a recovery record)
  flag_syn_due = 1U << 15,         // (re)send the SYN, or SYN-ACK in SYN-RECEIVED
  flag_probe_due = 1U << 16,       // zero-window or keepalive probe
  flag_tlp_due = 1U << 17,
  flag_timing =
      1U << 18, // timed_seq/timed_at_us hold an RTT sample under way (Karn: cleared by retransmission)
  flag_rto_recovery = 1U << 19,   // between an RTO and its recovery point
  flag_reading_paused = 1U << 20, // the user closed the window
  flag_abort_due = 1U << 21,      // send RST, then die
  flag_active = 1U << 22,         // we opened it
  flag_idle_probe = 1U << 23,     // keepalive is probing
  flag_drains = 1U << 24,         // an orphan whose text the caller throws away: no RST for it
  flag_ecn_setup = 1U << 25,      // ECN asked for on our SYN
  flag_dsack = 1U << 26,          // dsack_left/right are to be reported
  flag_has_recovery = 1U << 27, // in step with the pointers, so that the fast path need not touch their line
  flag_has_reassembly = 1U << 28,
  flag_backed_off = 1U << 29, // rtx_count or rtx_backoff is not 0
  flag_syn_acked = 1U << 30,  // our SYN is out of the way: snd.una is text
  flag_ipv6 = 1U << 31,       // whoever opened it says so: black_hole.cpp
};

// What the one retransmission deadline stands for.
enum class RtxTimer : std::uint8_t {
  Off,
  Rto,
  Tlp,
  Rack,
  Persist,
  Idle, // nothing is outstanding: when it fires, the recovery record goes back
};

// What is thought of the path when full segments stay unanswered (black_hole.cpp).
enum class BlackHole : std::uint8_t { None, Suspected, Doubted, Believed };

// 192 bytes. The runtime's record puts 32 bytes of key and hook before it, so the groups below fall on its
// cache lines:
//
//   line 0 (after key and hook) | una nxt end wnd | rcv.nxt adv | state scales mss flags    every segment
//   line 1                      | ts, wl1 wl2, cwnd, deadlines, receive buffer, first piece every data segment
//   line 2                      | side records, RTT, retransmission       sending, ACKs that end a sample
//   line 3                      | what opening, losing and closing need
//
// The arrival of an in-order data segment in ESTABLISHED touches lines 0 and 1 only.
struct Tcb {
  // ---- line 0
  Seq snd_una;
  Seq snd_nxt;               // highest sent + 1; retransmission does not move it back
  Seq snd_end;               // after the last byte the user queued (a queued FIN occupies snd_end itself)
  std::uint32_t snd_wnd = 0; // scaled
  Seq rcv_nxt;
  Seq rcv_adv;                            // right edge we have told the peer: never moves left
  Published<State> state = State::Closed; // other threads look at it: runtime/readers.hpp
  std::uint8_t snd_scale : 4 = 0;
  std::uint8_t rcv_scale : 4 = 0;
  std::uint16_t mss = 536; // most text in one segment we send, options of every segment already taken off
  std::uint32_t flags = 0;
  // ---- line 1
  std::uint32_t ts_recent = 0;
  std::uint32_t heard_at = 0; // when the peer was last heard, Instant::coarse32(): see silent_for()
  std::uint32_t ts_offset = 0;
  Seq last_ack_sent;
  Seq snd_wl1;
  Seq snd_wl2;
  std::uint32_t cwnd = 0;      // bytes
  std::uint32_t rtx_at_ms = 0; // deadlines on the wrapping ms clock; 0: none
  std::uint32_t ack_at_ms = 0;
  std::uint32_t rcv_limit = 0; // receive buffer: bytes the window may promise
  std::uint32_t rcv_held = 0;  // bytes handed to the user and not yet released: they keep the window down
  std::uint16_t rcv_mss = 536; // the peer's segment size as we see it: more than one is answered at once
  std::uint8_t quick_acks = 0; // so many ACKs are not delayed
  Piece first;                 // the send queue's head
  // ---- line 2
  Recovery* recovery = nullptr;     // flag_has_recovery
  Reassembly* reassembly = nullptr; // flag_has_reassembly
  SendQueue* more = nullptr;        // pieces after the first
  std::uint32_t srtt_us = 0;        // ×8
  std::uint32_t rttvar_us = 0;      // ×4
  Seq timed_seq;                    // flag_timing: the byte whose ACK ends the RTT sample
  std::uint32_t timed_at_us = 0;
  std::uint32_t ssthresh = 0xffff'ffff;
  std::uint32_t max_snd_wnd = 0; // RFC 9293 §3.8.6.2.1: the largest window the peer ever offered
  std::uint32_t idle_at_ms = 0;  // keepalive, FIN-WAIT-2 of orphans, CLOSE-WAIT
  RtxTimer rtx = RtxTimer::Off;
  std::uint8_t rtx_backoff = 0;
  // Retransmissions or probes since the peer last acknowledged anything, or said that its window is shut.
  std::uint8_t rtx_count = 0;
  std::uint8_t challenges = 0; // sent in the second that began at challenge_ms (RFC 5961 §7)
  std::uint32_t challenge_ms = 0;
  Seq iss;
  // ---- line 3
  union {
    Seq irs{};                // until CLOSE-WAIT; nothing reads it once the handshake is done
    std::uint32_t user_stood; // in CLOSE-WAIT: how far the user had got at stalled_since_ms (timers.cpp)
  };
  Seq recover;                        // RFC 6582: where the present recovery ends
  std::uint32_t stalled_since_ms = 0; // since when nothing moves: the user timeout, CLOSE-WAIT's time-out
  Seq dsack_left;                     // flag_dsack: the duplicate to report once (RFC 2883)
  Seq dsack_right;
  std::uint16_t peer_mss = 536;
  std::uint16_t path_mss = 1460; // most text the path is known to carry in a segment without options
  std::uint16_t whole_mss = 0;   // path_mss before a black hole was suspected
  CloseReason reason = CloseReason::None;
  BlackHole hole = BlackHole::None;
  // When the present round of window tuning began, in 64 µs (0: none has), and where the user's reading
  // stood, in KiB: both wrap, and are of use for a few seconds only.
  std::uint16_t tune_at = 0;
  std::uint16_t tune_from = 0;

  Tcb() = default;
  explicit Tcb(Untouched leave)
      : state(leave) {} // in a record that is used again: its state is published later

  [[nodiscard]] bool has(std::uint32_t f) const { return (flags & f) != 0; }
  void set(std::uint32_t f) { flags |= f; }
  void clear(std::uint32_t f) { flags &= ~f; }
  // Bytes (and FIN) sent and not acknowledged.
  [[nodiscard]] std::uint32_t outstanding() const { return snd_nxt.since(snd_una); }
  [[nodiscard]] std::uint32_t unsent() const { return has(flag_fin_sent) ? 0 : snd_end.since(snd_nxt); }
  // How long the peer has said nothing, give or take Instant::coarse_step: keepalive, and the age of ts_recent
  // (RFC 7323 §5.5), which a rest of any length may precede.
  [[nodiscard]] Duration silent_for(Instant now) const {
    return Instant::coarse_step * std::int64_t{now.coarse32() - heard_at};
  }
  // Somebody waits until he may write, and nothing is on its way whose ACK would tell: memory was short.
  [[nodiscard]] bool stranded() const {
    return has(flag_want_writable) && outstanding() == 0 && unsent() == 0;
  }
};
static_assert(offsetof(Tcb, ts_recent) == 32, "the hot group fills what key and hook leave of line 0");
static_assert(offsetof(Tcb, recovery) == 96, "the second group is one line");
static_assert(offsetof(Tcb, irs) == 160, "the third too");
static_assert(sizeof(Tcb) == 192, "with key, hook and user word a connection is 256 bytes at most");

} // namespace tern::tcp
