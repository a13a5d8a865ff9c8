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

// All cores are asked at once, and nobody waits for them.
class AskedSums {
 public:
  explicit AskedSums(Director&);
  // Nothing is to be waited for any more.
  [[nodiscard]] bool over() const;
  // The services and backends that were asked about are those that there are.
  [[nodiscard]] bool about(const Planner& p) const { return numbers_ == p.numbers_given(); }
  // None: a core did not answer.
  [[nodiscard]] std::optional<Sums> take();

 private:
  std::uint32_t numbers_;
  std::size_t slots_;
  std::size_t services_;
  std::vector<Asked<Sums>> of_; // by core
};

// The same, waited for.
[[nodiscard]] std::optional<Sums> sums(Director&);

// As the operator is told it: up, down, drain, maintain or removed.
[[nodiscard]] std::string state_of(Director&, Slot);

} // namespace tern::app::lb
