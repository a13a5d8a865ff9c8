#include "observe/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>
#include <set>
#include <string_view>

#include "observe/units.hpp"

namespace tern::observe {
namespace {

using Results = std::vector<NamedResult>;
using Text = std::back_insert_iterator<std::string>;

constexpr std::size_t name_width = 26;
constexpr std::size_t column_width = 22;

// Of a few a second their fractions tell.
std::string count_text(double n) {
  if (n < 100 || n >= 1e6) return short_count(n);
  return grouped(static_cast<std::uint64_t>(std::lround(n)));
}

std::string ratio(double value, double first) {
  if (value == first) return "=";
  if (first == 0 || value == 0) return "-"; // no ratio tells it
  const double r = value / first;
  return r >= 99.5 || r < 0.01 ? fmt::format("x{:.3g}", r) : fmt::format("x{:.2f}", r);
}

std::string clipped(const std::string& text, std::size_t width) {
  const std::string clean = printable(text);
  return clean.size() <= width ? clean
                               : ".." + clean.substr(clean.size() - (width - 2)); // a path's end tells more
}

template <class Value>
void row(Text out, std::string_view name, const Results& all, Value value, std::string (*show)(double),
         bool even_of_nothing = false) {
  using Maybe = std::optional<double>; // no value: it has no such figure
  const Maybe first = value(all.front().result);
  const bool nothing = std::all_of(
      all.begin(), all.end(), [&](const NamedResult& r) { return Maybe{value(r.result)}.value_or(0) == 0; });
  if (nothing && !even_of_nothing) return;
  std::string line = fmt::format("{:<{}}", name, name_width);
  for (const auto& r : all) {
    const Maybe v = value(r.result);
    const bool base = &r == &all.front();
    const std::string shown = v ? show(*v) : "-";
    const std::string times = v && first ? ratio(*v, *first) : "";
    line += fmt::format("{:>{}}", base ? shown : fmt::format("{} {:>6}", shown, times),
                        base ? column_width - 8 : column_width);
  }
  fmt::format_to(out, "{}\n", line);
}

void heads(Text out, const Results& all) {
  std::string line = fmt::format("{:<{}}", "", name_width);
  for (const auto& r : all) {
    const std::size_t width = &r == &all.front() ? column_width - 8 : column_width;
    line += fmt::format("{:>{}}", clipped(r.name, width - 2), width);
  }
  fmt::format_to(out, "{}\n", line);
}

void latency_rows(Text out, std::string_view stage, const Results& all, Latency Stages::*which) {
  struct Row {
    const char* name;
    double Latency::*value;
  };
  for (const Row& p :
       {Row{"p50", &Latency::p50}, Row{"p90", &Latency::p90}, Row{"p99", &Latency::p99},
        Row{"p99.9", &Latency::p999}, Row{"p99.99", &Latency::p9999}, Row{"max", &Latency::max}})
    row(
        out, fmt::format("{} {}", stage, p.name), all,
        [&](const Result& r) { return r.summary.latency_us.*which.*(p.value); }, short_time_us);
}

std::uint64_t dropped(const Result& r) {
  std::uint64_t n = 0;
  for (const auto& [reason, times] : r.summary.packets.drops) n += times;
  return n;
}

// A line for each property in which one of the others is not as the first.
template <class Value>
void warn_unless_same(Text out, const Results& all, std::string_view what, Value value) {
  for (const auto& r : all)
    if (value(r.result) != value(all.front().result))
      fmt::format_to(out, "Warning: {}: {} in {}, {} in {}.\n", what, printable(value(all.front().result)),
                     printable(all.front().name), printable(value(r.result)), printable(r.name));
}

void warnings(Text out, const Results& all) {
  warn_unless_same(out, all,
                   "the cores were not equally far from each other, so the figures cannot be compared",
                   [](const Result& r) { return mode_of(r.machine.core_to_core_cycles); });
  warn_unless_same(out, all, "different CPUs", [](const Result& r) { return r.machine.cpu; });
  warn_unless_same(out, all, "different commands", [](const Result& r) { return r.command; });
  warn_unless_same(out, all, "different kinds of run", [](const Result& r) {
    return std::string{r.summary.search ? "a search for the highest rate" : "one load"};
  });
  warn_unless_same(out, all, "latencies of different kinds", [](const Result& r) {
    return std::string{r.summary.closed_loop ? "service time (closed loop)" : "latency (open loop)"};
  });
  for (const auto& r : all) {
    const Summary& s = r.result.summary;
    const std::string name = printable(r.name);
    if (mode_of(r.result.machine.core_to_core_cycles) == "mixed")
      fmt::format_to(out, "Warning: {}: the distance between the cores changed during the run.\n", name);
    if (s.client_limited)
      fmt::format_to(out, "Warning: {}: the tester was the limit: {}\n", name,
                     printable(s.client_limited_reason));
    if (s.interrupted)
      fmt::format_to(out, "Warning: {}: ended early: {}\n", name, printable(s.interrupted_reason));
    for (const auto& line : contradictions(r.result))
      fmt::format_to(out, "Warning: {}: contradicts itself: {}\n", name, printable(line));
  }
}

// Why each search went no further.
void stops(Text out, const Results& all) {
  bool any = false;
  for (const auto& r : all) {
    if (!r.result.summary.search) continue;
    if (!any) fmt::format_to(out, "\n");
    any = true;
    fmt::format_to(out, "{} stopped: {}\n", printable(r.name), printable(r.result.summary.search->stopped));
  }
}

void settings(Text out, const Results& all) {
  std::set<std::string> names;
  for (const auto& r : all)
    for (const auto& [name, value] : r.result.config) names.insert(name);
  bool any = false;
  for (const auto& name : names) {
    const auto value = [&](const NamedResult& r) {
      const auto found = r.result.config.find(name);
      return found == r.result.config.end() ? std::string{"-"} : found->second;
    };
    if (std::all_of(all.begin(), all.end(),
                    [&](const NamedResult& r) { return value(r) == value(all.front()); }))
      continue;
    if (!any) fmt::format_to(out, "\nSettings that differ\n");
    any = true;
    std::string line = fmt::format("{:<{}}", clipped(name, name_width - 2), name_width);
    for (const auto& r : all) {
      const std::size_t width = &r == &all.front() ? column_width - 8 : column_width;
      line += fmt::format("{:>{}}", clipped(value(r), width - 2), width);
    }
    fmt::format_to(out, "{}\n", line);
  }
  if (!any) fmt::format_to(out, "\nThe settings are the same.\n");
}

} // namespace

std::string compare_text(const Results& all) {
  std::string text;
  const Text out{text};
  warnings(out, all);
  if (!text.empty()) text += '\n';
  heads(out, all);
  const auto number = [](std::uint64_t n) { return static_cast<double>(n); };
  const bool searched = std::any_of(all.begin(), all.end(),
                                    [](const NamedResult& r) { return r.result.summary.search.has_value(); });
  if (searched)
    row(
        out, "highest rate held/s", all,
        [](const Result& r) {
          return r.summary.search ? std::optional{r.summary.search->found_cps} : std::nullopt;
        },
        count_text, true);
  row(
      out, "accepted/s", all, [](const Result& r) { return side_of(r) == Side::server ? headline(r) : 0; },
      count_text);
  row(
      out, searched ? "all rates tried, conn./s" : "connections/s", all,
      [](const Result& r) { return r.summary.cps; }, count_text);
  row(
      out, "requests/s", all, [](const Result& r) { return r.summary.requests_per_second; }, count_text);
  row(
      out, "response bytes/s", all, [](const Result& r) { return r.summary.response_bytes_per_second; },
      short_bytes);
  row(
      out, "received, bits/s", all, [](const Result& r) { return r.summary.rx_bits_per_second; }, short_bits);
  row(
      out, "sent, bits/s", all, [](const Result& r) { return r.summary.tx_bits_per_second; }, short_bits);
  row(
      out, "completed", all, [&](const Result& r) { return number(r.summary.connections.completed); },
      count_text);
  row(
      out, "failed", all, [&](const Result& r) { return number(r.summary.connections.failed.total()); },
      count_text);
  row(
      out, "unfinished", all, [&](const Result& r) { return number(r.summary.connections.unfinished); },
      count_text);
  row(
      out, "most open", all, [&](const Result& r) { return number(r.summary.live_peak); }, count_text);
  latency_rows(out, "connect", all, &Stages::connect);
  latency_rows(out, "first byte", all, &Stages::first_byte);
  latency_rows(out, "response", all, &Stages::response);
  latency_rows(out, "close", all, &Stages::close);
  row(
      out, "cycles/conn. client", all, [](const Result& r) { return r.summary.cycles_per_connection.client; },
      count_text);
  row(
      out, "cycles/conn. server", all, [](const Result& r) { return r.summary.cycles_per_connection.server; },
      count_text);
  row(
      out, "packets received", all, [&](const Result& r) { return number(r.summary.packets.rx); },
      count_text);
  row(
      out, "packets sent", all, [&](const Result& r) { return number(r.summary.packets.tx); }, count_text);
  row(
      out, "retransmitted", all,
      [&](const Result& r) { return number(r.summary.packets.retransmitted.total()); }, count_text);
  row(
      out, "dropped", all, [&](const Result& r) { return number(dropped(r)); }, count_text);
  row(
      out, "came by cookie", all, [](const Result& r) { return r.summary.cookie_share; }, short_share);
  row(
      out, "memory resident", all, [&](const Result& r) { return number(r.summary.memory.rss_bytes); },
      short_bytes);
  row(
      out, "memory in huge pages", all, [&](const Result& r) { return number(r.summary.memory.huge_bytes); },
      short_bytes);
  row(
      out, "core to core before", all, [](const Result& r) { return r.machine.core_to_core_cycles.before; },
      count_text);
  row(
      out, "core to core after", all, [](const Result& r) { return r.machine.core_to_core_cycles.after; },
      count_text);
  stops(out, all);
  settings(out, all);
  return text;
}

} // namespace tern::observe
