// TCP parse and emit, inline for the layouts that nearly every segment has: no options, and NOP NOP TIMESTAMP; and for what
// nearly every SYN has, with a timestamp and without.
#pragma once

#include <cstddef>
#include <span>

#include "base/endian.hpp"
#include "wire/checksum.hpp"
#include "wire/tcp.hpp"
#include "wire/verdict.hpp"

namespace tern::wire {

inline constexpr std::size_t tcp_min_header = 20;
inline constexpr std::size_t tcp_max_header = 60;
inline constexpr std::uint32_t stamped_header = 32; // with a timestamp alone

namespace detail {
// The option walk for any layout. `size` is the length of the option area, 1..40.
[[nodiscard]] Verdict parse_tcp_options(const std::byte* at, std::size_t size, TcpOptions& out);
// Any layout; returns the bytes written, a multiple of 4, at most 40.
std::size_t emit_tcp_options(const TcpOptions& options, std::byte* to);
[[nodiscard]] std::size_t tcp_options_length(const TcpOptions& options);

inline constexpr std::uint32_t nop_nop_timestamp = 0x0101080a;
// What Linux, and we, put on a SYN: MSS; SACK-permitted and timestamp, or without one; NOP and window scale.
inline constexpr std::uint32_t mss_option = 0x02040000, sack_timestamp = 0x0402080a, nop_wscale = 0x01030300;
inline constexpr std::uint32_t nop_nop_sack = 0x01010402;
inline constexpr std::uint8_t bare_syn_bits =
    TcpOptions::mss_bit | TcpOptions::sack_permitted_bit | TcpOptions::wscale_bit;
inline constexpr std::uint8_t syn_bits = bare_syn_bits | TcpOptions::timestamps_bit;
// Whether that, and nothing else, stands behind these 20 bytes of a header of 40.
[[nodiscard, gnu::always_inline]] inline bool full_syn_options(const std::byte* p) {
  return ((load_be<std::uint32_t>(p + 20) ^ mss_option) >> 16 |
          (load_be<std::uint32_t>(p + 36) ^ nop_wscale) >> 8 |
          (load_be<std::uint32_t>(p + 24) ^ sack_timestamp)) == 0;
}
// Without a timestamp the header has 32, and Windows has the last two words the other way round. Where the window's scale
// is; 0: something else stands there.
[[nodiscard, gnu::always_inline]] inline std::size_t bare_syn_scale(const std::byte* p) {
  const auto word = [&](std::size_t at) { return load_be<std::uint32_t>(p + at); };
  if ((word(20) ^ mss_option) >> 16 != 0) return 0;
  if (word(24) == nop_nop_sack && (word(28) ^ nop_wscale) >> 8 == 0) return 31;
  if (word(28) == nop_nop_sack && (word(24) ^ nop_wscale) >> 8 == 0) return 27;
  return 0;
}
} // namespace detail

// `segment` is the TCP header and what follows it, as far as it lies in one piece; the whole header must.
// Reserved bits are ignored (RFC 9293 §3.1). `out` is whole only if the verdict is ok; its SACK blocks past
// sack_count keep what they had.
[[nodiscard]] inline Verdict parse_tcp(std::span<const std::byte> segment, Tcp& out) {
  if (segment.size() < tcp_min_header) [[unlikely]]
    return Verdict::truncated;
  const std::byte* const p = segment.data();
  const auto length = static_cast<std::size_t>(std::to_integer<unsigned>(p[12]) >> 4) * 4;
  if (length < tcp_min_header) [[unlikely]]
    return Verdict::bad_header_length;
  if (length > segment.size()) [[unlikely]]
    return Verdict::truncated;

  out.src = Port{load_be<std::uint16_t>(p)};
  out.dst = Port{load_be<std::uint16_t>(p + 2)};
  out.seq = Seq{load_be<std::uint32_t>(p + 4)};
  out.ack = Seq{load_be<std::uint32_t>(p + 8)};
  out.flags = std::to_integer<std::uint8_t>(p[13]);
  out.header_length = static_cast<std::uint8_t>(length);
  out.window = load_be<std::uint16_t>(p + 14);
  out.checksum = load_be<std::uint16_t>(p + 16);
  out.urgent = load_be<std::uint16_t>(p + 18);

  TcpOptions& o = out.options;
  o.has = 0;
  o.sack_count = 0;
  if (length == 32 && load_be<std::uint32_t>(p + 20) == detail::nop_nop_timestamp) [[likely]] {
    o.has = TcpOptions::timestamps_bit;
    o.ts_val = load_be<std::uint32_t>(p + 24);
    o.ts_ecr = load_be<std::uint32_t>(p + 28);
    return Verdict::ok;
  }
  if (length == tcp_min_header) return Verdict::ok;
  if (length == 40 && detail::full_syn_options(p)) [[likely]] {
    o.has = detail::syn_bits;
    o.mss = load_be<std::uint16_t>(p + 22);
    o.wscale = std::to_integer<std::uint8_t>(p[39]);
    o.ts_val = load_be<std::uint32_t>(p + 28);
    o.ts_ecr = load_be<std::uint32_t>(p + 32);
    return Verdict::ok;
  }
  return detail::parse_tcp_options(p + tcp_min_header, length - tcp_min_header, o);
}

// How many bytes emit_tcp writes: 20..60. `header_length` of the argument is not looked at.
[[nodiscard]] inline std::size_t emitted_length(const Tcp& t) {
  if (t.options.sack_count == 0) [[likely]] {
    if (t.options.has == TcpOptions::timestamps_bit) return 32;
    if (t.options.has == 0) return tcp_min_header;
    if (t.options.has == detail::syn_bits) return 40;
  }
  return tcp_min_header + detail::tcp_options_length(t.options);
}

// Writes the header at `to` (room for emitted_length(t) bytes) and returns its length. Options lie as Linux
// lays them: MSS; SACK-permitted and timestamps in one word-aligned group; window scale; user timeout; SACK,
// which takes what is left of the 40 bytes, so its last blocks may be left out. The checksum field is 0: see
// set_tcp_checksum.
// `front` becomes the sum of what was written.
inline std::size_t emit_tcp(const Tcp& t, std::byte* to, SummedFront& front) {
  std::uint64_t sum = 0;
  const auto put = [&](std::size_t at, std::uint32_t word) {
    const std::uint32_t raw = byteswap(word);
    std::memcpy(to + at, &raw, sizeof raw);
    sum += raw;
  };
  put(0, std::uint32_t{t.src.raw()} << 16 | t.dst.raw());
  put(4, t.seq.raw());
  put(8, t.ack.raw());
  std::size_t length = tcp_min_header;
  if (t.options.has == TcpOptions::timestamps_bit && t.options.sack_count == 0) [[likely]] {
    put(20, detail::nop_nop_timestamp);
    put(24, t.options.ts_val);
    put(28, t.options.ts_ecr);
    length = 32;
  } else if (t.options.has == detail::syn_bits && t.options.sack_count == 0) {
    put(20, detail::mss_option | t.options.mss);
    put(24, detail::sack_timestamp);
    put(28, t.options.ts_val);
    put(32, t.options.ts_ecr);
    put(36, detail::nop_wscale | t.options.wscale);
    length = 40;
  } else if ((t.options.has | t.options.sack_count) != 0) {
    length += detail::emit_tcp_options(t.options, to + tcp_min_header);
    sum += sum_bytes(to + tcp_min_header, length - tcp_min_header);
  }
  const auto offset_and_flags = static_cast<std::uint32_t>(length / 4 << 12 | t.flags);
  put(12, offset_and_flags << 16 | t.window);
  put(16, t.urgent);
  front = {sum, static_cast<std::uint32_t>(length)};
  return length;
}
// A segment that has no options, or a timestamp alone: what changes from one to the next, in registers. No Tcp is made
// of it, whose fields would be stored only to be loaded again.
struct Stamp {
  std::uint32_t val = 0;
  std::uint32_t ecr = 0;
};
struct LeanHeader {
  Seq seq;
  Seq ack;
  std::uint8_t flags = 0;
  bool stamped = false;
  std::uint16_t window = 0;
  Stamp stamp;

