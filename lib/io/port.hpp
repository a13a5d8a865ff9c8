// What a Core asks of a port, whatever it is. A Core is compiled against one type that satisfies PacketPort:
// a DPDK port (EthPort), an end of the in-memory pair (MemoryPort), or a wrapper of either. There is no
// virtual call per packet.
#pragma once

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/counters.hpp"
#include "io/negotiation.hpp"
#include "wire/ethernet.hpp"

namespace tern::io {

using QueueId = std::uint16_t;
using MacBytes = wire::Mac;

inline constexpr std::uint16_t burst_size = 32;

// How the port spreads what it receives: the queue of a packet is `reta[toeplitz(key, tuple) % reta.size()]`.
struct RssView {
  std::vector<std::uint8_t> key;
  std::vector<QueueId> reta; // a power of two of entries
};

// One set a queue, written by its core alone.
enum class PortCounter : std::uint8_t {
  rx_packets,
  tx_packets,
  tx_backlogged, // packets that the transmit ring refused at first
  tx_dropped,    // and those that found the backlog full
  tx_unsendable, // refused by the driver for what they are, or a chain that could not be copied into one
                 // segment
  count_,
};
using PortCounters = Counters<PortCounter>;
[[nodiscard]] std::string_view name_of(PortCounter c);

// Arrays of raw mbufs own what they point at: the caller of rx_burst takes over what it is given; tx_burst
// takes over all of what it is handed, sends it in order, and says how many were neither dropped nor refused.
template <class P>
concept PacketPort = requires(P p, const P c, QueueId q, rte_mbuf** m, std::uint16_t n) {
  { p.rx_burst(q, m, n) } -> std::same_as<std::uint16_t>;
  { p.tx_burst(q, m, n) } -> std::same_as<std::uint16_t>;
  { p.tx_flush(q) } -> std::same_as<void>;            // retries the backlog; once a poll
  { c.tx_pending(q) } -> std::same_as<std::uint32_t>; // packets in the backlog
  { c.tx_full(q) } -> std::same_as<bool>;             // what can wait should: the backlog is half full
  { c.plan() } -> std::same_as<const PortPlan&>;
  { c.rss() } -> std::same_as<const RssView&>; // meaningful only when plan().rss is hardware
  { c.mac() } -> std::same_as<MacBytes>;
  { c.counters(q) } -> std::same_as<const PortCounters&>;
};

// Another core writes what is received: lines are far away, and asked for ahead of time. rx_ahead() is rx_burst(), but
// that no packet is looked at before its rx_comes(), which says that it will be soon; tx_comes(): a burst will be sent soon.
template <class P>
concept FarPort = PacketPort<P> && requires(P p, QueueId q, rte_mbuf** m, std::uint16_t n) {
  { p.rx_ahead(q, m, n) } -> std::same_as<std::uint16_t>;
  { p.rx_comes(*m) } -> std::same_as<void>;
  { p.tx_comes(q) } -> std::same_as<void>;
};

// What a transmit ring refused, in order, up to a fixed number.
class Backlog {
 public:
  explicit Backlog(std::uint32_t capacity = 512) // a power of two
      : slots_(std::make_unique<rte_mbuf*[]>(capacity)), mask_(capacity - 1) {}
  Backlog(Backlog&&) = default;
  Backlog& operator=(Backlog&&) = default;
  ~Backlog() {
    if (slots_ != nullptr)
      for (; head_ != tail_; ++head_) rte_pktmbuf_free(slots_[head_ & mask_]);
  }

  [[nodiscard]] bool empty() const { return head_ == tail_; }
  [[nodiscard]] bool half_full() const { return size() > mask_ / 2; }
  [[nodiscard]] std::uint32_t size() const { return tail_ - head_; }
  // How many were kept; the rest stays the caller's.
  std::uint16_t push(rte_mbuf** m, std::uint16_t n) {
    std::uint16_t i = 0;
    for (; i < n && size() <= mask_; ++i) slots_[tail_++ & mask_] = m[i];
    return i;
  }
  // Hands `send(mbufs, n) -> taken` the oldest packets until it takes no more, or there are none.
  template <class Send>
  void drain(Send&& send) {
    while (!empty()) {
      const std::uint32_t at = head_ & mask_;
      const auto n =
          static_cast<std::uint16_t>(std::min({size(), mask_ + 1 - at, std::uint32_t{burst_size}}));
      const std::uint16_t taken = send(&slots_[at], n);
      head_ += taken;
      if (taken < n) return;
    }
  }

 private:
  std::unique_ptr<rte_mbuf*[]> slots_;
  std::uint32_t mask_;
  std::uint32_t head_ = 0;
  std::uint32_t tail_ = 0;
};

// The transmit rule that every port shares: in order, behind what was refused before, bounded, counted.
// `send(mbufs, n) -> taken` is the ring.
template <class Send>
inline std::uint16_t send_in_order(Backlog& backlog, PortCounters& counters, rte_mbuf** m, std::uint16_t n,
                                   Send&& send) {
  if (!backlog.empty()) [[unlikely]]
    backlog.drain(send);
  std::uint16_t sent = 0;
  if (backlog.empty()) [[likely]]
    sent = send(m, n);
  if (sent == n) [[likely]]
    return n;
  const std::uint16_t kept = backlog.push(m + sent, static_cast<std::uint16_t>(n - sent));
  counters.add(PortCounter::tx_backlogged, kept);
  const auto taken = static_cast<std::uint16_t>(sent + kept);
  if (taken < n) {
    counters.add(PortCounter::tx_dropped, static_cast<std::uint64_t>(n - taken));
    for (std::uint16_t i = taken; i < n; ++i) rte_pktmbuf_free(m[i]);
  }
  return taken;
}

} // namespace tern::io
