// What a core counts beside the engine (tcp::Counter) and the network layer (net::NetCounter).
#pragma once

#include <cstdint>

#include "base/counters.hpp"

namespace tern {

enum class CoreCounter : std::uint8_t {
  rx_packets,
  rx_bytes,
  tx_packets,
  tx_bytes,
  tx_packs,           // of tx_packets, those that the port cuts into segments (TSO)
  tx_packed_segments, // and what it makes of them
  polls,
  polls_idle,
  sleeps,
  sleeps_ended_by_port,  // its receive interrupt, or the socket behind it
  sleeps_ended_by_knock, // a hand-off or a message
  accepted,
  connects,
  connect_no_port,
  connect_no_record,
  connect_no_route,
  closed_done,
  closed_reset,
  closed_refused,
  closed_unreachable,
  closed_timed_out,
  closed_aborted,
  closed_no_memory,
  drop_tcp_header,
  drop_no_listener,
  drop_no_flow_entry,
  drop_control_no_packet,
  unread_payload_dropped,
  packets_scarce,         // times that packets became scarcer: see tcp::Scarcity
  neighbour_news_shared,  // ARP and ND told to another core
  neighbour_news_dropped, // and not told: too many at once, no packet, or its mailbox was full
  icmp_no_connection,     // errors about a connection that is none
  next_hop_unnumbered,    // segments for whom the way was looked up, since no number was left for it (Hops)
  count_
};
[[nodiscard]] const char* name_of(CoreCounter);
using CoreCounters = Counters<CoreCounter>;

} // namespace tern
