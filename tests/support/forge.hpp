// Frames that no stack made: a stranger's segments, byte by byte, and what a frame of ours says.
#pragma once

#include <cstring>
#include <optional>
#include <span>

#include "flow/flow_key.hpp"
#include "packet/packet.hpp"
#include "wire/checksum.hpp"
#include "wire/ethernet.hpp"
#include "wire/ipv4.hpp"
#include "wire/ipv6.hpp"
#include "wire/tcp_inl.hpp"

namespace tern::test {

inline constexpr std::size_t forged_l4 = wire::ethernet_length + wire::ipv4_length;

// Ethernet, IPv4, TCP and text, both checksums right; its length. `key` names it as its receiver does: remote
// is the source. At most 1514 bytes.
inline std::size_t write_frame(std::byte* at, const wire::Mac& to, const wire::Mac& from, const FlowKey4& key,
                               const wire::Tcp& h, std::span<const std::byte> text = {}) {
  const std::size_t header = wire::emitted_length(h);
  const std::size_t l4 = header + text.size();
  wire::emit_ethernet({.dst = to, .src = from, .type = wire::ether_type::ipv4}, at);
  wire::Ipv4 ip;
  ip.src = key.remote;
  ip.dst = key.local;
  ip.protocol = wire::ip_protocol::tcp;
  ip.total_length = static_cast<std::uint16_t>(wire::ipv4_length + l4);
  ip.dont_fragment = true;
  wire::emit_plain_ipv4(ip, true, at + wire::ethernet_length);
  std::byte* const segment = at + forged_l4;
  wire::emit_tcp(h, segment);
  std::memcpy(segment, &key.remote_port, 2);
  std::memcpy(segment + 2, &key.local_port, 2);
  if (!text.empty()) std::memcpy(segment + header, text.data(), text.size());
  wire::set_tcp_checksum(key.remote, key.local, std::span{segment, l4});
  return forged_l4 + l4;
}

inline Packet forge(const PacketPool& pool, const wire::Mac& to, const wire::Mac& from, const FlowKey4& key,
                    const wire::Tcp& h, std::span<const std::byte> text = {}) {
  Packet p = pool.alloc();
  if (!p) return p;
  std::byte* at = p.append(static_cast<std::uint16_t>(forged_l4 + wire::emitted_length(h) + text.size()));
  TERN_CHECK(at != nullptr);
  write_frame(at, to, from, key, h, text);
  return p;
}

// The same over IPv6, without text.
inline Packet forge(const PacketPool& pool, const wire::Mac& to, const wire::Mac& from, const FlowKey6& key,
                    const wire::Tcp& h) {
  Packet p = pool.alloc();
  if (!p) return p;
  constexpr std::size_t l4 = wire::ethernet_length + 40;
  const std::size_t length = wire::emitted_length(h);
  std::byte* at = p.append(static_cast<std::uint16_t>(l4 + length));
  TERN_CHECK(at != nullptr);
  wire::emit_ethernet({.dst = to, .src = from, .type = wire::ether_type::ipv6}, at);
  wire::Ipv6 ip;
  ip.src = key.remote;
  ip.dst = key.local;
  ip.next_header = wire::ip_protocol::tcp;
  ip.payload_length = static_cast<std::uint16_t>(length);
  wire::emit_plain_ipv6(ip, at + wire::ethernet_length);
  wire::emit_tcp(h, at + l4);
  std::memcpy(at + l4, &key.remote_port, 2);
  std::memcpy(at + l4 + 2, &key.local_port, 2);
  wire::set_tcp_checksum(key.remote, key.local, std::span{at + l4, length});
  return p;
}

// An ARP message in a frame to `to`.
inline Packet forge_arp(const PacketPool& pool, const wire::Mac& to, const wire::Arp& m) {
  Packet p = pool.alloc();
  if (!p) return p;
  std::byte* at = p.append(static_cast<std::uint16_t>(wire::ethernet_length + wire::arp_length));
  TERN_CHECK(at != nullptr);
  wire::emit_ethernet({.dst = to, .src = m.sender_mac, .type = wire::ether_type::arp}, at);
  wire::emit_arp(m, at + wire::ethernet_length);
  return p;
}

// A SYN as Linux sends it.
inline wire::Tcp linux_syn(Seq seq, std::uint32_t ts_val) {
  using O = wire::TcpOptions;
  wire::Tcp h;
  h.flags = wire::tcp_flag::syn;
  h.seq = seq;
  h.window = 64'240;
  h.options.has = O::mss_bit | O::wscale_bit | O::sack_permitted_bit | O::timestamps_bit;
  h.options.mss = 1460;
  h.options.wscale = 7;
  h.options.ts_val = ts_val;
  return h;
}

// A segment that was sent, as its receiver sees it.
struct Sent {
  FlowKey4 key; // local is the receiver
  wire::Tcp h;
  std::uint32_t text = 0;
};
// Nothing for a frame that is not TCP over IPv4.
inline std::optional<Sent> read_frame(const Packet& p) {
  const std::byte* b = p.data();
  wire::Ethernet ether;
  wire::Ipv4 ip;
  if (wire::parse_ethernet(p.bytes(), ether) != wire::Verdict::ok || ether.type != wire::ether_type::ipv4 ||
      p.data_length() < forged_l4 + 20 ||
      !wire::parse_plain_ipv4(b + wire::ethernet_length, p.length() - wire::ethernet_length, ip) ||
      ip.protocol != wire::ip_protocol::tcp)
    return std::nullopt;
  Sent s;
  if (wire::parse_tcp({b + forged_l4, p.data_length() - forged_l4}, s.h) != wire::Verdict::ok)
    return std::nullopt;
  s.key.remote = ip.src;
  s.key.local = ip.dst;
  std::memcpy(&s.key.remote_port, b + forged_l4, 4);
  s.text = ip.total_length - static_cast<std::uint32_t>(wire::ipv4_length) - s.h.header_length;
  return s;
}

} // namespace tern::test
