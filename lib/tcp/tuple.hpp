// A connection's addresses and ports as the words that keyed hashes eat.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/aes.hpp"

namespace tern::tcp {

// The bytes of a flow key as they lie: remote address, local address, remote port, local port, all in network
// order. The hashes are the same on every machine that shares a key, because the order of bytes is the
// wire's.
template <std::size_t AddressWords>
struct TupleWords {
  std::array<std::uint64_t, AddressWords> addresses;
  std::uint32_t ports;

  static constexpr std::size_t bytes = AddressWords * 8 + 4;
  // Most text that a peer of this family takes in a segment who sent no MSS option (RFC 9293 §3.7.1).
  static constexpr std::uint16_t assumed_mss = AddressWords == 1 ? 536 : 1220;
  [[nodiscard]] static TupleWords from(const void* key) {
    TupleWords t;
    std::memcpy(t.addresses.data(), key, AddressWords * 8);
    std::memcpy(&t.ports, static_cast<const std::byte*>(key) + AddressWords * 8, 4);
    return t;
  }
};
using Tuple4 = TupleWords<1>; // of 12 bytes
using Tuple6 = TupleWords<4>; // of 36 bytes

// The two blocks of a pair of IPv6 addresses, chained (CBC) behind `before`.
[[nodiscard]] inline AesBlock chained(const Aes128& aes, const AesBlock& before, const Tuple6& t) {
  const AesBlock far = aes.encrypt(before ^ AesBlock{t.addresses[0], t.addresses[1]});
  return aes.encrypt(far ^ AesBlock{t.addresses[2], t.addresses[3]});
}

} // namespace tern::tcp
