// A schema on the command line, by CLI11. Every mistake comes out as a ConfigError, so its line reads the
// same whether it was made in a file or in a shell.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/settings/schema.hpp"

namespace CLI { // its headers take seconds to compile: only who adds options of its own includes them
class App;
class Option;
} // namespace CLI

namespace tern::settings {

// A schema's options, --config FILE and --print-config on `app`. Lives as long as `app` does.
class Binding {
 public:
  Binding(CLI::App& app, Schema& schema);

  // After parsing: the files, in order, then the command line over them. False when only --print-config was
  // asked for, and is done.
  [[nodiscard]] bool resolve();
  // The same files, as they are now, and the same command line into another schema like it: a reload.
  void load_into(Schema& schema) const;

 private:
  Schema& schema_;
  CLI::Option* config_;
  CLI::Option* print_;
  std::vector<std::pair<std::string, CLI::Option*>> options_;
};

// CLI11's parse with our errors. A value is the exit code of a call that has nothing left to run (--help,
// --version).
[[nodiscard]] std::optional<int> parse(CLI::App& app, int argc, const char* const* argv);

// The whole of it for a program without subcommands.
[[nodiscard]] std::optional<int> parse(Schema& schema, const std::string& about, int argc,
                                       const char* const* argv);

} // namespace tern::settings
