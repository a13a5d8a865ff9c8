// Two nodes of several cores each, joined by an in-memory pair that plays the NIC: one thread polls all of
// them in turn on a clock that the test moves, or each core has a thread of its own.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "io/memory_pair.hpp"
#include "io/shared_port.hpp"
#include "runtime/core.hpp"
#include "support/eal.hpp"

namespace tern::test {

using GridPort = io::SharedPort<io::MemoryPort>;

// One node: a port shared by its cores.
template <class Handler>
struct GridNode {
  struct One {
    One(GridNode& n, io::CoreId id, PacketPool pool, const ShardSettings& s, Instant now)
        : network(n.self, net::Routes{}, pool, {.key = {1, 2}}),
          shard(process_arena(), s, pool, now, "core"),
          dialer(n.dial, id),
          core(shard, network, n.port, id, handler) {
      core.handle().set_dialer(&dialer);
    }
    Handler handler;
    net::Network network;
    Shard shard;
    Dialer dialer;
    Core<GridPort, Handler> core;
  };

  GridNode(io::MemoryPort& raw, io::CoreId cores, const net::InterfaceSettings& who, PacketPool pool,
           const ShardSettings& s, Instant now, std::uint32_t ring = 1024)
      : self(who),
        steering(raw.plan().rss == io::Where::hardware && raw.plan().queues == cores
                     ? io::Steering::by_port(raw.rss(), cores)
                     : io::Steering::by_software(key(), cores)),
        port(raw, steering, ring),
        dial(self, steering, {.ports = {}}) {
    for (io::CoreId c = 0; c < cores; ++c) {
      all.push_back(std::make_unique<One>(*this, c, pool, s, now));
      handles.push_back(&all.back()->core.handle());
    }
    for (io::CoreId c = 0; c < cores; ++c) handles[c]->set_peers(c, handles);
  }
  static std::vector<std::uint8_t> key() {
    std::vector<std::uint8_t> k(40);
    for (std::size_t i = 0; i < k.size(); ++i) k[i] = static_cast<std::uint8_t>(i * 73 + 5);
    return k;
  }
  One& operator[](std::size_t c) { return *all[c]; }
  [[nodiscard]] std::size_t size() const { return all.size(); }
  [[nodiscard]] std::uint64_t sum(CoreCounter c) const {
    std::uint64_t n = 0;
    for (const auto& one : all) n += one->shard.counters.get(c);
    return n;
  }
  [[nodiscard]] std::uint64_t sum(io::SteerCounter which) const {
    std::uint64_t n = 0;
    for (io::CoreId c = 0; c < all.size(); ++c) n += port.steered(c).get(which);
    return n;
  }

  net::Interface self;
  io::Steering steering;
  GridPort port;
  DialPlan dial;
  std::vector<std::unique_ptr<One>> all;
  std::vector<CoreHandle*> handles;
};

struct GridSettings {
  io::CoreId cores = 2;
  std::uint16_t queues = 2;
  io::Offload rss = io::Offload::automatic;
  std::uint32_t ring = 1024;
  ShardSettings shard;
};

template <class Client, class Server>
class CoreGrid {
 public:
  explicit CoreGrid(const GridSettings& g)
      : pool(16383, 2048),
        pair({.queues = g.queues, .rss = g.rss}),
        client(pair.a(), g.cores, address(pair.a(), 1), pool.pool(), with_addresses(g.shard, 1), now, g.ring),
        server(pair.b(), g.cores, address(pair.b(), 2), pool.pool(), with_addresses(g.shard, 2), now,
               g.ring) {}

  bool turn() {
    bool busy = false;
    for (auto& c : client.all) busy = c->core.poll(now) || busy;
    for (auto& c : server.all) busy = c->core.poll(now) || busy;
    return busy;
  }
  void settle() {
    for (int idle = 0; idle < 3;) idle = turn() ? 0 : idle + 1;
  }
  void run(Duration d, Duration step = Duration::ms(1)) {
    for (const Instant end = now + d; now < end; settle()) now = now + step;
  }
  void listen(Port port = Port{80}) {
    for (auto& c : server.all) ASSERT_TRUE(c->shard.listeners.add({.ip = Ip{}, .first = port, .last = port}));
  }

  static Ip ip4(unsigned side) { return Ip{Ip4{10, 0, 0, static_cast<std::uint8_t>(side)}}; }
  static Ip ip6(unsigned side) { return *Ip::parse("fd00::" + std::to_string(side)); }
  static net::InterfaceSettings address(const io::MemoryPort& port, unsigned side) {
    return {.mac = port.mac(), .addresses = {{ip4(side), 24}, {ip6(side), 64}}, .link_local = false};
  }
  static ShardSettings with_addresses(ShardSettings s, unsigned side) {
    s.addresses6 = {ip6(side)};
    return s;
  }

  Instant now = Instant::at_ns(5'000'000'000);
  TestPool pool;
  io::MemoryPair pair;
  GridNode<Client> client;
  GridNode<Server> server;
};

} // namespace tern::test
