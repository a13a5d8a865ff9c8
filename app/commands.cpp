#include "app/command.hpp"

namespace tern::app {

std::span<const Command> commands() {
  static constexpr Command table[] = {
      {"bench", "connections per second: client and server in one process, over a pair in memory",
       declare_bench},
      {"client", "connections per second against any TCP server, over any port", declare_client},
      {"server", "something to talk to: HTTP, echo, discard or chargen on a port", declare_server},
      {"connect", "netcat on Tern: standard input and output over one connection", declare_connect},
      {"lb", "a load balancer: ends clients' TCP, carries their bytes to backends", declare_lb},
      {"ctl", "asks a running tern lb, and tells it what to do", declare_ctl},
      {"ss", "who is connected to a running tern server or tern lb, in which state", declare_ss},
      {"report", "shows what --json wrote: one run, or several side by side", declare_report},
      {"doctor", "what this machine can do, and the command that mends what it lacks", declare_doctor},
      {"explain", "how TCP opens, closes and mends itself: stories played by the engine", declare_explain},
  };
  return table;
}

} // namespace tern::app
