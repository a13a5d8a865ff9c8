// What one core shows of its work to the thread that watches, and the sums of several.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "app/client/load.hpp"
#include "io/impair.hpp"
#include "io/port.hpp"
#include "io/shared_port.hpp"
#include "net/counters.hpp"
#include "observe/result.hpp"
#include "runtime/shard.hpp"

namespace tern::app {

// Written by its core's thread, read by the watching one: the pointers are set before both pass the barrier
// that starts the run, and hold until both have passed the one that ends it.
struct Station {
  unsigned cpu = 0;
  const char* role = "client";
  LoadStats* load = nullptr; // a client's
  const Shard* shard = nullptr;
  const net::NetCounters* net = nullptr;
  const io::PortCounters* port = nullptr;
  const io::SteerCounters* steered = nullptr;        // where several cores share a port
  const Counters<io::ImpairCounter>* link = nullptr; // where it is a bad one
  std::atomic<std::uint64_t> busy_cycles{0};
  std::atomic<std::uint64_t> port_cycles{0};
  std::atomic<std::uint64_t> time_wait_peak{0};
  // A client's, on the machine's monotonic clock.
  std::atomic<std::int64_t> began_ns{0};
  std::atomic<std::int64_t> stopped_ns{0}; // opened its last
  std::atomic<std::uint64_t> completed_when_stopped{0};
  std::atomic<std::uint64_t> requests_when_stopped{0};
  std::atomic<std::uint64_t> bytes_when_stopped{0};
  std::atomic<bool> done{false}; // and has seen it end

  [[nodiscard]] bool is_client() const { return load != nullptr; }
  [[nodiscard]] std::uint64_t resteered() const {
    return steered == nullptr ? 0 : steered->get(io::SteerCounter::steer_handoff);
  }
  [[nodiscard]] std::uint64_t time_wait() const {
    return shard->time_wait4.streams.size() + shard->time_wait6.streams.size();
  }
  // By its own thread, every now and then.
  void note(std::uint64_t busy, std::uint64_t port_share) {
    busy_cycles.store(busy, std::memory_order_relaxed);
    port_cycles.store(port_share, std::memory_order_relaxed);
    time_wait_now.store(time_wait(), std::memory_order_relaxed);
    live_now.store(shard->connections.used(), std::memory_order_relaxed);
    if (time_wait_now.load(std::memory_order_relaxed) > time_wait_peak.load(std::memory_order_relaxed))
      time_wait_peak.store(time_wait_now.load(std::memory_order_relaxed), std::memory_order_relaxed);
  }
  std::atomic<std::uint64_t> time_wait_now{0};
  std::atomic<std::uint64_t> live_now{0}; // its connection records in use
};

[[nodiscard]] observe::Failures failures_of(const Counters<Load>&);
void add_packets(observe::Packets&, const Station&);
[[nodiscard]] observe::Memory memory();
// What a server did against bad clients: its counters that tell of it, those that are not zero.
void add_defence(observe::ByName&, const Shard&);

// The state of all stations at a moment.
struct Totals {
  std::int64_t ns = 0; // when
  std::uint64_t attempted = 0;
  std::uint64_t established = 0;
  std::uint64_t completed = 0;
  std::uint64_t requests = 0;
  std::uint64_t response_bytes = 0;
  std::uint64_t late = 0;
  std::uint64_t live = 0;
  std::uint64_t time_wait = 0;
  std::uint64_t attack_packets = 0;
  std::uint64_t attack_open = 0;
  observe::Failures failed;
  observe::Packets packets;
  std::uint64_t client_rx_bytes = 0; // one end's: the other's are the same packets
  std::uint64_t client_tx_bytes = 0;
  std::vector<std::uint64_t> busy;      // of each station: cycles
  std::vector<observe::CoreLoad> cores; // of each station, but for what is a share of time
};
[[nodiscard]] Totals totals_of(std::span<const Station* const>);
// What lies between two moments; `live` and `time_wait` are the later one's.
[[nodiscard]] observe::Interval between(const Totals& from, const Totals& to,
                                        std::span<const Station* const>);

// The latencies of all clients so far.
struct StageLatencies {
  observe::Latencies connect, first_byte, response, close;
  [[nodiscard]] StageLatencies since(const StageLatencies& earlier) const;
  [[nodiscard]] observe::Stages stages() const;
};
[[nodiscard]] StageLatencies latencies_of(std::span<const Station* const>);

} // namespace tern::app
