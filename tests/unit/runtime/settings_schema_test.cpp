#include "runtime/settings/schema.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>

#include "runtime/settings/cli.hpp"

namespace tern::settings {
namespace settings_schema_test {

enum class Cookies { automatic, always, never };

struct Listen {
  Endpoint address;
  std::uint32_t backlog = 1024;
  std::vector<Ip> allow;
};

struct Settings {
  std::string name = "tern";
  Rate cps{Rate::unlimited};
  Duration time_wait = Duration::seconds(60);
  Percent loss;
  Size buffer{65536};
  bool verify = false;
  bool pace = true;
  std::vector<Prefix> source;
  std::optional<Port> metrics;
  Cookies cookies = Cookies::automatic;
  std::vector<Listen> listen;
};

struct Fixture {
  Settings v;
  Schema s;
  Fixture() {
    s.add("name", v.name, "a name for the report");
    s.group("load", "What to offer");
    s.add("cps", v.cps, "connections a second", Range{Rate{1}, Rate{Rate::unlimited}});
    s.add("time_wait", v.time_wait, "2MSL", Range{Duration::ms(1), Duration::seconds(240)});
    s.add("loss", v.loss, "share of packets to lose");
    s.add("buffer", v.buffer, "bytes of buffer");
    s.add("verify", v.verify, "check every byte");
    s.add("pace", v.pace, "spread connections evenly");
    s.add("source", v.source, "client addresses");
    s.group("server", "The server");
    s.add("metrics", v.metrics, "port of /metrics");
    s.choice("cookies", v.cookies, "SYN cookies",
             {{"auto", Cookies::automatic}, {"always", Cookies::always}, {"never", Cookies::never}});
    s.list<Listen>("listen", v.listen, "where to listen", [](Schema& item, Listen& l) {
      item.add("address", l.address, "address and port");
      item.add("backlog", l.backlog, "handshakes in progress", Range{1U, 65536U});
      item.add("allow", l.allow, "who may connect");
    });
  }
  void load(std::string_view toml) { s.load_text(toml, "f.toml"); }
  std::optional<int> run(std::vector<const char*> argv) {
    argv.insert(argv.begin(), "prog");
    return parse(s, "a test", static_cast<int>(argv.size()), argv.data());
  }
};

// What the one line says; the test fails when there is none.
template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const ConfigError& e) {
    return e.what();
  }
  ADD_FAILURE() << "no ConfigError";
  return {};
}
std::string toml_error(std::string_view toml) {
  return error_of([&] { Fixture().load(toml); });
}
std::string cli_error(const std::vector<const char*>& argv) {
  return error_of([&] { (void)Fixture().run(argv); });
}

