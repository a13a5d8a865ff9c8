// What no single value can tell: names given twice, addresses that are not ours, limits of the whole.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "app/lb/choose/credits.hpp"
#include "app/lb/config/kinds.hpp"
#include "app/lb/config/schema.hpp"
#include "net/addresses.hpp"
#include "runtime/listener.hpp"

namespace tern::app::lb {
namespace {

using settings::ConfigError;

void check_name(const std::string& name, const std::string& where, std::string_view what) {
  if (!good_name(name))
    throw ConfigError(where, fmt::format("'{}' cannot name a {}; {}", name, what, name_rule));
}

bool overlap(const ListenConfig& a, const ListenConfig& b) {
  const bool same = a.ip == b.ip; // an address of its own goes before *, so those two may share a port
  return same && a.first <= b.last && b.first <= a.last;
}

void check_listen(const ServiceConfig& v, const NodeSettings& node) {
  if (v.listen.empty())
    throw ConfigError(v.where,
                      fmt::format("service '{}' listens nowhere; give listen = [\"{}:80\"]", v.name,
                                  node.ip.empty() ? "10.0.0.2" : node.ip.front().base().to_string()));
  for (const ListenConfig& l : v.listen) {
    if (l.ip == Ip{} || node.ip.empty()) continue;
    if (std::ranges::find(node.ip, l.ip, &Prefix::base) != node.ip.end()) continue;
    std::vector<std::string> ours;
    for (const Prefix& p : node.ip) ours.push_back(p.base().to_string());
    throw ConfigError(
        v.where, fmt::format("service '{}' listens on {}, which is none of our addresses ({}); add it to ip",
                             v.name, l.ip.to_string(), fmt::join(ours, ", ")));
  }
}

void check_backends(const ServiceConfig& v, const LbSettings& all) {
  if (v.backends.empty())
    throw ConfigError(
        v.where,
        fmt::format("service '{}' has no backend; add [[service.backend]] with its address", v.name));
  for (std::size_t i = 0; i < v.backends.size(); ++i) {
    const BackendConfig& b = v.backends[i];
    check_name(b.name, b.where, "backend");
    if (const std::string wrong = wrong_backend(b.address, all); !wrong.empty())
      throw ConfigError(b.where, wrong);
    for (std::size_t j = 0; j < i; ++j) {
      if (v.backends[j].name == b.name)
        throw ConfigError(b.where,
                          fmt::format("backend '{}' of service '{}' is there twice (first at {}); rename one",
                                      b.name, v.name, v.backends[j].where));
      if (v.backends[j].address == b.address)
        throw ConfigError(
            b.where, fmt::format("{} is already backend '{}' of service '{}'; give one of them more weight",
                                 b.address.to_string(), v.backends[j].name, v.name));
    }
  }
}

void check_mode(const ServiceConfig& v) {
  if (v.mode == Mode::splice) return;
  throw ConfigError(v.where, fmt::format("service '{}': mode '{}' is not built yet; write mode = \"splice\"",
                                         v.name, v.mode == Mode::dsr ? "dsr" : "translate"));
}

void check_times(const ServiceConfig& v) {
  if (v.check.kind != CheckKind::none && v.check.timeout > v.check.interval)
    throw ConfigError(
        v.where,
        fmt::format("service '{}': a check's timeout ({}) is longer than the interval ({}); shorten it",
                    v.name, settings::Value<Duration>::print(v.check.timeout),
                    settings::Value<Duration>::print(v.check.interval)));
  if (v.check.kind == CheckKind::http &&
      (!v.check.path.starts_with('/') ||
       std::ranges::any_of(v.check.path + v.check.host,
                           [](unsigned char c) { return c <= ' ' || c == 0x7f; })))
    throw ConfigError(
        v.where,
        fmt::format("service '{}': path begins with '/', and neither path nor host has spaces", v.name));
}

} // namespace

bool good_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_' || c == ':' || c == '[' || c == ']';
  });
}

bool good_backend(const Endpoint& at) {
  const bool limited_broadcast = at.ip == Ip{Ip4{255, 255, 255, 255}};
  return at.port != Port{} && at.ip != Ip{} && at.ip != Ip{Ip4{}} && !limited_broadcast &&
         !net::is_multicast(at.ip);
}

void complete(const settings::Schema& schema, LbSettings& s) {
  std::vector<ServiceConfig>& all = s.lb.services;
  for (ServiceConfig& v : all) {
    v.cookies = s.node.cookies;
    for (BackendConfig& b : v.backends)
      if (b.name.empty()) b.name = b.address.to_string();
  }
  if (all.empty())
    throw ConfigError(
        schema.where("service") == "--service" ? "--config" : schema.where("service"),
        "no service; write [[service]] with a name, listen and [[service.backend]], as config/lb.toml");
  std::size_t ranges = 0;
  std::size_t backends = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const ServiceConfig& v = all[i];
    check_name(v.name, v.where, "service");
    check_mode(v);
    check_listen(v, s.node);
    check_backends(v, s);
    check_times(v);
    ranges += v.listen.size();
    backends += v.backends.size();
    for (std::size_t j = 0; j <= i; ++j) {
      if (j < i && all[j].name == v.name)
        throw ConfigError(v.where, fmt::format("service '{}' is there twice (first at {}); rename one",
                                               v.name, all[j].where));
      for (const ListenConfig& a : all[j].listen)
        for (const ListenConfig& b : v.listen)
          if (&a < &b || j < i)
            if (overlap(a, b))
              throw ConfigError(v.where,
                                fmt::format("services '{}' and '{}' both listen on {}; give each its own",
                                            all[j].name, v.name, settings::Value<ListenConfig>::print(b)));
    }
  }
  if (ranges > Listeners::most)
    throw ConfigError(all.back().where,
                      fmt::format("{} places to listen on, more than {}; join neighbouring ports: "
                                  "10.0.0.1:80-89",
                                  ranges, Listeners::most));
  if (backends > most_backends / 2)
    throw ConfigError(all.back().where,
                      fmt::format("{} backends, more than {}", backends, most_backends / 2));
}

} // namespace tern::app::lb
