#include "app/client/names.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace tern::app {
namespace names_test {

// Without a period, so that ports spread over the table.
wire::Toeplitz toeplitz() {
  wire::ToeplitzKey key;
  std::uint32_t x = 1;
  for (auto& byte : key) byte = static_cast<std::uint8_t>((x = x * 1664525 + 1013904223) >> 24);
  return wire::Toeplitz{key};
}

template <class Key>
class NamesOf : public testing::Test {
 protected:
  static constexpr bool four = std::is_same_v<Key, FlowKey4>;
  static Ip ip(const char* v4, const char* v6) { return *Ip::parse(four ? v4 : v6); }
  NamesOf() {
    sources.add(ip("10.0.0.1", "fd00::1"), 3);
    for (const Port port : {Port{80}, Port{81}}) targets.push_back({ip("10.9.0.1", "fd00::9"), port});
  }
  using Name = typename Names<Key>::Name;
  static std::string text(const Key& k) { return FlowKey{k}.local.to_string() + ' ' + port(k.local_port); }
  static std::string port(Be16 p) { return std::to_string(p.host()); }

  static constexpr PortRange range{2000, 2004};
  static constexpr std::size_t pairs = 3 * 5; // of each target
  const PortTable table{toeplitz(), 1, range, 7};
  const std::vector<std::uint16_t> owners{0};
  const PortPool pool{table, owners, 0};
  const FlowHasher hasher{SipKey{1, 2}};
  Sources sources;
  std::vector<Endpoint> targets;
};
using Families = testing::Types<FlowKey4, FlowKey6>;
TYPED_TEST_SUITE(NamesOf, Families);

TYPED_TEST(NamesOf, TakeTurnsAmongTargetsAndEveryPairComesOnceInARound) {
  Names<TypeParam> names(this->pool, this->targets, this->sources, 1);
  for (int round = 0; round < 3; ++round) {
    std::map<std::string, std::set<std::string>> seen; // by target
    for (std::size_t i = 0; i < 2 * this->pairs; ++i) {
      const auto name = names.take(this->hasher, [](FlowHash) {});
      ASSERT_TRUE(name);
      EXPECT_EQ(name->key.remote_port.host(), i % 2 == 0 ? 80 : 81);
      EXPECT_EQ(FlowKey{name->key}.remote, this->targets[0].ip);
      seen[this->port(name->key.remote_port)].insert(this->text(name->key));
    }
    EXPECT_EQ(seen["80"].size(), this->pairs);
    EXPECT_EQ(seen["81"].size(), this->pairs);
  }
}

TYPED_TEST(NamesOf, EachHasItsOwnHashAndWasAimedAtSoManyOpensBefore) {
  Names<TypeParam> names(this->pool, this->targets, this->sources, 1);
  std::vector<FlowHash> aimed;
  for (std::size_t i = 0; i < 100; ++i) {
    const auto name = names.take(this->hasher, [&](FlowHash h) { aimed.push_back(h); });
    ASSERT_TRUE(name);
    EXPECT_EQ(name->hash, this->hasher(name->key));
    EXPECT_EQ(aimed.size(), i + 1 + Names<TypeParam>::ahead);
    EXPECT_EQ(aimed[i], name->hash);
  }
}

// Of many cores each has a share of the ports; some lists are shorter than others, and a draw comes up empty.
TYPED_TEST(NamesOf, AnEmptyDrawIsPassedByAndNoPairIsLost) {
  std::vector<std::uint16_t> some(128, 1);
  for (std::size_t i = 0; i < some.size(); i += 3) some[i] = 0;
  const PortTable wide{toeplitz(), 128, {1024, 3000}, 7};
  const PortPool few(wide, some, 0);
  Names<TypeParam> names(few, this->targets, this->sources, 1);
  std::set<std::string> seen;
  std::size_t empty = 0;
  std::size_t drawn = 0;
  for (std::size_t i = 0; i < 20'000; ++i) {
    const auto name = names.take(this->hasher, [](FlowHash) {});
    if (!name) {
      ++empty;
      continue;
    }
    ++drawn;
    if (name->key.remote_port.host() == 80) seen.insert(this->text(name->key));
  }
  std::size_t all = 0;
  for (std::uint32_t i = 0; i < 3; ++i)
    all += few.ports_from(few.cursor(this->targets[0], 1), this->sources.blocks()[0].at(i));
  EXPECT_GT(empty, 0U);
  EXPECT_GT(drawn, 2 * all);
  EXPECT_EQ(seen.size(), all);
}

} // namespace names_test
} // namespace tern::app
