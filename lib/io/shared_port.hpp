// One port, several cores. To each core it is a port of its own whose queue is the core's number, and what
// comes out of it belongs to that core. Where the NIC spreads by a key and table that were read back, that is
// so by itself; elsewhere each frame is looked at on arrival (io/steering.hpp) and what is another core's
// goes to that one's ring: counted, dropped only when the ring is full. Nobody waits for a ring.
//
// A port with fewer queues than there are cores gives its queues to the first of them. The others live from
// hand-offs, and transmit through a ring to the core whose queue they share.
//
//   NIC queue 0 ──▶ core 0 ══▶ core 1 ◀── NIC queue 1        ══▶ hand-off ring, one for each ordered pair:
//                    ▲  ╚════▶ core 2 ═╗                          one writer, one reader, order kept
//                    ╚══ transmit ring ╝ (has no queue)
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "io/bell.hpp"
#include "io/port.hpp"
#include "io/spsc_ring.hpp"
#include "io/steering.hpp"

namespace tern::io {

// One set a core, written by it alone.
enum class SteerCounter : std::uint8_t {
  steer_handoff,   // packets given to the core that owns them
  steer_ring_full, // and those dropped because that core's ring was full
  steer_received,  // packets taken over from other cores
  tx_relayed,      // packets sent for a core that has no queue
  count_
};
using SteerCounters = Counters<SteerCounter>;
[[nodiscard]] std::string_view name_of(SteerCounter c);

template <PacketPort P>
class SharedPort {
 public:
  SharedPort(P& port, const Steering& steering, std::uint32_t ring_size = 1024)
      : port_(port), steering_(steering), cores_(steering.cores()), queues_(port.plan().queues) {
    for (CoreId c = 0; c < cores_; ++c) lanes_.push_back(std::make_unique<Lane>());
    const auto ring = [&](CoreId from, CoreId to) {
      rings_.push_back(std::make_unique<SpscRing>(ring_size));
      lanes_[from]->out[to] = rings_.back().get();
      lanes_[to]->in.push_back(rings_.back().get());
    };
    for (CoreId from = 0; from < cores_; ++from) {
      lanes_[from]->out.resize(cores_);
      lanes_[from]->staged.resize(cores_);
      for (CoreId to = 0; to < cores_; ++to)
        if (from != to) ring(from, to);
    }
    for (CoreId guest = queues_; guest < cores_; ++guest) {
      rings_.push_back(std::make_unique<SpscRing>(ring_size));
      lanes_[guest]->transmit = rings_.back().get();
      lanes_[host_of(guest)]->guests.push_back(rings_.back().get());
    }
  }
  SharedPort(const SharedPort&) = delete;
  SharedPort& operator=(const SharedPort&) = delete;

  // ---- PacketPort, with a core's number for a queue's.
  std::uint16_t rx_burst(CoreId core, rte_mbuf** out, std::uint16_t n) {
    if (cores_ == 1) [[likely]]
      return port_.rx_burst(core, out, n);
    return receive(core, out, n);
  }
  std::uint16_t tx_burst(CoreId core, rte_mbuf** m, std::uint16_t n) {
    if (core < queues_) [[likely]]
      return port_.tx_burst(core, m, n);
    Lane& lane = *lanes_[core];
    const std::uint16_t sent = send_in_order(lane.backlog, lane.counters, m, n, relay(lane));
    ring_bell(host_of(core));
    return sent;
  }
  std::uint16_t rx_ahead(CoreId core, rte_mbuf** out, std::uint16_t n) requires FarPort<P> {
    if (cores_ == 1) [[likely]]
      return port_.rx_ahead(core, out, n);
    return receive(core, out, n);
  }
  static void rx_comes(const rte_mbuf* packet) requires FarPort<P> { P::rx_comes(packet); }
  void tx_comes(CoreId core) requires FarPort<P> {
    if (core < queues_) port_.tx_comes(core);
  }
  void tx_flush(CoreId core) {
    Lane& lane = *lanes_[core];
    if (core < queues_) {
      if (!lane.guests.empty()) [[unlikely]]
        send_for_guests(core, lane);
      port_.tx_flush(core);
    } else if (!lane.backlog.empty()) {
      lane.backlog.drain(relay(lane));
      ring_bell(host_of(core));
    }
  }
  [[nodiscard]] std::uint32_t tx_pending(CoreId core) const {
    return core < queues_ ? port_.tx_pending(core)
                          : lanes_[core]->backlog.size() + lanes_[core]->transmit->size();
  }
  [[nodiscard]] bool tx_full(CoreId core) const {
    return core < queues_ ? port_.tx_full(core) : lanes_[core]->backlog.half_full();
  }
  [[nodiscard]] const PortPlan& plan() const { return port_.plan(); }
  [[nodiscard]] const RssView& rss() const { return port_.rss(); }
  [[nodiscard]] MacBytes mac() const { return port_.mac(); }
  [[nodiscard]] const PortCounters& counters(CoreId core) const {
    return core < queues_ ? port_.counters(core) : lanes_[core]->counters;
  }

