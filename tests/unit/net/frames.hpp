// Frames as a peer would send them, for the tests of lib/net.
#pragma once

#include <cstring>
#include <vector>

#include "net/headers.hpp"
#include "packet/packet.hpp"
#include "support/eal.hpp"
#include "wire/checksum.hpp"

namespace tern::net::test {

using Bytes = std::vector<std::byte>;

inline constexpr Mac our_mac = {2, 0, 0, 0, 0, 1};
inline constexpr Mac peer_mac = {2, 0, 0, 0, 0, 9};
inline constexpr Ip4 our4{10, 0, 0, 1};
inline constexpr Ip4 peer4{10, 0, 0, 9};
inline const Ip our6 = *Ip::parse("fd00::1");
inline const Ip peer6 = *Ip::parse("fd00::9");

inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
template <class H>
Bytes bytes_of(const H& h) {
  Bytes b(sizeof h);
  std::memcpy(b.data(), &h, sizeof h);
  return b;
}
inline Bytes payload(std::size_t n) {
  Bytes b(n);
  for (std::size_t i = 0; i < n; ++i) b[i] = static_cast<std::byte>(i * 5 + 1);
  return b;
}
inline Bytes ether(std::uint16_t type, const Mac& dst = our_mac) {
  return bytes_of(EtherHeader{dst, peer_mac, Be16{type}});
}

inline Bytes ip4(std::uint8_t proto, const Bytes& body, Ip4 src = peer4, Ip4 dst = our4,
                 const Bytes& options = {}, std::uint16_t fragment = dont_fragment) {
  Ipv4Header h;
  h.version_ihl = static_cast<std::uint8_t>(0x45 + options.size() / 4);
  h.total_length = Be16{static_cast<std::uint16_t>(sizeof h + options.size() + body.size())};
  h.fragment = Be16{fragment};
  h.protocol = proto;
  h.src = src;
  h.dst = dst;
  Bytes b = bytes_of(h) + options;
  store(b.data() + 10, wire::finish(wire::sum_bytes(b)));
  return b + body;
}
inline Bytes ip6(std::uint8_t next, const Bytes& body, const Ip& src = peer6, const Ip& dst = our6,
                 std::uint8_t hop_limit = 64) {
  Ipv6Header h;
  h.payload_length = Be16{static_cast<std::uint16_t>(body.size())};
  h.next = next;
  h.hop_limit = hop_limit;
  h.src = src.bytes();
  h.dst = dst.bytes();
  return bytes_of(h) + body;
}
// A TCP header without options and a payload, its checksum right.
inline Bytes tcp(const Ip& src, const Ip& dst, const Bytes& data = {}) {
  Bytes b(20);
  store(b.data(), Be16{std::uint16_t{1234}});
  store(b.data() + 2, Be16{std::uint16_t{80}});
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
  Bytes b = bytes_of(IcmpHeader{type, 0, {}, {}}) + data;
  store(b.data() + 2, wire::finish(wire::sum_bytes(b)));
  return b;
}
inline Bytes icmp6(std::uint8_t type, const Bytes& rest, const Ip& src, const Ip& dst,
                   std::uint32_t word = 0) {
  Bytes b = bytes_of(IcmpHeader{type, 0, {}, Be32{word}}) + rest;
  store(b.data() + 2,
        wire::finish(wire::pseudo_sum_v6(src, dst, protocol::icmp6, static_cast<std::uint32_t>(b.size())) +
                     wire::sum_bytes(b)));
  return b;
}
inline Bytes arp(std::uint16_t operation, Ip4 sender, const Mac& sender_mac, Ip4 target,
                 const Mac& dst = broadcast_mac) {
  ArpMessage m;
  m.operation = Be16{operation};
  m.sender_mac = sender_mac;
  m.sender = sender;
  m.target = target;
  return ether(ether_type::arp, dst) + bytes_of(m);
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

} // namespace tern::net::test
