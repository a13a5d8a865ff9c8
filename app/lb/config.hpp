// What a load balancer is told: services, their backends, and the limits of each. Plain values, made from
// TOML or the command line, immutable once they are published to a core.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ip.hpp"
#include "base/time.hpp"
#include "tcp/listen.hpp"

namespace tern::app::lb {

enum class Balance : std::uint8_t {
  maglev,
  round_robin,
  weighted_round_robin,
  least_connections,
  source_hash
};
enum class CheckKind : std::uint8_t { none, tcp, http };
enum class ProxyProtocol : std::uint8_t { none, v1, v2 };

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
  std::uint16_t status_first = 200;
  std::uint16_t status_last = 399;
};

struct BackendConfig {
  std::string name; // what `tern ctl` and the choosers know it by; must not change over a reload
  Endpoint address;
  std::uint32_t weight = 1;          // 0: gets nothing new
  std::uint32_t max_connections = 0; // 0: no limit
  bool backup = false;               // used only when no other one can be
};

struct TimeoutConfig {
  Duration connect = Duration::seconds(3);      // to a backend, each try
  Duration idle = Duration::seconds(300);       // nothing moves in either direction; zero: for ever
  Duration half_closed = Duration::seconds(60); // one direction has ended and nothing moves in the other
  Duration drain = Duration::seconds(30);       // at the end: what is still open is then reset
};

struct ServiceConfig {
  std::string name;
  Ip ip; // :: listens on every address of both families
  Port first;
  Port last;
  tcp::CookieMode cookies = tcp::CookieMode::Auto;
  std::uint32_t max_connections = 0xffff'ffff;
  Balance balance = Balance::maglev;
  std::uint64_t seed = 0; // of the hash that maglev and source_hash choose by; the same on every node
  ProxyProtocol send_proxy = ProxyProtocol::none;
  std::uint32_t tries = 3; // backends to try for one client before it is reset
  Duration slow_start{};   // a backend that comes up grows to its weight over this time
  TimeoutConfig timeouts;
  CheckConfig check;
  std::vector<BackendConfig> backends;
};

struct LbConfig {
  std::vector<Prefix> sources; // addresses that backend legs are opened from; none: the node's own
  std::vector<ServiceConfig> services;
};

} // namespace tern::app::lb
