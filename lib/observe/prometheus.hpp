// The Prometheus text format, version 0.0.4: what GET /metrics answers with.
//
//   # HELP tern_time_wait connections remembered in TIME-WAIT
//   # TYPE tern_time_wait gauge
//   tern_time_wait{port="1",core="0"} 17
#pragma once

#include <cstdint>
#include <initializer_list>
#include <set>
#include <span>
#include <string>
#include <string_view>

namespace tern::observe {

struct MetricLabel {
  std::string_view name;
  std::string_view value; // any text
};

class MetricsPage {
 public:
  using Labels = std::initializer_list<MetricLabel>;

  // A family, and then its samples: the format wants them together, under one HELP and one TYPE. A name comes once a page;
  // a counter's is given its `_total`.
  void counter(std::string_view name, std::string_view help) { family(name, help, "counter", "_total"); }
  void gauge(std::string_view name, std::string_view help) { family(name, help, "gauge", ""); }

  void sample(std::uint64_t value, Labels labels = {});
  void sample(double value, Labels labels = {});

  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  void family(std::string_view name, std::string_view help, std::string_view type, std::string_view suffix);
  void named(Labels labels);

  std::string name_; // of the family
  std::string text_;
  std::set<std::string, std::less<>> families_;
};

} // namespace tern::observe
