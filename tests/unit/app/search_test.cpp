#include "app/client/search.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <utility>

#include "app/client/settings.hpp"

namespace tern::app {
namespace search_test {

// Plays a system against the search: `system(sight, rate)` fills in what is seen after 20 ms more at that rate, and says
// what p99 of responses is.
constexpr double played_step = 0.02;
template <class System>
observe::Search played(SearchSettings s, System&& system, std::string* tester_limit = nullptr) {
  s.on = true;
  Search search(s);
  double rate = 0;
  double attempted = 0;
  for (double t = 0; t < 1000 && !search.over(); t += played_step) {
    attempted += std::max(rate, 0.0) * played_step;
    Sight now{.t = t, .attempted = static_cast<std::uint64_t>(attempted)};
    const double p99_us = system(now, rate);
    if (const auto next = search.look(now, [&](bool) { return slowest(0, p99_us); })) rate = *next;
  }
  EXPECT_TRUE(search.over());
  if (tester_limit != nullptr) *tester_limit = search.tester_limit();
  return search.result();
}

// One that holds a rate up to `most`; the others are given up while nothing is offered.
observe::Search searched(double most, double p99_us, const SearchSettings& s) {
  double completed = 0;
  std::uint64_t failed = 0;
  return played(s, [&](Sight& now, double rate) {
    completed += std::clamp(rate, 0.0, most) * played_step;
    now.completed = static_cast<std::uint64_t>(completed);
    if (rate < 0) failed = now.attempted - std::min(now.attempted, now.completed);
    now.failed = failed;
    return rate > most / 2 ? p99_us : 10;
  });
}

TEST(Search, FindsTheHighestRateThatIsHeldAndSaysWhyNoMore) {
  const observe::Search found = searched(123'000, 20, {});
  EXPECT_NEAR(found.found_cps, 126'000, 5'000); // 95% of what is offered suffices
  EXPECT_NE(found.stopped.find("completed"), std::string::npos) << found.stopped;
  EXPECT_LT(found.steps.size(), 16U);
}
TEST(Search, ALimitOfLatencyStopsIt) {
  const observe::Search found = searched(100'000, 5000, {.max_p99 = Duration::ms(1)});
  EXPECT_NEAR(found.found_cps, 50'000, 2'000);
  EXPECT_NE(found.stopped.find("p99 of response was 5.00 ms"), std::string::npos) << found.stopped;
}
TEST(Search, ItSaysWhichStageWasTooSlow) {
  EXPECT_STREQ(slowest(3, 2).stage, "connect");
  EXPECT_EQ(slowest(3, 2).p99_us, 3);
  EXPECT_STREQ(slowest(2, 3).stage, "response");
  EXPECT_EQ(slowest(2, 3).p99_us, 3);
}

// Open loop: a latency counts from when its connection was due, and so has in it what the tester was late by.
TEST(Search, WhoIsLateHimselfBlamesNobodyElse) {
  struct Tester {
    double late; // of what is opened
    double busy;
    const char* said;
  };
  for (const Tester& t :
       {Tester{0.02, 0.5, "the tester itself opened 2% more than 1 ms late, its core was 50% busy"},
        Tester{0, 0.97, "the tester itself opened 0% more than 1 ms late, its core was 97% busy"},
        Tester{0.005, 0.9, "p99 of response was 5.00 ms"}}) {
    double late = 0;
    std::string limit;
    const observe::Search found = played(
        {.max_p99 = Duration::ms(1)},
        [&](Sight& now, double rate) {
          const bool slow = rate > 100'000;
          now.completed = now.attempted;
          late += slow ? rate * t.late * played_step : 0;
          now.late = static_cast<std::uint64_t>(late);
          now.client.busy = slow ? t.busy : 0.5;
          return slow ? 5000.0 : 10.0;
        },
        &limit);
    EXPECT_NEAR(found.found_cps, 100'000, 2'000);
    EXPECT_NE(found.stopped.find(t.said), std::string::npos) << found.stopped;
    EXPECT_EQ(limit.empty(), *t.said == 'p') << limit;
  }
}
TEST(Search, WhoseCpuWasOthersIsNotSaidToHaveBeenBusy) {
  double late = 0;
  std::string limit;
  (void)played(
      {.max_p99 = Duration::ms(1)},
      [&](Sight& now, double rate) {
        const bool slow = rate > 100'000;
        now.completed = now.attempted;
        late += slow ? rate * 0.05 * played_step : 0;
        now.late = static_cast<std::uint64_t>(late);
        now.client.busy = slow ? 0.97 : 0.5;
        now.client.waited = slow ? 0.4 : 0;
        return slow ? 5000.0 : 10.0;
      },
      &limit);
  EXPECT_EQ(limit,
            "the tester itself opened 5% more than 1 ms late, its CPU was others' for 40% of the time");
}
TEST(Search, WhoOpensTooFewWasTheLimit) {
  Search search({.on = true, .first = {1000}, .step = Duration::seconds(1)});
  double opened = 0; // no more than 500 a second
  for (double t = 0; t < 100 && !search.over(); t += played_step, opened += 500 * played_step) {
    const auto n = static_cast<std::uint64_t>(opened);
    const Sight now{.t = t, .attempted = n, .completed = n, .client = {.busy = 0.3}};
    (void)search.look(now, [](bool) { return slowest(0, 10); });
  }
  EXPECT_NE(search.tester_limit().find("the tester itself opened only 500/s"), std::string::npos);
  search.interrupted("it was stopped");
  EXPECT_NE(search.tester_limit(), "") << "it was over before";
}

// No port, no record: more than 500 a second are not to be had, and it is nobody's fault but the settings'.
TEST(Search, WhatPortsOrRecordsBoundIsNoFaultOfTheTester) {
  for (const unsigned seldom :
       {1U, 2U, 50U}) { // every look sees one wait, or every second; or a moment's want
    Search search({.on = true, .first = {1000}, .step = Duration::seconds(1)});
    double opened = 0;
    unsigned looks = 0;
    for (double t = 0; t < 100 && !search.over(); t += played_step, opened += 500 * played_step) {
      const auto n = static_cast<std::uint64_t>(opened);
      const Sight now{
          .t = t, .attempted = n, .completed = n, .late = n / 20, .starved = ++looks % seldom == 0};
      (void)search.look(now, [](bool) { return slowest(0, 10); });
    }
    ASSERT_TRUE(search.over());
    const std::string why = search.result().stopped;
    const bool settings = why.find("found a free port or record: name a larger --sources") != why.npos;
    EXPECT_EQ(settings, seldom < 50) << why;
    EXPECT_EQ(search.tester_limit().empty(), seldom < 50) << search.tester_limit();
  }
}
TEST(Search, WhatABusyTesterDidNotCompleteIsHisOwnLimit) {
  double completed = 0;
  std::string limit;
  const observe::Search found = played(
      {},
      [&](Sight& now, double rate) {
        completed += std::clamp(rate, 0.0, 50'000.0) * played_step;
        now.completed = std::min(now.attempted, static_cast<std::uint64_t>(completed));
        now.failed = rate < 0 ? now.attempted - now.completed : 0;
        now.client.busy = rate > 50'000 ? 0.99 : 0.5;
        return 10.0;
      },
      &limit);
  EXPECT_EQ(found.stopped.find("were completed"), std::string::npos) << found.stopped;
  EXPECT_NE(limit.find("its core was 99% busy"), std::string::npos) << limit;
}
// At a few in a step chance would judge.
TEST(Search, RatesThatAStepCannotTellAreNotTried) {
  const observe::Search found = played(
      {.max_p99 = Duration::ms(1), .first = {1000}, .step = Duration::ms(500)}, [](Sight& now, double) {
        now.completed = now.attempted;
        return 5000.0;
      });
  EXPECT_GE(found.steps.back().offered_cps, 20);
  EXPECT_NE(found.stopped.find("p99 of response was 5.00 ms"), std::string::npos) << found.stopped;
}
TEST(Search, WhatEndsItBeforeItsTimeIsSaidInASentence) {
  Search search({.on = true});
  search.interrupted("by a signal; what had run by then is reported");
  EXPECT_EQ(search.result().stopped, "before its time, by a signal; what had run by then is reported");
}

TEST(Search, WhatHoldsNoRateIsSaidSo) {
  const observe::Search found = searched(0, 20, {.first = {100}, .step = Duration::seconds(20)});
  EXPECT_EQ(found.found_cps, 0);
  EXPECT_NE(found.stopped.find("not even"), std::string::npos) << found.stopped;
}
// A step may be too short for its rate to be seen to fall short.
TEST(Search, ARateAtWhichNothingWasCompletedIsNotHeld) {
  const observe::Search found = searched(0, 20, {.first = {2}, .step = Duration::ms(300)});
  EXPECT_EQ(found.found_cps, 0);
  EXPECT_NE(found.stopped.find("none was completed"), std::string::npos) << found.stopped;
}
// Of a target that dies, what it held while it lived is what was found; a rate too high for it kills none.
struct Mortal {
  double lives = 0;     // from that time on
  double dies = 1e9;    // at that one
  double most = 1e12;   // above it nothing at all is answered
  double first = 1'000; // the rate that is tried first
  settings::Rate to{settings::Rate::unlimited};
};
observe::Search searched_mortal(const Mortal& m, bool& gone, std::string& limit) {
  Search search(
      {.on = true, .first = {static_cast<std::uint64_t>(m.first)}, .most = m.to, .step = Duration::ms(500)});
  double rate = 0;
  double attempted = 0;
  double completed = 0;
  double failed = 0;
  for (double t = 0; t < 1000 && !search.over(); t += played_step) {
    const double n = std::max(rate, 0.0) * played_step;
    attempted += n;
    (t >= m.lives && t < m.dies && rate <= m.most ? completed : failed) += n;
    const Sight now{.t = t,
                    .attempted = static_cast<std::uint64_t>(attempted),
                    .completed = static_cast<std::uint64_t>(completed),
                    .failed = static_cast<std::uint64_t>(failed)};
    if (const auto next = search.look(now, [](bool) { return slowest(0, 10); })) rate = *next;
  }
  EXPECT_TRUE(search.over());
  gone = search.target_gone();
  limit = search.tester_limit();
  return search.result();
}
TEST(Search, ATargetThatDiesIsFoundToHaveDied) {
  bool gone = false;
  std::string limit;
  const observe::Search found = searched_mortal({.dies = 3}, gone, limit);
  EXPECT_TRUE(gone);
  EXPECT_EQ(found.stopped, "the target stopped answering");
  EXPECT_EQ(limit, "");
  EXPECT_GE(found.found_cps, 2000);
  EXPECT_LE(found.found_cps, 16'000);
  unsigned unheld = 0;
  for (const observe::SearchStep& s : found.steps) unheld += s.held ? 0 : 1;
  EXPECT_LE(unheld, 3U) << "the rate that it died at, one more at the most, and the last held one again";
}
TEST(Search, ATargetThatARateSilencesIsAskedAgainAndLives) {
  bool gone = true;
  std::string limit;
  const observe::Search found = searched_mortal({.most = 10'000}, gone, limit);
  EXPECT_FALSE(gone);
  EXPECT_NEAR(found.found_cps, 10'000, 300);
  EXPECT_NE(found.stopped.find("100% failed"), std::string::npos) << found.stopped;
}
// Before any rate was held: it is asked once more, as gently as can be judged, and not at every rate between.
TEST(Search, ATargetThatDiesBeforeAnyRateWasHeldIsAskedOnceMore) {
  bool gone = true;
  std::string limit;
  const observe::Search found = searched_mortal({.dies = 0.2}, gone, limit);
  EXPECT_FALSE(gone) << "nothing was held before";
  EXPECT_EQ(found.found_cps, 0);
  EXPECT_EQ(found.stopped, "not even 20/s was held: 100% failed");
  ASSERT_EQ(found.steps.size(), 2U);
  EXPECT_EQ(found.steps[1].offered_cps, 20);
}
// The lowest rate of all, silent once and held when it was tried again, is no bound.
TEST(Search, ARateThatWasHeldAfterAllIsNoBound) {
  bool gone = true;
  std::string limit;
  const observe::Search found = searched_mortal({.lives = 1, .first = 20, .to = {4000}}, gone, limit);
  EXPECT_FALSE(gone);
  EXPECT_EQ(found.found_cps, 4000);
  EXPECT_EQ(found.stopped, "--find-to: no rate above 4.00k/s was to be tried");
  EXPECT_FALSE(found.steps[0].held);
}
TEST(Search, AFirstRateThatSilencesALivingTargetIsOnlyTooHigh) {
  bool gone = true;
  std::string limit;
  const observe::Search found = searched_mortal({.most = 300}, gone, limit);
  EXPECT_FALSE(gone);
  EXPECT_NEAR(found.found_cps, 300, 10);
}

// Until the way stands opens are withheld: no rate's fault, and not the tester's.
TEST(Search, NoRateIsJudgedBeforeTheWayStands) {
  for (const auto& [stands, for_all] : {std::pair{0.0, true}, {4.0, true}, {4.0, false}, {1e9, true}}) {
    double begun = 0;
    Search search({.on = true, .first = {100}, .most = {200}, .step = Duration::ms(200)});
    double t = 0;
    for (; t < 200 && !search.over(); t += played_step) {
      begun += t < stands ? 0.02 : 100 * played_step; // one a second, and each fails
      const auto n = static_cast<std::uint64_t>(begun);
      const Sight now{.t = t,
                      .attempted = n,
                      .completed = t < stands ? 0 : n,
                      .failed = t < stands ? n : 0,
                      .finding = for_all && t < stands,
                      .partly = t < stands};
      if (const auto rate = search.look(now, [](bool) { return slowest(0, 10); }); rate && *rate > 100)
        search.interrupted("enough");
    }
    ASSERT_TRUE(search.over());
    EXPECT_EQ(search.tester_limit(), "");
    EXPECT_EQ(search.target_silent(), stands == 1e9);
    const observe::Search found = search.result();
    ASSERT_EQ(found.steps.size(), 1U);
    EXPECT_EQ(found.steps[0].held, stands < 1e9) << found.steps[0].reason;
    if (stands < 1e9) continue;
    EXPECT_EQ(found.stopped, "nobody answered: the way to the target never stood");
    EXPECT_LT(t, 20);
  }
}

TEST(Search, NothingAboveTheHighestAllowedIsTried) {
  const observe::Search found = searched(1e9, 20, {.most = {35'000}});
  EXPECT_EQ(found.found_cps, 35'000);
}

// Each connection lives for `life` seconds, however many there are, up to `most` a second; beyond `answered` a second
// responses are errors.
observe::Search searched_far(double life, double most, const SearchSettings& s, double answered = 1e12) {
  std::deque<std::pair<double, std::uint64_t>> opened; // when, and how many had been by then
  double done = 0;
  double errors = 0;
  return played(s, [&](Sight& now, double rate) {
    opened.emplace_back(now.t, now.attempted);
    while (opened.front().first < now.t - life) opened.pop_front();
    done = std::min(static_cast<double>(opened.front().second), done + most * played_step);
    now.completed = static_cast<std::uint64_t>(done);
    now.live = now.attempted - now.completed;
    errors += std::max(0.0, rate - answered) * played_step;
    now.errors = static_cast<std::uint64_t>(errors);
    return 10.0;
  });
}

TEST(Search, ALongPathIsNotHeldAgainstARate) {
  for (const double life : {0.01, 0.6, 1.5, 3.0, 8.0}) {
    const observe::Search found = searched_far(life, 1e9, {.first = {1000}, .most = {50'000}});
    EXPECT_EQ(found.found_cps, 50'000) << life << ": " << found.stopped;
    EXPECT_EQ(found.steps.size(), 7U) << life;
  }
}
TEST(Search, OnALongPathTheRateThatIsHeldIsFound) {
  for (const double life : {0.6, 1.5, 3.0}) {
    const observe::Search found = searched_far(life, 10'000, {.first = {1000}});
    EXPECT_NEAR(found.found_cps, 10'200, 400) << life << ": " << found.stopped;
  }
}
// What was answered by an error is over once, not twice: later rates settle as the first ones did.
TEST(Search, OnALongPathErrorsHoldNoRateAndHurryNone) {
  for (const double life : {0.6, 1.5, 3.0}) {
    const observe::Search found = searched_far(life, 1e9, {.first = {1000}}, 10'000);
    EXPECT_NEAR(found.found_cps, 10'000, 400) << life << ": " << found.stopped;
  }
}

// What is said of a search's settings; empty: nothing, and `search` is fit to be run.
std::string complaint(const std::string& toml, SearchSettings& search) {
  settings::Schema s;
  LoadSettings load;
  declare(s, load);
  declare(s, search);
  try {
    s.load_text("[search]\nfind_max = true\n" + toml, "t");
    prepare(s, search, load);
  } catch (const settings::ConfigError& e) {
    return e.what();
  }
  return {};
}

TEST(Search, ItsFirstRateIsNoneAboveTheHighestAllowed) {
  SearchSettings s;
  EXPECT_EQ(complaint("find_to = 5000\n", s), "");
  EXPECT_EQ(s.first.per_second, 5000U);
  s = {};
  EXPECT_EQ(complaint("find_to = \"5k\"\nfind_from = 5000\n", s), "");
  s = {};
  EXPECT_EQ(complaint("", s), "");
  EXPECT_EQ(s.first.per_second, 10'000U);
  s = {};
  EXPECT_EQ(complaint("find_to = 5000\nfind_from = 6000\n", s),
            "t:3:11: below the first rate to try, which is 6k (--find-from); raise this or lower that");
  s = {};
  EXPECT_EQ(complaint("find_to = 0\n", s).find("t:3:11: "), 0U);
}

// No more than for any rate, and little where only little may be tried.
TEST(Search, MemoryIsMadeForTheRatesThatMayBeTried) {
  SearchSettings s{.on = true};
  LoadSettings load;
  load.timeout = Duration::seconds(5);
  EXPECT_EQ(spare_connections(s, load), 1'000'000U);
  EXPECT_TRUE(sized(s, load).cps.is_max());
  s.most = {20};
  EXPECT_EQ(spare_connections(s, load), 100U);
  EXPECT_EQ(sized(s, load).cps.per_second, 20U);
  EXPECT_EQ(time_wait_records(sized(s, load), {}), 65536U);
  s.most = {10'000'000};
  EXPECT_EQ(spare_connections(s, load), 1'000'000U);
  s.on = false;
  EXPECT_EQ(spare_connections(s, load), 0U);
  EXPECT_TRUE(sized(s, load).cps.is_max());
}

// It would do nothing, or spoil the search.
TEST(Search, WhatItCannotUseIsRefused) {
  for (const char* load :
       {"concurrency = 100", "cps = 1000", "duration = \"5s\"", "warmup = \"1s\"", "ramp = \"1s\"",
        "duration = \"10s\"", "connections = 5", "requests_per_connection = 3"}) {
    SearchSettings s;
    const std::string said = complaint(std::string{"[load]\n"} + load + "\n", s);
    EXPECT_EQ(said.find("t:2:12: "), 0U) << load << ": " << said;
  }
}

TEST(Search, WhatOnlyASearchUsesIsRefusedWithoutOne) {
  for (const char* given :
       {"max_loss = \"1%\"", "max_p99 = \"1ms\"", "find_from = 5", "find_to = 5", "find_step = \"1s\""}) {
    settings::Schema s;
    LoadSettings load;
    SearchSettings search;
    declare(s, load);
    declare(s, search);
    s.load_text(std::string{"[search]\n"} + given + "\n", "t");
    EXPECT_THROW(prepare(s, search, load), settings::ConfigError) << given;
  }
}

// Who drops a connection without a word fails it only when its time is out: by then another rate is on.
TEST(Search, ConnectionsThatHangAreHeldAgainstTheRateThatTheyHangAt) {
  double hanging = 0;
  const observe::Search found = played({}, [&](Sight& now, double rate) {
    if (rate > 100'000) hanging += rate * played_step * 0.02; // two in a hundred
    if (rate < 0) hanging = 0;                                // they are given up while nothing is offered
    now.completed = now.attempted - std::min(now.attempted, static_cast<std::uint64_t>(hanging));
    now.live = static_cast<std::uint64_t>(hanging + std::max(rate, 0.0) * 0.001);
    return 10.0;
  });
  EXPECT_NEAR(found.found_cps, 100'000, 2'000);
  EXPECT_NE(found.stopped.find("left unanswered"), std::string::npos) << found.stopped;
}

} // namespace search_test
} // namespace tern::app
