// Lines that will be read, or written.
#pragma once

namespace tern {

// Instructions, not the compiler's builtin: to GCC a function that does nothing but prefetch has no effect, and where it
// does not put it into its caller it drops the call.
inline void prefetch_to_read(const void* at) {
  __asm__ volatile("prefetcht0 %0" : : "m"(*static_cast<const char*>(at)));
}

// From another core that has it, such a line comes at one go.
inline void prefetch_to_write(const void* at) {
  __asm__ volatile("prefetchw %0" : : "m"(*static_cast<const char*>(at)));
}

} // namespace tern
