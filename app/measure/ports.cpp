#include "app/measure/ports.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/port_options.hpp"

namespace tern::settings {

std::optional<PortMark> port_mark(std::string_view text) {
  const std::size_t at = text.rfind('@');
  if (at == std::string_view::npos) return PortMark{text};
  const auto port = Value<unsigned>::parse(text.substr(at + 1));
  if (!port || *port == 0) return std::nullopt;
  return PortMark{text.substr(0, at), *port};
}

} // namespace tern::settings

namespace tern::app {
namespace {

constexpr std::size_t most_ports = 16;

std::string interface_named(const std::string& port) {
  constexpr std::string_view key = ",iface=";
  const std::size_t at = port.find(key);
  if (at == std::string::npos) return {};
  const std::size_t from = at + key.size();
  return port.substr(from, port.find(',', from) - from);
}

// Two names of one device; one kernel interface under two drivers.
void refuse_twins(const settings::Schema& s, const std::vector<Device>& ports) {
  for (std::size_t i = 0; i < ports.size(); ++i)
    for (std::size_t k = 0; k < i; ++k) {
      const std::string& a = ports[k].name;
      const std::string& b = ports[i].name;
      if (io::device_name(a) == io::device_name(b))
        s.fail("port", fmt::format("{} and {} are one device; give each port another{}", a, b,
                                   io::is_pci_address(a) ? "" : ", net_tap0 and net_tap1"));
      if (const std::string iface = interface_named(b); !iface.empty() && iface == interface_named(a))
        s.fail("port",
               fmt::format("{} and {} are both on {}; give each port an interface of its own", a, b, iface));
    }
}

template <class T>
std::optional<T> one_of_port(const settings::Schema& s, const char* option, const std::vector<OfPort<T>>& all,
                             std::size_t i, std::size_t ports) {
  std::vector<T> own = of_port(s, option, all, i, ports);
  if (own.size() > 1)
    s.fail(option, fmt::format("{} and {} for one port; give it once", settings::Value<T>::print(own[0]),
                               settings::Value<T>::print(own[1])));
  if (own.empty()) return std::nullopt;
  return std::move(own.front());
}

std::vector<RouteSetting> routes_of_port(const settings::Schema& s, const PortsSettings& p, std::size_t i) {
  std::vector<RouteSetting> own;
  for (const PortRoute& r : p.routes)
    for (const Ip& via : of_port<Ip>(s, "route", {r.via}, i, p.port.size())) own.push_back({r.to, via});
  return own;
}

// The CPUs in turn, so that the first of them are on different ports.
std::vector<unsigned> cores_of_port(const PortsSettings& p, std::size_t i) {
  std::vector<unsigned> own;
  for (std::size_t c = i; c < p.common.cores.size(); c += p.port.size()) own.push_back(p.common.cores[c]);
  return own;
}

} // namespace

void detail::fail_port(const settings::Schema& s, const char* option, const std::string& text, unsigned named,
                       std::size_t ports) {
  if (named == 0)
    s.fail(option,
           fmt::format("{}: of which of the {} ports? write {}@1 for the first, or @2 …", text, ports, text));
  s.fail(option, fmt::format("{}@{}: there {} {} port{}", text, named, ports == 1 ? "is" : "are", ports,
                             ports == 1 ? "" : "s"));
}

void declare_ports_options(settings::Schema& s, PortsSettings& p) {
  s.group("ports",
          "Where packets come from (what is one of several ports' names it, from 1: --ip 10.0.1.2/24@2)");
  s.add("port", p.port,
        "a DPDK device: a vdev string (net_tap0,iface=tern0) or a PCI address (repeat for more)");
  s.add("cores", p.common.cores,
        "CPUs to run on, one worker each, dealt out to the ports in turn; none: one worker a port, on no CPU "
        "in particular");
  tern::detail::declare_own_options(s, p);
  declare_common_port_options(s, p.common);
}

std::uint64_t part_of_port(std::uint64_t n, const NodeSettings& port, std::size_t ports,
                           const NodeSettings& common) {
  const std::uint64_t own = common.cores.empty() ? 1 : port.cores.size();
  const std::uint64_t all = common.cores.empty() ? ports : common.cores.size();
  return n / all * own + (n % all * own + all - 1) / all;
}

void check_tcp(const settings::Schema& s, const tcp::Settings& t) {
  if (t.receive_buffer <= t.receive_buffer_max) return;
  s.fail(s.given("window_max") ? "window_max" : "window",
         fmt::format("a window of {} bytes at first, and {} at most: raise --window-max, or lower --window",
                     t.receive_buffer, t.receive_buffer_max));
}

std::vector<NodeSettings> each_port(const settings::Schema& s, const PortsSettings& p) {
  const std::size_t ports = p.port.size();
  if (ports == 0) fail_without_port(s);
  check_tcp(s, p.common.tcp);
  if (ports > most_ports) s.fail("port", fmt::format("{} are more than {}", ports, most_ports));
  refuse_twins(s, p.port);
  const auto& cores = p.common.cores;
  if (!cores.empty() && cores.size() < ports)
    s.fail("cores", fmt::format("{} for {} ports; each needs one of its own: name {} or more, or none",
                                cores.size(), ports, ports));
  constexpr std::uint64_t least_packets = 16ULL << 20;
  if (p.common.packet_memory.n / ports < least_packets)
    s.fail("packet_memory", fmt::format("each of the {} ports needs 16M of it; give {}M or more", ports,
                                        (least_packets >> 20) * ports));
  if (ports > 1) apply_limits(p.common, s); // of the process
  std::vector<NodeSettings> all;
  for (std::size_t i = 0; i < ports; ++i) {
    NodeSettings& n = all.emplace_back(p.common);
    n.port = p.port[i].name;
    n.cores = cores_of_port(p, i);
    n.ip = of_port(s, "ip", p.ip, i, ports);
    n.gateway = of_port(s, "gateway", p.gateway, i, ports);
    n.routes = routes_of_port(s, p, i);
    n.vlan = one_of_port(s, "vlan", p.vlan, i, ports);
    n.service_vlan = one_of_port(s, "service_vlan", p.service_vlan, i, ports);
    n.mac = one_of_port(s, "mac", p.mac, i, ports).value_or("");
    if (ports == 1) continue;
    n.number = static_cast<unsigned>(i + 1);
    if (n.ip.empty())
      s.fail("ip", fmt::format("no address of port {}; name at least one: 10.0.0.2/24@{}", i + 1, i + 1));
    n.memory = {}; // the process's, above
    n.packet_memory.n /= ports;
    const auto part = [&](std::uint32_t of) {
      return static_cast<std::uint32_t>(part_of_port(of, n, ports, p.common));
    };
    n.connections = part(n.connections);
    n.time_wait_records = std::max(part(n.time_wait_records), 64U);
  }
  return all;
}

} // namespace tern::app
