// What addresses mean on a link: groups, scopes, and the MACs made of them. Layouts are wire's.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/ip.hpp"
#include "wire/ethernet.hpp"

namespace tern::net {

using wire::broadcast_mac;
using wire::Mac;

inline constexpr Ip all_nodes{Ip::Bytes{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

// RFC 4291 §2.7.1: ff02::1:ff and the low 24 bits; RFC 2464 §7: 33:33 and the low 32 bits.
[[nodiscard]] constexpr Ip solicited_node(const Ip& ip) {
  Ip::Bytes b = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0};
  for (std::size_t i = 13; i < 16; ++i) b[i] = ip.bytes()[i];
  return Ip{b};
}
[[nodiscard]] constexpr Mac multicast_mac(const Ip& group) {
  const auto& b = group.bytes();
  return {{0x33, 0x33, b[12], b[13], b[14], b[15]}};
}
[[nodiscard]] constexpr bool is_multicast(Ip4 ip) {
  return ip.host() >> 28 == 0xe;
}
[[nodiscard]] constexpr bool is_multicast(const Ip& ip) {
  return ip.is_v4() ? is_multicast(ip.v4()) : ip.bytes()[0] == 0xff;
}
// fe80::/10
[[nodiscard]] constexpr bool is_link_local(const Ip& ip) {
  return ip.bytes()[0] == 0xfe && (ip.bytes()[1] & 0xc0) == 0x80;
}
// RFC 4291 appendix A: the interface identifier made of the MAC.
[[nodiscard]] constexpr Ip link_local_of(const Mac& m) {
  return Ip{Ip::Bytes{0xfe, 0x80, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(m[0] ^ 2), m[1], m[2], 0xff,
                      0xfe, m[3], m[4], m[5]}};
}
// Nobody's own address (RFC 1122 §3.2.1.3: 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0/3), or the one it is sent to: a
// segment that answers itself (the LAND attack).
[[nodiscard]] constexpr bool source_allowed(Ip4 src, Ip4 dst) {
  const std::uint32_t h = src.host();
  return (h >> 24) != 0 && (h >> 24) != 127 && h < 0xe0000000 && src != dst;
}
[[nodiscard]] constexpr bool source_allowed(const Ip& src, const Ip& dst) {
  constexpr Ip loopback{Ip::Bytes{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
  return !is_multicast(src) && src != loopback && !src.is_v4() &&
         src != dst; // a mapped address is for programs, not wires
}

} // namespace tern::net
