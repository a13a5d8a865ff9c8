// Next hops by number: found again by route and by address, never another's, and never out of numbers.
#include "runtime/hops.hpp"

#include <gtest/gtest.h>

#include <set>

#include "support/eal.hpp"

namespace tern {
namespace hops_test {

constexpr Ip4 near_router{10, 0, 0, 254};
constexpr Ip4 far_router{10, 0, 0, 253};

Ip4 on_link(std::uint32_t n) {
  return Ip4{Be32{10U << 24 | (n & 0xffff)}};
}
Ip4 off_link(std::uint32_t n) {
  return Ip4{Be32{172U << 24 | 16U << 16 | (n & 0xffff)}};
}
Prefix prefix(const char* text) {
  return *Prefix::parse(text);
}

struct HopsTest : testing::Test {
  static net::NetworkSettings settings() {
    net::NetworkSettings s;
    s.neighbours = 64;
    return s;
  }
  net::Neighbour& known(const Ip& ip) {
    bool evicted = false;
    net::Neighbour& n = network.neighbours().find_or_add(ip, evicted);
    n.state = net::NeighbourState::reachable;
    n.deadline = Instant::at_ns(++clock_); // the oldest is evicted
    return n;
  }
  // What a Core does with the first segment towards an address.
  std::uint16_t learn(const Ip& remote, const Ip& neighbour) {
    return hops.towards(remote.is_v4() ? remote.v4() : Ip4{}) = hops.number(known(neighbour), remote);
  }

  test::TestPool pool;
  net::Interface self{{.addresses = {{Ip{Ip4{10, 0, 0, 1}}, 16}, {*Ip::parse("2001:db8::1"), 64}}}};
  net::Network network{self,
                       net::Routes{{{prefix("0.0.0.0/0"), Ip{near_router}},
                                    {prefix("172.16.128.0/17"), Ip{far_router}},
                                    {prefix("::/0"), *Ip::parse("2001:db8::fe")}}},
                       pool.pool(), settings()};
  Hops hops{network};

 private:
  std::int64_t clock_ = 0;
};

TEST_F(HopsTest, AllThatARouterServesShareItsNumber) {
  const std::uint16_t number = learn(Ip{off_link(1)}, Ip{near_router});
  ASSERT_NE(number, 0);
  for (std::uint32_t i = 0; i < 10'000; ++i) EXPECT_EQ(hops.towards(off_link(i & 0x7fff)), number) << i;
  EXPECT_EQ(hops.find(number, off_link(77)), network.neighbours().find(Ip{near_router}));
  EXPECT_EQ(hops.towards(off_link(0x8000)), 0) << "another route's";
  EXPECT_NE(learn(Ip{off_link(0x8000)}, Ip{far_router}), number);
}

TEST_F(HopsTest, ARouterWhoseRecordMovedIsFoundByAllOnceOneHasAsked) {
  const std::uint16_t number = learn(Ip{off_link(1)}, Ip{near_router});
  network.neighbours().remove(*network.neighbours().find(Ip{near_router}));
  EXPECT_EQ(hops.find(number, off_link(2)), nullptr);
  EXPECT_EQ(learn(Ip{off_link(1)}, Ip{near_router}), number);
  EXPECT_EQ(hops.find(number, off_link(2)), network.neighbours().find(Ip{near_router}));
}

TEST_F(HopsTest, APlaceThatChangedHandsIsNotTheFirstOnesAnyMore) {
  const std::uint16_t number = learn(Ip{on_link(1)}, Ip{on_link(1)});
  ASSERT_EQ(hops.find(number, on_link(1)), network.neighbours().find(Ip{on_link(1)}));
  for (std::uint32_t i = 2; network.neighbours().find(Ip{on_link(1)}) != nullptr; ++i)
    (void)known(Ip{on_link(i)});
  EXPECT_EQ(hops.find(number, on_link(1)), nullptr);
}

TEST_F(HopsTest, NumbersDoNotRunOut) {
  std::set<std::uint16_t> all;
  for (std::uint32_t i = 1; i < 200'000; ++i) {
    const Ip4 remote = on_link(i);
    const std::uint16_t number = learn(Ip{remote}, Ip{remote});
    ASSERT_EQ(hops.find(number, remote), network.neighbours().find(Ip{remote})) << i;
    all.insert(number);
  }
  EXPECT_LE(all.size(), 64U);
  EXPECT_FALSE(all.contains(0));
}

TEST_F(HopsTest, NewRoutesLeadElsewhere) {
  const std::uint16_t number = learn(Ip{off_link(1)}, Ip{near_router});
  network.set_routes(net::Routes{{{prefix("0.0.0.0/0"), Ip{far_router}}}});
  EXPECT_EQ(hops.towards(off_link(1)), 0);
  EXPECT_NE(learn(Ip{off_link(1)}, Ip{far_router}), number);
  network.set_routes({});
  EXPECT_EQ(hops.towards(off_link(1)), 0);
}

// The 1,025th has none, and those that have one keep it.
TEST_F(HopsTest, GatewaysBeyondTheLimitHaveNoNumberAndTakeNobodysAway) {
  const auto gateway = [](std::uint32_t i) { return Ip{Ip4{Be32{10U << 24 | 1U << 16 | i}}}; };
  std::vector<std::uint16_t> numbers;
  for (std::uint32_t i = 0; i < 1024; ++i) {
    numbers.push_back(hops.number(known(gateway(i)), Ip{off_link(i)}));
    ASSERT_NE(numbers.back(), 0) << i;
  }
  EXPECT_EQ(std::set<std::uint16_t>(numbers.begin(), numbers.end()).size(), 1024U);
  for (std::uint32_t i = 1024; i < 1100; ++i)
    EXPECT_EQ(hops.number(known(gateway(i)), Ip{off_link(i)}), 0) << i;
  EXPECT_EQ(hops.find(0, off_link(1050)), nullptr); // the network layer is asked
  for (std::uint32_t i = 0; i < 1024; ++i) {
    ASSERT_EQ(hops.number(known(gateway(i)), Ip{off_link(i)}), numbers[i]) << i;
    ASSERT_EQ(hops.find(numbers[i], off_link(i)), network.neighbours().find(gateway(i))) << i;
  }
}

TEST_F(HopsTest, SixAsFour) {
  const Ip near = *Ip::parse("2001:db8::77");
  const Ip afar = *Ip::parse("2001:db8:1::77");
  const Ip router = *Ip::parse("2001:db8::fe");
  const std::uint16_t direct = hops.number(known(near), near);
  EXPECT_EQ(hops.find(direct, near), network.neighbours().find(near));
  EXPECT_EQ(hops.find(direct, afar), nullptr);
  const std::uint16_t routed = hops.number(known(router), afar);
  hops.towards(afar) = routed;
  EXPECT_EQ(hops.towards(*Ip::parse("2001:db8:2::1")), routed);
  EXPECT_EQ(hops.towards(near), 0);
  EXPECT_EQ(hops.find(routed, afar), network.neighbours().find(router));
}

} // namespace hops_test
} // namespace tern
