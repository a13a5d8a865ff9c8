// tern server: something to talk to.
#include <fmt/format.h>

#include <memory>
#include <string_view>
#include <vector>

#include "app/command.hpp"
#include "app/measure/ports.hpp"
#include "app/measure/reports.hpp"
#include "app/server/handlers.hpp"
#include "app/server/responder.hpp"
#include "app/server/serve.hpp"
#include "runtime/settings/cli.hpp"

namespace tern::app {
namespace {

enum class Mode : std::uint8_t { Echo, Discard, Chargen, Http, Respond };

struct ServerSettings {
  ServeSettings serve;
  PortsSettings ports;
  OutputSettings output;
  Mode mode = Mode::Http;
  std::uint32_t request_size = 64;
  std::uint32_t response_size = 64;
  std::uint32_t requests = 1;
  Http::Closes closes = Http::Closes::WhenAsked;
  DoorSettings doors;
};

void declare(settings::Schema& s, ServerSettings& v) {
  s.group("server", "What to answer");
  s.choice<Mode>("mode", v.mode, "what connections get; http: the same for each request, whatever its body",
                 {{"http", Mode::Http},
                  {"respond", Mode::Respond},
                  {"echo", Mode::Echo},
                  {"discard", Mode::Discard},
                  {"chargen", Mode::Chargen}});
  s.add("request_size", v.request_size, "respond: bytes of a request",
        settings::Range{1U, Responder::most_request});
  s.add("response_size", v.response_size, "bytes of a response (http: of its body)",
        settings::Range{0U, 1U << 30});
  s.add("requests_per_connection", v.requests, "respond, with --close server: so many, then FIN",
        settings::Range{1U, Responder::most_counted});
  s.choice<Http::Closes>("close", v.closes, "who ends a connection",
                         {{"client", Http::Closes::WhenAsked}, {"server", Http::Closes::AfterEach}});
  s.add("control", v.doors.control, "path of a control socket, for tern ss; empty: none");
  s.add("metrics", v.doors.metrics, metrics_help);
  declare_listen_options(s, v.serve);
  declare_ports_options(s, v.ports);
  declare_tcp_options(s, v.ports.common);
  declare(s, v.output);
}

bool only_respond(std::string_view name) {
  return name == "request_size" || name == "requests_per_connection";
}

std::vector<const char*> foreign_to(Mode mode) {
  switch (mode) {
    case Mode::Respond:
      return {};
    case Mode::Http:
      return {"request_size", "requests_per_connection"};
    default:
      return {"request_size", "response_size", "requests_per_connection", "close"};
  }
}

// What a mode makes nothing of is refused, not passed over.
void refuse_foreign(const settings::Schema& s, Mode mode) {
  for (const char* name : foreign_to(mode))
    if (s.given(name))
      s.fail(name, fmt::format("says how --mode {} answers; leave it out, or choose that mode",
                               only_respond(name) ? "respond" : "http or respond"));
}

int run(const settings::Schema& schema, const ServerSettings& v) {
  refuse_foreign(schema, v.mode);
  const std::vector<const char*> unused = foreign_to(v.mode);
  ServeSettings listens = v.serve;
  listens.node = v.ports.common;
  const auto serve = [&](const auto& handler) {
    return serve_watched(schema, listens, each_port(schema, v.ports), v.output, v.doors, unused, handler);
  };
  switch (v.mode) {
    case Mode::Echo:
      return serve(Echo{});
    case Mode::Discard:
      return serve(Discard{});
    case Mode::Chargen:
      return serve(Chargen{16'384});
    case Mode::Respond: {
      if (v.response_size == 0 || v.response_size > Responder::most_response)
        schema.fail("response_size", "--mode respond sends 1 to 67108864 bytes");
      const std::string text = response_text(v.response_size);
      const bool closes = v.closes == Http::Closes::AfterEach;
      return serve(Responder{v.request_size, text, closes ? v.requests : 0});
    }
    case Mode::Http:
      return serve(Http{v.response_size, v.closes});
  }
  return settings::exit_config;
}

} // namespace

Run declare_server(CLI::App& app) {
  return command_of<ServerSettings>(
      app, declare, run, [](const settings::Schema& s, const ServerSettings& v, const ArenaError& e) {
        fail_for_memory(s, v.ports.common, "max_connections", e);
      });
}

} // namespace tern::app
