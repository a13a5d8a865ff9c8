// Active opens: which local endpoint, which errors, and that the replies come to the core that opened.
#include <gtest/gtest.h>

#include <set>

#include "runtime/node_port.hpp"
#include "support/core_pair.hpp"

namespace tern {
namespace connect_test {

struct Client {
  void on_start(CoreHandle& c) {
    core = &c;
    ++started;
  }
  void on_connected(Connection c) {
    ++connected;
    user = c.user();
    c.close();
  }
  CoreHandle* core = nullptr;
  int started = 0;
  int connected = 0;
  std::uint64_t user = 0;
};
struct Server {};
using Pair = test::CorePair<Client, Server>;
const Endpoint web{Ip{Pair::server_ip}, Port{80}};

struct Listening : Pair {
  explicit Listening(const DialSettings& d = {}) : Pair(ShardSettings{}, 0, d) {
    EXPECT_TRUE(server.shard.listeners.add({.ip = Ip{}, .first = Port{80}, .last = Port{80}}));
  }
  CoreHandle& core() { return client.core.handle(); }
};

TEST(Connect, HandlerIsGivenItsCoreOnceBeforeAnythingElse) {
  Listening p;
  p.settle();
  p.settle();
  EXPECT_EQ(p.client_handler.started, 1);
  EXPECT_EQ(p.client_handler.core, &p.core());
}

TEST(Connect, OpensFromOurAddressAndCarriesTheUsersWord) {
  Listening p;
  const Connecting made = p.core().connect(web, 77);
  ASSERT_TRUE(made);
  EXPECT_EQ(made.connection.local().ip, Ip{Pair::client_ip});
  EXPECT_GE(made.connection.local().port.raw(), 1024);
  EXPECT_EQ(made.connection.remote(), web);
  p.settle();
  EXPECT_EQ(p.client_handler.connected, 1);
  EXPECT_EQ(p.client_handler.user, 77U);
}

TEST(Connect, FromAGivenEndpointIsExactAndTakenTheSecondTime) {
  Listening p;
  const Endpoint from{Ip{Pair::client_ip}, Port{5000}};
  const Connecting made = p.core().connect(web, from);
  ASSERT_TRUE(made);
  EXPECT_EQ(made.connection.local(), from);
  EXPECT_EQ(p.core().connect(web, from).error, ConnectError::port_taken);
  EXPECT_EQ(p.core().connect(web, {Ip{Ip4{10, 0, 0, 9}}, Port{5000}}).error, ConnectError::no_source);
  EXPECT_EQ(p.core().connect(web, {Ip{Pair::client_ip}, Port{}}).error, ConnectError::no_source);
}

TEST(Connect, NamesWhatIsMissing) {
  Listening p;
  const auto error = [&](Ip ip) { return p.core().connect({ip, Port{80}}).error; };
  EXPECT_EQ(error(Ip{Ip4{192, 0, 2, 1}}), ConnectError::no_route);
  EXPECT_EQ(error(Ip{Ip4{224, 0, 0, 1}}), ConnectError::no_route);
  EXPECT_EQ(error(Ip{Ip4{10, 0, 0, 255}}), ConnectError::no_route);
  EXPECT_EQ(error(Ip{Pair::client_ip}), ConnectError::no_route);
  EXPECT_EQ(error(Ip{}), ConnectError::no_route);
  p.client.network.set_routes(net::Routes{{{Prefix{Ip{}, 0}, Ip{Pair::server_ip}}}});
  EXPECT_EQ(error(*Ip::parse("2001:db8::1")), ConnectError::no_source);
  EXPECT_EQ(p.client.shard.counters.get(CoreCounter::connects), 0U);
}

TEST(Connect, PortsRunOutAndComeBackWhenConnectionsEnd) {
  Listening p({.ports = {.first = 2000, .last = 2003}});
  std::set<std::uint16_t> ports;
  std::vector<Connection> open;
  for (int i = 0; i < 4; ++i) {
    const Connecting made = p.core().connect(web);
    ASSERT_TRUE(made) << i;
    ports.insert(made.connection.local().port.raw());
    open.push_back(made.connection);
  }
  EXPECT_EQ(ports, (std::set<std::uint16_t>{2000, 2001, 2002, 2003}));
  EXPECT_EQ(p.core().connect(web).error, ConnectError::no_port);
  EXPECT_EQ(p.client.shard.counters.get(CoreCounter::connect_no_port), 1U);
  open[2].abort();
  p.settle();
  EXPECT_TRUE(p.core().connect(web));
}

// RFC 6191: timestamps prove it safe after a second.
TEST(Connect, APortInTimeWaitServesAgainAfterASecond) {
  Listening p({.ports = {.first = 2000, .last = 2000}});
  ASSERT_TRUE(p.core().connect(web));
  p.settle(); // we close first: TIME-WAIT is ours
  ASSERT_EQ(p.client.shard.time_wait4.streams.size(), 1U);
  EXPECT_EQ(p.core().connect(web).error, ConnectError::no_port);
  p.run(Duration::ms(1500), Duration::ms(100));
  Shard& ours = p.client.shard;
  const FlowRef old = ours.flows.find(ours.hasher(p.key(2000)), p.key(2000), ours);
  ASSERT_EQ(old.kind(), FlowKind::time_wait);
  const Seq next = ours.time_wait4.streams.at(old.index()).facts.next_iss();
  const Connecting again = p.core().connect(web);
  ASSERT_TRUE(again);
  EXPECT_EQ(ours.connections.at(again.connection.index()).tcb.iss, next); // above all that the last one sent
  EXPECT_EQ(ours.time_wait4.streams.size(), 0U);
  p.settle();
  EXPECT_EQ(p.client_handler.connected, 2);
}

TEST(Connect, AFullTableIsSaidSo) {
  ShardSettings s;
  s.connections = 2;
  Pair p(s);
  ASSERT_TRUE(p.client.core.handle().connect(web));
  ASSERT_TRUE(p.client.core.handle().connect(web));
  EXPECT_EQ(p.client.core.handle().connect(web).error, ConnectError::no_record);
  // Its port was free all the same, and is so still.
  EXPECT_EQ(p.client.dialer.counts().get(PortCount::free), 3U);
  EXPECT_EQ(p.client.dialer.counts().get(PortCount::taken), 0U);
  EXPECT_EQ(p.client.shard.counters.get(CoreCounter::connects), 2U);
}

// The table of remotes that were lately dialled is small: two that share a place push each other out, and what they
// have opened stays open.
TEST(Connect, RemotesThatPushEachOtherOutGoOnAmongTheirPorts) {
  Listening p;
  Dialer& dialer = p.client.dialer;
  const auto at = [](std::uint16_t port) { return Endpoint{Ip{Pair::server_ip}, Port{port}}; };
  std::uint16_t other = 1001;
  while (&dialer.recent(at(other)) != &dialer.recent(at(1000))) ++other;
  for (int i = 0; i < 100; ++i)
    for (const std::uint16_t port : {std::uint16_t{1000}, other})
      ASSERT_EQ(p.core().connect(at(port)).error, ConnectError::none) << i << ' ' << port;
}

TEST(Connect, AKeyThatRepeatsItselfReachesNotEveryCore) {
  std::vector<std::uint8_t> key(40);
  EXPECT_FALSE(spans(io::Steering::by_software(key, 2)));
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(i * 167 + 13 * i * i + 41);
  EXPECT_TRUE(spans(io::Steering::by_software(key, 2)));
}

// A NIC whose key cannot be changed may have any: one under which ports do not reach every core is not used, and the frames
// that it spreads are looked at and handed over under a key of ours that has passed the same examination.
TEST(Connect, ANicsKeyThatReachesNotEveryCoreIsNotUsed) {
  SteeringKey good{};
  for (std::size_t i = 0; i < good.size(); ++i)
    good[i] = static_cast<std::uint8_t>(i * 167 + 13 * i * i + 41);
  SteeringKey repeats{};
  repeats.fill(0x55);
  const std::array<SteeringKey, 3> ours{SteeringKey{}, repeats, good};
  struct {
    io::PortPlan plan;
    io::RssView rss;
  } nic;
  nic.plan.rss = io::Where::hardware;
  nic.plan.queues = 2;
  for (std::size_t i = 0; i < 128; ++i) nic.rss.reta.push_back(static_cast<io::QueueId>(i % 2));
  std::size_t drawn = 0;
  const auto chosen = [&](const SteeringKey& key, io::CoreId cores) {
    nic.rss.key.assign(key.begin(), key.end());
    drawn = 0;
    return choose_steering(nic.plan, nic.rss, cores, [&] { return ours.at(drawn++); });
  };
  EXPECT_TRUE(chosen(good, 2).by_port());
  EXPECT_EQ(drawn, 0U);
  const auto is_ours = [&](const io::Steering& s, io::CoreId cores) {
    EXPECT_FALSE(s.by_port());
    EXPECT_EQ(drawn, 3U); // the first that passed
    EXPECT_EQ(s.cores(), cores);
    EXPECT_TRUE(spans(s));
  };
  is_ours(chosen(SteeringKey{}, 2), 2);
  is_ours(chosen(repeats, 2), 2);
  is_ours(chosen(good, 3), 3); // fewer queues than cores
  nic.plan.rss = io::Where::software;
  is_ours(chosen(good, 2), 2);
}

TEST(Connect, EverySourceOfABlockIsUsed) {
  const net::Interface self(
      {.mac = {2}, .addresses = {{Ip{Ip4{10, 0, 0, 1}}, 8}}, .pools = {Prefix{Ip{Ip4{10, 1, 0, 0}}, 28}}});
  const DialPlan plan(self, io::Steering{}, {.sources = {Prefix{Ip{Ip4{10, 1, 0, 5}}, 28}}});
  Dialer dialer(plan, 0);
  Dial d = dialer.dial(web);
  std::set<std::string> seen;
  for (int i = 0; i < 16; ++i)
    ASSERT_TRUE(dialer.draw(d, [&](const PortDraw& draw) {
      seen.insert(draw.local().ip.to_string());
      return false;
    }));
  EXPECT_EQ(seen.size(), 16U);
  EXPECT_EQ(*seen.begin(), "10.1.0.0");
}

TEST(Connect, SourcesThatAreNotOursAreRefusedAtStart) {
  const net::Interface self({.mac = {2}, .addresses = {{Ip{Ip4{10, 0, 0, 1}}, 8}}});
  for (const char* foreign : {"10.0.0.0/31", "10.0.0.2", "2001:db8::1", "10.0.0.0/4"})
    EXPECT_THROW(DialPlan(self, io::Steering{}, {.sources = {*Prefix::parse(foreign)}}),
                 std::invalid_argument)
        << foreign;
}

TEST(Connect, RepliesComeToTheCoreThatOpensWhateverSpreadsThem) {
  const net::Interface self(
      {.mac = {2, 0, 0, 0, 0, 1},
       .addresses = {{Ip{Ip4{10, 0, 0, 1}}, 8}, {*Ip::parse("fd00::1"), 64}, {*Ip::parse("fd00::2"), 64}}});
  const std::vector<std::uint8_t> key{0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
                                      0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                      0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
                                      0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
  io::RssView nic{.key = key, .reta = {}};
  for (std::size_t i = 0; i < 128; ++i) nic.reta.push_back(static_cast<io::QueueId>(i % 3));
  for (const io::Steering& steering : {io::Steering::by_port(nic, 3), io::Steering::by_software(key, 3),
                                       io::Steering::by_software(key, 1)}) {
    const DialPlan plan(self, steering, {});
    for (io::CoreId core = 0; core < steering.cores(); ++core) {
      Dialer dialer(plan, core);
      for (const char* to : {"10.0.0.2", "10.200.3.4", "fd00::77", "fd00::78"}) {
        const Endpoint remote{*Ip::parse(to), Port{443}};
        Dial& d = dialer.recent(remote);
        d = dialer.dial(remote);
        for (int i = 0; i < 100; ++i)
          ASSERT_TRUE(dialer.draw(d, [&](const PortDraw& draw) {
            const Endpoint local = draw.local();
            EXPECT_EQ(steering.owner(remote.ip, local.ip, remote.port, local.port), core);
            return false;
          }));
      }
    }
  }
}

} // namespace connect_test
} // namespace tern
