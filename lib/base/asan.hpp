// Whether AddressSanitizer watches, and what it is told.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define TERN_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TERN_ASAN 1
#endif
#endif
#ifdef TERN_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace tern {

// A free record is poisoned: a stale pointer is found where it is used.
inline void poison([[maybe_unused]] void* p, [[maybe_unused]] std::size_t n) {
#ifdef TERN_ASAN
  ASAN_POISON_MEMORY_REGION(p, n);
#endif
}
inline void unpoison([[maybe_unused]] void* p, [[maybe_unused]] std::size_t n) {
#ifdef TERN_ASAN
  ASAN_UNPOISON_MEMORY_REGION(p, n);
#endif
}

} // namespace tern
