// Campaigns of the load balancer: clients, `tern lb`'s handler on a whole Core, and backends, each behind a link of its
// own that loses, reorders, repeats and damages. Judged: every byte came, once and in order, or the end was a reset; no
// end that looks whole hides a part; every record, credit and packet is back, and the counters add up.
#pragma once

#include "campaign.hpp"

namespace tern::campaign {

// `packets` must be idle: the run checks that it is again at the end.
[[nodiscard]] Result run_proxy(std::uint64_t seed, PacketPool packets, const Watch& watch = {});

} // namespace tern::campaign
