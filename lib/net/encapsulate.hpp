// IP and Ethernet in front of a TCP segment, and its checksum: the way out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "net/headers.hpp"
#include "packet/packet.hpp"
#include "wire/checksum.hpp"

namespace tern::net {

// What the port does on transmit, as io negotiated it.
struct TxOffloads {
  bool ip_checksum = false;
  bool tcp_checksum = false;
  bool lengths =
      false; // the port reads header lengths from the mbuf: a second line written, so only where it is needed
};

// An Ethernet header towards one neighbour, ready to be copied; with a tag, 18 bytes.
struct L2Header {
  std::array<std::byte, 18> bytes{};
  std::uint8_t length = 14;

  [[nodiscard]] static L2Header make(const Mac& to, const Mac& from, std::uint16_t type,
                                     const std::uint16_t* vlan) {
    L2Header h;
    store(h.bytes.data(), EtherHeader{to, from, Be16{vlan != nullptr ? ether_type::vlan : type}});
    if (vlan != nullptr) {
      store(h.bytes.data() + sizeof(EtherHeader), VlanTag{Be16{*vlan}, Be16{type}});
      h.length = 18;
    }
    return h;
  }
};

namespace detail {

[[nodiscard]] inline std::uint64_t sum_of(const Packet& p) {
  if (p.contiguous()) [[likely]]
    return wire::sum_bytes(p.bytes());
  wire::PiecewiseSum sum;
  for (const rte_mbuf* s = p.mbuf(); s != nullptr; s = s->next)
    sum.add({rte_pktmbuf_mtod(s, const std::byte*), s->data_len});
  return sum.sum();
}

// The TCP checksum, whose field holds 0: ours, or what the port wants to find there.
inline void put_tcp_checksum(Packet& segment, std::uint64_t pseudo, std::uint64_t flags, TxOffloads offloads,
                             std::uint16_t l2, std::uint16_t l3) {
  std::byte* at = segment.data() + wire::tcp_checksum_offset;
  rte_mbuf* m = segment.mbuf();
  if (offloads.tcp_checksum) [[likely]] {
    store(at, Be16::from_raw(wire::fold(pseudo)));
    m->ol_flags |= flags | RTE_MBUF_F_TX_TCP_CKSUM;
    if (offloads.lengths) {
      const auto l4 = std::to_integer<std::uint64_t>(segment.data()[12]) >> 4 << 2;
      m->tx_offload = rte_mbuf_tx_offload(l2, l3, l4, 0, 0, 0, 0);
    }
  } else {
    store(at, wire::finish(pseudo + sum_of(segment)));
  }
}

} // namespace detail

// `segment` starts at its TCP header, in a first segment that is its own, checksum field 0. False, and
// nothing changed but that field, when there is no room in front.
[[nodiscard]] inline bool encapsulate4(Packet& segment, const L2Header& l2, Ip4 src, Ip4 dst,
                                       std::uint16_t id, std::uint8_t tos, TxOffloads offloads) {
  const std::uint32_t length = segment.length();
  if (length > 65535 - sizeof(Ipv4Header)) [[unlikely]]
    return false;
  const std::uint64_t ip_flags =
      offloads.ip_checksum ? RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM : RTE_MBUF_F_TX_IPV4;
  detail::put_tcp_checksum(segment, wire::pseudo_sum(src, dst, protocol::tcp, length), ip_flags, offloads,
                           l2.length, sizeof(Ipv4Header));
  std::byte* b = segment.prepend(static_cast<std::uint16_t>(l2.length + sizeof(Ipv4Header)));
  if (b == nullptr) [[unlikely]]
    return false;
  std::memcpy(b, l2.bytes.data(), l2.length);
  Ipv4Header h;
  h.tos = tos;
  h.total_length = Be16{static_cast<std::uint16_t>(length + sizeof(Ipv4Header))};
  h.id = Be16{id};
  h.fragment = Be16{dont_fragment}; // RFC 1191: path MTU is found, not worked around
  h.protocol = protocol::tcp;
  h.src = src;
  h.dst = dst;
  if (!offloads.ip_checksum) {
    // The words that change, onto the sum of those that don't: 0x4500, DF, TTL 64 and TCP.
    constexpr std::uint64_t fixed = byteswap(std::uint16_t{0x4500}) + std::uint64_t{byteswap(dont_fragment)} +
                                    byteswap(std::uint16_t{64 << 8 | protocol::tcp});
    const std::uint64_t s = fixed + byteswap(std::uint16_t{tos}) + h.total_length.raw() + h.id.raw() +
                            src.be().raw() + std::uint64_t{dst.be().raw()};
    h.checksum = wire::finish(s);
  }
  store(b + l2.length, h);
  return true;
}

[[nodiscard]] inline bool encapsulate6(Packet& segment, const L2Header& l2, const Ip& src, const Ip& dst,
                                       std::uint8_t tclass, TxOffloads offloads) {
  const std::uint32_t length = segment.length();
  if (length > 65535) [[unlikely]]
    return false;
  detail::put_tcp_checksum(segment, wire::pseudo_sum_v6(src, dst, protocol::tcp, length), RTE_MBUF_F_TX_IPV6,
                           offloads, l2.length, sizeof(Ipv6Header));
  std::byte* b = segment.prepend(static_cast<std::uint16_t>(l2.length + sizeof(Ipv6Header)));
  if (b == nullptr) [[unlikely]]
    return false;
  std::memcpy(b, l2.bytes.data(), l2.length);
  Ipv6Header h;
  h.version_class_label = Be32{std::uint32_t{6} << 28 | std::uint32_t{tclass} << 20};
  h.payload_length = Be16{static_cast<std::uint16_t>(length)};
  h.next = protocol::tcp;
  h.src = src.bytes();
  h.dst = dst.bytes();
  store(b + l2.length, h);
  return true;
}

} // namespace tern::net
