#include "observe/compare.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>

#include "observe/page.hpp"
#include "observe/plots.hpp"
#include "sample.hpp"

namespace tern::observe {
namespace compare_test {

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

// The line that begins with `name`.
std::string row(const std::string& text, const std::string& name) {
  std::istringstream in{text};
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(name)) return line;
  return "";
}

Result sample() {
  return sample_result({.seconds = 5, .failures = false});
}

TEST(Compare, EqualRunsAreEqualInEveryRow) {
  const std::string text = compare_text({{"a.json", sample()}, {"b.json", sample()}});
  EXPECT_FALSE(holds(text, "Warning"));
  EXPECT_TRUE(holds(text, "The settings are the same."));
  EXPECT_FALSE(holds(text, "x0") || holds(text, "x1"));
  EXPECT_TRUE(row(text, "connections/s").ends_with(" ="));
}

TEST(Compare, ShowsValuesAndTheirRatioToTheFirst) {
  Result b = sample();
  b.summary.cps *= 1.5;
  b.summary.latency_us.response.p99 /= 4;
  b.summary.connections.failed.reset = 7; // none in the first: no ratio
  b.summary.connections.attempted += 7;
  b.config["cps"] = "1000";
  const std::string text = compare_text({{"a.json", sample()}, {"b.json", b}, {"c.json", sample()}});
  EXPECT_TRUE(holds(row(text, "connections/s"), "x1.50"));
  EXPECT_TRUE(row(text, "connections/s").ends_with(" =")); // the third is as the first
  EXPECT_TRUE(holds(row(text, "response p99 "), "x0.25"));
  EXPECT_TRUE(holds(row(text, "failed"), "7      -"));
  EXPECT_TRUE(holds(text, "Settings that differ"));
  EXPECT_TRUE(holds(row(text, "cps "), "1000"));
  EXPECT_EQ(row(text, "retransmitted"), ""); // nothing anywhere: no row
}

TEST(Compare, ThroughputsAreShown) {
  Result a = sample();
  a.summary.response_bytes_per_second = 3 << 20;
  a.summary.rx_bits_per_second = 2e9;
  a.summary.tx_bits_per_second = 1e9;
  Result b = a;
  b.summary.response_bytes_per_second *= 2;
  b.summary.tx_bits_per_second /= 4;
  const std::string text = compare_text({{"a.json", a}, {"b.json", b}});
  EXPECT_TRUE(holds(row(text, "response bytes/s"), "6.00 MiB  x2.00")) << text;
  EXPECT_TRUE(row(text, "received, bits/s").ends_with(" =")) << text;
  EXPECT_TRUE(holds(row(text, "sent, bits/s"), "250 Mb/s  x0.25")) << text;
}

TEST(Compare, FractionsOfLowRatesAreShown) {
  Result a = sample();
  a.summary.cps = 2.5;
  Result b = sample();
  b.summary.cps = 1.5;
  const std::string text = row(compare_text({{"a.json", a}, {"b.json", b}}), "connections/s");
  EXPECT_TRUE(holds(text, "2.50") && holds(text, "1.50  x0.60")) << text;
  a.summary.cps = 1e300;
  EXPECT_LT(compare_text({{"a.json", a}}).size(), 5000U);
}

TEST(Compare, WhatAServerAcceptedIsToldOfAnEarlierTernToo) {
  Result a = sample();
  a.command = "server";
  a.summary.accepted_per_second = 0; // it did not tell
  Result b = a;
  b.summary.accepted_per_second = 2 * headline(a);
  EXPECT_TRUE(row(compare_text({{"a.json", a}, {"b.json", b}}), "accepted/s").ends_with("x2.00"));
}

TEST(Compare, SearchesAreComparedByTheRatesTheyFound) {
  Result a = sample();
  a.summary.search = Search{.found_cps = 1e6, .stopped = "at 1.02M/s p99 was 2 ms", .steps = {}};
  Result b = sample();
  b.summary.search = Search{.found_cps = 2e6, .stopped = "at 2.04M/s 3% failed", .steps = {}};
  std::string text = compare_text({{"a.json", a}, {"b.json", b}});
  EXPECT_TRUE(holds(row(text, "highest rate held/s"), "1.00M"));
  EXPECT_TRUE(row(text, "highest rate held/s").ends_with("x2.00"));
  EXPECT_EQ(row(text, "connections/s"), "");
  EXPECT_LT(text.find("highest rate held/s"), text.find("all rates tried, conn./s"));
  EXPECT_TRUE(holds(text, "a.json stopped: at 1.02M/s p99 was 2 ms\n"));
  EXPECT_TRUE(holds(text, "b.json stopped: at 2.04M/s 3% failed\n"));
  EXPECT_FALSE(holds(text, "Warning"));
  a.summary.search->found_cps = 0;
  EXPECT_TRUE(row(compare_text({{"a.json", a}, {"d.json", a}}), "highest rate held/s").ends_with(" ="));
  text = compare_text({{"a.json", a}, {"c.json", sample()}});
  EXPECT_TRUE(holds(
      text, "Warning: different kinds of run: a search for the highest rate in a.json, one load in c.json."));
}

TEST(Compare, WhoNeverSearchedFoundNoRate) {
  Result a = sample();
  Result b = sample();
  b.summary.search = Search{.found_cps = 2000, .stopped = "at 2.04k/s 3% failed", .steps = {}};
  std::string line = row(compare_text({{"a.json", a}, {"b.json", b}, {"c.json", a}}), "highest rate held/s");
  EXPECT_FALSE(holds(line, " 0")) << line;
  EXPECT_EQ(std::count(line.begin(), line.end(), '-'), 2) << line;
  EXPECT_TRUE(holds(line, "2,000"));
}

TEST(Compare, WarnsWhereFiguresCannotBeCompared) {
  Result b = sample();
  b.machine.core_to_core_cycles = {.before = 900, .after = 910};
  b.summary.closed_loop = false;
  b.summary.client_limited = true;
  b.summary.client_limited_reason = "core 0 busy 99%";
  const std::string text = compare_text({{"a.json", sample()}, {"b.json", b}});
  EXPECT_TRUE(holds(
      text,
      "not equally far from each other, so the figures cannot be compared: near in a.json, far in b.json"));
  EXPECT_TRUE(holds(text, "latencies of different kinds"));
  EXPECT_TRUE(holds(text, "b.json: the tester was the limit: core 0 busy 99%"));
  b = sample();
  b.machine.core_to_core_cycles = {.before = 180, .after = 910};
  EXPECT_TRUE(holds(compare_text({{"a.json", sample()}, {"b.json", b}}),
                    "b.json: the distance between the cores changed during the run"));
}

TEST(Compare, WhatAFileSaysCannotDriveTheTerminal) {
  Result b = sample();
  b.machine.cpu = "evil\x1b]0;title\x07";
  b.config["x\x1b[2J"] = "\x1b[31m";
  EXPECT_FALSE(holds(compare_text({{"a\x1b.json", sample()}, {"b.json", b}}), "\x1b"));
}

TEST(Joined, CountsAddUpAndLatenciesAreTheWorst) {
  const auto all = sample_result({.seconds = 10}).intervals;
  auto few = plots::joined(all, 3); // four at a time: 4, 4, 2
  ASSERT_EQ(few.size(), 3U);
  EXPECT_EQ(few[1].completed, all[4].completed + all[5].completed + all[6].completed + all[7].completed);
  EXPECT_EQ(few[1].failed.total(), all[6].failed.total() + all[7].failed.total());
  EXPECT_EQ(few[1].seconds, 4);
  EXPECT_EQ(few[1].t, 8);
  EXPECT_EQ(few[1].live, 61'000U);
  EXPECT_EQ(few[1].drops, few[1].drops_by_reason["tcp.drop_out_of_window"]);
  EXPECT_EQ(few[1].out_of_order, all[6].out_of_order + all[7].out_of_order);
  EXPECT_GE(few[1].latency_us.response.p99, all[7].latency_us.response.p99);
  EXPECT_NEAR(few[1].cores[0].busy,
              (all[4].cores[0].busy + all[5].cores[0].busy + all[6].cores[0].busy + all[7].cores[0].busy) / 4,
              1e-9);
  EXPECT_NEAR(few[1].cores[0].cycles_per_connection(), 612, 1e-3);
  EXPECT_EQ(plots::joined(all, 100).size(), 10U);
  EXPECT_TRUE(plots::joined({}, 3).empty());
}

// Where a plot's label stands.
double place_of(const std::string& svg, const std::string& label) {
  const std::size_t end = svg.find(">" + label + "<");
  const std::size_t at = svg.rfind("x=\"", end);
  return end == svg.npos ? -1 : std::stod(svg.substr(at + 3));
}
std::size_t times(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(Plots, LabelsStandWhereTheirCurveEnds) {
  auto v = sample_result({.seconds = 10, .failures = false}).intervals;
  const double whole = place_of(plots::latency(v, true), "p50");
  for (std::size_t i = 5; i < v.size(); ++i) v[i].latency_us.response = {};
  std::string svg = plots::latency(v, true);
  EXPECT_LT(place_of(svg, "p50"), whole * 0.6); // the last fifth second's middle, of ten
  EXPECT_EQ(place_of(svg, "p99.9"), place_of(svg, "p50"));
  EXPECT_EQ(times(svg, "line gap"), 0U); // nothing lies behind the gap
  v.back().latency_us.response = v.front().latency_us.response;
  svg = plots::latency(v, true);
  EXPECT_EQ(place_of(svg, "p50"), whole);
  EXPECT_EQ(times(svg, "line gap"), 4U);
}
TEST(Plots, ALatencyThatHardlyMovesHasAnAxisToo) {
  auto v = sample_result({.seconds = 3, .failures = false}).intervals;
  for (Interval& i : v)
    i.latency_us.response = {
        .count = 5, .mean = 3e6, .p50 = 3e6, .p90 = 3.01e6, .p99 = 3.01e6, .p999 = 3.02e6, .max = 3.02e6};
  EXPECT_GE(times(plots::latency(v, false), "class=\"grid\""), 4U);
}

TEST(Page, WhatTheReportSaysStaysText) {
  Result r = sample_result({.seconds = 2});
  r.machine.cpu = "</script><script>alert(1)</script>";
  r.config["x"] = "</script><!--<script>";
  r.summary.client_limited = true;
  r.summary.client_limited_reason = "<img src=x>";
  const std::string page = to_html(r);
  std::size_t scripts = 0;
  for (std::size_t at = page.find("<script"); at != page.npos; at = page.find("<script", at + 1)) ++scripts;
  EXPECT_EQ(scripts, 1U); // the embedded JSON's
  EXPECT_FALSE(holds(page, "<img"));
  EXPECT_FALSE(holds(page, "<!--"));
  EXPECT_TRUE(holds(page, "The tester was the limit"));
}

TEST(Page, ASearchLeadsWithTheRateItFound) {
  Result r = sample_result({.seconds = 2});
  r.summary.search = Search{.found_cps = 1.2e6, .stopped = "p99", .steps = {}};
  const std::string page = to_html(r);
  EXPECT_TRUE(holds(page, "<title>tern bench: 1.20M connections/s</title>"));
  EXPECT_TRUE(holds(page, "Highest rate held</div><div class=\"v \">1.20M</div>"));
  EXPECT_FALSE(holds(page, "Connections a second</div>"));
}

// A file may say anything: where one more second is not one more number, steps would never end.
TEST(Page, TimesBeyondAllMeasureEndToo) {
  for (const double t : {9007199254740992.0, 1e18, 1e300}) {
    Result r = sample();
    for (Interval& i : r.intervals) i.t += t;
    EXPECT_LT(to_html(r).size(), 10U << 20);
    std::swap(r.intervals.front().t, r.intervals.back().t);
    r.intervals.back().t = 1;
    EXPECT_LT(to_html(r).size(), 10U << 20);
  }
}

TEST(Page, EveryPlotHasItsAxesAndNoCoordinateIsMissing) {
  for (const SampleShape& shape : {SampleShape{.seconds = 1}, SampleShape{.seconds = 0, .cores = 0},
                                   SampleShape{.seconds = 300, .cores = 16}}) {
    const std::string page = to_html(sample_result(shape));
    EXPECT_FALSE(holds(page, "nan"));
    EXPECT_FALSE(holds(page, "inf,") || holds(page, "inf "));
    std::size_t plots = 0;
    for (std::size_t at = page.find("<svg"); at != page.npos; at = page.find("<svg", at + 1)) ++plots;
    EXPECT_EQ(plots, 9U);
  }
}

} // namespace compare_test
} // namespace tern::observe
