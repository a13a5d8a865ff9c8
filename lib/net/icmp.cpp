// ICMP (RFC 792, RFC 1122 §3.2.2) and ICMPv6 (RFC 4443): echo is answered; errors are counted here and read
// by whoever owns the connection that they speak of.
#include <algorithm>

#include "net/network.hpp"

namespace tern::net {
namespace {

// What of the message lies in one piece, once it was pulled as far as anybody reads.
std::span<const std::byte> message(const Packet& p, const Classified& c) {
  const auto rest = p.bytes().subspan(c.l4_offset);
  return rest.first(std::min<std::size_t>(rest.size(), c.l4_length));
}

} // namespace

void Network::icmp(Packet&& p, const Classified& c) {
  wire::IcmpMessage m;
  if (wire::read_icmp(message(p, c), m) != wire::Verdict::ok)
    return counters_.add(NetCounter::drop_icmp_type);
  if (m.type == wire::icmp_type::echo_request) return echo_reply(std::move(p), c);
  if (m.type == wire::icmp_type::echo_reply) return counters_.add(NetCounter::drop_icmp_type);
  counters_.add(NetCounter::icmp_errors_in);
}

void Network::icmp6(Packet&& p, const Classified& c, Instant now) {
  // Neighbour discovery is read whole; what does not fit one buffer is none.
  (void)p.pull(static_cast<std::uint16_t>(std::min<std::uint32_t>(p.length(), pool_.room())), pool_);
  wire::Icmpv6 m;
  switch (wire::read_icmpv6(message(p, c), c.hop_limit, m)) {
    case wire::Verdict::ok:
      break;
    case wire::Verdict::not_supported:
      return counters_.add(NetCounter::drop_icmp_type);
    default:
      return counters_.add(NetCounter::drop_nd_malformed);
  }
  if (m.kind == wire::Icmpv6Kind::neighbour) {
    // A router solicitation is not for a host. One that lies in pieces still has lost its options.
    if (message(p, c).size() != c.l4_length) return counters_.add(NetCounter::drop_nd_malformed);
    if (m.neighbour.type == wire::icmpv6_type::neighbour_solicitation)
      return solicited(m.neighbour, p, c, now);
    if (m.neighbour.type == wire::icmpv6_type::neighbour_advertisement)
      return advertised(m.neighbour, p, c, now);
    return counters_.add(NetCounter::drop_icmp_type);
  }
  if (m.message.type == wire::icmpv6_type::echo_request) return echo_reply(std::move(p), c);
  if (m.message.type == wire::icmpv6_type::echo_reply) return counters_.add(NetCounter::drop_icmp_type);
  counters_.add(NetCounter::icmp_errors_in);
}

// The request turned round in place: addresses and MACs change ends, the type changes, and the checksum by as
// much.
void Network::echo_reply(Packet&& p, const Classified& c) {
  counters_.add(NetCounter::icmp_echo_in);
  if (!p.writable()) { // an in-memory peer may still hold it
    p = p.copy(0, p.length(), pool_);
    if (!p || p.data_length() < c.l4_offset + wire::icmp_length)
      return counters_.add(NetCounter::drop_no_buffer);
  }
  const Ip to = c.source(p);
  const Ip asked = c.destination(p);
  // RFC 1122 §3.2.2.6: echo to a broadcast or multicast may be ignored, and we do not amplify. IPv6 answers
  // for itself.
  const bool group = c.v6 ? is_multicast(asked) : !self_.owns(c.dst4);
  const auto own = group ? (c.v6 ? self_.source_for(to) : std::nullopt) : std::optional<Ip>{asked};
  if (!own) return counters_.add(NetCounter::drop_icmp_type);
  p.mbuf()->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
  std::byte* l3 = p.data() + c.l3_offset;
  std::uint64_t moved = 0; // into the ICMPv6 pseudo-header, if the group gave way to our own address
  if (c.v6) {
    wire::Ipv6 h;
    (void)wire::parse_ipv6(p.bytes().subspan(c.l3_offset), p.length() - c.l3_offset, h); // was sound
    h.src = *own;
    h.dst = to;
    h.hop_limit = 64;
    wire::emit_plain_ipv6(h, l3); // its extensions stay as they are
    if (group)
      moved = wire::sum_bytes(std::as_bytes(std::span(own->bytes()))) +
              wire::fold(~wire::sum_bytes(std::as_bytes(std::span(asked.bytes()))));
  } else {
    wire::Ipv4 h;
    (void)wire::parse_ipv4(p.bytes().subspan(c.l3_offset), p.length() - c.l3_offset, h);
    const std::array<std::byte, 40> kept = [&] { // the options are written where they lie
      std::array<std::byte, 40> o{};
      std::copy(h.options.begin(), h.options.end(), o.begin());
      return o;
    }();
    h.options = std::span(kept).first(h.options.size());
    h.src = c.dst4;
    h.dst = c.src4;
    h.ttl = 64;
    h.dont_fragment = false;
    h.identification = next_id_++;
    wire::emit_ipv4(h, l3);
  }
  wire::turn_echo(p.data() + c.l4_offset, c.v6 ? wire::icmpv6_type::echo_reply : wire::icmp_type::echo_reply,
                  moved);
  wire::Ethernet e;
  (void)wire::parse_ethernet(p.bytes(), e);
  const L2Header l2 = l2_to(e.src, e.type);
  p.trim_front(static_cast<std::uint32_t>(c.l3_offset - l2.length)); // a priority tag is not sent back
  std::memcpy(p.data(), l2.bytes.data(), l2.length);
  put(std::move(p));
}

} // namespace tern::net
