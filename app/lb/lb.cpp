// tern lb: the load balancer.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "app/command.hpp"
#include "app/lb/config/schema.hpp"
#include "app/lb/path/run.hpp"
#include "base/file.hpp"
#include "flow/arena.hpp"
#include "runtime/settings/cli.hpp"

namespace tern::app {

Run declare_lb(CLI::App& app) {
  struct State {
    lb::LbSettings settings;
    settings::Schema schema;
    std::unique_ptr<settings::Binding> binding;
    bool check = false;
  };
  auto state = std::make_shared<State>();
  lb::declare_lb_options(state->schema, state->settings);
  state->binding = std::make_unique<settings::Binding>(app, state->schema);
  app.add_flag("--check", state->check,
               "only say whether the configuration is right, and what of it is hardly meant");
  return [state] {
    if (!state->binding->resolve()) return 0;
    lb::complete(state->schema, state->settings);
    if (state->check) {
      std::vector<std::string> notes = lb::doubts(state->settings);
      for (std::string& line : lb::check_start(state->schema, state->settings))
        notes.push_back(std::move(line));
      for (const std::string& line : notes) say(fmt::format("note: {}\n", line));
      say(fmt::format("ok: {}\n", lb::summary(state->settings.lb)));
      return 0;
    }
    try {
      return lb::run(*state->binding, state->schema, state->settings);
    } catch (const ArenaError& e) {
      if (e.why == ArenaError::Why::addresses) throw settings::ConfigError("memory", e.what());
      fail_for_memory(state->schema, state->settings.node, "max_connections", e);
    }
  };
}

} // namespace tern::app
