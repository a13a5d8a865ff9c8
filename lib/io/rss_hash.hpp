// What an RSS NIC computes of a frame: the Toeplitz hash of a TCP segment's 4-tuple, of the address pair for
// other IP and for fragments, nothing for the rest.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <span>

#include "wire/toeplitz.hpp"

namespace tern::io {

class RssHash {
 public:
  explicit RssHash(std::span<const std::uint8_t> key) : toeplitz_(wire::Toeplitz::key_from(key)) {}

  // False if the frame has nothing to hash.
  [[nodiscard]] bool of_frame(const rte_mbuf* m, std::uint32_t& hash) const;

 private:
  wire::Toeplitz toeplitz_;
};

} // namespace tern::io
