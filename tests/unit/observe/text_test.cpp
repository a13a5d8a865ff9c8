#include "observe/text.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "observe/live.hpp"
#include "observe/machine.hpp"
#include "observe/units.hpp"
#include "sample.hpp"

namespace tern::observe {
namespace text_test {

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

std::vector<std::string> cut(const std::string& text, char by) {
  std::vector<std::string> out;
  std::istringstream in{text};
  for (std::string part; std::getline(in, part, by);) out.push_back(part);
  return out;
}

TEST(Units, ThreeDigitsAndTheNextUnitInTime) {
  EXPECT_EQ(short_count(0), "0");
  EXPECT_EQ(short_count(7), "7");
  EXPECT_EQ(short_count(950), "950");
  EXPECT_EQ(short_count(999.6), "1.00k");
  EXPECT_EQ(short_count(12'345), "12.3k");
  EXPECT_EQ(short_count(999'960), "1.00M");
  EXPECT_EQ(short_count(2'912'000), "2.91M");
  EXPECT_EQ(short_time_us(0), "0");
  EXPECT_EQ(short_time_us(0.85), "850 ns");
  EXPECT_EQ(short_time_us(13.94), "13.9 us");
  EXPECT_EQ(short_time_us(1250), "1.25 ms");
  EXPECT_EQ(short_time_us(61'000'000), "61.0 s");
  EXPECT_EQ(short_bytes(1536), "1.50 KiB");
  EXPECT_EQ(short_bits(9.87e9), "9.87 Gb/s");
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1'234'567), "1,234,567");
}

TEST(Units, AlmostNothingIsNotNothingAndAlmostAllIsNotAll) {
  EXPECT_EQ(short_share(0), "0%");
  EXPECT_EQ(short_share(1), "100%");
  EXPECT_EQ(short_share(0.97), "97%");
  EXPECT_EQ(short_share(0.0312), "3.1%");
  EXPECT_EQ(short_share(0.0012), "0.12%");
  EXPECT_EQ(short_share(0.0000012), "0.00012%");
  EXPECT_EQ(short_share(0.9999988), "99.99988%");
}

TEST(Units, WhatATerminalWouldActOnIsTakenOut) {
  EXPECT_EQ(printable("a\x1b[2Jb\r\n\x7f"), "a?[2Jb???");
  EXPECT_EQ(printable("\xc2\x9b"
                      "2J \xc2\xb5s"),
            "?2J \xc2\xb5s"); // C1's CSI goes, the micro sign stays
}

TEST(SummaryText, SaysWhatWasFoundAndHowItWasMeasured) {
  Result r = sample_result();
  std::string text = summary_text(r);
  EXPECT_TRUE(holds(text, "Service time (closed loop"));
  EXPECT_TRUE(holds(text, grouped(r.summary.connections.attempted)));
  EXPECT_TRUE(holds(text, "response timeout"));
  EXPECT_FALSE(holds(text, "bad byte")); // none: no line
  EXPECT_TRUE(holds(text, "link: duplicated")) << text;
  EXPECT_TRUE(holds(text, "client 612 server 574"));
  EXPECT_TRUE(holds(text, "182 cycles before, 183 after (near)"));
  EXPECT_FALSE(holds(text, "The tester was the limit"));
  r.summary.closed_loop = false;
  r.summary.client_limited = true;
  r.summary.client_limited_reason = "client core busy 99%";
  r.summary.search =
      Search{.found_cps = 1.2e6, .stopped = "p99", .steps = {{.offered_cps = 2e6, .reason = "p99"}}};
  text = summary_text(r);
  EXPECT_TRUE(holds(text, "Latency (connects count from the intended start, each other stage from its own)"));
  EXPECT_TRUE(holds(text, "The tester was the limit, not what it tested: client core busy 99%"));
}

// What was asked for stands first, and a mean over rates of all sizes is not told as a rate that was reached.
TEST(SummaryText, ASearchLeadsWithTheRateItFound) {
  Result r = sample_result();
  r.summary.search =
      Search{.found_cps = 1.2e6, .stopped = "p99", .steps = {{.offered_cps = 2e6, .reason = "p99"}}};
  const auto lines = cut(summary_text(r), '\n');
  ASSERT_GT(lines.size(), 2U);
  EXPECT_EQ(lines[2], "Highest rate held: 1.20M/s; stopped: p99");
  EXPECT_TRUE(holds(summary_text(r), "\nConnections, all rates tried together "));
  EXPECT_FALSE(holds(summary_text(r), "\nConnections  "));
}

// As many requests as connections were completed: where more were to be, that is a figure, too.
TEST(SummaryText, WhereSeveralRequestsWereToBeTheyAreTold) {
  Result r = sample_result();
  r.summary.requests = r.summary.connections.completed;
  r.config["requests_per_connection"] = "1";
  EXPECT_FALSE(holds(summary_text(r), "\n  requests "));
  r.config["requests_per_connection"] = "3";
  EXPECT_TRUE(holds(summary_text(r), "\n  requests "));
}

TEST(SummaryText, WhereNoByteWasCountedNoRateIsTold) {
  Result r = sample_result({.seconds = 1});
  r.summary.rx_bits_per_second = 0;
  r.summary.tx_bits_per_second = 0;
  r.machine.dpdk = "DPDK 22.11.4"; // as rte_version() says it
  const std::string text = summary_text(r);
  EXPECT_FALSE(holds(text, "b/s"));
  EXPECT_TRUE(holds(text, ", DPDK 22.11.4\n"));
  EXPECT_FALSE(holds(text, " \n")); // no line ends in blanks
}

TEST(SummaryText, AServerTellsWhatItKnows) {
  const Result r = sample_result({.seconds = 60, .server = true});
  const std::string text = summary_text(r);
  for (const char* said :
       {"tern 0.1.0 server: 60.0 s measured, 2 server cores", "  accepted ", "reset by the peer", "timed out",
        "reset by us", "Defence", "syn_cookie_sent", "server 574", "Connections accepted", "requests"})
    EXPECT_TRUE(holds(text, said)) << said;
  for (const char* unknown : {"attempted", "refused", "Latency", "Service time", "p99"})
    EXPECT_FALSE(holds(text, unknown)) << unknown;
}

TEST(Csv, AServersHasNoColumnOfWhatItCannotKnow) {
  const Result r = sample_result({.seconds = 60, .server = true});
  const auto lines = cut(to_csv(r.intervals, Side::server), '\n');
  ASSERT_EQ(lines.size(), 61U);
  for (const auto& l : lines) EXPECT_EQ(cut(l, ',').size(), cut(lines[0], ',').size());
  for (const char* known :
       {",completed,", ",failed_timed_out,", ",time_wait,", ",core1_server_busy", ",requests,"})
    EXPECT_TRUE(holds(lines[0], known)) << known;
  for (const char* unknown : {"latency", "offered", "attack", "refused"})
    EXPECT_FALSE(holds(lines[0], unknown)) << unknown;
  EXPECT_FALSE(holds(to_csv(r.intervals), "timed_out"));
}

TEST(Csv, EveryLineHasEveryColumn) {
  const Result r = sample_result({.seconds = 5});
  const auto lines = cut(to_csv(r.intervals), '\n');
  ASSERT_EQ(lines.size(), 6U);
  const auto names = cut(lines[0], ',');
  for (const auto& l : lines) EXPECT_EQ(cut(l, ',').size(), names.size());
  const auto column = [&](const std::string& name) {
    const auto at = std::find(names.begin(), names.end(), name);
    EXPECT_NE(at, names.end()) << name;
    return static_cast<std::size_t>(at - names.begin());
  };
  const auto third = cut(lines[3], ',');
  EXPECT_EQ(third[column("t")], "3");
  EXPECT_EQ(third[column("completed")], std::to_string(r.intervals[2].completed));
  EXPECT_EQ(third[column("failed_total")], std::to_string(r.intervals[2].failed.total()));
  EXPECT_DOUBLE_EQ(std::stod(third[column("latency_us_response_p99")]),
                   r.intervals[2].latency_us.response.p99);
  EXPECT_NEAR(std::stod(third[column("core1_server_busy")]), r.intervals[2].cores[1].busy, 1e-8);
  EXPECT_EQ(third[column("core0_client_established")], std::to_string(r.intervals[2].cores[0].established));
  EXPECT_EQ(third[column("core0_client_drops")], "0");
}

// 0 is a rate of which nothing was offered; where there is none nothing stands.
TEST(Csv, WhereOpensHaveNoRateNoneIsTold) {
  Result r = sample_result({.seconds = 2});
  r.intervals[1].offered_cps = 0;
  for (const bool search : {false, true})
    for (const std::string rate : {"max", "1000"}) {
      r.config["cps"] = rate;
      r.summary.search = search ? std::optional<Search>{Search{}} : std::nullopt;
      const auto lines = cut(to_csv(r), '\n');
      const auto names = cut(lines[0], ',');
      const auto at =
          static_cast<std::size_t>(std::find(names.begin(), names.end(), "offered_cps") - names.begin());
      ASSERT_LT(at, names.size());
      const auto second = cut(lines[2], ',');
      ASSERT_EQ(second.size(), names.size());
      EXPECT_EQ(second[at], rate == "max" && !search ? "" : "0") << rate << search;
      EXPECT_NE(second[at + 1], "");
    }
}

// Two workers on one CPU, of two roles or of one, are two columns.
TEST(Csv, NoTwoColumnsHaveOneName) {
  Result r = sample_result({.seconds = 2, .cores = 6});
  for (auto& v : r.intervals)
    for (std::size_t i = 0; i < 6; ++i) v.cores[i].core = i % 3 == 2 ? 1 : 0;
  const auto lines = cut(to_csv(r.intervals), '\n');
  auto names = cut(lines[0], ',');
  std::vector<std::string> last;
  std::copy_if(names.begin(), names.end(), std::back_inserter(last),
               [](const std::string& name) { return name.ends_with("_busy"); });
  EXPECT_EQ(last,
            (std::vector<std::string>{"core0_client_busy", "core0_client_2_busy", "core1_client_busy",
                                      "core0_server_busy", "core0_server_2_busy", "core1_server_busy"}));
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

TEST(Csv, NoIntervalsIsTheHeaderAlone) {
  EXPECT_EQ(cut(to_csv(Result{}), '\n').size(), 1U);
}

TEST(LiveLines, ColumnsStandUnderTheirNames) {
  const auto v = sample_result({.seconds = 2}).intervals[0];
  const std::string header = live_header();
  const std::string line = live_line(v);
  EXPECT_EQ(line.find(short_count(v.cps())) + short_count(v.cps()).size(), header.find("conn/s") + 6);
  EXPECT_FALSE(holds(line, "\x1b"));
}

TEST(LiveLines, AServersColumnsStandUnderTheirNames) {
  auto v = sample_result({.seconds = 60, .server = true}).intervals[41];
  v.tx_packets /= 2; // no two columns alike
  v.tx_bytes *= 3;
  v.requests = 3 * v.established;
  const std::string header = live_header(Side::server);
  const std::string line = live_line(v, Side::server);
  const auto under = [&](const std::string& name, const std::string& value) {
    const std::size_t end = header.find(" " + name + " ") + 1 + name.size();
    EXPECT_EQ(line.substr(end - value.size() - 1, value.size() + 1), " " + value) << name << "\n"
                                                                                  << header << line;
  };
  under("accepted/s", short_count(v.per_second(v.established)));
  under("req/s", short_count(v.per_second(v.requests)));
  under("closed/s", short_count(v.cps()));
  under("open", short_count(static_cast<double>(v.live)));
  under("TIME-WAIT", short_count(static_cast<double>(v.time_wait)));
  under("failed", "44");
  under("in/s", short_count(v.per_second(v.rx_packets)));
  under("out/s", short_count(v.per_second(v.tx_packets)));
  under("in", short_bits(v.per_second(v.rx_bytes) * 8));
  under("out", short_bits(v.per_second(v.tx_bytes) * 8));
  under("resent", short_count(static_cast<double>(v.retransmitted.total())));
  under("dropped", short_count(static_cast<double>(v.drops)));
}

TEST(LiveLines, ManyCoresAreToldTogether) {
  const auto v = sample_result({.seconds = 1, .cores = 32}).intervals[0];
  EXPECT_TRUE(holds(live_line(v), " mean "));
  EXPECT_LT(live_line(v).size(), 140U);
}

TEST(Screen, RedrawsWhatItDrewAndKeepsToTheTerminal) {
  Screen screen{"tern bench", {.columns = 60}};
  const auto r = sample_result({.seconds = 60});
  const std::string first = screen.draw(r.intervals[0]);
  EXPECT_EQ(first.substr(0, 4), "\x1b[1m"); // bold, not up: what stands above is not ours
  const auto drawn = std::count(first.begin(), first.end(), '\n');
  std::string last;
  for (std::size_t i = 1; i < r.intervals.size(); ++i) last = screen.draw(r.intervals[i]);
  EXPECT_EQ(last.substr(0, last.find('F') + 1), "\x1b[" + std::to_string(drawn) + "F");
  for (const auto& line : cut(last, '\n')) {
    std::size_t columns = 0;
    bool escape = false;
    for (const char c : line) {
      if (c == '\x1b') escape = true;
      if (!escape && (static_cast<unsigned char>(c) & 0xc0) != 0x80) ++columns;
      if (escape && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))) escape = false;
    }
    EXPECT_LE(columns, 60U) << line;
  }
  EXPECT_TRUE(holds(last, "▁") || holds(last, "█"));
}

TEST(Screen, AServersShowsWhatAServerKnows) {
  Screen screen{"tern server", {.columns = 100, .colour = false}, Side::server};
  std::string text;
  for (const Interval& v : sample_result({.seconds = 60, .server = true}).intervals) text = screen.draw(v);
  for (const char* said : {"tern server 01:00", "/s accepted", "closed in order",
                           "failed 132 (reset by the peer 111, timed out 15"})
    EXPECT_TRUE(holds(text, said)) << said << "\n" << text;
  EXPECT_FALSE(holds(text, "p99")) << text;
}

TEST(Screen, WithoutColourOrUnicodeItIsPlainAscii) {
  Screen screen{"tern bench", {.columns = 100, .colour = false, .unicode = false}};
  const std::string text = screen.draw(sample_result({.seconds = 1}).intervals[0]);
  EXPECT_TRUE(
      std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; }));
  for (const char* colour : {"\x1b[1m", "\x1b[0m", "\x1b[32m"}) EXPECT_FALSE(holds(text, colour));
}

TEST(Live, APipeGetsLinesAndQuietNothing) {
  const auto r = sample_result({.seconds = 25});
  const auto written = [&](Live::Mode mode) {
    std::FILE* f = std::tmpfile();
    Live live{f, "tern bench", mode};
    for (const auto& v : r.intervals) live.show(v);
    std::string text(static_cast<std::size_t>(std::ftell(f)), '\0');
    std::rewind(f);
    EXPECT_EQ(std::fread(text.data(), 1, text.size(), f), text.size());
    std::fclose(f);
    return text;
  };
  const std::string lines = written(Live::Mode::automatic);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 25 + 2); // the header again after 20
  EXPECT_FALSE(holds(lines, "\x1b"));
  EXPECT_EQ(written(Live::Mode::quiet), "");
}

