#include "io/packet_memory.hpp"

#include <rte_eal.h>
#include <rte_mbuf.h>
#include <sys/mman.h>

#include "io/error.hpp"

namespace tern::io {
namespace {

constexpr std::size_t page = std::size_t{2} << 20;
constexpr unsigned private_bytes = sizeof(rte_pktmbuf_pool_private);

// Where one core gives back what another took, packets go through what all cores share. DPDK's usual ring there hands out
// the packet that has lain longest, so that each is met cold, its page too: 40% of a client that sends four packets for
// three. A stack hands out the one that came last. (ThreadSanitizer does not see how DPDK's stack orders its threads.)
#ifdef __SANITIZE_THREAD__
constexpr const char* shared_order = "ring_mp_mc";
#else
constexpr const char* shared_order = "lf_stack";
#endif

void unmap(rte_mempool_memhdr* h, void* mapping) {
  munmap(mapping, h->len + page);
}

// What DPDK's rte_pktmbuf_pool_create does, over a mapping of ours: that one would give each packet a page of 4 KiB, so that
// one of another's size costs nearly twice its memory and all packets' headers meet in the same few lines of the first
// cache. Without huge pages DPDK's addresses are the program's own, and what lies together here does so for it. Null: it
// can't be had.
rte_mempool* pool_on_joined_pages(const std::string& name, unsigned packets, unsigned cache,
                                  std::uint16_t buffer) {
  const auto element = static_cast<unsigned>(sizeof(rte_mbuf) + buffer);
  rte_mempool* pool = rte_mempool_create_empty(name.c_str(), packets, element, cache, private_bytes,
                                               SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
  if (pool == nullptr) return nullptr;
  const std::size_t each = pool->header_size + pool->elt_size + pool->trailer_size;
  const std::size_t bytes = (packets * each + page - 1) / page * page;
  void* mapping =
      mmap(nullptr, bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) {
    rte_mempool_free(pool);
    return nullptr;
  }
  const auto at = reinterpret_cast<std::uintptr_t>(mapping);
  char* aligned = static_cast<char*>(mapping) + ((page - at % page) % page);
  (void)madvise(aligned, bytes, MADV_HUGEPAGE); // where the kernel won't, these are pages of 4 KiB as before
  rte_pktmbuf_pool_init(pool, nullptr);
  const int populated = rte_mempool_set_ops_byname(pool, shared_order, nullptr) == 0
                            ? rte_mempool_populate_iova(pool, aligned, reinterpret_cast<rte_iova_t>(aligned),
                                                        bytes, unmap, mapping)
                            : -1;
  if (populated < static_cast<int>(packets)) {
    if (populated < 0) munmap(mapping, bytes + page); // else the pool has it, and gives it back
    rte_mempool_free(pool);
    return nullptr;
  }
  rte_mempool_obj_iter(pool, rte_pktmbuf_init, nullptr); // touches each: the pages are there from now on
  return pool;
}

} // namespace

rte_mempool* make_packet_pool(const std::string& name, unsigned megabytes, unsigned cache,
                              std::uint16_t buffer) {
  const std::uint64_t bytes_each = buffer + sizeof(rte_mbuf) + 2 * RTE_CACHE_LINE_SIZE;
  const auto packets = static_cast<unsigned>((std::uint64_t{megabytes} << 20) / bytes_each);
  rte_mempool* pool = nullptr;
  if (rte_eal_has_hugepages() == 0) pool = pool_on_joined_pages(name, packets, cache, buffer);
  if (pool == nullptr)
    pool =
        rte_pktmbuf_pool_create_by_ops(name.c_str(), packets, cache, 0, buffer, SOCKET_ID_ANY, shared_order);
  if (pool == nullptr) // DPDK built without it
    pool = rte_pktmbuf_pool_create(name.c_str(), packets, cache, 0, buffer, SOCKET_ID_ANY);
  if (pool == nullptr)
    throw Error("no memory for " + std::to_string(packets) + " packets (" + std::to_string(megabytes) +
                " MB); ask for less with --packet-memory");
  return pool;
}

} // namespace tern::io
