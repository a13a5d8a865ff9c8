// What an RSS NIC computes of a frame: the Toeplitz hash of a TCP segment's 4-tuple, of the address pair for
// other IP and for fragments, nothing for the rest.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace tern::io {

class RssHash {
 public:
  explicit RssHash(std::span<const std::uint8_t> key); // 40 bytes

  // False if the frame has nothing to hash.
  [[nodiscard]] bool of_frame(const rte_mbuf* m, std::uint32_t& hash) const;

 private:
  static constexpr std::size_t most = 36; // two IPv6 addresses and two ports
  [[nodiscard]] std::uint32_t of_bytes(const std::byte* p, std::size_t n, std::size_t at = 0) const {
    std::uint32_t h = 0;
    for (std::size_t i = 0; i < n; ++i) h ^= (*table_)[at + i][std::to_integer<std::size_t>(p[i])];
    return h;
  }
  // The hash is linear: each byte at each place contributes its own part.
  using Table = std::array<std::array<std::uint32_t, 256>, most>;
  std::unique_ptr<Table> table_;
};

} // namespace tern::io
