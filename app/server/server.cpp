// tern server: something to talk to.
#include <memory>

#include "app/command.hpp"
#include "app/server/handlers.hpp"
#include "runtime/node.hpp"
#include "runtime/settings/cli.hpp"

namespace tern::app {
namespace {

enum class Mode : std::uint8_t { Echo, Discard, Chargen, Http };

struct ServerSettings {
  ServeSettings serve;
  Mode mode = Mode::Http;
  std::uint32_t response_size = 64;
  Http::Closes closes = Http::Closes::WhenAsked;
};

void declare(settings::Schema& s, ServerSettings& v) {
  s.group("server", "What to answer");
  s.choice<Mode>(
      "mode", v.mode, "what connections get",
      {{"http", Mode::Http}, {"echo", Mode::Echo}, {"discard", Mode::Discard}, {"chargen", Mode::Chargen}});
  s.add("response_size", v.response_size, "bytes of an HTTP response's body", settings::Range{0U, 1U << 30});
  s.choice<Http::Closes>("close", v.closes, "who ends an HTTP connection",
                         {{"client", Http::Closes::WhenAsked}, {"server", Http::Closes::AfterEach}});
  declare_serve_options(s, v.serve);
}

int run(const settings::Schema& schema, const ServerSettings& v) {
  switch (v.mode) {
    case Mode::Echo:
      return serve(schema, v.serve, Echo{});
    case Mode::Discard:
      return serve(schema, v.serve, Discard{});
    case Mode::Chargen:
      return serve(schema, v.serve, Chargen{16'384});
    case Mode::Http:
      return serve(schema, v.serve, Http{v.response_size, v.closes});
  }
  return settings::exit_config;
}

} // namespace

Run declare_server(CLI::App& app) {
  return command_of<ServerSettings>(app, declare, run, "max_connections");
}

} // namespace tern::app
