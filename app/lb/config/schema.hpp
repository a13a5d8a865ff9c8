// The configuration of `tern lb` as it is written: config/lb.toml tells every key.
#pragma once

#include "app/lb/config.hpp"
#include "runtime/node_settings.hpp"
#include "runtime/settings/cli.hpp"
#include "runtime/settings/schema.hpp"

namespace tern::app::lb {

struct LbSettings {
  // A peer that is gone without a word (its RST was lost, its machine is dead) must not hold a pair until the idle
  // timeout: it is asked after a minute, and given up half a minute later.
  LbSettings() {
    node.tcp.keepalive_idle = Duration::seconds(60);
    node.tcp.keepalive_interval = Duration::seconds(10);
    node.tcp.keepalive_probes = 3;
  }
  NodeSettings node;
  LbConfig lb;
  Duration duration{};                    // zero: until a signal
  Duration drain = Duration::seconds(30); // once told to stop
};

void declare_lb_options(settings::Schema&, LbSettings&);

// Fills in what follows from something else (a backend without a name has its address for one), then looks at
// what no single value can tell. Throws ConfigError at the place that is wrong.
void complete(const settings::Schema&, LbSettings&);

// What `tern lb` would refuse at its start beyond that, as far as it can be told without one: its port's name, its
// addresses, its memory. Throws ConfigError. What hangs on who starts it, and where, is returned: its CPUs, the files that
// it wants.
[[nodiscard]] std::vector<std::string> check_start(const settings::Schema&, const LbSettings&);

// What may be so, and hardly is meant: backends that nothing leads to, routers that are on no network of ours.
[[nodiscard]] std::vector<std::string> doubts(const LbSettings&);

// The same files and command line, read again for a reload.
struct Reloaded {
  LbSettings settings;
  std::vector<std::string> needs_restart; // options, other than services, that are not what they were
};
[[nodiscard]] Reloaded read_again(const settings::Binding&, const settings::Schema& running);

// What may name a service or a backend: names stand in commands ("backend drain web/one") and in tables.
[[nodiscard]] bool good_name(std::string_view name);
inline constexpr const char* name_rule = "use up to 64 letters, digits, '.', '-' and '_'";

// Whether a backend may be there: an address and a port that one can connect to.
[[nodiscard]] bool good_backend(const Endpoint& address);
// The same, of a node with these addresses: what is wrong with it, or nothing.
[[nodiscard]] std::string wrong_backend(const Endpoint& address, const LbSettings&);

// "2 services, 5 backends": what --check says of a file that is well.
[[nodiscard]] std::string summary(const LbConfig&);

} // namespace tern::app::lb
