// What only the cores know of services and backends, of all of them together: each is asked once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "app/lb/control/director.hpp"

namespace tern::app::lb {

struct Sums {
  std::vector<std::uint32_t> open; // by slot
  std::vector<Splice::SlotCounts> slots;
  std::vector<std::uint32_t> in_service; // by service
  std::vector<std::uint64_t> accepted;
};

// None: a core does not answer.
[[nodiscard]] std::optional<Sums> sums(Director&);

// As the operator is told it: up, down, drain, maintain or removed.
[[nodiscard]] std::string state_of(Director&, Slot);

} // namespace tern::app::lb
