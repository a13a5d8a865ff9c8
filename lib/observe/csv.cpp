#include <fmt/format.h>

#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "observe/fields.hpp"
#include "observe/text.hpp"

namespace tern::observe {
namespace {

// A struct's numbers as one line, its nested names joined: latency_us_connect_p99. With `names`, the names
// instead.
class Line {
 public:
  Line(std::string& out, bool names, Side side, bool paced, std::string prefix = {})
      : out_(out), names_(names), side_(side), paced_(paced), prefix_(std::move(prefix)) {}

  template <class T>
  void operator()(const char* name, const T& value) {
    if constexpr (std::is_arithmetic_v<T>) {
      begin_column();
      if (names_)
        out_ += prefix_ + name;
      else if constexpr (std::is_floating_point_v<T>)
        out_ += fmt::format("{:.9g}", value);
      else
        out_ += fmt::format("{}", value);
    } else if constexpr (!std::is_same_v<T, std::vector<CoreLoad>> && !std::is_same_v<T, ByName>) {
      fields(value, Line{out_, names_, side_, paced_, prefix_ + name + "_"});
    }
  }
  template <class T>
  void derived(const char* name, const T& value) {
    (*this)(name, value);
  }
  template <class T>
  void client(const char* name, const T& value) {
    if (side_ == Side::client) (*this)(name, value);
  }
  template <class T>
  void server(const char* name, const T& value) {
    if (side_ == Side::server) (*this)(name, value);
  }
  template <class T>
  void paced(const char* name, const T& value) {
    if (names_ || paced_)
      client(name, value);
    else if (side_ == Side::client)
      begin_column(); // empty
  }

 private:
  void begin_column() {
    if (!out_.empty() && out_.back() != '\n') out_ += ',';
  }
  std::string& out_;
  bool names_;
  Side side_;
  bool paced_;
  std::string prefix_;
};

// Of all that is counted of a core (the JSON has it), what tells one from another at a glance.
void core_columns(Line& l, const std::string& name, const CoreLoad& c) {
  const auto column = [&](const char* what, auto value) { l((name + what).c_str(), value); };
  column("_busy", c.busy);
  column("_established", c.established);
  column("_completed", c.completed);
  column("_failed", c.failed);
  column("_retransmitted", c.retransmitted.total());
  column("_drops", c.drops);
  column("_cycles_per_connection", c.cycles_per_connection());
}

// A CPU may have a worker of each role, or several of one: each has columns of its own.
std::vector<std::string> core_names(const std::vector<CoreLoad>& cores) {
  std::vector<std::string> names;
  std::map<std::string, int> seen;
  for (const auto& c : cores) {
    const std::string name = fmt::format("core{}_{}", c.core, c.role);
    const int times = ++seen[name];
    names.push_back(times == 1 ? name : fmt::format("{}_{}", name, times));
  }
  return names;
}

void line(std::string& out, bool names, Side side, bool paced, const Interval& v,
          const std::vector<std::string>& cores) {
  Line l{out, names, side, paced};
  fields(v, l);
  static const CoreLoad still;
  for (std::size_t i = 0; i < cores.size(); ++i)
    core_columns(l, cores[i], i < v.cores.size() ? v.cores[i] : still);
  out += '\n';
}

} // namespace

std::string to_csv(const std::vector<Interval>& intervals, Side side, bool paced) {
  static const Interval none;
  const Interval& first = intervals.empty() ? none : intervals.front();
  const std::vector<std::string> cores = core_names(first.cores);
  std::string out;
  line(out, true, side, paced, first, cores);
  for (const auto& v : intervals) line(out, false, side, paced, v, cores);
  return out;
}

std::string to_csv(const Result& r) {
  const auto rate = r.config.find("cps");
  const bool paced = rate == r.config.end() || rate->second != "max" || r.summary.search.has_value();
  return to_csv(r.intervals, side_of(r), paced);
}

} // namespace tern::observe
