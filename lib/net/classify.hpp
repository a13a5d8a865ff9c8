// What a received frame is, checked once, here: behind this every length and address can be relied on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "net/addresses.hpp"
#include "net/counters.hpp"
#include "net/interface.hpp"
#include "packet/packet.hpp"
#include "wire/checksum.hpp"
#include "wire/ethernet.hpp"
#include "wire/ipv4.hpp"
#include "wire/ipv6.hpp"

namespace tern::net {

enum class Kind : std::uint8_t { drop, tcp, arp, icmp, icmp6, fragment, other };

// Offsets are into the first segment, which holds at least the headers up to the transport's first 20 bytes
// (TCP) or 8.
struct Classified {
  Kind kind = Kind::drop;
  NetCounter why = NetCounter::drop_truncated; // of a drop; not yet counted
  bool v6 = false;
  std::uint8_t tos = 0; // or traffic class: the low two bits are ECN's
  std::uint8_t hop_limit = 0;
  std::uint8_t protocol = 0; // of `other`
  std::uint16_t l3_offset = 0;
  std::uint16_t l4_offset = 0;
  std::uint32_t l4_length =
      0;    // header and payload, by the IP header; padding behind it is trimmed off already
  Ip4 src4; // IPv4 only
  Ip4 dst4;

  [[nodiscard]] Ip source(const Packet& p) const { return v6 ? address(p, 8) : Ip{src4}; }
  [[nodiscard]] Ip destination(const Packet& p) const { return v6 ? address(p, 24) : Ip{dst4}; }

 private:
  [[nodiscard]] Ip address(const Packet& p, std::size_t at) const {
    Ip::Bytes b;
    std::memcpy(b.data(), p.data() + l3_offset + at, sizeof b);
    return Ip{b};
  }
};

namespace detail {
[[nodiscard]] Classified classify_slow(Packet& p, const Interface& self, const PacketPool& pool);
[[nodiscard]] bool tcp_sum_ok_slow(const Packet& p, const Classified& c);
} // namespace detail

// The checksum of a TCP segment: as the port found it, computed here if it did not look.
[[nodiscard]] inline bool tcp_checksum_ok(const Packet& p, const Classified& c) {
  const std::uint64_t found = p.mbuf()->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
  if (found == RTE_MBUF_F_RX_L4_CKSUM_GOOD) [[likely]]
    return true;
  if (!c.v6 && p.contiguous() && found != RTE_MBUF_F_RX_L4_CKSUM_BAD) {
    return wire::sum_is_valid(wire::pseudo_sum(c.src4, c.dst4, wire::tcp_protocol, c.l4_length) +
                              wire::sum_bytes(p.data() + c.l4_offset, c.l4_length));
  }
  // A port's "bad" is looked at again: several report it of a checksum that a neighbour on the same host left
  // to hardware.
  return detail::tcp_sum_ok_slow(p, c);
}

// A segment of the lean kind: where it lies follows from the kind.
struct LeanTcp {
  static constexpr std::uint16_t l3_offset = wire::ethernet_length;
  static constexpr std::uint16_t l4_offset = wire::ethernet_length + wire::ipv4_length;
  std::uint32_t l4_length;
  std::uint8_t tos;
  std::uint8_t hop_limit;
};
// The lean way: untagged IPv4 without options, not a fragment, TCP, to an address of ours, in one segment,
// its checksums good. False for all else, and nothing changed. Inlined, and its answers in registers: written
// to memory field by field and read back whole they would wait for the store buffer.
[[nodiscard, gnu::always_inline]] inline bool lean_tcp(Packet& p, const Interface& self, LeanTcp& out) {
  constexpr std::uint32_t ether = wire::ethernet_length;
  constexpr std::uint32_t header = wire::ipv4_length;
  const std::byte* b = p.data();
  if (p.data_length() < LeanTcp::l4_offset + 20 || !p.contiguous()) [[unlikely]]
    return false;
  // The IP header's five words, as they lie: loaded once, for every question and for their sum.
  const auto word = [b](std::size_t at) {
    std::uint32_t w;
    std::memcpy(&w, b + at, sizeof w);
    return w;
  };
  const std::uint32_t w0 = word(ether);     // version, IHL, TOS, total length
  const std::uint32_t w1 = word(ether + 4); // identification, fragment
  const std::uint32_t w2 = word(ether + 8); // TTL, protocol, checksum
  const std::uint32_t src = word(ether + 12);
  const std::uint32_t dst = word(ether + 16);
  constexpr std::uint32_t any_fragment = std::uint32_t{byteswap(std::uint16_t{0x3fff})} << 16;
  std::uint64_t first_eight;
  std::memcpy(&first_eight, b, sizeof first_eight);
  if ((word(12) & 0xffff) != byteswap(wire::ether_type::ipv4) || (w0 & 0xff) != 0x45 ||
      (w2 & 0xff00) != wire::ip_protocol::tcp << 8 || (w1 & any_fragment) != 0 ||
      !self.untagged_for_us(first_eight) || !self.owns(Ip4{Be32::from_raw(dst)})) [[unlikely]]
    return false;
  // source_allowed(), on the word: 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0/3 and our own.
  const std::uint32_t network = src & 0xff;
  const std::uint32_t total = byteswap(static_cast<std::uint16_t>(w0 >> 16));
  const std::uint32_t frame = p.length();
  if (network - 1 >= 223 || network == 127 || src == dst || total < header + 20 || total + ether > frame)
      [[unlikely]]
    return false;
  const std::uint64_t flags = p.mbuf()->ol_flags;
  if ((flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) != RTE_MBUF_F_RX_IP_CKSUM_GOOD &&
      !wire::sum_is_valid(std::uint64_t{w0} + w1 + w2 + src + dst)) [[unlikely]]
    return false;
  const std::uint32_t length = total - header;
  if ((flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) != RTE_MBUF_F_RX_L4_CKSUM_GOOD) {
    const std::uint64_t pseudo =
        wire::pseudo_sum(Ip4{Be32::from_raw(src)}, Ip4{Be32::from_raw(dst)}, wire::ip_protocol::tcp, length);
    if ((flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_BAD ||
        !wire::sum_is_valid(pseudo + wire::sum_bytes(b + ether + header, length))) [[unlikely]]
      return false;
  }
  if (frame != total + ether) [[unlikely]]
    p.trim_back(frame - total - ether);
  out.l4_length = length;
  out.tos = static_cast<std::uint8_t>(w0 >> 8);
  out.hop_limit = static_cast<std::uint8_t>(w2);
  return true;
}

// `pool` serves frames whose headers lie in more than one segment. Ethernet padding is trimmed.
[[nodiscard]] inline Classified classify(Packet& p, const Interface& self, const PacketPool& pool) {
  LeanTcp lean;
  if (!lean_tcp(p, self, lean)) [[unlikely]]
    return detail::classify_slow(p, self, pool); // which names the reason of a drop
  Classified c;
  c.kind = Kind::tcp;
  c.tos = lean.tos;
  c.hop_limit = lean.hop_limit;
  c.l3_offset = LeanTcp::l3_offset;
  c.l4_offset = LeanTcp::l4_offset;
  c.l4_length = lean.l4_length;
  std::memcpy(&c.src4, p.data() + c.l3_offset + 12, 4);
  std::memcpy(&c.dst4, p.data() + c.l3_offset + 16, 4);
  return c;
}

} // namespace tern::net
