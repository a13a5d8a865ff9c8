// What `tern bench` asks of its user.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "io/impair.hpp"
#include "runtime/node_settings.hpp"

namespace tern::app {

struct BenchSettings {
  NodeSettings node;
  settings::Rate cps{settings::Rate::unlimited};
  std::uint32_t concurrency = 0;
  std::uint32_t in_progress = 256;
  Duration duration = Duration::seconds(10);
  std::uint64_t connections = 0;
  std::uint32_t request_size = 64;
  std::uint32_t response_size = 64;
  std::vector<Prefix> sources{*Prefix::parse("10.1.0.0/20")};
  settings::PortRange source_ports{tern::Port{1024}, tern::Port{65535}};
  Duration timeout = Duration::seconds(60);
  std::string impair;
  bool verify = false;
  std::uint64_t seed = 1;
  std::string json;
  std::string csv;
  std::string html;
  bool quiet = false;
  Duration interval = Duration::seconds(1);
};

void declare(settings::Schema&, BenchSettings&);
// What the settings contradict; throws ConfigError before anything starts.
void check(const settings::Schema&, const BenchSettings&);

} // namespace tern::app
