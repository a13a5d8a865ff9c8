// What the port's side of a configuration says of the services': which backends can be reached, and what a start needs.
#include <fmt/format.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "app/lb/config/schema.hpp"
#include "app/socket/metrics.hpp"
#include "io/eal.hpp"
#include "net/addresses.hpp"
#include "net/interface.hpp"
#include "net/routes.hpp"
#include "runtime/key_file.hpp"

namespace tern::app::lb {
namespace {

net::Interface self_of(const LbSettings& v) {
  net::InterfaceSettings who;
  for (const Prefix& p : v.node.ip) who.addresses.push_back({p.base(), p.length()});
  who.pools = v.lb.sources;
  return net::Interface(std::move(who));
}

// What lies with who asks, and on which machine, is noted: a file may be looked at elsewhere than it is for.
using Notes = std::vector<std::string>;

void check_control(const settings::Schema& schema, const std::string& path, Notes& notes) {
  if (path.empty()) return;
  if (path.size() >= sizeof sockaddr_un{}.sun_path)
    schema.fail("control",
                fmt::format("cannot listen on {}: it is longer than {} characters; choose another path", path,
                            sizeof sockaddr_un{}.sun_path - 1));
  const auto note = [&](const std::string& why) {
    notes.push_back(fmt::format("control: whoever runs this cannot listen on {} here: {}", path, why));
  };
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  const std::string name = folder.empty() ? "." : folder.string();
  if (access(name.c_str(), W_OK | X_OK) != 0) return note(std::strerror(errno));
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored) && !std::filesystem::is_socket(path, ignored))
    note("it is there, and no socket");
}

void check_metrics(const MetricsAddress& at, Notes& notes) {
  if (!at.end) return;
  if (const std::string why = MetricsSocket::obstacle(*at.end); !why.empty())
    notes.push_back(
        fmt::format("metrics: whoever runs this cannot listen on {} here: {}", at.end->to_string(), why));
}

void check_cores(const std::vector<unsigned>& cores, Notes& notes) {
  const std::vector<unsigned> ours = io::allowed_cpus();
  for (const unsigned c : cores)
    if (!std::ranges::binary_search(ours, c))
      notes.push_back(fmt::format("cores: this process may not run on CPU {} here; see taskset -p $$", c));
}

void check_key(const std::string& path, Notes& notes) {
  if (path.empty()) return;
  if (access(path.c_str(), R_OK) == 0)
    (void)read_key_file(path);
  else
    notes.push_back(fmt::format("cookie_key_file: whoever runs this cannot read {} here: {}", path,
                                std::strerror(errno)));
}

} // namespace

std::string wrong_backend(const Endpoint& at, const LbSettings& v) {
  if (!good_backend(at)) return fmt::format("{} is no address to connect to", at.to_string());
  if (v.node.ip.empty()) return {};
  const net::Interface self = self_of(v);
  if (self.owns(at.ip))
    return fmt::format("{} is our own address; a backend is another machine", at.to_string());
  if (at.ip.is_v4() && self.is_broadcast(at.ip.v4()))
    return fmt::format("{} is the broadcast address of a network of ours", at.to_string());
  return {};
}

std::vector<std::string> doubts(const LbSettings& v) {
  std::vector<std::string> all;
  if (v.node.ip.empty()) return all;
  const net::Interface self = self_of(v);
  const net::Routes routes = routes_of(v.node);
  const auto ours = [&](const Ip& to) {
    const auto same = [&](const Prefix& p) { return p.base().is_v4() == to.is_v4(); };
    return std::ranges::any_of(v.lb.sources.empty() ? v.node.ip : v.lb.sources, same);
  };
  for (const ServiceConfig& s : v.lb.services)
    for (const BackendConfig& b : s.backends) {
      const Ip& to = b.address.ip;
      if (!ours(to))
        all.push_back(
            fmt::format("{}: backend {}/{} cannot be reached: we have no {} address to reach {} from",
                        b.where, s.name, b.name, to.is_v4() ? "IPv4" : "IPv6", to.to_string()));
      else if (!routes.next_hop(self, to))
        all.push_back(
            fmt::format("{}: backend {}/{} cannot be reached: {} is on no network of ours, and neither "
                        "gateway nor route leads there",
                        b.where, s.name, b.name, to.to_string()));
    }
  for (const Ip& via : v.node.gateway)
    if (!self.on_link(via))
      all.push_back(fmt::format("gateway {} is on no network of ours", via.to_string()));
  for (const RouteSetting& r : v.node.routes)
    if (!self.on_link(r.via))
      all.push_back(fmt::format("route to {}: its router {} is on no network of ours", r.to.to_string(),
                                r.via.to_string()));
  return all;
}

std::vector<std::string> check_start(const settings::Schema& schema, const LbSettings& v) {
  Notes notes;
  if (v.node.port.empty()) fail_without_port(schema);
  (void)interface_of(v.node, schema, {}, {});
  apply_limits(v.node, schema);
  check_cores(v.node.cores, notes);
  check_control(schema, v.lb.control, notes);
  check_metrics(v.lb.metrics, notes);
  check_key(v.node.cookie_key_file, notes);
  return notes;
}

} // namespace tern::app::lb
