// Pages that the kernel has promised and not made.
#pragma once

#include <cstddef>

namespace tern {

// Makes them now: one of 2 MiB takes the kernel milliseconds, which the packet path would wait for. Of memory that nobody
// has written to yet.
inline void make_pages(void* from, std::size_t bytes) {
  constexpr std::size_t smallest = 4096;
  auto* const at = static_cast<volatile std::byte*>(from);
  for (std::size_t i = 0; i < bytes; i += smallest) at[i] = std::byte{0}; // as it was
  if (bytes != 0) at[bytes - 1] = std::byte{0};
}

} // namespace tern
