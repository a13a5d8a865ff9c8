// ARP (RFC 826, RFC 5227's probes and announcements) and neighbour discovery (RFC 4861) for a host.
#include "net/network.hpp"

namespace tern::net {
namespace {

constexpr std::uint16_t arp_request = 1, arp_reply = 2;
constexpr std::uint8_t solicitation = 135, advertisement = 136;
constexpr std::uint8_t source_option = 1, target_option = 2;
constexpr std::uint32_t solicited_flag = 0x40000000, override_flag = 0x20000000;
constexpr Ip all_nodes{Ip::Bytes{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

// What a solicitation or advertisement says, once it is known to be sound.
struct Told {
  Ip target;
  std::uint32_t flags = 0;
  bool has_mac = false;
  Mac mac{};
};

// RFC 4861 §7.1: hop limit 255 (so it comes from this link), code 0, 24 bytes or more, no option of length 0,
// a unicast target.
bool parse(const Packet& p, const Classified& c, std::uint8_t wanted_option, Told& out) {
  constexpr std::size_t fixed = sizeof(IcmpHeader) + 16;
  if (c.hop_limit != 255 || c.l4_length < fixed || p.data_length() < c.l4_offset + c.l4_length) return false;
  const std::byte* b = p.data() + c.l4_offset;
  const auto h = load<IcmpHeader>(b);
  out.target = Ip{load<Ip::Bytes>(b + sizeof(IcmpHeader))};
  out.flags = h.rest.host();
  if (h.code != 0 || is_multicast(out.target)) return false;
  for (std::size_t i = fixed; i < c.l4_length;) {
    if (i + 2 > c.l4_length) return false;
    const auto length = 8 * std::to_integer<std::size_t>(b[i + 1]);
    if (length == 0 || i + length > c.l4_length) return false;
    if (std::to_integer<std::uint8_t>(b[i]) == wanted_option) {
      out.mac = load<Mac>(b + i + 2);
      out.has_mac = (out.mac[0] & 1) == 0; // nobody's address is a group
    }
    i += length;
  }
  return true;
}

} // namespace

void Network::arp(const Packet& p, const Classified& c, Instant now) {
  const auto m = load<ArpMessage>(p.data() + c.l3_offset);
  const ArpMessage shape;
  const std::uint16_t operation = m.operation.host();
  const bool sound = m.hardware == shape.hardware && m.protocol == shape.protocol && m.hardware_length == 6 &&
                     m.protocol_length == 4 && (operation == arp_request || operation == arp_reply) &&
                     (m.sender_mac[0] & 1) == 0 && m.sender_mac != Mac{} && !is_multicast(Ip{m.sender}) &&
                     m.sender.host() != 0xffffffff;
  if (!sound) return counters_.add(NetCounter::drop_arp_malformed);
  if (self_.owns(m.sender)) {
    if (m.sender_mac != self_.mac()) {
      // Another station has our address: say whose it is (RFC 5227 §2.4 (c): defend it), and learn nothing.
      counters_.add(NetCounter::address_conflicts);
      if (m.target == m.sender) send_arp(arp_reply, m.sender, m.sender, broadcast_mac, broadcast_mac);
    }
    return;
  }
  const bool for_us = self_.owns(m.target);
  if (operation == arp_request) {
    counters_.add(NetCounter::arp_requests_in);
    if (for_us) {
      if (m.sender.host() != 0)
        learn_from_request(Ip{m.sender}, m.sender_mac, now); // 0: a probe (RFC 5227 §2.1.1)
      return send_arp(arp_reply, m.target, m.sender, m.sender_mac, m.sender_mac);
    }
  } else {
    counters_.add(NetCounter::arp_replies_in);
  }
  // A reply, or an announcement: believed of those we know already only.
  Neighbour* n = neighbours_.find(Ip{m.sender});
  if (n != nullptr) return learn(*n, m.sender_mac, operation == arp_reply && for_us, now);
  if (!for_us) counters_.add(NetCounter::drop_arp_not_local);
}

void Network::solicited(const Packet& p, const Classified& c, Instant now) {
  Told t;
  const Ip from = c.source(p);
  if (!parse(p, c, source_option, t) || (from == Ip{} && t.has_mac))
    return counters_.add(NetCounter::drop_nd_malformed);
  counters_.add(NetCounter::nd_solicits_in);
  if (!self_.owns(t.target)) return counters_.add(NetCounter::drop_not_local);
  const Mac back = load<Mac>(p.data() + 6);
  if (from == Ip{}) { // duplicate address detection: all hear that it is taken (RFC 4861 §7.2.4)
    return send_nd(advertisement, override_flag, t.target, all_nodes, t.target, multicast_mac(all_nodes));
  }
  if (t.has_mac) learn_from_request(from, t.mac, now);
  send_nd(advertisement, solicited_flag | override_flag, t.target, from, t.target, t.has_mac ? t.mac : back);
}

void Network::advertised(const Packet& p, const Classified& c, Instant now) {
  Told t;
  const bool sound = parse(p, c, target_option, t);
  const bool solicited_answer = (t.flags & solicited_flag) != 0;
  if (!sound || (solicited_answer && is_multicast(c.destination(p))))
    return counters_.add(NetCounter::drop_nd_malformed);
  counters_.add(NetCounter::nd_adverts_in);
  if (self_.owns(t.target)) return counters_.add(NetCounter::address_conflicts);
  Neighbour* n = neighbours_.find(t.target);
  if (n == nullptr) return; // RFC 4861 §7.2.5: nobody asked
  if (!t.has_mac) {
    if (n->state == NeighbourState::incomplete) return;
    t.mac = n->mac;
  }
  const bool known = n->state != NeighbourState::incomplete;
  if (known && t.mac != n->mac && (t.flags & override_flag) == 0) {
    if (n->state == NeighbourState::reachable) n->state = NeighbourState::stale;
    return;
  }
  learn(*n, t.mac, solicited_answer, now);
}

void Network::solicit(Neighbour& n) {
  ++n.solicits;
  const bool unicast = n.state == NeighbourState::probing;
  const auto from = self_.source_for(n.ip);
  if (!from) return;
  if (n.ip.is_v4())
    return send_arp(arp_request, from->v4(), n.ip.v4(), Mac{}, unicast ? n.mac : broadcast_mac);
  const Ip group = solicited_node(n.ip);
  send_nd(solicitation, 0, *from, unicast ? n.ip : group, n.ip, unicast ? n.mac : multicast_mac(group));
}

void Network::announce() {
  for (const Address& a : self_.addresses()) {
    if (a.ip.is_v4())
      send_arp(arp_request, a.ip.v4(), a.ip.v4(), Mac{}, broadcast_mac);
    else
      send_nd(advertisement, override_flag, a.ip, all_nodes, a.ip, multicast_mac(all_nodes));
  }
}

void Network::send_arp(std::uint16_t operation, Ip4 sender, Ip4 target, const Mac& target_mac,
                       const Mac& to) {
  Packet p = pool_.alloc();
  const L2Header l2 = l2_to(to, ether_type::arp);
  std::byte* b = p ? p.append(static_cast<std::uint16_t>(l2.length + sizeof(ArpMessage))) : nullptr;
  if (b == nullptr) return counters_.add(NetCounter::drop_no_buffer);
  std::memcpy(b, l2.bytes.data(), l2.length);
  ArpMessage m;
  m.operation = Be16{operation};
  m.sender_mac = self_.mac();
  m.sender = sender;
  m.target_mac = target_mac;
  m.target = target;
  store(b + l2.length, m);
  counters_.add(operation == arp_request ? NetCounter::arp_requests_out : NetCounter::arp_replies_out);
  put(std::move(p));
}

void Network::send_nd(std::uint8_t type, std::uint32_t flags, const Ip& src, const Ip& dst, const Ip& target,
                      const Mac& to) {
  Packet p = pool_.alloc();
  const L2Header l2 = l2_to(to, ether_type::ipv6);
  constexpr std::size_t body = sizeof(Ipv6Header) + sizeof(NeighbourMessage);
  std::byte* b = p ? p.append(static_cast<std::uint16_t>(l2.length + body)) : nullptr;
  if (b == nullptr) return counters_.add(NetCounter::drop_no_buffer);
  std::memcpy(b, l2.bytes.data(), l2.length);
  Ipv6Header h;
  h.payload_length = Be16{static_cast<std::uint16_t>(sizeof(NeighbourMessage))};
  h.next = protocol::icmp6;
  h.hop_limit = 255;
  h.src = src.bytes();
  h.dst = dst.bytes();
  store(b + l2.length, h);
  NeighbourMessage m;
  m.icmp.type = type;
  m.icmp.rest = Be32{flags};
  m.target = target.bytes();
  m.option_type = type == solicitation ? source_option : target_option;
  m.option_mac = self_.mac();
  std::byte* at = b + l2.length + sizeof(Ipv6Header);
  store(at, m);
  m.icmp.checksum =
      wire::finish(wire::pseudo_sum_v6(src, dst, protocol::icmp6, sizeof m) + wire::sum_bytes(at, sizeof m));
  store(at, m);
  counters_.add(type == solicitation ? NetCounter::nd_solicits_out : NetCounter::nd_adverts_out);
  put(std::move(p));
}

} // namespace tern::net
