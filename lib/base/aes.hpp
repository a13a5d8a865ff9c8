// AES-128 (FIPS 197), a block at a time: the keyed function behind cookies, ISNs and timestamp offsets.
#pragma once

#include <array>
#include <cstdint>
#ifdef __AES__
#include <immintrin.h>
#endif

namespace tern {

// 16 bytes as they lie in memory.
struct alignas(16) AesBlock {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  constexpr bool operator==(const AesBlock&) const = default;
  constexpr AesBlock operator^(const AesBlock& o) const { return {low ^ o.low, high ^ o.high}; }
};

// Eleven instructions a block where the processor has them for it, as all since 2013 do; the same results without, slowly.
class Aes128 {
 public:
  explicit Aes128(const AesBlock& key);

  [[nodiscard]] AesBlock encrypt(const AesBlock& b) const {
#ifdef __AES__
    if (in_hardware_) [[likely]] {
      __m128i x = _mm_set_epi64x(static_cast<std::int64_t>(b.high), static_cast<std::int64_t>(b.low));
      x = _mm_xor_si128(x, key(0)); // not loaded: it would wait for the stores of its two halves
      for (unsigned i = 1; i < 10; ++i) x = _mm_aesenc_si128(x, key(i));
      x = _mm_aesenclast_si128(x, key(10));
      return {static_cast<std::uint64_t>(_mm_cvtsi128_si64(x)),
              static_cast<std::uint64_t>(_mm_extract_epi64(x, 1))};
    }
#endif
    return by_table(b);
  }
  [[nodiscard]] AesBlock by_table(const AesBlock& b) const;

 private:
#ifdef __AES__
  [[nodiscard]] __m128i key(unsigned round) const {
    return _mm_load_si128(reinterpret_cast<const __m128i*>(&keys_[round]));
  }
#endif
  std::array<AesBlock, 11> keys_; // one before the first round, then one a round
  bool in_hardware_;
};

} // namespace tern
