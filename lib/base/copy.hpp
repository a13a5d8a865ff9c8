// Copies of short, varying length.
#pragma once

#include <cstddef>
#include <cstring>

namespace tern {

// For the few hundred bytes of a request or a response: where the compiler knows that a copy is short it makes it
// `rep movs`, whose start alone costs more than all of this. The last piece overlaps the one before it.
inline void copy_short(std::byte* to, const std::byte* from, std::size_t n) {
  const auto piece = [&]<std::size_t size>(std::size_t at) {
    std::byte word[size];
    std::memcpy(word, from + at, size);
    std::memcpy(to + at, word, size);
  };
  if (n >= 32) {
    std::size_t at = 0;
    do {
      piece.operator()<32>(at);
      at += 32;
    } while (at + 32 < n);
    return piece.operator()<32>(n - 32);
  }
  if (n >= 16) return piece.operator()<16>(0), piece.operator()<16>(n - 16);
  if (n >= 8) return piece.operator()<8>(0), piece.operator()<8>(n - 8);
  if (n >= 4) return piece.operator()<4>(0), piece.operator()<4>(n - 4);
  for (std::size_t i = 0; i < n; ++i) to[i] = from[i];
}

} // namespace tern
