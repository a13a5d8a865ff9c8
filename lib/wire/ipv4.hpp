// IPv4 (RFC 791).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/endian.hpp"
#include "base/ip.hpp"
#include "wire/checksum.hpp"
#include "wire/verdict.hpp"

namespace tern::wire {

struct Ipv4 {
  Ip4 src;
  Ip4 dst;
  std::uint8_t protocol = 0;
  std::uint8_t ttl = 64;
  std::uint8_t traffic_class = 0; // DSCP (6 bits) and ECN (2)
  std::uint8_t header_length = 20;
  std::uint16_t total_length = 20;
  std::uint16_t identification = 0;
  std::uint16_t fragment_offset = 0; // in bytes
  bool dont_fragment = false;
  bool more_fragments = false;
  bool source_route =
      false; // an LSRR or SSRR option is there: a host's policy is to drop it (RFC 6274 §3.13.2)
  std::span<const std::byte> options{}; // where they lie, padding included

  [[nodiscard]] constexpr bool is_fragment() const { return more_fragments || fragment_offset != 0; }
  [[nodiscard]] constexpr std::uint8_t ecn() const { return traffic_class & 3; }
  [[nodiscard]] bool operator==(const Ipv4& o) const {
    return src == o.src && dst == o.dst && protocol == o.protocol && ttl == o.ttl &&
           traffic_class == o.traffic_class && header_length == o.header_length &&
           total_length == o.total_length && identification == o.identification &&
           fragment_offset == o.fragment_offset && dont_fragment == o.dont_fragment &&
           more_fragments == o.more_fragments && source_route == o.source_route &&
           std::ranges::equal(options, o.options);
  }
};

inline constexpr std::size_t ipv4_length = 20; // without options

namespace detail {
[[nodiscard]] Verdict parse_ipv4_options(std::span<const std::byte> options, Ipv4& out);
[[nodiscard]] Verdict check_ipv4_fragment(const Ipv4& h);

// What does not depend on lengths; 20 bytes are there.
inline void read_ipv4(const std::byte* p, Ipv4& out) {
  out.traffic_class = std::to_integer<std::uint8_t>(p[1]);
  out.identification = load_be<std::uint16_t>(p + 4);
  const auto fragment = load_be<std::uint16_t>(p + 6);
  out.dont_fragment = (fragment & 0x4000) != 0;
  out.more_fragments = (fragment & 0x2000) != 0;
  out.fragment_offset = static_cast<std::uint16_t>((fragment & 0x1fff) << 3);
  out.ttl = std::to_integer<std::uint8_t>(p[8]);
  out.protocol = std::to_integer<std::uint8_t>(p[9]);
  out.src = Ip4{Be32::from_raw(static_cast<std::uint32_t>(word_at<std::uint32_t>(p + 12)))};
  out.dst = Ip4{Be32::from_raw(static_cast<std::uint32_t>(word_at<std::uint32_t>(p + 16)))};
}
} // namespace detail

// The header that nearly every packet has: no options, no fragment, its total length within the packet. False
// says nothing but that parse_ipv4 must look. 20 bytes are there, and `out` is fresh.
[[nodiscard]] inline bool parse_plain_ipv4(const std::byte* p, std::size_t packet_length, Ipv4& out) {
  if (p[0] != std::byte{0x45} || (load_be<std::uint16_t>(p + 6) & 0x3fff) != 0) [[unlikely]]
    return false;
  out.total_length = load_be<std::uint16_t>(p + 2);
  detail::read_ipv4(p, out);
  return out.total_length >= ipv4_length && out.total_length <= packet_length;
}

// `bytes` begin at the IP header and go on as far as they lie in one piece; `packet_length` counts the whole
// chain from the same place, Ethernet padding included. The checksum is not looked at: see ipv4_checksum_ok.
// Order of the checks: version, header length, total length, options, fragment.
[[nodiscard]] inline Verdict parse_ipv4(std::span<const std::byte> bytes, std::size_t packet_length,
                                        Ipv4& out) {
  if (bytes.size() < 20) [[unlikely]]
    return Verdict::truncated;
  const std::byte* const p = bytes.data();
  const auto first = std::to_integer<unsigned>(p[0]);
  if ((first >> 4) != 4) [[unlikely]]
    return Verdict::bad_version;
  const std::size_t length = std::size_t{first & 15} * 4;
  if (length < 20) [[unlikely]]
    return Verdict::bad_header_length;
  if (length > bytes.size()) [[unlikely]]
    return Verdict::truncated;
  out.header_length = static_cast<std::uint8_t>(length);
  out.total_length = load_be<std::uint16_t>(p + 2);
  if (out.total_length < length || out.total_length > packet_length) [[unlikely]]
    return Verdict::bad_total_length;
  detail::read_ipv4(p, out);
  out.source_route = false;
  out.options = {};
  if (length != 20) [[unlikely]] {
    out.options = bytes.subspan(20, length - 20);
    const Verdict v = detail::parse_ipv4_options(out.options, out);
    if (v != Verdict::ok) return v;
  }
  return out.is_fragment() ? detail::check_ipv4_fragment(out) : Verdict::ok;
}
[[nodiscard]] inline Verdict parse_ipv4(std::span<const std::byte> bytes, Ipv4& out) {
  return parse_ipv4(bytes, bytes.size(), out);
}

// Of a header that parse_ipv4 called ok.
[[nodiscard]] inline bool ipv4_checksum_ok(std::span<const std::byte> bytes, const Ipv4& h) {
  return sum_is_valid(sum_bytes(bytes.data(), h.header_length));
}

[[nodiscard]] constexpr std::size_t emitted_length(const Ipv4& h) {
  return 20 + (std::min<std::size_t>(h.options.size(), 40) + 3) / 4 * 4;
}
// A header without options and of no fragment, for the way out: 20 bytes, with the checksum or, for a port
// that computes it, with 0 there. `header_length` and the fields of fragments and options are not looked at.
[[gnu::always_inline]] inline void emit_plain_ipv4(const Ipv4& h, bool with_checksum, std::byte* to) {
  const std::uint32_t w0 = byteswap(0x45000000U | std::uint32_t{h.traffic_class} << 16 | h.total_length);
  const std::uint32_t w1 = byteswap(std::uint32_t{h.identification} << 16 | (h.dont_fragment ? 0x4000U : 0U));
  std::uint32_t w2 = byteswap(std::uint32_t{h.ttl} << 24 | std::uint32_t{h.protocol} << 16);
  const std::uint32_t w3 = h.src.be().raw();
  const std::uint32_t w4 = h.dst.be().raw();
  if (with_checksum)
    w2 |= std::uint32_t{finish(std::uint64_t{w0} + w1 + w2 + w3 + w4).raw()}
          << 16; // the upper half in memory
  // By twos in 64 bits: as an array they would be gathered in a vector, one by one.
  const auto put = [to](std::size_t at, auto words) { std::memcpy(to + at, &words, sizeof words); };
  put(0, w0 | std::uint64_t{w1} << 32);
  put(8, w2 | std::uint64_t{w3} << 32);
  put(16, w4);
}
// Writes emitted_length(h) bytes, checksum and all. `header_length` is not looked at; options past 40 bytes
// are left out.
std::size_t emit_ipv4(const Ipv4& h, std::byte* to);

} // namespace tern::wire
