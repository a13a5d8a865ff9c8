#include "io/rss_hash.hpp"

#include "base/check.hpp"
#include "base/endian.hpp"

namespace tern::io {

RssHash::RssHash(std::span<const std::uint8_t> key) : table_(std::make_unique<Table>()) {
  TERN_CHECK(key.size() >= most + 4);
  const auto key_bits = [&](std::size_t bit) { // 32 bits of key from `bit` on
    std::uint64_t v = 0;
    for (std::size_t i = 0; i < 5; ++i) v = v << 8 | (bit / 8 + i < key.size() ? key[bit / 8 + i] : 0);
    return static_cast<std::uint32_t>(v >> (8 - bit % 8));
  };
  for (std::size_t at = 0; at < most; ++at)
    for (std::size_t value = 0; value < 256; ++value)
      for (std::size_t bit = 0; bit < 8; ++bit)
        if ((value >> (7 - bit) & 1) != 0) (*table_)[at][value] ^= key_bits(at * 8 + bit);
}

bool RssHash::of_frame(const rte_mbuf* m, std::uint32_t& hash) const {
  const auto* p = rte_pktmbuf_mtod(m, const std::byte*);
  const std::size_t n = m->data_len;
  std::size_t at = 12;
  if (n < at + 2) return false;
  std::uint16_t type = load_be<std::uint16_t>(p + at);
  for (int tags = 0; tags < 2 && (type == 0x8100 || type == 0x88a8) && n >= at + 6; ++tags)
    type = load_be<std::uint16_t>(p + (at += 4));
  at += 2;
  if (type == 0x0800 && n >= at + 20) {
    const std::size_t ihl = 4 * (std::to_integer<std::size_t>(p[at]) & 15);
    const bool fragment = (load_be<std::uint16_t>(p + at + 6) & 0x3fff) != 0;
    hash = of_bytes(p + at + 12, 8);
    if (p[at + 9] == std::byte{6} && !fragment && ihl >= 20 && n >= at + ihl + 4)
      hash ^= of_bytes(p + at + ihl, 4, 8);
    return true;
  }
  if (type == 0x86dd && n >= at + 40) {
    hash = of_bytes(p + at + 8, 32);
    if (p[at + 6] == std::byte{6} && n >= at + 44) hash ^= of_bytes(p + at + 40, 4, 32);
    return true;
  }
  return false;
}

} // namespace tern::io
