// The thread that watches a run, over a client that only counts.
#include "app/client/watch.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "app/client/fates.hpp"
#include "app/client/load.hpp"
#include "app/client/verdict.hpp"
#include "support/eal.hpp"

namespace tern::app {
namespace watch_test {

// A client's core that does nothing of its own.
struct StillClient {
  StillClient()
      : shard(process_arena(), {.connections = 64, .time_wait_records = 64}, pool.pool(), Instant{},
              "still") {
    station.gauges = &gauges;
    station.shard = &shard;
    station.net = &net;
    station.port = &port;
    station.load = &stats;
  }

  test::TestPool pool{63};
  Shard shard;
  Gauges gauges;
  net::NetCounters net;
  io::PortCounters port;
  LoadStats stats;
  LoadStation station;
  bool waits = false; // for one that is never answered: nothing is counted any more
};

std::int64_t monotonic_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// A run of 400 ms of ramp and 400 ms of warm-up, in which `at(milliseconds)` says what ends it; its drain lasts to 1,200 ms, and
// counts.
template <class At>
observe::Result run(StillClient& client, At&& at, std::uint64_t connections = 0, std::uint32_t held = 0,
                    Duration ramp = Duration::ms(400)) {
  LoadSettings load;
  load.connections = connections;
  load.concurrency = held;
  load.requests = held == 0 ? 1 : 0;
  load.cps = settings::Rate{1000};
  load.ramp = load.warmup = ramp;
  OutputSettings out;
  out.quiet = true;
  out.interval = Duration::ms(10); // it looks as often
  LoadControl control;
  control.cps = 1000;
  observe::Result result;
  const LoadStation* const clients[] = {&client.station};
  Watch watch("a run", load, out, {}, clients, {}, control, result);
  const auto began = std::chrono::steady_clock::now();
  int looks = 0;
  watch.run([&] {
    const auto now = std::chrono::steady_clock::now();
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now - began).count();
    for (const Load n : {Load::attempted, Load::established, Load::completed, Load::late})
      if (!client.waits) client.stats.load.add(n);
    // A stalled machine may look seldom: it has looked twice since the measuring began.
    if (ms >= 1200 && ++looks >= 3) client.station.done = true;
    return at(ms);
  });
  watch.conclude();
  return result;
}

void expect_nothing_measured(const observe::Summary& s) {
  EXPECT_EQ(s.seconds, 0);
  EXPECT_EQ(s.cps, 0);
  EXPECT_EQ(s.client_limited_reason, "");
  ASSERT_EQ(s.notes.size(), 1U);
  EXPECT_NE(s.notes[0].find("nothing was measured"), std::string::npos) << s.notes[0];
}

TEST(Watch, WhoIsStoppedInTheRampMeasuresNothingThoughTheDrainIsLong) {
  StillClient client;
  const observe::Result r =
      run(client, [](auto ms) { return ms < 20 ? std::string{} : std::string{"enough"}; });
  EXPECT_EQ(r.summary.interrupted_reason, "enough");
  expect_nothing_measured(r.summary);
}

// What was not asked for is not blamed.
TEST(Watch, WhoIsStoppedAtOnceMeasuresNothingForThat) {
  StillClient client;
  const observe::Result r = run(
      client, [](auto) { return std::string{"enough"}; }, 0, 0, Duration{});
  expect_nothing_measured(r.summary);
  EXPECT_EQ(r.summary.notes[0], "nothing was measured: it was stopped before it began");
}

TEST(Watch, WhoHasOpenedItsLastBeforeTheWarmupEndsMeasuresNothing) {
  StillClient client;
  const observe::Result r = run(client, [&](auto ms) {
    if (ms >= 20 && client.station.stopped_ns == 0) client.station.stopped_ns = 1;
    return std::string{};
  });
  EXPECT_FALSE(r.summary.interrupted);
  expect_nothing_measured(r.summary);
}

TEST(Watch, BehindTheWarmupItIsMeasured) {
  StillClient client;
  int looks = 0;
  const observe::Result r = run(client, [&](auto ms) {
    if (ms >= 1200 && ++looks == 2) client.station.stopped_ns = monotonic_ns();
    return std::string{};
  });
  EXPECT_TRUE(r.summary.notes.empty()) << r.summary.notes[0];
  EXPECT_EQ(r.summary.client_limited_reason.find("18446744"), std::string::npos);
}

// One that is never answered is waited for; then the client says when it was last heard of.
TEST(Watch, WhatIsWaitedForAtTheEndIsNoPartOfWhatIsMeasured) {
  StillClient client;
  const std::int64_t began = monotonic_ns();
  std::int64_t last = 0;
  int looks = 0;
  constexpr std::uint64_t bytes = 1'000'000;
  const observe::Result r = run(
      client,
      [&](auto ms) {
        if (ms >= 1200 && ++looks == 2) {
          last = monotonic_ns();
          client.shard.counters.add(CoreCounter::rx_bytes, bytes);
          client.waits = true;
        }
        if (looks == 2)
          std::this_thread::sleep_for(std::chrono::milliseconds(100)); // nothing more is completed
        if (client.station.done && client.station.stopped_ns == 0) {
          client.shard.counters.add(CoreCounter::rx_bytes, 50 * bytes); // a flood goes on meanwhile
          client.station.stopped_ns = last;
        }
        return std::string{};
      },
      1'000'000);
  EXPECT_GT(r.summary.seconds, 0);
  EXPECT_LE(r.summary.seconds, static_cast<double>(last - began) * 1e-9 - 0.8);
  EXPECT_NEAR(r.summary.rx_bits_per_second, bytes * 8 / r.summary.seconds, bytes);
}

// The mean of a ramp, and nothing once it is over.
TEST(Watch, TheRateOfAnIntervalIsWhatWasOfferedInIt) {
  StillClient client;
  const std::int64_t began = monotonic_ns();
  double stopped = 0;
  const observe::Result r = run(client, [&](auto ms) {
    if (ms >= 1000 && client.station.stopped_ns == 0) {
      client.station.stopped_ns = monotonic_ns();
      stopped = static_cast<double>(client.station.stopped_ns - began) * 1e-9;
    }
    return std::string{};
  });
  double all = 0;
  int drained = 0;
  for (const observe::Interval& i : r.intervals) {
    all += i.offered_cps * i.seconds;
    const double middle = i.t - i.seconds / 2;
    if (i.t < 0.39) {
      EXPECT_NEAR(i.offered_cps, 1000 * middle / 0.4, 30);
    }
    if (i.t - i.seconds > 0.41 && i.t < stopped - 0.02) {
      EXPECT_NEAR(i.offered_cps, 1000, 10);
    }
    if (i.t - i.seconds < stopped + 0.02) continue;
    EXPECT_EQ(i.offered_cps, 0);
    ++drained;
  }
  EXPECT_NEAR(all, 1000 * (stopped - 0.2), 100); // the run began some time after `began`
  EXPECT_GT(drained, 0);
}
TEST(Watch, NothingIsOfferedWhereAllStand) {
  StillClient client;
  client.waits = true;
  const observe::Result r = run(
      client,
      [&](auto ms) {
        if (ms >= 500) client.stats.live = client.stats.live_peak = 100;
        if (ms >= 1000 && client.station.stopped_ns == 0) client.station.stopped_ns = monotonic_ns();
        return std::string{};
      },
      0, 100);
  for (const observe::Interval& i : r.intervals) {
    if (i.t - i.seconds > 0.6) {
      EXPECT_EQ(i.offered_cps, 0) << i.t;
    }
    EXPECT_LE(i.offered_cps * i.seconds, 100) << i.t;
  }
}

TEST(Watch, AWayThatTookLongIsTold) {
  for (const bool found : {false, true}) {
    StillClient client;
    client.waits = !found; // none is established
    int looks = 0;
    const observe::Result r = run(client, [&](auto ms) {
      client.stats.withheld_ns = 900'000'000;
      client.stats.found_ns = found ? 1'100'000'000 : 0;
      client.stats.finding = !found;
      if (ms < 1200 || ++looks != 2) return std::string{};
      client.station.stopped_ns = monotonic_ns();
      client.stats.load.add(Load::withheld, 900);
      return std::string{};
    });
    ASSERT_EQ(r.summary.notes.size(), 1U);
    EXPECT_EQ(r.summary.notes[0], fmt::format("the way to the target {} 900 opens of the rate were withheld",
                                              found ? "stood after 1.10 s: until then" : "never stood:"));
  }
}
TEST(Watch, AWayThatStoodOnlyInTheDrainIsNotSaidNeverToHaveStood) {
  StillClient client;
  client.stats.withheld_ns = 900'000'000;
  int looks = 0;
  const observe::Result r = run(client, [&](auto ms) {
    if (ms >= 1200 && ++looks == 2) client.station.stopped_ns = monotonic_ns();
    return std::string{};
  });
  ASSERT_EQ(r.summary.notes.size(), 1U);
  EXPECT_EQ(r.summary.notes[0].find("the way to the target did not stand before the load was over: "), 0U)
      << r.summary.notes[0];
}
TEST(Watch, WhoHoldsFewerForWantOfARateIsToldTheCure) {
  for (const bool interrupted : {false, true}) {
    StillClient client;
    client.stats.live_peak = 30;
    int looks = 0;
    const observe::Result r = run(
        client,
        [&](auto ms) {
          if (ms < 1200 || ++looks < 2) return std::string{};
          if (looks == 2) client.station.stopped_ns = monotonic_ns();
          return std::string{interrupted ? "enough" : ""};
        },
        0, 5000);
    ASSERT_EQ(r.summary.notes.size(), interrupted ? 0U : 1U);
    if (interrupted) continue;
    EXPECT_NE(r.summary.notes[0].find("30 were open at most: --cps 1k brings no more"), std::string::npos)
        << r.summary.notes[0];
  }
}

// The notes of a run in which `counts` had been counted, and nothing else but one connection a look.
template <class Counts>
std::vector<std::string> notes_of_run(Counts&& counts) {
  StillClient client;
  client.waits = true;
  counts(client.stats);
  int looks = 0;
  return run(client,
             [&](auto ms) {
               if (ms >= 1200 && ++looks == 2) client.station.stopped_ns = monotonic_ns();
               return std::string{};
             })
      .summary.notes;
}
TEST(Watch, WhereTheEndsDoNotMeanTheSameItIsSaid) {
  const auto http = notes_of_run([](LoadStats& s) {
    s.load.add(Load::attempted, 9);
    s.load.add(Load::established, 9);
    s.load.add(Load::bad_byte, 9);
    s.load.add(Load::http_text, 9);
  });
  ASSERT_EQ(http.size(), 2U);
  EXPECT_EQ(http[0], "no connection was completed: 9 of 9 failed, 9 of them by bad byte");
  EXPECT_NE(http[1].find("try --payload http"), std::string::npos) << http[1];
  const auto silent = [](std::uint64_t bytes) {
    return notes_of_run([bytes](LoadStats& s) {
      s.load.add(Load::attempted, 9);
      s.load.add(Load::established, 8);
      s.load.add(Load::connect_timeout, 1);
      s.load.add(Load::response_timeout, 8);
      s.load.add(Load::response_bytes, bytes);
    });
  };
  const std::string none = "no connection was completed: 9 of 9 failed, 8 of them by response timeout";
  ASSERT_EQ(silent(0).size(), 2U);
  EXPECT_EQ(silent(0)[0], none);
  EXPECT_EQ(silent(0)[1].find("the server accepted and said nothing: "), 0U) << silent(0)[1];
  EXPECT_EQ(silent(1), std::vector<std::string>{none});
}
TEST(Watch, PairsThatAreMetAgainWhileTheServerRemembersThemAreTold) {
  for (const double pairs : {1.0, 1000.0}) {
    StillClient client;
    client.waits = true;
    client.stats.pairs = pairs;
    client.stats.load.add(Load::attempted, 372);
    client.stats.load.add(Load::established, 372);
    client.stats.load.add(Load::completed, 372);
    int looks = 0;
    const observe::Result r = run(client, [&](auto ms) {
      if (ms < 1200 || ++looks != 2) return std::string{};
      client.shard.tcp_counters.add(tcp::Counter::retransmit_syn, 179);
      client.station.stopped_ns = monotonic_ns();
      return std::string{};
    });
    ASSERT_EQ(r.summary.notes.size(), pairs == 1 ? 1U : 0U);
    if (pairs != 1) continue;
    EXPECT_EQ(
        r.summary.notes[0].find("179 SYNs were sent again, and each pair of endpoints was used 372 times: "),
        0U)
        << r.summary.notes[0];
  }
}
TEST(Watch, OnlyAServerThatClosesNoneIsSaidNotToClose) {
  for (const std::uint64_t completed : {0U, 100U}) {
    const auto notes = notes_of_run([completed](LoadStats& s) {
      s.load.add(Load::attempted, 105);
      s.load.add(Load::established, 105);
      s.load.add(Load::response_bytes, 105);
      s.load.add(Load::completed, completed);
      s.load.add(Load::response_timeout, 105 - completed);
      s.load.add(Load::never_closed, 5);
    });
    ASSERT_EQ(notes.size(), completed == 0 ? 2U : 1U);
    EXPECT_EQ(notes.back().find("did not close: see --close") != std::string::npos, completed == 0)
        << notes.back();
  }
}
TEST(Watch, WhatARunIsForDecidesWhetherItCameToNothing) {
  LoadSettings load;
  observe::Summary s;
  EXPECT_EQ(came_to_nothing(s, load), "") << "an attack alone, or a Ctrl-C at once";
  s.connections = {.attempted = 5, .established = 5, .failed = {.reset = 3, .bad_byte = 2}};
  EXPECT_EQ(came_to_nothing(s, load), "no connection was completed: 5 of 5 failed, 3 of them by reset");
  s.connections.completed = 1;
  EXPECT_EQ(came_to_nothing(s, load), "");
  s.connections.completed = 0;
  s.requests = 4; // answered, and then they did not close
  EXPECT_NE(came_to_nothing(s, load), "");
  load.requests = 0;
  EXPECT_EQ(came_to_nothing(s, load), "") << "on connections that stay, requests are what it is for";
  s.requests = 0;
  EXPECT_NE(came_to_nothing(s, load), "");
  s.response_bytes = 1000;
  EXPECT_EQ(came_to_nothing(s, load), "") << "a response that takes longer than the run";
  s.requests = 4;
  s.connections.failed = {.bad_byte = 5};
  EXPECT_EQ(came_to_nothing(s, load), "no connection was completed: 5 of 5 failed, 5 of them by bad byte");
  s.connections = {.attempted = 5, .established = 5, .unfinished = 5};
  load = {};
  EXPECT_EQ(came_to_nothing(s, load), "no connection was completed: 5 were left unfinished");
  s.search = {.found_cps = 0, .stopped = "not even 5/s was held: 100% failed"};
  EXPECT_EQ(came_to_nothing(s, load), "not even 5/s was held: 100% failed");
  s.search->found_cps = 10;
  EXPECT_EQ(came_to_nothing(s, load), "");
}
TEST(Watch, ATargetThatNeverAnsweredIsNamedWhereOthersDid) {
  const TargetFate good{.target = *Endpoint::parse("10.0.0.1:80"), .stood = true, .unanswered = 3};
  const TargetFate dead{.target = *Endpoint::parse("10.0.0.9:80"), .unanswered = 150};
  TargetFate gone = dead;
  gone.obstacle = Obstacle::no_neighbour;
  TargetFate astray{
      .target = *Endpoint::parse("10.9.0.9:80"), .unanswered = 4, .obstacle = Obstacle::no_route};
  const TargetFate shut{.target = *Endpoint::parse("10.0.0.1:81"), .refused = 7};
  const TargetFate beyond{.target = *Endpoint::parse("10.9.0.1:80"), .unreachable = 4};
  const TargetFate unlike{.target = *Endpoint::parse("10.0.0.1:82"), .stood = true, .differed = 2};
  const auto notes = [](std::vector<TargetFate> fates) {
    const std::span<const TargetFate> one[] = {fates, fates};
    return notes_of(one);
  };
  EXPECT_TRUE(notes({good}).empty());
  EXPECT_TRUE(notes({dead, shut}).empty()) << "the run's end says it";
  EXPECT_EQ(
      notes({good, gone, shut}),
      (std::vector<std::string>{
          "10.0.0.9:80: no connection was established, 300 failed: nobody answers ARP or neighbour discovery "
          "on the way to it",
          "10.0.0.1:81: no connection was established, 14 failed: they were refused: nothing listens there, "
          "or "
          "a firewall says no"}));
  EXPECT_NE(notes({good, beyond})[0].find("8 failed: a router on the way, or the host, says by ICMP"),
            std::string::npos);
  EXPECT_NE(notes({good, dead})[0].find("300 failed: it does not answer"), std::string::npos);
  const auto each = notes({good, gone, dead, astray}); // one that nobody hears of says nothing of the others
  ASSERT_EQ(each.size(), 2U) << "gone and dead are one target";
  EXPECT_NE(each[1].find("8 failed: it is on no network of --ip"), std::string::npos) << each[1];
  EXPECT_EQ(notes({unlike}), (std::vector<std::string>{"4 responses were not what the first response of "
                                                       "10.0.0.1:82 was, and were compared with it"}));
  TargetFate more = dead;
  std::vector<TargetFate> all{good};
  for (std::uint16_t port = 1; port <= 5; ++port) all.push_back((more.target.port = Port{port}, more));
  ASSERT_EQ(notes(all).size(), 4U);
  EXPECT_EQ(notes(all)[3], "so it is with 2 more targets");
}

TEST(Watch, WhatWasDueAndNeverAskedIsTold) {
  for (const std::uint64_t owed : {0U, 1000U}) {
    StillClient client;
    int looks = 0;
    const observe::Result r = run(client, [&](auto ms) {
      if (ms < 1200 || ++looks != 2) return std::string{};
      client.station.stopped_ns = monotonic_ns();
      client.stats.load.add(Load::never_asked, owed);
      client.stats.load.add(Load::never_opened, owed);
      return std::string{};
    });
    ASSERT_EQ(r.summary.notes.size(), owed == 0 ? 0U : 2U)
        << (r.summary.notes.empty() ? "" : r.summary.notes[0]);
    if (owed == 0) continue;
    EXPECT_EQ(r.summary.notes[0], "1000 requests were due and never asked: no connection was free");
    EXPECT_EQ(r.summary.notes[1].find("1000 connections were due and never opened: "), 0U);
  }
}

} // namespace watch_test
} // namespace tern::app
