#include "io/steering.hpp"

#include <algorithm>
#include <cstring>

#include "base/check.hpp"
#include "base/endian.hpp"
#include "wire/ethernet.hpp"
#include "wire/ipv6.hpp"

namespace tern::io {
namespace {

constexpr std::size_t ipv4_bytes = 20, ipv6_bytes = 40, ports_bytes = 4, icmp_bytes = 8;

template <class T>
T load(const std::byte* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
Ip4 ip4_at(const std::byte* p) {
  return Ip4{load<Be32>(p)};
}
Ip ip6_at(const std::byte* p) {
  return Ip{load<Ip::Bytes>(p)};
}
std::uint8_t byte_at(const std::byte* p) {
  return std::to_integer<std::uint8_t>(*p);
}

bool is_error4(std::uint8_t type) { // RFC 792: unreachable, source quench, redirect, time exceeded, parameter
  return (type >= 3 && type <= 5) || type == 11 || type == 12;
}

} // namespace

bool Steering::possible_by_port(const RssView& rss, CoreId cores) {
  if (rss.reta.empty() || (rss.reta.size() & (rss.reta.size() - 1)) != 0) return false;
  if (std::any_of(rss.reta.begin(), rss.reta.end(), [&](QueueId q) { return q >= cores; })) return false;
  for (CoreId c = 0; c < cores; ++c)
    if (std::find(rss.reta.begin(), rss.reta.end(), c) == rss.reta.end()) return false;
  return true;
}

Steering Steering::by_port(const RssView& rss, CoreId cores) {
  TERN_CHECK(possible_by_port(rss, cores));
  return {wire::Toeplitz::key_from(rss.key), {rss.reta.begin(), rss.reta.end()}, cores, true};
}

Steering Steering::by_software(std::span<const std::uint8_t> key, CoreId cores) {
  constexpr std::size_t entries = 512; // as many as large NICs have: cores' shares differ by 1 in 512
  std::vector<CoreId> owners(cores == 1 ? 1 : entries);
  for (std::size_t i = 0; i < owners.size(); ++i) owners[i] = static_cast<CoreId>(i % cores);
  return {wire::Toeplitz::key_from(key), std::move(owners), cores, false};
}

CoreId Steering::owner_of_frame(const rte_mbuf* m, CoreId here) const {
  // Headers that a device laid into several segments are looked at in one piece.
  constexpr std::uint32_t reach = 160; // tags, IPv6, ICMPv6, the IPv6 header and ports within
  std::byte piece[reach];
  const auto* p = rte_pktmbuf_mtod(m, const std::byte*);
  std::size_t n = m->data_len;
  if (m->nb_segs > 1 && n < reach) [[unlikely]] {
    n = std::min(m->pkt_len, reach);
    p = static_cast<const std::byte*>(rte_pktmbuf_read(m, 0, static_cast<std::uint32_t>(n), piece));
  }
  std::size_t at = 12;
  if (n < at + 2) return here;
  std::uint16_t type = load_be<std::uint16_t>(p + at);
  for (int tags = 0;
       tags < 2 && (type == wire::ether_type::vlan || type == wire::ether_type::service_vlan) && n >= at + 6;
       ++tags)
    type = load_be<std::uint16_t>(p + (at += 4));
  at += 2;
  if (type == wire::ether_type::ipv4) return owner_v4(p + at, n - at, here);
  if (type == wire::ether_type::ipv6) return owner_v6(p + at, n - at, here);
  return here;
}

CoreId Steering::owner_v4(const std::byte* ip, std::size_t n, CoreId here) const {
  if (n < ipv4_bytes) return here;
  const std::size_t header = 4 * (byte_at(ip) & 15U);
  const std::uint8_t protocol = byte_at(ip + 9);
  const Ip4 src = ip4_at(ip + 12);
  const Ip4 dst = ip4_at(ip + 16);
  if ((load_be<std::uint16_t>(ip + 6) & 0x3fff) != 0) // more fragments, or an offset
    return owner_of_hash(toeplitz_.hash(src, dst));
  if (header < ipv4_bytes) return here;
  if (protocol == wire::ip_protocol::tcp) {
    if (n < header + ports_bytes) return here;
    return owner(src, dst, Port::at(ip + header), Port::at(ip + header + 2));
  }
  if (protocol != wire::ip_protocol::icmp || n < header + icmp_bytes + ipv4_bytes ||
      !is_error4(byte_at(ip + header)))
    return here;
  const std::byte* within = ip + header + icmp_bytes; // a packet of ours: its source is our end
  const std::size_t inner = 4 * (byte_at(within) & 15U);
  const bool whole = (load_be<std::uint16_t>(within + 6) & 0x1fff) == 0;
  if (byte_at(within + 9) != wire::ip_protocol::tcp || !whole || inner < ipv4_bytes ||
      n < header + icmp_bytes + inner + ports_bytes)
    return here;
  return owner(ip4_at(within + 16), ip4_at(within + 12), Port::at(within + inner + 2),
               Port::at(within + inner));
}

CoreId Steering::owner_v6(const std::byte* ip, std::size_t n, CoreId here) const {
  if (n < ipv6_bytes) return here;
  const std::uint8_t next = byte_at(ip + 6);
  const Ip src = ip6_at(ip + 8);
  const Ip dst = ip6_at(ip + 24);
  if (next == wire::ip_protocol::tcp) {
    if (n < ipv6_bytes + ports_bytes) return here;
    return owner(src, dst, Port::at(ip + ipv6_bytes), Port::at(ip + ipv6_bytes + 2));
  }
  if (next == wire::ip_protocol::fragment) return owner_of_hash(toeplitz_.hash(src, dst));
  constexpr std::size_t inner_at = ipv6_bytes + icmp_bytes;
  if (next != wire::ip_protocol::icmpv6 || n < inner_at + ipv6_bytes + ports_bytes ||
      byte_at(ip + ipv6_bytes) >= 128) // RFC 4443 §2.1: errors have the high bit 0
    return here;
  const std::byte* within = ip + inner_at;
  if (byte_at(within + 6) != wire::ip_protocol::tcp) return here;
  return owner(ip6_at(within + 24), ip6_at(within + 8), Port::at(within + ipv6_bytes + 2),
               Port::at(within + ipv6_bytes));
}

} // namespace tern::io
