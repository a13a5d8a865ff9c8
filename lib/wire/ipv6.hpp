// IPv6 and its extension headers (RFC 8200).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/endian.hpp"
#include "base/ip.hpp"
#include "wire/verdict.hpp"

namespace tern::wire {

namespace ip_protocol {
inline constexpr std::uint8_t hop_by_hop = 0, icmp = 1, tcp = 6, udp = 17, routing = 43, fragment = 44,
                              icmpv6 = 58, no_next_header = 59, destination_options = 60;
}

inline constexpr std::size_t ipv6_length = 40; // without extension headers

// The fixed header, and where its chain of extension headers leads.
//
//   | fixed header 40 | hop-by-hop | destination | routing | fragment | destination | transport ...
//   |<------------------------------ header_length ------------------------------->| protocol says what this
//   is
//
// The walk ends at the first header that is no extension, or behind the header of a real fragment: `protocol`
// is then what that fragment header says comes next, and belongs to the reassembled packet. A fragment header
// with offset 0 and nothing to follow is walked through (RFC 6946: an atomic fragment is a whole packet).
struct Ipv6 {
  Ip src;
  Ip dst;
  std::uint8_t traffic_class = 0;
  std::uint8_t next_header = 0; // of the fixed header
  std::uint8_t hop_limit = 64;
  std::uint8_t protocol = 0; // behind the chain
  std::uint32_t flow_label = 0;
  std::uint32_t fragment_id = 0;
  std::uint16_t payload_length = 0; // as announced: extension headers and all that follows
  std::uint16_t header_length = 40;
  std::uint16_t fragment_offset = 0; // in bytes
  std::uint16_t fragment_header = 0; // where it lies, from the start of the fixed header; 0 if there is none
  bool more_fragments = false;
  std::span<const std::byte> extensions{}; // bytes 40..header_length where they lie

  [[nodiscard]] constexpr bool is_fragment() const { return more_fragments || fragment_offset != 0; }
  [[nodiscard]] constexpr std::uint8_t ecn() const { return traffic_class & 3; }
  [[nodiscard]] bool operator==(const Ipv6& o) const {
    return src == o.src && dst == o.dst && traffic_class == o.traffic_class && next_header == o.next_header &&
           hop_limit == o.hop_limit && protocol == o.protocol && flow_label == o.flow_label &&
           fragment_id == o.fragment_id && payload_length == o.payload_length &&
           header_length == o.header_length && fragment_offset == o.fragment_offset &&
           fragment_header == o.fragment_header && more_fragments == o.more_fragments &&
           std::ranges::equal(extensions, o.extensions);
  }
};

// `bytes` begin at the IPv6 header and go on as far as they lie in one piece; `packet_length` counts the
// whole chain. The chain is bounded by what RFC 8200 §4.1 lets stand in it: hop-by-hop once and first,
// routing and fragment once, destination options twice. Jumbograms and options that must not be passed over
// are not_supported.
[[nodiscard]] Verdict parse_ipv6(std::span<const std::byte> bytes, std::size_t packet_length, Ipv6& out);
[[nodiscard]] inline Verdict parse_ipv6(std::span<const std::byte> bytes, Ipv6& out) {
  return parse_ipv6(bytes, bytes.size(), out);
}
// The same, of a packet quoted in an ICMP error: cut short, so its announced length is not held against it.
[[nodiscard]] Verdict parse_quoted_ipv6(std::span<const std::byte> bytes, Ipv6& out);

[[nodiscard]] constexpr std::size_t emitted_length(const Ipv6& h) {
  return 40 + h.extensions.size();
}
// Writes the fixed header alone, 40 bytes; `next_header` and `payload_length` are the caller's.
inline void emit_plain_ipv6(const Ipv6& h, std::byte* to) {
  store_be<std::uint32_t>(to, 0x60000000U | std::uint32_t{h.traffic_class} << 20 | (h.flow_label & 0xfffff));
  store_be<std::uint32_t>(
      to + 4, std::uint32_t{h.payload_length} << 16 | std::uint32_t{h.next_header} << 8 | h.hop_limit);
  std::memcpy(to + 8, h.src.bytes().data(), 16);
  std::memcpy(to + 24, h.dst.bytes().data(), 16);
}
// A fragment header (RFC 8200 §4.5), 8 bytes; `offset` in bytes.
inline void emit_fragment(std::uint8_t next, std::uint16_t offset, bool more, std::uint32_t id,
                          std::byte* to) {
  store_be<std::uint16_t>(to, static_cast<std::uint16_t>(next << 8));
  store_be<std::uint16_t>(to + 2, static_cast<std::uint16_t>((offset & 0xfff8) | (more ? 1 : 0)));
  store_be<std::uint32_t>(to + 4, id);
}
// The fixed header, and `extensions` as they are.
std::size_t emit_ipv6(const Ipv6& h, std::byte* to);

} // namespace tern::wire
