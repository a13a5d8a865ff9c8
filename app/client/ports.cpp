#include "app/client/ports.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/worker.hpp"

namespace tern::app {

ClientSettings::ClientSettings() {
  load.closer = Closer::client; // of a server that we don't know nothing else can be counted on
  ports.common.idle = IdlePolicy::Busy;
}

void declare(settings::Schema& s, ClientSettings& c) {
  s.group("target", "Whom to ask");
  s.add(
      "target", c.targets,
      "servers: an address or a block of them, with a port or a range (repeat for more); each port opens to "
      "those that it has a way to");
  declare(s, c.load, &c.sources);
  s.derived("seed", "another each run, which the report tells");
  declare(s, c.search);
  declare(s, c.output);
  declare_ports_options(s, c.ports);
  derive_records(s);
  declare_tcp_options(s, c.ports.common);
}

namespace {

// Its own addresses, where no sources are given.
std::vector<Prefix> own_sources(const settings::Schema& s, const NodeSettings& n, bool four) {
  std::vector<Prefix> own;
  for (const Prefix& p : n.ip)
    if (p.base().is_v4() == four) own.emplace_back(p.base(), static_cast<std::uint8_t>(four ? 32 : 128));
  if (own.empty())
    s.fail("ip", fmt::format("{}no IPv{} address, and the target has one", which_port(n), four ? 4 : 6));
  return own;
}

// Where a block holds the router's address, and so takes it for ours, nothing finds its way any more.
void refuse_routers(const settings::Schema& s, const NodeSettings& n, const Prefix& source) {
  std::vector<Ip> routers = n.gateway;
  for (const RouteSetting& r : n.routes) routers.push_back(r.via);
  for (const Ip& via : routers)
    if (source.contains(via))
      s.fail(sources_option(s), fmt::format("{}{} holds {}, the router; name addresses without it",
                                            which_port(n), source.to_string(), via.to_string()));
}

// Nobody answers an address that is the whole network's.
void refuse_broadcast(const settings::Schema& s, const NodeSettings& n, const Prefix& source) {
  for (const Prefix& ip : n.ip) {
    if (!ip.base().is_v4() || ip.length() > 30 || !source.base().is_v4()) continue;
    const std::uint32_t hosts = 0xffff'ffffU >> ip.length();
    const Ip4 last{Be32{ip.base().v4().host() | hosts}};
    if (source.contains(Ip{last}))
      s.fail(sources_option(s),
             fmt::format("{}{} holds {}, the broadcast address of {}; name addresses without it",
                         which_port(n), source.to_string(), Ip{last}.to_string(), ip.to_string()));
  }
}

std::vector<Prefix> sources_of(const settings::Schema& s, const ClientSettings& c, const NodeSettings& n,
                               std::size_t i, bool four) {
  std::vector<Prefix> sources = of_port(s, "sources", c.sources, i, c.ports.port.size());
  if (sources.empty()) sources = own_sources(s, n, four);
  for (const Prefix& p : sources) {
    if (p.base().is_v4() != four) s.fail("sources", which_port(n) + "of another family than the targets");
    refuse_broadcast(s, n, p);
    refuse_routers(s, n, p);
  }
  return sources;
}

// Sources that are none of --ip are addresses of ours all the same.
void own_them(NodeSettings& n, const std::vector<Prefix>& sources) {
  for (const Prefix& source : sources)
    if (std::none_of(n.ip.begin(), n.ip.end(),
                     [&](const Prefix& ip) { return ip.base() == source.base(); }) ||
        source.count() > 1)
      n.sources.push_back(source);
}

// Whoever answers there, it is not a server: it is this port itself.
void refuse_ourselves(const settings::Schema& s, const ClientSettings& c, const PortShare& p) {
  std::vector<Prefix> own = p.load.sources;
  for (const Prefix& ip : p.node.ip) own.emplace_back(ip.base(), ip.base().is_v4() ? 32 : 128);
  for (const TargetRange& t : c.targets)
    for (const Prefix& a : own)
      if (a.contains(t.addresses.base()) || t.addresses.contains(a.base()))
        s.fail("target", fmt::format("{}{} is our own address, or holds one; name a server's",
                                     which_port(p.node), settings::Value<TargetRange>::print(t)));
}

// For a port that is alone every one: what it has no way to is told when nobody answers.
bool leads_to(const NodeSettings& n, const net::Routes& gateways, const Ip& to) {
  return n.number == 0 || gateways.number(to) != net::Routes::none ||
         std::any_of(n.ip.begin(), n.ip.end(), [&](const Prefix& own) { return own.contains(to); });
}

std::vector<Endpoint> targets_of(const settings::Schema& s, const NodeSettings& n,
                                 const std::vector<Endpoint>& all) {
  const net::Routes gateways = routes_of(n);
  std::vector<Endpoint> own;
  for (const Endpoint& e : all)
    if (leads_to(n, gateways, e.ip)) own.push_back(e);
  if (own.empty())
    s.fail("target", fmt::format("port {} has no way to any: they are on no network of its --ip; name a "
                                 "--gateway IP@{}, or leave the port out",
                                 n.number, n.number));
  return own;
}

std::vector<Endpoint> all_targets(const settings::Schema& s, const ClientSettings& c) {
  if (c.targets.empty()) s.fail("target", "no target given; name a server: --target 10.0.0.2:80");
  const bool four = c.targets.front().addresses.base().is_v4();
  std::uint64_t targets = 0;
  for (const TargetRange& t : c.targets) {
    refuse_no_hosts(s, "target", "", t.addresses);
    targets += t.count();
    if (t.addresses.base().is_v4() != four)
      s.fail("target", "IPv4 and IPv6 targets at once; run two clients");
  }
  constexpr std::uint64_t most_targets = 65'536;
  if (targets > most_targets)
    s.fail("target", fmt::format("{} targets are more than {}", targets, most_targets));
  std::vector<Endpoint> all;
  for (const TargetRange& t : c.targets) expand(t, all);
  return all;
}

// A server could not tell two connections apart that have the same name, by whatever way they come.
void refuse_shared_sources(const settings::Schema& s, const std::vector<PortShare>& all) {
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t k = 0; k < i; ++k)
      for (const Prefix& a : all[k].load.sources)
        for (const Prefix& b : all[i].load.sources)
          if (a.contains(b.base()) || b.contains(a.base()))
            s.fail(sources_option(s),
                   fmt::format("{} of port {} and {} of port {} overlap; give each port addresses of its own",
                               a.to_string(), k + 1, b.to_string(), i + 1));
}

void refuse_unreachable(const settings::Schema& s, const std::vector<Endpoint>& targets,
                        const std::vector<NodeSettings>& nodes) {
  std::vector<net::Routes> gateways;
  for (const NodeSettings& n : nodes) gateways.push_back(routes_of(n));
  for (const Endpoint& e : targets) {
    bool one = false;
    for (std::size_t i = 0; i < nodes.size() && !one; ++i) one = leads_to(nodes[i], gateways[i], e.ip);
    if (!one)
      s.fail("target", fmt::format("no port has a way to {}: it is on no network of --ip; name a --gateway",
                                   e.to_string()));
  }
}

// For the report: what crew.cpp makes, but for what each core has to spare.
void tell_records(const settings::Schema& s, ClientSettings& c, const std::vector<PortShare>& all) {
  NodeSettings& n = c.ports.common;
  if (!s.given("max_connections"))
    n.connections = connection_records(c.load) + spare_connections(c.search, c.load);
  if (s.given("time_wait_records")) return;
  n.time_wait_records = 0;
  for (const PortShare& p : all) n.time_wait_records += time_wait_records_of(c, p);
}

} // namespace

