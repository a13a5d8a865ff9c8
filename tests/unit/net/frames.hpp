// Frames as a peer would send them, for the tests of lib/net.
#pragma once

#include <cstring>
#include <vector>

#include "net/addresses.hpp"
#include "packet/packet.hpp"
#include "support/eal.hpp"
#include "wire/checksum.hpp"
#include "wire/ethernet.hpp"
#include "wire/icmp.hpp"
#include "wire/ipv4.hpp"
#include "wire/ipv6.hpp"

namespace tern::net::test {

using Bytes = std::vector<std::byte>;
namespace ether_type = wire::ether_type;
namespace protocol = wire::ip_protocol;

inline constexpr Mac our_mac{{2, 0, 0, 0, 0, 1}};
inline constexpr Mac peer_mac{{2, 0, 0, 0, 0, 9}};
inline constexpr Ip4 our4{10, 0, 0, 1};
inline constexpr Ip4 peer4{10, 0, 0, 9};
inline const Ip our6 = *Ip::parse("fd00::1");
inline const Ip peer6 = *Ip::parse("fd00::9");

inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
inline Bytes payload(std::size_t n) {
  Bytes b(n);
  for (std::size_t i = 0; i < n; ++i) b[i] = static_cast<std::byte>(i * 5 + 1);
  return b;
}
inline Bytes ether(std::uint16_t type, const Mac& dst = our_mac, std::vector<wire::VlanTag> tags = {}) {
  wire::Ethernet e{.dst = dst, .src = peer_mac, .type = type};
  for (const wire::VlanTag& t : tags) e.tags[e.tag_count++] = t;
  Bytes b(e.header_length());
  wire::emit_ethernet(e, b.data());
  return b;
}

struct Fragment {
  std::uint16_t offset = 0; // in bytes
  bool more = false;
};
inline Bytes ip4(std::uint8_t proto, const Bytes& body, Ip4 src = peer4, Ip4 dst = our4,
                 const Bytes& options = {}, Fragment fragment = {}, std::uint16_t id = 0) {
  wire::Ipv4 h;
  h.total_length = static_cast<std::uint16_t>(20 + options.size() + body.size());
  h.identification = id;
  h.fragment_offset = fragment.offset;
  h.more_fragments = fragment.more;
  h.dont_fragment = !h.is_fragment();
  h.protocol = proto;
  h.src = src;
  h.dst = dst;
  h.options = options;
  Bytes b(wire::emitted_length(h));
  wire::emit_ipv4(h, b.data());
  return b + body;
}
inline Bytes ip6(std::uint8_t next, const Bytes& body, const Ip& src = peer6, const Ip& dst = our6,
                 std::uint8_t hop_limit = 64) {
  wire::Ipv6 h;
  h.payload_length = static_cast<std::uint16_t>(body.size());
  h.next_header = next;
  h.hop_limit = hop_limit;
  h.src = src;
  h.dst = dst;
  Bytes b(40);
  wire::emit_ipv6(h, b.data());
  return b + body;
}
// A TCP header without options and a payload, its checksum right.
inline Bytes tcp(const Ip& src, const Ip& dst, const Bytes& data = {}) {
  Bytes b(20);
  store_be<std::uint16_t>(b.data(), 1234);
  store_be<std::uint16_t>(b.data() + 2, 80);
  b[12] = std::byte{0x50};
  b[13] = std::byte{0x10};
  b = b + data;
  wire::set_tcp_checksum(src, dst, b);
  return b;
}
inline Bytes tcp4_frame(const Bytes& data = {}) {
  return ether(ether_type::ipv4) + ip4(protocol::tcp, tcp(peer4, our4, data));
}
inline Bytes tcp6_frame(const Bytes& data = {}) {
  return ether(ether_type::ipv6) + ip6(protocol::tcp, tcp(peer6, our6, data));
}

inline Bytes icmp4(std::uint8_t type, const Bytes& data) {
  wire::IcmpMessage m{.type = type, .body = data};
  Bytes b(wire::emitted_length(m));
  wire::emit_icmp(m, b.data());
  return b;
}
// Any type: type, code, checksum, `word`, and `rest`.
inline Bytes icmp6(std::uint8_t type, const Bytes& rest, const Ip& src, const Ip& dst,
                   std::uint32_t word = 0) {
  Bytes b(8);
  b[0] = std::byte{type};
  store_be(b.data() + 4, word);
  b = b + rest;
  const auto length = static_cast<std::uint32_t>(b.size());
  const Be16 sum = wire::finish(wire::pseudo_sum_v6(src, dst, protocol::icmpv6, length) + wire::sum_bytes(b));
  std::memcpy(b.data() + 2, &sum, 2);
  return b;
}
inline Bytes arp(std::uint16_t operation, Ip4 sender, const Mac& sender_mac, Ip4 target,
                 const Mac& dst = broadcast_mac) {
  Bytes b(wire::arp_length);
  wire::emit_arp({operation, sender_mac, sender, {}, target}, b.data());
  return ether(ether_type::arp, dst) + b;
}

// The frame in segments of `piece` bytes each.
inline Packet packet(const PacketPool& pool, const Bytes& frame, std::size_t piece = SIZE_MAX) {
  Packet head = pool.alloc();
  TERN_CHECK(head);
  for (std::size_t i = 0; i < frame.size();) {
    const std::size_t n = std::min(piece, frame.size() - i);
    Packet p = pool.alloc();
    TERN_CHECK(p && p.append_copy({frame.data() + i, n}, pool));
    if (i == 0)
      head = std::move(p);
    else
      TERN_CHECK(head.chain(std::move(p)));
    i += n;
  }
  return head;
}
inline Bytes bytes_of(const Packet& p) {
  Bytes b(p.length());
  p.copy_out(0, b);
  return b;
}

// What a frame that we sent says; a malformed one fails the test.
inline wire::Ethernet ethernet_of(const Bytes& b) {
  wire::Ethernet e;
  TERN_CHECK(wire::parse_ethernet(b, e) == wire::Verdict::ok);
  return e;
}
inline wire::Ipv4 ip4_of(const Bytes& b) {
  wire::Ipv4 h;
  const auto at = std::span(b).subspan(14);
  TERN_CHECK(wire::parse_ipv4(at, h) == wire::Verdict::ok && wire::ipv4_checksum_ok(at, h));
  return h;
}
inline wire::Ipv6 ip6_of(const Bytes& b) {
  wire::Ipv6 h;
  TERN_CHECK(wire::parse_ipv6(std::span(b).subspan(14), h) == wire::Verdict::ok);
  return h;
}
inline wire::Arp arp_of(const Bytes& b) {
  wire::Arp m;
  TERN_CHECK(wire::parse_arp(std::span(b).subspan(14), m) == wire::Verdict::ok);
  return m;
}
inline wire::Neighbour neighbour_of(const Bytes& b) {
  const wire::Ipv6 h = ip6_of(b);
  wire::Icmpv6 m;
  TERN_CHECK(wire::parse_icmpv6(std::span(b).subspan(54), h.src, h.dst, h.hop_limit, m) == wire::Verdict::ok);
  TERN_CHECK(m.kind == wire::Icmpv6Kind::neighbour);
  return m.neighbour;
}

} // namespace tern::net::test
