#include "flow/flow_hash.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <string>
#include <vector>

namespace tern {
namespace flow_hash_test {

constexpr unsigned seeds = 8;
SipKey seed(unsigned i) {
  return {0x1234567 + i, 0x89abcdef * (i + 1)};
}

template <class Key>
Key key_of(std::uint32_t n);
template <>
FlowKey4 key_of<FlowKey4>(std::uint32_t n) {
  return {Ip4{10, 0, static_cast<std::uint8_t>(n >> 24), static_cast<std::uint8_t>(n >> 16)},
          Ip4{192, 0, 2, 1}, Be16{static_cast<std::uint16_t>(n)}, Be16{443}};
}
template <>
FlowKey6 key_of<FlowKey6>(std::uint32_t n) {
  return FlowKey{key_of<FlowKey4>(n)};
}

// Every bit of the key changes every bit of the hash that is used (32 of the bucket, 15 of the tag) half of
// the time.
template <class Key>
void expect_avalanche() {
  constexpr int samples = 2000;
  const FlowHasher hash{seed(0)};
  for (std::size_t bit = 0; bit < sizeof(Key) * 8; ++bit) {
    std::vector<int> flips(64);
    for (std::uint32_t n = 0; n < samples; ++n) {
      Key a = key_of<Key>(n * 977);
      Key b = a;
      reinterpret_cast<unsigned char*>(&b)[bit / 8] ^= static_cast<unsigned char>(1U << (bit % 8));
      const std::uint64_t changed = hash(a).value ^ hash(b).value;
      for (std::size_t out = 0; out < 64; ++out) flips[out] += static_cast<int>(changed >> out & 1);
    }
    for (std::size_t out = 0; out < 64; ++out) {
      if (out >= 15 && out < 32) continue;
      // Six standard deviations of a fair coin: 6 x sqrt(2000) / 2.
      EXPECT_NEAR(flips[out], samples / 2, 135) << "key bit " << bit << ", hash bit " << out;
    }
  }
}
TEST(FlowHash, EveryKeyBitFlipsEveryHashBitHalfTheTime) {
  expect_avalanche<FlowKey4>();
  expect_avalanche<FlowKey6>();
}

// Keys as networks make them.
struct Set {
  std::string name;
  std::function<FlowKey4(std::uint32_t)> key;
};
Ip4 ip(std::uint32_t v) {
  return Ip4{Be32{v}};
}
Be16 port(std::uint32_t v) {
  return Be16{static_cast<std::uint16_t>(v)};
}
const std::vector<Set>& sets() {
  static const std::vector<Set> all = {
      {"one client, all ports",
       [](std::uint32_t n) {
         return FlowKey4{ip(0x0a000001 + (n >> 16)), ip(0x0a000002), port(n), port(80)};
       }},
      {"clients in a row, one port",
       [](std::uint32_t n) {
         return FlowKey4{ip(0x0a000000 + n), ip(0x0a000002), port(40000), port(80)};
       }},
      {"a client in each /24",
       [](std::uint32_t n) {
         return FlowKey4{ip(n << 8), ip(0x0a000002), port(1), port(80)};
       }},
      {"one client, all our ports",
       [](std::uint32_t n) {
         return FlowKey4{ip(1 + (n >> 16)), ip(0x0a000002), port(1024), port(n)};
       }},
      {"even ports only",
       [](std::uint32_t n) {
         return FlowKey4{ip(0x0a000001 + (n >> 15)), ip(0x0a000002), port(n << 1), port(80)};
       }},
      {"both addresses together",
       [](std::uint32_t n) {
         return FlowKey4{ip(0x0a000000 + n), ip(0x0b000000 + n), port(7), port(80)};
       }},
      {"address and port together",
       [](std::uint32_t n) {
         return FlowKey4{ip(0x0a000000 + n), ip(0x0a000002), port(n), port(n)};
       }},
  };
  return all;
}

struct Spread {
  double chi = 0; // chi-square, in standard deviations from its mean
  unsigned most = 0;
};
template <class Hash>
Spread spread_of(std::uint32_t n, std::uint32_t bins, Hash&& bin_of) {
  std::vector<unsigned> count(bins);
  for (std::uint32_t i = 0; i < n; ++i) ++count[bin_of(i)];
  const double mean = double(n) / bins;
  double chi = 0;
  for (const unsigned c : count) chi += (c - mean) * (c - mean) / mean;
  return {(chi - (bins - 1)) / std::sqrt(2.0 * (bins - 1)), *std::max_element(count.begin(), count.end())};
}

TEST(FlowHash, BucketsOfRegularKeysFillAsByChanceOrMoreEvenly) {
  constexpr std::uint32_t n = 1 << 17, bins = n / 8;
  for (const Set& s : sets()) {
    for (unsigned i = 0; i < seeds; ++i) {
      const FlowHasher hash{seed(i)};
      const Spread got = spread_of(n, bins, [&](std::uint32_t k) {
        return static_cast<std::uint32_t>((hash(s.key(k)).value >> 32) * bins >> 32);
      });
      EXPECT_LT(got.chi, 5) << s.name << ", seed " << i;
      EXPECT_LT(got.most, 36U) << s.name << ", seed "
                               << i; // mean 8: P(Poisson(8) >= 36) x 16,384 bins x 56 < 10^-6
    }
  }
}

TEST(FlowHash, TagsOfRegularKeysSpreadOverAllValues) {
  constexpr std::uint32_t n = 1 << 17, bins = 1 << 12;
  for (const Set& s : sets()) {
    for (unsigned i = 0; i < seeds; ++i) {
      const FlowHasher hash{seed(i)};
      const auto got = spread_of(n, bins, [&](std::uint32_t k) {
        return static_cast<std::uint32_t>(hash(s.key(k)).value & (bins - 1));
      });
      EXPECT_LT(got.chi, 5) << s.name << ", seed " << i;
    }
  }
}

// 47 bits are used: of 2^18 keys, 2^35 pairs, one collides every 4,096 sets.
TEST(FlowHash, BucketAndTagTogetherHardlyEverCollide) {
  unsigned collisions = 0;
  for (const Set& s : sets()) {
    std::vector<std::uint64_t> used;
    const FlowHasher hash{seed(3)};
    for (std::uint32_t k = 0; k < 1 << 18; ++k) used.push_back(hash(s.key(k)).value & 0xffffffff00007fff);
    std::sort(used.begin(), used.end());
    collisions += static_cast<unsigned>(used.end() - std::unique(used.begin(), used.end()));
  }
  EXPECT_LE(collisions, 1U);
}

// What collides under one seed is apart under the next: a peer that found out (by whatever leak) must begin
// anew.
TEST(FlowHash, KeysThatShareABucketUnderOneSeedPartUnderAnother) {
  constexpr std::uint32_t bins = 1 << 10;
  const FlowHasher one{seed(1)}, two{seed(2)};
  const auto bin = [](FlowHash h) { return static_cast<std::uint32_t>((h.value >> 32) * bins >> 32); };
  std::vector<FlowKey4> together;
  for (std::uint32_t k = 0; together.size() < 2048; ++k)
    if (bin(one(key_of<FlowKey4>(k))) == 5) together.push_back(key_of<FlowKey4>(k));
  const auto got = spread_of(2048, bins, [&](std::uint32_t k) { return bin(two(together[k])); });
  EXPECT_LT(got.chi, 5);
}

TEST(FlowHash, FamiliesAreHashedApart) {
  const FlowHasher hash{seed(0)};
  const FlowKey4 four = key_of<FlowKey4>(9);
  EXPECT_NE(hash(four), hash(FlowKey6{FlowKey{four}}));
}

TEST(FlowKey, SameFlowComparesAllTwelveBytes) {
  const FlowKey4 a = key_of<FlowKey4>(77);
  for (std::size_t i = 0; i < sizeof a; ++i) {
    FlowKey4 b = a;
    EXPECT_TRUE(same_flow(&b, a));
    reinterpret_cast<unsigned char*>(&b)[i] ^= 0x40;
    EXPECT_FALSE(same_flow(&b, a)) << i;
  }
}

TEST(FlowKey, EitherFamilyRoundTrips) {
  const FlowKey4 four = key_of<FlowKey4>(5);
  const FlowKey key{four};
  EXPECT_TRUE(key.is_v4());
  EXPECT_EQ(key.v4(), four);
  const FlowKey six{Endpoint{*Ip::parse("2001:db8::1"), Port{1}},
                    Endpoint{*Ip::parse("2001:db8::2"), Port{2}}};
  EXPECT_FALSE(six.is_v4());
  EXPECT_EQ(six.remote_port.host(), 1);
}

} // namespace flow_hash_test
} // namespace tern
