// Memory for the references' tables: pages of the same kind as the arena's, so that both sides miss the TLB
// alike.
#pragma once

#include <rte_errno.h>
#include <rte_malloc.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace tern::bench {

// EAL's own memory is of 4 KiB pages here (--no-huge); this heap asks for transparent huge pages, as the
// arena does.
[[nodiscard]] inline int hash_heap_socket() {
  static const int socket = [] {
    constexpr std::size_t huge = std::size_t{2} << 20, size = std::size_t{1} << 30;
    void* raw = mmap(nullptr, size + huge, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    auto* at = reinterpret_cast<void*>((reinterpret_cast<std::uintptr_t>(raw) + huge - 1) / huge * huge);
    if (raw == MAP_FAILED || madvise(at, size, MADV_HUGEPAGE) != 0 || rte_malloc_heap_create("hash") != 0 ||
        rte_malloc_heap_memory_add("hash", at, size, nullptr, static_cast<unsigned>(size / huge), huge) !=
            0) {
      std::fprintf(stderr, "bench-flow: no heap for rte_hash: %s\n", rte_strerror(rte_errno));
      std::exit(1);
    }
    return rte_malloc_heap_get_socket("hash");
  }();
  return socket;
}

} // namespace tern::bench
