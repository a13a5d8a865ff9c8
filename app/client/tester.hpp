// Whether the tester was the limit of what it measured, and not the system under test.
#pragma once

#include <cstdint>
#include <string>

#include "app/measure/station.hpp"

namespace tern::app {

inline constexpr double saturated_core = 0.95; // of its time

struct TesterSight {
  bool closed_loop = false;
  CoreTime core;             // of the one that had the least time left
  std::uint64_t late = 0;    // more than 1 ms
  std::uint64_t due = 0;     // of so many
  std::uint64_t starved = 0; // opens that waited for a free pair of endpoints, or a record
  const char* what = "opens";
};
// What its core did, for a sentence: how busy it was; or that others had its CPU, where it would not have been too busy alone.
[[nodiscard]] std::string core_of_tester(CoreTime);
// Empty: it was not the limit.
[[nodiscard]] std::string limit_of_tester(const TesterSight&);

} // namespace tern::app
