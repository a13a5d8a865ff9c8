// First contact: one loop on one port that answers ARP, neighbour discovery and ping. A test program, and the
// smallest example of how io and net are put together.
//   first_contact <vdev or PCI address> <address/prefix>... ; ends on SIGTERM or SIGINT, or after 60 s.
#include <sys/random.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "io/eal.hpp"
#include "io/error.hpp"
#include "io/eth_port.hpp"
#include "net/network.hpp"

namespace {

using namespace tern;

std::atomic<bool> stop{false};

Instant now() {
  return Instant::at_ns(std::chrono::duration_cast<std::chrono::nanoseconds>(
                            std::chrono::steady_clock::now().time_since_epoch())
                            .count());
}

void send_outbox(io::EthPort& port, net::Network& network) {
  rte_mbuf* frames[io::burst_size];
  while (const std::uint16_t n = network.outbox().take(frames, io::burst_size)) port.tx_burst(0, frames, n);
  port.tx_flush(0);
}

void loop(io::EthPort& port, net::Network& network) {
  const Instant end = now() + Duration::seconds(60);
  Instant next_tick;
  network.announce();
  while (!stop && now() < end) {
    rte_mbuf* frames[io::burst_size];
    const std::uint16_t n = port.rx_burst(0, frames, io::burst_size);
    for (std::uint16_t i = 0; i < n; ++i) {
      Packet p{frames[i]};
      const net::Classified c = network.classify(p);
      network.control(std::move(p), c, now());
    }
    if (now() >= next_tick) {
      network.tick(now());
      next_tick = now() + Duration::ms(200);
    }
    send_outbox(port, network);
    if (n == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

int run(int argc, char** argv) {
  if (argc < 3) throw io::Error("usage: first_contact <port> <address/prefix>...");
  io::EalSettings eal_settings;
  eal_settings.memory_mb = 128;
  if (io::is_pci_address(argv[1])) eal_settings.devices = {argv[1]};
  const io::Eal eal(eal_settings);
  rte_mempool* pool = rte_pktmbuf_pool_create("rx", 4095, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  if (pool == nullptr) throw io::Error("no memory for packets");
  int leaked = 0;
  {
    io::PortRequest request;
    request.name = argv[1];
    rte_mempool* const pools[] = {pool};
    io::EthPort port(request, pools);

    net::InterfaceSettings who;
    who.mac = port.mac();
    // net_tap gives its kernel side the PMD's own MAC: take a neighbour's, or the kernel would take our
    // frames for its own.
    if (port.capabilities().driver == "net_tap") who.mac[5] ^= 1;
    for (int i = 2; i < argc; ++i) {
      const auto prefix = Prefix::parse(argv[i]);
      if (!prefix)
        throw io::Error(std::string(argv[i]) + ": not an address; write 10.0.0.2/24 or 2001:db8::2/64");
      who.addresses.push_back({prefix->base(), prefix->length()});
    }
    const net::Interface self(who);
    net::NetworkSettings settings;
    if (getrandom(&settings.key, sizeof settings.key, 0) < 0) throw io::Error("no randomness");
    net::Network network(self, {}, PacketPool{pool}, settings);
    std::printf("%s\nready\n", port.describe().c_str());
    std::fflush(stdout);
    loop(port, network);
    for (std::size_t i = 0; i < net::NetCounters::size; ++i) {
      const auto c = static_cast<net::NetCounter>(i);
      if (network.counters().get(c) != 0)
        std::printf("%s %lu\n", std::string(net::name_of(c)).c_str(),
                    static_cast<unsigned long>(network.counters().get(c)));
    }
  }
  leaked = static_cast<int>(rte_mempool_in_use_count(pool));
  std::printf("mbufs_leaked %d\n", leaked);
  return leaked == 0 ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
  std::signal(SIGTERM, [](int) { stop = true; });
  std::signal(SIGINT, [](int) { stop = true; });
  try {
    return run(argc, argv);
  } catch (const io::Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
}
