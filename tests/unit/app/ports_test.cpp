// Several ports in one process: who is given what.
#include <gtest/gtest.h>

#include "app/client/ports.hpp"
#include "app/measure/ports.hpp"

namespace tern::app {
namespace ports_test {

using settings::ConfigError;
using settings::Given;

struct Asked {
  PortsSettings ports;
  settings::Schema schema;
  explicit Asked(const std::string& toml) {
    declare_ports_options(schema, ports);
    schema.load_text("[ports]\n" + toml, "t.toml");
  }
  [[nodiscard]] std::vector<NodeSettings> each() const { return each_port(schema, ports); }
  // What is wrong, with its place.
  [[nodiscard]] std::string wrong() const {
    try {
      (void)each();
    } catch (const ConfigError& e) {
      return e.what();
    }
    return {};
  }
};

constexpr const char* two = "port = ['a0,iface=x', 'a1,iface=y']\nip = ['10.0.0.1/24@1', '10.0.1.1/24@2']\n";

TEST(Ports, OnePortNeedsNoNumber) {
  const auto all =
      Asked(
          "port = 'net_tap0,iface=x'\nip = ['10.0.0.1/24', 'fd00::1/64@1']\ngateway = '10.0.0.9'\n"
          "vlan = 7\nmac = '02:00:00:00:00:01'\ncores = [3, 5]\n")
          .each();
  ASSERT_EQ(all.size(), 1U);
  const NodeSettings& n = all[0];
  EXPECT_EQ(n.number, 0U);
  EXPECT_EQ(n.port, "net_tap0,iface=x");
  EXPECT_EQ(n.ip.size(), 2U);
  EXPECT_EQ(n.gateway, std::vector{*Ip::parse("10.0.0.9")});
  EXPECT_EQ(n.vlan, VlanId{7});
  EXPECT_EQ(n.mac, "02:00:00:00:00:01");
  EXPECT_EQ(n.cores, (std::vector<unsigned>{3, 5}));
  EXPECT_EQ(n.connections, 100'000U);
  EXPECT_EQ(n.packet_memory.n, 128ULL << 20);
}

TEST(Ports, EachHasItsOwnAndItsShare) {
  const auto all =
      Asked(std::string{two} +
            "cores = [3, 4, 5]\ngateway = ['10.0.0.9@1', '10.0.1.9@2', 'fd00::9@2']\nvlan = '7@2'\n"
            "route = ['10.8.0.0/16,via=10.0.1.8@2']\nmac = ['02:00:00:00:00:02@2', '02:00:00:00:00:01@1']\n"
            "max_connections = 90\ntime_wait_records = 900\nmtu = 1400\n")
          .each();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].port, "a0,iface=x");
  EXPECT_EQ(all[1].port, "a1,iface=y");
  EXPECT_EQ(all[0].cores, (std::vector<unsigned>{3, 5}));
  EXPECT_EQ(all[1].cores, (std::vector<unsigned>{4}));
  EXPECT_EQ(all[0].ip, std::vector{*Prefix::parse("10.0.0.1/24")});
  EXPECT_EQ(all[1].ip, std::vector{*Prefix::parse("10.0.1.1/24")});
  EXPECT_EQ(all[0].gateway.size(), 1U);
  EXPECT_EQ(all[1].gateway.size(), 2U);
  EXPECT_TRUE(all[0].routes.empty());
  ASSERT_EQ(all[1].routes.size(), 1U);
  EXPECT_EQ(all[1].routes[0].via, *Ip::parse("10.0.1.8"));
  EXPECT_EQ(all[0].vlan, std::nullopt);
  EXPECT_EQ(all[1].vlan, VlanId{7});
  EXPECT_EQ(all[0].mac, "02:00:00:00:00:01");
  EXPECT_EQ(all[1].mac, "02:00:00:00:00:02");
  EXPECT_EQ(all[0].connections, 60U); // by CPUs
  EXPECT_EQ(all[1].connections, 30U);
  EXPECT_EQ(all[0].time_wait_records, 600U);
  EXPECT_EQ(all[1].time_wait_records, 300U);
  EXPECT_EQ(all[1].packet_memory.n, 64ULL << 20); // evenly
  EXPECT_EQ(all[0].mtu, 1400);
  EXPECT_EQ(all[1].number, 2U);
}

TEST(Ports, WhatCannotBeIsToldWithItsCure) {
  const std::string t = two;
  for (const auto& [toml, place, says] : std::vector<std::array<std::string, 3>>{
           {"", "--port", "no port given"},
           {"port = ['net_tap0,iface=x', 'net_tap0,iface=y']", "t.toml:2:9", "are one device"},
           {"port = ['0000:03:00.0', '03:00.0,a=b']", "t.toml:2:9", "are one device"},
           {"port = ['0000:03:0A.0', '0000:03:0a.0']", "t.toml:2:9", "are one device"},
           {"port = ['3b:00.0,a=b', '00000000:3B:00.0']", "t.toml:2:9", "are one device"},
           {"port = ['0000:03:00.0', '0001:03:00.0']\nip = '10.0.0.1/24@2'", "t.toml:3:6",
            "no address of port 1"},
           {"port = ['net_tap0,iface=x,b=c', 'net_af_packet1,iface=x']", "t.toml:2:9", "both on x"},
           {t + "cores = [1]", "t.toml:4:10", "1 for 2 ports; each needs one of its own: name 2"},
           {t + "vlan = 7", "t.toml:4:8", "7: of which of the 2 ports? write 7@1"},
           {t + "gateway = '10.0.0.9@3'", "t.toml:4:11", "10.0.0.9@3: there are 2 ports"},
           {"port = 'a'\nip = '10.0.0.1/24@2'", "t.toml:3:6", "there is 1 port"},
           {t + "route = ['10.8.0.0/16,via=10.0.1.8']", "t.toml:4:10", "of which of the 2 ports"},
           {t + "mac = ['02:00:00:00:00:02@2', '02:00:00:00:00:01@2']", "t.toml:4:8", "for one port"},
           {t + "packet_memory = '20M'", "t.toml:4:17", "give 32M or more"},
           {"port = ['a', 'b']\nip = '10.0.0.1/24@2'", "t.toml:3:6", "no address of port 1"},
       }) {
    const std::string wrong = Asked(toml).wrong();
    EXPECT_TRUE(wrong.starts_with(place + ": ")) << toml << "\n" << wrong;
    EXPECT_NE(wrong.find(says), std::string::npos) << toml << "\n" << wrong;
  }
}

TEST(Ports, WhatIsNoValueIsToldByThePartThatIsWrong) {
  const char* no_port = "is not for any port: they are counted from 1";
  for (const auto& [toml, says] : std::vector<std::pair<std::string, std::string>>{
           {"ip = '10.0.0.1/24@0'", no_port},
           {"ip = '10.0.0.1/24@'", no_port},
           {"ip = ['10.0.0.1/24@1', '10.0.1.1/24@x']", no_port},
           {"ip = '10.0.0.1/24@1@2'", "is not an address or a prefix"},
           {"ip = '10.0.0/24@2'", "is not an address or a prefix"},
           {"vlan = '5000@2'", "'5000@2' is not a VLAN; they are numbered 1 to 4094"},
           {"vlan = 99999999999", "is not a VLAN; they are numbered 1 to 4094"},
           {"service_vlan = 0", "is not a VLAN; they are numbered 1 to 4094"},
           {"port = 5", "'port' is text; write it in quotes, not as integer"},
           {"port = [1, 2]", "'port' is text; write it in quotes, not as integer"},
           {"mac = ['02:00:00:00:00:01', 5]", "'mac' is text; write it in quotes, not as integer"},
       }) {
    std::string wrong;
    try {
      Asked{toml};
    } catch (const ConfigError& e) {
      wrong = e.what();
    }
    EXPECT_TRUE(wrong.starts_with("t.toml:2:")) << toml << "\n" << wrong;
    EXPECT_NE(wrong.find(says), std::string::npos) << toml << "\n" << wrong;
  }
}

TEST(Ports, ADeviceKeepsItsCommasAndTheRestIsReadBack) {
  Asked a(std::string{two} + "vlan = '7@2'\n");
  EXPECT_EQ(a.ports.port[0].name, "a0,iface=x");
  PortsSettings again;
  settings::Schema schema;
  declare_ports_options(schema, again);
  schema.load_text(a.schema.to_toml(), "printed");
  EXPECT_EQ(again.port, a.ports.port);
  EXPECT_EQ(again.ip, a.ports.ip);
  EXPECT_EQ(again.vlan, a.ports.vlan);
  const std::vector<Given> words{{"--ip", "10.0.0.1/24@1,10.0.0.2/24@2"}, {"--ip", "10.0.0.3/24@1"}};
  schema.set("ip", words);
  EXPECT_EQ(again.ip.size(), 3U);
}

TEST(Ports, PartsOfThemAddUpToNoLessThanTheWhole) {
  NodeSettings common;
  common.cores = {0, 1, 2};
  NodeSettings a;
  a.cores = {0, 2};
  NodeSettings b;
  b.cores = {1};
  for (const std::uint64_t n : {0ULL, 1ULL, 2ULL, 3ULL, 10ULL, 100'000ULL, ~0ULL / 2}) {
    const std::uint64_t of_a = part_of_port(n, a, 2, common);
    const std::uint64_t of_b = part_of_port(n, b, 2, common);
    EXPECT_GE(of_a + of_b, n);
    EXPECT_LE(of_a + of_b, n + 2);
    EXPECT_GE(of_a, of_b);
  }
  EXPECT_EQ(part_of_port(9, a, 4, NodeSettings{}), 3U); // no CPUs named: evenly
}

// ---- tern client.
struct Client {
  ClientSettings c;
  settings::Schema schema;
  std::vector<PortShare> all;
  std::string wrong;
  explicit Client(const std::string& toml) {
    declare(schema, c);
    schema.load_text(toml, "t.toml");
    try {
      all = complete(schema, c);
    } catch (const ConfigError& e) {
      wrong = e.what();
    }
  }
};
std::vector<std::string> names(const std::vector<Endpoint>& all) {
  std::vector<std::string> text;
  for (const Endpoint& e : all) text.push_back(e.to_string());
  return text;
}

// A server may still have in TIME-WAIT what the last run left there.
TEST(ClientPorts, TheOrderOfPortsIsAnotherEachRunUnlessASeedIsGiven) {
  const std::string toml =
      "[ports]\nport = 'net_null0'\nip = '10.0.0.1/24'\n[target]\ntarget = '10.0.0.2:80'\n";
  const Client first(toml);
  const Client second(toml);
  ASSERT_EQ(first.wrong + second.wrong, "");
  EXPECT_NE(first.all[0].load.seed, second.all[0].load.seed); // by one accident in four billion
  EXPECT_EQ(first.c.load.seed, first.all[0].load.seed);       // the report's
  const Client given(toml + "[load]\nseed = 1\n");
  ASSERT_EQ(given.wrong, "");
  EXPECT_EQ(given.all[0].load.seed, 1U);
}

TEST(ClientPorts, EachOpensToWhatItLeadsTo) {
  const std::string ports = std::string{"[ports]\n"} + two;
  const std::string targets =
      "[target]\ntarget = ['10.0.0.2:80', '10.0.1.2:80', '10.8.0.1:81', '10.9.0.1:82']\n";
  const Client c(ports + "gateway = '10.0.1.9@2'\nroute = '10.8.0.0/16,via=10.0.0.8@1'\n" + targets);
  EXPECT_EQ(c.wrong, "");
  ASSERT_EQ(c.all.size(), 2U);
  EXPECT_EQ(names(c.all[0].targets), (std::vector<std::string>{"10.0.0.2:80", "10.8.0.1:81"}));
  EXPECT_EQ(names(c.all[1].targets),
            (std::vector<std::string>{"10.0.0.2:80", "10.0.1.2:80", "10.8.0.1:81", "10.9.0.1:82"}));
  EXPECT_NE(Client(ports + targets).wrong.find("no port has a way to 10.8.0.1:81"), std::string::npos);
  EXPECT_NE(Client(ports + "[target]\ntarget = '10.0.0.2:80'\n").wrong.find("port 2 has no way to any"),
            std::string::npos);
  // Alone it finds out when nobody answers.
  const Client one("[ports]\nport = 'a'\nip = '10.0.0.1/24'\n[target]\ntarget = '10.9.0.1:82'\n");
  EXPECT_EQ(one.wrong, "");
  EXPECT_EQ(names(one.all[0].targets), std::vector<std::string>{"10.9.0.1:82"});
}

TEST(ClientPorts, TheLoadIsShared) {
  const std::string start = std::string{"[ports]\n"} + two + "cores = [0, 1, 2]\n";
  const std::string targets = "[target]\ntarget = ['10.0.0.2:80', '10.0.1.2:80']\n";
  const Client c(start + targets +
                 "[load]\ncps = 300\nconcurrency = 30\nconnections = 31\nsources = '10.0.0.128/26@1'\n");
  ASSERT_EQ(c.wrong, "");
  const LoadSettings& a = c.all[0].load;
  const LoadSettings& b = c.all[1].load;
  EXPECT_EQ(a.cps.per_second, 200U);
  EXPECT_EQ(b.cps.per_second, 100U);
  EXPECT_EQ(a.concurrency, 20U);
  EXPECT_EQ(b.concurrency, 10U);
  EXPECT_EQ(a.connections + b.connections, 32U); // rounded up
  EXPECT_EQ(a.sources, std::vector{*Prefix::parse("10.0.0.128/26")});
  EXPECT_EQ(b.sources, std::vector{*Prefix::parse("10.0.1.1/32")}); // its own address
  EXPECT_EQ(c.all[0].node.sources.size(), 1U);
  EXPECT_TRUE(c.all[1].node.sources.empty());
  // What is in force is told of all.
  ASSERT_EQ(c.c.sources.size(), 2U);
  EXPECT_EQ(c.c.sources[1].port, 2U);
  EXPECT_EQ(c.c.load.cps.per_second, 300U);
  // Too few endpoints on one port are told, though together they might do.
  const std::string few =
      Client(start + targets + "[load]\nsources = ['10.0.0.128/26@1']\nconcurrency = 600000\n").wrong;
  EXPECT_NE(few.find("port 2: 1 sources x "), std::string::npos) << few;
  EXPECT_NE(few.find(" of its share that are asked for"), std::string::npos) << few;
}

// Of what the load wants, of --time-wait-records, of --memory: they are all ports' together.
TEST(ClientPorts, TimeWaitRecordsAreDealtOut) {
  const std::string start = std::string{"[ports]\n"} + two + "cores = [0, 1, 2]\n";
  const std::string load =
      "[target]\ntarget = ['10.0.0.2:80', '10.0.1.2:80']\n[load]\nsources = ['10.2.0.0/16@1', "
      "'10.3.0.0/16@2']\nconnections = 299000\n";
  const Client c(start + load);
  ASSERT_EQ(c.wrong, "");
  EXPECT_EQ(time_wait_records_of(c.c, c.all[0]), 200'000U);
  EXPECT_EQ(time_wait_records_of(c.c, c.all[1]), 100'000U);
  EXPECT_EQ(c.c.ports.common.time_wait_records, 300'000U); // as the report tells it
  EXPECT_EQ(c.c.ports.common.connections, connection_records(c.c.load));
  const Client few(start + load + "close = 'server'\n"); // the server has them
  EXPECT_LE(time_wait_records_of(few.c, few.all[0]), 65'536U);
  const Client given(start + "time_wait_records = 9000\n" + load);
  ASSERT_EQ(given.wrong, "");
  EXPECT_EQ(given.all[0].node.time_wait_records, 6000U);
  EXPECT_EQ(given.all[1].node.time_wait_records, 3000U);
  EXPECT_EQ(given.c.ports.common.time_wait_records, 9000U);
  const std::string alone = "[ports]\nport = 'a'\nip = '10.0.0.1/24'\n[target]\ntarget = '10.0.0.2:80'\n";
  const Client one(alone + "[load]\nconnections = 299000\nsources = '10.2.0.0/16'\n");
  ASSERT_EQ(one.wrong, "");
  EXPECT_EQ(time_wait_records_of(one.c, one.all[0]), 300'000U);
  const Client few_pairs(alone + "[load]\nconnections = 299000\n"); // a pair rests once at a time
  ASSERT_EQ(few_pairs.wrong, "");
  EXPECT_EQ(time_wait_records_of(few_pairs.c, few_pairs.all[0]), 64'512U + 64'512U / 8);
}

TEST(ClientPorts, NoTwoOpenFromOneAddress) {
  const std::string ports = "[ports]\nport = ['a', 'b']\nip = ['10.0.0.1/24@1', '10.0.0.3/24@2']\n";
  const std::string target = "[target]\ntarget = '10.0.0.2:80'\n";
  EXPECT_EQ(Client(ports + target).wrong, "");
  const std::string wrong =
      Client(ports + target + "[load]\nsources = ['10.1.0.0/16@1', '10.1.2.0/24@2']\n").wrong;
  EXPECT_NE(wrong.find("10.1.0.0/16 of port 1 and 10.1.2.0/24 of port 2 overlap"), std::string::npos)
      << wrong;
}

} // namespace ports_test
} // namespace tern::app
