#include "wire/icmp.hpp"

#include <cstring>

#include "base/endian.hpp"
#include "wire/checksum.hpp"
#include "wire/ipv4.hpp"
#include "wire/ipv6.hpp"

namespace tern::wire {
namespace {

enum NdOption : std::uint8_t { source_link_layer = 1, target_link_layer = 2 };

void read_echo(std::span<const std::byte> m, IcmpMessage& out) {
  out.id = load_be<std::uint16_t>(m.data() + 4);
  out.sequence = load_be<std::uint16_t>(m.data() + 6);
}

void start(std::span<const std::byte> m, IcmpMessage& out) {
  out = {};
  out.type = std::to_integer<std::uint8_t>(m[0]);
  out.code = std::to_integer<std::uint8_t>(m[1]);
  out.body = m.subspan(8);
}

// Everything but the checksum and the word at 4.
void write_frame(const IcmpMessage& m, std::byte* to) {
  to[0] = static_cast<std::byte>(m.type);
  to[1] = static_cast<std::byte>(m.code);
  store_be<std::uint16_t>(to + 2, 0);
  if (!m.body.empty()) std::memmove(to + 8, m.body.data(), m.body.size());
}
void write_checksum(std::byte* to, std::uint64_t sum) {
  const Be16 c = finish(sum);
  std::memcpy(to + 2, &c, sizeof c);
}
std::uint64_t pseudo(const Ip& src, const Ip& dst, std::size_t length) {
  return pseudo_sum_v6(src, dst, ip_protocol::icmpv6, static_cast<std::uint32_t>(length));
}

constexpr bool is_neighbour(std::uint8_t type) {
  return type == icmpv6_type::router_solicitation || type == icmpv6_type::neighbour_solicitation ||
         type == icmpv6_type::neighbour_advertisement;
}
constexpr bool has_target(std::uint8_t type) {
  return type != icmpv6_type::router_solicitation;
}
constexpr std::uint8_t option_of(std::uint8_t type) {
  return type == icmpv6_type::neighbour_advertisement ? target_link_layer : source_link_layer;
}

Verdict read_options(std::span<const std::byte> o, Neighbour& out) {
  while (!o.empty()) {
    if (o.size() < 2) return Verdict::bad_option_length;
    const std::size_t length = 8 * std::to_integer<std::size_t>(o[1]);
    if (length == 0 || length > o.size()) return Verdict::bad_option_length;
    if (std::to_integer<std::uint8_t>(o[0]) == option_of(out.type) && length == 8) {
      out.has_link_layer = true;
      std::memcpy(out.link_layer.bytes.data(), o.data() + 2, 6);
    }
    o = o.subspan(length);
  }
  return Verdict::ok;
}

Verdict read_neighbour(std::span<const std::byte> m, std::uint8_t hop_limit, Neighbour& out) {
  out = {};
  out.type = std::to_integer<std::uint8_t>(m[0]);
  if (hop_limit != 255 || m[1] != std::byte{0}) return Verdict::bad_field;
  if (!has_target(out.type)) return read_options(m.subspan(8), out);
  if (m.size() < 24) return Verdict::truncated;
  if (out.type == icmpv6_type::neighbour_advertisement) {
    const auto flags = std::to_integer<unsigned>(m[4]);
    out.router = (flags & 0x80) != 0;
    out.solicited = (flags & 0x40) != 0;
    out.override_ = (flags & 0x20) != 0;
  }
  Ip::Bytes target;
  std::memcpy(target.data(), m.data() + 8, 16);
  out.target = Ip{target};
  // A mapped address is no neighbour of IPv6: behind us it would pass for the IPv4 host of that number.
  if (target[0] == 0xff || out.target.is_v4()) return Verdict::bad_field;
  return read_options(m.subspan(24), out);
}

Verdict read_quoted_tcp(std::span<const std::byte> at, QuotedTcp& out) {
  if (at.size() < 8) return Verdict::truncated;
  out.src_port = Port{load_be<std::uint16_t>(at.data())};
  out.dst_port = Port{load_be<std::uint16_t>(at.data() + 2)};
  out.seq = Seq{load_be<std::uint32_t>(at.data() + 4)};
  return Verdict::ok;
}

} // namespace

Verdict parse_icmp(std::span<const std::byte> message, IcmpMessage& out) {
  if (message.size() < icmp_length) return Verdict::truncated;
  if (!sum_is_valid(sum_bytes(message))) return Verdict::bad_checksum;
  return read_icmp(message, out);
}

Verdict read_icmp(std::span<const std::byte> message, IcmpMessage& out) {
  if (message.size() < icmp_length) return Verdict::truncated;
  start(message, out);
  switch (out.type) {
    case icmp_type::echo_request:
    case icmp_type::echo_reply:
      read_echo(message, out);
      return Verdict::ok;
    case icmp_type::unreachable: // RFC 1191 §4: the MTU is the low half of the word
      if (out.code == icmp_fragmentation_needed) out.mtu = load_be<std::uint16_t>(message.data() + 6);
      return Verdict::ok;
    case icmp_type::time_exceeded:
    case icmp_type::parameter_problem:
      return Verdict::ok;
    default:
      return Verdict::not_supported;
  }
}

std::size_t emit_icmp(const IcmpMessage& m, std::byte* to) {
  write_frame(m, to);
  if (m.type == icmp_type::unreachable || m.type == icmp_type::time_exceeded ||
      m.type == icmp_type::parameter_problem) {
    store_be<std::uint32_t>(
        to + 4, m.code == icmp_fragmentation_needed && m.type == icmp_type::unreachable ? m.mtu & 0xffff : 0);
  } else {
    store_be<std::uint16_t>(to + 4, m.id);
    store_be<std::uint16_t>(to + 6, m.sequence);
  }
  write_checksum(to, sum_bytes(to, emitted_length(m)));
  return emitted_length(m);
}

void turn_echo(std::byte* to, std::uint8_t reply_type, std::uint64_t moved) {
  const Be16 before{load_be<std::uint16_t>(to)};
  to[0] = static_cast<std::byte>(reply_type);
  Be16 sum = updated_checksum(Be16{load_be<std::uint16_t>(to + 2)}, before, Be16{load_be<std::uint16_t>(to)});
  if (moved != 0) sum = finish(static_cast<std::uint16_t>(~sum.raw()) + moved);
  // Of the two zeros the incremental form cannot tell which is meant; all ones is right whenever all zeros
  // is, and also when everything else in the message is zero.
  if (sum == Be16{}) sum = Be16{std::uint16_t{0xffff}};
  std::memcpy(to + 2, &sum, sizeof sum);
}

Verdict parse_icmpv6(std::span<const std::byte> message, const Ip& src, const Ip& dst, std::uint8_t hop_limit,
                     Icmpv6& out) {
  if (message.size() < icmp_length) return Verdict::truncated;
  if (!sum_is_valid(pseudo(src, dst, message.size()) + sum_bytes(message))) return Verdict::bad_checksum;
  return read_icmpv6(message, hop_limit, out);
}

Verdict read_icmpv6(std::span<const std::byte> message, std::uint8_t hop_limit, Icmpv6& out) {
  if (message.size() < icmp_length) return Verdict::truncated;
  if (is_neighbour(std::to_integer<std::uint8_t>(message[0]))) {
    out.kind = Icmpv6Kind::neighbour;
    return read_neighbour(message, hop_limit, out.neighbour);
  }
  out.kind = Icmpv6Kind::message;
  start(message, out.message);
  switch (out.message.type) {
    case icmpv6_type::echo_request:
    case icmpv6_type::echo_reply:
      read_echo(message, out.message);
      return Verdict::ok;
    case icmpv6_type::packet_too_big:
      out.message.mtu = load_be<std::uint32_t>(message.data() + 4);
      return Verdict::ok;
    case icmpv6_type::parameter_problem:
      out.message.pointer = load_be<std::uint32_t>(message.data() + 4);
      return Verdict::ok;
    case icmpv6_type::unreachable:
    case icmpv6_type::time_exceeded:
      return Verdict::ok;
    default:
      return Verdict::not_supported;
  }
}

std::size_t emit_icmpv6(const IcmpMessage& m, const Ip& src, const Ip& dst, std::byte* to) {
  write_frame(m, to);
  if (m.type == icmpv6_type::echo_request || m.type == icmpv6_type::echo_reply) {
    store_be<std::uint16_t>(to + 4, m.id);
    store_be<std::uint16_t>(to + 6, m.sequence);
  } else {
    const bool problem = m.type == icmpv6_type::parameter_problem;
    store_be<std::uint32_t>(to + 4, m.type == icmpv6_type::packet_too_big ? m.mtu : problem ? m.pointer : 0);
  }
  const std::size_t length = emitted_length(m);
  write_checksum(to, pseudo(src, dst, length) + sum_bytes(to, length));
  return length;
}

std::size_t emitted_length(const Neighbour& n) {
  return 8 + (has_target(n.type) ? 16U : 0U) + (n.has_link_layer ? 8U : 0U);
}

std::size_t emit_neighbour(const Neighbour& n, const Ip& src, const Ip& dst, std::byte* to) {
  const std::size_t length = emitted_length(n);
  std::memset(to, 0, length);
  to[0] = static_cast<std::byte>(n.type);
  std::size_t at = 8;
  if (n.type == icmpv6_type::neighbour_advertisement)
    to[4] =
        static_cast<std::byte>((n.router ? 0x80 : 0) | (n.solicited ? 0x40 : 0) | (n.override_ ? 0x20 : 0));
  if (has_target(n.type)) {
    std::memcpy(to + at, n.target.bytes().data(), 16);
    at += 16;
  }
  if (n.has_link_layer) {
    to[at] = static_cast<std::byte>(option_of(n.type));
    to[at + 1] = std::byte{1};
    std::memcpy(to + at + 2, n.link_layer.bytes.data(), 6);
  }
  write_checksum(to, pseudo(src, dst, length) + sum_bytes(to, length));
  return length;
}

Verdict parse_quoted_v4(std::span<const std::byte> body, QuotedTcp& out) {
  Ipv4 h;
  // The quote is cut short: its announced length says nothing about the bytes here.
  if (const Verdict v = parse_ipv4(body, 65535, h); v != Verdict::ok) return v;
  if (h.protocol != ip_protocol::tcp || h.fragment_offset != 0) return Verdict::not_supported;
  out.src = h.src;
  out.dst = h.dst;
  return read_quoted_tcp(body.subspan(h.header_length), out);
}

Verdict parse_quoted_v6(std::span<const std::byte> body, QuotedTcp& out) {
  Ipv6 h;
  if (const Verdict v = parse_quoted_ipv6(body, h); v != Verdict::ok) return v;
  if (h.protocol != ip_protocol::tcp || h.fragment_offset != 0) return Verdict::not_supported;
  out.src = h.src;
  out.dst = h.dst;
  return read_quoted_tcp(body.subspan(h.header_length), out);
}

} // namespace tern::wire
