// What a parser says of bytes from the wire. Every way to be malformed has a name, so that every drop has a
// reason.
#pragma once

#include <cstdint>
#include <string_view>

namespace tern::wire {

enum class Verdict : std::uint8_t {
  ok,
  truncated,         // the bytes end inside the fixed header, or inside the header length that it announces
  bad_version,       // IP: the version nibble is neither what the caller asked for nor the other
  bad_header_length, // IPv4 IHL < 5, TCP data offset < 5
  bad_total_length,  // IP: the length announced is shorter than the header or longer than the bytes
  bad_checksum,      // IPv4 header, ICMP
  bad_option_length, // an option of length 0 or 1, or one that runs past the end of its header
  bad_extension_header, // IPv6: hop-by-hop not first, or a header that may stand once stands twice
  too_many_extensions,  // IPv6: the chain is longer than what anybody sends honestly
  bad_fragment,         // its bytes would end past 65,535, or it is not a multiple of 8 though more follow
  too_many_vlan_tags,   // more than two
  not_supported, // a kind of message that this parser does not speak (ARP for other hardware, ICMP of another
                 // type)
  bad_field,     // a field holds what its RFC forbids (neighbour discovery: hop limit, code, target)
  count_,
};

[[nodiscard]] std::string_view name_of(Verdict v);

} // namespace tern::wire
