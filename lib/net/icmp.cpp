// ICMP (RFC 792, RFC 1122 §3.2.2) and ICMPv6 (RFC 4443): echo is answered; errors are counted here and read
// by whoever owns the connection that they speak of.
#include "net/network.hpp"

namespace tern::net {
namespace {

constexpr std::uint8_t echo_reply4 = 0, unreachable4 = 3, echo4 = 8, time_exceeded4 = 11, parameter4 = 12;
constexpr std::uint8_t echo6 = 128, echo_reply6 = 129, solicitation = 135, advertisement = 136;

} // namespace

void Network::icmp(Packet&& p, const Classified& c) {
  switch (load<IcmpHeader>(p.data() + c.l4_offset).type) {
    case echo4:
      return echo_reply(std::move(p), c);
    case unreachable4:
    case time_exceeded4:
    case parameter4:
      return counters_.add(NetCounter::icmp_errors_in);
    default:
      return counters_.add(NetCounter::drop_icmp_type);
  }
}

void Network::icmp6(Packet&& p, const Classified& c, Instant now) {
  const std::uint8_t type = load<IcmpHeader>(p.data() + c.l4_offset).type;
  if (type < 128) return counters_.add(NetCounter::icmp_errors_in);
  // A frame of neighbour discovery is small; one that is not in one piece is not believed.
  switch (type) {
    case echo6:
      return echo_reply(std::move(p), c);
    case solicitation:
      return solicited(p, c, now);
    case advertisement:
      return advertised(p, c, now);
    default:
      return counters_.add(NetCounter::drop_icmp_type);
  }
}

// The request turned round in place: addresses and MACs change ends, the type changes, and the checksum by as
// much.
void Network::echo_reply(Packet&& p, const Classified& c) {
  counters_.add(NetCounter::icmp_echo_in);
  if (!p.writable()) { // an in-memory peer may still hold it
    p = p.copy(0, p.length(), pool_);
    if (!p || p.data_length() < c.l4_offset + sizeof(IcmpHeader))
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
  std::byte* b = p.data();
  const L2Header l2 = l2_to(load<Mac>(b + 6), c.v6 ? ether_type::ipv6 : ether_type::ipv4);
  std::memcpy(b, l2.bytes.data(), l2.length);
  std::byte* l3 = b + c.l3_offset;
  std::uint64_t moved = 0; // into the ICMPv6 pseudo-header, if the group gave way to our own address
  if (c.v6) {
    auto h = load<Ipv6Header>(l3);
    h.src = own->bytes();
    h.dst = to.bytes();
    h.hop_limit = 64;
    store(l3, h);
    if (group) {
      moved = wire::sum_bytes(std::as_bytes(std::span(own->bytes())));
      for (std::size_t i = 0; i < 16; i += 2)
        moved += static_cast<std::uint16_t>(
            ~load<Be16>(reinterpret_cast<const std::byte*>(asked.bytes().data()) + i).raw());
    }
  } else {
    auto h = load<Ipv4Header>(l3);
    h.src = c.dst4;
    h.dst = c.src4;
    h.ttl = 64;
    h.fragment = Be16{std::uint16_t{0}};
    h.id = Be16{next_id_++};
    h.checksum = Be16{};
    store(l3, h);
    h.checksum = wire::finish(wire::sum_bytes(l3, static_cast<std::size_t>(c.l4_offset - c.l3_offset)));
    store(l3, h);
  }
  std::byte* l4 = b + c.l4_offset;
  auto icmp = load<IcmpHeader>(l4);
  const Be16 before = load<Be16>(l4);
  icmp.type = c.v6 ? echo_reply6 : echo_reply4;
  store(l4, icmp);
  icmp.checksum = wire::updated_checksum(icmp.checksum, before, load<Be16>(l4));
  if (moved != 0) icmp.checksum = wire::finish(static_cast<std::uint16_t>(~icmp.checksum.raw()) + moved);
  // Of the two zeros the incremental form cannot tell which is meant; all ones is right whenever all zeros
  // is, and also when everything else in the message is zero.
  if (icmp.checksum == Be16{}) icmp.checksum = Be16{std::uint16_t{0xffff}};
  store(l4, icmp);
  put(std::move(p));
}

} // namespace tern::net
