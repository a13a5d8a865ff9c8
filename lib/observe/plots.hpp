// The plots of a result, each an inline SVG.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "observe/result.hpp"

namespace tern::observe::plots {

// Intervals joined so that a plot has at most `most` columns: counts add up, latencies are the worst, busy
// shares the mean.
[[nodiscard]] std::vector<Interval> joined(const std::vector<Interval>& intervals, std::size_t most);

[[nodiscard]] std::string rate(const std::vector<Interval>& v, Side side);
[[nodiscard]] std::string latency(const std::vector<Interval>& v, bool closed_loop);
[[nodiscard]] std::string histogram(std::string_view stage, const HistogramBars& bars, const Latency& l);
[[nodiscard]] std::string failures(const std::vector<Interval>& v, Side side);
[[nodiscard]] std::string cores(const std::vector<Interval>& v);
[[nodiscard]] std::string live(const std::vector<Interval>& v);

} // namespace tern::observe::plots
