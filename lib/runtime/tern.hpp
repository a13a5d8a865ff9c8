// The library's face: a handler, and a main of one line.
//
//   struct Echo {
//     void on_data(tern::Connection c, tern::Payload& p) { c.send(p); }  // what isn't taken stays in p, and comes again
//     void on_peer_closed(tern::Connection c)            { c.close(); }
//   };
//   int main(int argc, char** argv) { return tern::run<Echo>(argc, argv); }
//
// handler.hpp lists what a handler may have. The program then takes `--port net_tap0,iface=tern0 --ip 10.0.0.2/24
// --listen 7`, the same from a TOML file with --config, and --help.
#pragma once

#include "runtime/handler.hpp"
#include "runtime/node.hpp"
#include "runtime/settings/cli.hpp"
#include "runtime/settings/error.hpp"

namespace tern {

// Serves with one `Handler` until a signal; the exit code of the process.
template <class Handler>
[[nodiscard]] int run(int argc, const char* const* argv, Handler handler = {}) {
  return settings::run_guarded([&] {
    ServeSettings v;
    settings::Schema schema;
    schema.group("server", "What to serve");
    declare_serve_options(schema, v);
    if (const auto done = settings::parse(schema, "a server on Tern", argc, argv)) return *done;
    try {
      return serve(schema, v, std::move(handler));
    } catch (const ArenaError& e) {
      throw settings::ConfigError(e.why == ArenaError::Why::addresses ? "memory" : "--max-connections",
                                  e.what());
    }
  });
}

} // namespace tern
