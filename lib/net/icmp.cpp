// ICMP (RFC 792, RFC 1122 §3.2.2) and ICMPv6 (RFC 4443): echo is answered; errors about our segments rise to
// their connections; what nobody here speaks is refused.
#include <algorithm>

#include "net/network.hpp"

namespace tern::net {
namespace {

// What of the message lies in one piece, once it was pulled as far as anybody reads.
std::span<const std::byte> message(const Packet& p, const Classified& c) {
  const auto rest = p.bytes().subspan(c.l4_offset);
  return rest.first(std::min<std::size_t>(rest.size(), c.l4_length));
}

// As much of a message in one piece as anybody reads: neighbour discovery whole, of an error the headers it
// quotes.
void pull_quote(Packet& p, const Classified& c, const PacketPool& pool) {
  constexpr std::uint32_t most = 256;
  if (!p.contiguous())
    (void)p.pull(static_cast<std::uint16_t>(std::min<std::uint32_t>(p.length(), c.l4_offset + most)), pool);
}

// Of an unreachable: it came as far as the host, which says no, as by RST. Linux's connect() makes the same difference: ECONNREFUSED
// and ENOPROTOOPT, and not EHOSTUNREACH or ENETUNREACH.
bool nobody_takes_it(const wire::IcmpMessage& m, bool v6) {
  if (v6) return m.code == wire::icmpv6_code::port;
  return m.code == wire::icmp_code::port || m.code == wire::icmp_code::protocol;
}

} // namespace

void Network::icmp(Packet&& p, const Classified& c) {
  pull_quote(p, c, pool_);
  wire::IcmpMessage m;
  if (wire::read_icmp(message(p, c), m) != wire::Verdict::ok)
    return counters_.add(NetCounter::drop_icmp_type);
  if (m.type == wire::icmp_type::echo_request) return echo_reply(std::move(p), c);
  if (m.type == wire::icmp_type::echo_reply) return counters_.add(NetCounter::drop_icmp_type);
  error_in(m, c, c.destination(p));
}

void Network::icmp6(Packet&& p, const Classified& c, Instant now) {
  pull_quote(p, c, pool_);
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
    // Read whole: its options are a few bytes. A router solicitation is not for a host.
    if (message(p, c).size() != c.l4_length) return counters_.add(NetCounter::drop_nd_malformed);
    if (m.neighbour.type == wire::icmpv6_type::neighbour_solicitation)
      return solicited(m.neighbour, p, c, now);
    if (m.neighbour.type == wire::icmpv6_type::neighbour_advertisement)
      return advertised(m.neighbour, p, c, now);
    return counters_.add(NetCounter::drop_icmp_type);
  }
  if (m.message.type == wire::icmpv6_type::echo_request) return echo_reply(std::move(p), c);
  if (m.message.type == wire::icmpv6_type::echo_reply) return counters_.add(NetCounter::drop_icmp_type);
  error_in(m.message, c, c.destination(p));
}

// What an error says of a segment of ours goes to its connection. Of soft errors (RFC 1122 §4.2.3.9) there is
// nothing to do but count: TCP sends again, and gives up in its own time.
void Network::error_in(const wire::IcmpMessage& m, const Classified& c, const Ip& to) {
  counters_.add(NetCounter::icmp_errors_in);
  const bool unreachable = m.type == (c.v6 ? wire::icmpv6_type::unreachable : wire::icmp_type::unreachable);
  const bool too_big = c.v6 ? m.type == wire::icmpv6_type::packet_too_big
                            : unreachable && m.code == wire::icmp_fragmentation_needed;
  if (!unreachable && !too_big) return;
  TcpError e;
  e.what = too_big                    ? TcpError::What::too_big
           : nobody_takes_it(m, c.v6) ? TcpError::What::refused
                                      : TcpError::What::unreachable;
  // A router older than RFC 1191 names no MTU: what every path carries.
  e.mtu = c.v6 ? std::max(m.mtu, 1280U) : m.mtu == 0 ? 576 : std::max(m.mtu, 68U);
  const wire::Verdict v =
      c.v6 ? wire::parse_quoted_v6(m.body, e.quoted) : wire::parse_quoted_v4(m.body, e.quoted);
  if (v != wire::Verdict::ok || e.quoted.src != to || error_count_ == errors_.size())
    return counters_.add(NetCounter::drop_icmp_error);
  errors_[error_count_++] = e;
}

// For a protocol that nobody here speaks (RFC 1122 §3.2.2.1, §4.1.3.1; RFC 4443 §3.1, §3.4).
void Network::refuse(const Packet& p, const Classified& c, Instant now) {
  const bool udp = c.protocol == wire::ip_protocol::udp;
  if (!c.v6)
    return send_error(p,
                      {.type = wire::icmp_type::unreachable,
                       .code = udp ? wire::icmp_code::port : wire::icmp_code::protocol},
                      now);
  if (udp)
    return send_error(p, {.type = wire::icmpv6_type::unreachable, .code = wire::icmpv6_code::port}, now);
  // Where the unknown number stands is said only where that is plain: in the fixed header.
  constexpr std::uint32_t next_header_at = 6;
  if (c.l4_offset - c.l3_offset == wire::ipv6_length && c.protocol != wire::ip_protocol::no_next_header)
    send_error(p,
               {.type = wire::icmpv6_type::parameter_problem,
                .code = wire::icmpv6_code::next_header,
                .pointer = next_header_at},
               now);
}

