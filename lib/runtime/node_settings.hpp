// What every program built on Tern asks of its user: ports, addresses, memory, TCP. One schema for TOML and
// command line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "io/eal.hpp"
#include "io/negotiation.hpp"
#include "net/interface.hpp"
#include "net/routes.hpp"
#include "runtime/settings/schema.hpp"
#include "tcp/listen.hpp"
#include "tcp/settings.hpp"

namespace tern {

enum class IdlePolicy : std::uint8_t {
  Busy,     // spins: the lowest latency, a whole core
  Adaptive, // after a while without work, short sleeps
};

struct VlanId { // 1 to 4094
  std::uint16_t raw = 0;
  constexpr bool operator==(const VlanId&) const = default;
};

// A network that is reached through a router of its own.
struct RouteSetting {
  Prefix to;
  Ip via;
};

struct NodeSettings {
  // ports
  unsigned number = 0; // among several ports of one process, from 1; 0: it is the only one
  std::string port;
  std::vector<unsigned> cores{};
  std::vector<Prefix> ip;             // an address with its network's length: "10.0.0.2/24"
  std::vector<Prefix> sources{};      // more addresses of ours, to open connections from
  std::vector<Ip> gateway;            // one a family
  std::vector<RouteSetting> routes{}; // besides
  std::optional<VlanId> vlan;
  std::optional<VlanId> service_vlan;
  std::string mac; // empty: the port's own
  std::uint16_t mtu = 1500;
  io::HugePages huge_pages = io::HugePages::automatic;
  settings::Size memory{}; // 0: what the machine has free
  settings::Size packet_memory{128ULL << 20};
  std::uint32_t connections = 100'000;
  std::uint32_t time_wait_records = 1'000'000;
  IdlePolicy idle = IdlePolicy::Adaptive;
  io::Offload checksums = io::Offload::automatic;
  io::Offload tso = io::Offload::automatic;
  io::Offload vlan_tag = io::Offload::automatic;
  // TCP
  tcp::Settings tcp;
  std::uint16_t mss = 0; // 0: what the MTU leaves
  tcp::CookieMode cookies = tcp::CookieMode::Auto;
  std::string cookie_key_file; // empty: a key drawn at the start
  std::uint32_t backlog = 4096;
  std::uint32_t syn_rate = 0;
  std::uint32_t reset_rate = 10'000;
};

inline constexpr const char* about_cores =
    "CPUs to run on, one worker each; none: one worker, on no CPU in particular";
void declare_port_options(settings::Schema&, NodeSettings&, std::string cores_help = about_cores);
// Of them, what several ports of one process have in common.
void declare_common_port_options(settings::Schema&, NodeSettings&);
void declare_tcp_options(settings::Schema&, NodeSettings&);

// "port 2: ", where there are several.
[[nodiscard]] std::string which_port(const NodeSettings&);
[[noreturn]] void fail_without_port(const settings::Schema&);
// The tag as frames have it.
[[nodiscard]] constexpr std::optional<std::uint16_t> tag_of(const std::optional<VlanId>& vlan) {
  return vlan ? std::optional{vlan->raw} : std::nullopt;
}

// The same as an interface of the port that was opened. Throws ConfigError.
[[nodiscard]] net::InterfaceSettings interface_of(const NodeSettings&, const settings::Schema&,
                                                  const net::Mac& port_mac, const std::string& driver);
[[nodiscard]] net::Routes routes_of(const NodeSettings&);
// --memory: what the packets leave of it is all that records may take. Throws ConfigError, as
// for an MSS that cannot be.
void apply_limits(const NodeSettings&, const settings::Schema&);

} // namespace tern

namespace tern::settings {

template <>
struct Value<VlanId> {
  static constexpr std::string_view meta = "N";
  static constexpr std::string_view expects = "a VLAN; they are numbered 1 to 4094";
  static std::optional<VlanId> parse(std::string_view text) {
    const auto n = Value<std::uint16_t>::parse(text);
    return n && *n != 0 && *n <= 4094 ? std::optional{VlanId{*n}} : std::nullopt;
  }
  static std::string print(const VlanId& v) { return std::to_string(v.raw); }
};

} // namespace tern::settings
