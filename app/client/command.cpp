// tern client: a load for any TCP server, over any ports.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "app/client/crew.hpp"
#include "app/client/in_force.hpp"
#include "app/client/verdict.hpp"
#include "app/command.hpp"
#include "app/server/responder.hpp"
#include "base/file.hpp"
#include "observe/text.hpp"
#include "runtime/signals.hpp"

namespace tern::app {

namespace {

LoadTexts texts_of(const settings::Schema& s, const ClientSettings& c) {
  LoadTexts t;
  if (c.load.payload == PayloadKind::http) {
    const Ip host = c.targets.front().addresses.first();
    const std::string name = host.is_v4() ? host.to_string() : "[" + host.to_string() + "]";
    t.request = http_request(s, c.load, name, false);
    t.last_request = http_request(s, c.load, name, true);
    return t;
  }
  t.request.assign(c.load.request_size, 'q');
  t.response = response_text(c.load.response_size);
  return t;
}

int run(const settings::Schema& schema, const ClientSettings& given) {
  ClientSettings c = given;
  const std::vector<PortShare> ports = complete(schema, c);
  const LoadTexts texts = texts_of(schema, c);
  catch_stop_signals();
  Crew crew(schema, c, ports, texts);
  observe::Result result;
  settings::Schema in_force;
  declare(in_force, c);
  describe_run(result, in_force, "client", unused_options(c.load, c.search));
  crew.run(result);
  const unsigned leaked = crew.close();
  if (!crew.unreachable().empty()) schema.fail("target", crew.unreachable());
  if (leaked != 0)
    result.summary.notes.push_back(fmt::format("{} packets were not given back: a bug of tern's", leaked));
  say(summary_text(result));
  const bool whole = !result.summary.interrupted && came_to_nothing(result.summary, c.load).empty();
  return write_reports(c.output, result) && whole ? 0 : 1;
}

} // namespace

Run declare_client(CLI::App& app) {
  app.footer(exit_codes);
  return command_of<ClientSettings>(
      app, declare, run, [](const settings::Schema& s, const ClientSettings& c, const ArenaError& e) {
        fail_for_memory(s, c.ports.common, connections_option(s, c.load, c.search.on), e);
      });
}

} // namespace tern::app
