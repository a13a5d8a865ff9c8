// The kinds of value that only `tern lb` has.
#pragma once

#include "app/lb/config.hpp"
#include "runtime/settings/values.hpp"

namespace tern::settings {

template <>
struct Value<app::lb::ListenConfig> {
  static constexpr std::string_view meta = "IP:PORT[-PORT]";
  static constexpr std::string_view expects =
      "an address and a port or a range of ports, such as 10.0.0.1:80, [2001:db8::1]:80-89 or *:80";
  static std::optional<app::lb::ListenConfig> parse(std::string_view);
  static std::string print(const app::lb::ListenConfig&);
};

template <>
struct Value<app::lb::StatusRange> {
  static constexpr std::string_view meta = "STATUS[-STATUS]";
  static constexpr std::string_view expects = "an HTTP status or a range of them, such as 200 or 200-399";
  static std::optional<app::lb::StatusRange> parse(std::string_view);
  static std::string print(const app::lb::StatusRange&);
};

} // namespace tern::settings
