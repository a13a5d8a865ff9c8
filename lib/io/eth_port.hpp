// A DPDK port: any vdev, any probed NIC.
#pragma once

#include <rte_ethdev.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/bell.hpp"
#include "io/memif_wake.hpp"
#include "io/port.hpp"
#include "io/wake.hpp"

namespace tern::io {

class EthPort {
 public:
  // Probes the device if need be, negotiates, configures and starts it. One receive pool a queue, the same
  // one more than once if so wished. Throws Error.
  EthPort(const PortRequest& request, std::span<rte_mempool* const> pools);
  ~EthPort();
  EthPort(const EthPort&) = delete;
  EthPort& operator=(const EthPort&) = delete;

  std::uint16_t rx_burst(QueueId q, rte_mbuf** out, std::uint16_t n) {
    std::uint16_t got = rte_eth_rx_burst(id_, q, out, n);
    if (sorts_tags_) [[unlikely]]
      got = sort_tags(out, got);
    if (got != 0) queues_[q].counters.add(PortCounter::rx_packets, got);
    return got;
  }
  std::uint16_t tx_burst(QueueId q, rte_mbuf** m, std::uint16_t n) {
    Queue& queue = queues_[q];
    if (!simple_tx_) [[unlikely]]
      n = prepare(q, m, n);
    return send_in_order(queue.backlog, queue.counters, m, n,
                         [&](rte_mbuf** p, std::uint16_t k) { return send(queue, q, p, k); });
  }
  void tx_flush(QueueId q) {
    Queue& queue = queues_[q];
    if (!queue.backlog.empty()) [[unlikely]]
      queue.backlog.drain([&](rte_mbuf** p, std::uint16_t k) { return send(queue, q, p, k); });
  }
  // What waits for a ring that may yet take it: without a peer none does.
  [[nodiscard]] std::uint32_t tx_pending(QueueId q) const {
    return queues_[q].alone ? 0 : queues_[q].backlog.size();
  }
  [[nodiscard]] bool tx_full(QueueId q) const { return queues_[q].backlog.half_full(); }

  [[nodiscard]] const PortPlan& plan() const { return plan_; }
  [[nodiscard]] const RssView& rss() const { return rss_; }
  [[nodiscard]] MacBytes mac() const;
  [[nodiscard]] const PortCounters& counters(QueueId q) const { return queues_[q].counters; }

  [[nodiscard]] std::uint16_t id() const { return id_; }
  [[nodiscard]] const PortCapabilities& capabilities() const { return capabilities_; }
  [[nodiscard]] std::string describe() const { return io::describe(id_, capabilities_.driver, plan_); }
  [[nodiscard]] bool link_up() const;
  [[nodiscard]] bool gone() const; // the device was taken away
  // Packets that the device itself lost for want of a descriptor or a buffer; none: it does not say.
  [[nodiscard]] std::optional<std::uint64_t> missed() const;

  // ---- For who sleeps (PortRequest::wakes). Between arm() and disarm() the descriptor tells of what comes;
  // where arm() is true, only of what comes after it: look at the queue once more before the sleep.
  [[nodiscard]] Waking waking(QueueId q) {
    if (plan_.wake != Where::hardware) return {};
    if (!memif_wake_.empty()) {
      queues_[q].alone = !link_up();
      return memif_wake_[q]->waking(!queues_[q].alone);
    }
    return {.descriptor = wake_.of_queue[q], .sure = true};
  }
  [[nodiscard]] bool arm(QueueId q);
  void disarm(QueueId q);

 private:
  struct alignas(2 * cache_line) Queue {
    PortCounters counters;
    Backlog backlog;
    bool alone = false; // net_memif: when it was last looked at, there was no peer
  };

  std::uint16_t send(Queue& queue, QueueId q, rte_mbuf** m, std::uint16_t n) {
    const std::uint16_t sent = rte_eth_tx_burst(id_, q, m, n);
    queue.counters.add(PortCounter::tx_packets, sent);
    return sent;
  }
  std::uint16_t prepare(QueueId q, rte_mbuf** m, std::uint16_t n);
  std::uint16_t sort_tags(rte_mbuf** m, std::uint16_t n) const;
  void configure(const PortRequest& request, std::span<rte_mempool* const> pools);
  struct Failure {
    int error = 0; // negative: it is one
    const char* what = "";
  };
  Failure bring_up(const PortRequest& request, const rte_eth_dev_info& info,
                   std::span<rte_mempool* const> pools, bool interrupts);
  void read_rss();

  std::uint16_t id_ = RTE_MAX_ETHPORTS;
  bool probed_ = false;     // by us: so we remove it
  bool sorts_tags_ = false; // VLAN tags come beside the frame: we asked for it, or AF_PACKET's kernel did so
  bool simple_tx_ = true;   // nothing to do before a packet is handed to the driver
  PortPlan plan_;
  PortCapabilities capabilities_;
  RssView rss_;
  std::string kernel_device_; // whose link is asked for, where the driver does not know it
  WakeDescriptors wake_;
  std::vector<std::unique_ptr<MemifWake>> memif_wake_; // by queue; of other drivers none
  std::unique_ptr<Queue[]> queues_;
};
static_assert(PacketPort<EthPort>);

} // namespace tern::io
