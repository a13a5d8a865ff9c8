#include "net/reassembly.hpp"

#include <algorithm>

namespace tern::net {
namespace {

constexpr std::uint8_t not_ect = 1, ce = 8; // bits of ecn_seen

// RFC 3168 §5.3: congestion seen by one fragment was seen by the datagram; one that was marked though another
// could not be is not believed.
bool ecn_of(std::uint8_t seen, std::uint8_t first, std::uint8_t& out) {
  if ((seen & ce) == 0) return out = first, true;
  out = 3;
  return (seen & not_ect) == 0;
}

// The first fragment's headers, made those of the whole.
bool mend_v4(Packet& p, std::size_t l3, std::uint32_t bytes, std::uint8_t ecn_seen) {
  wire::Ipv4 h;
  if (wire::parse_ipv4(p.bytes().subspan(l3), 65535, h) != wire::Verdict::ok) return false;
  std::array<std::byte, 40> kept{}; // options are written where they lie
  std::copy(h.options.begin(), h.options.end(), kept.begin());
  h.options = std::span(kept).first(h.options.size());
  std::uint8_t ecn = 0;
  if (h.header_length + bytes > 65535 || !ecn_of(ecn_seen, h.ecn(), ecn)) return false;
  h.total_length = static_cast<std::uint16_t>(h.header_length + bytes);
  h.more_fragments = false;
  h.traffic_class = static_cast<std::uint8_t>((h.traffic_class & ~3U) | ecn);
  wire::emit_ipv4(h, p.data() + l3);
  return true;
}

// Takes the fragment header out: what lies before it moves up by its 8 bytes, and the header before it names
// what came after.
bool mend_v6(Packet& p, std::size_t l3, std::uint32_t bytes, std::uint8_t ecn_seen) {
  wire::Ipv6 h;
  if (wire::parse_ipv6(p.bytes().subspan(l3), 65535 + wire::ipv6_length, h) != wire::Verdict::ok)
    return false;
  const std::size_t before = h.fragment_header - wire::ipv6_length; // extension bytes that stay
  std::uint8_t ecn = 0;
  if (before + bytes > 65535 || !ecn_of(ecn_seen, h.ecn(), ecn)) return false;
  std::byte* const start = p.data() + l3;
  if (before == 0) {
    h.next_header = h.protocol;
  } else {
    std::size_t at = wire::ipv6_length;
    for (;;) {
      const std::size_t next = at + 8 + 8 * std::to_integer<std::size_t>(start[at + 1]);
      if (next >= h.fragment_header) break;
      at = next;
    }
    start[at] = static_cast<std::byte>(h.protocol);
  }
  h.payload_length = static_cast<std::uint16_t>(before + bytes);
  h.traffic_class = static_cast<std::uint8_t>((h.traffic_class & ~3U) | ecn);
  wire::emit_plain_ipv6(h, start);
  std::memmove(p.data() + 8, p.data(), l3 + h.fragment_header);
  p.trim_front(8);
  return true;
}

} // namespace

Reassembly::Reassembly(const ReassemblySettings& settings, SipKey key)
    : key_(key), memory_(settings.memory), all_(settings.datagrams), hashes_(settings.datagrams) {}

bool Reassembly::read(const Packet& p, const Classified& c, Arrival& out) {
  out.key.src = c.source(p);
  out.key.dst = c.destination(p);
  out.ecn = c.tos & 3;
  const auto bytes = p.bytes().subspan(c.l3_offset);
  std::uint32_t from = 0;
  if (c.v6) {
    wire::Ipv6 h;
    if (wire::parse_ipv6(bytes, p.length() - c.l3_offset, h) != wire::Verdict::ok) return false;
    out.key.id = h.fragment_id;
    out.more = h.more_fragments;
    from = h.fragment_offset;
  } else {
    wire::Ipv4 h;
    if (wire::parse_ipv4(bytes, p.length() - c.l3_offset, h) != wire::Verdict::ok) return false;
    out.key.id = h.identification;
    out.key.protocol = h.protocol;
    out.more = h.more_fragments;
    from = h.fragment_offset;
  }
  // The parsers hold that it ends within 65,535 bytes, and at a multiple of 8 if more follows.
  if (c.l4_length == 0 || from + c.l4_length > 65535) return false;
  out.from = static_cast<std::uint16_t>(from);
  out.to = static_cast<std::uint16_t>(from + c.l4_length);
  return true;
}

std::uint32_t Reassembly::hash_of(const Key& k) const {
  std::array<std::byte, 37> b;
  std::memcpy(b.data(), k.src.bytes().data(), 16);
  std::memcpy(b.data() + 16, k.dst.bytes().data(), 16);
  store_be(b.data() + 32, k.id);
  b[36] = static_cast<std::byte>(k.protocol);
  return static_cast<std::uint32_t>(siphash13(key_, b));
}

Reassembly::Datagram* Reassembly::find(const Key& k, std::uint32_t hash) {
  for (std::size_t i = 0; i < all_.size(); ++i)
    if (hashes_[i] == hash && all_[i].used && all_[i].key == k) return &all_[i];
  return nullptr;
}

Reassembly::Datagram* Reassembly::oldest_but(const Datagram* spared) {
  Datagram* oldest = nullptr;
  for (Datagram& d : all_)
    if (d.used && &d != spared && (oldest == nullptr || d.deadline < oldest->deadline)) oldest = &d;
  return oldest;
}

Reassembly::Datagram& Reassembly::take(const Key& k, std::uint32_t hash, Instant now, bool& evicted) {
  auto free = std::find_if(all_.begin(), all_.end(), [](const Datagram& d) { return !d.used; });
  Datagram* d = free != all_.end() ? &*free : oldest_but(nullptr);
  evicted = d->used && !d->refused;
  forget(*d);
  d->key = k;
  d->used = true;
  d->refused = false;
  d->end_known = false;
  d->ecn_seen = 0;
  d->bytes = 0;
  d->deadline = now + patience;
  hashes_[static_cast<std::size_t>(d - all_.data())] = hash;
  return *d;
}

void Reassembly::release(Datagram& d) {
  for (std::size_t i = 0; i < d.count; ++i) d.pieces[i].packet.reset();
  d.count = 0;
  held_ -= d.truesize;
  d.truesize = 0;
}

void Reassembly::refuse(Datagram& d) {
  release(d);
  d.refused = true;
}

Reassembly::Outcome Reassembly::add(Packet& p, const Classified& c, Instant now, const PacketPool& pool) {
  Arrival a;
  if (!read(p, c, a)) return p.reset(), Outcome::refused;
  const std::uint32_t hash = hash_of(a.key);
  bool evicted = false;
  Datagram* d = find(a.key, hash);
  if (d == nullptr) d = &take(a.key, hash, now, evicted);
  Outcome o = d->refused ? Outcome::refused : insert(*d, a, p, c);
  if (o != Outcome::kept) return p.reset(), o;
  while (held_ > memory_) {
    Datagram* other = oldest_but(d);
    if (other == nullptr) return refuse(*d), Outcome::refused;
    evicted = evicted || !other->refused;
    forget(*other);
  }
  if (d->end_known && d->bytes == d->end) {
    const bool good = join(*d, p, pool);
    forget(*d);
    return good ? Outcome::whole : (p.reset(), Outcome::refused);
  }
  return evicted ? Outcome::evicted : Outcome::kept;
}

// Its place among the others. An exact repetition is passed over (RFC 8200 §4.5); any other overlap is an
// attack, on us or on a firewall (RFC 5722, RFC 1858), and nobody honest sends one: the datagram is refused.
Reassembly::Outcome Reassembly::insert(Datagram& d, const Arrival& a, Packet& p, const Classified& c) {
  std::size_t i = d.count;
  while (i != 0 && d.pieces[i - 1].from >= a.from) --i;
  const bool last = !a.more;
  if (i < d.count && d.pieces[i].from == a.from && d.pieces[i].to == a.to &&
      last == (d.end_known && d.end == a.to))
    return Outcome::duplicate;
  const bool overlaps = (i != 0 && d.pieces[i - 1].to > a.from) || (i < d.count && d.pieces[i].from < a.to);
  const bool past_the_end =
      d.end_known ? a.to > d.end || last : last && d.count != 0 && d.pieces[d.count - 1].to > a.to;
  if (overlaps || past_the_end || d.count == most_fragments) return refuse(d), Outcome::refused;
  if (last) {
    d.end_known = true;
    d.end = a.to;
  }
  if (a.from != 0) p.trim_front(c.l4_offset);
  std::move_backward(d.pieces.begin() + static_cast<std::ptrdiff_t>(i),
                     d.pieces.begin() + static_cast<std::ptrdiff_t>(d.count),
                     d.pieces.begin() + static_cast<std::ptrdiff_t>(d.count) + 1);
  ++d.count;
  d.bytes += static_cast<std::uint32_t>(a.to - a.from);
  d.ecn_seen = static_cast<std::uint8_t>(d.ecn_seen | 1U << a.ecn);
  d.truesize += p.truesize();
  held_ += p.truesize();
  d.pieces[i] = {std::move(p), a.from, a.to};
  return Outcome::kept;
}

bool Reassembly::join(Datagram& d, Packet& whole, const PacketPool& pool) {
  whole = std::move(d.pieces[0].packet);
  if (!whole.writable()) { // an in-memory peer may still hold it
    whole = whole.copy(0, whole.length(), pool);
    if (!whole) return false;
  }
  wire::Ethernet e;
  if (wire::parse_ethernet(whole.bytes(), e) != wire::Verdict::ok) return false;
  const bool good = d.key.src.is_v4() ? mend_v4(whole, e.header_length(), d.end, d.ecn_seen)
                                      : mend_v6(whole, e.header_length(), d.end, d.ecn_seen);
  if (!good) return false;
  for (std::size_t i = 1; i < d.count; ++i)
    if (!whole.chain(std::move(d.pieces[i].packet))) return false;
  // What a port said of the first fragment's checksums is not said of the whole.
  whole.mbuf()->ol_flags &= ~(RTE_MBUF_F_RX_L4_CKSUM_MASK | RTE_MBUF_F_RX_IP_CKSUM_MASK);
  return true;
}

} // namespace tern::net
