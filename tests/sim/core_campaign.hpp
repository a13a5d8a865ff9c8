// Campaigns of whole Cores: many hosts, up to thousands of connections at once, handlers that use all a
// Connection offers. What a bare engine cannot show is judged here: lookup, listeners, TIME-WAIT and its
// reuse, records and packets all back.
#pragma once

#include "campaign.hpp"

namespace tern::campaign {

// `packets` must be idle: the run checks that it is again at the end.
[[nodiscard]] Result run_cores(std::uint64_t seed, PacketPool packets, const Watch& watch = {});

} // namespace tern::campaign
