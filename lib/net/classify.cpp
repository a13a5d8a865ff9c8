#include "net/classify.hpp"

#include <algorithm>

namespace tern::net {
namespace {

Classified drop(NetCounter why) {
  Classified c;
  c.why = why;
  return c;
}

// Nobody's own address, or the one it is sent to: a segment that answers itself (the LAND attack).
bool source_allowed(Ip4 src, Ip4 dst) {
  const std::uint32_t h = src.host();
  return (h >> 24) != 0 && (h >> 24) != 127 && h < 0xe0000000 && src != dst;
}
bool source_allowed(const Ip& src, const Ip& dst) {
  static constexpr Ip loopback{Ip::Bytes{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
  return !is_multicast(src) && src != loopback && !src.is_v4() &&
         src != dst; // a mapped address is for programs, not wires
}

// Behind the IP header: by protocol. `group` says that it was sent to many.
Classified by_protocol(Packet& p, Classified c, std::uint8_t proto, bool group, const PacketPool& pool) {
  const auto reach = [&](std::uint32_t n) {
    return c.l4_length >= n && p.pull(static_cast<std::uint16_t>(c.l4_offset + n), pool);
  };
  if (proto == protocol::tcp) {
    if (group) return drop(NetCounter::drop_tcp_broadcast);
    if (!reach(20)) return drop(NetCounter::drop_truncated);
    c.kind = tcp_checksum_ok(p, c) ? Kind::tcp : Kind::drop;
    c.why = NetCounter::drop_tcp_checksum;
    return c;
  }
  const std::uint8_t icmp = c.v6 ? protocol::icmp6 : protocol::icmp;
  if (proto != icmp) return drop(NetCounter::drop_protocol);
  if (!reach(sizeof(IcmpHeader))) return drop(NetCounter::drop_icmp_malformed);
  wire::PiecewiseSum sum(c.v6 ? wire::pseudo_sum_v6(c.source(p), c.destination(p), icmp, c.l4_length) : 0);
  std::size_t skip = c.l4_offset;
  for (const rte_mbuf* s = p.mbuf(); s != nullptr; s = s->next) {
    const std::size_t from = std::min<std::size_t>(skip, s->data_len);
    sum.add({rte_pktmbuf_mtod_offset(s, const std::byte*, from), s->data_len - from});
    skip -= from;
  }
  if (!wire::sum_is_valid(sum.sum())) return drop(NetCounter::drop_icmp_checksum);
  c.kind = c.v6 ? Kind::icmp6 : Kind::icmp;
  return c;
}

// Options that ask us to route (RFC 7126 §4.3, §4.4) have no place at an end host; the others are skipped by
// their length.
bool options_acceptable(const std::byte* p, std::size_t n) {
  for (std::size_t i = 0; i < n;) {
    const auto kind = std::to_integer<std::uint8_t>(p[i]);
    if (kind == 0) return true;
    if (kind == 1) {
      ++i;
      continue;
    }
    if (i + 1 >= n) return false;
    const auto length = std::to_integer<std::size_t>(p[i + 1]);
    if (length < 2 || i + length > n || kind == 131 || kind == 137) return false;
    i += length;
  }
  return true;
}

Classified classify_v4(Packet& p, Classified c, const Interface& self, const PacketPool& pool) {
  if (!p.pull(static_cast<std::uint16_t>(c.l3_offset + sizeof(Ipv4Header)), pool))
    return drop(NetCounter::drop_truncated);
  const auto h = load<Ipv4Header>(p.data() + c.l3_offset);
  if ((h.version_ihl >> 4) != 4) return drop(NetCounter::drop_ip_version);
  const std::uint32_t header = 4U * (h.version_ihl & 15U);
  if (header < sizeof(Ipv4Header)) return drop(NetCounter::drop_ip_header_length);
  const std::uint32_t total = h.total_length.host();
  if (total < header || total > p.length() - c.l3_offset) return drop(NetCounter::drop_ip_total_length);
  if (!p.pull(static_cast<std::uint16_t>(c.l3_offset + header), pool))
    return drop(NetCounter::drop_truncated);
  if (!wire::sum_is_valid(wire::sum_bytes(p.data() + c.l3_offset, header)))
    return drop(NetCounter::drop_ip_checksum);
  if (!options_acceptable(p.data() + c.l3_offset + sizeof(Ipv4Header), header - sizeof(Ipv4Header)))
    return drop(NetCounter::drop_ip_options);
  if (!source_allowed(h.src, h.dst)) return drop(NetCounter::drop_ip_source);
  const bool group = self.is_broadcast(h.dst) || is_multicast(Ip{h.dst});
  if (!group && !self.owns(h.dst)) return drop(NetCounter::drop_not_local);
  p.trim_back(p.length() - c.l3_offset - total);
  c.tos = h.tos;
  c.hop_limit = h.ttl;
  c.l4_offset = static_cast<std::uint16_t>(c.l3_offset + header);
  c.l4_length = total - header;
  c.src4 = h.src;
  c.dst4 = h.dst;
  if ((h.fragment.host() & (more_fragments | fragment_offset_mask)) != 0) {
    c.kind = Kind::fragment;
    c.why = NetCounter::drop_fragment;
    return c;
  }
  return by_protocol(p, c, h.protocol, group, pool);
}

// Walks the extension headers (RFC 8200 §4): false when they run out of the packet, repeat themselves, or go
// on too long. A fragment header ends the walk.
bool skip_extensions(Packet& p, Classified& c, std::uint8_t& next, const PacketPool& pool) {
  constexpr int most = 8;
  for (int i = 0; i < most; ++i) {
    const bool plain =
        next == protocol::hop_by_hop || next == protocol::routing || next == protocol::destination;
    if (!plain) return true;
    if (next == protocol::hop_by_hop && i != 0) return false; // only first (RFC 8200 §4.1)
    if (c.l4_length < 8 || !p.pull(static_cast<std::uint16_t>(c.l4_offset + 8), pool)) return false;
    const std::byte* b = p.data() + c.l4_offset;
    const std::uint32_t length = 8 * (std::to_integer<std::uint32_t>(b[1]) + 1);
    if (length > c.l4_length) return false;
    // Routing headers with segments left ask us to forward (RFC 5095 forbids the one that was used).
    if (next == protocol::routing && b[3] != std::byte{0}) return false;
    next = std::to_integer<std::uint8_t>(b[0]);
    c.l4_offset = static_cast<std::uint16_t>(c.l4_offset + length);
    c.l4_length -= length;
  }
  return false;
}

Classified classify_v6(Packet& p, Classified c, const Interface& self, const PacketPool& pool) {
  if (!p.pull(static_cast<std::uint16_t>(c.l3_offset + sizeof(Ipv6Header)), pool))
    return drop(NetCounter::drop_truncated);
  const auto h = load<Ipv6Header>(p.data() + c.l3_offset);
  const std::uint32_t word = h.version_class_label.host();
  if (word >> 28 != 6) return drop(NetCounter::drop_ip_version);
  const std::uint32_t end =
      c.l3_offset + static_cast<std::uint32_t>(sizeof(Ipv6Header)) + h.payload_length.host();
  if (end > p.length()) return drop(NetCounter::drop_ip_total_length);
  const Ip dst{h.dst};
  if (!source_allowed(Ip{h.src}, dst)) return drop(NetCounter::drop_ip_source);
  const bool group = is_multicast(dst);
  if (group ? !self.joined(dst) : !self.owns(dst)) return drop(NetCounter::drop_not_local);
  p.trim_back(p.length() - end);
  c.v6 = true;
  c.tos = static_cast<std::uint8_t>(word >> 20);
  c.hop_limit = h.hop_limit;
  c.l4_offset = static_cast<std::uint16_t>(c.l3_offset + sizeof(Ipv6Header));
  c.l4_length = h.payload_length.host();
  std::uint8_t next = h.next;
  if (!skip_extensions(p, c, next, pool)) return drop(NetCounter::drop_ip6_extensions);
  if (next == protocol::fragment) {
    c.kind = Kind::fragment;
    c.why = NetCounter::drop_fragment;
    return c;
  }
  return by_protocol(p, c, next, group, pool);
}

} // namespace

namespace detail {

Classified classify_slow(Packet& p, const Interface& self, const PacketPool& pool) {
  Classified c;
  const std::uint16_t l2 = self.l2_length();
  if (p.length() < l2 || !p.pull(l2, pool)) return drop(NetCounter::drop_truncated);
  const auto ether = load<EtherHeader>(p.data());
  if (ether.dst != self.mac() && (ether.dst[0] & 1) == 0) return drop(NetCounter::drop_other_mac);
  std::uint16_t type = ether.type.host();
  if (self.vlan().has_value()) {
    const auto tag = load<VlanTag>(p.data() + sizeof(EtherHeader));
    const bool ours = type == ether_type::vlan && (tag.tci.host() & 0xfff) == *self.vlan();
    if (!ours) return drop(NetCounter::drop_vlan);
    type = tag.type.host();
  } else if (type == ether_type::vlan || type == ether_type::qinq) {
    return drop(NetCounter::drop_vlan);
  }
  c.l3_offset = l2;
  switch (type) {
    case ether_type::ipv4:
      return classify_v4(p, c, self, pool);
    case ether_type::ipv6:
      return classify_v6(p, c, self, pool);
    case ether_type::arp:
      if (p.length() < l2 + sizeof(ArpMessage) ||
          !p.pull(static_cast<std::uint16_t>(l2 + sizeof(ArpMessage)), pool))
        return drop(NetCounter::drop_arp_malformed);
      c.kind = Kind::arp;
      return c;
    default:
      return drop(NetCounter::drop_ether_type);
  }
}

bool tcp_sum_ok_slow(const Packet& p, const Classified& c) {
  wire::PiecewiseSum sum(c.v6 ? wire::pseudo_sum_v6(c.source(p), c.destination(p), protocol::tcp, c.l4_length)
                              : wire::pseudo_sum(c.src4, c.dst4, protocol::tcp, c.l4_length));
  std::size_t skip = c.l4_offset;
  for (const rte_mbuf* s = p.mbuf(); s != nullptr; s = s->next) {
    const std::size_t from = std::min<std::size_t>(skip, s->data_len);
    sum.add({rte_pktmbuf_mtod_offset(s, const std::byte*, from), s->data_len - from});
    skip -= from;
  }
  return wire::sum_is_valid(sum.sum());
}

} // namespace detail
} // namespace tern::net
