// TCP on the wire: the parsed form that every other layer speaks.
#pragma once

#include <array>
#include <cstdint>

#include "base/ip.hpp"
#include "base/seq.hpp"

namespace tern::wire {

// Bits of the flags byte (RFC 9293 §3.1), as they lie on the wire.
namespace tcp_flag {
inline constexpr std::uint8_t fin = 0x01, syn = 0x02, rst = 0x04, psh = 0x08, ack = 0x10, urg = 0x20,
                              ece = 0x40, cwr = 0x80;
}

struct SackBlock {
  Seq left;  // first byte held
  Seq right; // first byte after
  constexpr bool operator==(const SackBlock&) const = default;
};

// What was found among the options. A field means something only if its bit is set; unknown options were
// skipped by their length, a malformed one ended the parse with a verdict.
struct TcpOptions {
  enum Has : std::uint8_t {
    mss_bit = 1,
    wscale_bit = 2,
    sack_permitted_bit = 4,
    timestamps_bit = 8,
    user_timeout_bit = 16,
    // What was passed over: nothing is emitted for these, and they make no two headers differ.
    unknown_bit = 32,  // a kind that we do not know
    misfit_bit = 64,   // a known one of a length that is not its own
    repeated_bit = 128 // one that had been there before
  };
  static constexpr std::uint8_t odd_bits = unknown_bit | misfit_bit | repeated_bit;

  std::uint8_t has = 0;
  std::uint8_t wscale = 0; // as sent; the engine clamps it to 14 (RFC 7323 §2.3)
  std::uint16_t mss = 0;
  std::uint16_t user_timeout = 0; // RFC 5482: granularity bit and 15 bits, as sent
  std::uint8_t sack_count = 0;    // 0..4
  std::uint32_t ts_val = 0;
  std::uint32_t ts_ecr = 0;
  std::array<SackBlock, 4> sack; // the first sack_count are set

  [[nodiscard]] constexpr bool has_timestamps() const { return (has & timestamps_bit) != 0; }

  [[nodiscard]] constexpr bool operator==(const TcpOptions& o) const;
};

// A TCP header. `header_length` is 4 × data offset: 20..60.
struct Tcp {
  Port src;
  Port dst;
  Seq seq;
  Seq ack;
  std::uint8_t flags = 0;
  std::uint8_t header_length = 20;
  std::uint16_t window = 0; // as sent, unscaled
  std::uint16_t urgent = 0;
  std::uint16_t checksum = 0; // as it lies in the header, host order
  TcpOptions options;

  [[nodiscard]] constexpr bool has(std::uint8_t f) const { return (flags & f) != 0; }
  constexpr bool operator==(const Tcp&) const = default;
};

constexpr bool TcpOptions::operator==(const TcpOptions& o) const {
  if (((has ^ o.has) & ~odd_bits) != 0 || sack_count != o.sack_count) return false;
  if ((has & mss_bit) && mss != o.mss) return false;
  if ((has & wscale_bit) && wscale != o.wscale) return false;
  if ((has & user_timeout_bit) && user_timeout != o.user_timeout) return false;
  if ((has & timestamps_bit) && (ts_val != o.ts_val || ts_ecr != o.ts_ecr)) return false;
  for (std::size_t i = 0; i < sack_count; ++i)
    if (sack[i] != o.sack[i]) return false;
  return true;
}

} // namespace tern::wire
