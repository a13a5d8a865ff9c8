// What a client asks of its user, and what `tern bench` and `tern client` share.
#pragma once

#include <string>
#include <vector>

#include "app/client/load.hpp"
#include "app/client/target.hpp"
#include "app/measure/memory.hpp"
#include "app/measure/ports.hpp"
#include "runtime/node_settings.hpp"

namespace tern {
struct ShardSettings;
}
namespace tern::app {

struct LoadSettings {
  settings::Rate cps{settings::Rate::unlimited};
  std::uint32_t concurrency = 0;
  std::uint32_t in_progress = 256;
  std::uint64_t connections = 0;
  std::uint32_t requests = 1;
  settings::Rate rps{settings::Rate::unlimited};
  Duration think{};
  std::uint32_t request_size = 64;
  std::uint32_t response_size = 64;
  PayloadKind payload = PayloadKind::tcp;
  Closer closer = Closer::server;
  Duration duration = Duration::seconds(10);
  Duration ramp{};
  Duration warmup{};
  std::vector<Prefix> sources;
  settings::PortRange source_ports{tern::Port{1024}, tern::Port{65535}};
  Duration timeout = Duration::seconds(60);
  bool verify = false;
  std::uint64_t seed = 1;
  std::array<std::uint32_t, vices> bad{}; // bad clients that hold connections (--attack)

  bool bounded = false;  // --duration was given
  bool searched = false; // --find-max ends the run

  [[nodiscard]] std::uint32_t bad_connections() const { return bad[0] + bad[1]; }
  // The time ends the run, where --connections have not before; without a word of it they take as long as they take.
  [[nodiscard]] bool timed() const { return connections == 0 || bounded; }
};

// `sources`: of several ports, in place of the load's own.
void declare(settings::Schema&, LoadSettings&, std::vector<OfPort<Prefix>>* sources = nullptr);

// A share of the load for who has but a part of it: `part(n)` of all that is a number of.
template <class Part>
void scale(LoadSettings& l, Part&& part) {
  for (settings::Rate* r : {&l.cps, &l.rps})
    if (!r->is_max()) r->per_second = part(r->per_second);
  l.concurrency = static_cast<std::uint32_t>(part(l.concurrency));
  l.in_progress = static_cast<std::uint32_t>(part(l.in_progress));
  l.connections = part(l.connections);
  for (std::uint32_t& n : l.bad) n = static_cast<std::uint32_t>(part(n));
}

// What the settings contradict; throw ConfigError before anything starts.
void check(const settings::Schema&, const LoadSettings&, const NodeSettings&, std::uint64_t targets);

// One core's plan; the texts it points at are the caller's, and outlive it.
struct LoadTexts {
  std::string request;
  std::string last_request;
  std::string response; // what is expected; empty: whatever the first response brings
};
[[nodiscard]] LoadPlan plan_of(const LoadSettings&, const LoadTexts&, std::vector<Endpoint> targets);
// What one of several cores has to do of it.
[[nodiscard]] LoadPlan share_of(const LoadPlan& whole, std::uint32_t core, std::uint32_t cores);
// `host`: HTTP's header. Throws ConfigError where a size cannot be had.
[[nodiscard]] std::string http_request(const settings::Schema&, const LoadSettings&, const std::string& host,
                                       bool last);

// What the load decides, unless somebody does: told as such, not as a number.
void derive_records(settings::Schema&);

// The option that named the addresses to open from.
[[nodiscard]] const char* sources_option(const settings::Schema&);
// Records that this load wants at once, of connections and of TIME-WAIT, at the client.
[[nodiscard]] std::uint32_t connection_records(const LoadSettings&);
// Of the connections, those whose pages are made before the run.
[[nodiscard]] std::uint32_t connections_ready(const LoadSettings&);
// The option that asks for the most of them.
[[nodiscard]] const char* connections_option(const settings::Schema&, const LoadSettings&, bool searches);
// Room for as many as the run can close in 2MSL, or a quarter of what the arena or --memory leaves to records. Of a process
// with several ports: of all of them.
[[nodiscard]] std::uint32_t time_wait_records(const LoadSettings&, const NodeSettings&);
// Pairs of endpoints that its connections can have: no more of them rest at once. And the records that are enough for them, a
// few of which are holes that others left.
[[nodiscard]] std::uint64_t most_pairs(const LoadSettings&, std::uint64_t targets);
[[nodiscard]] std::uint64_t rest_of_pairs(const LoadSettings&, std::uint64_t targets);
// The end that closes first keeps TIME-WAIT; connections that stay are closed by the client at the run's end.
[[nodiscard]] bool client_keeps_time_wait(const LoadSettings&);
// The pages of TIME-WAIT records that the run will use, as far as can be known, are to be made before it.
void make_time_waits_ready(ShardSettings&, const LoadSettings&, bool four);
// "TIME-WAIT: up to 240M records in 60 s of 43 B, 10.3 GB; …": for the start-up table.
[[nodiscard]] std::string time_wait_line(const LoadSettings&, Duration time_wait, std::uint64_t pairs,
                                         std::uint32_t records);
// What the sources allow a second, where that may be less than the program does; or that they come again while the server
// has them in TIME-WAIT. Else empty.
[[nodiscard]] std::string sources_line(const LoadSettings&, const tcp::Settings&, std::uint64_t targets);

} // namespace tern::app
