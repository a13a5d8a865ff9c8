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
#include "tcp/recovery/cubic.hpp"
#include "tcp/recovery/hystart.hpp"
#include "tcp/recovery/newreno.hpp"
#include "tcp/recovery/prr.hpp"
#include "tcp/recovery/rack.hpp"
#include "tcp/recovery/tx_log.hpp"
#include "tcp/tcb.hpp"
#include "wire/tcp.hpp"

namespace tern::tcp {

// What an arriving ACK says. The Tcb has already moved: `una_before` is where snd.una stood.
struct AckInfo {
  Seq una_before;
  std::uint32_t acked = 0;               // bytes newly acknowledged in sequence (FIN counted)
  std::span<const wire::SackBlock> sack; // as received; D-SACK block first if there is one (RFC 2883)
  bool ece = false;                      // ECN echo
  bool pure = false;        // no text, no window change, not old: may be a duplicate ACK (RFC 5681 §2)
  std::uint32_t behind = 0; // how far below snd.una the segment's own ACK lies: others overtook it
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
  std::uint32_t rtt_us = 0;   // a sample for the RTO's estimator, at most one a round trip, or 0
};

//   Open ──RACK or third duplicate──▶ Fast ──snd.una reaches recover──▶ Open
//   Open ──ECN echo, or a probe mended a loss──▶ Reduced ──the same──▶ Open
//   any  ──RTO──▶ Loss ──the same──▶ Open;     Fast, Loss ──it was spurious──▶ Open, windows as they were
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

  // The next range that is marked lost and not yet sent again, at most one segment; none when all are, or
  // when the window does not let it out.
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
  // Nothing is in flight.
  void on_idle(const Settings&, Tcb&, Instant now);
  // Nothing was for longer than an RTO: cwnd restarts (5681 §4.1), and the record is of no more use.
  void retire(const Env& env, Tcb& t, Instant now) { restart_after_idle(env, t, now); }
  // Gives back the log's blocks. Before the destructor.
  void release(const Env&);

  // For tests and snapshots.
  [[nodiscard]] const TxLog& log() const { return log_; }
  [[nodiscard]] const Rack& rack() const { return rack_; }
  [[nodiscard]] bool may_undo() const { return undo_valid_; }

 private:
  enum class Phase : std::uint8_t { Open, Reduced, Fast, Loss };
  // RFC 5682: after a time-out, the head alone is sent again; then new text; what then arrives tells whether
  // the time-out was spurious.
  enum class Frto : std::uint8_t { Off, HeadSent, NewSent };
  // What one ACK tells, gathered.
  struct Ack {
    Delivered d;
    std::uint32_t delivered = 0; // bytes, cumulatively and selectively
    std::uint32_t newly_lost = 0;
    bool advanced = false; // snd.una moved
    bool duplicate = false;
    bool dsack = false;
    Seq dsack_right;
    bool spurious = false;
    bool limited = false; // cwnd was what held the sender back
  };

  // Arrival of an ACK, in the order of on_ack.
  void read_sack(const Env&, Tcb&, const AckInfo&, Ack&);
  void on_dsack(const Env&, const Tcb&, const wire::SackBlock&);
  void count_duplicates(const Env&, Tcb&, const AckInfo&, Ack&);
  void find_lost(const Tcb&, Ack&, Instant now);
  void end_probe(const Env&, Tcb&, const AckInfo&, const Ack&);
  [[nodiscard]] bool was_spurious(const Tcb&, const AckInfo&, const Ack&, Instant now);
  void continue_frto(const Tcb&, const Ack&);
  void leave_phase(const Env&, Tcb&, const Ack&);
  void mend_head(const Env&, Tcb&, Ack&);
  void grow(const Env&, Tcb&, const Ack&, Instant now);
  [[nodiscard]] std::uint32_t rtt_sample(const Tcb&, const AckInfo&, const Ack&);
  void watch_for_optimism(const Env&, const Tcb&, std::uint32_t rtt_us);

  // Congestion.
  void reduce(const Env&, Tcb&);
  void enter_fast(const Env&, Tcb&);
  void enter_reduced(const Env&, Tcb&);
  void pace_reduction(Tcb&, std::uint32_t delivered, bool safe);
  void save_undo(const Tcb&);
  void undo(const Env&, Tcb&);
  void restart_after_idle(const Env&, Tcb&, Instant now);
  bool cover_gap(const Env&, Tcb&, Seq upto, Instant now);
  void take_over(const Env&, Tcb&, SendRange, Instant now);
  [[nodiscard]] RackFinding mark_by_rack(const Tcb&, Instant now);
  [[nodiscard]] static bool new_segment_may_leave(const Tcb&);
  [[nodiscard]] static bool new_text_may_leave(const Tcb&);
  [[nodiscard]] std::uint32_t held(const Tcb&) const; // bytes that the peer has above snd.una

  TxLog log_;
  Rack rack_;
  Cubic cubic_;
  HyStart hystart_;
  Prr prr_;
  NewReno reno_;
  // What is restored if the reduction proves needless (RFC 4015): kept until the next one.
  Cubic::Saved undo_cubic_{};
  std::uint32_t undo_cwnd_ = 0;
  std::uint32_t undo_ssthresh_ = 0;
  std::uint32_t undo_ms_ = 0;   // when the first retransmission left (Eifel detection, RFC 3522)
  Seq undo_end_;                // and its right edge
  Seq undo_marker_;             // snd.una when it began
  std::uint16_t undo_left_ = 0; // retransmissions that no D-SACK has answered yet

  Seq recover_;       // where the present phase ends; in Open, where the last one did
  Seq limited_until_; // what is acknowledged below this was sent with cwnd full
  Seq rtt_round_;     // the next sample for the estimator may come from here on
  Seq tlp_end_;       // tlp_active_: RFC 8985's TLP.end_seq
  std::uint32_t rack_deadline_us_ = 0;
  std::uint32_t last_sent_ms_ = 0;
  std::uint32_t seed_us_ = 0;     // when what was in flight before us left
  std::uint32_t reno_sacked_ = 0; // a peer without SACK: duplicates, as bytes
  std::uint32_t path_us_ = 0;     // the least round trip, but for those that were too good to be true
  std::uint8_t early_ = 0;        // so many of which came in a row
  std::uint8_t dup_acks_ = 0;
  Phase phase_ = Phase::Open;
  Frto frto_ = Frto::Off;
  bool undo_valid_ : 1 = false;
  bool undo_sent_ : 1 = false; // something was retransmitted since
  bool tlp_active_ : 1 = false;
  bool tlp_again_ : 1 = false;  // the probe was a retransmission
  bool tlp_credit_ : 1 = false; // one new segment may leave whatever cwnd says
  bool seeded_ : 1 = false;
  bool seed_timed_ : 1 = false;
};
static_assert(sizeof(Recovery) <= 256, "a side record, not a second Tcb");

} // namespace tern::tcp
