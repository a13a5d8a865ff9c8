// The setting `metrics`.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/ip.hpp"
#include "runtime/settings/values.hpp"

namespace tern::app {

// Where to listen; or nowhere.
struct MetricsAddress {
  std::optional<Endpoint> end;
};
inline constexpr const char* metrics_help =
    "where Prometheus finds GET /metrics, such as 127.0.0.1:9464: an address of this machine's kernel, not "
    "of --ip; empty: "
    "nowhere";

} // namespace tern::app

namespace tern::settings {
template <>
struct Value<app::MetricsAddress> {
  static constexpr std::string_view meta = "IP:PORT";
  static constexpr std::string_view expects =
      "an address and a port to listen on, such as 127.0.0.1:9464 or [::1]:9464, or empty for none";
  static constexpr bool text_only = true;
  static std::optional<app::MetricsAddress> parse(std::string_view);
  static std::string print(const app::MetricsAddress&);
};
} // namespace tern::settings