  [[nodiscard]] constexpr std::uint32_t length() const {
    return stamped ? stamped_header : std::uint32_t{tcp_min_header};
  }
};
// What emit_tcp writes of it, the urgent pointer 0. `ports` as they lie.
[[gnu::always_inline]] inline SummedFront emit(const LeanHeader& h, std::uint32_t ports, std::byte* to) {
  std::uint64_t sum = 0;
  const auto put = [&](std::size_t at, std::uint32_t raw) {
    std::memcpy(to + at, &raw, sizeof raw);
    sum += raw;
  };
  const std::uint32_t length = h.length();
  put(0, ports);
  put(4, byteswap(h.seq.raw()));
  put(8, byteswap(h.ack.raw()));
  put(12, length / 4 << 4 | std::uint32_t{h.flags} << 8 | std::uint32_t{byteswap(h.window)} << 16);
  put(16, 0);
  if (h.stamped) {
    put(20, byteswap(detail::nop_nop_timestamp));
    put(24, byteswap(h.stamp.val));
    put(28, byteswap(h.stamp.ecr));
  }
  return {sum, length};
}

// And back: false if the segment is of another layout than NOP NOP TIMESTAMP or none.
[[nodiscard, gnu::always_inline]] inline bool read(std::span<const std::byte> segment, LeanHeader& out) {
  const std::byte* const p = segment.data();
  if (segment.size() < tcp_min_header) [[unlikely]]
    return false;
  const unsigned words = std::to_integer<unsigned>(p[12]) >> 4;
  if (words == stamped_header / 4 && segment.size() >= stamped_header &&
      load_be<std::uint32_t>(p + 20) == detail::nop_nop_timestamp) [[likely]] {
    out.stamped = true;
    out.stamp = {load_be<std::uint32_t>(p + 24), load_be<std::uint32_t>(p + 28)};
  } else if (words == tcp_min_header / 4) {
    out.stamped = false;
  } else {
    return false;
  }
  out.seq = Seq{load_be<std::uint32_t>(p + 4)};
  out.ack = Seq{load_be<std::uint32_t>(p + 8)};
  out.flags = std::to_integer<std::uint8_t>(p[13]);
  out.window = load_be<std::uint16_t>(p + 14);
  return true;
}

// What a connection asks of a segment: all but ports, checksum and urgent pointer, which keep what they had. In
// line for the layouts above.
[[nodiscard, gnu::always_inline]] inline Verdict parse_lean(std::span<const std::byte> segment, Tcp& out) {
  LeanHeader h;
  if (!read(segment, h)) return parse_tcp(segment, out);
  out.seq = h.seq;
  out.ack = h.ack;
  out.flags = h.flags;
  out.header_length = static_cast<std::uint8_t>(h.length());
  out.window = h.window;
  TcpOptions& o = out.options;
  o.has = 0;
  if (h.stamped) o.has = TcpOptions::timestamps_bit;
  o.sack_count = 0;
  o.ts_val = h.stamp.val;
  o.ts_ecr = h.stamp.ecr;
  return Verdict::ok;
}

// The same of a SYN, or its answer, that offers all that Linux, and we, do, with a timestamp or without.
struct FullSyn {
  Seq seq;
  Seq ack;
  std::uint8_t flags = 0;
  std::uint8_t wscale = 0;
  bool stamped = false;
  std::uint16_t window = 0;
  std::uint16_t mss = 0;
  Stamp stamp;

