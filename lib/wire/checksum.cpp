#include "wire/checksum.hpp"

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace tern::wire::detail {
namespace {

#ifdef __AVX2__
// 32-bit words, zero-extended into 64-bit lanes: no carry to keep. Four accumulators hide the adds' latency.
std::uint64_t sum_blocks(const std::byte*& p, std::size_t& n) {
  const auto load = [&p](std::size_t at) {
    return _mm256_cvtepu32_epi64(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + at)));
  };
  __m256i a = _mm256_setzero_si256();
  __m256i b = a;
  __m256i c = a;
  __m256i d = a;
  for (; n >= 64; n -= 64, p += 64) {
    a = _mm256_add_epi64(a, load(0));
    b = _mm256_add_epi64(b, load(16));
    c = _mm256_add_epi64(c, load(32));
    d = _mm256_add_epi64(d, load(48));
  }
  const __m256i s = _mm256_add_epi64(_mm256_add_epi64(a, b), _mm256_add_epi64(c, d));
  const __m128i h = _mm_add_epi64(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
  return static_cast<std::uint64_t>(_mm_extract_epi64(h, 0)) +
         static_cast<std::uint64_t>(_mm_extract_epi64(h, 1));
}
#else
std::uint64_t sum_blocks(const std::byte*& p, std::size_t& n) {
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  for (; n >= 16; n -= 16, p += 16) {
    a += word_at<std::uint32_t>(p) + word_at<std::uint32_t>(p + 8);
    b += word_at<std::uint32_t>(p + 4) + word_at<std::uint32_t>(p + 12);
  }
  return a + b;
}
#endif

} // namespace

std::uint64_t sum_long(const std::byte* p, std::size_t n) {
  const std::uint64_t s = sum_blocks(p, n);
  return s + sum_bytes(p, n);
}

} // namespace tern::wire::detail
