// Loss recovery and congestion control of a connection with more than one segment in flight: a side record,
// taken at the second segment in flight and given back after idle. A connection that never has two segments
// out never has one; it lives by RFC 6298 alone.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/seq.hpp"
#include "base/time.hpp"
#include "tcp/env.hpp"
#include "tcp/tcb.hpp"
#include "wire/tcp.hpp"

namespace tern::tcp {

// What an arriving ACK says. The Tcb has already moved: `una_before` is where snd.una stood.
struct AckInfo {
  Seq una_before;
  std::uint32_t acked = 0;               // bytes newly acknowledged in sequence (FIN counted)
  std::span<const wire::SackBlock> sack; // as received; D-SACK block first if there is one (RFC 2883)
  bool ece = false;                      // ECN echo
  bool pure = false;                     // no text, no window change: may be a duplicate ACK (RFC 5681 §2)
  std::optional<std::uint32_t> ts_ecr_us_rtt; // RTT by timestamp echo, when it may be used
};

struct SendRange {
  Seq seq;
  std::uint32_t length = 0; // bytes; may end with the FIN
};

// What an ACK changed, for the caller to act on.
struct AckVerdict {
  bool window_opened = false; // output may send more than before
  bool lost = false;          // next_lost() has something
  bool undone = false;        // a retransmission turned out spurious, cwnd was restored
  std::uint32_t rtt_us = 0;   // a sample by transmit time, or 0
};

class Recovery {
 public:
  // Takes over a connection that has `tcb.outstanding()` bytes in flight since `tcb.timed_at_us`. The
  // congestion control continues from tcb.cwnd / tcb.ssthresh, which stay the truth for everyone else.
  Recovery(const Settings&, const Tcb&, Instant now);

  // A range has just left. `again`: a retransmission. Called after snd.nxt moved.
  void on_transmit(const Env&, Tcb&, SendRange, bool again, Instant now);
  // An acceptable ACK arrived and snd.una, the window and the RTT estimator have been updated by the caller —
  // except for `rtt_us` above, which the caller feeds to the estimator itself. Updates the log and scoreboard
  // (RFC 2018, 2883, 6675), RACK (8985), PRR (6937), F-RTO (5682) and undo, congestion control (tcb.cwnd,
  // tcb.ssthresh).
  [[nodiscard]] AckVerdict on_ack(const Env&, Tcb&, const AckInfo&, Instant now);
  // The retransmission timer fired: everything unacknowledged is lost, cwnd is one segment (5681 §3.1), F-RTO
  // begins.
  void on_rto(const Env&, Tcb&, Instant now);
  // RACK's reordering timer fired.
  void on_rack_timer(const Env&, Tcb&, Instant now);
  // The path MTU came down: what is in flight and no longer fits is lost, at no cost to the congestion
  // window.
  void on_path_mtu(const Env&, Tcb&, Instant now);
  // The tail loss probe: what to send (new data is the caller's choice first), RFC 8985 §7.3.
  [[nodiscard]] SendRange tail_probe(const Tcb&) const;
  void on_tail_probe(Tcb&, Instant now);

  // The next range that is marked lost and not yet sent again, at most one segment; none when all are.
  [[nodiscard]] std::optional<SendRange> next_lost(const Tcb&) const;
  // Bytes believed to be in the network (6675 SetPipe, with RACK's marks).
  [[nodiscard]] std::uint32_t in_flight(const Tcb&) const;
  // How many bytes cwnd (or PRR, in recovery) lets leave now.
  [[nodiscard]] std::uint32_t allowance(const Tcb&) const;
  // Deadlines, wrapping µs clock; 0: none. The caller arms the earlier of these and the RTO.
  [[nodiscard]] std::uint32_t rack_deadline_us() const;
  [[nodiscard]] std::uint32_t probe_timeout_us(
      const Tcb&) const; // PTO, RFC 8985 §7.2; 0: no probe may be armed

  [[nodiscard]] bool in_recovery() const;
  // Nothing in flight for longer than an RTO: cwnd restarts (5681 §4.1), and the record may be given back.
  void on_idle(const Settings&, Tcb&, Instant now);
  // Gives back the log's blocks. Before the destructor.
  void release(const Env&);
};

} // namespace tern::tcp
