// What commands that measure share: counts of cores, and the report of a server.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>

#include "app/client/load_station.hpp"
#include "app/measure/reports.hpp"
#include "app/measure/station.hpp"
#include "app/server/watch.hpp"
#include "support/eal.hpp"

namespace tern::app {
namespace measure_test {

// A core that only counts.
struct StillCore {
  explicit StillCore(const char* name = "still")
      : shard(process_arena(), {.connections = 64, .time_wait_records = 64}, pool.pool(), Instant{}, name) {
    show(station);
  }
  void show(Station& s) const {
    s.gauges = &gauges;
    s.shard = &shard;
    s.net = &net;
    s.port = &port;
  }
  void ended(CoreCounter how, std::uint64_t n) {
    shard.counters.add(CoreCounter::accepted, n);
    shard.counters.add(how, n);
  }

  test::TestPool pool{63};
  Shard shard;
  Gauges gauges;
  net::NetCounters net;
  io::PortCounters port;
  Station station;
};

TEST(Reports, WhereThereAreManyIntervalsTheyAreJoinedAndStillAddUp) {
  std::vector<observe::Interval> all;
  for (std::uint64_t i = 1; i <= 25'000; ++i) {
    make_room(all);
    observe::Interval v;
    v.t = static_cast<double>(i);
    v.seconds = 1;
    v.completed = i;
    observe::CoreLoad& core = v.cores.emplace_back();
    core.busy = static_cast<double>(i) / 25'000;
    core.completed = core.rx_bytes = core.retransmitted.rto = core.drops = i;
    core.failed_by_cause["reset"] = core.drops_by_reason["drop"] = i;
    core.live = i % 1000;
    all.push_back(v);
    ASSERT_LE(all.size(), 10'000U);
  }
  std::uint64_t sum = 0;
  double seconds = 0;
  observe::CoreLoad core;
  double busy = 0;
  for (const observe::Interval& v : all) {
    sum += v.completed, seconds += v.seconds;
    const observe::CoreLoad& c = v.cores.front();
    core.completed += c.completed, core.rx_bytes += c.rx_bytes, core.drops += c.drops;
    core.retransmitted += c.retransmitted;
    core.failed_by_cause["reset"] += c.failed_by_cause.at("reset");
    core.drops_by_reason["drop"] += c.drops_by_reason.at("drop");
    core.live = std::max(core.live, c.live);
    busy += c.busy * v.seconds;
  }
  for (const std::uint64_t n : {core.completed, core.rx_bytes, core.drops, core.retransmitted.rto,
                                core.failed_by_cause["reset"], core.drops_by_reason["drop"]})
    EXPECT_EQ(n, sum);
  EXPECT_EQ(core.live, 999U); // at their ends: the most of them
  EXPECT_NEAR(busy, static_cast<double>(sum) / 25'000, 1e-6);
  EXPECT_EQ(sum, 25'000ULL * 25'001 / 2);
  EXPECT_EQ(seconds, 25'000);
  EXPECT_EQ(all.back().t, 25'000);
}

TEST(Station, AServersConnectionsAreItsCounters) {
  StillCore core;
  const Station* const all[] = {&core.station};
  const Totals before = totals_of(all);
  core.ended(CoreCounter::closed_done, 7);
  core.ended(CoreCounter::closed_reset, 4);
  core.ended(CoreCounter::closed_timed_out, 3);
  core.ended(CoreCounter::closed_aborted, 2);
  core.ended(CoreCounter::closed_no_memory, 1);
  core.shard.counters.add(CoreCounter::accepted, 5);
  core.gauges.show(0, 5, 6, 0);
  const observe::Interval i = between(before, totals_of(all), all);
  EXPECT_EQ(i.attempted, 22U);
  EXPECT_EQ(i.established, 22U);
  EXPECT_EQ(i.completed, 7U);
  EXPECT_EQ(i.failed.reset, 4U);
  EXPECT_EQ(i.failed.timed_out, 3U);
  EXPECT_EQ(i.failed.aborted, 2U);
  EXPECT_EQ(i.failed.no_memory, 1U);
  EXPECT_EQ(i.failed.total(), 10U);
  EXPECT_EQ(i.live, 5U);
  EXPECT_EQ(i.time_wait, 6U);
  ASSERT_EQ(i.cores.size(), 1U);
  EXPECT_EQ(i.cores[0].role, "server");
  EXPECT_EQ(i.cores[0].completed, 7U);
}

TEST(Station, EachCoreTellsAllThatTheWholeDoes) {
  StillCore one{"one"};
  StillCore two{"two"};
  const Station* const all[] = {&one.station, &two.station};
  std::atomic<std::uint64_t> answered{5};
  two.station.answered = &answered;
  const Totals before = totals_of(all);
  one.ended(CoreCounter::closed_reset, 4);
  two.ended(CoreCounter::closed_aborted, 3);
  answered = 12;
  std::uint64_t n = 1;
  for (StillCore* c : {&one, &two}) {
    c->shard.counters.add(CoreCounter::rx_bytes, n++);
    c->shard.counters.add(CoreCounter::tx_bytes, n++);
    using C = tcp::Counter;
    for (const C counter : {C::out_of_order_in, C::duplicate_in, C::retransmit_syn, C::retransmit_syn_ack,
                            C::retransmit_data, C::retransmit_spurious, C::drop_out_of_window})
      c->shard.tcp_counters.add(counter, n++);
    c->port.add(io::PortCounter::tx_backlogged, n++);
  }
  two.port.add(io::PortCounter::tx_dropped, 40);
  const observe::Interval i = between(before, totals_of(all), all);
  const observe::CoreLoad& a = i.cores[0];
  const observe::CoreLoad& b = i.cores[1];
  EXPECT_EQ(a.failed_by_cause, (observe::ByName{{"reset", 4}}));
  EXPECT_EQ(b.failed_by_cause, (observe::ByName{{"aborted", 3}}));
  EXPECT_EQ(a.requests, 0U);
  EXPECT_EQ(b.requests, 7U);
  EXPECT_EQ(i.requests, 7U);
  EXPECT_EQ(a.rx_bytes, 1U);
  EXPECT_EQ(a.tx_bytes, 2U);
  EXPECT_EQ(a.out_of_order, 3U);
  EXPECT_EQ(a.duplicate, 4U);
  EXPECT_EQ(a.retransmitted.syn, 5U);
  EXPECT_EQ(a.retransmitted.syn_ack, 6U);
  EXPECT_EQ(a.retransmitted.data, 7U);
  EXPECT_EQ(a.retransmitted.spurious, 8U);
  EXPECT_EQ(a.drops_by_reason, (observe::ByName{{"drop_out_of_window", 9}}));
  EXPECT_EQ(a.drops, 9U);
  EXPECT_EQ(a.tx_ring_full, 10U);
  EXPECT_EQ(b.drops_by_reason, (observe::ByName{{"drop_out_of_window", 19}, {"tx_ring_full", 40}}));
  EXPECT_EQ(b.drops, 59U);
  // And they add up.
  EXPECT_EQ(i.rx_bytes, a.rx_bytes + b.rx_bytes);
  EXPECT_EQ(i.tx_bytes, a.tx_bytes + b.tx_bytes);
  EXPECT_EQ(i.out_of_order, a.out_of_order + b.out_of_order);
  EXPECT_EQ(i.duplicate, a.duplicate + b.duplicate);
  EXPECT_EQ(i.retransmitted.total(), a.retransmitted.total() + b.retransmitted.total());
  EXPECT_EQ(i.tx_ring_full, a.tx_ring_full + b.tx_ring_full);
  EXPECT_EQ(i.drops, a.drops + b.drops);
}

TEST(Station, ItsOwnCyclesAreNotThePorts) {
  StillCore server;
  StillCore client{"asks"};
  LoadStats stats;
  LoadStation asks;
  client.show(asks);
  asks.load = &stats;
  server.gauges.busy_cycles = 1000;
  server.gauges.show(300, 0, 8, 0);
  client.gauges.busy_cycles = 500;
  client.gauges.show(100, 0, 7, 0);
  asks.driving_cycles = 50;
  asks.beside_cycles = 7000; // no connection's
  const Station* const both[] = {&asks, &server.station};
  const std::span<const Station* const> all{both};
  EXPECT_DOUBLE_EQ(cycles_each(all.first(1), 10), 45);
  EXPECT_DOUBLE_EQ(cycles_each(all.subspan(1), 10), 70);
  EXPECT_EQ(cycles_each(all, 0), 0);
  const Totals end = totals_of(all);
  observe::Interval measured;
  measured.cores = {{.busy = 0.25}, {.busy = 0.5}};
  observe::Summary s;
  tell_cores(s, end, measured, all);
  EXPECT_EQ(s.time_wait_peak, 15U);
  EXPECT_EQ(s.cores[0].role, "client");
  EXPECT_EQ(s.cores[0].busy, 0.25);
  EXPECT_EQ(s.cores[1].busy, 0.5);
}

TEST(Station, WhatThePortLosesIsADropByName) {
  StillCore core;
  const Station* const all[] = {&core.station};
  EXPECT_TRUE(totals_of(all).packets.drops.empty());
  core.port.add(io::PortCounter::tx_unsendable, 3);
  core.port.add(io::PortCounter::tx_dropped, 2);
  core.station.missed = [] { return 40; };
  const Totals t = totals_of(all);
  EXPECT_EQ(t.packets.drops.at("tx_unsendable"), 3U);
  EXPECT_EQ(t.packets.drops.at("tx_ring_full"), 2U);
  EXPECT_EQ(t.packets.drops.at("rx_missed"), 40U);
  EXPECT_EQ(between(Totals{}, t, {}).drops, 45U);
  core.station.missed = [] { return std::nullopt; };
  EXPECT_FALSE(totals_of(all).packets.drops.contains("rx_missed"));
}

TEST(Station, OfTwoEndsOneIsCounted) {
  StillCore client{"asks"};
  StillCore server{"answers"};
  LoadStats stats;
  LoadStation asks;
  client.show(asks);
  asks.load = &stats;
  stats.load.add(Load::attempted, 9);
  stats.load.add(Load::completed, 8);
  asks.driving_cycles = 30;
  client.gauges.busy_cycles = 12;
  server.ended(CoreCounter::closed_done, 8);
  server.station.tallied = false;
  server.gauges.show(0, 0, 77, 0);
  const Station* const all[] = {&asks, &server.station};
  const Totals t = totals_of(all);
  EXPECT_EQ(t.attempted, 9U);
  EXPECT_EQ(t.completed, 8U);
  EXPECT_EQ(t.time_wait, 77U);
  EXPECT_EQ(t.busy.front(), 42U);
  EXPECT_EQ(t.cores[0].role, "client");
  EXPECT_EQ(t.cores[1].established, 8U);
}

Instant at(int ms) {
  return Instant{} + Duration::ms(ms);
}

TEST(ServerWatch, ItsReportAddsUp) {
  StillCore one{"one"};
  StillCore two{"two"};
  const Station* const all[] = {&one.station, &two.station};
  observe::Result r;
  r.command = "server";
  std::atomic<std::uint64_t> answered{0};
  two.station.answered = &answered;
  ServerWatch watch({.json = "kept for it", .quiet = true, .interval = Duration::ms(20)}, all, r);
  watch.begin(at(1000));
  watch.look(at(1019));
  EXPECT_TRUE(r.intervals.empty()); // not due
  one.ended(CoreCounter::closed_done, 300);
  one.gauges.show(100, 9, 5, 0);
  one.gauges.show(100, 4, 3, 0);
  one.gauges.busy_cycles = 1000;
  watch.look(at(1090));
  watch.look(at(1091));
  ASSERT_EQ(r.intervals.size(), 1U); // who was away takes one
  EXPECT_DOUBLE_EQ(r.intervals[0].seconds, 0.09);
  watch.look(at(1100)); // on its hour again
  EXPECT_EQ(r.intervals.size(), 2U);
  two.ended(CoreCounter::closed_reset, 100);
  two.shard.counters.add(CoreCounter::accepted, 2);
  two.shard.tcp_counters.add(tcp::Counter::syn_cookie_valid, 201);
  answered = 208;
  watch.stopping(at(1104));
  two.shard.counters.add(CoreCounter::closed_done, 1); // while it drains
  answered = 209;
  watch.conclude(at(1150), "");
  const observe::Summary& s = r.summary;
  EXPECT_TRUE(contradictions(r).empty()) << contradictions(r).front();
  EXPECT_EQ(s.connections.attempted, 402U);
  EXPECT_EQ(s.connections.completed, 301U);
  EXPECT_EQ(s.connections.failed.reset, 100U);
  EXPECT_EQ(s.connections.unfinished, 1U);
  EXPECT_DOUBLE_EQ(s.seconds, 0.104);   // without the drain,
  EXPECT_DOUBLE_EQ(s.cps, 300 / 0.104); // and what ended in it
  EXPECT_DOUBLE_EQ(s.accepted_per_second, 402 / 0.104);
  EXPECT_DOUBLE_EQ(s.requests_per_second, 208 / 0.104);
  EXPECT_EQ(s.requests, 209U);
  EXPECT_DOUBLE_EQ(headline(r), s.accepted_per_second); // whoever closes, and however
  EXPECT_EQ(s.live_peak, 9U);
  EXPECT_EQ(s.time_wait_peak, 5U);
  EXPECT_DOUBLE_EQ(s.cycles_per_connection.server, 900.0 / 401);
  EXPECT_DOUBLE_EQ(s.cookie_share, 0.5);
  EXPECT_EQ(s.defence.at("syn_cookie_valid"), 201U);
  EXPECT_FALSE(s.interrupted);
  std::uint64_t completed = 0;
  for (const observe::Interval& i : r.intervals) completed += i.completed;
  EXPECT_EQ(completed, 301U);
  EXPECT_EQ(r.intervals.size(), 3U);
  EXPECT_DOUBLE_EQ(r.intervals.back().t, 0.15);
  EXPECT_EQ(r.intervals.back().cores.size(), 2U);
}

// It may serve for months.
TEST(ServerWatch, KeepsNoIntervalsThatNobodyAskedFor) {
  StillCore core;
  const Station* const all[] = {&core.station};
  observe::Result r;
  r.command = "server";
  ServerWatch watch({.quiet = true, .interval = Duration::ms(20)}, all, r);
  watch.begin(at(1000));
  for (int i = 1; i <= 50; ++i) {
    core.ended(CoreCounter::closed_done, 1);
    watch.look(at(1000 + 20 * i));
  }
  EXPECT_EQ(r.intervals.size(), 1U);
  watch.stopping(at(2000));
  watch.conclude(at(2000), "");
  EXPECT_EQ(r.summary.connections.completed, 50U);
  EXPECT_TRUE(contradictions(r).empty()) << contradictions(r).front();
}

TEST(ServerWatch, AnEndWithoutADrainIsNoIntervalOfItsOwn) {
  StillCore core;
  const Station* const all[] = {&core.station};
  observe::Result r;
  r.command = "server";
  ServerWatch watch({.json = "kept for it", .quiet = true, .interval = Duration::ms(1000)}, all, r);
  watch.begin(at(0));
  core.ended(CoreCounter::closed_done, 5);
  watch.look(at(1000));
  core.ended(CoreCounter::closed_done, 2);
  watch.stopping(at(1001));
  watch.conclude(at(1002), "");
  ASSERT_EQ(r.intervals.size(), 1U);
  EXPECT_EQ(r.intervals[0].completed, 7U);
  EXPECT_DOUBLE_EQ(r.intervals[0].seconds, 1.002);
  EXPECT_TRUE(contradictions(r).empty());
}

TEST(ServerWatch, WhoWasToServeLongerSaysSo) {
  StillCore core;
  const Station* const all[] = {&core.station};
  observe::Result r;
  ServerWatch watch({.quiet = true}, all, r);
  watch.begin(at(0));
  watch.stopping(at(500));
  watch.conclude(at(501), by_signal);
  EXPECT_TRUE(r.summary.interrupted);
  EXPECT_FALSE(r.summary.interrupted_reason.empty());
  EXPECT_EQ(r.summary.cycles_per_connection.server, 0);
}

TEST(Reports, SettingsAreToldAsPlainText) {
  std::string path = "a \"file\"";
  std::vector<std::string> many{"one", "two"};
  std::vector<std::string> none;
  Duration time = Duration::ms(1500);
  bool on = true;
  settings::Schema s;
  s.add("path", path, "");
  s.add("many", many, "");
  s.add("none", none, "");
  s.add("time", time, "");
  s.add("on", on, "");
  s.add("idle", on, "");
  none.push_back("filled in");
  observe::Result r;
  const char* const unused[] = {"idle"};
  describe_run(r, s, "server", unused);
  EXPECT_FALSE(r.config.contains("idle"));
  EXPECT_EQ(r.command, "server");
  EXPECT_EQ(r.config["path"], "a \"file\"");
  EXPECT_EQ(r.config["many"], "one,two");
  EXPECT_EQ(r.config["none"], "filled in");
  EXPECT_EQ(r.config["time"], "1500ms");
  EXPECT_EQ(r.config["on"], "true");
}

TEST(Reports, WhatCannotBeWrittenIsToldBeforeTheRunWithItsCause) {
  OutputSettings o;
  settings::Schema s;
  declare(s, o);
  const auto said = [&](const std::string& path) -> std::string {
    o.html = path;
    try {
      check(s, o);
    } catch (const settings::ConfigError& e) {
      return e.what();
    }
    return "";
  };
  const std::string path = testing::TempDir() + "tern-measure-test.html";
  EXPECT_EQ(said(path), "");
  EXPECT_FALSE(std::filesystem::exists(path)); // who is killed before the report leaves no file of nothing
  EXPECT_EQ(said("/dev/stdout"), "");
  EXPECT_EQ(said(""), "");
  EXPECT_EQ(said("/nowhere/x"),
            "--html: cannot write '/nowhere/x' (No such file or directory); name a file in a "
            "directory that you may write to");
  EXPECT_EQ(said("-"),
            "--html: '-' names no file; write /dev/stdout for standard output, ./- for a file of that name");
}

TEST(Reports, AreWrittenWholeOrNotAtAll) {
  const std::string path = testing::TempDir() + "tern-measure-whole.json";
  OutputSettings o;
  o.json = path;
  EXPECT_TRUE(write_reports(o, {}));
  EXPECT_TRUE(std::filesystem::exists(path));
  std::filesystem::remove(path);
  o.json = "/dev/full";
  EXPECT_FALSE(write_reports(o, {}));
}

} // namespace measure_test
} // namespace tern::app