TEST(Machine, FactsAreThoseOfThisMachine) {
  const Machine m = machine_facts();
  EXPECT_FALSE(m.cpu.empty());
  EXPECT_GE(m.cores, 1U);
  EXPECT_GT(m.memory_bytes, 100U << 20);
  EXPECT_FALSE(m.kernel.empty());
  const Resident r = resident();
  EXPECT_GT(r.rss_bytes, 1U << 20);
  EXPECT_LT(r.rss_bytes, m.memory_bytes);
  EXPECT_EQ(utc_now().size(), std::string{"2030-01-31T23:59:59Z"}.size());
}

TEST(CoreToCore, OneCoreOrOneThatIsNotThereIsNotMeasured) {
  EXPECT_EQ(core_round_trip_cycles(0, 0), 0.0);
  EXPECT_EQ(core_round_trip_cycles(0, 100'000), 0.0);
}

TEST(CoreToCore, ARoundTripTakesMoreThanTensOfCycles) {
  if (machine_facts().cores < 2) return; // nothing to measure between
  const double cycles = core_round_trip_cycles(0, 1);
  if (cycles == 0) return; // pinned elsewhere by a cpuset, or a core was taken for a second
  EXPECT_GT(cycles, 20);   // how many more depends on who else has the cores
}

} // namespace text_test
} // namespace tern::observe
