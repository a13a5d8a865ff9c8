// Every reason to drop a frame below TCP, and what the layer did. One set a core.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/counters.hpp"

namespace tern::net {

enum class NetCounter : std::uint8_t {
  // Received and not passed on, by reason.
  drop_truncated,        // shorter than the headers it announces
  drop_other_mac,        // for another station
  drop_vlan,             // tagged otherwise than this interface is
  drop_ether_type,       // neither IP nor ARP
  drop_ip_version,       // the version nibble belies the type
  drop_ip_header_length, // IHL < 5
  drop_ip_total_length,  // shorter than its header, or longer than the frame
  drop_ip_checksum,
  drop_ip_source,       // a source nobody may have: multicast, loopback, zero, or our own
  drop_ip_options,      // source routing (RFC 7126)
  drop_ip6_extensions,  // a chain too long, or out of order
  drop_not_local,       // an address that is not ours
  drop_fragment,        // malformed, or it overlaps another: its datagram is forgotten
  drop_fragment_again,  // one that came before
  drop_fragment_scarce, // packets are few: it, or others of its datagram, may not be held
  drop_protocol,        // neither TCP nor ICMP
  drop_tcp_checksum,
  drop_tcp_broadcast, // RFC 1122 §4.2.3.10: TCP to a broadcast or multicast address
  drop_arp_malformed,
  drop_arp_not_local, // asks for somebody else
  drop_icmp_malformed,
  drop_icmp_checksum,
  drop_icmp_type,    // a type that means nothing here
  drop_icmp_error,   // an error that quotes no segment of ours
  drop_nd_malformed, // hop limit not 255, code not 0, options that do not fit (RFC 4861 §6.1, §7.1)
  drop_no_buffer,    // a reply found the pool empty
  drop_outbox_full,
  // Sent, and not.
  drop_no_route,
  drop_unresolved,     // the neighbour did not answer
  drop_resolve_queue,  // too many packets wait for one neighbour
  drop_resolve_scarce, // too many wait for all of them, or packets are few
  drop_no_headroom,
  // Done.
  arp_requests_in,
  arp_replies_in,
  arp_requests_out,
  arp_replies_out,
  nd_solicits_in,
  nd_adverts_in,
  nd_solicits_out,
  nd_adverts_out,
  icmp_echo_in,
  icmp_errors_in,
  icmp_errors_out,
  icmp_errors_limited, // not sent: too many
  fragments_in,
  datagrams_whole,     // fragments that came together
  datagrams_evicted,   // others needed the room
  datagrams_timed_out, // not all of them came
  neighbours_evicted,  // the table was full
  address_conflicts,   // another station says it has our address
  count_,
};
using NetCounters = Counters<NetCounter>;
[[nodiscard]] std::string_view name_of(NetCounter c);

} // namespace tern::net
