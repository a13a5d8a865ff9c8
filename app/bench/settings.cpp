#include "app/bench/settings.hpp"

#include <fmt/format.h>

#include <fstream>

namespace tern::app {

using settings::Range;

void declare(settings::Schema& s, BenchSettings& b) {
  s.group("load", "What to offer");
  s.add("cps", b.cps,
        "connections a second: open loop, evenly paced; max: closed loop, as fast as they are answered");
  s.add("in_progress", b.in_progress,
        "with --cps max: connections that are opening, asking or closing at once", Range{1U, 1U << 20});
  s.add("concurrency", b.concurrency, "and so many more stay open: the oldest asks as a new one opens",
        Range{0U, 20'000'000U});
  s.add("duration", b.duration, "how long to run", Range{Duration::ms(10), Duration::seconds(86'400)});
  s.add("connections", b.connections, "stop after so many connections (0: run for the duration)");
  s.add("request_size", b.request_size, "bytes of a request", Range{1U, 1U << 20});
  s.add("response_size", b.response_size, "bytes of a response", Range{1U, 64U << 20});
  s.add("sources", b.sources, "client addresses");
  s.add("source_ports", b.source_ports, "client ports");
  s.add("timeout", b.timeout, "a connection that makes no step for so long has failed",
        Range{Duration::ms(1), Duration::seconds(3600)});
  s.add("verify", b.verify, "compare every byte of every response");
  s.add("impair", b.impair,
        "harm to the link, each way: loss=1%,delay=1ms,jitter=1ms,reorder=0.1%,duplicate=0.1%,corrupt=0.01%");
  s.add("seed", b.seed, "of ports, and of the link's harm");
  s.group("output", "What to print and write");
  s.add("json", b.json, "write the report to this file");
  s.add("csv", b.csv, "write the intervals to this file");
  s.add("html", b.html, "write the report as a page with plots to this file");
  s.add("quiet", b.quiet, "no line a second");
  s.add("interval", b.interval, "how often to print and to take an interval",
        Range{Duration::ms(100), Duration::seconds(3600)});
  declare_port_options(s, b.node);
  declare_tcp_options(s, b.node);
}

void check(const settings::Schema& s, const BenchSettings& b) {
  if (!b.node.port.empty())
    s.fail("port",
           "tern bench runs client and server over a pair in memory and takes no port; see tern server");
  if (b.node.cores.size() > 2) s.fail("cores", "tern bench uses two cores: client and server; name two");
  std::uint64_t pairs = 0;
  for (const Prefix& p : b.sources) {
    const unsigned width = p.base().is_v4() ? 32 : 128;
    if (!p.base().is_v4())
      s.fail("sources", "tern bench speaks IPv4 over its pair so far; name IPv4 sources");
    pairs += 1ULL << std::min(width - p.length(), 32U);
  }
  pairs *= static_cast<std::uint64_t>(b.source_ports.last.raw() - b.source_ports.first.raw()) + 1;
  if (pairs < std::uint64_t{b.concurrency} + b.in_progress)
    s.fail(
        "sources",
        fmt::format(
            "{} addresses and ports are fewer than the {} connections that are open at once; name a larger "
            "prefix, such as 10.1.0.0/16",
            pairs, std::uint64_t{b.concurrency} + b.in_progress));
  if (!b.cps.is_max() && !b.node.tcp.timestamps) {
    const double resting = static_cast<double>(b.cps.per_second) * b.node.tcp.time_wait.as_seconds();
    if (static_cast<double>(pairs) < resting)
      s.fail("sources",
             fmt::format(
                 "{} addresses and ports are fewer than the {:.0f} that rest in TIME-WAIT at this rate, and "
                 "without timestamps they are not used again; name a larger prefix or a shorter --time-wait",
                 pairs, resting));
  }
  // Told before the run, not after it.
  for (const auto& [name, file] : {std::pair{"json", &b.json}, {"csv", &b.csv}, {"html", &b.html}})
    if (!file->empty() && !std::ofstream(*file, std::ios::app))
      s.fail(name, "cannot write '" + *file + "'; name a file in a directory that you may write to");
}

} // namespace tern::app
