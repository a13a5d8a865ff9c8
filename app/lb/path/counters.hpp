// What a core counts of the load balancer. Every connection that was accepted ends in exactly one of the
// `ended_` counters or is still open.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/counters.hpp"

namespace tern::app::lb {

enum class Count : std::uint8_t {
  accepted,         // clients whose handshake was done
  connected,        // of them, that reached a backend
  ended_done,       // both directions closed
  ended_client,     // reset by the client, or it fell silent
  ended_backend,    // reset by the backend, or it fell silent
  ended_idle,       // nothing moved for too long
  ended_killed,     // by us: a drain that was over, `connections kill`
  ended_scarce,     // by us: its reader stood still while packets were scarce
  ended_no_backend, // no backend could take it: all down, refusing or too slow
  ended_full,       // every backend that is up has as many connections as it may
  ended_denied,     // by its address
  ended_source,     // one source had too many, or too many a second
  ended_no_port,    // all ports of ours towards the backends that it could have gone to are in use
  ended_no_memory,  // no record was left, or no packet for the PROXY header
  connect_tried,
  connect_refused,
  connect_unreachable, // says ICMP
  connect_timed_out,
  connect_no_port,  // all ports towards it are in use
  connect_no_route, // no network, router or address of ours leads to it
  bytes_in,         // from clients, passed on
  bytes_out,        // to clients
  checks_passed,
  checks_failed,
  checks_skipped, // not made for want of records, ports or packets of ours: they tell nothing of a backend
  count_
};
[[nodiscard]] std::string_view name_of(Count);
using LbCounters = Counters<Count>;

} // namespace tern::app::lb
