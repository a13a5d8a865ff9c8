#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "app/client/settings.hpp"
#include "app/client/target.hpp"
#include "app/client/visit.hpp"
#include "app/client/watch.hpp"

namespace tern::app {
namespace load_test {

using settings::Value;

TEST(Target, WrittenFormsAreReadAndPrintedBack) {
  for (const char* text :
       {"10.0.0.2:80", "10.0.0.2:80-89", "10.0.0.0/28:80", "[2001:db8::1]:80", "[2001:db8::/124]:80-81"}) {
    const auto range = Value<TargetRange>::parse(text);
    ASSERT_TRUE(range) << text;
    EXPECT_EQ(Value<TargetRange>::print(*range), text);
  }
  for (const char* text : {"10.0.0.2", "10.0.0.2:", ":80", "2001:db8::1:80", "10.0.0.2:0", "10.0.0.2:9-8",
                           "[10.0.0.2]:80", "10.0.0.2/33:80", ""})
    EXPECT_FALSE(Value<TargetRange>::parse(text)) << text;
}

TEST(Target, ABlockHoldsEveryAddressWithEveryPort) {
  std::vector<Endpoint> all;
  const auto range = Value<TargetRange>::parse("10.0.0.254/31:80-81");
  expand(*range, all);
  ASSERT_EQ(all.size(), range->count());
  EXPECT_EQ(all.front().to_string(), "10.0.0.254:80");
  EXPECT_EQ(all.back().to_string(), "10.0.0.255:81");
}

// The rest of the program asks a block whether it holds an address: both must speak of the same ones.
TEST(Target, ABlockIsAllOfItWhicheverAddressNamesIt) {
  for (const char* text :
       {"10.0.0.3/30", "10.0.0.1/32", "10.1.200.7/16", "255.255.255.255/24", "2001:db8::7/126",
        "2001:db8::ffff:7/113", "2001:db8::3/128", "2001:db8:8000::5/100"}) {
    const Prefix block = *Prefix::parse(text);
    const Ip first = block.first();
    const auto last = static_cast<std::uint32_t>(block.count() - 1);
    LoadSettings l;
    l.sources = {block};
    const LoadPlan plan = plan_of(l, {}, {});
    ASSERT_EQ(plan.sources.count(), last + 1) << text;
    EXPECT_EQ(plan.sources.blocks()[0].at(0), first) << text;
    if (last > 1U << 16) continue; // too many to write down
    std::vector<Endpoint> targets;
    expand({block, {Port{80}, Port{80}}}, targets);
    EXPECT_EQ(targets.front().ip, first) << text;
    EXPECT_TRUE(block.contains(targets.back().ip)) << text;
  }
}

TEST(Line, KeepsItsOrderWhoeverLeaves) {
  Visit all[4];
  Line line;
  for (std::uint32_t i = 0; i < 4; ++i) line.join(all, i);
  line.leave(all, 2);
  line.leave(all, 0);
  EXPECT_EQ(line.first(), 1U);
  line.join(all, 2);
  line.leave(all, 1);
  EXPECT_EQ(line.first(), 3U);
  line.leave(all, 3);
  EXPECT_EQ(line.first(), 2U);
  line.leave(all, 2);
  EXPECT_EQ(line.size(), 0U);
  EXPECT_EQ(line.first(), Visit::none);
}

TEST(Load, TheStartTellsWhatItsSourcesAllowASecond) {
  LoadSettings l;
  tcp::Settings tcp;
  l.sources = {*Prefix::parse("10.0.0.1/32")};
  l.closer = Closer::client;
  tcp.timestamps = true;
  EXPECT_NE(sources_line(l, tcp, 1).find("64.5k connections a second at most"), std::string::npos)
      << sources_line(l, tcp, 1);
  EXPECT_NE(sources_line(l, tcp, 2).find("129k connections"), std::string::npos) << sources_line(l, tcp, 2);
  l.closer =
      Closer::server; // the server's TIME-WAIT lets a newer timestamp in at once, if it is tern's or Linux's
  EXPECT_NE(sources_line(l, tcp, 1).find("after 64.5k connections pairs come again"), std::string::npos)
      << sources_line(l, tcp, 1);
  tcp.timestamps = false;
  EXPECT_NE(sources_line(l, tcp, 1).find("1.08k connections"), std::string::npos) << sources_line(l, tcp, 1);
  l.sources = {*Prefix::parse("10.0.0.0/8")};
  EXPECT_EQ(sources_line(l, tcp, 1), "");
}

// A few pairs at a high rate: how many would do, and no more TIME-WAIT than can come to be.
TEST(Load, TheStartTellsThatPairsComeAgainWhileTheServerHasThem) {
  LoadSettings l;
  l.sources = {*Prefix::parse("10.1.0.7/32")};
  l.source_ports = {Port{1024}, Port{1100}};
  l.cps = settings::Rate{100'000};
  l.duration = Duration::seconds(2);
  tcp::Settings tcp;
  tcp.timestamps = true;
  EXPECT_EQ(most_pairs(l, 1), 77U);
  const std::string line = sources_line(l, tcp, 1);
  EXPECT_NE(line.find("comes again after 770 us"), std::string::npos) << line;
  EXPECT_NE(line.find("3897 --sources are enough"), std::string::npos) << line; // of 77 ports each: 300k
  EXPECT_NE(time_wait_line(l, Duration::seconds(60), 77, 65536).find("up to 77 records"), std::string::npos);
  EXPECT_NE(time_wait_line(l, Duration::seconds(60), 1'000'000, 65536).find("up to 330k records"),
            std::string::npos);
  l.cps = settings::Rate{1000};
  EXPECT_NE(sources_line(l, tcp, 1).find("39 --sources or 3000 --source-ports"), std::string::npos)
      << sources_line(l, tcp, 1);
  l.cps = settings::Rate{25}; // 75 in all
  EXPECT_EQ(sources_line(l, tcp, 1), "");
  l.cps = settings::Rate{100'000};
  l.closer = Closer::reset; // nobody keeps one
  EXPECT_EQ(sources_line(l, tcp, 1), "");
}

TEST(Load, TimeWaitRecordsFitIntoWhatMemoryLeaves) {
  LoadSettings l; // as many as can be: 40 million in 10 s
  NodeSettings n;
  n.packet_memory = settings::Size{128ULL << 20};
  n.memory = settings::Size{384ULL << 20};
  const std::uint64_t records = time_wait_records(l, n);
  EXPECT_GT(records, 65'536U);
  EXPECT_LE(records * 43 * 4, 256ULL << 20);
  n.memory = settings::Size{129ULL << 20};
  EXPECT_EQ(time_wait_records(l, n), 65'536U);
  l.connections = 299'000;
  n.memory = {};
  EXPECT_EQ(time_wait_records(l, n), 300'000U);
  // A number of connections runs for as long as it takes: --duration is no bound.
  l.connections = 1'000'000;
  l.cps = settings::Rate{10'000};
  EXPECT_EQ(time_wait_records(l, n), 660'000U); // 60 s of it, and a tenth
  l.bounded = true;                             // by 10 s, and what they leave to come
  EXPECT_EQ(time_wait_records(l, n), 121'000U);
}

using Why = ArenaError::Why;

std::string too_much(std::uint64_t connections, std::uint64_t time_waits, std::uint64_t memory = 0,
                     Why why = Why::memory) {
  NodeSettings n;
  n.packet_memory = settings::Size{128ULL << 20};
  n.memory = settings::Size{memory};
  settings::Schema s;
  s.add("concurrency", n.connections, "");
  s.add("time_wait_records", n.time_wait_records, "");
  s.add("packet_memory", n.packet_memory, "");
  try {
    fail_for_memory(s, n, "concurrency",
                    ArenaError("memory: a sum; lower the limits", why, 384ULL << 20,
                               {{"server connections", connections, 256},
                                {"server flow table", 1, 1ULL << 40},
                                {"server TIME-WAIT", 1, time_waits},
                                {"server IPv6 TIME-WAIT", 1, time_waits}}));
  } catch (const settings::ConfigError& e) {
    return e.what();
  }
}

TEST(Memory, TooLittleOfItNamesWhatTakesTheMost) {
  constexpr std::uint64_t much = 1ULL << 30;
  constexpr const char* time_wait =
      "--time-wait-records: memory: a sum, and TIME-WAIT takes the most of it; ask for fewer";
  constexpr const char* connections =
      "--concurrency: memory: a sum, and connections take the most of it; ask for fewer";
  using std::string;
  EXPECT_EQ(too_much(1000, much), time_wait + string{", or give the machine more memory"});
  EXPECT_EQ(too_much(much / 256, much * 2 / 3), time_wait + string{", or give the machine more memory"});
  EXPECT_EQ(too_much(much / 256, 1000), connections + string{", or give the machine more memory"});
  // What bounds is --memory less the packets', or it is not.
  EXPECT_EQ(too_much(1000, much, 512ULL << 20), time_wait + string{", or give more --memory"});
  EXPECT_EQ(too_much(much / 256, 1000, 513ULL << 20),
            connections + string{", or give the machine more memory"});
  EXPECT_EQ(
      too_much(1000, 1000, 512ULL << 20),
      "--packet-memory: memory: a sum, of --memory 512M, where packets take 128M; lower it, or give more");
  EXPECT_EQ(too_much(much / 256, 1000, 0, Why::reach), connections); // no memory would help
}

TEST(Memory, TheOptionThatAsksForTheMostConnectionsIsBlamed) {
  LoadSettings l;
  settings::Schema s;
  std::uint32_t max_connections = 0;
  s.add("max_connections", max_connections, "");
  EXPECT_STREQ(connections_option(s, l, false), "max_connections");
  l.concurrency = 5000;
  EXPECT_STREQ(connections_option(s, l, false), "concurrency");
  l.in_progress = 2000;
  EXPECT_STREQ(connections_option(s, l, false), "in_progress");
  l.bad[0] = 9000;
  EXPECT_STREQ(connections_option(s, l, false), "attack");
  l.cps = settings::Rate{10'000};
  EXPECT_STREQ(connections_option(s, l, false), "cps");
  EXPECT_STREQ(connections_option(s, l, true), "max_connections");
  // What fits is bounded by what the arena may have, however much is wanted.
  NodeSettings n;
  EXPECT_LE(time_wait_records(LoadSettings{}, n) * 43ULL * 4, process_arena().memory());
}

TEST(Load, ConnectionsThatThinkAreOpenTogether) {
  LoadSettings l;
  l.cps = settings::Rate{1000};
  l.duration = Duration::seconds(100);
  const std::uint32_t one = connection_records(l);
  l.requests = 5;
  l.think = Duration::seconds(2); // four pauses
  EXPECT_EQ(connection_records(l), one + 8000);
  l.think = Duration::seconds(1000); // the run is over before they are
  EXPECT_EQ(connection_records(l), one + 101'000);
  l.concurrency = 1000; // no more are open than that
  EXPECT_EQ(connection_records(l), one + 1000);
}

std::string refusal(const LoadSettings& l, bool timestamps = false,
                    Duration time_wait = Duration::seconds(60)) {
  LoadSettings declared = l;
  settings::Schema s;
  declare(s, declared);
  NodeSettings n;
  n.tcp.timestamps = timestamps; // without them a pair rests for all of --time-wait
  n.tcp.time_wait = time_wait;
  try {
    check(s, l, n, 1);
  } catch (const settings::ConfigError& e) {
    return e.what();
  }
  return {};
}

TEST(Load, NoMoreSourcesAreAskedForThanTheRunOpens) {
  LoadSettings l;
  l.sources = {*Prefix::parse("10.0.0.1/32")};
  l.closer = Closer::client;
  l.cps = settings::Rate{100'000};
  EXPECT_NE(refusal(l).find("1100000 that are open or rest in TIME-WAIT"), std::string::npos) << refusal(l);
  l.connections = 64'000;
  EXPECT_EQ(refusal(l), "");
  l.connections = 65'000; // one address has 64,512 ports
  EXPECT_NE(refusal(l).find("65000 that are open"), std::string::npos) << refusal(l);
  l.connections = 0;
  l.cps = settings::Rate{5000};
  l.duration = Duration::seconds(10); // it ends before the first pair has rested
  EXPECT_EQ(refusal(l), "");
  l.duration = Duration::seconds(100);
  EXPECT_NE(refusal(l).find("300000 that are open"), std::string::npos) << refusal(l);
  l.connections = 1'000'000; // the duration is not what ends it
  l.duration = Duration::seconds(10);
  EXPECT_NE(refusal(l).find("300000 that are open"), std::string::npos) << refusal(l);
}

TEST(Load, SourcesThatSufficeAreEnough) {
  LoadSettings l;
  l.sources = {*Prefix::parse("10.0.0.1/32")};
  l.source_ports = {Port{2000}, Port{2009}};
  EXPECT_NE(refusal(l).find("fewer than the 256 asked for"), std::string::npos) << refusal(l);
  l.connections = 10; // no more than these
  EXPECT_EQ(refusal(l), "");
  l.connections = 0;
  l.cps = settings::Rate{100}; // what may be in progress is a bound of the closed loop
  EXPECT_EQ(refusal(l, true), "");
  l.cps = {settings::Rate::unlimited};
  l.requests = 0;
  l.concurrency = 10; // they are held, and open once
  EXPECT_EQ(refusal(l), "");
  l.concurrency = 11;
  EXPECT_NE(refusal(l).find("fewer than the 11 asked for"), std::string::npos) << refusal(l);
  l.concurrency = 10;
  l.cps = settings::Rate{1000}; // opened at a rate they rest no sooner
  EXPECT_EQ(refusal(l, true), "");
  EXPECT_EQ(refusal(l), "");
}
TEST(Load, TheCureForTooFewSourcesHelps) {
  LoadSettings l;
  l.sources = {*Prefix::parse("10.0.0.1/32")};
  l.closer = Closer::client;
  l.cps = settings::Rate{100'000};
  EXPECT_NE(refusal(l).find(", or a shorter --time-wait, or --close reset"), std::string::npos) << refusal(l);
  // With timestamps our own record rests a second, or less if --time-wait is.
  EXPECT_NE(refusal(l, true).find("10.1.0.0/16, or --close server"), std::string::npos) << refusal(l, true);
  EXPECT_EQ(refusal(l, true, Duration::ms(500)), "");
  l.closer = Closer::server; // nobody rests: they think
  l.requests = 5;
  l.think = Duration::seconds(1);
  EXPECT_NE(refusal(l, true).find("400000 that are open"), std::string::npos) << refusal(l, true);
  EXPECT_TRUE(refusal(l, true).ends_with("10.1.0.0/16")) << refusal(l, true);
}

TEST(Load, WhatIsNoHostsAddressOrNoPortIsRefused) {
  for (const char* p :
       {"224.0.0.0/24", "0.0.0.0/8", "127.0.0.1/32", "126.0.0.0/7", "::/128", "::1/128", "ff02::1/128"}) {
    LoadSettings l;
    l.sources = {*Prefix::parse(p)};
    EXPECT_NE(refusal(l).find("no host has it"), std::string::npos) << p << ": " << refusal(l);
  }
  LoadSettings l;
  l.sources = {*Prefix::parse("10.0.0.0/16")};
  EXPECT_EQ(refusal(l), "");
  l.source_ports.first = Port{0};
  EXPECT_EQ(refusal(l).find("--source-ports: 0 is no port"), 0U) << refusal(l);
}

TEST(Load, ARequestOfHttpIsAsLongAsItWasAskedForAtLeast) {
  LoadSettings l;
  settings::Schema s;
  declare(s, l);
  EXPECT_EQ(http_request(s, l, "bench", false).size(), l.request_size); // nobody asked for its default
  for (std::uint32_t n = 1; n < 200; ++n) {
    l.request_size = n;
    const std::string text = http_request(s, l, "bench", false);
    EXPECT_GE(text.size(), n);
    EXPECT_LE(text.size(), std::max(n + 8, 31U)) << n;
    EXPECT_TRUE(text.ends_with("\r\n\r\n")) << n;
  }
  l.request_size = 4096;
  EXPECT_EQ(http_request(s, l, "bench", false).size(), 4096U);
  l.request_size = 4097;
  EXPECT_THROW((void)http_request(s, l, "bench", false), settings::ConfigError);
}

// Who is opened late, because the tester was, has his whole time-out from then on; his latency counts from when
// he was due.
TEST(Visit, IsNotTiredForHavingBegunLate) {
  const Instant due = Instant::at_ns(1'000'000'000);
  const Duration patience = Duration::ms(100);
  Visit v;
  v.begin(due);
  EXPECT_FALSE(v.tired(due + Duration::ms(100), patience));
  EXPECT_TRUE(v.tired(due + Duration::ms(101), patience));
  for (const int late : {1, 50, 5000}) {
    const Instant now = due + Duration::ms(late);
    v.begin(due, now);
    EXPECT_EQ(v.since, due);
    EXPECT_FALSE(v.tired(now + Duration::ms(100), patience)) << late;
    EXPECT_TRUE(v.tired(now + Duration::ms(120), patience)) << late;
  }
  v.begin(due, due + Duration::seconds(100'000)); // beyond what it can count
  EXPECT_TRUE(v.tired(due + Duration::seconds(100'000), patience));
  v.begin(due);
  EXPECT_TRUE(v.tired(due + Duration::ms(101), patience));
}

// Each that comes to the front was aimed at some turns before, once, whoever left from the middle meanwhile.
TEST(Line, AimsAtEachBeforeItIsTheFirst) {
  constexpr std::uint32_t many = 256;
  Visit all[many];
  bool gone[many] = {};
  unsigned times[many] = {};
  unsigned when[many] = {};
  unsigned turn = 0;
  Line line;
  const auto aim = [&] {
    line.aim(all, [&](std::uint32_t i) {
      EXPECT_FALSE(gone[i]) << i;
      ++times[i], when[i] = turn;
    });
  };
  const auto leave = [&](std::uint32_t i) {
    if (i < many && !gone[i]) line.leave(all, i), gone[i] = true;
  };
  aim(); // at nobody
  for (std::uint32_t i = 0; i < many; ++i) line.join(all, i);
  aim();
  EXPECT_EQ(times[7], 1U);
  EXPECT_EQ(times[8], 0U); // not yet: a cache holds only so much
  unsigned late = 0;
  for (; line.size() != 0; ++turn) {
    const std::uint32_t first = line.first();
    late += times[first] == 0 || (turn > 8 && turn - when[first] < 4) ? 1 : 0;
    leave(first);
    if (turn % 4 == 1) leave(first + 16);             // not aimed at yet
    if (turn % 4 == 3 && turn < 80) leave(first + 3); // aimed at, and never the first
    if (turn % 16 == 9) leave(first + 8);             // who was to be aimed at next
    aim();
  }
  EXPECT_EQ(late, 0U);
  for (std::uint32_t i = 0; i < many; ++i) EXPECT_LE(times[i], 1U) << i;
}

TEST(Load, WhereThereAreFewerConnectionsThanCoresTheLastRest) {
  LoadPlan whole;
  whole.connections = 3;
  whole.bad = {10, 0};
  std::uint64_t connections = 0;
  std::uint32_t bad = 0;
  double rate = 0;
  for (std::uint32_t core = 0; core < 5; ++core) {
    const LoadPlan p = share_of(whole, core, 5);
    EXPECT_EQ(p.rests, core >= 3) << core;
    bad += p.bad[0];
    if (p.rests) continue;
    EXPECT_EQ(p.connections, 1U); // 0 would be: until stopped
    connections += p.connections;
    rate += p.share;
  }
  EXPECT_EQ(connections, 3U);
  EXPECT_EQ(bad, 10U);
  EXPECT_NEAR(rate, 1, 1e-9);
  whole.connections = 0;
  whole.concurrency = 2;
  EXPECT_EQ(share_of(whole, 1, 3).concurrency, 1U); // 0 would be: no limit
  EXPECT_TRUE(share_of(whole, 2, 3).rests);
  whole.concurrency = 0;
  EXPECT_FALSE(share_of(whole, 2, 3).rests);
}

TEST(Tester, WasTheLimitIfItsCoreWasBusyOrOneInAHundredWasLate) {
  EXPECT_EQ(limit_of_tester({.core = {0.95}, .late = 10, .due = 1000}), "");
  EXPECT_NE(limit_of_tester({.core = {0.5}, .late = 11, .due = 1000, .what = "requests"})
                .find("11 of 1000 requests"),
            std::string::npos);
  EXPECT_NE(limit_of_tester({.core = {0.96}, .due = 1000}).find("96% busy"), std::string::npos);
  // Turns are timed by the clock: what seems busy may have been another's.
  EXPECT_EQ(
      limit_of_tester({.core = {0.97, 0.4}, .late = 300, .due = 1000}),
      "its CPU was others' for 40% of the time, 300 of 1000 opens were more than 1 ms late: give it one of "
      "its own");
  EXPECT_EQ(limit_of_tester({.closed_loop = true, .core = {0.97, 0.4}}),
            "its CPU was others' for 40% of the time: with one of its own there might have been more");
  EXPECT_NE(limit_of_tester({.core = {0.99, 0.02}, .late = 300, .due = 1000}).find("99% busy"),
            std::string::npos);
  EXPECT_EQ(limit_of_tester({.late = 1, .due = 0}), ""); // nothing was measured
  EXPECT_EQ(limit_of_tester({.late = 1, .due = 3}), ""); // of so few it says nothing
  EXPECT_EQ(limit_of_tester({.closed_loop = true, .core = {0.9}, .late = 500, .due = 1000}), "");
  // Whose opens waited for a pair was not held up by its core.
  EXPECT_EQ(limit_of_tester({.core = {0.5}, .late = 500, .due = 1000, .starved = 11}), "");
  EXPECT_NE(limit_of_tester({.core = {0.5}, .late = 500, .due = 1000, .starved = 10}), "");
  EXPECT_NE(limit_of_tester({.core = {0.99}, .late = 500, .due = 1000, .starved = 11}), "");
  EXPECT_NE(limit_of_tester({.closed_loop = true, .core = {0.97}}).find("97% busy"), std::string::npos);
}

} // namespace load_test
} // namespace tern::app
