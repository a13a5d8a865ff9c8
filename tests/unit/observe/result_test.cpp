#include "observe/result.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "sample.hpp"

namespace tern::observe {
namespace result_test {

std::string only(const Result& r) {
  const auto found = contradictions(r);
  EXPECT_EQ(found.size(), 1U);
  return found.empty() ? "" : found[0];
}

TEST(Contradictions, ASoundResultHasNone) {
  EXPECT_TRUE(contradictions(sample_result()).empty());
  EXPECT_TRUE(contradictions(Result{}).empty());
}

TEST(Contradictions, EveryAttemptIsAccountedFor) {
  Result r = sample_result();
  r.summary.connections.unfinished += 1;
  EXPECT_NE(only(r).find("is not completed"), std::string::npos);
  r = sample_result();
  r.summary.connections.failed.bad_byte += 1;
  EXPECT_NE(only(r).find("is not completed"), std::string::npos);
}

TEST(Contradictions, NothingIsCompletedThatWasNotEstablished) {
  Result r = sample_result();
  r.summary.connections.established = r.summary.connections.completed - 1;
  EXPECT_NE(only(r).find("established"), std::string::npos);
}

TEST(Contradictions, IntervalsHoldNoMoreThanTheRun) {
  Result r = sample_result();
  r.intervals[0].completed += 1;
  EXPECT_NE(only(r).find("intervals hold"), std::string::npos);
}

TEST(Contradictions, DropsAreTheSumOfTheirReasonsWhereTheseAreTold) {
  Result r = sample_result();
  Interval& v = *std::find_if(r.intervals.begin(), r.intervals.end(), [](auto& i) { return i.drops != 0; });
  v.drops_by_reason["drop_no_memory"] = 1;
  EXPECT_NE(only(r).find("6022 drops by their reasons, 6021 in all"), std::string::npos);
  v.drops_by_reason.clear(); // of an earlier tern
  EXPECT_TRUE(contradictions(r).empty());
}

TEST(Contradictions, TimeAdvancesAndSharesAreShares) {
  Result r = sample_result();
  r.intervals[5].t = r.intervals[4].t;
  EXPECT_EQ(only(r), "interval 5: time does not advance");
  r = sample_result();
  r.intervals[5].cores[1].busy = 1.2;
  EXPECT_EQ(only(r), "interval 5: core 1 busy 1.2 is no share of 1");
  r = sample_result();
  r.summary.client_limited = true;
  EXPECT_EQ(only(r), "client_limited and its reason disagree");
  r = sample_result();
  r.summary.latency_us.close.p50 = 1e9;
  EXPECT_EQ(only(r), "close: percentiles do not rise");
}

TEST(Contradictions, CoresLatenciesAddUpWhereTheyAreTold) {
  Result r = sample_result({.seconds = 4, .cores = 4});
  r.summary.cores[1].latency_us->close.count += 1;
  EXPECT_NE(only(r).find("close: "), std::string::npos);
  r = sample_result();
  r.summary.cores[0].latency_us->response.p50 = 1e9;
  EXPECT_EQ(only(r), "core 0: response: percentiles do not rise");
  for (CoreSummary& c : r.summary.cores) c.latency_us.reset(); // of an earlier tern
  EXPECT_TRUE(contradictions(r).empty());
}

TEST(CoreLoad, AClientsCyclesAreForWhatItCompletedAServersForWhatEnded) {
  EXPECT_EQ((CoreLoad{.role = "client", .completed = 4, .failed = 6, .cycles = 400}).cycles_per_connection(),
            100);
  EXPECT_EQ((CoreLoad{.role = "server", .completed = 4, .failed = 6, .cycles = 400}).cycles_per_connection(),
            40);
  EXPECT_EQ((CoreLoad{.role = "server", .cycles = 400}).cycles_per_connection(), 0);
}

TEST(CoreToCore, OnlyRunsOfOneModeAreComparable) {
  EXPECT_EQ(mode_of({.before = 180, .after = 190}), "near");
  EXPECT_EQ(mode_of({.before = 880, .after = 940}), "far");
  EXPECT_EQ(mode_of({.before = 180, .after = 900}), "mixed");
  EXPECT_EQ(mode_of({.before = 900, .after = 180}), "mixed");
  EXPECT_EQ(mode_of({.before = 0, .after = 180}), "unknown");
  EXPECT_EQ(mode_of({}), "unknown");
}

} // namespace result_test
} // namespace tern::observe