TEST(SchemaToml, EveryKindIsRead) {
  Fixture f;
  f.load(R"(name = "north"
[load]
cps = "20k"
time_wait = "5s"
loss = "0.1%"
buffer = 4096
verify = true
pace = false
source = ["10.0.0.0/24", "10.1.0.1"]
[server]
metrics = 9100
cookies = "never"
[[server.listen]]
address = "10.0.0.1:80"
backlog = 5
allow = ["10.9.0.1", "10.9.0.2"]
[[server.listen]]
address = "[2001:db8::1]:80"
)");
  EXPECT_EQ(f.v.name, "north");
  EXPECT_EQ(f.v.cps, Rate{20'000});
  EXPECT_EQ(f.v.time_wait, Duration::seconds(5));
  EXPECT_DOUBLE_EQ(f.v.loss.share, 0.001);
  EXPECT_EQ(f.v.buffer, Size{4096});
  EXPECT_TRUE(f.v.verify);
  EXPECT_FALSE(f.v.pace);
  ASSERT_EQ(f.v.source.size(), 2U);
  EXPECT_EQ(f.v.source[1].to_string(), "10.1.0.1/32");
  EXPECT_EQ(f.v.metrics, Port{9100});
  EXPECT_EQ(f.v.cookies, Cookies::never);
  ASSERT_EQ(f.v.listen.size(), 2U);
  EXPECT_EQ(f.v.listen[0].backlog, 5U);
  EXPECT_EQ(f.v.listen[0].allow.size(), 2U);
  EXPECT_EQ(f.v.listen[1].address.to_string(), "[2001:db8::1]:80");
  EXPECT_EQ(f.v.listen[1].backlog, 1024U);
}

TEST(SchemaToml, ErrorsNameFileLineAndColumn) {
  EXPECT_EQ(toml_error("[load]\ncps = \"fast\"\n"),
            "f.toml:2:7: 'fast' is not a rate a second, such as 20000, 20k, 1.5M, or max");
  EXPECT_EQ(toml_error("[load]\ntime_wait = 5\n"),
            "f.toml:2:13: '5' is not a time with its unit, such as 5s, 250ms, 10us or 2m");
  EXPECT_EQ(toml_error("[load]\ntime_wait = \"5m\"\n"), "f.toml:2:13: 5m is too large; give 1ms to 240s");
  EXPECT_EQ(toml_error("name = \"a\"\n[load]\ncps = 99_999_999_999_999_999_999 # a second\n"),
            "f.toml:3:7: the number is too large; give 9223372036854775807 at most");
  EXPECT_EQ(toml_error("[load]\ncps=-99999999999999999999"),
            "f.toml:2:5: the number is too large; give 9223372036854775807 at most");
  EXPECT_EQ(toml_error("[load]\nverify = \"true\"\n"),
            "f.toml:2:10: 'verify' is on or off; write true or false, without quotes");
  EXPECT_EQ(toml_error("name = 5\n"), "f.toml:1:8: 'name' is text; write it in quotes, not as integer");
  EXPECT_EQ(toml_error("[load]\ncps = true\n"), "f.toml:2:7: 'cps' takes RATE, not true or false");
  EXPECT_EQ(toml_error("[load]\ncps = [1, 2]\n"), "f.toml:2:7: 'cps' cannot be array; give one value");
  EXPECT_EQ(toml_error("[load]\ncps = \n").substr(0, 20), "f.toml:2:7: not TOML");
  EXPECT_EQ(toml_error("load = 5\n"), "f.toml:1:1: 'load' is a table; write [load]");
}

TEST(SchemaToml, UnknownNamesSuggestTheNearest) {
  EXPECT_NE(toml_error("[load]\ntime-wait = \"5s\"\n")
                .find("f.toml:2:1: 'time-wait' is not known in [load]; did you "
                      "mean 'time_wait'?; known are: cps"),
            std::string::npos);
  EXPECT_NE(toml_error("[laod]\n").find("f.toml:1:2: 'laod' is not known; did you mean 'load'?"),
            std::string::npos);
  EXPECT_EQ(toml_error("[server]\ncps = 5\n"), "f.toml:2:1: 'cps' belongs in [load]");
  EXPECT_EQ(toml_error("[load]\nname = \"x\"\n"), "f.toml:2:1: 'name' belongs above the first table");
}

TEST(SchemaToml, ListItemsAreCheckedAsStrictly) {
  EXPECT_EQ(toml_error("[[server.listen]]\nbacklog = 5\n"), "f.toml:1:1: 'address' is missing; give IP:PORT");
  EXPECT_EQ(toml_error("[[server.listen]]\naddress = \"10.0.0.1:80\"\nbacklog = 0\n"),
            "f.toml:3:11: 0 is too small; give 1 to 65536");
  EXPECT_NE(toml_error("[[server.listen]]\naddress = \"10.0.0.1:80\"\nbaklog = 1\n").find("mean 'backlog'?"),
            std::string::npos);
}

TEST(SchemaCommandLine, EveryKindIsRead) {
  Fixture f;
  EXPECT_FALSE(f.run({"--cps", "max", "--time-wait", "5s", "--loss=1%", "--verify", "--no-pace", "--source",
                      "10.0.0.0/24", "--source", "10.1.0.1,10.2.0.1", "--cookies", "always", "--listen",
                      "10.0.0.1:80,backlog=5", "--listen", "address=10.0.0.2:80", "--metrics", "9100"}));
  EXPECT_TRUE(f.v.cps.is_max());
  EXPECT_EQ(f.v.time_wait, Duration::seconds(5));
  EXPECT_DOUBLE_EQ(f.v.loss.share, 0.01);
  EXPECT_TRUE(f.v.verify);
  EXPECT_FALSE(f.v.pace);
  EXPECT_EQ(f.v.source.size(), 3U);
  EXPECT_EQ(f.v.cookies, Cookies::always);
  ASSERT_EQ(f.v.listen.size(), 2U);
  EXPECT_EQ(f.v.listen[0].backlog, 5U);
  EXPECT_EQ(f.v.listen[1].address.to_string(), "10.0.0.2:80");
  EXPECT_EQ(f.v.metrics, Port{9100});
}

TEST(SchemaCommandLine, ErrorsNameTheOption) {
  EXPECT_EQ(cli_error({"--time-wait", "5"}),
            "--time-wait: '5' is not a time with its unit, such as 5s, 250ms, 10us or 2m");
  EXPECT_EQ(cli_error({"--cps", "0"}), "--cps: 0 is too small; give 1 to max");
  EXPECT_EQ(cli_error({"--cps", "1", "--cps", "2"}), "--cps: given more than once; give it once");
  EXPECT_EQ(cli_error({"--cookies", "alway"}),
            "--cookies: 'alway' is not one of: auto, always, never; did you mean 'always'?");
  EXPECT_EQ(cli_error({"--cps"}), "--cps: a value is missing; write --cps VALUE");
  EXPECT_EQ(cli_error({"--tme-wait", "5s"}),
            "--tme-wait: no such option; did you mean '--time-wait'?; 'prog --help' lists them");
  EXPECT_EQ(cli_error({"stray"}),
            "stray: not expected here; options start with --, and 'prog --help' lists them");
  EXPECT_EQ(cli_error({"--listen", "10.0.0.1:80,7"}),
            "--listen: '7' has no name; write name=value, with a name of: address, backlog, allow");
  EXPECT_EQ(cli_error({"--listen", "backlog=7"}), "--listen: 'address' is missing; give IP:PORT");
}

TEST(SchemaCommandLine, GoesOverTheFile) {
  char path[] = "/tmp/tern-settings-XXXXXX";
  const int fd = mkstemp(path);
  ASSERT_GE(fd, 0);
  std::ofstream(path) << "[load]\ncps = 5\ntime_wait = \"5s\"\nsource = \"10.0.0.1\"\n";
  Fixture f;
  EXPECT_FALSE(f.run({"--cps", "7", "--source", "10.0.0.2", "--config", path}));
  EXPECT_EQ(f.v.cps, Rate{7});
  EXPECT_EQ(f.v.time_wait, Duration::seconds(5));
  ASSERT_EQ(f.v.source.size(), 1U);
  EXPECT_EQ(f.v.source[0].base().to_string(), "10.0.0.2");
  EXPECT_EQ(f.s.where("cps"), "--cps");
  EXPECT_EQ(f.s.where("time_wait"), std::string(path) + ":3:13");
  EXPECT_TRUE(f.s.given("time_wait"));
  EXPECT_FALSE(f.s.given("loss"));
  EXPECT_EQ(error_of([&] { f.s.fail("time_wait", "too short"); }), std::string(path) + ":3:13: too short");
  EXPECT_EQ(error_of([&] { f.s.fail("loss", "too much"); }), "--loss: too much");
  ::close(fd);
  ::unlink(path);
}

TEST(SchemaCommandLine, FileThatIsNotThereIsNamed) {
  EXPECT_EQ(cli_error({"--config", "/nowhere/f.toml"}),
            "/nowhere/f.toml: cannot be read (No such file or directory); check --config");
}

TEST(SchemaToml, AFileOfNothingSetsNothing) {
  Fixture f;
  f.s.load_file("/dev/null");
  EXPECT_FALSE(f.s.given("cps"));
}

TEST(SchemaCommandLine, AnEmptyValueIsAValue) {
  Fixture f;
  f.load("name = 'x'\n[load]\nsource = ['10.0.0.0/8']\n[server]\nmetrics = 80\n");
  EXPECT_FALSE(f.run({"--name=", "--source=", "--metrics=", "--cps", "5"}));
  EXPECT_FALSE(f.v.metrics);
  EXPECT_EQ(f.v.name, "");
  EXPECT_TRUE(f.v.source.empty());
  EXPECT_EQ(f.v.cps.per_second, 5U);
  EXPECT_EQ(cli_error({"--time-wait=", "--cps=5"}),
            "--time-wait: '' is not a time with its unit, such as 5s, 250ms, 10us or 2m");
}

TEST(SchemaCommandLine, EveryFlagHasANo) {
  Fixture f;
  f.load("[load]\nverify = true\n");
  EXPECT_FALSE(f.run({"--no-verify"}));
  EXPECT_FALSE(f.v.verify);
  EXPECT_TRUE(f.s.given("verify"));
}

TEST(Schema, PrintedSettingsLoadBackTheSame) {
  Fixture f;
  EXPECT_FALSE(f.run({"--name", "a \"b\"\\\n", "--cps", "20k", "--loss", "0.1%", "--source", "10.0.0.0/24",
                      "--listen", "10.0.0.1:80,backlog=5,allow=10.9.0.1,allow=10.9.0.2", "--no-pace"}));
  const std::string printed = f.s.to_toml();
  Fixture again;
  again.load(printed);
  EXPECT_EQ(again.s.to_toml(), printed);
  EXPECT_EQ(again.v.name, "a \"b\"\\\n");
  ASSERT_EQ(again.v.listen.size(), 1U);
  EXPECT_EQ(again.v.listen[0].allow.size(), 2U);
  EXPECT_FALSE(again.v.metrics.has_value());
  for (const Option& o : again.s.options()) EXPECT_EQ(again.s.given(o.name), f.s.given(o.name)) << o.name;
}

// Else its default would come back.
TEST(Schema, AListOfNothingIsPrintedToo) {
  std::vector<std::uint32_t> all{80};
  Schema s;
  s.group("server", "");
  s.add("listen", all, "ports");
  s.load_text("[server]\nlisten = []\n", "t");
  EXPECT_TRUE(all.empty());
  EXPECT_EQ(s.to_toml(), "[server]\nlisten = []\n");
}

TEST(Schema, PrintedDefaultsAreComments) {
  Fixture f;
  EXPECT_FALSE(f.run({"--cps", "20k"}));
  const std::string printed = f.s.to_toml();
  EXPECT_NE(printed.find("\ncps = \"20k\"\n"), std::string::npos) << printed;
  EXPECT_NE(printed.find("\n# time_wait = \"60s\"\n"), std::string::npos) << printed;
  Fixture again;
  again.load(printed);
  EXPECT_TRUE(again.s.given("cps"));
  EXPECT_FALSE(again.s.given("time_wait"));
}

TEST(Schema, WhatFollowsFromTheRestIsSaidInWords) {
  Fixture f;
  f.s.derived("time_wait", "what the path wants");
  EXPECT_NE(f.s.to_toml().find("\n# time_wait: what the path wants\n"), std::string::npos) << f.s.to_toml();
  testing::internal::CaptureStdout();
  EXPECT_EQ(f.run({"--help"}), 0);
  const std::string help = testing::internal::GetCapturedStdout();
  EXPECT_EQ(help.find("=60s"), std::string::npos) << help;
  EXPECT_NE(help.find("(default: what the path wants)"), std::string::npos) << help;
  f.load("[load]\ntime_wait = \"5s\"\n");
  EXPECT_NE(f.s.to_toml().find("\ntime_wait = \"5s\"\n"), std::string::npos) << f.s.to_toml();
}

TEST(Schema, PlainIsWithoutTomlsQuotes) {
  for (const char* text : {"", "a word", "C:\\\\dir", "say \"it\"", "tab\tbell\a", "\xc2\xb5s", "\\u0041"})
    EXPECT_EQ(plain(detail::quoted(text)), text);
  EXPECT_EQ(plain("17"), "17");
  EXPECT_EQ(plain("true"), "true");
  EXPECT_EQ(plain("{ to = \"10.0.0.0/8\" }"), "{ to = \"10.0.0.0/8\" }");
}

TEST(Schema, PrintConfigPrintsAndRunsNothing) {
  Fixture f;
  testing::internal::CaptureStdout();
  EXPECT_EQ(f.run({"--cps", "5", "--print-config"}), 0);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), f.s.to_toml());
}

TEST(Schema, HelpShowsKindAndDefault) {
  Fixture f;
  testing::internal::CaptureStdout();
  EXPECT_EQ(f.run({"--help"}), 0);
  const std::string help = testing::internal::GetCapturedStdout();
  EXPECT_NE(help.find("--time-wait TIME=60s"), std::string::npos) << help;
  EXPECT_NE(help.find("--pace,--no-pace "), std::string::npos) << help;
  EXPECT_NE(help.find("What to offer"), std::string::npos) << help;
}

} // namespace settings_schema_test
} // namespace tern::settings
