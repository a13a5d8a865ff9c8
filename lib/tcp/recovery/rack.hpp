// RACK's view of time (RFC 8985 §6): which transmission that has arrived left last, how long it took, and how
// much reordering to bear. The marking itself is the log's work.
#pragma once

#include <cstdint>

#include "base/seq.hpp"
#include "tcp/recovery/tx_log.hpp"

namespace tern::tcp {

class Rack {
 public:
  static constexpr std::uint32_t dup_threshold = 3; // segments
  static constexpr std::uint8_t persistence = 16;   // recoveries that a wider window outlives its reason

  // Steps 1 to 3.
  void learn(const Delivered&);
  // A D-SACK came (§6.2 step 4): once a round trip, the window widens by a quarter of the least RTT.
  void on_dsack(Seq una, Seq snd_nxt);
  // A retransmission was needless: what it repaired had only been overtaken (step 3, by RFC 3522 or 3708).
  void on_spurious() { reordering_ = true; }
  void on_recovery_exit();
  // What was delivered left so long ago that the clock may not tell it from what leaves now.
  void forget_times() { timed_ = false; }
  // The reordering window. `eager`: in recovery, or DupThresh segments are held above a hole.
  [[nodiscard]] std::uint32_t window_us(std::uint32_t srtt_us, bool eager) const;
  [[nodiscard]] RackRule rule(std::uint32_t srtt_us, bool eager, std::uint32_t now_us) const {
    return {sent_us_, end_, rtt_us_ + window_us(srtt_us, eager), now_us, again_};
  }
  [[nodiscard]] bool timed() const { return timed_; } // something was delivered, and it is known when it left
  [[nodiscard]] bool reordering_seen() const { return reordering_; }
  [[nodiscard]] std::uint32_t min_rtt_us() const { return min_rtt_us_; } // 0: unknown
  [[nodiscard]] std::uint32_t rtt_us() const { return rtt_us_; }

 private:
  void take_rtt(std::uint32_t rtt_us, std::uint32_t now_us);

  std::uint32_t sent_us_ = 0; // timed_: of the transmission that left last among those delivered
  Seq end_;                   // and its right edge
  std::uint32_t rtt_us_ = 0;
  std::uint32_t min_rtt_us_ = 0;
  std::uint32_t min_rtt_at_us_ = 0;
  Seq fack_; // the highest right edge delivered
  Seq dsack_round_;
  bool again_ = false;   // it was a retransmission
  bool started_ = false; // something has been delivered: fack_
  bool timed_ = false;
  bool reordering_ = false;
  bool dsack_round_set_ = false;
  std::uint8_t multiplier_ = 1;
  std::uint8_t persist_ = 0;
};
static_assert(sizeof(Rack) <= 36);

} // namespace tern::tcp
