// A result for a person: the table that ends a run.
#pragma once

#include <string>

#include "observe/result.hpp"

namespace tern::observe {

[[nodiscard]] std::string summary_text(const Result& r);

// CSV: a line of names, then a line an interval (RFC 4180, but lines end in \n). The names are those of the JSON's
// intervals, nested ones joined (latency_us_connect_p99), and then each core's busy share as core<N>_<role>_busy, with
// _2 and so on where one CPU has several workers of a role. The cores are those of the first interval; drops by their
// reasons, which come and go, are in the JSON alone.
[[nodiscard]] std::string to_csv(const std::vector<Interval>& intervals, Side side = Side::client);

} // namespace tern::observe
