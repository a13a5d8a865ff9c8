// Campaigns of whole Cores: many hosts, up to thousands of connections at once, handlers that use all a
// Connection offers. What a bare engine cannot show is judged here: lookup, listeners, TIME-WAIT and its
// reuse, records and packets all back.
#pragma once

#include "campaign.hpp"

namespace tern::campaign {

// Every sixth seed is a crowd: thousands of connections in a few seconds among eight hosts or more, who have records for
// all of them.
[[nodiscard]] constexpr bool is_crowd(std::uint64_t seed) {
  return seed % 6 == 4;
}

// `packets` must be idle: the run checks that it is again at the end.
[[nodiscard]] Result run_cores(std::uint64_t seed, PacketPool packets, const Watch& watch = {});

} // namespace tern::campaign
