// SipHash (Aumasson, Bernstein): a keyed hash of any bytes, and what keys are derived by.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace tern {

struct SipKey {
  std::uint64_t k0 = 0;
  std::uint64_t k1 = 0;
  constexpr bool operator==(const SipKey&) const = default;
};

// SipHash-C-D fed word by word; `finish` closes it with the message's length in bytes and its last 0–7 bytes.
template <int C, int D>
class Sip {
 public:
  constexpr explicit Sip(SipKey k)
      : v0_(k.k0 ^ 0x736f6d6570736575),
        v1_(k.k1 ^ 0x646f72616e646f6d),
        v2_(k.k0 ^ 0x6c7967656e657261),
        v3_(k.k1 ^ 0x7465646279746573) {}

  constexpr void word(std::uint64_t m) {
    v3_ ^= m;
    for (int i = 0; i < C; ++i) round();
    v0_ ^= m;
  }
  [[nodiscard]] constexpr std::uint64_t finish(std::uint64_t tail, std::size_t length) {
    word(tail | static_cast<std::uint64_t>(length) << 56);
    v2_ ^= 0xff;
    for (int i = 0; i < D; ++i) round();
    return v0_ ^ v1_ ^ v2_ ^ v3_;
  }

 private:
  constexpr void round() {
    v0_ += v1_, v1_ = std::rotl(v1_, 13), v1_ ^= v0_, v0_ = std::rotl(v0_, 32);
    v2_ += v3_, v3_ = std::rotl(v3_, 16), v3_ ^= v2_;
    v0_ += v3_, v3_ = std::rotl(v3_, 21), v3_ ^= v0_;
    v2_ += v1_, v1_ = std::rotl(v1_, 17), v1_ ^= v2_, v2_ = std::rotl(v2_, 32);
  }
  std::uint64_t v0_, v1_, v2_, v3_;
};

using Sip24 = Sip<2, 4>;
using Sip13 = Sip<1, 3>;

template <class S>
[[nodiscard]] inline std::uint64_t siphash(SipKey key, std::span<const std::byte> data) {
  S s{key};
  std::size_t i = 0;
  for (; i + 8 <= data.size(); i += 8) {
    std::uint64_t m;
    std::memcpy(&m, data.data() + i, 8);
    s.word(m);
  }
  std::uint64_t tail = 0;
  std::memcpy(&tail, data.data() + i, data.size() - i);
  return s.finish(tail, data.size());
}
[[nodiscard]] inline std::uint64_t siphash24(SipKey key, std::span<const std::byte> data) {
  return siphash<Sip24>(key, data);
}
[[nodiscard]] inline std::uint64_t siphash13(SipKey key, std::span<const std::byte> data) {
  return siphash<Sip13>(key, data);
}

} // namespace tern
