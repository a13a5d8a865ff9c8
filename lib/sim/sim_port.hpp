// A port whose other end is the simulated network: a PacketPort that a whole Core drives. The network carries
// IP packets, so the port plays the link around them too: it puts an Ethernet header in front of what
// arrives, takes it off what leaves, and answers every ARP request itself. Checksums are computed and
// verified in software, by the code that real ports without offloads use.
#pragma once

#include <deque>
#include <functional>

#include "io/port.hpp"
#include "packet/packet.hpp"
#include "sim/frame.hpp"

namespace tern::sim {

class SimPort {
 public:
  explicit SimPort(PacketPool packets, std::uint32_t receive_ring = 4096);
  SimPort(const SimPort&) = delete;
  SimPort& operator=(const SimPort&) = delete;
  ~SimPort();

  // ---- The wire's side.
  // An IP packet arrives; lost, counted, when the ring is full or no mbuf is to be had, as at a NIC.
  void deliver(Bytes ip_packet);
  [[nodiscard]] bool waiting() const { return !ring_.empty(); }
  [[nodiscard]] std::uint64_t missed() const { return missed_; }
  std::function<void(Bytes ip_packet)> wire; // where to send

  // ---- The core's side: io::PacketPort.
  std::uint16_t rx_burst(io::QueueId, rte_mbuf** out, std::uint16_t n);
  std::uint16_t tx_burst(io::QueueId, rte_mbuf** m, std::uint16_t n);
  void tx_flush(io::QueueId) {}
  [[nodiscard]] std::uint32_t tx_pending(io::QueueId) const { return 0; }
  [[nodiscard]] bool tx_full(io::QueueId) const { return false; }
  [[nodiscard]] const io::PortPlan& plan() const { return plan_; }
  [[nodiscard]] const io::RssView& rss() const { return rss_; }
  [[nodiscard]] io::MacBytes mac() const { return {0x02, 0, 0, 0, 0, 1}; }
  [[nodiscard]] const io::PortCounters& counters(io::QueueId) const { return counters_; }

 private:
  void put_in_ring(Packet p);
  void answer_arp(const Packet& request);

  PacketPool packets_;
  std::uint32_t room_;
  std::deque<rte_mbuf*> ring_;
  std::uint64_t missed_ = 0;
  Frame scratch_;
  io::PortPlan plan_;
  io::RssView rss_;
  io::PortCounters counters_;
};
static_assert(io::PacketPort<SimPort>);

} // namespace tern::sim
