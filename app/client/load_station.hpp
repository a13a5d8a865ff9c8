// A core that loads others: what it shows beside what every core does.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "app/client/load.hpp"
#include "app/measure/station.hpp"
#include "observe/result.hpp"

namespace tern::app {

struct LoadStation : Station {
  LoadStation() { role = "client"; }

  const LoadStats* load = nullptr;
  // TSC cycles of opening and asking, beside the busy cycles of its turns.
  std::atomic<std::uint64_t> driving_cycles{0};
  // Of what else it did: no connection's.
  std::atomic<std::uint64_t> beside_cycles{0};
  // On the machine's monotonic clock.
  std::atomic<std::int64_t> began_ns{0};
  std::atomic<std::int64_t> stopped_ns{0}; // where what is measured ends
  std::atomic<std::uint64_t> completed_when_stopped{0};
  std::atomic<std::uint64_t> requests_when_stopped{0};
  std::atomic<std::uint64_t> bytes_when_stopped{0};
  std::atomic<bool> done{false}; // nothing is open any more

  [[nodiscard]] Tally tally() const override;
  [[nodiscard]] std::uint64_t busy_cycles() const override;
  [[nodiscard]] std::int64_t own_cycles() const override;
};

// The latencies so far, of one client or of several.
struct StageLatencies {
  observe::Latencies connect, first_byte, response, close;
  [[nodiscard]] StageLatencies since(const StageLatencies& earlier) const;
  void merge(const StageLatencies& other);
  [[nodiscard]] observe::Stages stages() const;
};
[[nodiscard]] StageLatencies latencies_of(std::span<const LoadStation* const>);

} // namespace tern::app
