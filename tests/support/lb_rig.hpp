// A load balancer between its clients and its backends, in memory on one thread and a clock that the test
// moves: one Core is the balancer, the other plays the whole world around it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/lb/path/splice.hpp"
#include "io/impair.hpp"
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
  bool reading = true;             // else what comes stays unread
  std::size_t may_take = SIZE_MAX; // so much in all; the rest stays unread
  bool peer_closed = false;
  bool closed = false;
  CloseReason why = CloseReason::None;
};

// Clients and backends.
class World {
 public:
  void on_connected(Connection c) {
    of(c).c = c;
    feed(c);
  }
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
    while (!p.empty() && e.got.size() < e.may_take) {
      const auto piece = p.front().first(std::min(p.front().size(), e.may_take - e.got.size()));
      e.got.append(reinterpret_cast<const char*>(piece.data()), piece.size());
      p.drop(static_cast<std::uint32_t>(piece.size()));
    }
    if (!answer.empty() && e.got.ends_with("\r\n\r\n")) {
      c.send(std::string_view{answer});
      c.close();
    }
  }
  void on_writable(Connection c) { feed(c); }
  void on_peer_closed(Connection c) {
    End& e = of(c);
    e.peer_closed = true;
    if (on_end) on_end(e);
  }
  void on_closed(Connection c, CloseReason r) {
    End& e = of(c);
    e.closed = true;
    e.why = r;
    live_.erase(c.index());
    backlog_.erase(c.index());
  }

  // Sends all of it, as fast as it is taken; then closes, if told to.
  void send_all(Connection c, std::string text, bool then_close = false) {
    backlog_[c.index()] = {std::move(text), 0, then_close};
    feed(c);
  }
  void feed(Connection c) {
    const auto found = backlog_.find(c.index());
    if (found == backlog_.end() || c.state() == tcp::State::SynSent) return;
    Backlog& b = found->second;
    b.sent += c.send(std::string_view{b.text}.substr(b.sent));
    if (b.sent != b.text.size()) return;
    if (b.then_close) c.close();
    backlog_.erase(found);
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
  std::function<void(End&)> on_end; // the peer closed
  std::string greeting;             // what a backend says as soon as it is connected
  std::string answer;               // and after an empty line

 private:
  std::map<std::uint32_t, End*> live_;
  struct Backlog {
    std::string text;
    std::size_t sent = 0;
    bool then_close = false;
  };
  std::map<std::uint32_t, Backlog> backlog_;
  std::vector<std::unique_ptr<End>> all_;
};

// A cable on which the clients (of IPv4) are further away than the backends are.
class Cable {
 public:
  Cable(io::MemoryPort& port, const io::Impairment& all, Duration client_delay, PacketPool pool)
      : near_(port, all, pool), far_(port, further(all, client_delay), pool) {}
  std::uint16_t rx_burst(io::QueueId q, rte_mbuf** out, std::uint16_t n) { return near_.rx_burst(q, out, n); }
  std::uint16_t tx_burst(io::QueueId q, rte_mbuf** m, std::uint16_t n) {
    for (std::uint16_t i = 0; i < n; ++i) {
      rte_mbuf* sent = m[i];
      if (arrives_in != nullptr) {
        sent = rte_pktmbuf_copy(m[i], arrives_in, 0, UINT32_MAX);
        rte_pktmbuf_free(m[i]);
      }
      if (lose)
        rte_pktmbuf_free(sent);
      else if (sent != nullptr)
        (of_client(sent) ? far_ : near_).tx_burst(q, &sent, 1);
    }
    return n;
  }
  void tx_flush(io::QueueId q) { near_.tx_flush(q); }
  [[nodiscard]] std::uint32_t tx_pending(io::QueueId q) const {
    return near_.tx_pending(q) + far_.tx_pending(q);
  }
  [[nodiscard]] bool tx_full(io::QueueId q) const { return near_.tx_full(q) || far_.tx_full(q); }
  [[nodiscard]] const io::PortPlan& plan() const { return near_.plan(); }
  [[nodiscard]] const io::RssView& rss() const { return near_.rss(); }
  [[nodiscard]] io::MacBytes mac() const { return near_.mac(); }
  [[nodiscard]] const io::PortCounters& counters(io::QueueId q) const { return near_.counters(q); }
  void advance(Instant now) {
    near_.advance(now);
    far_.advance(now);
  }
  bool lose = false;                 // all that is sent
  rte_mempool* arrives_in = nullptr; // the receiver's packets, as over a wire; null: the sender's arrive

