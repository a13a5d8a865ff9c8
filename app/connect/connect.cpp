// tern connect: netcat on Tern. Standard input is sent, what arrives is standard output.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>

#include "app/command.hpp"
#include "app/connect/pipe.hpp"
#include "runtime/node.hpp"

namespace tern::app {
namespace {

struct ConnectSettings {
  ConnectSettings() { // for one connection
    node.connections = 64;
    node.time_wait_records = 64;
    node.packet_memory = settings::Size{64ULL << 20};
    node.tcp.receive_buffer = 1 << 20;
    node.tcp.send_buffer = 1 << 20;
  }
  NodeSettings node;
  std::string to;
  bool verbose = false;
};

void declare(settings::Schema& s, ConnectSettings& v) {
  s.group("connect", "Whom to talk to");
  s.add("to", v.to, "address and port: 10.0.0.1:80, [2001:db8::1]:80; may be written without --to");
  s.positional("to");
  s.add("verbose", v.verbose, "say on standard error what was moved, and the counters");
  declare_port_options(s, v.node);
  declare_tcp_options(s, v.node);
}

// Everything that the program says goes to standard error from here on: standard output is the peer's. The
// descriptor that was standard output.
int take_output() {
  std::fflush(stdout);
  const int out = dup(STDOUT_FILENO);
  if (out < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
    throw settings::ConfigError("standard output", "is closed; redirect it to a file or to /dev/null");
  return out;
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

int run(const settings::Schema& schema, const ConnectSettings& v) {
  const auto remote = Endpoint::parse(v.to);
  if (!remote)
    schema.fail("to", (v.to.empty() ? "nobody named" : "'" + v.to + "' is no address and port") +
                          "; write 10.0.0.1:80 or [2001:db8::1]:80");
  if (v.node.cores.size() > 1) schema.fail("cores", "one connection is one core's; name one");
  Talk talk;
  talk.remote = *remote;
  talk.out = take_output();
  std::signal(SIGPIPE, SIG_IGN); // a reader that goes away is an error of write()
  catch_stop_signals();
  Node<Pipe> node(schema, v.node, [&](io::CoreId) { return Pipe{talk}; });
  const TscClock clock;
  const Instant begun = clock.now();
  node.start();
  node.wait([&] { return talk.over.load(); });
  const bool told_to_stop = !talk.over;
  node.stop(Duration{});
  if (v.verbose) print_counters(node.reports());
  const unsigned leaked = node.close();
  if (!write_all(talk.out, talk.tail) && talk.well) talk.trouble = "the output does not take the rest";
  if (v.verbose || leaked != 0) {
    const double seconds = static_cast<double>((clock.now() - begun).as_ns()) / 1e9;
    fmt::print(stderr, "sent {} bytes, received {} bytes in {:.3f} s; packets not given back: {}\n",
               talk.sent, talk.received, seconds, leaked);
  }
  if (told_to_stop) return 130;
  if (!talk.trouble.empty()) fmt::print(stderr, "tern connect: {}: {}\n", v.to, talk.trouble);
  return talk.trouble.empty() && leaked == 0 ? 0 : 1;
}

} // namespace

Run declare_connect(CLI::App& app) {
  app.footer(
      "Exit code: 0 when both sides have closed, 1 when the connection failed, 2 for a mistake here, 130 "
      "when told to stop.\n"
      "The input's end closes our direction; what the peer still sends is written until it closes too.");
  return command_of<ConnectSettings>(
      app, declare, run, [](const settings::Schema& s, const ConnectSettings& v, const ArenaError& e) {
        fail_for_memory(s, v.node, "max_connections", e);
      });
}

} // namespace tern::app
