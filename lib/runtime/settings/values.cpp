#include "runtime/settings/values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

namespace tern::settings {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

// Largest first, so that print() finds the one that divides.
constexpr std::array durations{Unit{"h", 3600e9}, Unit{"m", 60e9}, Unit{"s", 1e9},
                               Unit{"ms", 1e6},   Unit{"us", 1e3}, Unit{"ns", 1}};
constexpr std::array sizes{Unit{"G", 1073741824.0}, Unit{"M", 1048576.0}, Unit{"k", 1024.0}, Unit{"", 1}};
constexpr std::array rates{Unit{"G", 1e9}, Unit{"M", 1e6}, Unit{"k", 1e3}, Unit{"", 1}};

struct Quantity {
  double number;
  std::string_view unit;
};

// A decimal number of zero or more, and whatever stands right behind it.
std::optional<Quantity> split(std::string_view text) {
  if (text.empty() || (text[0] != '.' && (text[0] < '0' || text[0] > '9'))) return std::nullopt;
  double v = 0;
  const char* const stop = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), stop, v, std::chars_format::fixed);
  if (error != std::errc{}) return std::nullopt;
  return Quantity{v, {end, static_cast<std::size_t>(stop - end)}};
}

constexpr double most_whole = 9e18; // of a quantity with a unit: what 63 bits hold

// The value in the smallest unit. It must come out whole: 0.5 of a byte is a mistake, not a rounding.
std::optional<std::uint64_t> whole(std::string_view text, std::span<const Unit> units) {
  if (const auto plain = Value<std::uint64_t>::parse(text); plain && units.back().name.empty()) return plain;
  const auto q = split(text);
  if (!q) return std::nullopt;
  for (const Unit& u : units) {
    if (q->unit != u.name) continue;
    const double v = q->number * u.factor;
    const double rounded = std::round(v);
    if (rounded > most_whole || std::abs(v - rounded) > 1e-6 * u.factor) return std::nullopt;
    return static_cast<std::uint64_t>(rounded);
  }
  return std::nullopt;
}

bool too_large(std::string_view text, std::span<const Unit> units) {
  const auto q = split(text);
  return q && std::ranges::any_of(units, [&](const Unit& u) {
           return q->unit == u.name && q->number * u.factor > most_whole;
         });
}

std::string print_whole(std::uint64_t v, std::span<const Unit> units) {
  for (const Unit& u : units) {
    const auto factor = static_cast<std::uint64_t>(u.factor);
    if (v != 0 && v % factor == 0) return fmt::format("{}{}", v / factor, u.name);
  }
  return fmt::format("0{}", units.back().name);
}

} // namespace

std::optional<bool> Value<bool>::parse(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return std::nullopt;
}
std::string Value<bool>::print(const bool& v) {
  return v ? "true" : "false";
}

std::optional<std::string> Value<std::string>::parse(std::string_view text) {
  return std::string(text);
}
std::string Value<std::string>::print(const std::string& v) {
  return v;
}

std::optional<double> Value<double>::parse(std::string_view text) {
  double v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size() || !std::isfinite(v))
    return std::nullopt;
  return v;
}
std::string Value<double>::print(const double& v) {
  return fmt::format("{}", v);
}

std::optional<Duration> Value<Duration>::parse(std::string_view text) {
  if (text == "0") return Duration{}; // the one time that needs no unit
  const auto ns = whole(text, durations);
  if (!ns) return std::nullopt;
  return Duration::ns(static_cast<std::int64_t>(*ns));
}
std::string Value<Duration>::print(const Duration& v) {
  if (v == Duration{}) return "0s";
  return print_whole(static_cast<std::uint64_t>(v.as_ns()), std::span(durations).subspan(2)); // 60s, not 1m
}

std::optional<Duration> Value<Duration>::beyond(std::string_view text) {
  if (!too_large(text, durations)) return std::nullopt;
  return Duration::ns(static_cast<std::int64_t>(most_whole));
}

std::optional<Percent> Value<Percent>::parse(std::string_view text) {
  const auto q = split(text);
  if (!q || q->unit != "%" || q->number > 100) return std::nullopt;
  return Percent{q->number / 100};
}
std::string Value<Percent>::print(const Percent& v) {
  // Twelve digits: more would print the error of the division by 100.
  return fmt::format("{:.12g}%", v.share * 100);
}

namespace {
std::string_view without_ib(std::string_view text) { // "64kiB", "1GiB"
  if (text.ends_with("iB")) text.remove_suffix(2);
  return text;
}
} // namespace

std::optional<Size> Value<Size>::parse(std::string_view text) {
  const std::string_view bare = without_ib(text);
  const auto n = whole(bare, sizes);
  if (!n || (bare.size() != text.size() && bare.find_first_of("kMG") == std::string_view::npos))
    return std::nullopt;
  return Size{*n};
}
std::string Value<Size>::print(const Size& v) {
  return print_whole(v.n, sizes);
}

std::optional<Size> Value<Size>::beyond(std::string_view text) {
  if (!too_large(without_ib(text), sizes)) return std::nullopt;
  return Size{std::uint64_t{1} << 63};
}

std::optional<Rate> Value<Rate>::parse(std::string_view text) {
  if (text == "max") return Rate{Rate::unlimited};
  const auto n = whole(text, rates);
  if (!n || *n == Rate::unlimited) return std::nullopt;
  return Rate{*n};
}
std::string Value<Rate>::print(const Rate& v) {
  return v.is_max() ? "max" : print_whole(v.per_second, rates);
}

std::optional<Rate> Value<Rate>::beyond(std::string_view text) {
  if (!too_large(text, rates)) return std::nullopt;
  return Rate{static_cast<std::uint64_t>(most_whole)};
}

std::optional<Port> Value<Port>::parse(std::string_view text) {
  const auto n = Value<std::uint16_t>::parse(text);
  if (!n) return std::nullopt;
  return Port{*n};
}
std::string Value<Port>::print(const Port& v) {
  return std::to_string(v.raw());
}

std::optional<PortRange> Value<PortRange>::parse(std::string_view text) {
  const std::size_t dash = text.find('-');
  const auto first = Value<Port>::parse(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : Value<Port>::parse(text.substr(dash + 1));
  if (!first || !last || *last < *first) return std::nullopt;
  return PortRange{*first, *last};
}
std::string Value<PortRange>::print(const PortRange& v) {
  return v.first == v.last ? Value<Port>::print(v.first) : fmt::format("{}-{}", v.first.raw(), v.last.raw());
}

std::optional<Ip> Value<Ip>::parse(std::string_view text) {
  return Ip::parse(text);
}
std::string Value<Ip>::print(const Ip& v) {
  return v.to_string();
}

std::optional<Prefix> Value<Prefix>::parse(std::string_view text) {
  return Prefix::parse(text);
}
std::string Value<Prefix>::print(const Prefix& v) {
  return v.to_string();
}

std::optional<Endpoint> Value<Endpoint>::parse(std::string_view text) {
  return Endpoint::parse(text);
}
std::string Value<Endpoint>::print(const Endpoint& v) {
  return v.to_string();
}

Number number_of(std::string_view text, std::uint32_t most) {
  using V = Value<std::uint32_t>;
  const auto n = V::parse(text);
  if (n && *n <= most) return {.value = *n};
  if (n || V::beyond(text)) return {.wrong = fmt::format("{} is too large; give 0 to {}", text, most)};
  return {.wrong = fmt::format("'{}' is not {}", text, V::expects)};
}

} // namespace tern::settings
