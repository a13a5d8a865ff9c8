// A subcommand: one small file declares its options on a CLI11 app and says what to run when it was chosen.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <span>

namespace tern::app {

using Run = std::function<int()>; // the exit code

struct Command {
  const char* name;
  const char* help;
  Run (*declare)(CLI::App& app);
};

[[nodiscard]] std::span<const Command> commands(); // the table: commands.cpp

Run declare_bench(CLI::App& app);
Run declare_doctor(CLI::App& app);
Run declare_explain(CLI::App& app);
Run declare_report(CLI::App& app);
Run declare_server(CLI::App& app);

} // namespace tern::app
