// Which option to name where a run asks for more memory than there is.
#pragma once

#include "flow/arena.hpp"
#include "runtime/node_settings.hpp"
#include "runtime/settings/schema.hpp"

namespace tern::app {

// One line that names the option of the largest part, and the cure. `connections_option`: which says how many connections
// there may be. Throws ConfigError.
[[noreturn]] void fail_for_memory(const settings::Schema&, const NodeSettings&,
                                  const char* connections_option, const ArenaError&);

} // namespace tern::app
