// A process's packets: how much memory EAL must have for them, and the pool itself.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <string>

namespace tern::io {

// EAL's share: the packets, what its allocator loses at the ends of its pages, and DPDK's own objects.
[[nodiscard]] constexpr unsigned eal_megabytes_for(unsigned packet_megabytes) {
  return packet_megabytes + packet_megabytes / 4 + 64;
}

// As many packets as the memory holds; `cache`: of each registered thread; `buffer`: bytes of each packet's
// buffer, head room and all. Throws Error.
//
// Where EAL has no huge pages its memory is a file in memory on 4 KiB pages, and every packet costs a TLB
// miss. There the pool lies in memory of ours, which the kernel joins to 2 MiB pages if it may.
[[nodiscard]] rte_mempool* make_packet_pool(const std::string& name, unsigned megabytes, unsigned cache,
                                            std::uint16_t buffer = RTE_MBUF_DEFAULT_BUF_SIZE);

} // namespace tern::io
