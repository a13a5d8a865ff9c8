#include "observe/json.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "sample.hpp"

namespace tern::observe {
namespace json_test {

using Json = nlohmann::json;

// What reading `text` says; empty when it is taken.
std::string complaint(const std::string& text) {
  try {
    (void)from_json(text);
  } catch (const ReportError& e) {
    return e.what();
  }
  return {};
}
std::string complaint(const Json& j) {
  return complaint(j.dump());
}

Json sample() {
  return Json::parse(to_json(sample_result({.seconds = 3})));
}

TEST(ReportJson, WhatIsReadIsWhatWasWritten) {
  const std::string written = to_json(sample_result());
  EXPECT_EQ(to_json(from_json(written)), written);
  const std::string empty = to_json(Result{});
  EXPECT_EQ(to_json(from_json(empty)), empty);
}

TEST(ReportJson, HoldsTheContractsNames) {
  Result r = sample_result({.seconds = 3});
  r.summary.search =
      Search{.found_cps = 1e6, .stopped = "loss", .steps = {{.offered_cps = 2e6, .reason = "loss"}}};
  const Json j = Json::parse(to_json(r));
  const Json& s = j["summary"];
  EXPECT_EQ(s["connections"]["failed"]["total"], r.summary.connections.failed.total());
  EXPECT_EQ(s["connections"]["completed"], r.summary.connections.completed);
  EXPECT_DOUBLE_EQ(s["latency_us"]["first_byte"]["p999"].get<double>(), r.summary.latency_us.first_byte.p999);
  EXPECT_EQ(s["cycles_per_connection"]["server"], 574);
  EXPECT_NEAR(j["intervals"][0]["cores"][1]["cycles_per_connection"].get<double>(), 574, 1e-3);
  EXPECT_FALSE(j["intervals"][0]["cores"][0].contains("latency_us"));
  EXPECT_EQ(s["cores"][0]["latency_us"]["close"]["p999"], s["latency_us"]["close"]["p999"]);
  EXPECT_FALSE(s["cores"][1].contains("latency_us")) << "a server's core";
  EXPECT_EQ(s["memory"]["rss_bytes"], 512'000'000);
  EXPECT_EQ(s["packets"]["drops"]["tcp.drop_out_of_window"], 6021);
  EXPECT_EQ(s["packets"]["link"]["duplicated"], 12);
  EXPECT_EQ(j["intervals"][2]["drops_by_reason"]["tcp.drop_out_of_window"], 6021);
  EXPECT_EQ(j["intervals"][2]["out_of_order"], 4100);
  EXPECT_EQ(j["intervals"][2]["tx_ring_full"], 31);
  EXPECT_EQ(s["search"]["steps"][0]["reason"], "loss");
  EXPECT_EQ(j["machine"]["core_to_core_cycles"]["before"], 181.5);
  EXPECT_EQ(j["config"]["cps"], "max");
  EXPECT_EQ(j["intervals"].size(), 3U);
  EXPECT_EQ(j["schema"], report_schema);
  EXPECT_EQ(Json::parse(to_compact_json(r)), j);
}

TEST(ReportJson, AServersHoldsWhatAServerKnowsAndNothingElse) {
  const Result r = sample_result({.seconds = 60, .server = true});
  const std::string written = to_json(r);
  EXPECT_EQ(to_json(from_json(written)), written);
  const Json j = Json::parse(written);
  const Json& s = j["summary"];
  for (const char* unknown : {"latency_us", "histogram", "closed_loop", "client_limited", "attacks"})
    EXPECT_FALSE(s.contains(unknown)) << unknown;
  for (const char* unknown : {"latency_us", "offered_cps", "attack_open"})
    EXPECT_FALSE(j["intervals"][0].contains(unknown)) << unknown;
  EXPECT_GT(s["accepted_per_second"], 0);
  EXPECT_FALSE(sample()["summary"].contains("accepted_per_second"));
  EXPECT_EQ(j["intervals"][0]["requests"], r.intervals[0].requests);
  EXPECT_FALSE(s["cycles_per_connection"].contains("client"));
  const Json& failed = s["connections"]["failed"];
  EXPECT_FALSE(failed.contains("refused"));
  EXPECT_EQ(failed["timed_out"], r.summary.connections.failed.timed_out);
  EXPECT_EQ(failed["total"], r.summary.connections.failed.total());
  EXPECT_FALSE(sample()["summary"]["connections"]["failed"].contains("timed_out"));
}

TEST(ReportJson, BytesThatAreNoTextDoNotLoseTheReport) {
  Result r = sample_result({.seconds = 1});
  r.machine.cpu = "bad \xff\xfe name";
  EXPECT_EQ(from_json(to_json(r)).summary.connections.completed, r.summary.connections.completed);
}

TEST(ReportJson, UnknownFieldsArePassedOverAndMissingOnesKeepTheirDefaults) {
  Json j = sample();
  j["summary"]["from_the_future"] = {1, 2, 3};
  j["summary"].erase("packets");
  j["intervals"][2].erase("drops_by_reason"); // of an earlier tern
  j["intervals"][2].erase("duplicate");
  for (auto& core : j["summary"]["cores"])
    for (const char* later : {"cycles", "cycles_per_connection", "latency_us"}) core.erase(later);
  j.erase("machine");
  const Result r = from_json(j.dump());
  EXPECT_EQ(r.summary.packets.rx, 0U);
  EXPECT_EQ(r.intervals[2].duplicate, 0U);
  EXPECT_GT(r.intervals[2].drops, 0U);
  EXPECT_FALSE(r.summary.cores[0].latency_us);
  EXPECT_EQ(r.summary.cores[0].cycles_per_connection(), 0);
  EXPECT_TRUE(contradictions(r).empty());
  EXPECT_GT(r.summary.cps, 0);
}

TEST(ReportJson, WhatCannotBeIsRefused) {
  Json j = sample();
  j["summary"]["requests_per_second"] = 1e300;
  EXPECT_EQ(complaint(j), "summary.requests_per_second: too large");
  j = sample();
  j["summary"]["cps"] = -0.5;
  EXPECT_EQ(complaint(j), "summary.cps: negative");
  const char* const behind = "its time does not follow upon the last one's";
  j = sample();
  j["intervals"][0]["t"] = 9007199254740993.0;
  j["intervals"][0]["seconds"] = 1;
  EXPECT_EQ(complaint(j), std::string{"intervals[1]: "} + behind);
  j = sample();
  j["intervals"][2]["seconds"] = 0;
  EXPECT_EQ(complaint(j), std::string{"intervals[2]: "} + behind);
  j = sample();
  j["intervals"][0]["seconds"] = 5;
  EXPECT_EQ(complaint(j), std::string{"intervals[0]: "} + behind);
}

TEST(ReportJson, SaysWhereWhatIsWrong) {
  EXPECT_EQ(complaint(std::string{"{\"schema\": 1,"}), "not JSON: wrong at byte 14");
  EXPECT_EQ(complaint(std::string{"[]"}), "not a report of tern: no `schema` or no `summary`");
  EXPECT_EQ(complaint(std::string{"{}"}), "not a report of tern: no `schema` or no `summary`");
  Json j = sample();
  j["schema"] = 2;
  EXPECT_EQ(complaint(j), "schema: 2 is not the 1 that this tern reads");
  j = sample();
  j["summary"]["cps"] = "fast";
  EXPECT_EQ(complaint(j), "summary.cps: not a number");
  j = sample();
  j["summary"]["connections"]["completed"] = -1;
  EXPECT_EQ(complaint(j), "summary.connections.completed: negative");
  j = sample();
  j["summary"]["connections"]["completed"] = 1.5;
  EXPECT_EQ(complaint(j), "summary.connections.completed: not a whole number");
  j = sample();
  j["intervals"][1]["cores"][0]["core"] = std::uint64_t{1} << 32;
  EXPECT_EQ(complaint(j), "intervals[1].cores[0].core: too large");
  j = sample();
  j["intervals"] = 7;
  EXPECT_EQ(complaint(j), "intervals: not a list");
  j = sample();
  j["summary"]["closed_loop"] = 1;
  EXPECT_EQ(complaint(j), "summary.closed_loop: neither true nor false");
  j = sample();
  const std::string huge = R"({"schema": 1, "summary": {"cps": -1e400}})";
  EXPECT_EQ(complaint(huge),
            "the number -1e400 is beyond any that tern writes: the file was changed or "
            "damaged; take what --json wrote");
  j["machine"] = nullptr;
  EXPECT_EQ(complaint(j), "machine: not an object");
  EXPECT_EQ(complaint(std::string(100'000, '[')), "not JSON: wrong at byte 100001");
}

} // namespace json_test
} // namespace tern::observe
