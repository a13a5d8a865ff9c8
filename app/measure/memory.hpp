// What a run asks of memory, and which part of it is to blame where it does not fit.
#pragma once

#include <cstdint>

#include "flow/arena.hpp"
#include "runtime/node_settings.hpp"
#include "runtime/settings/schema.hpp"

namespace tern::app {

struct MemoryAsked {
  std::uint64_t connections = 0; // records of both ends, where both are ours
  std::uint64_t time_waits = 0;
  const char* connections_option = "max_connections"; // which says how many
  settings::Size packets{};
  settings::Size most{}; // --memory; 0: what the machine has free
};
// Of a node whose settings say all of it.
[[nodiscard]] MemoryAsked memory_asked(const NodeSettings&);

// One line that names the option of the largest part, and the cure. Throws ConfigError.
[[noreturn]] void fail_for_memory(const settings::Schema&, const MemoryAsked&, const ArenaError&);

} // namespace tern::app
