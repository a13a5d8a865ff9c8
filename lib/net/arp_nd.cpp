// ARP (RFC 826, RFC 5227's probes and announcements) and neighbour discovery (RFC 4861) for a host.
#include "net/network.hpp"

namespace tern::net {

using wire::Arp;

bool Network::concerns_all(const Packet& p, const Classified& c) const {
  if (c.kind == Kind::icmp6) {
    const auto type = std::to_integer<std::uint8_t>(p.data()[c.l4_offset]);
    return type == wire::icmpv6_type::neighbour_solicitation ||
           type == wire::icmpv6_type::neighbour_advertisement;
  }
  Arp m;
  return c.kind == Kind::arp && wire::parse_arp(p.bytes().subspan(c.l3_offset), m) == wire::Verdict::ok &&
         !self_.owns(m.sender_ip) && (self_.owns(m.target_ip) || m.sender_ip == m.target_ip);
}

void Network::overhear(Packet&& p, Instant now) {
  const Classified c = net::classify(p, self_, pool_);
  if (c.kind != Kind::arp && c.kind != Kind::icmp6) return;
  overhearing_ = true;
  control(std::move(p), c, now);
  overhearing_ = false;
}

void Network::arp(const Packet& p, const Classified& c, Instant now) {
  Arp m;
  const wire::Verdict v = wire::parse_arp(p.bytes().subspan(c.l3_offset), m);
  const bool sound = v == wire::Verdict::ok && (m.operation == Arp::request || m.operation == Arp::reply) &&
                     !m.sender_mac.is_multicast() && m.sender_mac != Mac{} && !is_multicast(m.sender_ip) &&
                     m.sender_ip.host() != 0xffffffff;
  if (!sound) return counters_.add(NetCounter::drop_arp_malformed);
  if (self_.owns(m.sender_ip)) {
    if (m.sender_mac != self_.mac()) {
      // Another station has our address: say whose it is (RFC 5227 §2.4 (c): defend it), and learn nothing.
      heard(NetCounter::address_conflicts);
      if (m.target_ip == m.sender_ip)
        send_arp(Arp::reply, m.sender_ip, m.sender_ip, broadcast_mac, broadcast_mac);
    }
    return;
  }
  const bool for_us = self_.owns(m.target_ip);
  if (m.operation == Arp::request) {
    heard(NetCounter::arp_requests_in);
    if (for_us) {
      if (m.sender_ip.host() != 0)
        learn_from_request(Ip{m.sender_ip}, m.sender_mac, now); // 0: a probe (RFC 5227 §2.1.1)
      send_arp(Arp::reply, m.target_ip, m.sender_ip, m.sender_mac, m.sender_mac);
      return;
    }
  } else {
    heard(NetCounter::arp_replies_in);
  }
  // A reply, or an announcement: believed of those we know already only.
  Neighbour* n = neighbours_.find(Ip{m.sender_ip});
  if (n != nullptr) return learn(*n, m.sender_mac, m.operation == Arp::reply && for_us, now);
  if (!for_us) heard(NetCounter::drop_arp_not_local);
}

// What the layout does not say: a source that is being tested names no MAC (RFC 4861 §7.1.1), and nobody's
// MAC is a group.
void Network::solicited(const wire::Neighbour& m, const Packet& p, const Classified& c, Instant now) {
  const Ip from = c.source(p);
  if (m.has_link_layer && (from == Ip{} || m.link_layer.is_multicast()))
    return counters_.add(NetCounter::drop_nd_malformed);
  heard(NetCounter::nd_solicits_in);
  if (!self_.owns(m.target)) return counters_.add(NetCounter::drop_not_local);
  if (from == Ip{}) // duplicate address detection: all hear that it is taken (RFC 4861 §7.2.4)
    return advertise(m.target, false, all_nodes, multicast_mac(all_nodes));
  if (m.has_link_layer) learn_from_request(from, m.link_layer, now);
  wire::Ethernet e;
  (void)wire::parse_ethernet(p.bytes(), e); // once it was sound
  advertise(m.target, true, from, m.has_link_layer ? m.link_layer : e.src);
}

void Network::advertised(wire::Neighbour m, const Packet& p, const Classified& c, Instant now) {
  if ((m.solicited && is_multicast(c.destination(p))) || (m.has_link_layer && m.link_layer.is_multicast()))
    return counters_.add(NetCounter::drop_nd_malformed);
  heard(NetCounter::nd_adverts_in);
  if (self_.owns(m.target)) return heard(NetCounter::address_conflicts);
  Neighbour* n = neighbours_.find(m.target);
  if (n == nullptr) return; // RFC 4861 §7.2.5: nobody asked
  if (!m.has_link_layer) {
    if (n->state == NeighbourState::incomplete) return;
    m.link_layer = n->mac;
  }
  const bool known = n->state != NeighbourState::incomplete;
  if (known && m.link_layer != n->mac && !m.override_) {
    if (n->state == NeighbourState::reachable) n->state = NeighbourState::stale;
    return;
  }
  learn(*n, m.link_layer, m.solicited, now);
}

bool Network::solicit(Neighbour& n) {
  if (outbox_.full()) return false;
  const bool unicast = n.state == NeighbourState::probing;
  const auto from = self_.source_for(n.ip);
  bool asked = true; // or nobody of us could
  if (from && n.ip.is_v4())
    asked = send_arp(Arp::request, from->v4(), n.ip.v4(), Mac{}, unicast ? n.mac : broadcast_mac);
  else if (from)
    asked = solicit_nd(n, *from, unicast);
  if (asked) ++n.solicits;
  return asked;
}

bool Network::solicit_nd(const Neighbour& n, const Ip& from, bool unicast) {
  const Ip group = solicited_node(n.ip);
  const wire::Neighbour m{.type = wire::icmpv6_type::neighbour_solicitation,
                          .has_link_layer = true,
                          .link_layer = self_.mac(),
                          .target = n.ip};
  return send_nd(m, from, unicast ? n.ip : group, unicast ? n.mac : multicast_mac(group));
}

void Network::announce() {
  for (const Address& a : self_.addresses()) {
    if (a.ip.is_v4())
      send_arp(Arp::request, a.ip.v4(), a.ip.v4(), Mac{}, broadcast_mac);
    else
      advertise(a.ip, false, all_nodes, multicast_mac(all_nodes));
  }
}

Packet Network::frame(const Mac& to, std::uint16_t type, std::size_t n, std::byte*& at) {
  Packet p = pool_.alloc();
  const L2Header l2 = l2_to(to, type);
  std::byte* b = p ? p.append(static_cast<std::uint16_t>(l2.length + n)) : nullptr;
  if (b == nullptr) {
    counters_.add(NetCounter::drop_no_buffer);
    return {};
  }
  std::memcpy(b, l2.bytes.data(), l2.length);
  at = b + l2.length;
  return p;
}

bool Network::send_arp(Arp::Operation operation, Ip4 sender, Ip4 target, const Mac& target_mac,
                       const Mac& to) {
  if (overhearing_ && operation == Arp::reply) return true;
  std::byte* at = nullptr;
  Packet p = frame(to, wire::ether_type::arp, wire::arp_length, at);
  if (!p) return false;
  wire::emit_arp({operation, self_.mac(), sender, target_mac, target}, at);
  counters_.add(operation == Arp::request ? NetCounter::arp_requests_out : NetCounter::arp_replies_out);
  return put(std::move(p));
}

void Network::advertise(const Ip& target, bool solicited, const Ip& dst, const Mac& to) {
  if (overhearing_) return;
  const wire::Neighbour m{.type = wire::icmpv6_type::neighbour_advertisement,
                          .solicited = solicited,
                          .override_ = true,
                          .has_link_layer = true,
                          .link_layer = self_.mac(),
                          .target = target};
  send_nd(m, target, dst, to);
}

bool Network::send_nd(const wire::Neighbour& m, const Ip& src, const Ip& dst, const Mac& to) {
  const std::size_t length = wire::emitted_length(m);
  std::byte* at = nullptr;
  Packet p = frame(to, wire::ether_type::ipv6, wire::ipv6_length + length, at);
  if (!p) return false;
  wire::Ipv6 h;
  h.src = src;
  h.dst = dst;
  h.hop_limit = 255;
  h.next_header = wire::ip_protocol::icmpv6;
  h.payload_length = static_cast<std::uint16_t>(length);
  wire::emit_plain_ipv6(h, at);
  wire::emit_neighbour(m, src, dst, at + wire::ipv6_length);
  counters_.add(m.type == wire::icmpv6_type::neighbour_solicitation ? NetCounter::nd_solicits_out
                                                                    : NetCounter::nd_adverts_out);
  return put(std::move(p));
}

} // namespace tern::net
