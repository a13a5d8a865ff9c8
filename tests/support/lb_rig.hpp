// A load balancer between its clients and its backends, in memory on one thread and a clock that the test
// moves: one Core is the balancer, the other plays the whole world around it.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app/lb/path/splice.hpp"
#include "io/memory_pair.hpp"
#include "runtime/core.hpp"
#include "support/eal.hpp"

namespace tern::test {

inline const Ip client_ip{Ip4{10, 0, 0, 1}};
inline const Ip lb_ip{Ip4{10, 0, 0, 2}};
inline Ip backend_ip(int i) {
  return Ip{Ip4{10, 0, 0, static_cast<std::uint8_t>(11 + i)}};
}
inline const Ip client_ip6 = *Ip::parse("fd00::1");
inline const Ip lb_ip6 = *Ip::parse("fd00::2");
inline Ip backend_ip6(int i) {
  return *Ip::parse("fd00::1" + std::to_string(i + 1));
}

// One end of a connection in the world: what it got, and how it ended.
struct End {
  Connection c;
  std::string got;
  bool reading = true; // else what comes stays unread
  bool peer_closed = false;
  bool closed = false;
  CloseReason why = CloseReason::None;
};

// Clients and backends.
class World {
 public:
  void on_connected(Connection c) { of(c).c = c; }
  void on_accept(Connection c) {
    End& e = of(c);
    e.c = c;
    accepted.push_back(&e);
    if (greeting.empty()) return;
    c.send(std::string_view{greeting});
  }
  void on_data(Connection c, Payload& p) {
    End& e = of(c);
    if (!e.reading) return;
    while (!p.empty()) {
      const auto piece = p.front();
      e.got.append(reinterpret_cast<const char*>(piece.data()), piece.size());
      p.drop(static_cast<std::uint32_t>(piece.size()));
    }
    if (!answer.empty() && e.got.ends_with("\r\n\r\n")) {
      c.send(std::string_view{answer});
      c.close();
    }
  }
  void on_writable(Connection c) { feed(c); }
  void on_peer_closed(Connection c) { of(c).peer_closed = true; }
  void on_closed(Connection c, CloseReason r) {
    End& e = of(c);
    e.closed = true;
    e.why = r;
    live_.erase(c.index());
  }

  // Sends all of it, as fast as it is taken.
  void send_all(Connection c, std::string text) {
    backlog_[c.index()] = std::move(text);
    feed(c);
  }
  void feed(Connection c) {
    std::string& b = backlog_[c.index()];
    b.erase(0, c.send(std::string_view{b}));
  }
  End& of(Connection c) {
    End*& e = live_[c.index()];
    if (e == nullptr) {
      all_.push_back(std::make_unique<End>());
      e = all_.back().get();
      e->c = c;
    }
    return *e;
  }
  std::vector<End*> accepted;
  std::string greeting; // what a backend says as soon as it is connected
  std::string answer;   // and after an empty line

