// What a load balancer is told: services, their backends, and the limits of each. Plain values, made from
// TOML or the command line, immutable once they are published to a core.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/lb/choose/chooser.hpp"
#include "app/lb/guard/proxy_protocol.hpp"
#include "app/lb/guard/sources.hpp"
#include "app/socket/metrics_address.hpp"
#include "base/ip.hpp"
#include "base/time.hpp"
#include "tcp/listen.hpp"

namespace tern::app::lb {

// How a client's connection gets to its backend.
enum class Mode : std::uint8_t {
  splice,    // it ends here, and the backend's begins here
  translate, // as splice, and once quiet its sequence numbers are translated: not built
  dsr,       // the backend answers the client itself: not built
};

enum class CheckKind : std::uint8_t { none, tcp, http };

struct StatusRange {
  std::uint16_t first = 200;
  std::uint16_t last = 399;
  constexpr auto operator<=>(const StatusRange&) const = default;
};

// Active health checks of a service's backends.
struct CheckConfig {
  CheckKind kind = CheckKind::none;
  Duration interval = Duration::seconds(2); // ± jitter, so that checks of many backends spread
  double jitter = 0.1;                      // share of the interval
  Duration timeout = Duration::seconds(1);
  std::uint32_t rise = 2; // checks in a row that must succeed, or fail, to change a backend's state
  std::uint32_t fall = 3;
  std::string path = "/"; // HTTP
  std::string host;       // of the Host header; empty: the backend's address
  StatusRange status;
};

inline constexpr std::uint32_t most_weight = 1000;
inline constexpr std::uint32_t most_at_once = 100'000'000; // connections of a backend, or of a service

struct BackendConfig {
  std::string name; // what `tern ctl` and the choosers know it by; must not change over a reload
  Endpoint address;
  std::uint32_t weight = 1;          // 0: gets nothing new
  std::uint32_t max_connections = 0; // 0: no limit
  bool backup = false;               // used only when no other one can be
  std::string where{};               // of the file; empty when `tern ctl` added it
};

struct TimeoutConfig {
  Duration connect = Duration::seconds(3);      // to a backend, each try
  Duration idle = Duration::seconds(300);       // nothing moves in either direction; zero: for ever
  Duration half_closed = Duration::seconds(60); // one direction has ended and nothing moves in the other
  Duration drain = Duration::seconds(30);       // of a service that a reload took away; zero: none
};

struct ListenConfig {
  Ip ip; // :: listens on every address of both families
  Port first;
  Port last;
  constexpr bool operator==(const ListenConfig&) const = default;
};

struct ServiceConfig {
  std::string name;
  Mode mode = Mode::splice;
  std::vector<ListenConfig> listen;
  tcp::CookieMode cookies = tcp::CookieMode::Auto;
  std::uint32_t max_connections = 0; // over all cores and ports; 0: no limit
  Balance balance = Balance::maglev;
  std::uint64_t seed = 0; // of the hash that maglev and source_hash choose by; the same on every node
  ProxyProtocol send_proxy = ProxyProtocol::none;
  std::uint32_t tries = 3;   // backends to try for one client before it is reset
  Duration slow_start{};     // a backend that comes up grows to its weight over this time
  std::vector<Prefix> allow; // clients; none: everybody whom `deny` does not name
  std::vector<Prefix> deny;
  SourceLimits source; // of one client address
  TimeoutConfig timeouts;
  CheckConfig check;
  std::vector<BackendConfig> backends;
  std::string where{};
};

struct LbConfig {
  std::vector<Prefix> sources;           // addresses that backend legs are opened from; none: the node's own
  std::string control;                   // path of the control socket; empty: none
  MetricsAddress metrics;                // where Prometheus scrapes
  std::uint32_t source_records = 65'536; // clients whose limits are remembered
  std::vector<ServiceConfig> services;
};

} // namespace tern::app::lb
