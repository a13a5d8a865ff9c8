// A bad link in front of a good port: loss, delay, reordering, duplication, corruption, by seed. A wrapper,
// so that a port that is not impaired pays nothing. It impairs what is sent; to impair both ways, wrap both
// ends.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
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

// Time is passed in: call `advance` once a poll. Each queue is a link of its own with dice of its own, and one
// thread's.
template <PacketPort P>
class Impaired {
 public:
  // `pool` serves the copies that duplication and corruption make: what is sent may still be held by the
  // sender's retransmission queue, so its bytes are never touched.
  Impaired(P& port, const Impairment& how, PacketPool pool) : port_(port), how_(how), pool_(pool) {
    for (QueueId q = 0; q < port.plan().queues; ++q)
      links_.push_back(std::make_unique<Link>(how.seed + q * 0xd1342543de82ef95));
    for (auto& l : links_) l->held.reserve(how.limit);
  }
  Impaired(const Impaired&) = delete;
  Impaired& operator=(const Impaired&) = delete;
  ~Impaired() {
    for (const auto& l : links_)
      for (const Held& h : l->held) rte_pktmbuf_free(h.packet);
  }

  std::uint16_t rx_burst(QueueId q, rte_mbuf** out, std::uint16_t n) { return port_.rx_burst(q, out, n); }
  std::uint16_t tx_burst(QueueId q, rte_mbuf** m, std::uint16_t n) {
    Link& l = *links_[q];
    for (std::uint16_t i = 0; i < n; ++i) take(l, Packet{m[i]});
    release(l, q);
    return n; // what is lost here is lost on the way: the sender does not see it
  }
  void tx_flush(QueueId q) { port_.tx_flush(q); }
  [[nodiscard]] std::uint32_t tx_pending(QueueId q) const {
    return port_.tx_pending(q) + static_cast<std::uint32_t>(links_[q]->held.size());
  }
  // What is on its way over the link waits for nobody.
  [[nodiscard]] bool tx_full(QueueId q) const { return port_.tx_full(q); }
  [[nodiscard]] const PortPlan& plan() const { return port_.plan(); }
  [[nodiscard]] const RssView& rss() const { return port_.rss(); }
  [[nodiscard]] MacBytes mac() const { return port_.mac(); }
  [[nodiscard]] const PortCounters& counters(QueueId q) const { return port_.counters(q); }

  void advance(Instant now, QueueId q = 0) {
    links_[q]->now = now;
    release(*links_[q], q);
  }
  [[nodiscard]] const Counters<ImpairCounter>& impairments(QueueId q = 0) const {
    return links_[q]->counters;
  }

 private:
  struct Held {
    Instant due;
    std::uint64_t serial; // of equal times the first in goes first
    rte_mbuf* packet;
    // A heap keeps its greatest in front: the earliest is the greatest here.
    bool operator<(const Held& o) const { return o.due != due ? o.due < due : o.serial < serial; }
  };

  struct alignas(2 * cache_line) Link {
    explicit Link(std::uint64_t seed) : random(seed) {}
    std::uint64_t random;
    std::uint64_t serial = 0;
    Instant now;
    std::vector<Held> held; // a heap by due time
    Counters<ImpairCounter> counters;

    // SplitMix64: small, and the same on every machine.
    std::uint64_t next() {
      std::uint64_t z = (random += 0x9e3779b97f4a7c15);
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
      z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
      return z ^ (z >> 31);
    }
    // Draws only for what is on, so that one impairment's switch does not move another's dice within a
    // packet's order.
    bool chance(double p) { return p > 0 && static_cast<double>(next() >> 11) * 0x1.0p-53 < p; }
  };

  void take(Link& l, Packet p) {
    if (l.chance(how_.loss)) return l.counters.add(ImpairCounter::lost);
    if (l.chance(how_.duplicate)) {
      if (Packet twin = p.copy(0, p.length(), pool_)) {
        l.counters.add(ImpairCounter::duplicated);
        hold(l, std::move(twin));
      } else {
        l.counters.add(ImpairCounter::no_buffer);
      }
    }
    if (l.chance(how_.corrupt)) corrupt(l, p);
    hold(l, std::move(p));
  }
  void corrupt(Link& l, Packet& p) {
    constexpr std::uint32_t addresses = 12;
    if (p.length() <= addresses) return;
    Packet copy = p.copy(0, p.length(), pool_);
    if (!copy) return l.counters.add(ImpairCounter::no_buffer);
    // A checksum still to be filled in would hide the damage.
    copy.mbuf()->ol_flags &= ~(RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_IP_CKSUM);
    auto at = addresses + static_cast<std::uint32_t>(l.next() % (p.length() - addresses));
    rte_mbuf* s = copy.mbuf();
    for (; at >= s->data_len; s = s->next) at -= s->data_len;
    *rte_pktmbuf_mtod_offset(s, std::byte*, at) ^= std::byte{1} << (l.next() & 7);
    l.counters.add(ImpairCounter::corrupted);
    p = std::move(copy);
  }
  void hold(Link& l, Packet p) {
    if (l.held.size() == how_.limit) return l.counters.add(ImpairCounter::overflowed);
    Instant due = l.now + how_.delay;
    if (how_.jitter > Duration{})
      due = due + Duration::ns(
                      static_cast<std::int64_t>(l.next() % static_cast<std::uint64_t>(how_.jitter.as_ns())));
    if (l.chance(how_.reorder)) {
      due = due + how_.reorder_delay;
      l.counters.add(ImpairCounter::reordered);
    }
    l.held.push_back({due, l.serial++, p.release()});
    std::push_heap(l.held.begin(), l.held.end());
  }
  void release(Link& l, QueueId q) {
    while (!l.held.empty() && l.held.front().due <= l.now) {
      std::pop_heap(l.held.begin(), l.held.end());
      Held h = l.held.back();
      l.held.pop_back();
      l.counters.add(ImpairCounter::passed);
      port_.tx_burst(q, &h.packet, 1);
    }
  }

  P& port_;
  Impairment how_;
  PacketPool pool_;
  std::vector<std::unique_ptr<Link>> links_; // by queue
};

} // namespace tern::io
