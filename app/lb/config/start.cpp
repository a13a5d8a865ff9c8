// What the port's side of a configuration says of the services': which backends can be reached, and what a start needs.
#include <fmt/format.h>
#include <sched.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "app/lb/config/schema.hpp"
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

void check_control(const settings::Schema& schema, const std::string& path) {
  if (path.empty()) return;
  const auto refuse = [&](const std::string& why) {
    schema.fail("control", fmt::format("cannot listen on {}: {}; choose another path", path, why));
  };
  if (path.size() >= sizeof sockaddr_un{}.sun_path)
    refuse(fmt::format("it is longer than {} characters", sizeof sockaddr_un{}.sun_path - 1));
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  const std::string name = folder.empty() ? "." : folder.string();
  if (access(name.c_str(), W_OK | X_OK) != 0) refuse(std::strerror(errno));
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored) && !std::filesystem::is_socket(path, ignored))
    refuse("it is there, and no socket");
}

void check_cores(const settings::Schema& schema, const std::vector<unsigned>& cores) {
  cpu_set_t ours;
  if (sched_getaffinity(0, sizeof ours, &ours) != 0) return;
  for (const unsigned c : cores)
    if (c >= CPU_SETSIZE || CPU_ISSET(c, &ours) == 0)
      schema.fail("cores", fmt::format("this process may not run on CPU {}; see taskset -p $$", c));
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

void check_start(const settings::Schema& schema, const LbSettings& v) {
  if (v.node.port.empty()) fail_without_port(schema);
  (void)interface_of(v.node, schema, {}, {});
  apply_limits(v.node, schema);
  check_cores(schema, v.node.cores);
  check_control(schema, v.lb.control);
  if (!v.node.cookie_key_file.empty()) (void)read_key_file(v.node.cookie_key_file);
}

} // namespace tern::app::lb
