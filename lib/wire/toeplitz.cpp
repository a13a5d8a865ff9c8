#include "wire/toeplitz.hpp"

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "base/endian.hpp"

// PCLMULQDQ is in every processor with AVX2, though the name x86-64-v3 does not promise it.
#define TERN_CLMUL __attribute__((target("pclmul,sse4.1")))

namespace tern::wire {
namespace {

// With x a 32-bit word of input (first bit on top) and K the 64 bits of key over it (first bit on top), its
// share of the hash is bits 32..63 of clmul(reverse(x), K). Reversed as a whole, that is bits 31..62 of
// clmul(x, reverse(K)): the key is reversed once, the input never, and the XOR of all words' products once,
// at the end.
TERN_CLMUL inline __m128i share(std::uint32_t x, std::uint64_t reversed_key) {
  return _mm_clmulepi64_si128(_mm_cvtsi32_si128(static_cast<int>(x)),
                              _mm_cvtsi64_si128(static_cast<long long>(reversed_key)), 0);
}

constexpr std::uint32_t reverse32(std::uint32_t v) {
  v = (v >> 1 & 0x55555555) | (v & 0x55555555) << 1;
  v = (v >> 2 & 0x33333333) | (v & 0x33333333) << 2;
  v = (v >> 4 & 0x0f0f0f0f) | (v & 0x0f0f0f0f) << 4;
  return byteswap(v);
}
constexpr std::uint64_t reverse64(std::uint64_t v) {
  return std::uint64_t{reverse32(static_cast<std::uint32_t>(v))} << 32 |
         reverse32(static_cast<std::uint32_t>(v >> 32));
}

TERN_CLMUL inline std::uint32_t close(__m128i sum) {
  return reverse32(static_cast<std::uint32_t>(static_cast<std::uint64_t>(_mm_cvtsi128_si64(sum)) >> 31));
}

constexpr std::uint32_t ports_word(Port src, Port dst) {
  return std::uint32_t{src.raw()} << 16 | dst.raw();
}

TERN_CLMUL inline __m128i addresses_v4(const std::uint64_t* k, Ip4 src, Ip4 dst) {
  return _mm_xor_si128(share(src.host(), k[0]), share(dst.host(), k[1]));
}

TERN_CLMUL inline __m128i addresses_v6(const std::uint64_t* k, const Ip& src, const Ip& dst) {
  __m128i a = _mm_setzero_si128();
  __m128i b = a;
  for (std::size_t i = 0; i < 4; ++i) {
    a = _mm_xor_si128(a, share(load_be<std::uint32_t>(src.bytes().data() + 4 * i), k[i]));
    b = _mm_xor_si128(b, share(load_be<std::uint32_t>(dst.bytes().data() + 4 * i), k[4 + i]));
  }
  return _mm_xor_si128(a, b);
}

} // namespace

Toeplitz::Toeplitz(const ToeplitzKey& key) : key_(key) {
  for (std::size_t i = 0; i < reversed_.size(); ++i)
    reversed_[i] = reverse64(load_be<std::uint64_t>(key_.data() + 4 * i));
}

ToeplitzKey Toeplitz::key_from(std::span<const std::uint8_t> raw) {
  ToeplitzKey k{};
  std::copy_n(raw.begin(), std::min(raw.size(), k.size()), k.begin());
  return k;
}

TERN_CLMUL std::uint32_t Toeplitz::hash(Ip4 src, Ip4 dst) const {
  return close(addresses_v4(reversed_.data(), src, dst));
}

TERN_CLMUL std::uint32_t Toeplitz::hash(Ip4 src, Ip4 dst, Port src_port, Port dst_port) const {
  return close(_mm_xor_si128(addresses_v4(reversed_.data(), src, dst),
                             share(ports_word(src_port, dst_port), reversed_[2])));
}

TERN_CLMUL std::uint32_t Toeplitz::hash(const Ip& src, const Ip& dst) const {
  if (src.is_v4()) return hash(src.v4(), dst.v4());
  return close(addresses_v6(reversed_.data(), src, dst));
}

TERN_CLMUL std::uint32_t Toeplitz::hash(const Ip& src, const Ip& dst, Port src_port, Port dst_port) const {
  if (src.is_v4()) return hash(src.v4(), dst.v4(), src_port, dst_port);
  return close(_mm_xor_si128(addresses_v6(reversed_.data(), src, dst),
                             share(ports_word(src_port, dst_port), reversed_[8])));
}

TERN_CLMUL std::uint32_t Toeplitz::src_port_contribution(Port port, bool v4) const {
  return close(share(ports_word(port, Port{}), reversed_[v4 ? 2 : 8]));
}

TERN_CLMUL std::uint32_t Toeplitz::dst_port_contribution(Port port, bool v4) const {
  return close(share(ports_word(Port{}, port), reversed_[v4 ? 2 : 8]));
}

} // namespace tern::wire
