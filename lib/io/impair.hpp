// A bad link in front of a good port: loss, delay, reordering, duplication, corruption, by seed. A wrapper,
// so that a port that is not impaired pays nothing. It impairs what is sent; to impair both ways, wrap both
// ends.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/time.hpp"
#include "io/port.hpp"
#include "packet/packet.hpp"

namespace tern::io {

struct Impairment {
  double loss = 0; // each a probability, 0..1
  double duplicate = 0;
  double corrupt = 0; // one bit of one byte behind the Ethernet addresses
  double reorder = 0; // held back by `reorder_delay` while others pass
  Duration delay;
  Duration jitter; // uniform, added to the delay; packets may overtake one another
  Duration reorder_delay = Duration::ms(1);
  std::uint32_t limit = 4096; // packets under way; past it they are lost
  std::uint64_t seed = 1;
};

enum class ImpairCounter : std::uint8_t {
  passed,
  lost,
  duplicated,
  corrupted,
  reordered,
  overflowed,
  no_buffer,
  count_
};

// Time is passed in: call `advance` once a poll. One queue's traffic, one thread.
template <PacketPort P>
class Impaired {
 public:
  // `pool` serves the copies that duplication and corruption make: what is sent may still be held by the
  // sender's retransmission queue, so its bytes are never touched.
  Impaired(P& port, const Impairment& how, PacketPool pool)
      : port_(port), how_(how), pool_(pool), random_(how.seed) {
    held_.reserve(how.limit);
  }
  Impaired(const Impaired&) = delete;
  Impaired& operator=(const Impaired&) = delete;
  ~Impaired() {
    for (const Held& h : held_) rte_pktmbuf_free(h.packet);
  }

  std::uint16_t rx_burst(QueueId q, rte_mbuf** out, std::uint16_t n) { return port_.rx_burst(q, out, n); }
  std::uint16_t tx_burst(QueueId q, rte_mbuf** m, std::uint16_t n) {
    for (std::uint16_t i = 0; i < n; ++i) take(q, Packet{m[i]});
    release();
    return n; // what is lost here is lost on the way: the sender does not see it
  }
  void tx_flush(QueueId q) { port_.tx_flush(q); }
  [[nodiscard]] std::uint32_t tx_pending(QueueId q) const {
    return port_.tx_pending(q) + static_cast<std::uint32_t>(held_.size());
  }
  [[nodiscard]] const PortPlan& plan() const { return port_.plan(); }
  [[nodiscard]] const RssView& rss() const { return port_.rss(); }
  [[nodiscard]] MacBytes mac() const { return port_.mac(); }
  [[nodiscard]] const PortCounters& counters(QueueId q) const { return port_.counters(q); }

  void advance(Instant now) {
    now_ = now;
    release();
  }
  [[nodiscard]] const Counters<ImpairCounter>& impairments() const { return counters_; }

 private:
  struct Held {
    Instant due;
    std::uint64_t serial; // of equal times the first in goes first
    rte_mbuf* packet;
    QueueId queue;
    // A heap keeps its greatest in front: the earliest is the greatest here.
    bool operator<(const Held& o) const { return o.due != due ? o.due < due : o.serial < serial; }
  };

  // SplitMix64: small, and the same on every machine.
  std::uint64_t next() {
    std::uint64_t z = (random_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // Draws only for what is on, so that one impairment's switch does not move another's dice within a packet's
  // order.
  bool chance(double p) { return p > 0 && static_cast<double>(next() >> 11) * 0x1.0p-53 < p; }

  void take(QueueId q, Packet p) {
    if (chance(how_.loss)) return counters_.add(ImpairCounter::lost);
    if (chance(how_.duplicate)) {
      if (Packet twin = p.copy(0, p.length(), pool_)) {
        counters_.add(ImpairCounter::duplicated);
        hold(q, std::move(twin));
      } else {
        counters_.add(ImpairCounter::no_buffer);
      }
    }
    if (chance(how_.corrupt)) corrupt(p);
    hold(q, std::move(p));
  }
  void corrupt(Packet& p) {
    constexpr std::uint32_t addresses = 12;
    if (p.length() <= addresses) return;
    Packet copy = p.copy(0, p.length(), pool_);
    if (!copy) return counters_.add(ImpairCounter::no_buffer);
    // A checksum still to be filled in would hide the damage.
    copy.mbuf()->ol_flags &= ~(RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_IP_CKSUM);
    auto at = addresses + static_cast<std::uint32_t>(next() % (p.length() - addresses));
    rte_mbuf* s = copy.mbuf();
    for (; at >= s->data_len; s = s->next) at -= s->data_len;
    *rte_pktmbuf_mtod_offset(s, std::byte*, at) ^= std::byte{1} << (next() & 7);
    counters_.add(ImpairCounter::corrupted);
    p = std::move(copy);
  }
  void hold(QueueId q, Packet p) {
    if (held_.size() == how_.limit) return counters_.add(ImpairCounter::overflowed);
    Instant due = now_ + how_.delay;
    if (how_.jitter > Duration{})
      due = due +
            Duration::ns(static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(how_.jitter.as_ns())));
    if (chance(how_.reorder)) {
      due = due + how_.reorder_delay;
      counters_.add(ImpairCounter::reordered);
    }
    held_.push_back({due, serial_++, p.release(), q});
    std::push_heap(held_.begin(), held_.end());
  }
  void release() {
    while (!held_.empty() && held_.front().due <= now_) {
      std::pop_heap(held_.begin(), held_.end());
      Held h = held_.back();
      held_.pop_back();
      counters_.add(ImpairCounter::passed);
      port_.tx_burst(h.queue, &h.packet, 1);
    }
  }

  P& port_;
  Impairment how_;
  PacketPool pool_;
  std::uint64_t random_;
  std::uint64_t serial_ = 0;
  Instant now_;
  std::vector<Held> held_; // a heap by due time
  Counters<ImpairCounter> counters_;
};

} // namespace tern::io
