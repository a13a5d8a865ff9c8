// EAL without hardware, huge pages, files or privileges, for tests and benchmarks of the layers below io.
// Started on first use, once a process; what it made lives until the process ends.
#pragma once

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/check.hpp"
#include "packet/packet.hpp"
#include "support/cpus.hpp"

namespace tern::test {

inline void start_eal(unsigned megabytes = 256) {
  static const bool started = [megabytes] {
    std::vector<std::string> words = {"test",
                                      "--no-huge",
                                      "--no-shconf",
                                      "--no-pci",
                                      "--no-telemetry",
                                      "--iova-mode=va",
                                      main_lcore_anywhere(),
                                      "-m",
                                      std::to_string(megabytes),
                                      "--log-level=*:error"};
    std::vector<char*> argv;
    argv.reserve(words.size());
    for (auto& w : words) argv.push_back(w.data());
    if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) {
      std::fprintf(stderr, "EAL does not start: %s\n", rte_strerror(rte_errno));
      std::abort();
    }
    return true;
  }();
  (void)started;
}

// A pool of its own for one test; at the end every packet must be back.
class TestPool {
 public:
  // `extra` bytes of each packet are private to whoever made the pool, as some PMDs' applications have them.
  explicit TestPool(unsigned packets = 1023, std::uint16_t room = 2048, unsigned cache = 0,
                    std::uint16_t extra = 0) {
    start_eal();
    static unsigned serial = 0;
    const std::string name = "test" + std::to_string(serial++);
    const auto element = static_cast<unsigned>(sizeof(rte_mbuf) + extra + room + RTE_PKTMBUF_HEADROOM);
    // Side by side, as io/packet_memory.hpp has them, which layers below io cannot see.
    raw_ = rte_mempool_create_empty(name.c_str(), packets, element, cache, sizeof(rte_pktmbuf_pool_private),
                                    SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
    TERN_CHECK(raw_ != nullptr);
    TERN_CHECK(rte_mempool_set_ops_byname(raw_, "ring_mp_mc", nullptr) == 0);
    rte_pktmbuf_pool_private sizes{};
    sizes.mbuf_data_room_size = static_cast<std::uint16_t>(room + RTE_PKTMBUF_HEADROOM);
    sizes.mbuf_priv_size = extra;
    rte_pktmbuf_pool_init(raw_, &sizes);
    TERN_CHECK(rte_mempool_populate_default(raw_) == static_cast<int>(packets));
    rte_mempool_obj_iter(raw_, rte_pktmbuf_init, nullptr);
  }
  TestPool(const TestPool&) = delete;
  TestPool& operator=(const TestPool&) = delete;
  ~TestPool() {
    const unsigned out = rte_mempool_in_use_count(raw_);
    if (out != 0) std::fprintf(stderr, "%u packets were never given back\n", out);
    TERN_CHECK(out == 0);
    rte_mempool_free(raw_);
  }
  [[nodiscard]] PacketPool pool() const { return PacketPool{raw_}; }
  [[nodiscard]] unsigned used() const { return rte_mempool_in_use_count(raw_); }

 private:
  rte_mempool* raw_ = nullptr;
};

} // namespace tern::test
