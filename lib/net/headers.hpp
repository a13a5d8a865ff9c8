// Layouts of what lies below TCP, for reading and writing in place once lengths are known. Alignment 1
// throughout.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/endian.hpp"
#include "base/ip.hpp"

namespace tern::net {

using Mac = std::array<std::uint8_t, 6>;
inline constexpr Mac broadcast_mac = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

namespace ether_type {
inline constexpr std::uint16_t ipv4 = 0x0800, arp = 0x0806, ipv6 = 0x86dd, vlan = 0x8100, qinq = 0x88a8;
}
namespace protocol {
inline constexpr std::uint8_t hop_by_hop = 0, icmp = 1, tcp = 6, udp = 17, routing = 43, fragment = 44,
                              icmp6 = 58, no_next = 59, destination = 60;
}

struct EtherHeader {
  Mac dst;
  Mac src;
  Be16 type;
};
struct VlanTag { // behind the first type field
  Be16 tci;
  Be16 type;
};
// RFC 826 for Ethernet and IPv4.
struct ArpMessage {
  Be16 hardware{std::uint16_t{1}};
  Be16 protocol{ether_type::ipv4};
  std::uint8_t hardware_length = 6;
  std::uint8_t protocol_length = 4;
  Be16 operation; // 1 request, 2 reply
  Mac sender_mac{};
  Ip4 sender;
  Mac target_mac{};
  Ip4 target;
};
// RFC 791.
struct Ipv4Header {
  std::uint8_t version_ihl = 0x45;
  std::uint8_t tos = 0;
  Be16 total_length;
  Be16 id;
  Be16 fragment; // flags and offset
  std::uint8_t ttl = 64;
  std::uint8_t protocol = 0;
  Be16 checksum;
  Ip4 src;
  Ip4 dst;
};
inline constexpr std::uint16_t dont_fragment = 0x4000, more_fragments = 0x2000, fragment_offset_mask = 0x1fff;
// RFC 8200.
struct Ipv6Header {
  Be32 version_class_label{std::uint32_t{6} << 28};
  Be16 payload_length;
  std::uint8_t next = 0;
  std::uint8_t hop_limit = 64;
  Ip::Bytes src{};
  Ip::Bytes dst{};
};
struct IcmpHeader { // RFC 792, RFC 4443: what all types share, and the word behind it
  std::uint8_t type = 0;
  std::uint8_t code = 0;
  Be16 checksum;
  Be32 rest;
};
// RFC 4861 §4.3, §4.4 with one link-layer address option.
struct NeighbourMessage {
  IcmpHeader icmp;
  Ip::Bytes target{};
  std::uint8_t option_type = 0; // 1 source, 2 target link-layer address
  std::uint8_t option_length = 1;
  Mac option_mac{};
};
static_assert(sizeof(EtherHeader) == 14 && sizeof(VlanTag) == 4 && sizeof(ArpMessage) == 28);
static_assert(sizeof(Ipv4Header) == 20 && sizeof(Ipv6Header) == 40 && sizeof(IcmpHeader) == 8 &&
              sizeof(NeighbourMessage) == 32);

// The caller has checked the length.
template <class Header>
[[nodiscard]] inline Header load(const std::byte* p) {
  Header h;
  std::memcpy(&h, p, sizeof h);
  return h;
}
template <class Header>
inline void store(std::byte* p, const Header& h) {
  std::memcpy(p, &h, sizeof h);
}

// RFC 4291 §2.7.1: ff02::1:ff and the low 24 bits; RFC 2464 §7: 33:33 and the low 32 bits.
[[nodiscard]] constexpr Ip solicited_node(const Ip& ip) {
  Ip::Bytes b = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0};
  for (std::size_t i = 13; i < 16; ++i) b[i] = ip.bytes()[i];
  return Ip{b};
}
[[nodiscard]] constexpr Mac multicast_mac(const Ip& group) {
  return {0x33, 0x33, group.bytes()[12], group.bytes()[13], group.bytes()[14], group.bytes()[15]};
}
[[nodiscard]] constexpr bool is_multicast(const Ip& ip) {
  return ip.is_v4() ? (ip.bytes()[12] & 0xf0) == 0xe0 : ip.bytes()[0] == 0xff;
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

} // namespace tern::net
