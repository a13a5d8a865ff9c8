#include "net/counters.hpp"

#include <array>

namespace tern::net {
namespace {

// In the order of the enum; the size is checked, the first and last are tested.
constexpr std::array<std::string_view, NetCounters::size> names = {
    "drop_truncated",       "drop_other_mac",      "drop_vlan",
    "drop_ether_type",      "drop_ip_version",     "drop_ip_header_length",
    "drop_ip_total_length", "drop_ip_checksum",    "drop_ip_source",
    "drop_ip_options",      "drop_ip6_extensions", "drop_not_local",
    "drop_fragment",        "drop_fragment_again", "drop_fragment_scarce",
    "drop_protocol",        "drop_tcp_checksum",   "drop_tcp_broadcast",
    "drop_arp_malformed",   "drop_arp_not_local",  "drop_icmp_malformed",
    "drop_icmp_checksum",   "drop_icmp_type",      "drop_icmp_error",
    "drop_nd_malformed",    "drop_no_buffer",      "drop_outbox_full",
    "drop_no_route",        "drop_unresolved",     "drop_resolve_queue",
    "drop_resolve_scarce",  "drop_no_headroom",    "arp_requests_in",
    "arp_replies_in",       "arp_requests_out",    "arp_replies_out",
    "nd_solicits_in",       "nd_adverts_in",       "nd_solicits_out",
    "nd_adverts_out",       "icmp_echo_in",        "icmp_errors_in",
    "icmp_errors_out",      "icmp_errors_limited", "fragments_in",
    "datagrams_whole",      "datagrams_evicted",   "datagrams_timed_out",
    "neighbours_evicted",   "address_conflicts",
};
static_assert(!names.back().empty());

} // namespace

std::string_view name_of(NetCounter c) {
  return names[static_cast<std::size_t>(c)];
}

} // namespace tern::net
