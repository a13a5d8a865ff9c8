// As many minimal frames as one core gets rid of: allocated, written, sent to a port that swallows them.
//   null_tx <vdev> ; prints how many a second, and how many packets were not given back
#include <fmt/format.h>
#include <rte_mempool.h>

#include <array>
#include <chrono>
#include <cstring>

#include "io/eal.hpp"
#include "io/error.hpp"
#include "io/eth_port.hpp"
#include "io/packet_memory.hpp"

namespace {

using namespace tern;
constexpr std::uint16_t frame_size = 60, burst = 32;

std::uint16_t make_burst(rte_mempool* pool, std::array<rte_mbuf*, burst>& m) {
  if (rte_pktmbuf_alloc_bulk(pool, m.data(), burst) != 0) return 0;
  for (rte_mbuf* p : m) std::memset(rte_pktmbuf_append(p, frame_size), 0x5a, frame_size);
  return burst;
}

int run(const char* vdev) {
  using Clock = std::chrono::steady_clock;
  const io::Eal eal({.memory_mb = io::eal_megabytes_for(16)});
  rte_mempool* const pool = io::make_packet_pool("tern", 16, 256);
  std::uint64_t sent = 0;
  double seconds = 0;
  {
    rte_mempool* const pools[] = {pool};
    io::EthPort port({.name = vdev}, pools);
    std::array<rte_mbuf*, burst> m{};
    const auto start = Clock::now();
    for (auto now = start; now < start + std::chrono::seconds(1); now = Clock::now()) {
      for (int i = 0; i != 64; ++i) {
        const std::uint16_t n = make_burst(pool, m);
        const std::uint16_t taken = port.tx_burst(0, m.data(), n);
        rte_pktmbuf_free_bulk(m.data() + taken, static_cast<unsigned>(n - taken));
      }
      port.tx_flush(0);
    }
    seconds = std::chrono::duration<double>(Clock::now() - start).count();
    sent = port.counters(0).get(io::PortCounter::tx_packets);
  }
  const unsigned missing = rte_mempool_in_use_count(pool);
  fmt::print("sent {}\na second {:.0f}\npackets not given back: {}\n", sent,
             static_cast<double>(sent) / seconds, missing);
  return missing == 0 ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 2) throw tern::io::Error("usage: null_tx <vdev>");
    return run(argv[1]);
  } catch (const tern::io::Error& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 2;
  }
}
