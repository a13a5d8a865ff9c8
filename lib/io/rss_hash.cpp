#include "io/rss_hash.hpp"

#include "net/headers.hpp"

namespace tern::io {
namespace {

struct Ports {
  Be16 src;
  Be16 dst;
};
Port port(Be16 p) {
  return Port{p.host()};
}

} // namespace

// A NIC looks no further than this: it neither verifies nor walks extension headers.
bool RssHash::of_frame(const rte_mbuf* m, std::uint32_t& hash) const {
  const auto* p = rte_pktmbuf_mtod(m, const std::byte*);
  const std::size_t n = m->data_len;
  std::size_t at = 12;
  if (n < at + 2) return false;
  std::uint16_t type = load_be<std::uint16_t>(p + at);
  for (int tags = 0;
       tags < 2 && (type == net::ether_type::vlan || type == net::ether_type::qinq) && n >= at + 6; ++tags)
    type = load_be<std::uint16_t>(p + (at += 4));
  at += 2;
  if (type == net::ether_type::ipv4 && n >= at + sizeof(net::Ipv4Header)) {
    const auto h = net::load<net::Ipv4Header>(p + at);
    const std::size_t ihl = 4 * (h.version_ihl & 15U);
    const bool fragment = (h.fragment.host() & (net::more_fragments | net::fragment_offset_mask)) != 0;
    if (h.protocol == net::protocol::tcp && !fragment && ihl >= sizeof h && n >= at + ihl + sizeof(Ports)) {
      const auto ports = net::load<Ports>(p + at + ihl);
      hash = toeplitz_.hash(h.src, h.dst, port(ports.src), port(ports.dst));
    } else {
      hash = toeplitz_.hash(h.src, h.dst);
    }
    return true;
  }
  if (type == net::ether_type::ipv6 && n >= at + sizeof(net::Ipv6Header)) {
    const auto h = net::load<net::Ipv6Header>(p + at);
    at += sizeof h;
    if (h.next == net::protocol::tcp && n >= at + sizeof(Ports)) {
      const auto ports = net::load<Ports>(p + at);
      hash = toeplitz_.hash(Ip{h.src}, Ip{h.dst}, port(ports.src), port(ports.dst));
    } else {
      hash = toeplitz_.hash(Ip{h.src}, Ip{h.dst});
    }
    return true;
  }
  return false;
}

} // namespace tern::io
