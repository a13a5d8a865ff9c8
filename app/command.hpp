// A subcommand: one small file declares its options on a CLI11 app and says what to run when it was chosen.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "app/measure/memory.hpp"
#include "io/error.hpp"
#include "runtime/settings/cli.hpp"
#include "runtime/settings/error.hpp"
#include "runtime/settings/schema.hpp"

namespace tern::app {

using Run = std::function<int()>; // the exit code

struct Command {
  const char* name;
  const char* help;
  Run (*declare)(CLI::App& app);
};

[[nodiscard]] std::span<const Command> commands(); // the table: commands.cpp

Run declare_bench(CLI::App& app);
Run declare_connect(CLI::App& app);
Run declare_client(CLI::App& app);
Run declare_ctl(CLI::App& app);
Run declare_doctor(CLI::App& app);
Run declare_explain(CLI::App& app);
Run declare_lb(CLI::App& app);
Run declare_report(CLI::App& app);
Run declare_server(CLI::App& app);
Run declare_ss(CLI::App& app);

// A command whose settings come from a schema, on the command line and from TOML. `fail`: says which option to blame where
// memory cannot hold what it asks for; throws.
template <class Settings>
[[nodiscard]] Run command_of(CLI::App& app, void (*declare)(settings::Schema&, Settings&),
                             int (*run)(const settings::Schema&, const Settings&),
                             void (*fail)(const settings::Schema&, const Settings&, const ArenaError&)) {
  struct State {
    Settings settings;
    settings::Schema schema;
    std::unique_ptr<settings::Binding> binding;
  };
  auto state = std::make_shared<State>();
  declare(state->schema, state->settings);
  state->binding = std::make_unique<settings::Binding>(app, state->schema);
  return [state, run, fail] {
    if (!state->binding->resolve()) return 0;
    try {
      return run(state->schema, state->settings);
    } catch (const io::HugePagesError& e) {
      state->schema.fail("huge_pages", e.what());
    } catch (const io::Error& e) {
      state->schema.fail("packet_memory", e.what());
    } catch (const ArenaError& e) {
      if (e.why == ArenaError::Why::addresses) throw settings::ConfigError("memory", e.what());
      fail(state->schema, state->settings, e);
      throw;
    }
  };
}

} // namespace tern::app
