// Two ports joined in memory: what A transmits, B receives, and the other way. Packets pass by pointer;
// nothing is copied. It plays a NIC on either side: the sender applies the receiver's RSS key and table (no
// software PMD here really does RSS), and a checksum that was left to the "NIC" arrives as one that the "NIC"
// found good, as between two virtio guests.
#pragma once

#include <memory>
#include <vector>

#include "io/port.hpp"
#include "io/spsc_ring.hpp"
#include "packet/packet.hpp"

namespace tern::io {

struct MemoryPairSettings {
  std::uint16_t queues = 1; // each way; queue q of either end belongs to one thread
  std::uint16_t mtu = 1500;
  std::uint32_t ring_size = 1024; // packets a ring holds; there is one from every queue to every queue
  Offload checksums = Offload::automatic; // never: both ends compute and verify
  bool tso = false; // segments pass in packs, and are received so, as between two virtio guests
  Offload rss =
      Offload::automatic; // never: packets go to the queue they were sent on, as a port without RSS may do
  std::vector<std::uint8_t> rss_key; // 40 bytes; empty: Microsoft's
};

class MemoryPair;

// One end. Queue q is used by one thread at a time; different queues by different threads as they like.
class MemoryPort {
 public:
  std::uint16_t rx_burst(QueueId q, rte_mbuf** out, std::uint16_t n) {
    const std::uint16_t got = rx_ahead(q, out, n);
    for (std::uint16_t i = 0; i < got; ++i) rx_comes(out[i]);
    return got;
  }
  // For who has other work to do meanwhile: none of these packets is to be looked at before rx_comes() asked for it. A
  // core has some sixteen lines under way at a time; who asks for a whole burst's at once waits for most of them.
  std::uint16_t rx_ahead(QueueId q, rte_mbuf** out, std::uint16_t n) {
    Queue& queue = queues_[q];
    const std::uint16_t got = plan_.queues == 1 ? queue.in[0]->pop(out, n) : receive_from_all(queue, out, n);
    if (got != 0) queue.counters.add(PortCounter::rx_packets, got);
    return got;
  }
  // Its lines were last written on another core: they are asked for to be written, since what is freed here is used here.
  // Where frames begin is known of those that Tern makes.
  static void rx_comes(const rte_mbuf* packet) {
    const auto* const m = reinterpret_cast<const std::byte*>(packet);
    PacketStash::to_be_written(m, m + sizeof(rte_mbuf) + RTE_PKTMBUF_HEADROOM);
  }
  std::uint16_t tx_burst(QueueId q, rte_mbuf** m, std::uint16_t n) {
    Queue& queue = queues_[q];
    for (std::uint16_t i = 0; i < n; ++i) as_received(m[i]);
    return send_in_order(queue.backlog, queue.counters, m, n,
                         [&](rte_mbuf** p, std::uint16_t k) { return send(queue, q, p, k); });
  }
  // A burst will be sent soon. Who has this has his packets from another core, whose lines are far away: a Core looks
  // ahead for more of them before it writes its output.
  void tx_comes(QueueId q) {
    if (plan_.queues == 1) queues_[q].out[0]->push_comes();
  }
  void tx_flush(QueueId q) {
    Queue& queue = queues_[q];
    if (!queue.backlog.empty()) [[unlikely]]
      queue.backlog.drain([&](rte_mbuf** p, std::uint16_t k) { return send(queue, q, p, k); });
  }
  [[nodiscard]] std::uint32_t tx_pending(QueueId q) const { return queues_[q].backlog.size(); }
  [[nodiscard]] bool tx_full(QueueId q) const { return queues_[q].backlog.half_full(); }

  [[nodiscard]] const PortPlan& plan() const { return plan_; }
  [[nodiscard]] const RssView& rss() const { return rss_; }
  [[nodiscard]] MacBytes mac() const { return mac_; }
  [[nodiscard]] const PortCounters& counters(QueueId q) const { return queues_[q].counters; }
  [[nodiscard]] std::string describe() const { return io::describe(id_, "memory", plan_); }

 private:
  friend class MemoryPair;
  struct alignas(2 * cache_line) Queue {
    std::vector<SpscRing*> in;  // from each of the other end's queues
    std::vector<SpscRing*> out; // to each of the other end's queues
    std::uint16_t next_in = 0;  // where the next receive starts, so that no sender starves another
    PortCounters counters;
    Backlog backlog;
  };

  // Transmit requests become receive findings. The first segment of what is sent is the sender's alone, as
  // for any NIC that is told by its flags what to do.
  void as_received(rte_mbuf* m) const {
    TERN_DCHECK(rte_mbuf_refcnt_read(m) == 1);
    const std::uint64_t asked = m->ol_flags;
    std::uint64_t found = asked & (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL);
    if ((asked & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_TCP_CKSUM) found |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    if ((asked & RTE_MBUF_F_TX_IP_CKSUM) != 0) found |= RTE_MBUF_F_RX_IP_CKSUM_GOOD;
    m->ol_flags = found;
    m->port = id_;
  }
  std::uint16_t send(Queue& queue, QueueId q, rte_mbuf** m, std::uint16_t n) {
    const std::uint16_t sent = plan_.queues == 1 ? queue.out[0]->push(m, n) : spread(queue, q, m, n);
    queue.counters.add(PortCounter::tx_packets, sent);
    return sent;
  }
  static std::uint16_t receive_from_all(Queue& queue, rte_mbuf** out, std::uint16_t n);
  std::uint16_t spread(Queue& queue, QueueId q, rte_mbuf** m, std::uint16_t n);

  std::uint16_t id_ = 0;
  MacBytes mac_{};
  PortPlan plan_;
  RssView rss_; // both ends' are the same
  std::unique_ptr<class RssHash> hash_;
  std::unique_ptr<Queue[]> queues_;

 public:
  MemoryPort();
  ~MemoryPort();
};
static_assert(PacketPort<MemoryPort>);

class MemoryPair {
 public:
  explicit MemoryPair(const MemoryPairSettings& settings); // throws Error
  [[nodiscard]] MemoryPort& a() { return ends_[0]; }
  [[nodiscard]] MemoryPort& b() { return ends_[1]; }

 private:
  std::vector<std::unique_ptr<SpscRing>> rings_;
  MemoryPort ends_[2];
};

} // namespace tern::io
