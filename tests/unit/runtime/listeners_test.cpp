// Who listens where: a wildcard, one address, a range of ports; which of several takes a SYN; both families.
#include "runtime/listener.hpp"

#include <gtest/gtest.h>

#include <map>

#include "io/memory_pair.hpp"
#include "runtime/core.hpp"
#include "support/eal.hpp"

namespace tern {
namespace listeners_test {

const Ip one{Ip4{10, 0, 0, 2}};
const Ip two{Ip4{10, 0, 0, 3}};
const Ip six = *Ip::parse("2001:db8::2");

ListenerSettings at(const Ip& ip, std::uint16_t first, std::uint16_t last) {
  return {.ip = ip, .first = Port{first}, .last = Port{last}};
}

TEST(Listeners, AWildcardTakesEveryAddressOfBothFamilies) {
  Listeners l;
  ASSERT_TRUE(l.add(at(Ip{}, 80, 80)));
  for (const Ip& ip : {one, two, six}) {
    EXPECT_EQ(l.find(ip, Port{80}), 0);
    EXPECT_EQ(l.find(ip, Port{81}), Listeners::none);
  }
}

TEST(Listeners, OneAddressIsNoOthers) {
  Listeners l;
  ASSERT_TRUE(l.add(at(one, 80, 80)));
  ASSERT_TRUE(l.add(at(six, 80, 80)));
  EXPECT_EQ(l.find(one, Port{80}), 0);
  EXPECT_EQ(l.find(six, Port{80}), 1);
  EXPECT_EQ(l.find(two, Port{80}), Listeners::none);
}

TEST(Listeners, ARangeHoldsBothItsEnds) {
  Listeners l;
  ASSERT_TRUE(l.add(at(Ip{}, 1000, 1999)));
  ASSERT_TRUE(l.add(at(Ip{}, 65'535, 65'535)));
  EXPECT_EQ(l.find(one, Port{999}), Listeners::none);
  EXPECT_EQ(l.find(one, Port{1000}), 0);
  EXPECT_EQ(l.find(one, Port{1999}), 0);
  EXPECT_EQ(l.find(one, Port{2000}), Listeners::none);
  EXPECT_EQ(l.find(one, Port{65'535}), 1);
}

// Whatever the order in which they were added, and however wide they are.
TEST(Listeners, AnAddressOfItsOwnGoesBeforeTheWildcard) {
  for (const bool wildcard_first : {true, false}) {
    Listeners l;
    const ListenerSettings own_one = at(one, 1, 65'535);
    const ListenerSettings wildcard = at(Ip{}, 80, 80);
    ASSERT_TRUE(l.add(wildcard_first ? wildcard : own_one));
    ASSERT_TRUE(l.add(wildcard_first ? own_one : wildcard));
    const std::uint8_t own = wildcard_first ? 1 : 0;
    EXPECT_EQ(l.find(one, Port{80}), own);
    EXPECT_EQ(l.find(two, Port{80}), 1 - own);
    EXPECT_EQ(l.find(six, Port{80}), 1 - own);
    EXPECT_EQ(l.find(two, Port{81}), Listeners::none);
  }
}

// Settings refuse such ranges (check_listen); who adds them to a Core by himself gets the first.
TEST(Listeners, OfTwoThatOverlapTheFirstTakesWhatBothDo) {
  Listeners l;
  ASSERT_TRUE(l.add(at(Ip{}, 80, 90)));
  ASSERT_TRUE(l.add(at(Ip{}, 85, 95)));
  EXPECT_EQ(l.find(one, Port{85}), 0);
  EXPECT_EQ(l.find(one, Port{90}), 0);
  EXPECT_EQ(l.find(one, Port{91}), 1);
}

TEST(Listeners, AClosedOneLeavesItsPlaceToTheWildcard) {
  Listeners l;
  ASSERT_TRUE(l.add(at(Ip{}, 80, 80)));
  ASSERT_TRUE(l.add(at(one, 80, 80)));
  l.put(1, at(one, 80, 80), true);
  EXPECT_EQ(l.find(one, Port{80}), 0);
  l.close_all();
  EXPECT_EQ(l.find(one, Port{80}), Listeners::none);
}

TEST(Listeners, ThereAreAtMost254) {
  Listeners l;
  for (unsigned i = 0; i < Listeners::most; ++i)
    ASSERT_TRUE(l.add(at(Ip{}, static_cast<std::uint16_t>(i + 1), static_cast<std::uint16_t>(i + 1))));
  EXPECT_FALSE(l.add(at(Ip{}, 1000, 1000)));
  EXPECT_EQ(l.find(one, Port{254}), 253);
  EXPECT_EQ(l.find(one, Port{1000}), Listeners::none);
}

// ---- Of whole Cores: the listener that a connection came by, over IPv4 and IPv6.

struct Quiet {
  void on_closed(Connection, CloseReason r) { reasons[r]++; }
  std::map<CloseReason, int> reasons;
};

struct Listening : testing::Test {
  struct End {
    End(io::MemoryPort& port, std::vector<net::Address> addresses, PacketPool pool, Instant now)
        : self({.mac = port.mac(), .addresses = addresses}),
          network(self, net::Routes{}, pool, {.key = {1, 2}}),
          shard(process_arena(), settings(addresses), pool, now),
          core(shard, network, port, 0, handler) {}
    static ShardSettings settings(const std::vector<net::Address>& addresses) {
      ShardSettings s;
      for (const auto& a : addresses)
        if (!a.ip.is_v4()) s.addresses6.push_back(a.ip);
      return s;
    }
    net::Interface self;
    net::Network network;
    Shard shard;
    Quiet handler;
    Core<io::MemoryPort, Quiet> core;
  };

  void settle() {
    for (int idle = 0; idle < 3;) {
      const bool a = client.core.poll(now);
      const bool b = server.core.poll(now);
      idle = a || b ? 0 : idle + 1;
    }
  }
  // By which listener `to` is let in; none: refused.
  std::uint8_t came_by(const Ip& to, std::uint16_t port) {
    const Ip from = to.is_v4() ? Ip{Ip4{10, 0, 0, 1}} : *Ip::parse("2001:db8::1");
    const Connecting made = client.core.handle().connect({to, Port{port}}, {from, Port{++local_}});
    EXPECT_TRUE(made);
    const int refused = client.handler.reasons[CloseReason::Refused];
    settle();
    if (client.handler.reasons[CloseReason::Refused] != refused) return Listeners::none;
    const FlowKey key{{from, Port{local_}}, {to, Port{port}}};
    const FlowRef ref = to.is_v4()
                            ? server.shard.flows.find(server.shard.hasher(key.v4()), key.v4(), server.shard)
                            : server.shard.flows.find(server.shard.hasher(static_cast<const FlowKey6&>(key)),
                                                      static_cast<const FlowKey6&>(key), server.shard);
    EXPECT_TRUE(ref && ref.kind() == FlowKind::connection);
    return ref ? server.shard.connections.at(ref.index()).listener : Listeners::none;
  }

  Instant now = Instant::at_ns(5'000'000'000);
  test::TestPool pool;
  io::MemoryPair pair{io::MemoryPairSettings{}};
  End client{pair.a(), {{Ip{Ip4{10, 0, 0, 1}}, 24}, {*Ip::parse("2001:db8::1"), 64}}, pool.pool(), now};
  End server{pair.b(), {{one, 24}, {two, 24}, {six, 64}}, pool.pool(), now};
  std::uint16_t local_ = 5000;
};

TEST_F(Listening, EachConnectionComesByTheListenerThatIsNearestToIt) {
  Listeners& l = server.shard.listeners;
  ASSERT_TRUE(l.add(at(Ip{}, 80, 89)));
  ASSERT_TRUE(l.add(at(one, 85, 85)));
  ASSERT_TRUE(l.add(at(six, 443, 444)));
  EXPECT_EQ(came_by(one, 80), 0);
  EXPECT_EQ(came_by(one, 85), 1);
  EXPECT_EQ(came_by(two, 85), 0);
  EXPECT_EQ(came_by(six, 85), 0);
  EXPECT_EQ(came_by(six, 89), 0);
  EXPECT_EQ(came_by(six, 444), 2);
  EXPECT_EQ(came_by(one, 443), Listeners::none);
  EXPECT_EQ(came_by(two, 90), Listeners::none);
  EXPECT_EQ(came_by(six, 79), Listeners::none);
  EXPECT_EQ(l[0].open, 4U);
  EXPECT_EQ(l[1].open, 1U);
  EXPECT_EQ(l[2].open, 1U);
}

// What one listener may have is counted for it alone.
TEST_F(Listening, AFullListenerDoesNotFillTheOthers) {
  ListenerSettings narrow = at(one, 80, 80);
  narrow.connections = 1;
  ASSERT_TRUE(server.shard.listeners.add(narrow));
  ASSERT_TRUE(server.shard.listeners.add(at(Ip{}, 80, 80)));
  EXPECT_EQ(came_by(one, 80), 0);
  const Connecting second = client.core.handle().connect({one, Port{80}}, {Ip{Ip4{10, 0, 0, 1}}, Port{6000}});
  settle();
  EXPECT_EQ(second.connection.state(),
            tcp::State::SynSent); // its SYN is dropped; it does not fall to the wildcard
  EXPECT_EQ(server.shard.tcp_counters.get(tcp::Counter::accept_queue_full), 1U);
  EXPECT_EQ(came_by(two, 80), 1);
  EXPECT_EQ(came_by(six, 80), 1);
}

} // namespace listeners_test
} // namespace tern
