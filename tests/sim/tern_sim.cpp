// tern-sim: campaigns by seed. One seed replays one run exactly.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <optional>

#include "campaign.hpp"
#include "core_campaign.hpp"
#include "proxy_campaign.hpp"
#include "sim/trace.hpp"
#include "support/eal.hpp"

namespace {

using tern::campaign::Result;

struct Total {
  double seconds = 0;
  std::uint64_t frames = 0, bytes = 0, connections = 0, runs = 0, wrong = 0;
  std::map<std::string, std::uint64_t> ends, counters;
  void add(const Result& r) {
    seconds += r.seconds, frames += r.frames, bytes += r.bytes, connections += r.connections, ++runs;
    wrong += r.wrong ? 1 : 0;
    for (const auto& [k, n] : r.ends) ends[k] += n;
    for (const auto& [k, n] : r.counters) counters[k] += n;
  }
};

void print(const Total& t, bool counters) {
  fmt::print("{} runs, {} wrong; {:.0f} simulated seconds, {} connections, {} packets, {} bytes checked\n",
             t.runs, t.wrong, t.seconds, t.connections, t.frames, t.bytes);
  std::string ends;
  for (const auto& [k, n] : t.ends) ends += fmt::format("{}{} {}", ends.empty() ? "" : ", ", k, n);
  fmt::print("ends: {}\n", ends);
  if (!counters) return;
  for (const auto& [k, n] : t.counters) fmt::print("{:>12} {}\n", n, k);
}

} // namespace

int main(int argc, char** argv) {
  CLI::App app{"Campaigns of the TCP engine in a simulated network"};
  std::uint64_t seed = 1;
  std::string seeds;
  std::string pcap;
  bool trace = false;
  bool counters = false;
  bool cores = false;
  bool proxy = false;
  app.add_option("--seed", seed, "the one run to make");
  app.add_option("--seeds", seeds, "runs A..B, both included");
  app.add_flag("--trace", trace, "print every packet");
  app.add_flag("--cores", cores,
               "whole cores instead of bare engines: more hosts, up to thousands of connections");
  app.add_flag("--proxy", proxy, "a load balancer between clients and backends");
  app.add_flag("--counters", counters, "print the engines' counters");
  app.add_option("--pcap", pcap, "write what was sent to this file");
  CLI11_PARSE(app, argc, argv);
  std::uint64_t first = seed;
  std::uint64_t last = seed;
  if (!seeds.empty()) {
    const auto dots = seeds.find("..");
    if (dots == std::string::npos) return fmt::print(stderr, "--seeds wants A..B\n"), 2;
    first = std::stoull(seeds.substr(0, dots));
    last = std::stoull(seeds.substr(dots + 2));
  }
  tern::test::TestPool pool{cores || proxy ? 32767U : 16383U};
  std::unique_ptr<tern::sim::PcapWriter> writer;
  if (!pcap.empty()) writer = std::make_unique<tern::sim::PcapWriter>(pcap);
  Total total;
  for (std::uint64_t s = first; s <= last; ++s) {
    std::optional<tern::sim::TextTrace> text;
    tern::campaign::Watch watch;
    if (trace || writer)
      watch = [&](const tern::sim::Network& net, const tern::sim::Sighting& x) {
        if (trace) {
          if (!text) text.emplace(net);
          fmt::print("{}\n", text->line(x));
        }
        if (writer && x.what == tern::sim::Sighting::What::sent) writer->packet(x.at, x.frame);
      };
    const Result r = proxy   ? tern::campaign::run_proxy(s, pool.pool(), watch)
                     : cores ? tern::campaign::run_cores(s, pool.pool(), watch)
                             : tern::campaign::run(s, pool.pool(), watch);
    total.add(r);
    if (r.wrong)
      fmt::print("seed {}: {} ({})\n", s, *r.wrong, r.weather);
    else if (first == last)
      fmt::print("seed {}: {}, fingerprint {:016x}\n", s, r.weather, r.fingerprint);
  }
  print(total, counters);
  return total.wrong == 0 ? 0 : 1;
}
