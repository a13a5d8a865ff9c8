// tern ctl: asks a running `tern lb`, and tells it what to do.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "app/command.hpp"
#include "app/lb/control/commands.hpp"
#include "app/socket/socket.hpp"
#include "runtime/settings/error.hpp"

namespace tern::app {
namespace {

struct CtlOptions {
  std::string socket = "/run/tern-lb.sock";
  bool json = false;
  std::vector<std::string> words;
};

int run(const CtlOptions& o) {
  if (o.words.empty())
    throw settings::ConfigError("tern ctl", "no command given; 'tern ctl --help' lists them");
  std::string line = o.json ? "json" : "";
  for (const std::string& w : o.words) {
    if (w.empty() || w.find_first_of(" \t\r\n") != std::string::npos)
      throw settings::ConfigError("tern ctl", "'" + w + "' is no word; write each word by itself");
    line += (line.empty() ? "" : " ") + w;
  }
  return print_answer(ask(o.socket, line), o.json);
}

} // namespace

Run declare_ctl(CLI::App& app) {
  const auto options = std::make_shared<CtlOptions>();
  app.add_option("--socket", options->socket, "the path that the load balancer has as control")
      ->capture_default_str();
  app.add_flag("--json", options->json, "the answer as JSON");
  app.add_option("command", options->words, "what to ask or to do")->expected(0, 16);
  app.footer("Commands:\n" + lb::command_help());
  return [options] { return run(*options); };
}

} // namespace tern::app
