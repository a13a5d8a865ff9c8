#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "app/lb/config/changes.hpp"
#include "app/lb/config/kinds.hpp"
#include "app/lb/config/schema.hpp"

namespace tern::app::lb {
namespace lb_config_test {

struct Loaded {
  LbSettings v;
  settings::Schema schema;
  explicit Loaded(const std::string& toml) {
    declare_lb_options(schema, v);
    schema.load_text(toml, "lb.toml");
    complete(schema, v);
  }
};

std::string error_of(const std::string& toml) {
  try {
    const Loaded l(toml);
  } catch (const settings::ConfigError& e) {
    return e.what();
  }
  ADD_FAILURE() << "taken:\n" << toml;
  return {};
}

const std::string head = "[ports]\nip = [\"10.0.0.2/24\"]\n";
const std::string web = "[[service]]\nname = \"web\"\nlisten = [\"10.0.0.2:80\"]\n";
const std::string one = "[[service.backend]]\naddress = \"10.0.0.11:80\"\n";

TEST(LbConfigFile, LeastThatIsNeeded) {
  const Loaded l(head + web + one);
  ASSERT_EQ(l.v.lb.services.size(), 1U);
  const ServiceConfig& s = l.v.lb.services[0];
  EXPECT_EQ(s.balance, Balance::maglev);
  EXPECT_EQ(s.listen, (std::vector<ListenConfig>{{Ip{Ip4{10, 0, 0, 2}}, Port{80}, Port{80}}}));
  ASSERT_EQ(s.backends.size(), 1U);
  EXPECT_EQ(s.backends[0].name, "10.0.0.11:80"); // its address, for want of a name
  EXPECT_EQ(s.where, "lb.toml:3:1");
  EXPECT_EQ(s.backends[0].where, "lb.toml:6:1");
  EXPECT_EQ(summary(l.v.lb), "1 service, 1 backend");
}

TEST(LbConfigFile, EverythingOfAService) {
  const Loaded l(head + R"([[service]]
name = "web"
listen = ["10.0.0.2:80-89", "*:8080"]
balance = "least_connections"
seed = 7
send_proxy = "v2"
max_connections = 1000
tries = 2
slow_start = "30s"
allow = ["10.0.0.0/8", "2001:db8::/32"]
deny = ["10.6.6.6"]
per_client = { connections = 10, rate = 5, burst = 20 }
[service.timeouts]
idle = "10s"
half_closed = "0"
[service.health]
check = "http"
interval = "500ms"
timeout = "200ms"
rise = 1
fall = 5
path = "/alive"
host = "a.example"
status = "200"
[[service.backend]]
address = "10.0.0.11:80"
name = "one"
weight = 5
max_connections = 100
[[service.backend]]
address = "[2001:db8::9]:80"
name = "spare"
backup = true
[[service]]
name = "dns"
listen = ["10.0.0.2:53"]
backend = [{ address = "10.0.0.14:53", weight = 0 }]
)");
  const ServiceConfig& s = l.v.lb.services.at(0);
  EXPECT_EQ(s.listen.at(0).last, Port{89});
  EXPECT_EQ(s.listen.at(1).ip, Ip{});
  EXPECT_EQ(s.balance, Balance::least_connections);
  EXPECT_EQ(s.send_proxy, ProxyProtocol::v2);
  EXPECT_EQ(s.allow.size(), 2U);
  EXPECT_EQ(s.source, (SourceLimits{10, 5, 20}));
  EXPECT_EQ(s.timeouts.idle, Duration::seconds(10));
  EXPECT_EQ(s.timeouts.connect, Duration::seconds(3));
  EXPECT_EQ(s.check.kind, CheckKind::http);
  EXPECT_EQ(s.check.status, (StatusRange{200, 200}));
  EXPECT_EQ(s.check.path, "/alive");
  EXPECT_EQ(s.backends.at(0).weight, 5U);
  EXPECT_TRUE(s.backends.at(1).backup);
  EXPECT_EQ(l.v.lb.services.at(1).backends.at(0).weight, 0U);
  // What --print-config prints is the same configuration.
  const Loaded again(l.schema.to_toml());
  EXPECT_EQ(again.schema.to_toml(), l.schema.to_toml());
}

TEST(LbConfigFile, MistakesNameTheirPlaceAndTheCure) {
  const struct {
    std::string toml;
    const char* says;
  } table[] = {
      {head, "--config: no service; write \\[\\[service\\]\\] .*"},
      {head + "[[service]]\nlisten = [\"10.0.0.2:80\"]\n" + one, "lb.toml:3:1: 'name' is missing; give TEXT"},
      {head + web, "lb.toml:3:1: service 'web' has no backend; add .*"},
      {head + "[[service]]\nname = \"web\"\n" + one,
       "lb.toml:3:1: service 'web' listens nowhere; give listen = .*"},
      {head + web + "ballance = \"maglev\"\n" + one,
       "lb.toml:6:1: 'ballance' is not known here; did you mean 'balance'\\?; known are: name, mode, listen, "
       ".*"},
      {head + web + "balance = \"maglv\"\n" + one,
       "lb.toml:6:11: 'maglv' is not one of: maglev, .*; did you mean 'maglev'\\?"},
      {head + web + "[service.health]\nchek = \"tcp\"\n" + one,
       "lb.toml:7:1: 'chek' is not known here; did you mean 'check'\\?.*"},
      {head + web + "[[service.backend]]\nadress = \"10.0.0.11:80\"\n",
       "lb.toml:7:1: 'adress' is not known here; did you mean 'address'\\?.*"},
      {head + web + "[[service.backend]]\naddress = \"10.0.0.11\"\n",
       "lb.toml:7:11: '10.0.0.11' is not an address and a port, .*"},
      {head + web + one + "weight = 1001\n", "lb.toml:8:10: 1001 is too large; give 0 to 1000"},
      {head + web + one + "weight = 99999999999\n", "lb.toml:8:10: 99999999999 is too large; give 0 to 1000"},
      {head + web + one + "weight = 9223372036854775808\n",
       "lb.toml:8:10: the number is too large; give 9223372036854775807 at most"},
      {head + web + "max_connections = 100000001\n" + one,
       "lb.toml:6:19: 100000001 is too large; give 0 to 100000000"},
      {head + web + "tries = 0\n" + one, "lb.toml:6:9: 0 is too small; give 1 to 16"},
      {head + web + "slow_start = \"9999999h\"\n" + one,
       "lb.toml:6:14: 9999999h is too large; give 0s to 604800s"},
      {"[lb]\nclient_records = 4294967296\n" + web + one,
       "lb.toml:2:18: 4294967296 is too large; give 8 to 268435456"},
      {head + web + one + "weight = -1\n", "lb.toml:8:10: '-1' is not a whole number, 0 or more"},
      {head + web + one + one, "lb.toml:8:1: backend '10.0.0.11:80' of service 'web' is there twice .*"},
      {head + web + one + one + "name = \"b\"\n",
       "lb.toml:8:1: 10.0.0.11:80 is already backend '10.0.0.11:80' .*"},
      {head + web + one + "name = \"a b\"\n", "lb.toml:6:1: 'a b' cannot name a backend; .*"},
      {head + web + one + web + one,
       "lb.toml:8:1: service 'web' is there twice \\(first at lb.toml:3:1\\); .*"},
      {head + web + one + "[[service]]\nname = \"w2\"\nlisten = [\"10.0.0.2:79-81\"]\n" + one,
       "lb.toml:8:1: services 'web' and 'w2' both listen on 10.0.0.2:79-81; .*"},
      {head + "[[service]]\nname = \"w\"\nlisten = [\"10.0.0.9:80\"]\n" + one,
       "lb.toml:3:1: service 'w' listens on 10.0.0.9, which is none of our addresses \\(10.0.0.2\\); .*"},
      {head + web + "listen = 5\n" + one, "lb.toml:6:\\d+: not TOML: .*"},
      {head + web + "[service.health]\ncheck = \"tcp\"\ntimeout = \"9s\"\n" + one,
       "lb.toml:3:1: service 'web': a check's timeout \\(9s\\) is longer than the interval \\(2s\\); .*"},
      {head + web + "[service.health]\ncheck = \"http\"\npath = \"a\"\n" + one,
       "lb.toml:3:1: service 'web': path .*"},
      {head + web + "seed = { a = 1 }\n" + one, "lb.toml:6:8: 'seed' is no table; give N"},
      {head + "[[service]]\nname = \"w\"\nlisten = [\"10.0.0.2:0\"]\n" + one,
       "lb.toml:5:11: '10.0.0.2:0' is not an address and a port or a range .*"},
      {head + web + "mode = \"dsr\"\n" + one,
       "lb.toml:3:1: service 'web': mode 'dsr' is not built yet; write mode = \"splice\""},
      {head + web + "mode = \"translate\"\n" + one,
       "lb.toml:3:1: service 'web': mode 'translate' is not built .*"},
      {head + web + "mode = \"nat\"\n" + one, "lb.toml:6:8: 'nat' is not one of: splice, translate, dsr.*"},
      {head + web + "allow = [\"10.0.0.0/33\"]\n" + one,
       "lb.toml:6:10: '10.0.0.0/33' is not an address or a prefix.*"},
      {"[lb]\ncontroll = \"x\"\n" + web + one,
       "lb.toml:2:1: 'controll' is not known in \\[lb\\]; did you mean 'control'.*"},
      {"services = 1\n", "lb.toml:1:1: 'services' is not known; did you mean 'service'\\?.*"},
  };
  for (const auto& c : table) {
    const std::string error = error_of(c.toml);
    EXPECT_TRUE(std::regex_match(error, std::regex(c.says))) << error << "\nexpected: " << c.says;
  }
}

TEST(LbConfigFile, StarAndAnAddressOfItsOwnMayShareAPort) {
  const Loaded l(head + web + one + "[[service]]\nname = \"all\"\nlisten = [\"*:80\"]\n" + one);
  EXPECT_EQ(l.v.lb.services.size(), 2U);
}

TEST(LbConfigKinds, ListenIsReadAndPrinted) {
  using settings::Value;
  for (const char* text : {"10.0.0.1:80", "10.0.0.1:80-90", "[2001:db8::1]:443", "*:1-65535"})
    EXPECT_EQ(Value<ListenConfig>::print(Value<ListenConfig>::parse(text).value()), text);
  for (const char* text :
       {"", "80", "10.0.0.1", "10.0.0.1:", ":80", "10.0.0.1:90-80", "2001:db8::1:80", "*", "*:0"})
    EXPECT_FALSE(Value<ListenConfig>::parse(text)) << text;
}

// config/lb.toml: right as it stands; and with every comment taken off a key, every key is there and known,
// and those that were comments because they are defaults are what the defaults are.
TEST(LbConfigExample, EveryKeyIsThereAndTrue) {
  std::ifstream in(TERN_CONFIG_DIR "/lb.toml");
  std::stringstream all;
  all << in.rdbuf();
  const Loaded plain(all.str());
  EXPECT_EQ(summary(plain.v.lb), "1 service, 3 backends");

  const std::regex key("^# ([a-z0-9_]+) = ");
  std::string open;
  std::string line;
  std::set<std::string> examples{"backend_source", "gateway", "route", "vlan", "service_vlan", "mac",
                                 "cores",          "allow",   "deny"};
  std::string defaults;
  while (std::getline(all, line)) {
    std::smatch m;
    const bool commented = std::regex_search(line, m, key);
    open += (commented ? line.substr(2) : line) + "\n";
    defaults += (commented && !examples.contains(m[1]) ? line.substr(2) : line) + "\n";
  }
  const Loaded every(open);
  const std::regex mark("(^|\n)# "); // of what nobody set
  EXPECT_EQ(std::regex_replace(Loaded(defaults).schema.to_toml(), mark, "$1"),
            std::regex_replace(plain.schema.to_toml(), mark, "$1"));
  for (const settings::Option& o : every.schema.options())
    EXPECT_TRUE(every.schema.given(o.name)) << o.name << " is not in config/lb.toml";
  // The keys of a service, its tables and backends, by what is printed of one with nothing left out.
  const std::string printed = every.schema.to_toml();
  const std::regex word("([a-z0-9_]+) = ");
  for (std::sregex_iterator at(printed.begin(), printed.end(), word), end; at != end; ++at)
    EXPECT_NE(open.find((*at)[1].str()), std::string::npos) << (*at)[1] << " is not in config/lb.toml";
}

// What a reload tells: each key of a service and of a backend, given another value, is named with both values. The keys are
// those of config/lb.toml.
TEST(LbConfigExample, EveryKeyOfAServiceIsToldWhenItChanges) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> others{
      {"",
       {"name = \"w\"", "listen = [\"10.0.0.2:81\"]", "mode = \"dsr\"", "balance = \"round_robin\"",
        "seed = 7", "send_proxy = \"v2\"", "max_connections = 9", "tries = 4", "slow_start = \"1s\"",
        "allow = [\"10.1.0.0/16\"]", "deny = [\"10.2.0.0/16\"]"}},
      {"per_client", {"connections = 1", "rate = 2", "burst = 3"}},
      {"timeouts", {"connect = \"4s\"", "idle = \"5s\"", "half_closed = \"6s\"", "drain = \"7s\""}},
      {"health",
       {"check = \"http\"", "interval = \"9s\"", "jitter = 0.2", "timeout = \"1500ms\"", "rise = 5",
        "fall = 6", "path = \"/x\"", "host = \"h\"", "status = \"204\""}},
      {"backend",
       {"address = \"10.0.0.99:1\"", "name = \"b\"", "weight = 3", "max_connections = 4", "backup = true"}}};
  const auto parse = [](const std::string& toml) {
    LbSettings v;
    settings::Schema schema;
    declare_lb_options(schema, v);
    schema.load_text(toml, "lb.toml"); // not complete(): modes that are not built are told too
    return v.lb.services.at(0);
  };
  const ServiceConfig before = parse(head + web + one);
  std::set<std::string> told;
  for (const auto& [table, lines] : others)
    for (const std::string& line : lines) {
      const std::string key = line.substr(0, line.find(' '));
      std::string toml =
          head + web +
          (table.empty() || table == "backend" ? "" : "[service." + table + "]\n" + line + "\n") + one;
      if (table == "backend") toml += line + "\n";
      if (table.empty()) toml = head + web + line + "\n" + one;
      if (key == "name" && table.empty())
        toml = head + "[[service]]\n" + line + "\nlisten = [\"10.0.0.2:80\"]\n" + one;
      if (key == "listen") toml = head + "[[service]]\nname = \"web\"\n" + line + "\n" + one;
      if (key == "address") toml = head + web + "[[service.backend]]\n" + line + "\n";
      const ServiceConfig after = parse(toml);
      const std::vector<std::string> all =
          table == "backend" ? changes(before.backends[0], after.backends[0]) : changes(before, after);
      const std::string name = table.empty() || table == "backend" ? key : table + "." + key;
      ASSERT_EQ(all.size(), 1U) << line;
      EXPECT_TRUE(all[0].starts_with(name + " ") && all[0].find(" -> ") != all[0].npos) << all[0];
      told.insert((table.empty() ? "service" : table) + "." + key);
    }
  std::ifstream in(TERN_CONFIG_DIR "/lb.toml");
  std::string section;
  for (std::string line; std::getline(in, line);) {
    std::smatch m;
    if (std::regex_search(line, m, std::regex("^\\[+(service\\.)?([a-z_]+)\\]+"))) {
      section = m[1].length() != 0 || m[2] == "service" ? m[2].str() : "";
    } else if (!section.empty() && std::regex_search(line, m, std::regex("^(# )?([a-z0-9_]+) = "))) {
      EXPECT_TRUE(told.contains(section + "." + m[2].str()))
          << section << '.' << m[2] << " is in no table above";
    }
  }
}

// ---- Beyond the file

std::string backend_at(const std::string& address) {
  return head + web + "[[service.backend]]\naddress = \"" + address + "\"\n";
}

TEST(LbConfigFile, ABackendIsAnotherMachine) {
  EXPECT_EQ(error_of(backend_at("224.0.0.1:80")), "lb.toml:6:1: 224.0.0.1:80 is no address to connect to");
  EXPECT_EQ(error_of(backend_at("255.255.255.255:80")),
            "lb.toml:6:1: 255.255.255.255:80 is no address to connect to");
  EXPECT_EQ(error_of(backend_at("10.0.0.255:80")),
            "lb.toml:6:1: 10.0.0.255:80 is the broadcast address of a network of ours");
  EXPECT_EQ(error_of(backend_at("10.0.0.2:8080")),
            "lb.toml:6:1: 10.0.0.2:8080 is our own address; a backend is another machine");
}

TEST(LbConfigFile, WhatCannotBeReachedIsDoubted) {
  const auto of = [](const std::string& toml) { return doubts(Loaded(toml).v); };
  using Lines = std::vector<std::string>;
  EXPECT_EQ(of(backend_at("10.0.0.11:80")), Lines{});
  EXPECT_EQ(of(backend_at("10.9.0.1:80")), Lines{"lb.toml:6:1: backend web/10.9.0.1:80 cannot be reached: "
                                                 "10.9.0.1 is on no network of ours, and neither "
                                                 "gateway nor route leads there"});
  EXPECT_EQ(
      of(backend_at("[2001:db8::1]:80")),
      Lines{"lb.toml:6:1: backend web/[2001:db8::1]:80 cannot be reached: we have no IPv6 address to reach "
            "2001:db8::1 from"});
  const std::string more = "[ports]\nip = [\"10.0.0.2/24\"]\ngateway = [\"10.0.0.1\"]\n";
  const std::string rest = web + "[[service.backend]]\naddress = \"10.9.0.1:80\"\n";
  EXPECT_EQ(of(more + rest), Lines{});
  EXPECT_EQ(of("[ports]\nip = [\"10.0.0.2/24\"]\ngateway = [\"10.1.0.1\"]\n" + rest),
            Lines{"gateway 10.1.0.1 is on no network of ours"});
}

std::string refused(const std::string& ports, const std::string& more = "") {
  try {
    const Loaded l("[lb]\n" + more + "[ports]\n" + ports + web + one);
    std::string notes;
    for (const std::string& line : check_start(l.schema, l.v)) notes += "note: " + line + "\n";
    return notes + "ok";
  } catch (const settings::ConfigError& e) {
    return e.what();
  }
}

TEST(LbConfigFile, WhatAStartWouldRefuseIsSeenWithoutOne) {
  const std::string ip = "ip = [\"10.0.0.2/24\"]\n";
  const std::string well = "port = \"net_null0\"\n" + ip;
  const auto says = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), text.npos) << text;
  };
  EXPECT_EQ(refused(well), "ok");
  says(refused(ip), "no port given");
  says(refused("port = \"net_null0\"\n"), "no address given");
  says(refused(well + "mac = \"02:00\"\n"), "is not a MAC address");
  says(refused(well, "metrics = \"127.0.0.1\"\n"),
       "is not an address and a port to listen on, such as 127.0.0.1:9464");
  says(refused(well, "metrics = \"127.0.0.1:0\"\n"), "is not an address and a port to listen on");
  EXPECT_EQ(refused(well, "metrics = \"127.0.0.1:9464\"\n"), "ok");
  EXPECT_EQ(refused(well, "metrics = \"\"\n"), "ok");
  says(refused(well + "memory = \"64M\"\n"), "the packets alone take");
  says(refused(well, "control = \"/" + std::string(200, 'x') + "\"\n"), "it is longer than 107 characters");
  // Another machine, and whoever starts it there, may have all this.
  const auto notes = [](const std::string& text, const std::string& part) {
    EXPECT_TRUE(text.starts_with("note: ") && text.ends_with("\nok")) << text;
    EXPECT_NE(text.find(part), text.npos) << text;
  };
  notes(refused(well + "cores = [1000]\n"), "may not run on CPU 1000");
  notes(refused(well, "control = \"/nowhere/at/all\"\n"), "cannot listen on /nowhere/at/all");
  notes(refused(well, "metrics = \"192.0.2.1:9464\"\n"), "cannot listen on 192.0.2.1:9464 here");
  notes(refused(well + "[tcp]\ncookie_key_file = \"/nowhere\"\n"), "cannot read /nowhere");
}

} // namespace lb_config_test
} // namespace tern::app::lb
