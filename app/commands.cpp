#include "app/command.hpp"

namespace tern::app {

std::span<const Command> commands() {
  static constexpr Command table[] = {
      {"doctor", "what this machine can do, and the command that mends what it lacks", declare_doctor},
      {"explain", "how TCP opens, closes and mends itself: stories played by the engine", declare_explain},
  };
  return table;
}

} // namespace tern::app
