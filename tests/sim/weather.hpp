// What campaigns draw by lot.
#pragma once

#include "sim/link.hpp"
#include "tcp/settings.hpp"

namespace tern::campaign {

// One direction of a link: how bad, and in which way. `fair`: nothing that a TCP need not survive.
[[nodiscard]] sim::LinkSettings random_link(sim::Random& r, bool fair);
// Every option on and off, buffers small and large.
[[nodiscard]] tcp::Settings random_settings(sim::Random& r, bool fair);
[[nodiscard]] Duration random_ms(sim::Random& r, std::uint64_t low, std::uint64_t high);

} // namespace tern::campaign
