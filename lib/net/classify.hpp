// What a received frame is, checked once, here: behind this every length and address can be relied on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "net/addresses.hpp"
#include "net/counters.hpp"
#include "net/interface.hpp"
#include "packet/packet.hpp"
#include "wire/checksum.hpp"
#include "wire/ethernet.hpp"
#include "wire/ipv4.hpp"
#include "wire/ipv6.hpp"

namespace tern::net {

enum class Kind : std::uint8_t { drop, tcp, arp, icmp, icmp6, fragment };

// Offsets are into the first segment, which holds at least the headers up to the transport's first 20 bytes
// (TCP) or 8.
struct Classified {
  Kind kind = Kind::drop;
  NetCounter why = NetCounter::drop_truncated; // of a drop; not yet counted
  bool v6 = false;
  std::uint8_t tos = 0; // or traffic class: the low two bits are ECN's
  std::uint8_t hop_limit = 0;
  std::uint16_t l3_offset = 0;
  std::uint16_t l4_offset = 0;
  std::uint32_t l4_length =
      0;    // header and payload, by the IP header; padding behind it is trimmed off already
  Ip4 src4; // IPv4 only
  Ip4 dst4;

  [[nodiscard]] Ip source(const Packet& p) const { return v6 ? address(p, 8) : Ip{src4}; }
  [[nodiscard]] Ip destination(const Packet& p) const { return v6 ? address(p, 24) : Ip{dst4}; }

 private:
  [[nodiscard]] Ip address(const Packet& p, std::size_t at) const {
    Ip::Bytes b;
    std::memcpy(b.data(), p.data() + l3_offset + at, sizeof b);
    return Ip{b};
  }
};

namespace detail {
[[nodiscard]] Classified classify_slow(Packet& p, const Interface& self, const PacketPool& pool);
[[nodiscard]] bool tcp_sum_ok_slow(const Packet& p, const Classified& c);
} // namespace detail

// The checksum of a TCP segment: as the port found it, computed here if it did not look.
[[nodiscard]] inline bool tcp_checksum_ok(const Packet& p, const Classified& c) {
  const std::uint64_t found = p.mbuf()->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
  if (found == RTE_MBUF_F_RX_L4_CKSUM_GOOD) [[likely]]
    return true;
  if (!c.v6 && p.contiguous() && found != RTE_MBUF_F_RX_L4_CKSUM_BAD) {
    return wire::sum_is_valid(wire::pseudo_sum(c.src4, c.dst4, wire::tcp_protocol, c.l4_length) +
                              wire::sum_bytes(p.data() + c.l4_offset, c.l4_length));
  }
  // A port's "bad" is looked at again: several report it of a checksum that a neighbour on the same host left
  // to hardware.
  return detail::tcp_sum_ok_slow(p, c);
}

// `pool` serves frames whose headers lie in more than one segment. Ethernet padding is trimmed.
[[nodiscard]] inline Classified classify(Packet& p, const Interface& self, const PacketPool& pool) {
  // The lean way: untagged IPv4 without options, not a fragment, TCP, to an address of ours, in one segment.
  constexpr std::size_t l2 = wire::ethernet_length;
  constexpr std::size_t headers = l2 + wire::ipv4_length;
  const std::byte* b = p.data();
  if (p.data_length() < headers + 20 || load_be<std::uint16_t>(b + 12) != wire::ether_type::ipv4 ||
      !self.tags().empty()) [[unlikely]]
    return detail::classify_slow(p, self, pool);
  wire::Ipv4 ip;
  const std::uint32_t frame = p.length();
  if (!wire::parse_plain_ipv4(b + l2, frame - l2, ip) || ip.protocol != wire::ip_protocol::tcp) [[unlikely]]
    return detail::classify_slow(p, self, pool);

  const std::uint64_t flags = p.mbuf()->ol_flags;
  const bool sum_good = (flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD ||
                        wire::sum_is_valid(wire::sum_bytes(b + l2, wire::ipv4_length));
  std::uint64_t dst_mac = 0;
  std::uint64_t our_mac = 0;
  std::memcpy(&dst_mac, b, 6);
  std::memcpy(&our_mac, self.mac().data(), 6);
  if (ip.total_length < wire::ipv4_length + 20 || !sum_good || dst_mac != our_mac ||
      !source_allowed(ip.src, ip.dst) || !self.owns(ip.dst)) [[unlikely]]
    return detail::classify_slow(p, self, pool); // which names the reason

  Classified c;
  c.kind = Kind::tcp;
  c.tos = ip.traffic_class;
  c.hop_limit = ip.ttl;
  c.l3_offset = l2;
  c.l4_offset = headers;
  c.l4_length = ip.total_length - static_cast<std::uint32_t>(wire::ipv4_length);
  c.src4 = ip.src;
  c.dst4 = ip.dst;
  if (frame != ip.total_length + l2) [[unlikely]]
    p.trim_back(frame - ip.total_length - static_cast<std::uint32_t>(l2));
  if (!tcp_checksum_ok(p, c)) [[unlikely]] {
    c.kind = Kind::drop;
    c.why = NetCounter::drop_tcp_checksum;
  }
  return c;
}

} // namespace tern::net
