#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "app/lb/choose/chooser.hpp"
#include "app/lb/choose/slow_start.hpp"
#include "app/lb/choose/turns.hpp"

namespace tern::app::lb {
namespace lb_choose_test {

constexpr SipKey seed{1, 2};

std::vector<Member> members(std::size_t n, std::uint32_t weight = 1) {
  std::vector<Member> all;
  for (std::size_t i = 0; i < n; ++i) {
    const std::string name = fmt::format("backend-{}", i);
    all.push_back({siphash13({}, std::as_bytes(std::span{name})), weight, static_cast<Slot>(i)});
  }
  return all;
}

std::vector<Slot> maglev(const std::vector<Member>& m, SipKey key = seed) {
  std::vector<Slot> table(maglev_slots);
  fill_maglev(table, m, key);
  return table;
}

std::map<Slot, std::size_t> counts(std::span<const Slot> table) {
  std::map<Slot, std::size_t> c;
  for (const Slot s : table) ++c[s];
  return c;
}

constexpr auto open_all = [](Slot) { return true; };
constexpr auto no_load = [](Slot) { return 0U; };

TEST(Maglev, LoadIsEvenAndFewMoveWhenOneLeaves) {
  for (const std::size_t n : {std::size_t{10}, std::size_t{100}, std::size_t{1000}}) {
    const auto all = members(n);
    const auto start = std::chrono::steady_clock::now();
    const auto before = maglev(all);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    std::size_t most = 0;
    for (const auto& [slot, count] : counts(before)) most = std::max(most, count);
    const double average = static_cast<double>(maglev_slots) / static_cast<double>(n);
    // Each of a few leaves in turn: the worst share of what the others had that moved.
    double worst = 0;
    double sum = 0;
    for (std::size_t gone = 0; gone < 10; ++gone) {
      auto rest = all;
      rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(gone * n / 10));
      const auto leaver = static_cast<Slot>(gone * n / 10);
      const auto after = maglev(rest);
      std::size_t survived = 0;
      std::size_t moved = 0;
      for (std::size_t i = 0; i < maglev_slots; ++i) {
        if (before[i] == leaver) continue;
        ++survived;
        moved += before[i] != after[i] ? 1U : 0U;
      }
      const double share = static_cast<double>(moved) / static_cast<double>(survived);
      worst = std::max(worst, share);
      sum += share;
    }
    const double ratio = static_cast<double>(most) / average;
    std::printf("N = %4zu: table in %.2f ms, max/avg %.4f, moved when one leaves %.2f%% (worst %.2f%%)\n", n,
                took.count(), ratio, sum * 10, worst * 100);
    EXPECT_LE(ratio, 1.01) << n;
    EXPECT_TRUE(n != 100 || worst <= 0.01) << worst;
  }
}

TEST(Maglev, OrderOfTheListMeansNothing) {
  auto all = members(37);
  for (std::size_t i = 0; i < all.size(); ++i) all[i].weight = static_cast<std::uint32_t>(1 + i % 5);
  const auto before = maglev(all);
  std::mt19937 random{7};
  std::shuffle(all.begin(), all.end(), random);
  EXPECT_EQ(maglev(all), before);
}

TEST(Maglev, SeedMakesAnotherTable) {
  EXPECT_NE(maglev(members(10)), maglev(members(10), {1, 3}));
}

// Another build of Tern must read the same: a table that changed would send a cluster's connections astray.
TEST(Maglev, TableIsWhatItWas) {
  const auto table = maglev(members(3));
  std::uint64_t sum = 0;
  for (const Slot s : table) sum = sum * 31 + s;
  EXPECT_EQ(sum, 774'688'901'442'236'720ULL) << "of three backends, by seed 1, 2";
}

TEST(Maglev, SlotsFollowWeights) {
  auto all = members(4);
  all[0].weight = 1, all[1].weight = 2, all[2].weight = 5, all[3].weight = 0;
  auto c = counts(maglev(all));
  EXPECT_NEAR(static_cast<double>(c[0]), maglev_slots / 8.0, 2);
  EXPECT_NEAR(static_cast<double>(c[1]), maglev_slots / 4.0, 2);
  EXPECT_NEAR(static_cast<double>(c[2]), maglev_slots * 5 / 8.0, 2);
  EXPECT_EQ(c.count(3), 0U);
  EXPECT_EQ(c.count(no_slot), 0U);
}

TEST(Maglev, WeightChangedALittleMovesLittle) {
  auto all = members(20, 10);
  const auto before = maglev(all);
  all[4].weight = 11;
  const auto after = maglev(all);
  std::size_t moved = 0;
  for (std::size_t i = 0; i < maglev_slots; ++i) moved += before[i] != after[i] ? 1U : 0U;
  EXPECT_LT(moved, maglev_slots / 10);
}

TEST(Maglev, NobodyIsNobody) {
  EXPECT_EQ(counts(maglev({})).at(no_slot), maglev_slots);
  EXPECT_EQ(counts(maglev(members(3, 0))).at(no_slot), maglev_slots);
}

std::string letters(std::span<const Slot> turns) {
  std::string s;
  for (const Slot t : turns) s += static_cast<char>('a' + t);
  return s;
}

TEST(Turns, FiveOneOneIsSmooth) {
  const Member m[] = {{.id = 1, .weight = 5, .slot = 0},
                      {.id = 2, .weight = 1, .slot = 1},
                      {.id = 3, .weight = 1, .slot = 2}};
  EXPECT_EQ(letters(make_turns(m)), "aabacaa");
}

TEST(Turns, CommonDivisorIsTakenOut) {
  const Member m[] = {{.id = 1, .weight = 20, .slot = 0},
                      {.id = 2, .weight = 10, .slot = 1},
                      {.id = 3, .weight = 0, .slot = 2}};
  EXPECT_EQ(letters(make_turns(m)), "aba");
}

TEST(Turns, HugeWeightsFitAndNobodyIsLost) {
  std::vector<Member> all = members(40, 1'000'003);
  all[7].weight = 1;
  const auto turns = make_turns(all);
  EXPECT_LE(turns.size(), most_turns);
  EXPECT_EQ(counts(turns).size(), all.size());
  EXPECT_EQ(counts(turns)[7], 1U);
}

TEST(RoundRobin, EachInTurnWhateverTheWeight) {
  auto all = members(3);
  all[1].weight = 9;
  for (Member& m : all) m.weight = weight_for(Balance::round_robin, m.weight);
  const Chooser c(Balance::round_robin, all, seed);
  std::uint32_t turn = 0;
  std::map<Slot, int> seen;
  for (int i = 0; i < 300; ++i) ++seen[c.pick(turn, 0, open_all, no_load)];
  EXPECT_EQ(seen, (std::map<Slot, int>{{0, 100}, {1, 100}, {2, 100}}));
}

TEST(WeightedRoundRobin, SharesAreTheWeights) {
  auto all = members(3);
  all[1].weight = 8;
  const Chooser c(Balance::weighted_round_robin, all, seed);
  std::uint32_t turn = 5;
  std::map<Slot, int> seen;
  for (int i = 0; i < 1000; ++i) ++seen[c.pick(turn, 0, open_all, no_load)];
  EXPECT_EQ(seen, (std::map<Slot, int>{{0, 100}, {1, 800}, {2, 100}}));
}

TEST(LeastConnections, FewestForItsWeight) {
  auto all = members(3);
  all[2].weight = 4;
  const Chooser c(Balance::least_connections, all, seed);
  std::uint32_t turn = 0;
  std::map<Slot, std::uint32_t> load;
  for (int i = 0; i < 600; ++i) ++load[c.pick(turn, 0, open_all, [&](Slot s) { return load[s]; })];
  EXPECT_EQ(load, (std::map<Slot, std::uint32_t>{{0, 100}, {1, 100}, {2, 400}}));
  load[0] = 0; // its connections ended: it gets the next ones
  for (int i = 0; i < 50; ++i)
    EXPECT_EQ(c.pick(turn, 0, open_all,
                     [&](Slot s) { return load[s] + (s == 0 ? static_cast<std::uint32_t>(i) : 0U); }),
              0);
}

TEST(LeastConnections, EqualsAreTakenInTurn) {
  const Chooser c(Balance::least_connections, members(4), seed);
  std::uint32_t turn = 0;
  std::map<Slot, int> seen;
  for (int i = 0; i < 400; ++i) ++seen[c.pick(turn, 0, open_all, no_load)];
  for (const auto& [slot, n] : seen) EXPECT_EQ(n, 100) << slot;
}

TEST(Source, ClientStaysWhateverItsPort) {
  const Chooser c(Balance::source_hash, members(10), seed);
  std::uint32_t turn = 0;
  std::map<Slot, int> seen;
  for (std::uint8_t a = 0; a < 200; ++a) {
    const Ip client{Ip4{10, 0, a, 1}};
    const auto pick = [&](std::uint16_t port) {
      return c.pick(turn, hash_for(Balance::source_hash, seed, {client, Port{port}}), open_all, no_load);
    };
    const Slot first = pick(1);
    for (std::uint16_t p = 2; p < 20; ++p) EXPECT_EQ(pick(p), first);
    ++seen[first];
  }
  EXPECT_EQ(seen.size(), 10U);
}

TEST(MaglevPick, PortsOfOneClientSpread) {
  const Chooser c(Balance::maglev, members(10), seed);
  std::uint32_t turn = 0;
  std::map<Slot, int> seen;
  for (std::uint32_t p = 1024; p < 65'535; ++p)
    ++seen[c.pick(turn,
                  hash_for(Balance::maglev, seed, {Ip4{10, 0, 0, 1}, Port{static_cast<std::uint16_t>(p)}}),
                  open_all, no_load)];
  for (const auto& [slot, n] : seen) EXPECT_NEAR(n, 6451, 350) << slot;
}

TEST(MaglevPick, ClosedBackendsAreNeverChosenAndOpenOnesAlwaysAre) {
  const auto all = members(50);
  for (const Balance m : {Balance::maglev, Balance::source_hash, Balance::round_robin,
                          Balance::weighted_round_robin, Balance::least_connections}) {
    const Chooser c(m, all, seed);
    std::uint32_t turn = 0;
    for (std::uint64_t h = 0; h < 2000; ++h) {
      const std::uint64_t hash = h * 0x9e3779b97f4a7c15;
      EXPECT_EQ(c.pick(
                    turn, hash, [](Slot s) { return s == 49; }, no_load),
                49);
      EXPECT_EQ(c.pick(
                    turn, hash, [](Slot) { return false; }, no_load),
                no_slot);
    }
    EXPECT_EQ(Chooser(m, members(3, 0), seed).pick(turn, 1, open_all, no_load), no_slot);
  }
}

TEST(MaglevPick, SecondChoiceIsTheSameEachTimeAndSpreads) {
  const Chooser c(Balance::maglev, members(10), seed);
  std::uint32_t turn = 0;
  std::map<Slot, int> second;
  for (std::uint64_t h = 0; h < 20'000; ++h) {
    const std::uint64_t hash = h * 0x9e3779b97f4a7c15;
    if (c.pick(turn, hash, open_all, no_load) != 3) continue;
    const auto without = [](Slot s) { return s != 3; };
    const Slot s = c.pick(turn, hash, without, no_load);
    EXPECT_EQ(c.pick(turn, hash, without, no_load), s);
    ++second[s];
  }
  EXPECT_EQ(second.size(), 9U);
}

TEST(SlowStart, GrowsInTenths) {
  const Duration all = Duration::seconds(10);
  EXPECT_EQ(ramped(7, Duration{}, all), 7U);
  EXPECT_EQ(ramped(7, Duration::ms(1500), all), 14U);
  EXPECT_EQ(ramped(7, Duration::ms(9900), all), 70U);
  EXPECT_EQ(ramped(7, Duration::seconds(10), all), 70U);
  EXPECT_EQ(ramped(7, Duration{}, Duration{}), 70U); // no slow start
  // Every step is told of beforehand, and there are nine.
  int steps = 0;
  for (Duration at{}; at < all; ++steps) {
    const Duration next = next_step(at, all);
    if (next == Duration{} || next >= all) break;
    EXPECT_EQ(ramped(1, next, all), ramped(1, at, all) + 1);
    at = next;
  }
  EXPECT_EQ(steps, 9);
  EXPECT_EQ(next_step(all, all), Duration{});
}

TEST(SlowStart, ColdBackendGetsATenth) {
  auto all = members(2);
  for (Member& m : all)
    m.weight = ramped(1, m.slot == 0 ? Duration{} : Duration::seconds(60), Duration::seconds(30));
  auto c = counts(Chooser(Balance::maglev, all, seed).table());
  EXPECT_NEAR(static_cast<double>(c[0]) / static_cast<double>(c[1]), 0.1, 0.001);
}

} // namespace lb_choose_test
} // namespace tern::app::lb
