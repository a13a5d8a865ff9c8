// The engine: functions of (connection, segment, now). It reads no clock, owns no thread, does no I/O and
// draws no randomness. What it wants to happen it writes into an Outcome and a TxBurst.
//
// After every call that changes the connection the caller looks at `next_deadline` and, when
// `Outcome::output` is set or the call is a user's, calls `output` once for the burst.
#pragma once

#include <cstdint>
#include <span>

#include "base/time.hpp"
#include "tcp/env.hpp"
#include "tcp/handshake.hpp"
#include "tcp/segment.hpp"
#include "tcp/tcb.hpp"

namespace tern::tcp {

// ---- Opening. `mtu_mss`: most text that the interface's MTU leaves for one segment without TCP options.
// CLOSED → SYN-SENT; output() sends the SYN. `unsaid_mss`: what the peer is taken to take if its SYN does not say
// (TupleWords::assumed_mss).
void open_active(const Env&, Tcb&, Seq iss, std::uint32_t ts_offset, std::uint16_t mtu_mss,
                 std::uint16_t unsaid_mss, Instant now);
// Before the SYN has left: our window begins with `bytes`, where the setting's would be more.
void begin_window(const Env&, Tcb&, std::uint32_t bytes);
// → SYN-RECEIVED, as the side that listened: the SYN-ACK has been sent and the segment that proves it is at
// hand; the caller passes that segment to segment_arrives next, which finishes the handshake. Here it counts as
// done: whoever had no room for it did not come so far.
void open_passive(const Env&, Tcb&, const Handshake&, std::uint16_t mtu_mss, Instant now);

// ---- Arrival (RFC 9293 §3.10.7.3 and .4).
void segment_arrives(const Env&, Tcb&, const Segment&, Instant now, Outcome&);
// The same without the fast path in front: what the differential test compares.
void segment_arrives_by_rfc(const Env&, Tcb&, const Segment&, Instant now, Outcome&);

// ---- Output: everything the connection may send now. True if there is more than fitted (burst full or no
// packet).
bool output(const Env&, Tcb&, Instant now, TxBurst&);
// The same without the fast path in front, for the differential test.
bool output_by_steps(const Env&, Tcb&, Instant now, TxBurst&);

// ---- Timers: one deadline for all, on the wrapping millisecond clock; 0 is none.
[[nodiscard]] inline std::uint32_t next_deadline(const Tcb& t) {
  std::uint32_t first = t.rtx_at_ms;
  for (const std::uint32_t at : {t.ack_at_ms, t.idle_at_ms})
    if (at != 0 && (first == 0 || static_cast<std::int32_t>(at - first) < 0)) first = at;
  return first;
}
void timer_fires(const Env&, Tcb&, Instant now, Outcome&);

// ---- The user's calls (RFC 9293 §3.10.1–6).
[[nodiscard]] std::uint32_t send_space(const Env&, const Tcb&); // bytes a send would take now
// How many bytes were taken: less than asked when the buffer is full (event_writable follows), 0 when the
// state takes none.
std::uint32_t send_static(const Env&, Tcb&, std::span<const std::byte>, Instant now);
std::uint32_t send_copy(const Env&, Tcb&, std::span<const std::byte>, Instant now);
// Takes from the front; the rest stays. `lent`: it is another connection's received text, which keeps that
// one's window down until it is acknowledged here: event_returned says when, and the caller then calls
// release_received there. So a slow reader behind a proxy slows its far writer, and both queues stay bounded.
std::uint32_t send_packet(const Env&, Tcb&, Packet&, bool lent, Instant now);
void close(const Env&, Tcb&, Instant now, Outcome&); // our direction ends after what is queued
void abort(const Env&, Tcb&, Outcome&);              // RST now, if the state calls for one
// Nobody will call again: closes, and from here on patience is bounded (FIN-WAIT-2 by `fin_wait_2`, a peer
// that takes nothing by `orphan_retries`). What text becomes:
enum class Farewell : std::uint8_t {
  Reset, // unread or new text is lost text, so RST says so (RFC 1122 §4.2.2.13)
  Drain, // it is handed out as ever; the caller throws it away
};
void orphan(const Env&, Tcb&, Farewell, Instant now, Outcome&);
// Text handed out by event_data keeps the window down until it is released here.
void release_received(const Env&, Tcb&, std::uint32_t bytes, Outcome&);
// All that was lent of this text has left towards its reader, who could take more: this window is what holds
// the peer back, so it doubles, up to the setting.
void widen_window(const Env&, Tcb&);
void pause_reading(Tcb&);
void resume_reading(const Env&, Tcb&, Outcome&);
// ICMP: the path carries at most `mtu_mss` bytes of text. `quoted` is the sequence number in the returned
// header.
void path_mtu_reduced(const Env&, Tcb&, Seq quoted, std::uint16_t mtu_mss, Instant now, Outcome&);
// ICMP hard error (RFC 5461, 5927): ends a connection that is still opening, as refused or unreachable; otherwise it is nothing.
void icmp_unreachable(const Env&, Tcb&, Seq quoted, CloseReason, Outcome&);

// ---- The end: gives back every side record and held buffer. The Tcb may then be reused.
void release(const Env&, Tcb&);

// What TIME-WAIT needs of a connection that enters it.
struct TimeWaitFacts {
  Seq snd_nxt;
  Seq rcv_nxt;
  std::uint32_t rcv_wnd = 0; // as advertised, unscaled field
  std::uint32_t ts_recent = 0;
  std::uint32_t ts_recent_at_ms = 0;
  std::uint32_t ts_offset = 0;
  bool timestamps = false;
};
[[nodiscard]] TimeWaitFacts time_wait_facts(const Tcb&, Instant now);

} // namespace tern::tcp
