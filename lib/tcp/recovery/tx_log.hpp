// What was sent and when: the transmit log and SACK scoreboard (RFC 2018, 6675, 8985).
//
// Not one record a segment: one record for each run of neighbouring bytes that share a fate and left within a
// small slice of time, cut at segment boundaries when SACK, loss or retransmission tells its parts apart, and
// joined again when they become alike. What the peer holds is one record for each of its ranges. So a clean
// bulk transfer needs a few dozen records whatever its window, and a hostile peer can make at most
// `most_entries` of them.
//
//   una                                                                        end
//    | retransmitted |   sacked   | lost | retransmitted |  sacked  |  sent at t1  |  sent at t2  |
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/pool.hpp"
#include "base/seq.hpp"

namespace tern::tcp {

enum TxFlag : std::uint8_t {
  tx_sacked = 1, // the peer holds it
  tx_lost = 2,   // believed lost and not sent again since
  tx_again = 4,  // sent more than once; the time is the last one's
  tx_coarse = 8, // for want of room, joined with what left at other times: the time is not to be measured by
};

// Ends where the next entry begins.
struct TxEntry {
  Seq seq;
  std::uint32_t sent_us = 0;
  std::uint16_t mss = 0; // cut at multiples of it
  std::uint8_t flags = 0;
  std::uint8_t spare = 0;
};
static_assert(sizeof(TxEntry) == 12);

// Four cache lines of entries, in sequence order.
struct alignas(64) TxLogBlock {
  static constexpr std::uint8_t most = 19;
  TxLogBlock* next = nullptr;
  TxLogBlock* prev = nullptr;
  std::uint8_t begin = 0; // entries [begin, end) are in use; never empty while linked
  std::uint8_t end = 0;
  TxEntry entries[most];

  [[nodiscard]] Seq first() const { return entries[begin].seq; }
};
static_assert(sizeof(TxLogBlock) == 256);

// RFC 8985 §6.2 RACK_sent_after: which of two transmissions left later.
[[nodiscard]] constexpr bool sent_after(std::uint32_t t1, Seq end1, std::uint32_t t2, Seq end2) {
  const auto d = static_cast<std::int32_t>(t1 - t2);
  return d > 0 || (d == 0 && end1.after(end2));
}

// What one ACK newly delivered, cumulatively or selectively. The first three fields are set by the caller.
struct Delivered {
  std::uint32_t now_us = 0;
  std::uint32_t min_rtt_us = 0;         // a retransmission acknowledged faster than this was not what arrived
  std::uint32_t echoed_us = 0xffffffff; // at most this long ago left what arrived, by its timestamp

  std::uint32_t bytes = 0;
  std::uint32_t sacked_bytes = 0; // of these, selectively
  bool any_time = false;          // newest_* are set
  bool newest_again = false;
  bool divided = false;  // the ACK ends inside a segment
  bool original = false; // something never retransmitted is among it: lowest_original is set
  std::uint32_t newest_sent_us = 0;
  Seq newest_end;
  Seq lowest_original; // right edge
  Seq highest_end;     // valid when bytes is not 0

  void take(Seq left, Seq right, std::uint32_t sent_us, std::uint8_t flags) {
    highest_end = bytes == 0 ? right : later_of(highest_end, right);
    bytes += right.since(left);
    const bool again = (flags & tx_again) != 0;
    if (!again) {
      lowest_original = original ? earlier_of(lowest_original, right) : right;
      original = true;
    }
    if ((flags & tx_coarse) != 0) return;
    const std::uint32_t age = now_us - sent_us;
    // RFC 8985 §6.2 step 2: the ACK may be the original's. The echo has millisecond grain, hence the slack.
    if (again && (age < min_rtt_us || (echoed_us != 0xffffffff && age + 2000 < echoed_us))) return;
    if (any_time && !sent_after(sent_us, right, newest_sent_us, newest_end)) return;
    any_time = true;
    newest_sent_us = sent_us;
    newest_end = right;
    newest_again = again;
  }
};

// RFC 8985 §6.2 step 5: everything that left before the newest delivered transmission, and `patience_us` ago
// or more, is lost.
struct RackRule {
  std::uint32_t sent_us = 0;
  Seq end;
  std::uint32_t patience_us = 0; // RACK.rtt + reordering window
  std::uint32_t now_us = 0;
  bool again = false; // it was a retransmission
};
struct RackFinding {
  std::uint32_t lost = 0;    // bytes newly marked
  std::uint32_t wait_us = 0; // how long until the last of the others is due; 0: none is waiting
};

class TxLog {
 public:
  static constexpr std::uint16_t most_entries = 1024; // a connection's share, 54 blocks

