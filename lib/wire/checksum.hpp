// The Internet checksum (RFC 1071), its incremental update (RFC 1624), and pseudo-headers (RFC 9293 §3.1, RFC
// 8200 §8.1).
//
// A running sum is 64 bits of 32-bit words added as they lie in memory: the ones' complement sum is the same
// in either byte order (RFC 1071 §2(B)), so nothing is swapped until, never, the end: `finish` gives what is
// stored in the packet. Sums of disjoint even-length pieces may be added with `+`; 64 bits hold 16 GiB of
// bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/endian.hpp"
#include "base/ip.hpp"

namespace tern::wire {

namespace detail {
// Bytes beyond what the inline part takes.
[[nodiscard]] std::uint64_t sum_long(const std::byte* p, std::size_t n);

template <class T>
[[nodiscard]] inline std::uint64_t word_at(const void* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
} // namespace detail

// The sum of `n` bytes; an odd last byte is padded with a zero after it.
[[nodiscard]] inline std::uint64_t sum_bytes(const std::byte* p, std::size_t n) {
  if (n > 64) return detail::sum_long(p, n);
  std::uint64_t s = 0;
  for (; n >= 8; n -= 8, p += 8)
    s += detail::word_at<std::uint32_t>(p) + detail::word_at<std::uint32_t>(p + 4);
  if (n >= 4) s += detail::word_at<std::uint32_t>(p), n -= 4, p += 4;
  if (n >= 2) s += detail::word_at<std::uint16_t>(p), n -= 2, p += 2;
  if (n != 0) s += std::to_integer<std::uint64_t>(*p);
  return s;
}
[[nodiscard]] inline std::uint64_t sum_bytes(std::span<const std::byte> b) {
  return sum_bytes(b.data(), b.size());
}

// Down to 16 bits, as they lie in memory. 0 only if everything added was 0.
[[nodiscard]] constexpr std::uint16_t fold(std::uint64_t s) {
  s = (s >> 32) + (s & 0xffffffff);
  s = (s >> 32) + (s & 0xffffffff);
  s = (s >> 16) + (s & 0xffff);
  s = (s >> 16) + (s & 0xffff);
  return static_cast<std::uint16_t>(s);
}
// The checksum field for data that sums to `s` (with the field itself as 0).
[[nodiscard]] constexpr Be16 finish(std::uint64_t s) {
  return Be16::from_raw(static_cast<std::uint16_t>(~fold(s)));
}
// True if data that includes its checksum field sums to what it should: 0xffff, the other zero.
[[nodiscard]] constexpr bool sum_is_valid(std::uint64_t s) {
  return fold(s) == 0xffff;
}

// A message in pieces of any length, odd ones too: the segments of a chain. Start it with a pseudo-header's
// sum.
class PiecewiseSum {
 public:
  constexpr explicit PiecewiseSum(std::uint64_t start = 0) : sum_(start) {}
  void add(std::span<const std::byte> piece) {
    const std::uint64_t s = sum_bytes(piece);
    // After an odd number of bytes every byte of this piece stands in the other half of its 16-bit word.
    sum_ += odd_ ? byteswap(fold(s)) : s;
    odd_ ^= (piece.size() & 1) != 0;
  }
  [[nodiscard]] constexpr std::uint64_t sum() const { return sum_; }

 private:
  std::uint64_t sum_;
  bool odd_ = false;
};

// Pseudo-header sums. `length` is the transport header and its payload. `fold` of one is what a NIC that
// fills in the checksum wants to find in the field.
[[nodiscard]] constexpr std::uint64_t pseudo_sum(Ip4 src, Ip4 dst, std::uint8_t protocol,
                                                 std::uint32_t length) {
  return std::uint64_t{src.be().raw()} + dst.be().raw() + byteswap(std::uint32_t{protocol}) +
         byteswap(length);
}
[[nodiscard]] inline std::uint64_t pseudo_sum_v6(const Ip& src, const Ip& dst, std::uint8_t protocol,
                                                 std::uint32_t length) {
  std::uint64_t s = std::uint64_t{byteswap(std::uint32_t{protocol})} + byteswap(length);
  for (std::size_t i = 0; i < 16; i += 4)
    s += detail::word_at<std::uint32_t>(src.bytes().data() + i) +
         detail::word_at<std::uint32_t>(dst.bytes().data() + i);
  return s;
}
// By the family of `src`; both ends are of one family.
[[nodiscard]] inline std::uint64_t pseudo_sum(const Ip& src, const Ip& dst, std::uint8_t protocol,
                                              std::uint32_t length) {
  return src.is_v4() ? pseudo_sum(src.v4(), dst.v4(), protocol, length)
                     : pseudo_sum_v6(src, dst, protocol, length);
}

// RFC 1624 eqn. 3: HC' = ~(~HC + ~m + m'). The words lie at even offsets of what the checksum covers.
[[nodiscard]] constexpr Be16 updated_checksum(Be16 checksum, Be16 from, Be16 to) {
  const auto inverted = [](Be16 v) { return std::uint64_t{static_cast<std::uint16_t>(~v.raw())}; };
  return finish(inverted(checksum) + inverted(from) + to.raw());
}
[[nodiscard]] constexpr Be16 updated_checksum(Be16 checksum, Be32 from, Be32 to) {
  const std::uint64_t old = static_cast<std::uint16_t>(~checksum.raw());
  return finish(old + static_cast<std::uint32_t>(~from.raw()) + to.raw());
}

inline constexpr std::uint8_t tcp_protocol = 6;
inline constexpr std::size_t tcp_checksum_offset = 16;

// Whole segments in one piece: header and payload. `Addr` is Ip4 or Ip.
template <class Addr>
[[nodiscard]] inline bool tcp_checksum_ok(const Addr& src, const Addr& dst,
                                          std::span<const std::byte> segment) {
  const auto length = static_cast<std::uint32_t>(segment.size());
  return sum_is_valid(pseudo_sum(src, dst, tcp_protocol, length) + sum_bytes(segment));
}
// The checksum field must hold 0, as emit_tcp leaves it.
template <class Addr>
inline void set_tcp_checksum(const Addr& src, const Addr& dst, std::span<std::byte> segment) {
  const auto length = static_cast<std::uint32_t>(segment.size());
  const Be16 c = finish(pseudo_sum(src, dst, tcp_protocol, length) + sum_bytes(segment));
  std::memcpy(segment.data() + tcp_checksum_offset, &c, sizeof c);
}

} // namespace tern::wire
