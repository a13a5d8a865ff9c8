// IP and Ethernet in front of a TCP segment, and its checksum: the way out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/copy.hpp"
#include "packet/packet.hpp"
#include "wire/checksum.hpp"
#include "wire/ethernet.hpp"
#include "wire/ipv4.hpp"
#include "wire/ipv6.hpp"
#include "wire/tcp_inl.hpp"

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

// A pack of segments (tcp/pack.hpp): the port cuts it, and fills in what each of them holds. The sum of its
// pseudo header is of no length: the port adds that of each.
[[nodiscard]] inline bool is_pack(const Packet& p) {
  return (p.mbuf()->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0;
}
[[nodiscard]] inline TxOffloads offloads_of(const Packet& p, const TxOffloads& offloads) {
  return is_pack(p) ? TxOffloads{true, true, true} : offloads;
}
[[nodiscard]] inline std::uint32_t summed_length(const Packet& p) {
  return is_pack(p) ? 0 : p.length();
}

// What a port that computes the TCP checksum wants to find in its field.
inline void leave_tcp_checksum(rte_mbuf* m, std::byte* tcp, std::uint64_t pseudo, std::uint64_t flags) {
  const std::uint16_t partial = wire::fold(pseudo);
  std::memcpy(tcp + wire::tcp_checksum_offset, &partial, sizeof partial);
  m->ol_flags |= flags | RTE_MBUF_F_TX_TCP_CKSUM;
}
[[nodiscard]] inline std::uint64_t ip4_flags(TxOffloads offloads) {
  return offloads.ip_checksum ? RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM : RTE_MBUF_F_TX_IPV4;
}

// The TCP checksum, whose field holds 0: ours, or the port's.
inline void put_tcp_checksum(Packet& segment, std::uint64_t pseudo, std::uint64_t flags, TxOffloads offloads,
                             std::uint16_t l2, std::uint16_t l3, const wire::SummedFront& front) {
  std::byte* at = segment.data();
  if (offloads.tcp_checksum) {
    leave_tcp_checksum(segment.mbuf(), at, pseudo, flags);
    if (offloads.lengths) {
      const auto l4 = std::to_integer<std::uint64_t>(at[12]) >> 4 << 2;
      const std::uint64_t cut = is_pack(segment) ? segment.mbuf()->tso_segsz : 0;
      segment.mbuf()->tx_offload = rte_mbuf_tx_offload(l2, l3, l4, cut, 0, 0, 0);
    }
  } else {
    const Be16 sum = wire::finish(pseudo + sum_of(segment, front));
    std::memcpy(at + wire::tcp_checksum_offset, &sum, sizeof sum);
  }
}

} // namespace detail

namespace detail {

// What IPv4 puts in front of a TCP segment of this length.
[[nodiscard, gnu::always_inline]] inline wire::Ipv4 ip4_around(std::uint32_t length, Ip4 src, Ip4 dst,
                                                               std::uint16_t id, std::uint8_t tos) {
  wire::Ipv4 h;
  h.src = src;
  h.dst = dst;
  h.protocol = wire::ip_protocol::tcp;
  h.traffic_class = tos;
  h.total_length = static_cast<std::uint16_t>(length + wire::ipv4_length);
  h.identification = id;
  h.dont_fragment = true; // RFC 1191: path MTU is found, not worked around
  return h;
}

// Any number of segments and tags.
[[nodiscard, gnu::noinline]] inline bool encapsulate4_slow(Packet& segment, const L2Header& l2, Ip4 src,
                                                           Ip4 dst, std::uint16_t id, std::uint8_t tos,
                                                           const TxOffloads& port, wire::SummedFront front) {
  const std::uint32_t length = segment.length();
  if (length > 65535 - wire::ipv4_length) return false;
  const TxOffloads offloads = offloads_of(segment, port);
  const std::uint64_t pseudo = wire::pseudo_sum(src, dst, wire::ip_protocol::tcp, summed_length(segment));
  put_tcp_checksum(segment, pseudo, ip4_flags(offloads), offloads, l2.length, wire::ipv4_length, front);
  std::byte* b = segment.prepend(static_cast<std::uint16_t>(l2.length + wire::ipv4_length));
  if (b == nullptr) return false;
  std::memcpy(b, l2.bytes.data(), l2.length);
  wire::emit_plain_ipv4(ip4_around(length, src, dst, id, tos), !offloads.ip_checksum, b + l2.length);
  return true;
}

} // namespace detail

