// `tern lb` at work: ports, cores, services, until a signal.
#pragma once

#include "app/lb/config/schema.hpp"

namespace tern::app::lb {

// The exit code. Throws ConfigError.
[[nodiscard]] int run(const settings::Binding& binding, const settings::Schema& schema,
                      const LbSettings& settings);

} // namespace tern::app::lb
