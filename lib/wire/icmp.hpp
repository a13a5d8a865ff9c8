// ICMP (RFC 792, 1191), ICMPv6 (RFC 4443) and neighbour discovery (RFC 4861).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/ip.hpp"
#include "base/seq.hpp"
#include "wire/ethernet.hpp"
#include "wire/verdict.hpp"

namespace tern::wire {

namespace icmp_type {
inline constexpr std::uint8_t echo_reply = 0, unreachable = 3, echo_request = 8, time_exceeded = 11,
                              parameter_problem = 12;
}
inline constexpr std::uint8_t icmp_fragmentation_needed = 4; // code of unreachable
namespace icmp_code {                                        // of unreachable
inline constexpr std::uint8_t protocol = 2, port = 3;
}
namespace icmpv6_code {
inline constexpr std::uint8_t port = 4 /* of unreachable */, reassembly = 1 /* of time exceeded */,
                              next_header = 1 /* of parameter problem */;
}
namespace icmpv6_type {
inline constexpr std::uint8_t unreachable = 1, packet_too_big = 2, time_exceeded = 3, parameter_problem = 4,
                              echo_request = 128, echo_reply = 129, router_solicitation = 133,
                              neighbour_solicitation = 135, neighbour_advertisement = 136;
}

// An echo or an error of either family. What a type does not have stays 0.
struct IcmpMessage {
  std::uint8_t type = 0;
  std::uint8_t code = 0;
  std::uint16_t id = 0;       // echo
  std::uint16_t sequence = 0; // echo
  std::uint32_t mtu = 0;      // fragmentation needed, packet too big; 0 from routers older than RFC 1191
  std::uint32_t pointer = 0;  // ICMPv6 parameter problem: which byte of the packet
  std::span<const std::byte> body{}; // echo: its data; an error: the packet it quotes, as far as it goes
  [[nodiscard]] bool operator==(const IcmpMessage& o) const {
    return type == o.type && code == o.code && id == o.id && sequence == o.sequence && mtu == o.mtu &&
           pointer == o.pointer && std::ranges::equal(body, o.body);
  }
};

inline constexpr std::size_t icmp_length = 8; // of every header, both families

// `message` is the whole ICMP message, header and body. truncated, bad_checksum, not_supported, ok.
[[nodiscard]] Verdict parse_icmp(std::span<const std::byte> message, IcmpMessage& out);
// The same of a message whose checksum was looked at already, and of which only the first bytes may be here.
[[nodiscard]] Verdict read_icmp(std::span<const std::byte> message, IcmpMessage& out);
[[nodiscard]] inline std::size_t emitted_length(const IcmpMessage& m) {
  return 8 + m.body.size();
}
// Writes header and body, checksum and all. `body` may already lie at to + 8.
std::size_t emit_icmp(const IcmpMessage& m, std::byte* to);

// Turns an echo request, the first 8 bytes of which are at `to`, into a reply of this type. The checksum
// follows by as much; `moved` is what the pseudo-header's sum gained (its new words, and the old ones
// inverted).
void turn_echo(std::byte* to, std::uint8_t reply_type, std::uint64_t moved = 0);

// Of a neighbour message only what an end host speaks.
struct Neighbour {
  std::uint8_t type = icmpv6_type::neighbour_solicitation; // or advertisement, or router solicitation
  bool router = false;                                     // advertisement
  bool solicited = false;
  bool override_ = false;
  bool has_link_layer = false;
  Mac link_layer; // source's of a solicitation, target's of an advertisement
  Ip target;      // not of a router solicitation
  constexpr bool operator==(const Neighbour&) const = default;
};

// What an ICMPv6 message is; its checksum covers the addresses too.
enum class Icmpv6Kind : std::uint8_t { message, neighbour };
struct Icmpv6 {
  Icmpv6Kind kind = Icmpv6Kind::message;
  IcmpMessage message; // kind says which of the two is set
  Neighbour neighbour;
};
// Neighbour discovery is refused (bad_field) unless hop limit is 255, code 0 and target no multicast (RFC
// 4861 §7.1); its options of other kinds are passed over by length, one of length 0 is bad_option_length.
[[nodiscard]] Verdict parse_icmpv6(std::span<const std::byte> message, const Ip& src, const Ip& dst,
                                   std::uint8_t hop_limit, Icmpv6& out);
// The same of a message whose checksum was looked at already; of an echo or an error only the first bytes may
// be here.
[[nodiscard]] Verdict read_icmpv6(std::span<const std::byte> message, std::uint8_t hop_limit, Icmpv6& out);
std::size_t emit_icmpv6(const IcmpMessage& m, const Ip& src, const Ip& dst, std::byte* to);
// At most 32 bytes.
[[nodiscard]] std::size_t emitted_length(const Neighbour& n);
std::size_t emit_neighbour(const Neighbour& n, const Ip& src, const Ip& dst, std::byte* to);

// The connection that an error speaks of, from the packet it quotes: src is us, as we sent it. Only TCP, only
// with its first 8 bytes there (RFC 792), never a later fragment.
struct QuotedTcp {
  Ip src;
  Ip dst;
  Port src_port;
  Port dst_port;
  Seq seq; // for RFC 5927's check
};
// truncated, not_supported, and what parse_ipv4 and parse_ipv6 say of headers.
[[nodiscard]] Verdict parse_quoted_v4(std::span<const std::byte> body, QuotedTcp& out);
[[nodiscard]] Verdict parse_quoted_v6(std::span<const std::byte> body, QuotedTcp& out);

} // namespace tern::wire
