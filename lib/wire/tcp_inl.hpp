// TCP parse and emit, inline for the two layouts that nearly every segment has: no options, and NOP NOP
// TIMESTAMP.
#pragma once

#include <cstddef>
#include <span>

#include "base/endian.hpp"
#include "wire/tcp.hpp"
#include "wire/verdict.hpp"

namespace tern::wire {

inline constexpr std::size_t tcp_min_header = 20;
inline constexpr std::size_t tcp_max_header = 60;

namespace detail {
// The option walk for any layout. `size` is the length of the option area, 1..40.
[[nodiscard]] Verdict parse_tcp_options(const std::byte* at, std::size_t size, TcpOptions& out);
// Any layout; returns the bytes written, a multiple of 4, at most 40.
std::size_t emit_tcp_options(const TcpOptions& options, std::byte* to);
[[nodiscard]] std::size_t tcp_options_length(const TcpOptions& options);

inline constexpr std::uint32_t nop_nop_timestamp = 0x0101080a;
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
  return detail::parse_tcp_options(p + tcp_min_header, length - tcp_min_header, o);
}

// How many bytes emit_tcp writes: 20..60. `header_length` of the argument is not looked at.
[[nodiscard]] inline std::size_t emitted_length(const Tcp& t) {
  if (t.options.sack_count == 0) [[likely]] {
    if (t.options.has == TcpOptions::timestamps_bit) return 32;
    if (t.options.has == 0) return tcp_min_header;
  }
  return tcp_min_header + detail::tcp_options_length(t.options);
}

// Writes the header at `to` (room for emitted_length(t) bytes) and returns its length. Options lie as Linux
// lays them: MSS; SACK-permitted and timestamps in one word-aligned group; window scale; user timeout; SACK,
// which takes what is left of the 40 bytes, so its last blocks may be left out. The checksum field is 0: see
// set_tcp_checksum.
inline std::size_t emit_tcp(const Tcp& t, std::byte* to) {
  // Whole words, so that the checksum's loads are served from the store buffer.
  store_be<std::uint32_t>(to, std::uint32_t{t.src.raw()} << 16 | t.dst.raw());
  store_be<std::uint32_t>(to + 4, t.seq.raw());
  store_be<std::uint32_t>(to + 8, t.ack.raw());
  std::size_t length = tcp_min_header;
  if (t.options.has == TcpOptions::timestamps_bit && t.options.sack_count == 0) [[likely]] {
    store_be<std::uint32_t>(to + 20, detail::nop_nop_timestamp);
    store_be<std::uint32_t>(to + 24, t.options.ts_val);
    store_be<std::uint32_t>(to + 28, t.options.ts_ecr);
    length = 32;
  } else if ((t.options.has | t.options.sack_count) != 0) {
    length += detail::emit_tcp_options(t.options, to + tcp_min_header);
  }
  const auto offset_and_flags = static_cast<std::uint32_t>(length / 4 << 12 | t.flags);
  store_be<std::uint32_t>(to + 12, offset_and_flags << 16 | t.window);
  store_be<std::uint32_t>(to + 16, t.urgent);
  return length;
}

} // namespace tern::wire
