#include "app/bench/ends.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace tern::app {
namespace {

Prefix prefix(const char* text) {
  return *Prefix::parse(text);
}

bool overlap(const Prefix& a, const Prefix& b) {
  return a.contains(b.base()) || b.contains(a.base());
}

// The clients' end and the server's, on one network.
std::pair<Prefix, Prefix> addresses_of(const settings::Schema& s, const BenchSettings& b, bool four) {
  if (b.node.ip.empty())
    return four ? std::pair{prefix("10.0.0.1/24"), prefix("10.0.0.2/24")}
                : std::pair{prefix("fd00:7e12::1/64"), prefix("fd00:7e12::2/64")};
  if (b.node.ip.size() != 2)
    s.fail("ip", "tern bench has two ends: name the clients' address and the server's, or leave it out");
  const Prefix& client = b.node.ip[0];
  const Prefix& server = b.node.ip[1];
  if (client.base().is_v4() != four || server.base().is_v4() != four)
    s.fail("ip", fmt::format("not of the sources' family; they are IPv{}", four ? 4 : 6));
  if (client.base() == server.base() || !client.contains(server.base()) || !server.contains(client.base()))
    s.fail("ip", "the two ends must be two addresses of one network, such as 10.0.0.1/24 and 10.0.0.2/24");
  return {client, server};
}

} // namespace

std::vector<Prefix> default_sources(const BenchSettings& b) {
  const bool four = !b.targets.empty()   ? b.targets.front().addresses.base().is_v4()
                    : !b.node.ip.empty() ? b.node.ip.front().base().is_v4()
                                         : true;
  return {prefix(four ? "10.1.0.0/20" : "fd00:7e12:1::/116")};
}

BenchEnds ends_of(const settings::Schema& s, const BenchSettings& b) {
  const bool four = b.load.sources.front().base().is_v4();
  const auto [client, server] = addresses_of(s, b, four);
  BenchEnds e;
  // RFC 2544 and RFC 5180: what is set aside for benchmarks.
  e.nobody = prefix(four ? "198.18.0.0/15" : "2001:2::/108");
  for (net::InterfaceSettings* end : {&e.client, &e.server}) {
    end->mtu = b.node.mtu;
    end->vlan = tag_of(b.node.vlan);
    end->service_vlan = tag_of(b.node.service_vlan);
    end->link_local = false;
  }
  e.client.addresses = {{client.base(), client.length()}};
  e.server.addresses = {{server.base(), server.length()}};
  for (const Prefix& p : b.load.sources) {
    refuse_no_hosts(s, "sources", "", p);
    if (p.base().is_v4() != four) s.fail("sources", "IPv4 and IPv6 at once; run it twice");
    if (p.contains(server.base()))
      s.fail("sources",
             fmt::format("{} holds the server's address, {}", p.to_string(), server.base().to_string()));
    e.client.pools.push_back(p);
    e.server_routes.push_back({p, client.base()});
  }
  e.server_routes.push_back({e.nobody, client.base()});
  e.listen = b.targets;
  if (e.listen.empty())
    e.listen = {{Prefix{server.base(), static_cast<std::uint8_t>(four ? 32 : 128)},
                 {tern::Port{80}, tern::Port{80}}}};
  constexpr std::size_t most_ranges = 64;
  if (e.listen.size() > most_ranges) s.fail("target", fmt::format("more than {} of them", most_ranges));
  std::uint64_t all = 0;
  for (const TargetRange& t : e.listen) {
    refuse_no_hosts(s, "target", "", t.addresses);
    if (t.addresses.base().is_v4() != four) s.fail("target", "of another family than --sources");
    if (t.addresses.contains(client.base()) ||
        std::any_of(b.load.sources.begin(), b.load.sources.end(),
                    [&](const Prefix& p) { return overlap(p, t.addresses); }))
      s.fail("target", fmt::format("{} holds addresses of the clients", t.addresses.to_string()));
    all += t.count();
    constexpr std::uint64_t most_targets = 65'536;
    if (all > most_targets) s.fail("target", fmt::format("more than {} targets", most_targets));
    expand(t, e.targets);
    if (t.addresses.base() == server.base() && t.addresses.count() == 1) continue;
    e.server.pools.push_back(t.addresses);
    e.client_routes.push_back({t.addresses, server.base()});
  }
  return e;
}

} // namespace tern::app
