// Two Cores joined by the in-memory pair, on one thread and a clock that the test moves.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "io/memory_pair.hpp"
#include "runtime/core.hpp"
#include "support/eal.hpp"

namespace tern::test {

template <class Handler>
struct Node {
  // `ip6`: a second address, if it is one.
  Node(io::MemoryPort& port, Ip4 ip, PacketPool pool, const ShardSettings& s, Instant now, Handler& h,
       const DialSettings& d = {}, const net::TxOffloads& offloads = {}, const Ip& ip6 = {})
      : self({.mac = port.mac(), .addresses = addresses(ip, ip6)}),
        network(self, net::Routes{}, pool, {.key = {1, 2}, .offloads = offloads}),
        shard(process_arena(), with(s, ip6), pool, now),
        dial(self, steering, d),
        dialer(dial, 0),
        core(shard, network, port, 0, h) {
    core.handle().set_dialer(&dialer);
  }
  static std::vector<net::Address> addresses(Ip4 ip, const Ip& ip6) {
    std::vector<net::Address> all{{Ip{ip}, 24}};
    if (ip6 != Ip{}) all.push_back({ip6, 64});
    return all;
  }
  static ShardSettings with(ShardSettings s, const Ip& ip6) {
    if (ip6 != Ip{}) s.addresses6 = {ip6};
    return s;
  }
  net::Interface self;
  net::Network network;
  Shard shard;
  io::Steering steering;
  DialPlan dial;
  Dialer dialer;
  Core<io::MemoryPort, Handler> core;
};

template <class Client, class Server>
class CorePair {
 public:
  explicit CorePair(ShardSettings s = {}, unsigned cache = 0, const DialSettings& d = {},
                    const net::TxOffloads& offloads = {}, const io::MemoryPairSettings& ports = {},
                    bool six = false) // of IPv6 too
      : pool(8191, 2048, cache),
        pair(ports),
        client(pair.a(), client_ip, pool.pool(), s, now, client_handler, d, offloads,
               six ? client_ip6 : Ip{}),
        server(pair.b(), server_ip, pool.pool(), s, now, server_handler, {}, offloads,
               six ? server_ip6 : Ip{}) {}

  // Both cores turn until neither has anything to do.
  void settle() {
    for (int idle = 0; idle < 3;) {
      const bool a = client.core.poll(now);
      const bool b = server.core.poll(now);
      idle = a || b ? 0 : idle + 1;
    }
  }
  void run(Duration d, Duration step = Duration::ms(1)) {
    const Instant end = now + d;
    while (now < end) {
      now = now + step;
      settle();
    }
  }
  FlowKey4 key(std::uint16_t local_port, std::uint16_t remote_port = 80) const {
    return {server_ip, client_ip, Be16{remote_port}, Be16{local_port}};
  }

  FlowKey6 key6(std::uint16_t local_port, std::uint16_t remote_port = 80) const {
    return {server_ip6, client_ip6, Be16{remote_port}, Be16{local_port}};
  }

  static inline const Ip client_ip6 = *Ip::parse("fd00::1");
  static inline const Ip server_ip6 = *Ip::parse("fd00::2");
  static constexpr Ip4 client_ip{10, 0, 0, 1};
  static constexpr Ip4 server_ip{10, 0, 0, 2};
  Instant now = Instant::at_ns(5'000'000'000);
  TestPool pool;
  io::MemoryPair pair;
  Client client_handler;
  Server server_handler;
  Node<Client> client;
  Node<Server> server;
};

} // namespace tern::test
