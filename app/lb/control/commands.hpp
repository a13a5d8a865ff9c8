// The words that `tern ctl` knows.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "app/socket/answer.hpp"

namespace tern::app::lb {

class Director;

struct ControlCommand {
  std::string_view words;     // "backend weight"
  std::string_view arguments; // "SERVICE/BACKEND WEIGHT"
  std::string_view help;
  Answer (*run)(Director&, std::span<const std::string_view> arguments);
};

[[nodiscard]] std::span<const ControlCommand> control_commands();
[[nodiscard]] std::string command_help(); // for --help, and the answer to "help"

// The whole of a request: "json show backends" as JSON, "show backends" as text.
[[nodiscard]] std::string answer_line(Director& d, std::string_view line);

} // namespace tern::app::lb
