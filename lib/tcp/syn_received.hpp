// SYN-RECEIVED of the side that listened: a record of 28 bytes in place of a connection, until the peer
// proves that it hears us.
//
//     peer            LISTEN  --SYN-->  record, SYN-ACK
//                                       +1 s  SYN-ACK    |
//                                       +2 s  SYN-ACK    | synack_retries times, then given up
//                                       +4 s  ...        |
//     ACK  -------------------------->  Complete: a Tcb by open_passive(), the record is freed
//     RST  -------------------------->  Closed: back to LISTEN, nobody is told
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.hpp"
#include "tcp/env.hpp"
#include "tcp/handshake.hpp"
#include "tcp/isn.hpp"
#include "tcp/segment.hpp"
#include "tcp/syn_options.hpp"
#include "wire/tcp_inl.hpp"

namespace tern::tcp {

// With an IPv4 key of 12 bytes, a timer hook, its deadline and what the runtime notes a record is a line of 64 bytes;
// with an IPv6 key, 88 (runtime/record.hpp).
struct SynRecord {
  Seq iss;
  Seq irs;
  std::uint32_t ts_recent = 0;
  std::uint32_t ts_offset = 0;
  std::uint32_t sent_at_us = 0; // of the first SYN-ACK
  std::uint16_t peer_mss = 536;
  std::uint16_t syn_window = 0; // as sent: never scaled
  std::uint8_t snd_scale : 4 = 0;
  std::uint8_t scaled : 1 = 0;
  std::uint8_t sack : 1 = 0;
  std::uint8_t timestamps : 1 = 0;
  std::uint8_t ecn : 1 = 0;
  std::uint8_t retries = 0;          // SYN-ACKs that the timer sent
  std::uint8_t challenge_second = 0; // low bits of the second in which `challenges` were sent
  std::uint8_t challenges : 7 = 0;
  std::uint8_t resent : 1 = 0; // more than one SYN-ACK has left: no RTT sample (Karn)

  [[nodiscard]] SynOptions agreed() const {
    return {.peer_mss = peer_mss,
            .snd_scale = static_cast<std::uint8_t>(snd_scale),
            .scaled = scaled != 0,
            .sack = sack != 0,
            .timestamps = timestamps != 0,
            .ecn = ecn != 0};
  }
};
static_assert(sizeof(SynRecord) == 28 && alignof(SynRecord) == 4);
static_assert(12 + 8 + 4 + sizeof(SynRecord) <= 64, "key, hook, deadline and facts in one cache line");

// `unsaid_mss`: see agree().
[[nodiscard]] SynRecord make_syn_record(const Settings&, const wire::Tcp& syn, std::uint16_t unsaid_mss,
                                        Origins, Instant now);
// The SYN-ACK, first or again.
[[nodiscard]] wire::Tcp syn_ack(const Settings&, const SynRecord&, std::uint16_t mtu_mss, Instant now);
// The same in registers, of a record that full() is.
[[nodiscard]] inline bool full(const SynRecord& r) {
  return r.scaled != 0 && r.sack != 0 && r.ecn == 0;
}
[[nodiscard]] inline wire::FullSyn full_syn_ack(const Settings& settings, const SynRecord& r,
                                                std::uint16_t mtu_mss, Instant now) {
  return {.seq = r.iss,
          .ack = r.irs + 1,
          .flags = wire::tcp_flag::syn | wire::tcp_flag::ack,
          .wscale = own_scale(settings),
          .stamped = r.timestamps != 0,
          .window = first_window(settings),
          .mss = mtu_mss,
          .stamp = {now.ms32() + r.ts_offset, r.ts_recent}};
}
[[nodiscard]] inline Handshake handshake_of(const Settings& settings, const SynRecord& r) {
  return {.iss = r.iss,
          .irs = r.irs,
          .peer_mss = r.peer_mss,
          .snd_scale = static_cast<std::uint8_t>(r.snd_scale),
          .rcv_scale = r.scaled != 0 ? own_scale(settings) : std::uint8_t{0},
          .scaled = r.scaled != 0,
          .sack = r.sack != 0,
          .timestamps = r.timestamps != 0,
          .ecn = r.ecn != 0,
          .ts_recent = r.ts_recent,
          .ts_offset = r.ts_offset,
          .syn_window = r.syn_window,
          .sent_at_us = r.sent_at_us,
          .timed = r.resent == 0,
          .resent = r.retries};
}

// When the first SYN-ACK is to be sent again.
[[nodiscard]] inline Duration first_syn_ack_timeout(const Settings& s) {
  return s.rto_initial;
}
// The timer fired: the time until it is to fire again, and syn_ack() is to be sent now; or no value, and the
// record is given up. 1, 2, 4 … s: with the default of 5 the record lives 63 s, as Linux's.
[[nodiscard]] std::optional<Duration> syn_ack_timer_fires(const Env&, SynRecord&);

enum class SynVerdict : std::uint8_t {
  Drop,
  Reply,    // send `reply`; the record and its timer stay
  Closed,   // the peer reset it: free the record
  Complete, // handshake_of() to open_passive(), this segment to segment_arrives(); free the record
};
// RFC 9293 §3.10.7.4 for SYN-RECEIVED after a passive open. `accept_room`: whether the listener may have one
// connection more; if not, what would complete the handshake is dropped, not reset, so that the peer tries
// again.
[[nodiscard]] SynVerdict syn_received_arrives(const Env&, SynRecord&, const Segment&, std::uint16_t mtu_mss,
                                              bool accept_room, Instant now, wire::Tcp& reply);

} // namespace tern::tcp
