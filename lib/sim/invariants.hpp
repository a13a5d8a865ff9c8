// What must hold of a connection after every call into the engine, whatever the peer and the network did.
#pragma once

#include <optional>
#include <string>

#include "base/time.hpp"
#include "tcp/env.hpp"
#include "tcp/tcb.hpp"

namespace tern::sim {

// An explanation of the first invariant that does not hold.
[[nodiscard]] std::optional<std::string> broken_invariant(const tcp::Env&, const tcp::Tcb&);

// The timers that fire now, in words: "RTO (3rd)", "delayed ACK".
[[nodiscard]] std::string due_timers(const tcp::Tcb&, Instant now);

} // namespace tern::sim