std::vector<PortShare> complete(const settings::Schema& s, ClientSettings& c) {
  const std::vector<Endpoint> targets = all_targets(s, c);
  c.load.bounded = s.given("duration");
  // A server may remember what the last run left in TIME-WAIT: who took the same ports in the same order would meet it.
  if (!s.given("seed")) c.load.seed = random_key().k0 >> 32;
  prepare(s, c.search, c.load);
  const bool four = c.targets.front().addresses.base().is_v4();
  std::vector<PortShare> all;
  const std::vector<NodeSettings> nodes = each_port(s, c.ports);
  refuse_unreachable(s, targets, nodes);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    PortShare& p = all.emplace_back();
    p.node = nodes[i];
    p.load = c.load;
    p.load.sources = sources_of(s, c, p.node, i, four);
    own_them(p.node, p.load.sources);
    refuse_ourselves(s, c, p);
    p.targets = targets_of(s, p.node, targets);
    if (nodes.size() > 1)
      scale(p.load, [&](std::uint64_t n) { return part_of_port(n, p.node, nodes.size(), c.ports.common); });
    check(s, p.load, p.node, p.targets.size());
  }
  refuse_shared_sources(s, all);
  check(s, c.output);
  c.sources.clear();
  for (const PortShare& p : all)
    for (const Prefix& source : p.load.sources) c.sources.push_back({source, p.node.number});
  tell_records(s, c, all);
  return all;
}

std::uint32_t time_wait_records_of(const ClientSettings& c, const PortShare& p) {
  // Who does not close first has a few: those that both ends close at once, or that the run's end closes.
  if (!client_keeps_time_wait(p.load)) return std::min(connection_records(p.load), 65536U);
  const std::uint64_t wanted = part_of_port(time_wait_records(sized(c.search, c.load), c.ports.common),
                                            p.node, c.ports.port.size(), c.ports.common);
  return static_cast<std::uint32_t>(std::min(wanted, rest_of_pairs(p.load, p.targets.size())));
}

} // namespace tern::app
