#include "runtime/counters.hpp"

#include <array>

namespace tern {

const char* name_of(CoreCounter c) {
  constexpr std::array names{"rx_packets",
                             "rx_bytes",
                             "tx_packets",
                             "tx_bytes",
                             "tx_packs",
                             "tx_packed_segments",
                             "polls",
                             "polls_idle",
                             "sleeps",
                             "sleeps_ended_by_port",
                             "sleeps_ended_by_knock",
                             "accepted",
                             "connects",
                             "connect_no_port",
                             "connect_no_record",
                             "connect_no_route",
                             "closed_done",
                             "closed_reset",
                             "closed_refused",
                             "closed_unreachable",
                             "closed_timed_out",
                             "closed_aborted",
                             "closed_no_memory",
                             "drop_tcp_header",
                             "drop_no_listener",
                             "drop_no_flow_entry",
                             "drop_control_no_packet",
                             "unread_payload_dropped",
                             "packets_scarce",
                             "neighbour_news_shared",
                             "neighbour_news_dropped",
                             "icmp_no_connection",
                             "next_hop_unnumbered"};
  static_assert(names.size() == CoreCounters::size);
  return names[static_cast<std::size_t>(c)];
}

} // namespace tern