  [[nodiscard]] static constexpr std::uint32_t length(bool stamped) { return stamped ? 40 : 32; }
  [[nodiscard]] constexpr std::uint32_t length() const { return length(stamped); }
};
[[nodiscard]] inline bool is_full_syn(const Tcp& t) {
  const std::uint32_t has = t.options.has & ~std::uint32_t{TcpOptions::timestamps_bit};
  return has == detail::bare_syn_bits && t.options.sack_count == 0 && t.urgent == 0;
}
[[nodiscard]] inline FullSyn full_syn(const Tcp& t) { // of one that is
  const TcpOptions& o = t.options;
  return {t.seq, t.ack, t.flags, o.wscale, o.has_timestamps(), t.window, o.mss, {o.ts_val, o.ts_ecr}};
}
[[gnu::always_inline]] inline SummedFront emit(const FullSyn& h, std::uint32_t ports, std::byte* to) {
  std::uint64_t sum = 0;
  const auto put = [&](std::size_t at, std::uint32_t raw) {
    std::memcpy(to + at, &raw, sizeof raw);
    sum += raw;
  };
  put(0, ports);
  put(4, byteswap(h.seq.raw()));
  put(8, byteswap(h.ack.raw()));
  put(12, h.length() / 4 << 4 | std::uint32_t{h.flags} << 8 | std::uint32_t{byteswap(h.window)} << 16);
  put(16, 0);
  put(20, byteswap(detail::mss_option | h.mss));
  if (h.stamped) {
    put(24, byteswap(detail::sack_timestamp));
    put(28, byteswap(h.stamp.val));
    put(32, byteswap(h.stamp.ecr));
    put(36, byteswap(detail::nop_wscale | h.wscale));
  } else {
    put(24, byteswap(detail::nop_nop_sack));
    put(28, byteswap(detail::nop_wscale | h.wscale));
  }
  return {sum, h.length()};
}

// And back: false if the segment is of another layout.
[[nodiscard, gnu::always_inline]] inline bool read(std::span<const std::byte> segment, FullSyn& out) {
  const std::byte* const p = segment.data();
  if (segment.size() < FullSyn::length(false)) [[unlikely]]
    return false;
  const unsigned bytes = (std::to_integer<unsigned>(p[12]) >> 4) * 4;
  std::size_t scale_at = 0;
  if (bytes == FullSyn::length(true) && segment.size() >= bytes && detail::full_syn_options(p)) [[likely]] {
    out.stamped = true;
    out.stamp = {load_be<std::uint32_t>(p + 28), load_be<std::uint32_t>(p + 32)};
    scale_at = 39;
  } else if (bytes == FullSyn::length(false) && (scale_at = detail::bare_syn_scale(p)) != 0) {
    out.stamped = false;
  } else {
    return false;
  }
  out.seq = Seq{load_be<std::uint32_t>(p + 4)};
  out.ack = Seq{load_be<std::uint32_t>(p + 8)};
  out.flags = std::to_integer<std::uint8_t>(p[13]);
  out.wscale = std::to_integer<std::uint8_t>(p[scale_at]);
  out.window = load_be<std::uint16_t>(p + 14);
  out.mss = load_be<std::uint16_t>(p + 22);
  return true;
}

inline std::size_t emit_tcp(const Tcp& t, std::byte* to) {
  SummedFront unused;
  return emit_tcp(t, to, unused);
}

} // namespace tern::wire
