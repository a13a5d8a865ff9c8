// What is different between two configurations, for people: "weight 1 -> 5".
#pragma once

#include <string>
#include <vector>

#include "app/lb/config.hpp"

namespace tern::app::lb {

// A line for each key that differs, lists of backends aside; tables are told as "health.check tcp -> http".
[[nodiscard]] std::vector<std::string> changes(const ServiceConfig& from, const ServiceConfig& to);
[[nodiscard]] std::vector<std::string> changes(const BackendConfig& from, const BackendConfig& to);

} // namespace tern::app::lb
