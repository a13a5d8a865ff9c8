// Who the two ends of the pair are: addresses, listeners, and the ways between them.
#pragma once

#include <vector>

#include "app/bench/settings.hpp"
#include "net/interface.hpp"
#include "net/routes.hpp"

namespace tern::app {

struct BenchEnds {
  net::InterfaceSettings client; // without MACs: those are the ports'
  net::InterfaceSettings server;
  std::vector<net::Route> client_routes;
  std::vector<net::Route> server_routes;
  std::vector<TargetRange> listen;
  std::vector<Endpoint> targets;
  Prefix nobody; // what forged packets come from; the server's answers come to the clients' end, and are lost
};

// --sources where they are not given: of the family that --target or --ip names.
[[nodiscard]] std::vector<Prefix> default_sources(const BenchSettings&);
// Throws ConfigError.
[[nodiscard]] BenchEnds ends_of(const settings::Schema&, const BenchSettings&);

} // namespace tern::app
