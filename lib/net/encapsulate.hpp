// IP and Ethernet in front of a TCP segment, and its checksum: the way out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "packet/packet.hpp"
#include "wire/checksum.hpp"
#include "wire/ethernet.hpp"
#include "wire/ipv4.hpp"
#include "wire/ipv6.hpp"

namespace tern::net {

// What the port does on transmit, as io negotiated it.
struct TxOffloads {
  bool ip_checksum = false;
  bool tcp_checksum = false;
  bool lengths =
      false; // the port reads header lengths from the mbuf: a second line written, so only where it is needed
};

// An Ethernet header towards one neighbour, ready to be copied; with two tags, 22 bytes.
struct L2Header {
  std::array<std::byte, 22> bytes{};
  std::uint8_t length = wire::ethernet_length;

  [[nodiscard]] static L2Header make(const wire::Mac& to, const wire::Mac& from, std::uint16_t type,
                                     std::span<const wire::VlanTag> tags) {
    wire::Ethernet e{.dst = to, .src = from, .type = type};
    for (const wire::VlanTag& t : tags) e.tags[e.tag_count++] = t;
    L2Header h;
    h.length = static_cast<std::uint8_t>(wire::emit_ethernet(e, h.bytes.data()));
    return h;
  }
};

namespace detail {

// The sum of what lies behind the front that was summed already.
[[nodiscard]] inline std::uint64_t sum_of(const Packet& p, const wire::SummedFront& front) {
  if (p.contiguous()) [[likely]] {
    const std::uint32_t rest = p.length() - front.bytes;
    return rest == 0 ? front.sum : front.sum + wire::sum_bytes(p.data() + front.bytes, rest);
  }
  wire::PiecewiseSum sum(front.sum);
  std::size_t skip = front.bytes; // within the first segment
  for (const rte_mbuf* s = p.mbuf(); s != nullptr; s = s->next) {
    sum.add({rte_pktmbuf_mtod_offset(s, const std::byte*, skip), s->data_len - skip});
    skip = 0;
  }
  return sum.sum();
}

// The TCP checksum, whose field holds 0: ours, or what the port wants to find there.
[[gnu::always_inline]] inline void put_tcp_checksum(Packet& segment, std::uint64_t pseudo,
                                                    std::uint64_t flags, TxOffloads offloads,
                                                    std::uint16_t l2, std::uint16_t l3,
                                                    const wire::SummedFront& front) {
  std::byte* at = segment.data() + wire::tcp_checksum_offset;
  if (offloads.tcp_checksum) {
    rte_mbuf* m = segment.mbuf();
    const std::uint16_t partial = wire::fold(pseudo);
    std::memcpy(at, &partial, sizeof partial);
    m->ol_flags |= flags | RTE_MBUF_F_TX_TCP_CKSUM;
    if (offloads.lengths) {
      const auto l4 = std::to_integer<std::uint64_t>(segment.data()[12]) >> 4 << 2;
      m->tx_offload = rte_mbuf_tx_offload(l2, l3, l4, 0, 0, 0, 0);
    }
  } else {
    const Be16 sum = wire::finish(pseudo + sum_of(segment, front));
    std::memcpy(at, &sum, sizeof sum);
  }
}

} // namespace detail

// `segment` starts at its TCP header, in a first segment that is its own, checksum field 0; `front` is what
// of that segment was summed while it was written, or nothing. False, and nothing changed but that field,
// when there is no room in front. Inlined: it has one caller on the packet path, and eight arguments.
[[nodiscard, gnu::always_inline]] inline bool encapsulate4(Packet& segment, const L2Header& l2, Ip4 src,
                                                           Ip4 dst, std::uint16_t id, std::uint8_t tos,
                                                           TxOffloads offloads,
                                                           const wire::SummedFront& front = {}) {
  const std::uint32_t length = segment.length();
  if (length > 65535 - wire::ipv4_length) [[unlikely]]
    return false;
  const std::uint64_t ip_flags =
      offloads.ip_checksum ? RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM : RTE_MBUF_F_TX_IPV4;
  detail::put_tcp_checksum(segment, wire::pseudo_sum(src, dst, wire::ip_protocol::tcp, length), ip_flags,
                           offloads, l2.length, wire::ipv4_length, front);
  std::byte* b = segment.prepend(static_cast<std::uint16_t>(l2.length + wire::ipv4_length));
  if (b == nullptr) [[unlikely]]
    return false;
  if (l2.length == wire::ethernet_length) [[likely]]
    std::memcpy(b, l2.bytes.data(), wire::ethernet_length);
  else
    std::memcpy(b, l2.bytes.data(), l2.length);
  wire::Ipv4 h;
  h.src = src;
  h.dst = dst;
  h.protocol = wire::ip_protocol::tcp;
  h.traffic_class = tos;
  h.total_length = static_cast<std::uint16_t>(length + wire::ipv4_length);
  h.identification = id;
  h.dont_fragment = true; // RFC 1191: path MTU is found, not worked around
  wire::emit_plain_ipv4(h, !offloads.ip_checksum, b + l2.length);
  return true;
}

[[nodiscard]] inline bool encapsulate6(Packet& segment, const L2Header& l2, const Ip& src, const Ip& dst,
                                       std::uint8_t tclass, TxOffloads offloads,
                                       const wire::SummedFront& front = {}) {
  const std::uint32_t length = segment.length();
  if (length > 65535) [[unlikely]]
    return false;
  detail::put_tcp_checksum(segment, wire::pseudo_sum_v6(src, dst, wire::ip_protocol::tcp, length),
                           RTE_MBUF_F_TX_IPV6, offloads, l2.length, wire::ipv6_length, front);
  std::byte* b = segment.prepend(static_cast<std::uint16_t>(l2.length + wire::ipv6_length));
  if (b == nullptr) [[unlikely]]
    return false;
  std::memcpy(b, l2.bytes.data(), l2.length);
  wire::Ipv6 h;
  h.src = src;
  h.dst = dst;
  h.traffic_class = tclass;
  h.next_header = wire::ip_protocol::tcp;
  h.payload_length = static_cast<std::uint16_t>(length);
  wire::emit_plain_ipv6(h, b + l2.length);
  return true;
}

} // namespace tern::net
