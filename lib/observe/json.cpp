#include "observe/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>

#include "observe/fields.hpp"

namespace tern::observe {
namespace {

using Json = nlohmann::ordered_json;

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <class T>
struct IsMap : std::false_type {};
template <class T>
struct IsMap<std::map<std::string, T>> : std::true_type {};

// Nine digits say all that was measured; 17 would show the noise of binary fractions.
double rounded(double v) {
  return std::isfinite(v) ? std::strtod(fmt::format("{:.9g}", v).c_str(), nullptr) : v;
}

template <class T>
Json write(const T& value, Side side);

struct Writer {
  Json& out;
  Side side;
  template <class T>
  void operator()(const char* name, const T& value) {
    if constexpr (IsOptional<T>::value) {
      if (value) out[name] = write(*value, side);
    } else {
      out[name] = write(value, side);
    }
  }
  template <class T>
  void derived(const char* name, const T& value) {
    out[name] = write(value, side);
  }
  template <class T>
  void client(const char* name, const T& value) {
    if (side == Side::client) (*this)(name, value);
  }
  template <class T>
  void paced(const char* name, const T& value) {
    client(name, value);
  }
  template <class T>
  void server(const char* name, const T& value) {
    if (side == Side::server) (*this)(name, value);
  }
};

template <class T>
Json write(const T& value, Side side) {
  if constexpr (std::is_floating_point_v<T>) {
    return rounded(value);
  } else if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
    return value;
  } else if constexpr (IsVector<T>::value) {
    Json list = Json::array();
    for (const auto& v : value) list.push_back(write(v, side));
    return list;
  } else if constexpr (IsMap<T>::value) {
    Json object = Json::object();
    for (const auto& [name, v] : value) object[name] = write(v, side);
    return object;
  } else {
    Json object = Json::object();
    fields(value, Writer{object, side});
    return object;
  }
}

[[noreturn]] void wrong(const std::string& path, const char* what) {
  throw ReportError(fmt::format("{}: {}", path, what));
}

template <class T>
void read(const Json& in, const std::string& path, T& value);

struct Reader {
  const Json& in;
  const std::string& path;
  template <class T>
  void operator()(const char* name, T& value) {
    const auto found = in.find(name);
    if (found == in.end()) return;
    const std::string where = path.empty() ? std::string{name} : path + "." + name;
    if constexpr (IsOptional<T>::value)
      read(*found, where, value.emplace());
    else
      read(*found, where, value);
  }
  template <class T>
  void derived(const char*, const T&) {}
  template <class T>
  void client(const char* name, T& value) {
    (*this)(name, value);
  }
  template <class T>
  void paced(const char* name, T& value) {
    client(name, value);
  }
  template <class T>
  void server(const char* name, T& value) {
    (*this)(name, value);
  }
};

template <class T>
void read_integer(const Json& in, const std::string& path, T& value) {
  if (!in.is_number_integer()) wrong(path, "not a whole number");
  if (!in.is_number_unsigned() && in.get<std::int64_t>() < 0) wrong(path, "negative");
  const auto n = in.get<std::uint64_t>();
  if (n > static_cast<std::uint64_t>(std::numeric_limits<T>::max())) wrong(path, "too large");
  value = static_cast<T>(n);
}

template <class T>
void read(const Json& in, const std::string& path, T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    if (!in.is_boolean()) wrong(path, "neither true nor false");
    value = in.get<bool>();
  } else if constexpr (std::is_integral_v<T>) {
    read_integer(in, path, value);
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!in.is_number()) wrong(path, "not a number");
    value = in.get<double>();
    constexpr double most = 1e18; // ours are rates, times and shares
    if (value < 0) wrong(path, "negative");
    if (value > most) wrong(path, "too large");
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!in.is_string()) wrong(path, "not a string");
    value = in.get<std::string>();
  } else if constexpr (IsVector<T>::value) {
    if (!in.is_array()) wrong(path, "not a list");
    value.resize(in.size());
    for (std::size_t i = 0; i < in.size(); ++i) read(in[i], fmt::format("{}[{}]", path, i), value[i]);
  } else if constexpr (IsMap<T>::value) {
    if (!in.is_object()) wrong(path, "not an object");
    for (const auto& [name, v] : in.items()) read(v, path + "." + name, value[name]);
  } else {
    if (!in.is_object()) wrong(path.empty() ? "the report" : path, "not an object");
    fields(value, Reader{in, path});
  }
}

} // namespace

// Bytes that are no UTF-8 (a CPU's name, a path in the settings) are replaced, not thrown at the end of a
// long run.
std::string to_json(const Result& r) {
  return write(r, side_of(r)).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}
std::string to_compact_json(const Result& r) {
  return write(r, side_of(r)).dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result from_json(std::string_view text) {
  Json in;
  try {
    in = Json::parse(text);
  } catch (const Json::parse_error& e) {
    throw ReportError(fmt::format("not JSON: wrong at byte {}", e.byte));
  } catch (const Json::out_of_range& e) { // says which number in quotes, not where
    const std::string_view what = e.what();
    const auto number = what.substr(std::min(what.find('\''), what.size()));
    throw ReportError(
        fmt::format("the number {} is beyond any that tern writes: the file was changed or damaged; "
                    "take what --json wrote",
                    number.size() > 2 ? number.substr(1, number.size() - 2) : what));
  }
  if (!in.is_object() || !in.contains("schema") || !in.contains("summary"))
    throw ReportError("not a report of tern: no `schema` or no `summary`");
  Result r;
  read(in, "", r);
  if (r.schema != report_schema)
    throw ReportError(fmt::format("schema: {} is not the {} that this tern reads", r.schema, report_schema));
  double last = 0;
  for (std::size_t i = 0; i < r.intervals.size(); ++i) {
    const Interval& v = r.intervals[i];
    // Half a microsecond is what nine digits leave of a day.
    if (v.seconds <= 0 || v.t <= last || v.seconds > v.t + 1e-3)
      wrong(fmt::format("intervals[{}]", i), "its time does not follow upon the last one's");
    last = v.t;
  }
  return r;
}

} // namespace tern::observe
