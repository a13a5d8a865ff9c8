#include "campaign.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core_campaign.hpp"
#include "proxy_campaign.hpp"
#include "runtime/counters.hpp"
#include "support/eal.hpp"

namespace tern::campaign {
namespace campaign_test {

PacketPool packets() {
  test::start_eal(512); // this program's pools are many
  static test::TestPool pool{16383};
  return pool.pool();
}

// Seeds in slices, so that one that fails is found by its test's name and all of them keep meson's cores
// busy.
class Campaign : public ::testing::TestWithParam<int> {};

TEST_P(Campaign, EveryByteArrivesOnceInOrderOrTheEndHasItsReason) {
  constexpr int slice = 100;
  double seconds = 0;
  for (int i = 0; i < slice; ++i) {
    const auto seed = static_cast<std::uint64_t>(GetParam() * slice + i);
    const Result r = run(seed, packets());
    seconds += r.seconds;
    ASSERT_FALSE(r.wrong) << "tern-sim --seed " << seed << " --trace: " << *r.wrong << " (" << r.weather
                          << ")";
  }
  RecordProperty("simulated_seconds", fmt::format("{:.0f}", seconds));
}

// An unoptimised build is run by everyone before every landing: fewer seeds there.
#ifdef NDEBUG
constexpr int slices = 40;
#else
constexpr int slices = 8;
#endif
INSTANTIATE_TEST_SUITE_P(Seeds, Campaign, ::testing::Range(0, slices));

// Whole cores: many hosts, hundreds to thousands of connections.
class CoreCampaign : public ::testing::TestWithParam<int> {};

PacketPool many_packets() {
  test::start_eal(512);
  static test::TestPool pool{32767};
  return pool.pool();
}

TEST_P(CoreCampaign, EveryByteArrivesOnceInOrderAndEveryRecordComesBack) {
#ifdef NDEBUG
  constexpr int slice = 10;
#else
  constexpr int slice = 3;
#endif
  for (int i = 0; i < slice; ++i) {
    const auto seed = static_cast<std::uint64_t>(GetParam() * slice + i);
    const Result r = run_cores(seed, many_packets());
    ASSERT_FALSE(r.wrong) << "tern-sim --cores --seed " << seed << " --trace: " << *r.wrong << " ("
                          << r.weather << ")";
    if (!is_crowd(seed)) continue;
    EXPECT_GE(r.hosts, 8U) << seed;
    EXPECT_GE(r.connections, 2000U) << seed;
    EXPECT_GE(r.counters.at(name_of(CoreCounter::accepted)), 2000U) << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, CoreCampaign, ::testing::Range(0, 4));

// Clients, the load balancer, backends: loss on both of its sides.
class ProxyCampaign : public ::testing::TestWithParam<int> {};

TEST_P(ProxyCampaign, EveryByteArrivesOrTheEndIsAResetAndNothingIsLeft) {
#ifdef NDEBUG
  constexpr int slice = 20;
#else
  constexpr int slice = 5;
#endif
  for (int i = 0; i < slice; ++i) {
    const auto seed = static_cast<std::uint64_t>(GetParam() * slice + i);
    const Result r = run_proxy(seed, many_packets());
    ASSERT_FALSE(r.wrong) << "tern-sim --proxy --seed " << seed << " --trace: " << *r.wrong << " ("
                          << r.weather << ")";
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ProxyCampaign, ::testing::Range(0, 4));

TEST(CoreCampaign, OneSeedIsOneRun) {
  const Result once = run_cores(1, many_packets());
  const Result again = run_cores(1, many_packets());
  EXPECT_EQ(once.fingerprint, again.fingerprint);
  EXPECT_EQ(once.frames, again.frames);
}

TEST(Campaign, OneSeedIsOneRun) {
  std::uint64_t before = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Result once = run(seed, packets());
    const Result again = run(seed, packets());
    EXPECT_EQ(once.fingerprint, again.fingerprint) << seed;
    EXPECT_EQ(once.frames, again.frames);
    EXPECT_NE(once.fingerprint, before);
    before = once.fingerprint;
  }
}

} // namespace campaign_test
} // namespace tern::campaign
