// tern ss: who is connected to a running program.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "app/command.hpp"
#include "app/socket/socket.hpp"
#include "app/ss/sockets.hpp"
#include "runtime/settings/error.hpp"

namespace tern::app {
namespace {

constexpr const char* lesson =
    R"(It reads the flow table of each core while the cores go on: none is stopped, locked or asked. Only --info
and --listening ask them, 32 rows at a time, between two turns of their loops.

The columns:
  state      ESTABLISHED, TIME-WAIT, …; SYN-RECEIVED: a handshake whose last segment has not come
  local      our end                    peer   the other end
  core       whose connection it is
with --info:
  recv_q     bytes received that the program still holds: they keep the window down
  send_q     bytes to send, and sent but not acknowledged
  rtt_us     smoothed round trip time (RFC 6298), in microseconds
  cwnd, mss  congestion window and largest segment, in bytes
  quiet_ms   since the peer was last heard, to 67 ms (a connection keeps no time of birth)
  left_ms    until TIME-WAIT ends, or the SYN-ACK is sent again
A dash: there is none. Under SYN cookies a handshake leaves no record, and so no row.

Examples:
  tern server --control /run/tern.sock …        somebody to ask; for tern lb: control = "/run/tern.sock"
  tern ss --socket /run/tern.sock
  tern ss --state time-wait,fin-wait-2 --peer 10.0.0.0/8 --limit 1000
  tern ss --info --local :443                   also [fd00::1]:443, 10.0.0.2:443, 10.0.0.2
  tern ss --summary                             how many in each state, a core
  tern ss --listening                           who listens, how many are open and opening
  tern ss --json | jq '.rows[].peer')";

struct SsOptions {
  std::string socket = "/run/tern.sock";
  std::vector<std::string> states;
  std::string local;
  std::string peer;
  std::uint32_t limit = 100;
  bool info = false;
  bool listening = false;
  bool summary = false;
  bool json = false;
};

int run(const SsOptions& o) {
  std::string asked;
  const auto word = [&](const std::string& w) {
    if (w.find_first_of(" \t\r\n") != std::string::npos)
      throw settings::ConfigError("tern ss", "'" + w + "' has a space in it; see tern ss --help");
    asked += " " + w;
  };
  for (const std::string& s : o.states) word("state=" + s);
  if (!o.local.empty()) word("local=" + o.local);
  if (!o.peer.empty()) word("peer=" + o.peer);
  word(fmt::format("limit={}", o.limit));
  if (o.info) word("info");
  if (o.listening) word("listening");
  if (o.summary) word("summary");
  {
    // A mistake is told before anybody is asked.
    std::string wrong;
    (void)SocketQuery::parse(words_of(asked), wrong);
    if (!wrong.empty()) throw settings::ConfigError("tern ss", wrong);
  }
  return print_answer(ask(o.socket, (o.json ? "json show sockets" : "show sockets") + asked), o.json);
}

} // namespace

Run declare_ss(CLI::App& app) {
  const auto options = std::make_shared<SsOptions>();
  app.add_option("--socket", options->socket, "the path that the program was given as control")
      ->capture_default_str();
  app.add_option("--state", options->states,
                 "only these, with commas: syn-sent, syn-received, established, fin-wait-1, fin-wait-2, "
                 "close-wait, closing, last-ack, time-wait");
  app.add_option("--local", options->local,
                 "only with this end of ours: an address, a prefix, :PORT, or both");
  app.add_option("--peer", options->peer, "only with this other end");
  app.add_option("--limit", options->limit, "so many rows; how many more there are is said")
      ->capture_default_str();
  app.add_flag("-i,--info", options->info, "queues, round trip time, windows and timers too: asks the cores");
  auto* const listening = app.add_flag("-l,--listening", options->listening, "who listens, instead");
  app.add_flag("-s,--summary", options->summary, "only how many there are in each state, a core")
      ->excludes(listening);
  app.add_flag("--json", options->json, "the answer as JSON");
  app.footer(lesson);
  return [options] { return run(*options); };
}

} // namespace tern::app
