// The kinds of value a setting may have: how each is written, read and printed. One text form serves the
// command line and TOML, so `--duration 5s` and `duration = "5s"` cannot differ. A new kind is one more
// specialisation of Value<T>.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "base/ip.hpp"
#include "base/time.hpp"

namespace tern::settings {

// A share of one: "0.1%" is 0.001.
struct Percent {
  double share = 0;
  constexpr auto operator<=>(const Percent&) const = default;
};

// Bytes or records: "65536", "64k", "1.5M", "4GiB"; k, M and G count in 1024s.
struct Size {
  std::uint64_t n = 0;
  constexpr auto operator<=>(const Size&) const = default;
};

// Events a second: "20000", "1.5M", "20k", or "max": as many as can be. k, M and G count in 1000s.
struct Rate {
  static constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t per_second = 0;
  [[nodiscard]] constexpr bool is_max() const { return per_second == unlimited; }
  constexpr auto operator<=>(const Rate&) const = default;
};

struct PortRange { // "1024-65535", or one port
  Port first;
  Port last;
  constexpr bool operator==(const PortRange&) const = default;
};

// What the schema needs of a kind:
//   meta      stands for the value in --help
//   expects   completes "'x' is not …"
//   parse     no value for anything but the whole text
//   print     parse(print(v)) == v
//   holds_commas  (kinds whose text may) no list of them stands in one text
//   text_only  (kinds that are text, whatever it says) TOML must write it as a string
//   expected_of   (kinds of parts) what `expects` should say of the part of the text that is wrong
//   beyond    (kinds that have ends) the end that text, a value but for its size, lies beyond
template <class T>
struct Value;

template <class T>
concept Setting = requires(std::string_view text, const T& v) {
  { Value<T>::meta } -> std::convertible_to<std::string_view>;
  { Value<T>::expects } -> std::convertible_to<std::string_view>;
  { Value<T>::parse(text) } -> std::same_as<std::optional<T>>;
  { Value<T>::print(v) } -> std::same_as<std::string>;
};

template <Setting T>
consteval bool text_only() {
  if constexpr (requires { Value<T>::text_only; })
    return Value<T>::text_only;
  else
    return false;
}

template <std::integral T>
requires(!std::same_as<T, bool>) struct Value<T> {
  static constexpr std::string_view meta = "N";
  static constexpr std::string_view expects =
      std::is_signed_v<T> ? "a whole number" : "a whole number, 0 or more";
  static std::optional<T> parse(std::string_view text) {
    T v{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return v;
  }
  static std::string print(const T& v) { return std::to_string(v); }
  static std::optional<T> beyond(std::string_view text) {
    T v{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
    if (error != std::errc::result_out_of_range || end != text.data() + text.size()) return std::nullopt;
    return text[0] == '-' ? std::numeric_limits<T>::min() : std::numeric_limits<T>::max();
  }
};

#define TERN_SETTING_VALUE(T, name, text, ...)        \
  template <>                                         \
  struct Value<T> {                                   \
    static constexpr std::string_view meta = name;    \
    static constexpr std::string_view expects = text; \
    static std::optional<T> parse(std::string_view);  \
    static std::string print(const T&);               \
    __VA_ARGS__                                       \
  }
TERN_SETTING_VALUE(bool, "BOOL", "true or false");
TERN_SETTING_VALUE(std::string, "TEXT", "text", static constexpr bool text_only = true;);
TERN_SETTING_VALUE(double, "X", "a number, such as 0.5");
TERN_SETTING_VALUE(Percent, "PERCENT", "a percentage up to 100%, such as 0.1%");
TERN_SETTING_VALUE(Port, "PORT", "a port, 0 to 65535");
TERN_SETTING_VALUE(PortRange, "PORTS", "a port or a range of ports, such as 1024-65535");
TERN_SETTING_VALUE(Ip, "IP", "an IP address, such as 10.0.0.1 or 2001:db8::1");
TERN_SETTING_VALUE(Prefix, "PREFIX", "an address or a prefix, such as 10.0.0.1 or 10.0.0.0/24");
TERN_SETTING_VALUE(Endpoint, "IP:PORT", "an address and a port, such as 10.0.0.1:80 or [2001:db8::1]:80");
TERN_SETTING_VALUE(Duration, "TIME", "a time with its unit, such as 5s, 250ms, 10us or 2m",
                   static std::optional<Duration> beyond(std::string_view););
TERN_SETTING_VALUE(Size, "SIZE", "a size, such as 65536, 64k, 16M or 1G",
                   static std::optional<Size> beyond(std::string_view););
TERN_SETTING_VALUE(Rate, "RATE", "a rate a second, such as 20000, 20k, 1.5M, or max",
                   static std::optional<Rate> beyond(std::string_view););
#undef TERN_SETTING_VALUE

// A number among a command's words, or what is wrong with it.
struct Number {
  std::uint32_t value = 0;
  std::string wrong{};
};
[[nodiscard]] Number number_of(std::string_view text, std::uint32_t most = UINT32_MAX);

} // namespace tern::settings
