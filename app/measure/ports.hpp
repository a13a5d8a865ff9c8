// Several ports in one process: what the user says of all of them, and what each is then given.
//
//   --port A --port B --cores 0,1,2 --ip 10.0.0.1/24@1 --ip 10.0.1.1/24@2 --mtu 1500
//     port 1   A, CPUs 0 and 2, 10.0.0.1/24, mtu 1500
//     port 2   B, CPU 1,        10.0.1.1/24, mtu 1500
//
// What is one port's names it, "@2"; where there is but one it need not. The rest is all ports' alike, and what there
// is so much of (records, packets) is dealt out.
#pragma once

#include <string>
#include <vector>

#include "runtime/node_settings.hpp"
#include "runtime/settings/schema.hpp"

namespace tern::app {

// A DPDK device as its user writes it: its commas are its own.
struct Device {
  std::string name;
  bool operator==(const Device&) const = default;
};

// What belongs to one port: "10.0.0.1/24@2".
template <class T>
struct OfPort {
  T value{};
  unsigned port = 0; // from 1; 0: none was named
  bool operator==(const OfPort&) const = default;
};

struct PortRoute {
  Prefix to;
  OfPort<Ip> via;
};

struct PortsSettings {
  std::vector<Device> port;
  std::vector<OfPort<Prefix>> ip;
  std::vector<OfPort<Ip>> gateway;
  std::vector<PortRoute> routes;
  std::vector<OfPort<VlanId>> vlan;
  std::vector<OfPort<VlanId>> service_vlan;
  std::vector<OfPort<std::string>> mac;
  NodeSettings common; // what is not one port's; all CPUs
};
// The same names as declare_port_options.
void declare_ports_options(settings::Schema&, PortsSettings&);

// What of TCP contradicts itself; throws ConfigError.
void check_tcp(const settings::Schema&, const tcp::Settings&);

// One a port, each as if it were alone. Throws ConfigError.
[[nodiscard]] std::vector<NodeSettings> each_port(const settings::Schema&, const PortsSettings&);
// Of n things those of a port: by its share of the CPUs, rounded up.
[[nodiscard]] std::uint64_t part_of_port(std::uint64_t n, const NodeSettings& port, std::size_t ports,
                                         const NodeSettings& common);

namespace detail {
[[noreturn]] void fail_port(const settings::Schema&, const char* option, const std::string& text,
                            unsigned named, std::size_t ports);
} // namespace detail

// Those of port `i`, from 0. Throws ConfigError where one names no port, or none that there is.
template <class T>
[[nodiscard]] std::vector<T> of_port(const settings::Schema& s, const char* option,
                                     const std::vector<OfPort<T>>& all, std::size_t i, std::size_t ports) {
  std::vector<T> own;
  for (const OfPort<T>& v : all) {
    if (v.port > ports || (v.port == 0 && ports > 1))
      detail::fail_port(s, option, settings::Value<T>::print(v.value), v.port, ports);
    if (v.port == 0 || v.port == i + 1) own.push_back(v.value);
  }
  return own;
}

} // namespace tern::app

namespace tern::settings {

template <>
struct Value<app::Device> {
  static constexpr std::string_view meta = "DEVICE";
  static constexpr std::string_view expects = "a DPDK device, such as net_tap0,iface=tern0 or 0000:03:00.0";
  static constexpr bool holds_commas = true;
  static constexpr bool text_only = true;
  static std::optional<app::Device> parse(std::string_view text) {
    if (text.empty()) return std::nullopt;
    return app::Device{std::string{text}};
  }
  static std::string print(const app::Device& v) { return v.name; }
};

// At its end, "@2", or nothing.
struct PortMark {
  std::string_view text; // without it
  unsigned port = 0;
};
[[nodiscard]] std::optional<PortMark> port_mark(std::string_view text);

template <class T>
struct Value<app::OfPort<T>> {
  static constexpr std::string_view meta = Value<T>::meta;
  static constexpr std::string_view expects = Value<T>::expects;
  static constexpr bool text_only = settings::text_only<T>();
  static std::string_view expected_of(std::string_view text) {
    return port_mark(text) ? expects
                           : "for any port: they are counted from 1, and named at its end as @1 or @2";
  }
  static std::optional<app::OfPort<T>> parse(std::string_view text) {
    const auto mark = port_mark(text);
    if (!mark) return std::nullopt;
    auto v = Value<T>::parse(mark->text);
    if (!v) return std::nullopt;
    return app::OfPort<T>{*std::move(v), mark->port};
  }
  static std::string print(const app::OfPort<T>& v) {
    return Value<T>::print(v.value) + (v.port == 0 ? "" : "@" + std::to_string(v.port));
  }
};

} // namespace tern::settings
