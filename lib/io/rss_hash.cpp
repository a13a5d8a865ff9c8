#include "io/rss_hash.hpp"

#include "base/endian.hpp"
#include "wire/ethernet.hpp"
#include "wire/ipv4.hpp"
#include "wire/ipv6.hpp"

namespace tern::io {
// A NIC looks no further than this: it neither verifies nor walks extension headers.
bool RssHash::of_frame(const rte_mbuf* m, std::uint32_t& hash) const {
  const std::span frame{rte_pktmbuf_mtod(m, const std::byte*), m->data_len};
  wire::Ethernet e;
  if (wire::parse_ethernet(frame, e) != wire::Verdict::ok) return false;
  const auto l3 = frame.subspan(e.header_length());
  if (e.type == wire::ether_type::ipv4) {
    wire::Ipv4 h;
    if (wire::parse_ipv4(l3, m->pkt_len - e.header_length(), h) != wire::Verdict::ok) return false;
    const auto l4 = l3.subspan(h.header_length);
    hash = h.protocol == wire::ip_protocol::tcp && !h.is_fragment() && l4.size() >= 4
               ? toeplitz_.hash(h.src, h.dst, Port::at(l4.data()), Port::at(l4.data() + 2))
               : toeplitz_.hash(h.src, h.dst);
    return true;
  }
  if (e.type == wire::ether_type::ipv6) {
    wire::Ipv6 h;
    if (wire::parse_ipv6(l3, m->pkt_len - e.header_length(), h) != wire::Verdict::ok) return false;
    const auto l4 = l3.subspan(wire::ipv6_length);
    hash = h.next_header == wire::ip_protocol::tcp && l4.size() >= 4
               ? toeplitz_.hash(h.src, h.dst, Port::at(l4.data()), Port::at(l4.data() + 2))
               : toeplitz_.hash(h.src, h.dst);
    return true;
  }
  return false;
}

} // namespace tern::io
