#include "observe/prometheus.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/check.hpp"

namespace tern::observe {
namespace {

// Names are ours: a wrong one is a mistake of this program.
[[maybe_unused]] bool good_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !name.empty() && letter(name.front()) &&
         std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

void add_escaped(std::string& to, std::string_view text, bool quotes) {
  for (const char c : text) {
    if (c == '\\')
      to += "\\\\";
    else if (c == '\n')
      to += "\\n";
    else if (c == '"' && quotes)
      to += "\\\"";
    else
      to += c;
  }
}

} // namespace

void MetricsPage::family(std::string_view name, std::string_view help, std::string_view type,
                         std::string_view suffix) {
  TERN_DCHECK(good_name(name));
  name_ = fmt::format("{}{}", name, suffix);
  [[maybe_unused]] const bool fresh = families_.insert(name_).second;
  TERN_DCHECK(fresh); // a scraper refuses the whole page for one that comes twice
  text_ += fmt::format("# HELP {} ", name_);
  add_escaped(text_, help, false);
  text_ += fmt::format("\n# TYPE {} {}\n", name_, type);
}

void MetricsPage::named(Labels labels) {
  TERN_DCHECK(!name_.empty());
  text_ += name_;
  char before = '{';
  for (const MetricLabel& l : labels) {
    TERN_DCHECK(good_name(l.name));
    text_ += before;
    text_ += l.name;
    text_ += "=\"";
    add_escaped(text_, l.value, true);
    text_ += '"';
    before = ',';
  }
  if (labels.size() != 0) text_ += '}';
  text_ += ' ';
}

void MetricsPage::sample(std::uint64_t value, Labels labels) {
  named(labels);
  fmt::format_to(std::back_inserter(text_), "{}\n", value);
}

void MetricsPage::sample(double value, Labels labels) {
  named(labels);
  if (std::isnan(value))
    text_ += "NaN\n";
  else if (std::isinf(value))
    text_ += value > 0 ? "+Inf\n" : "-Inf\n";
  else
    fmt::format_to(std::back_inserter(text_), "{}\n", value);
}

} // namespace tern::observe
