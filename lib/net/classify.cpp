#include "net/classify.hpp"

#include <algorithm>
#include <span>

#include "wire/icmp.hpp"

namespace tern::net {
namespace {

Classified drop(NetCounter why) {
  Classified c;
  c.why = why;
  return c;
}

// Bytes from `offset` on in one piece: `n` of them if the packet has so many and `pool` is not out.
std::span<const std::byte> piece(Packet& p, std::size_t offset, std::size_t n, const PacketPool& pool) {
  (void)p.pull(static_cast<std::uint16_t>(std::min<std::size_t>(p.length(), offset + n)), pool);
  return p.data_length() <= offset ? std::span<const std::byte>{} : p.bytes().subspan(offset);
}

NetCounter reason_of(wire::Verdict v, bool v6) {
  switch (v) {
    case wire::Verdict::truncated:
      return NetCounter::drop_truncated;
    case wire::Verdict::bad_version:
      return NetCounter::drop_ip_version;
    case wire::Verdict::bad_header_length:
      return NetCounter::drop_ip_header_length;
    case wire::Verdict::bad_total_length:
      return NetCounter::drop_ip_total_length;
    case wire::Verdict::bad_fragment:
      return NetCounter::drop_fragment;
    case wire::Verdict::bad_field: // a mapped address
      return NetCounter::drop_ip_source;
    default:
      return v6 ? NetCounter::drop_ip6_extensions : NetCounter::drop_ip_options;
  }
}

// The sum of what lies behind `offset`, on top of `start`.
std::uint64_t sum_from(const Packet& p, std::size_t offset, std::uint64_t start) {
  wire::PiecewiseSum sum(start);
  for (const rte_mbuf* s = p.mbuf(); s != nullptr; s = s->next) {
    const std::size_t from = std::min<std::size_t>(offset, s->data_len);
    sum.add({rte_pktmbuf_mtod_offset(s, const std::byte*, from), s->data_len - from});
    offset -= from;
  }
  return sum.sum();
}

// Behind the IP header: by protocol. `group` says that it was sent to many, by either layer.
Classified by_protocol(Packet& p, Classified c, std::uint8_t proto, bool group, const PacketPool& pool) {
  const auto reach = [&](std::uint32_t n) {
    return c.l4_length >= n && p.pull(static_cast<std::uint16_t>(c.l4_offset + n), pool);
  };
  if (proto == wire::ip_protocol::tcp) {
    if (group) return drop(NetCounter::drop_tcp_broadcast);
    if (!reach(20)) return drop(NetCounter::drop_truncated);
    // The whole header in one piece, whatever the pieces it came in.
    constexpr std::uint32_t longest = 60;
    if (!p.contiguous()) (void)reach(std::min(longest, c.l4_length));
    c.kind = tcp_checksum_ok(p, c) ? Kind::tcp : Kind::drop;
    c.why = NetCounter::drop_tcp_checksum;
    return c;
  }
  const std::uint8_t icmp = c.v6 ? wire::ip_protocol::icmpv6 : wire::ip_protocol::icmp;
  if (proto != icmp) {
    if (group) return drop(NetCounter::drop_protocol);
    c.kind = Kind::other;
    c.why = NetCounter::drop_protocol;
    c.protocol = proto;
    return c;
  }
  if (!reach(wire::icmp_length)) return drop(NetCounter::drop_icmp_malformed);
  const std::uint64_t start =
      c.v6 ? wire::pseudo_sum_v6(c.source(p), c.destination(p), icmp, c.l4_length) : 0;
  if (!wire::sum_is_valid(sum_from(p, c.l4_offset, start))) return drop(NetCounter::drop_icmp_checksum);
  c.kind = c.v6 ? Kind::icmp6 : Kind::icmp;
  return c;
}

Classified classify_v4(Packet& p, Classified c, bool group, const Interface& self, const PacketPool& pool) {
  constexpr std::size_t longest = 60;
  const auto bytes = piece(p, c.l3_offset, longest, pool);
  wire::Ipv4 h;
  const wire::Verdict v = wire::parse_ipv4(bytes, p.length() - c.l3_offset, h);
  if (v != wire::Verdict::ok) return drop(reason_of(v, false));
  // Found good by the port, it need not stand there: between two guests, or ends of a pair in memory.
  const bool found_good = (p.mbuf()->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD;
  if (!found_good && !wire::ipv4_checksum_ok(bytes, h)) return drop(NetCounter::drop_ip_checksum);
  // Options that ask us to route (RFC 7126 §4.3, §4.4) have no place at an end host.
  if (h.source_route) return drop(NetCounter::drop_ip_options);
  if (!source_allowed(h.src, h.dst)) return drop(NetCounter::drop_ip_source);
  const bool to_group = self.is_broadcast(h.dst) || is_multicast(h.dst);
  if (!to_group && !self.owns(h.dst)) return drop(NetCounter::drop_not_local);
  p.trim_back(p.length() - c.l3_offset - h.total_length);
  c.tos = h.traffic_class;
  c.hop_limit = h.ttl;
  c.l4_offset = static_cast<std::uint16_t>(c.l3_offset + h.header_length);
  c.l4_length = static_cast<std::uint32_t>(h.total_length - h.header_length);
  c.src4 = h.src;
  c.dst4 = h.dst;
  if (h.is_fragment()) {
    c.kind = Kind::fragment;
    c.why = NetCounter::drop_fragment;
    return c;
  }
  return by_protocol(p, c, h.protocol, group || to_group, pool);
}

// Few headers need more than the first pull; a chain of extensions that does not fit one buffer is refused.
wire::Verdict parse_v6(Packet& p, std::size_t offset, wire::Ipv6& h, const PacketPool& pool) {
  constexpr std::size_t usual = 128;
  const std::size_t length = p.length() - offset;
  const wire::Verdict v = wire::parse_ipv6(piece(p, offset, usual, pool), length, h);
  if (v != wire::Verdict::truncated || p.contiguous() || pool.room() <= offset) return v;
  return wire::parse_ipv6(piece(p, offset, pool.room() - offset, pool), length, h);
}

Classified classify_v6(Packet& p, Classified c, bool group, const Interface& self, const PacketPool& pool) {
  wire::Ipv6 h;
  const wire::Verdict v = parse_v6(p, c.l3_offset, h, pool);
  if (v != wire::Verdict::ok) return drop(reason_of(v, true));
  if (!source_allowed(h.src, h.dst)) return drop(NetCounter::drop_ip_source);
  const bool to_group = is_multicast(h.dst);
  if (to_group ? !self.joined(h.dst) : !self.owns(h.dst)) return drop(NetCounter::drop_not_local);
  const std::size_t end = wire::ipv6_length + h.payload_length;
  p.trim_back(static_cast<std::uint32_t>(p.length() - c.l3_offset - end));
  c.v6 = true;
  c.tos = h.traffic_class;
  c.hop_limit = h.hop_limit;
  c.l4_offset = static_cast<std::uint16_t>(c.l3_offset + h.header_length);
  c.l4_length = static_cast<std::uint32_t>(end - h.header_length);
  if (h.is_fragment()) {
    c.kind = Kind::fragment;
    c.why = NetCounter::drop_fragment;
    return c;
  }
  return by_protocol(p, c, h.protocol, group || to_group, pool);
}

// Whether a frame is tagged as this interface is. A tag of VLAN 0 says a priority and no VLAN (IEEE 802.1Q
// §9.6): it is passed over.
bool tagged_for(const wire::Ethernet& e, const Interface& self) {
  std::size_t matched = 0;
  for (std::size_t i = 0; i < e.tag_count; ++i) {
    if (matched < self.tags().size() && e.tags[i].id() == self.tags()[matched].id())
      ++matched;
    else if (e.tags[i].id() != 0)
      return false;
  }
  return matched == self.tags().size();
}

} // namespace

namespace detail {

Classified classify_slow(Packet& p, const Interface& self, const PacketPool& pool) {
  constexpr std::size_t longest = wire::ethernet_length + 2 * 4;
  wire::Ethernet e;
  const wire::Verdict v = wire::parse_ethernet(piece(p, 0, longest, pool), e);
  if (v == wire::Verdict::too_many_vlan_tags) return drop(NetCounter::drop_vlan);
  if (v != wire::Verdict::ok) return drop(NetCounter::drop_truncated);
  if (e.dst != self.mac() && !e.dst.is_multicast()) return drop(NetCounter::drop_other_mac);
  if (!tagged_for(e, self)) return drop(NetCounter::drop_vlan);
  const bool group = e.dst.is_multicast(); // whatever address it bears (RFC 1122 §3.3.6)
  Classified c;
  c.l3_offset = static_cast<std::uint16_t>(e.header_length());
  switch (e.type) {
    case wire::ether_type::ipv4:
      return classify_v4(p, c, group, self, pool);
    case wire::ether_type::ipv6:
      return classify_v6(p, c, group, self, pool);
    case wire::ether_type::arp:
      if (piece(p, c.l3_offset, wire::arp_length, pool).size() < wire::arp_length)
        return drop(NetCounter::drop_arp_malformed);
      c.kind = Kind::arp;
      return c;
    default:
      return drop(NetCounter::drop_ether_type);
  }
}

bool tcp_sum_ok_slow(const Packet& p, const Classified& c) {
  const std::uint64_t start =
      c.v6 ? wire::pseudo_sum_v6(c.source(p), c.destination(p), wire::tcp_protocol, c.l4_length)
           : wire::pseudo_sum(c.src4, c.dst4, wire::tcp_protocol, c.l4_length);
  return wire::sum_is_valid(sum_from(p, c.l4_offset, start));
}

} // namespace detail
} // namespace tern::net
