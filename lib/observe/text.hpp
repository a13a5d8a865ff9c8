// A result for a person: the table that ends a run.
#pragma once

#include <string>

#include "observe/result.hpp"

namespace tern::observe {

[[nodiscard]] std::string summary_text(const Result& r);

// CSV: a line of names, then a line an interval (RFC 4180, but lines end in \n). Latencies in microseconds;
// busy shares as core<N>_busy. The columns follow from the cores of the first interval.
[[nodiscard]] std::string to_csv(const std::vector<Interval>& intervals);

} // namespace tern::observe
