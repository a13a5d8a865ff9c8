#include "app/lb/config/kinds.hpp"

#include <fmt/format.h>

namespace tern::settings {

using app::lb::ListenConfig;
using app::lb::StatusRange;

std::optional<ListenConfig> Value<ListenConfig>::parse(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto ports = Value<PortRange>::parse(text.substr(colon + 1));
  if (!ports || ports->first == Port{}) return std::nullopt;
  if (text.substr(0, colon) == "*") return ListenConfig{Ip{}, ports->first, ports->last};
  const auto at = Endpoint::parse(std::string(text.substr(0, colon)) + ":1"); // its rules for [ and ]
  if (!at) return std::nullopt;
  return ListenConfig{at->ip, ports->first, ports->last};
}

std::string Value<ListenConfig>::print(const ListenConfig& v) {
  const std::string ports = Value<PortRange>::print({v.first, v.last});
  if (v.ip == Ip{}) return "*:" + ports;
  const std::string text = Endpoint{v.ip, v.first}.to_string();
  return text.substr(0, text.rfind(':') + 1) + ports;
}

std::optional<StatusRange> Value<StatusRange>::parse(std::string_view text) {
  const std::size_t dash = text.find('-');
  const auto first = Value<std::uint16_t>::parse(text.substr(0, dash));
  const auto last =
      dash == std::string_view::npos ? first : Value<std::uint16_t>::parse(text.substr(dash + 1));
  if (!first || !last || *first < 100 || *last > 599 || *last < *first) return std::nullopt;
  return StatusRange{*first, *last};
}

std::string Value<StatusRange>::print(const StatusRange& v) {
  return v.first == v.last ? fmt::format("{}", v.first) : fmt::format("{}-{}", v.first, v.last);
}

} // namespace tern::settings
