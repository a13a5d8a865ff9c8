// Lines that will be written.
#pragma once

namespace tern {

// Asks for a line to be written: from another core that has it, it comes at one go. (The builtin says so only where the
// ISA was told to have the instruction.)
inline void prefetch_to_write(const void* at) {
  __asm__ volatile("prefetchw %0" : : "m"(*static_cast<const char*>(at)));
}

} // namespace tern
