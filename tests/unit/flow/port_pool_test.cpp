#include "flow/port_pool.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include "wire/toeplitz.hpp"

namespace tern {
namespace port_pool_test {

using Key = wire::ToeplitzKey;
using Owners = std::vector<std::uint16_t>;

// Of Microsoft's "Verifying the RSS hash calculation".
constexpr Key microsoft = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
                           0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
                           0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

// The whole hash of the reply, not put together of shares as the pool has it.
std::uint32_t hash_of_reply(const Key& key, Endpoint remote, Endpoint local) {
  return wire::Toeplitz(key).hash(remote.ip, local.ip, remote.port, local.port);
}

Sources sources_of(std::initializer_list<std::pair<const char*, std::uint32_t>> blocks) {
  Sources s;
  for (const auto& [ip, count] : blocks) s.add(*Ip::parse(ip), count);
  return s;
}
Key random_key(std::mt19937& rng) {
  Key k;
  for (auto& b : k) b = static_cast<std::uint8_t>(rng());
  return k;
}
Key filled(std::uint8_t b) {
  Key k;
  k.fill(b);
  return k;
}
const wire::Toeplitz toeplitz{microsoft};

TEST(PortPool, RepliesComeToThisCoreForAnyKeyAndReta) {
  std::mt19937 rng(7);
  const auto v4 = sources_of({{"10.0.0.250", 20}, {"192.168.1.1", 1}});
  const auto v6 = sources_of({{"2001:db8::fff0", 100}});
  int rounds = 0;
  for (int round = 0; round < 60; ++round) {
    const Key key = round == 0 ? microsoft : random_key(rng);
    const std::uint32_t size = 1U << rng() % 10;
    const auto cores = static_cast<std::uint16_t>(1 + rng() % 6);
    Owners owners(size);
    for (auto& o : owners) o = static_cast<std::uint16_t>(rng() % cores);
    const std::uint16_t core = owners[rng() % size];
    const PortRange range{static_cast<std::uint16_t>(1024 + rng() % 3000),
                          static_cast<std::uint16_t>(65535 - rng() % 3000)};
    const PortTable table(wire::Toeplitz{key}, size, range, rng());
    PortPool pool(table, owners, core);
    const bool is_v4 = round % 3 != 0;
    const Endpoint remote{
        is_v4 ? Ip{Ip4{Be32{static_cast<std::uint32_t>(rng())}}} : *Ip::parse("2001:db8:7::9"),
        Port{static_cast<std::uint16_t>(rng())}};
    const Sources& sources = is_v4 ? v4 : v6;
    PortCursor cursor = pool.cursor(remote, rng());
    if (!table.spans(is_v4)) continue; // at 512 entries, one random key in a hundred
    ++rounds;
    for (int i = 0; i < 500; ++i) {
      const auto draw = pool.draw(cursor, sources, [](const PortDraw&) { return false; });
      ASSERT_TRUE(draw.has_value());
      ASSERT_GE(draw->port.raw(), range.first);
      ASSERT_LE(draw->port.raw(), range.last);
      ASSERT_EQ(owners[hash_of_reply(key, remote, draw->local()) % size], core) << draw->local().to_string();
    }
  }
  EXPECT_GT(rounds, 50);
}

// Through one whole round and into the next: every pair once, and then again in the same order.
void expect_fifo(PortPool& pool, const Sources& sources, Endpoint remote) {
  PortCursor cursor = pool.cursor(remote, 99);
  std::uint32_t expected = 0;
  for (const auto& block : sources.blocks())
    for (std::uint32_t i = 0; i < block.count; ++i) expected += pool.ports_from(cursor, block.at(i));
  std::vector<Endpoint> order;
  std::set<std::pair<Ip::Bytes, Port>> seen;
  for (std::uint32_t i = 0; i < expected; ++i) {
    const auto draw = pool.draw(cursor, sources, [](const PortDraw&) { return false; });
    ASSERT_TRUE(draw.has_value());
    order.push_back(draw->local());
    ASSERT_TRUE(seen.emplace(draw->local().ip.bytes(), draw->port).second) << "again, before all others";
  }
  for (std::uint32_t i = 0; i < 1000; ++i)
    ASSERT_EQ(pool.draw(cursor, sources, [](const PortDraw&) { return false; })->local(),
              order[i % expected]);
}

TEST(PortPool, PortsRecycleFirstInFirstOut) {
  const PortTable table(toeplitz, 128, {1111, 60000}, 5); // lists of different lengths
  Owners two(128);
  for (std::size_t i = 0; i < 128; ++i) two[i] = static_cast<std::uint16_t>(i % 2);
  Owners one(128, 0);
  PortPool half(table, two, 1);
  PortPool all(table, one, 0);
  const auto remote = *Endpoint::parse("10.1.1.1:80");
  expect_fifo(half, sources_of({{"10.0.0.1", 1}}), remote);
  expect_fifo(half, sources_of({{"10.0.0.1", 3}, {"10.0.9.1", 1}}), remote);
  expect_fifo(half, sources_of({{"2001:db8::1", 2}}), *Endpoint::parse("[2001:db8::80]:443"));
  expect_fifo(all, sources_of({{"10.0.0.1", 4}}), remote);
}

TEST(PortPool, OneCoreHasEveryPortOfTheRange) {
  const PortTable table(toeplitz, 1, {2000, 2999}, 5);
  PortPool pool(table, Owners{3}, 3);
  const auto sources = sources_of({{"10.0.0.1", 1}});
  PortCursor cursor = pool.cursor(*Endpoint::parse("10.1.1.1:80"), 1);
  std::set<Port> seen;
  for (int i = 0; i < 1000; ++i)
    seen.insert(pool.draw(cursor, sources, [](const PortDraw&) { return false; })->port);
  EXPECT_EQ(seen.size(), 1000U);
  EXPECT_EQ(seen.begin()->raw(), 2000);
  EXPECT_EQ(seen.rbegin()->raw(), 2999);
}

// Four ports, five hundred lists: the cores share them, and whoever has some finds them all, one after another.
TEST(PortPool, ANarrowRangeIsFoundByWhoHasIt) {
  const PortTable table(toeplitz, 512, {40000, 40003}, 5);
  const auto sources = sources_of({{"10.0.0.1", 1}});
  for (const std::uint16_t cores : {std::uint16_t{2}, std::uint16_t{16}}) {
    Owners owners(512);
    for (std::size_t i = 0; i < owners.size(); ++i) owners[i] = static_cast<std::uint16_t>(i % cores);
    std::set<Port> of_all;
    for (std::uint16_t core = 0; core < cores; ++core) {
      PortPool pool(table, owners, core);
      PortCursor cursor = pool.cursor(*Endpoint::parse("10.1.1.1:80"), core);
      const std::uint32_t mine = pool.ports_from(cursor, *Ip::parse("10.0.0.1"));
      std::set<Port> seen;
      for (std::uint32_t i = 0; i < mine; ++i) {
        const auto draw = pool.draw(cursor, sources, [](const PortDraw&) { return false; });
        ASSERT_TRUE(draw.has_value()) << cores;
        EXPECT_EQ(owners[hash_of_reply(microsoft, *Endpoint::parse("10.1.1.1:80"), draw->local()) % 512],
                  core);
        seen.insert(draw->port);
        of_all.insert(draw->port);
      }
      EXPECT_EQ(seen.size(), mine);
      EXPECT_EQ(pool.counts().get(PortCount::exhausted), 0U);
    }
    EXPECT_EQ(of_all.size(), 4U);
  }
}

TEST(PortPool, AMillionSourcesTakeTurns) {
  const PortTable table(toeplitz, 128, {}, 5);
  PortPool pool(table, Owners(128, 0), 0);
  const auto sources = sources_of({{"10.0.0.0", 1'000'000}});
  PortCursor cursor = pool.cursor(*Endpoint::parse("192.0.2.1:80"), 1);
  std::optional<PortDraw> first;
  for (std::uint32_t i = 0; i <= 1'000'000; ++i) {
    const auto draw = pool.draw(cursor, sources, [](const PortDraw&) { return false; });
    ASSERT_TRUE(draw.has_value());
    if (i == 0) first = draw;
    ASSERT_EQ(draw->source(), i % 1'000'000);
    if (i == 999'999) {
      EXPECT_EQ(draw->local().ip.to_string(), "10.15.66.63");
      EXPECT_EQ(draw->port, first->port);
    }
    ASSERT_TRUE(i < 1'000'000 || draw->port != first->port);
  }
}

TEST(PortPool, ExhaustionIsBoundedAndCounted) {
  const PortTable table(toeplitz, 128, {}, 5);
  Owners owners(128, 0);
  owners[0] = 1;
  PortPool pool(table, owners, 0);
  const auto sources = sources_of({{"10.0.0.1", 1}});
  PortCursor cursor = pool.cursor(*Endpoint::parse("10.1.1.1:80"), 1);
  for (unsigned i = 1; i <= 10; ++i) {
    unsigned probes = 0;
    const auto draw = pool.draw(cursor, sources, [&](const PortDraw&) {
      ++probes;
      return true;
    });
    EXPECT_FALSE(draw.has_value());
    EXPECT_EQ(probes, PortPool::default_tries);
    EXPECT_EQ(pool.counts().get(PortCount::exhausted), i);
    EXPECT_EQ(pool.counts().get(PortCount::taken), i * PortPool::default_tries);
  }
  EXPECT_EQ(pool.counts().get(PortCount::free), 0U);
}

TEST(PortPool, ALongRunOfTakenPortsIsPassedInTime) {
  const PortTable table(toeplitz, 128, {}, 5);
  PortPool pool(table, Owners(128, 0), 0);
  const auto sources = sources_of({{"10.0.0.1", 1}});
  PortCursor cursor = pool.cursor(*Endpoint::parse("10.1.1.1:80"), 1);
  std::set<Port> held; // 1,000 connections that stay
  for (int i = 0; i < 1000; ++i)
    held.insert(pool.draw(cursor, sources, [](const PortDraw&) { return false; })->port);
  const auto taken = [&](const PortDraw& d) { return held.contains(d.port); };
  unsigned good = 0;
  for (std::uint32_t i = 0; i < 2 * table.ports(); ++i)
    if (const auto draw = pool.draw(cursor, sources, taken)) {
      ASSERT_FALSE(held.contains(draw->port));
      ++good;
    }
  EXPECT_GE(good, 2 * table.ports() - 200); // 1,000 in tries of 16, twice
  EXPECT_EQ(pool.counts().get(PortCount::free), 1000 + good);
  EXPECT_EQ(pool.counts().get(PortCount::taken), 2000U);
}

TEST(PortPool, KeysThatDoNotSpanTheRetaAreDetected) {
  std::mt19937 rng(3);
  std::vector<Key> keys{filled(0), filled(0xff), microsoft, wire::symmetric_toeplitz_key};
  for (int i = 0; i < 4; ++i) keys.push_back(random_key(rng));
  unsigned bad = 0;
  for (const Key& key : keys)
    for (const std::uint32_t size : {1U, 128U, 512U})
      for (const PortRange range : {PortRange{}, PortRange{5000, 5099}})
        for (const bool v4 : {true, false}) {
          const PortTable table(wire::Toeplitz{key}, size, range, 1);
          const Ip zero = v4 ? Ip{Ip4{0, 0, 0, 0}} : Ip{};
          std::array<std::uint32_t, 16> bit;
          for (unsigned i = 0; i < 16; ++i)
            bit[i] = hash_of_reply(key, {zero, Port{0}}, {zero, Port{static_cast<std::uint16_t>(1U << i)}});
          std::set<std::uint32_t> reached;
          for (std::uint32_t p = range.first; p <= range.last; ++p) {
            std::uint32_t hash = 0;
            for (unsigned i = 0; i < 16; ++i) hash ^= (p >> i & 1) != 0 ? bit[i] : 0;
            reached.insert(hash % size);
          }
          ASSERT_EQ(table.spans(v4), reached.size() == size);
          bad += table.spans(v4) ? 0 : 1;
        }
  EXPECT_GT(bad, 8U);
}

TEST(PortPool, BadSettingsAreRefused) {
  EXPECT_THROW(PortTable(toeplitz, 100, {}, 1), std::invalid_argument);
  EXPECT_THROW(PortTable(toeplitz, 0, {}, 1), std::invalid_argument);
  EXPECT_THROW(PortTable(toeplitz, 128, {3000, 2000}, 1), std::invalid_argument);
  EXPECT_THROW(PortTable(toeplitz, 128, {0, 2000}, 1), std::invalid_argument);
  Sources s;
  EXPECT_THROW(s.add(*Ip::parse("10.0.0.1"), 0), std::invalid_argument);
  EXPECT_THROW(s.add(*Ip::parse("255.255.255.255"), 2), std::invalid_argument);
  s.add(*Ip::parse("255.255.255.255"), 1);
  EXPECT_THROW(s.add(*Ip::parse("2001:db8::1"), 1), std::invalid_argument);
  EXPECT_EQ(s.count(), 1U);
}

} // namespace port_pool_test
} // namespace tern
