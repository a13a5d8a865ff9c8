// The Toeplitz hash (Microsoft RSS): what a NIC computes to choose a queue, and we to know which it chose.
//
//   input   src address | dst address | src port | dst port, as they lie in the packet, bit 0 = first bit on
//   the wire hash    XOR over the set bits i of the input of key[i .. i+31]
//
// It is linear: hash(a ^ b) == hash(a) ^ hash(b), so a port's contribution can be tabled once and the hash of
// a tuple is the XOR of its fields' contributions. A 32-bit word of input is one carry-less multiplication by
// 63 bits of the key.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/ip.hpp"

namespace tern::wire {

using ToeplitzKey = std::array<std::uint8_t, 40>;

// Both directions of a connection hash the same: a key of 16-bit period (Woo and Park).
inline constexpr ToeplitzKey symmetric_toeplitz_key = [] {
  ToeplitzKey k{};
  for (std::size_t i = 0; i < k.size(); ++i) k[i] = i % 2 == 0 ? 0x6d : 0x5a;
  return k;
}();

// The definition above, bit by bit: for tables at start-up and as the tests' reference. Input of at most 36
// bytes.
[[nodiscard]] constexpr std::uint32_t toeplitz_by_bits(const ToeplitzKey& key,
                                                       std::span<const std::uint8_t> input) {
  std::uint32_t hash = 0;
  std::uint32_t window =
      std::uint32_t{key[0]} << 24 | std::uint32_t{key[1]} << 16 | std::uint32_t{key[2]} << 8 | key[3];
  for (std::size_t i = 0; i < input.size() * 8; ++i) {
    if ((input[i / 8] >> (7 - i % 8)) & 1) hash ^= window;
    const std::size_t next = i + 32;
    const unsigned bit = next / 8 < key.size() ? (key[next / 8] >> (7 - next % 8)) & 1U : 0U;
    window = window << 1 | bit;
  }
  return hash;
}

// One key, prepared: nine words, a cache line and a bit.
class Toeplitz {
 public:
  explicit Toeplitz(const ToeplitzKey& key = symmetric_toeplitz_key);
  // The key as a NIC reports it: only the first 40 bytes matter to a TCP tuple; a shorter one is as if zeros
  // followed.
  [[nodiscard]] static ToeplitzKey key_from(std::span<const std::uint8_t> raw);
  [[nodiscard]] const ToeplitzKey& key() const { return key_; }

  // Addresses alone, and the whole 4-tuple. `src` is the sender of the packet hashed.
  [[nodiscard]] std::uint32_t hash(Ip4 src, Ip4 dst) const;
  [[nodiscard]] std::uint32_t hash(Ip4 src, Ip4 dst, Port src_port, Port dst_port) const;
  // By the family of `src`; both ends are of one family.
  [[nodiscard]] std::uint32_t hash(const Ip& src, const Ip& dst) const;
  [[nodiscard]] std::uint32_t hash(const Ip& src, const Ip& dst, Port src_port, Port dst_port) const;

  // What a port adds (XOR) to the hash of its addresses, of either family.
  [[nodiscard]] std::uint32_t src_port_contribution(Port port, bool v4) const;
  [[nodiscard]] std::uint32_t dst_port_contribution(Port port, bool v4) const;

 private:
  ToeplitzKey key_;
  // reversed_[i]: 64 bits of key from bit 32·i on, bit-reversed. See toeplitz.cpp.
  std::array<std::uint64_t, 9> reversed_{};
};

} // namespace tern::wire
