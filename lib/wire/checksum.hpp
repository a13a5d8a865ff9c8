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

#include "base/asan.hpp"
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

// Adds a word, and what it carries out of 64 bits: 2^64 counts as 1.
[[nodiscard]] inline std::uint64_t add_around(std::uint64_t sum, std::uint64_t word) {
  std::uint64_t out;
  const bool carry = __builtin_add_overflow(sum, word, &out);
  return out + carry;
}
// The same for 32 bytes. An add-with-carry for each word, which compilers do not make of the above. The last
// carry finds room: a word that carries leaves less than 2^64 - 1 behind it.
[[nodiscard]] inline std::uint64_t add_32_bytes(std::uint64_t sum, const std::byte* p) {
#if defined(__x86_64__) && !defined(TERN_ASAN) // which does not see what an asm loads
  using Block = const std::byte[32];
  __asm__(
      "addq (%[p]), %[sum]\n\tadcq 8(%[p]), %[sum]\n\tadcq 16(%[p]), %[sum]\n\tadcq 24(%[p]), %[sum]\n\t"
      "adcq $0, %[sum]"
      : [sum] "+r"(sum)
      : [p] "r"(p), "m"(*reinterpret_cast<Block*>(p))
      : "cc");
  return sum;
#else
  for (std::size_t at = 0; at < 32; at += 8) sum = add_around(sum, word_at<std::uint64_t>(p + at));
  return sum;
#endif
}
} // namespace detail

// The sum of `n` bytes; an odd last byte is padded with a zero after it. Short messages, as most segments of
// short connections are, are taken in words of 64 bits, and nothing is left for the compiler to vectorise
// badly.
[[nodiscard]] inline std::uint64_t sum_bytes(const std::byte* p, std::size_t n) {
  if (n > 256) return detail::sum_long(p, n);
  std::uint64_t s = 0;
  for (; n >= 32; n -= 32, p += 32) s = detail::add_32_bytes(s, p);
  if ((n & 24) != 0) {
    if ((n & 16) != 0) {
      s = detail::add_around(s, detail::word_at<std::uint64_t>(p));
      s = detail::add_around(s, detail::word_at<std::uint64_t>(p + 8));
      p += 16;
    }
    if ((n & 8) != 0) s = detail::add_around(s, detail::word_at<std::uint64_t>(p)), p += 8;
  }
  if ((n & 7) != 0) {
    std::uint64_t rest = 0;
    if ((n & 4) != 0) rest = detail::word_at<std::uint32_t>(p), p += 4;
    if ((n & 2) != 0) rest += detail::word_at<std::uint16_t>(p), p += 2;
    if ((n & 1) != 0) rest += std::to_integer<std::uint64_t>(*p);
    s = detail::add_around(s, rest);
  }
  return (s >> 32) + (s & 0xffffffff); // 2^32 counts as 1: back to a sum of 32-bit words, with room for more
}
[[nodiscard]] inline std::uint64_t sum_bytes(std::span<const std::byte> b) {
  return sum_bytes(b.data(), b.size());
}

// Down to 16 bits, as they lie in memory. 0 only if everything added was 0.
[[nodiscard]] constexpr std::uint16_t fold(std::uint64_t s) {
  // The upper half of (halves added to their exchange) is their sum with the carry brought round.
  const auto words = static_cast<std::uint32_t>((s + (s >> 32 | s << 32)) >> 32);
  return static_cast<std::uint16_t>((words + (words >> 16 | words << 16)) >> 16);
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

// The front of a message that was summed while it was written, from registers: reading back in words of 64
// bits what was just stored in words of 32 would wait for the stores. An even number of bytes.
struct SummedFront {
  std::uint64_t sum = 0;
  std::uint32_t bytes = 0;
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