 private:
  static io::Impairment further(io::Impairment i, Duration by) {
    i.delay = i.delay + by;
    return i;
  }
  static bool of_client(const rte_mbuf* m) {
    const auto* b = rte_pktmbuf_mtod(m, const std::uint8_t*);
    if (m->data_len < 34 || b[12] != 8 || b[13] != 0) return false;
    const std::uint32_t client = client_ip.v4().be().raw();
    return std::memcmp(b + 26, &client, 4) == 0 || std::memcmp(b + 30, &client, 4) == 0;
  }
  io::Impaired<io::MemoryPort> near_;
  io::Impaired<io::MemoryPort> far_;
};

template <class Handler, class Port = io::MemoryPort>
struct LbNode {
  LbNode(Port& port, const std::vector<net::Address>& addresses, std::vector<Prefix> pools, PacketPool pool,
         ShardSettings s, Instant now, Handler& h)
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
  Core<Port, Handler> core;
};

struct LbRigSettings {
  ShardSettings shard{
      .connections = 1024, .syn_records = 1024, .time_wait_records = 64 * 1024, .long_connections = 256};
  unsigned packets = 16383;
  unsigned world_packets = 0; // of its own; 0: the balancer's
  std::vector<Prefix> sources{};
  std::uint32_t pairs = 512;
  io::Impairment impair{}; // of the cable, each way
  Duration client_delay{}; // more of it, for clients
  unsigned cores = 1;      // that the balancer is said to have; this is the first
};

class LbRig {
 public:
  using Settings = LbRigSettings;
  // `service` listens on port 80; its backends on 8080.
  explicit LbRig(app::lb::ServiceConfig service, const Settings& s = {})
      : pool(s.packets, 2048, 0),
        world_pool(s.world_packets == 0 ? std::nullopt
                                        : std::optional<TestPool>(std::in_place, s.world_packets, 2048, 0)),
        cable(io::MemoryPairSettings{.checksums = io::Offload::never}),
        world_port(cable.a(), s.impair, s.client_delay, pool.pool()),
        balancer_port(cable.b(), with_another_seed(s.impair), s.client_delay, pool.pool()),
        shared(s.cores, 1024, {3, 4}),
        splice(shared, std::make_shared<app::lb::Plan>(app::lb::make_plan({.services = {service}})), s.pairs,
               true, "test"),
        around(world_port, world_addresses(), {}, world_pool ? world_pool->pool() : pool.pool(), s.shard, now,
               world),
        balancer(balancer_port, {{lb_ip, 24}, {lb_ip6, 64}}, s.sources, pool.pool(), s.shard, now, splice) {
    if (world_pool) {
      world_port.arrives_in = pool.pool().raw();
      balancer_port.arrives_in = world_pool->pool().raw();
    }
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
    world_port.advance(now);
    balancer_port.advance(now);
    // Bounded: a core whose packets ran out has something to do at every poll.
    for (int idle = 0, polls = 0; idle < 3 && polls < 1000; ++polls) {
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
  // What clients and backends have to say now is lost.
  void drop_from_world() {
    world_port.lose = true;
    around.core.poll(now);
    world_port.lose = false;
  }
  // A client that has begun to connect.
  End& connect(bool v6 = false, Port port = Port{80}) {
    const Endpoint to{v6 ? lb_ip6 : lb_ip, port};
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
  std::optional<TestPool> world_pool;
  io::MemoryPair cable;
  Cable world_port;
  Cable balancer_port;
  World world;
  app::lb::Shared shared;
  app::lb::Splice splice;
  LbNode<World, Cable> around;
  LbNode<app::lb::Splice, Cable> balancer;

 private:
  static io::Impairment with_another_seed(io::Impairment i) {
    i.seed = ~i.seed;
    return i;
  }
  std::uint16_t next_port_ = 20'000;
};

} // namespace tern::test
