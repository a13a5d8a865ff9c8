// What one core shows of its work to the thread that watches, and the sums of several.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "io/impair.hpp"
#include "io/port.hpp"
#include "io/shared_port.hpp"
#include "net/counters.hpp"
#include "observe/result.hpp"
#include "runtime/gauges.hpp"
#include "runtime/shard.hpp"

namespace tern::app {

// Connections, as one end of them counts.
struct Tally {
  std::uint64_t attempted = 0;
  std::uint64_t established = 0;
  std::uint64_t completed = 0;
  std::uint64_t requests = 0;
  std::uint64_t response_bytes = 0;
  std::uint64_t late = 0;
  std::uint64_t starved = 0; // opens that waited for a free pair of endpoints, or a record
  std::uint64_t live = 0;
  std::uint64_t attack_packets = 0;
  std::uint64_t attack_open = 0;
  observe::Failures failed;
  Tally& operator+=(const Tally&);
};

// A server's core; those that load others show more (app/client/load_station.hpp). The pointers are set before the run
// begins and hold until it is concluded; what they point at is written by the core's thread and read by the watching one.
struct Station {
  Station() = default;
  Station(const Station&) = delete;
  Station& operator=(const Station&) = delete;
  virtual ~Station() = default;

  unsigned cpu = 0;
  pid_t thread = 0; // where it is asked how long that waited for its CPU
  const char* role = "server";
  bool tallied = true; // its connections are the run's: where both ends are ours, one end's are
  const Gauges* gauges = nullptr;
  const Shard* shard = nullptr;
  const net::NetCounters* net = nullptr;
  const io::PortCounters* port = nullptr;
  const io::SteerCounters* steered = nullptr;        // where several cores share a port
  const Counters<io::ImpairCounter>* link = nullptr; // where it is a bad one
  // What the port's device itself lost, if it says; of one of its cores.
  std::function<std::optional<std::uint64_t>()> missed{};
  const std::atomic<std::uint64_t>* answered = nullptr; // requests, where the server knows what one is

  [[nodiscard]] virtual Tally tally() const;
  [[nodiscard]] virtual std::uint64_t busy_cycles() const;
  // Of them, those that are some connection's: not the port's own.
  [[nodiscard]] virtual std::int64_t own_cycles() const;
  [[nodiscard]] std::uint64_t waited_ns() const; // for its CPU, while others had it; 0 where nobody knows
  [[nodiscard]] std::uint64_t resteered() const {
    return steered == nullptr ? 0 : steered->get(io::SteerCounter::steer_handoff);
  }
};

[[nodiscard]] observe::Memory memory();
// What a server did against bad clients: its counters that tell of it, those that are not zero.
void add_defence(observe::ByName&, const Shard&);
// Of the servers' connections, those that came by a SYN cookie: 0 … 1.
[[nodiscard]] double cookie_share(std::span<const Station* const> servers);

// The state of all stations at a moment.
struct Totals : Tally {
  std::int64_t ns = 0; // when, on the machine's monotonic clock
  std::uint64_t time_wait = 0;
  observe::Packets packets;
  std::vector<std::uint64_t> busy;      // of each station: cycles
  std::vector<std::uint64_t> waited_ns; // of each station
  std::vector<observe::CoreLoad> cores; // of each station, but for what is a share of time
};
[[nodiscard]] Totals totals_of(std::span<const Station* const>);
// The cores over the whole run: each one's counts, its busy share of the measured part; the peaks of TIME-WAIT.
void tell_cores(observe::Summary&, const Totals& end, const observe::Interval& measured,
                std::span<const Station* const>);
// Of the clients' cores, the one that had the least time left between two moments: shares of the time. Turns are timed by the
// clock, so `busy` has some of what its thread `waited` for its CPU, which others had meanwhile.
struct CoreTime {
  double busy = 0;
  double waited = 0;
};
[[nodiscard]] CoreTime hardest_client(const Totals& from, const Totals& to,
                                      std::span<const observe::CoreLoad> meanwhile);
// TSC cycles of the stations for each of `connections`; 0 of none.
[[nodiscard]] double cycles_each(std::span<const Station* const>, std::uint64_t connections);
// What lies between two moments; `live` and `time_wait` are the later one's.
[[nodiscard]] observe::Interval between(const Totals& from, const Totals& to,
                                        std::span<const Station* const>);

} // namespace tern::app
