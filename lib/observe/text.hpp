// A result for a person: the table that ends a run.
#pragma once

#include <string>

#include "observe/result.hpp"

namespace tern::observe {

[[nodiscard]] std::string summary_text(const Result& r);

// CSV: a line of names, then a line an interval (RFC 4180, but lines end in \n). The names are those of the JSON's
// intervals, nested ones joined (latency_us_connect_p99), and then each core's, core<N>_<role>_busy, _established,
// _completed, _failed, _retransmitted, _drops and _cycles_per_connection, with _2 and so on behind the role where one CPU
// has several workers of it. The cores are those of the first interval; drops by their
// reasons, which come and go, are in the JSON alone. The rate that was offered is empty where opens have none (`paced`).
[[nodiscard]] std::string to_csv(const std::vector<Interval>& intervals, Side side = Side::client,
                                 bool paced = true);
[[nodiscard]] std::string to_csv(const Result& r);

} // namespace tern::observe