  using Blocks = Pool<TxLogBlock>;

  // [seq, seq + length) has left for the first time. What left within `slice_us` of its neighbour shares its
  // record. False: no room, it was logged coarsely or not at all.
  bool append(Blocks*, Seq seq, std::uint32_t length, std::uint16_t mss, std::uint32_t now_us,
              std::uint32_t slice_us);
  // It has left again.
  bool retransmitted(Blocks*, Seq left, Seq right, std::uint32_t now_us);
  // Everything before una is acknowledged.
  void acknowledge(Blocks*, Seq una, Delivered&);
  // The peer holds [left, right), which lies above una; only whole segments are marked (as Linux since
  // CVE-2019-11477), the more so when there is no room to cut.
  void sack(Blocks*, Seq left, Seq right, Delivered&);

  [[nodiscard]] RackFinding mark_lost(const RackRule&);
  // The first `length` bytes, if they were not already; how many were marked.
  std::uint32_t mark_front_lost(Blocks*, std::uint32_t length);
  void mark_all_lost();
  void mark_longer_lost(std::uint16_t mss); // cut for a larger segment size
  void unmark_lost();                       // it was not lost after all
  void distrust();                          // when it left, and how often, is not known
  void forget_sacked();                     // the peer has reneged (RFC 2018 §8)

  struct Range {
    Seq left;
    Seq right;
  };
  // The first run of lost bytes; empty when there is none.
  [[nodiscard]] Range first_lost() const;
  [[nodiscard]] bool front_is_sacked() const {
    return head_ != nullptr && (head_->entries[head_->begin].flags & tx_sacked) != 0;
  }
  [[nodiscard]] Seq end() const { return end_; }
  [[nodiscard]] bool empty() const { return head_ == nullptr; }
  [[nodiscard]] std::uint32_t sacked() const { return sacked_; } // bytes
  [[nodiscard]] std::uint32_t lost() const { return lost_; }     // bytes
  [[nodiscard]] std::uint16_t entries() const { return entries_; }
  void release(Blocks*);

  // For tests: walks all entries as f(left, right, entry).
  template <class F>
  void each(F&& f) const {
    for (const TxLogBlock* b = head_; b != nullptr; b = b->next)
      for (std::uint8_t i = b->begin; i < b->end; ++i) f(b->entries[i].seq, right_of({b, i}), b->entries[i]);
  }

 private:
  template <class B>
  struct At {
    B* block = nullptr;
    std::uint8_t i = 0;
    [[nodiscard]] auto& entry() const { return block->entries[i]; }
  };
  using Place = At<TxLogBlock>;
  using ConstPlace = At<const TxLogBlock>;

  [[nodiscard]] Seq right_of(ConstPlace) const;
  [[nodiscard]] static bool next(Place&);
  [[nodiscard]] static bool prev(Place&);
  [[nodiscard]] Place find(Seq);
  [[nodiscard]] bool insert_after(Blocks*, Place&, const TxEntry&);
  [[nodiscard]] bool cut(Blocks*, Place&, Seq at); // the place moves to the right-hand part
  void erase(Blocks*, Place);                      // the one before swallows its bytes
  void join_before(Blocks*, Place&);               // if alike
  void unlink(Blocks*, TxLogBlock*);
  void set_lost(Place, std::uint32_t length);
  void count_out(const TxEntry&, std::uint32_t length);

  TxLogBlock* head_ = nullptr;
  TxLogBlock* tail_ = nullptr;
  TxLogBlock* hint_ = nullptr;               // where the last search ended
  mutable TxLogBlock* first_lost_ = nullptr; // no lost entry lies in an earlier block
  Seq end_;
  std::uint32_t sacked_ = 0;
  std::uint32_t lost_ = 0;
  std::uint16_t entries_ = 0;
  // Something was sent again since the last append. No slice spans a retransmission, so comparing the times
  // of any two entries tells which left first.
  bool closed_ = false;
};
static_assert(sizeof(TxLog) <= 48);

} // namespace tern::tcp