void Network::send_error(const Packet& p, wire::IcmpMessage m, Instant now) {
  wire::Ethernet e;
  if (wire::parse_ethernet(p.bytes(), e) != wire::Verdict::ok) return;
  const bool v6 = e.type == wire::ether_type::ipv6;
  const auto l3 = p.bytes().subspan(e.header_length());
  wire::Ipv4 h4;
  wire::Ipv6 h6;
  const wire::Verdict v =
      v6 ? wire::parse_ipv6(l3, 65535 + wire::ipv6_length, h6) : wire::parse_ipv4(l3, 65535, h4);
  const Ip from = v6 ? h6.dst : Ip{h4.dst};
  const Ip to = v6 ? h6.src : Ip{h4.src};
  // Never about what was sent to many, nor to whom nobody is (RFC 1122 §3.2.2, RFC 4443 §2.4 (e)).
  if (v != wire::Verdict::ok || e.dst.is_multicast() || is_multicast(from) || to == Ip{} ||
      (!v6 && self_.is_broadcast(h4.src)))
    return;
  if (!error_limit_.take(now)) return counters_.add(NetCounter::icmp_errors_limited);
  // As much of it as fits what every link carries (RFC 1812 §4.3.2.3, RFC 4443 §2.4 (c)).
  const std::size_t ip = v6 ? wire::ipv6_length : wire::ipv4_length;
  const std::size_t most = (v6 ? 1280 : 576) - ip - wire::icmp_length;
  const std::size_t quote = std::min<std::size_t>(p.length() - e.header_length(), most);
  std::byte* at = nullptr;
  Packet error = frame(e.src, e.type, ip + wire::icmp_length + quote, at);
  if (!error) return;
  std::byte* const message = at + ip;
  p.copy_out(static_cast<std::uint32_t>(e.header_length()), {message + wire::icmp_length, quote});
  m.body = {message + wire::icmp_length, quote};
  if (v6) {
    wire::Ipv6 h{.src = from, .dst = to, .next_header = wire::ip_protocol::icmpv6};
    h.payload_length = static_cast<std::uint16_t>(wire::icmp_length + quote);
    wire::emit_plain_ipv6(h, at);
    wire::emit_icmpv6(m, from, to, message);
  } else {
    wire::Ipv4 h{.src = from.v4(), .dst = to.v4(), .protocol = wire::ip_protocol::icmp};
    h.total_length = static_cast<std::uint16_t>(ip + wire::icmp_length + quote);
    h.identification = next_id_++;
    wire::emit_plain_ipv4(h, true, at);
    wire::emit_icmp(m, message);
  }
  counters_.add(NetCounter::icmp_errors_out);
  put(std::move(error));
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
  if (p.length() - l2.length > self_.mtu()) return put_in_pieces(p, l2.length, c.v6);
  put(std::move(p));
}

// RFC 791 §3.2, RFC 8200 §4.5: all but the last carry a multiple of eight bytes.
void Network::put_in_pieces(const Packet& p, std::size_t l2, bool v6) {
  wire::Ipv4 h4;
  wire::Ipv6 h6;
  const auto l3 = p.bytes().subspan(l2);
  const wire::Verdict v =
      v6 ? wire::parse_ipv6(l3, p.length() - l2, h6) : wire::parse_ipv4(l3, p.length() - l2, h4);
  // Which extension headers go before the fragment header is no question that a ping asks.
  if (v != wire::Verdict::ok || (v6 && h6.header_length != wire::ipv6_length))
    return counters_.add(NetCounter::drop_icmp_type);
  constexpr std::size_t fragment_header = 8;
  const std::size_t ip = v6 ? wire::ipv6_length : h4.header_length;
  const std::size_t header = v6 ? ip + fragment_header : ip;
  const std::size_t room = (self_.mtu() - header) / 8 * 8;
  const std::size_t total = p.length() - l2 - ip;
  const std::uint32_t id = next_id_++;
  std::array<std::byte, 40> options{};
  std::copy(h4.options.begin(), h4.options.end(), options.begin());
  for (std::size_t at = 0; at < total; at += room) {
    const std::size_t n = std::min(room, total - at);
    const bool more = at + n < total;
    Packet f = pool_.alloc();
    Packet text = p.copy(static_cast<std::uint32_t>(l2 + ip + at), static_cast<std::uint32_t>(n), pool_);
    std::byte* b = f ? f.append(static_cast<std::uint16_t>(l2 + header)) : nullptr;
    if (b == nullptr || !text) return counters_.add(NetCounter::drop_no_buffer);
    std::memcpy(b, p.data(), l2);
    if (v6) {
      const std::uint8_t next = h6.next_header;
      wire::Ipv6 h = h6;
      h.next_header = wire::ip_protocol::fragment;
      h.payload_length = static_cast<std::uint16_t>(fragment_header + n);
      wire::emit_plain_ipv6(h, b + l2);
      wire::emit_fragment(next, static_cast<std::uint16_t>(at), more, id, b + l2 + ip);
    } else {
      wire::Ipv4 h = h4;
      h.options = std::span(options).first(h4.options.size());
      h.total_length = static_cast<std::uint16_t>(ip + n);
      h.fragment_offset = static_cast<std::uint16_t>(at);
      h.more_fragments = more;
      wire::emit_ipv4(h, b + l2);
    }
    if (!f.chain(std::move(text))) return;
    put(std::move(f));
  }
}

} // namespace tern::net
