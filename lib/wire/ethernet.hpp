// Ethernet II with up to two VLAN tags (IEEE 802.1Q, 802.1ad), and ARP (RFC 826).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/ip.hpp"
#include "wire/verdict.hpp"

namespace tern::wire {

struct Mac {
  std::array<std::uint8_t, 6> bytes{};
  constexpr bool operator==(const Mac&) const = default;
  [[nodiscard]] constexpr bool is_multicast() const { return (bytes[0] & 1) != 0; } // broadcast too
  [[nodiscard]] constexpr std::uint8_t& operator[](std::size_t i) { return bytes[i]; }
  [[nodiscard]] constexpr std::uint8_t operator[](std::size_t i) const { return bytes[i]; }
  [[nodiscard]] constexpr std::uint8_t* data() { return bytes.data(); }
  [[nodiscard]] constexpr const std::uint8_t* data() const { return bytes.data(); }
  [[nodiscard]] static constexpr std::size_t size() { return 6; }
};
inline constexpr Mac broadcast_mac{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

namespace ether_type {
inline constexpr std::uint16_t ipv4 = 0x0800, arp = 0x0806, vlan = 0x8100, ipv6 = 0x86dd,
                               service_vlan = 0x88a8;
}

struct VlanTag {
  std::uint16_t tpid = ether_type::vlan;
  std::uint16_t tci = 0; // priority (3 bits), drop eligible (1), VLAN (12)
  constexpr bool operator==(const VlanTag&) const = default;
  [[nodiscard]] constexpr std::uint16_t id() const { return tci & 0x0fff; }
  [[nodiscard]] constexpr std::uint8_t priority() const { return static_cast<std::uint8_t>(tci >> 13); }
};

struct Ethernet {
  Mac dst;
  Mac src;
  std::uint16_t type =
      0; // of the payload, behind the tags; below 0x0600 an 802.3 length, which nobody here speaks
  std::uint8_t tag_count = 0;
  std::array<VlanTag, 2> tags; // outer first; the first tag_count are set
  [[nodiscard]] constexpr std::size_t header_length() const { return 14 + std::size_t{4} * tag_count; }
  constexpr bool operator==(const Ethernet& o) const {
    return dst == o.dst && src == o.src && type == o.type && tag_count == o.tag_count &&
           (tag_count < 1 || tags[0] == o.tags[0]) && (tag_count < 2 || tags[1] == o.tags[1]);
  }
};

inline constexpr std::size_t ethernet_length = 14; // without tags

// truncated, too_many_vlan_tags, ok.
[[nodiscard]] Verdict parse_ethernet(std::span<const std::byte> frame, Ethernet& out);
// Writes header_length() bytes.
std::size_t emit_ethernet(const Ethernet& e, std::byte* to);

struct Arp {
  enum Operation : std::uint16_t { request = 1, reply = 2 };
  std::uint16_t operation = request;
  Mac sender_mac;
  Ip4 sender_ip;
  Mac target_mac;
  Ip4 target_ip;
  constexpr bool operator==(const Arp&) const = default;
};
inline constexpr std::size_t arp_length = 28;

// truncated, not_supported (not IPv4 over Ethernet), ok. Any operation is let through: RFC 826 learns before
// it looks at it.
[[nodiscard]] Verdict parse_arp(std::span<const std::byte> bytes, Arp& out);
std::size_t emit_arp(const Arp& a, std::byte* to);

} // namespace tern::wire
