// A process's packets: how much memory EAL must have for them, and the pool itself.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <string>

#include "io/error.hpp"

namespace tern::io {

// EAL's share: the packets, what its allocator loses at the ends of its pages, and DPDK's own objects.
[[nodiscard]] constexpr unsigned eal_megabytes_for(unsigned packet_megabytes) {
  return packet_megabytes + packet_megabytes / 4 + 64;
}

// As many packets as the memory holds; `cache`: of each registered thread. Throws Error.
[[nodiscard]] inline rte_mempool* make_packet_pool(const std::string& name, unsigned megabytes,
                                                   unsigned cache) {
  constexpr unsigned bytes_each = RTE_MBUF_DEFAULT_BUF_SIZE + sizeof(rte_mbuf) + 2 * RTE_CACHE_LINE_SIZE;
  const auto packets = static_cast<unsigned>((std::uint64_t{megabytes} << 20) / bytes_each);
  rte_mempool* pool =
      rte_pktmbuf_pool_create(name.c_str(), packets, cache, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  if (pool == nullptr)
    throw Error("no memory for " + std::to_string(packets) + " packets (" + std::to_string(megabytes) +
                " MB); ask for less with --packet-memory");
  return pool;
}

} // namespace tern::io