  // ---- What a core does with what turned out not to be its own (an ICMP error that the NIC spread by its
  // addresses, a segment that was reassembled here).
  [[nodiscard]] const Steering& steering() const { return steering_; }
  void hand_off(CoreId from, CoreId to, rte_mbuf* m) { hand_off(*lanes_[from], to, &m, 1); }
  // Whether another core has put something here.
  [[nodiscard]] bool waiting(CoreId core) const {
    const Lane& lane = *lanes_[core];
    const auto some = [](const SpscRing* r) { return r->size() != 0; };
    return std::any_of(lane.in.begin(), lane.in.end(), some) ||
           std::any_of(lane.guests.begin(), lane.guests.end(), some);
  }
  // What comes to a core without a queue is told by its bell alone.
  [[nodiscard]] Waking waking(CoreId core) const {
    if (core >= queues_) return {.sure = true};
    if constexpr (requires { port_.waking(core); }) return port_.waking(core);
    return {};
  }
  [[nodiscard]] bool arm(CoreId core) {
    if constexpr (requires { port_.arm(core); }) return core < queues_ && port_.arm(core);
    return false;
  }
  void disarm(CoreId core) {
    if constexpr (requires { port_.disarm(core); })
      if (core < queues_) port_.disarm(core);
  }
  // Rung when something is put there. Before any core runs.
  void set_bell(CoreId core, Bell* bell) { lanes_[core]->bell = bell; }
  [[nodiscard]] const SteerCounters& steered(CoreId core) const { return lanes_[core]->steered; }

 private:
  struct Staged {
    std::array<rte_mbuf*, burst_size> packets;
    std::uint16_t count = 0;
  };
  struct alignas(2 * cache_line) Lane {
    std::vector<SpscRing*> in;     // from every other core
    std::vector<SpscRing*> out;    // by core
    std::vector<Staged> staged;    // by core; empty between bursts
    std::vector<SpscRing*> guests; // from cores that transmit through this one's queue
    SpscRing* transmit = nullptr;  // of a core without a queue
    std::uint32_t next_in = 0;     // where the next receive starts, so that no core starves another
    Bell* bell = nullptr;
    SteerCounters steered;
    PortCounters counters; // of a core without a queue
    Backlog backlog{512};  // the same
  };

  [[nodiscard]] CoreId host_of(CoreId guest) const { return static_cast<CoreId>(guest % queues_); }
  void ring_bell(CoreId core) {
    if (Bell* b = lanes_[core]->bell) b->ring();
  }

  // Half of a burst at most from other cores, as long as there is a queue too: neither starves the other.
  std::uint16_t receive(CoreId core, rte_mbuf** out, std::uint16_t n) {
    Lane& lane = *lanes_[core];
    const bool queue = core < queues_;
    const auto most = static_cast<std::uint16_t>(queue ? n / 2 : n);
    std::uint16_t got = 0;
    for (std::size_t i = 0; i < lane.in.size() && got < most; ++i) {
      got = static_cast<std::uint16_t>(
          got + lane.in[lane.next_in]->pop(out + got, static_cast<std::uint16_t>(most - got)));
      if (++lane.next_in == lane.in.size()) lane.next_in = 0;
    }
    if (got != 0) lane.steered.add(SteerCounter::steer_received, got);
    if (!queue) {
      if (got != 0) lane.counters.add(PortCounter::rx_packets, got);
      return got;
    }
    const std::uint16_t fresh = port_.rx_burst(core, out + got, static_cast<std::uint16_t>(n - got));
    const std::uint16_t ours =
        fresh == 0 || steering_.by_port() ? fresh : steer(core, lane, out + got, fresh);
    return static_cast<std::uint16_t>(got + ours);
  }

  // Keeps what is this core's, in order; how many.
  std::uint16_t steer(CoreId core, Lane& lane, rte_mbuf** m, std::uint16_t n) {
    for (std::uint16_t i = 0; i < n; ++i) rte_prefetch0(rte_pktmbuf_mtod(m[i], void*));
    std::uint16_t kept = 0;
    bool others = false;
    for (std::uint16_t i = 0; i < n; ++i) {
      const CoreId owner = steering_.owner_of_frame(m[i], core);
      if (owner == core) {
        m[kept++] = m[i];
      } else {
        Staged& s = lane.staged[owner];
        s.packets[s.count++] = m[i];
        others = true;
      }
    }
    for (CoreId to = 0; others && to < cores_; ++to) {
      Staged& s = lane.staged[to];
      if (s.count != 0) hand_off(lane, to, s.packets.data(), std::exchange(s.count, std::uint16_t{0}));
    }
    return kept;
  }

  void hand_off(Lane& lane, CoreId to, rte_mbuf** m, std::uint16_t n) {
    const std::uint16_t taken = lane.out[to]->push(m, n);
    lane.steered.add(SteerCounter::steer_handoff, taken);
    if (taken < n) {
      lane.steered.add(SteerCounter::steer_ring_full, static_cast<std::uint64_t>(n - taken));
      for (std::uint16_t i = taken; i < n; ++i) rte_pktmbuf_free(m[i]);
    }
    ring_bell(to);
  }

  auto relay(Lane& lane) {
    return [&lane](rte_mbuf** p, std::uint16_t k) {
      const std::uint16_t taken = lane.transmit->push(p, k);
      lane.counters.add(PortCounter::tx_packets, taken);
      return taken;
    };
  }
  void send_for_guests(CoreId core, Lane& lane) {
    for (SpscRing* guest : lane.guests) {
      rte_mbuf* m[burst_size];
      for (int bursts = 0; bursts < 4 && !port_.tx_full(core); ++bursts) { // its ring holds the rest
        const std::uint16_t n = guest->pop(m, burst_size);
        if (n == 0) break;
        lane.steered.add(SteerCounter::tx_relayed, n);
        port_.tx_burst(core, m, n);
      }
    }
  }

  P& port_;
  const Steering& steering_;
  const CoreId cores_;
  const QueueId queues_;
  std::vector<std::unique_ptr<SpscRing>> rings_;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

} // namespace tern::io
