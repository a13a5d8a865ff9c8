// An echo server over a port whose receive buffers are small: what the kernel sends arrives in chains. Its own
// packets have buffers as always.
//   chains <vdev> <address/prefix> ; ends on SIGTERM or SIGINT
#include <fmt/format.h>

#include <algorithm>

#include "io/eal.hpp"
#include "io/error.hpp"
#include "io/eth_port.hpp"
#include "io/packet_memory.hpp"
#include "runtime/node_settings.hpp"
#include "runtime/signals.hpp"
#include "runtime/thread.hpp"
#include "runtime/worker.hpp"

namespace {

using namespace tern;

struct Echo {
  void on_data(Connection c, Payload& p) {
    most_pieces = std::max(most_pieces, p.pieces());
    c.send(p);
  }
  void on_writable(Connection c) { c.resume_reading(); }
  void on_peer_closed(Connection c) { c.close(); }
  std::uint16_t most_pieces = 0;
};

unsigned serve(const std::string& vdev, const Prefix& ip) {
  const io::Eal eal({.memory_mb = io::eal_megabytes_for(64)});
  constexpr std::uint16_t room = 600;
  rte_mempool* pool = io::make_packet_pool("chains", 48, 256);
  rte_mempool* small = io::make_packet_pool("small", 16, 256, RTE_PKTMBUF_HEADROOM + room);
  {
    rte_mempool* const pools[] = {small};
    io::EthPort port({.name = vdev, .buffer_room = room}, pools);
    NodeSettings n;
    n.port = vdev;
    n.ip = {ip};
    const settings::Schema schema;
    const net::Interface self(interface_of(n, schema, port.mac(), port.capabilities().driver));
    const PacketThread thread(std::nullopt);
    Worker<io::EthPort, Echo>::Settings s;
    s.shard.secret = random_key();
    Echo echo;
    Worker<io::EthPort, Echo> worker(port, 0, self, net::Routes{}, PacketPool{pool}, s, echo);
    if (!worker.shard().listeners.add({.ip = Ip{}, .first = Port{7}, .last = Port{7}}))
      throw io::Error("cannot listen");
    fmt::print("ready: {}\n", port.describe());
    std::fflush(stdout);
    while (stop_signals() == 0) worker.turn();
    fmt::print("most pieces {}\n", echo.most_pieces);
  }
  return rte_mempool_in_use_count(pool) + rte_mempool_in_use_count(small);
}

} // namespace

int main(int argc, char** argv) {
  const auto ip = argc == 3 ? Prefix::parse(argv[2]) : std::nullopt;
  if (!ip) return 2;
  try {
    catch_stop_signals();
    const unsigned leaked = serve(argv[1], *ip);
    fmt::print("packets not given back: {}\n", leaked);
    return leaked == 0 ? 0 : 1;
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 2;
  }
}
