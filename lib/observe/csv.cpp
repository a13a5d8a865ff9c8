#include <fmt/format.h>

#include <string>
#include <type_traits>

#include "observe/fields.hpp"
#include "observe/text.hpp"

namespace tern::observe {
namespace {

// A struct's numbers as one line, its nested names joined: latency_us_connect_p99. With `names`, the names
// instead.
class Line {
 public:
  Line(std::string& out, bool names, std::string prefix = {})
      : out_(out), names_(names), prefix_(std::move(prefix)) {}

  template <class T>
  void operator()(const char* name, const T& value) {
    if constexpr (std::is_arithmetic_v<T>) {
      if (!out_.empty() && out_.back() != '\n') out_ += ',';
      if (names_)
        out_ += prefix_ + name;
      else if constexpr (std::is_floating_point_v<T>)
        out_ += fmt::format("{:.9g}", value);
      else
        out_ += fmt::format("{}", value);
    } else if constexpr (!std::is_same_v<T, std::vector<CoreLoad>>) {
      fields(value, Line{out_, names_, prefix_ + name + "_"});
    }
  }
  template <class T>
  void derived(const char* name, const T& value) {
    (*this)(name, value);
  }

 private:
  std::string& out_;
  bool names_;
  std::string prefix_;
};

void line(std::string& out, bool names, const Interval& v, const std::vector<CoreLoad>& columns) {
  Line l{out, names};
  fields(v, l);
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const double busy = i < v.cores.size() ? v.cores[i].busy : 0;
    l(fmt::format("core{}_busy", columns[i].core).c_str(), busy);
  }
  out += '\n';
}

} // namespace

std::string to_csv(const std::vector<Interval>& intervals) {
  static const Interval none;
  const Interval& first = intervals.empty() ? none : intervals.front();
  std::string out;
  line(out, true, first, first.cores);
  for (const auto& v : intervals) line(out, false, v, first.cores);
  return out;
}

} // namespace tern::observe