// `segment` starts at its TCP header, in a first segment that is its own, checksum field 0; `front` is what
// of that segment was summed while it was written, or nothing. False, and nothing changed but that field,
// when there is no room in front. Inlined for what nearly every segment is: one piece, of nobody else, to an
// untagged neighbour.
[[nodiscard, gnu::always_inline]] inline bool encapsulate4(Packet& segment, const L2Header& l2, Ip4 src,
                                                           Ip4 dst, std::uint16_t id, std::uint8_t tos,
                                                           const TxOffloads& offloads,
                                                           const wire::SummedFront& front = {}) {
  constexpr std::uint16_t in_front = wire::ethernet_length + wire::ipv4_length;
  std::byte* b;
  if (l2.length != wire::ethernet_length || offloads.lengths || !segment.contiguous() ||
      (b = segment.prepend(in_front)) == nullptr) [[unlikely]]
    return detail::encapsulate4_slow(segment, l2, src, dst, id, tos, offloads, front);
  // One piece lies in one buffer, and no buffer with 34 bytes in front is too long for IPv4.
  const std::uint32_t length = segment.data_length() - in_front;
  static_assert(UINT16_MAX - in_front <= UINT16_MAX - wire::ipv4_length);
  std::byte* const tcp = b + in_front;
  std::memcpy(b, l2.bytes.data(), wire::ethernet_length);
  wire::emit_plain_ipv4(detail::ip4_around(length, src, dst, id, tos), !offloads.ip_checksum,
                        b + wire::ethernet_length);
  std::uint64_t sum = wire::pseudo_sum(src, dst, wire::ip_protocol::tcp, length);
  if (offloads.tcp_checksum) {
    detail::leave_tcp_checksum(segment.mbuf(), tcp, sum, detail::ip4_flags(offloads));
    return true;
  }
  sum += front.sum;
  if (length != front.bytes) sum += wire::sum_bytes(tcp + front.bytes, length - front.bytes);
  const Be16 checksum = wire::finish(sum);
  std::memcpy(tcp + wire::tcp_checksum_offset, &checksum, sizeof checksum);
  return true;
}

// A whole frame of the commonest kind, written at one go around a header that is still in registers: untagged IPv4, and
// text of one run. `frame` has room for it, and nothing in it yet.
struct Ends4 {
  Ip4 src;
  Ip4 dst;
  std::uint32_t ports; // as they lie
};
inline constexpr std::uint16_t front4 = wire::ethernet_length + wire::ipv4_length;
// Where it may go, and by which port.
[[nodiscard]] inline bool takes_frame4(const L2Header& l2, const TxOffloads& offloads) {
  return l2.length == wire::ethernet_length && !offloads.lengths;
}
// `Header` is wire::LeanHeader or wire::FullSyn.
template <class Header>
[[gnu::always_inline]] inline void write_frame4(Packet& frame, const L2Header& l2, const Ends4& ends,
                                                std::uint16_t id, const Header& h,
                                                std::span<const std::byte> text, const TxOffloads& offloads) {
  std::byte* const b = frame.data();
  std::byte* const tcp = b + front4;
  const auto length = static_cast<std::uint32_t>(h.length() + text.size());
  std::memcpy(b, l2.bytes.data(), wire::ethernet_length);
  wire::emit_plain_ipv4(detail::ip4_around(length, ends.src, ends.dst, id, 0), !offloads.ip_checksum,
                        b + wire::ethernet_length);
  std::uint64_t sum = wire::pseudo_sum(ends.src, ends.dst, wire::ip_protocol::tcp, length);
  const std::uint64_t front = wire::emit(h, ends.ports, tcp).sum;
  if (!text.empty()) copy_short(tcp + h.length(), text.data(), text.size());
  if (offloads.tcp_checksum)
    return detail::leave_tcp_checksum(frame.mbuf(), tcp, sum, detail::ip4_flags(offloads));
  sum += front;
  if (!text.empty())
    sum += wire::sum_bytes(text); // where it came from: what was just stored waits for its stores
  const Be16 checksum = wire::finish(sum);
  std::memcpy(tcp + wire::tcp_checksum_offset, &checksum, sizeof checksum);
}

[[nodiscard]] inline bool encapsulate6(Packet& segment, const L2Header& l2, const Ip& src, const Ip& dst,
                                       std::uint8_t tclass, const TxOffloads& port,
                                       const wire::SummedFront& front = {}) {
  const std::uint32_t length = segment.length();
  if (length > 65535) [[unlikely]]
    return false;
  const std::uint64_t pseudo =
      wire::pseudo_sum_v6(src, dst, wire::ip_protocol::tcp, detail::summed_length(segment));
  detail::put_tcp_checksum(segment, pseudo, RTE_MBUF_F_TX_IPV6, detail::offloads_of(segment, port), l2.length,
                           wire::ipv6_length, front);
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