 private:
  std::map<std::uint32_t, End*> live_;
  std::map<std::uint32_t, std::string> backlog_;
  std::vector<std::unique_ptr<End>> all_;
};

template <class Handler>
struct LbNode {
  LbNode(io::MemoryPort& port, const std::vector<net::Address>& addresses, std::vector<Prefix> pools,
         PacketPool pool, ShardSettings s, Instant now, Handler& h)
      : self({.mac = port.mac(), .addresses = addresses, .pools = pools}),
        network(self, net::Routes{}, pool, {.key = {1, 2}}),
        shard(process_arena(), with_addresses(s, self), pool, now),
        dial(self, steering, {.sources = pools}),
        dialer(dial, 0),
        core(shard, network, port, 0, h) {
    core.handle().set_dialer(&dialer);
  }
  static ShardSettings with_addresses(ShardSettings s, const net::Interface& self) {
    for (const net::Address& a : self.addresses())
      if (!a.ip.is_v4()) s.addresses6.push_back(a.ip);
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

struct LbRigSettings {
  ShardSettings shard{
      .connections = 1024, .syn_records = 1024, .time_wait_records = 64 * 1024, .long_connections = 256};
  unsigned packets = 16383;
  std::vector<Prefix> sources{};
  std::uint32_t pairs = 512;
  bool balancer_polls_first = false;
};

class LbRig {
 public:
  using Settings = LbRigSettings;
  // `service` listens on port 80; its backends on 8080.
  explicit LbRig(app::lb::ServiceConfig service, const Settings& s = {})
      : pool(s.packets, 2048, 0),
        cable(io::MemoryPairSettings{}),
        shared(1, 1024, {3, 4}),
        splice(shared, std::make_shared<app::lb::Plan>(app::lb::make_plan({.services = {service}})), s.pairs,
               true, "test"),
        around(cable.a(), world_addresses(), {}, pool.pool(), s.shard, now, world),
        balancer(cable.b(), {{lb_ip, 24}, {lb_ip6, 64}}, s.sources, pool.pool(), s.shard, now, splice) {
    EXPECT_TRUE(balancer.shard.listeners.add({.ip = Ip{}, .first = Port{80}, .last = Port{80}}));
    EXPECT_TRUE(around.shard.listeners.add({.ip = Ip{}, .first = Port{8080}, .last = Port{8080}}));
  }

  static std::vector<net::Address> world_addresses() {
    std::vector<net::Address> all{{client_ip, 24}, {client_ip6, 64}};
    for (int i = 0; i < 4; ++i) {
      all.push_back({backend_ip(i), 24});
      all.push_back({backend_ip6(i), 64});
    }
    return all;
  }
  static app::lb::ServiceConfig service(int backends = 1,
                                        app::lb::Balance how = app::lb::Balance::round_robin) {
    app::lb::ServiceConfig v;
    v.name = "web";
    v.listen = {{Ip{}, Port{80}, Port{80}}};
    v.balance = how;
    for (int i = 0; i < backends; ++i)
      v.backends.push_back({.name = "b" + std::to_string(i), .address = {backend_ip(i), Port{8080}}});
    return v;
  }

  void settle() {
    for (int idle = 0; idle < 3;) {
      const bool a = around.core.poll(now);
      const bool b = balancer.core.poll(now);
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
  // A client that has begun to connect.
  End& connect(bool v6 = false) {
    const Endpoint to{v6 ? lb_ip6 : lb_ip, Port{80}};
    const Connecting made =
        around.core.handle().connect(to, {v6 ? client_ip6 : client_ip, Port{next_port_++}});
    EXPECT_TRUE(made);
    return world.of(made.connection);
  }
  // A client and its backend, connected.
  struct Ends {
    End& client;
    End& backend;
  };
  Ends open(bool v6 = false) {
    End& c = connect(v6);
    const std::size_t before = world.accepted.size();
    run(Duration::ms(5));
    EXPECT_EQ(world.accepted.size(), before + 1);
    return {c, *world.accepted.back()};
  }
  std::uint64_t count(app::lb::Count c) const { return splice.counters().get(c); }
  // All is over, and nothing is left behind.
  void expect_nothing_left() {
    EXPECT_EQ(splice.pairs(), 0U);
    EXPECT_EQ(balancer.shard.connections.used(), 0U);
    EXPECT_EQ(balancer.shard.side.used(), 0U);
    for (app::lb::Slot s = 0; s < 4; ++s) EXPECT_EQ(splice.purse().open(s), 0U);
    std::uint64_t ended = 0;
    for (int i = static_cast<int>(app::lb::Count::ended_done);
         i <= static_cast<int>(app::lb::Count::ended_no_memory); ++i)
      ended += count(static_cast<app::lb::Count>(i));
    EXPECT_EQ(ended, count(app::lb::Count::accepted));
  }

  Instant now = Instant::at_ns(5'000'000'000);
  TestPool pool;
  io::MemoryPair cable;
  World world;
  app::lb::Shared shared;
  app::lb::Splice splice;
  LbNode<World> around;
  LbNode<app::lb::Splice> balancer;

 private:
  std::uint16_t next_port_ = 20'000;
};

} // namespace tern::test
