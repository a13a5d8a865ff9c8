#include "app/bench/settings.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/worker.hpp"

namespace tern::app {

BenchSettings::BenchSettings() {
  load.sources = {*Prefix::parse("10.1.0.0/20")};
  node.idle = IdlePolicy::Busy;
}

void declare(settings::Schema& s, BenchSettings& b) {
  declare(s, b.load);
  declare(s, b.search);
  s.group("link", "What the pair in memory does to packets");
  s.add("impair", b.impair,
        "harm to the link, each way: loss=1%,delay=1ms,jitter=1ms,reorder=0.1%,duplicate=0.1%,corrupt=0.01%");
  declare(s, b.output);
  declare_port_options(s, b.node);
  declare_tcp_options(s, b.node);
}

void check(const settings::Schema& s, const BenchSettings& b) {
  if (!b.node.port.empty())
    s.fail("port",
           "tern bench runs client and server over a pair in memory and takes no port; see tern client and "
           "tern server");
  if (b.node.cores.size() > 2) s.fail("cores", "tern bench uses two cores: client and server; name two");
  for (const Prefix& p : b.load.sources)
    if (!p.base().is_v4())
      s.fail("sources", "tern bench speaks IPv4 over its pair so far; name IPv4 sources");
  if (b.search.on && b.load.requests != 1)
    s.fail("find_max", "searches the rate of connections with one request each");
  if (b.search.on && b.load.connections != 0)
    s.fail("find_max", "runs until it has found the rate; leave --connections out");
  check(s, b.load, b.node, 1);
  check(s, b.output);
  apply_limits(b.node, s);
}

io::Impairment impairment_of(const settings::Schema& schema, const BenchSettings& b) {
  io::Impairment harm;
  harm.seed = b.load.seed;
  std::string_view rest = b.impair;
  while (!rest.empty()) {
    const std::string_view one = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    const std::size_t eq = one.find('=');
    const std::string_view name = one.substr(0, eq);
    const std::string_view text = eq == std::string_view::npos ? "" : one.substr(eq + 1);
    const auto share = settings::Value<settings::Percent>::parse(text);
    const auto time = settings::Value<Duration>::parse(text);
    if (name == "loss" && share)
      harm.loss = share->share;
    else if (name == "duplicate" && share)
      harm.duplicate = share->share;
    else if (name == "corrupt" && share)
      harm.corrupt = share->share;
    else if (name == "reorder" && share)
      harm.reorder = share->share;
    else if (name == "delay" && time)
      harm.delay = *time;
    else if (name == "jitter" && time)
      harm.jitter = *time;
    else
      schema.fail("impair",
                  fmt::format("'{}' is not understood; write loss=1%, delay=1ms, jitter=1ms, reorder=0.1%, "
                              "duplicate=0.1% or corrupt=0.01%, separated by commas",
                              one));
  }
  return harm;
}

ShardSettings bench_shard(const settings::Schema& schema, const BenchSettings& b, bool server) {
  const LoadSettings& l = b.load;
  LoadSettings sized = l;
  if (b.search.on) // any rate may be tried: as for the highest
    sized.cps = settings::Rate{settings::Rate::unlimited}, sized.duration = Duration::seconds(120);
  ShardSettings s;
  s.connections =
      schema.given("max_connections") ? b.node.connections : connection_records(b.search.on ? sized : l);
  if (b.search.on) s.connections += 1'000'000;
  s.syn_records = std::min(l.concurrency / 4 + 4 * l.in_progress + 4096, 1U << 22);
  // The end that closes first keeps TIME-WAIT.
  const bool rests = (l.closer == Closer::server) == server && l.closer != Closer::reset;
  const bool stays = l.requests == 0; // ends by the client at the run's end, whoever was to close
  s.time_wait_records = 65536;
  if (rests || (stays && !server)) s.time_wait_records = time_wait_records(sized, b.node.tcp.time_wait);
  if (schema.given("time_wait_records")) s.time_wait_records = b.node.time_wait_records;
  s.long_connections =
      l.response_size > 1400 || l.request_size > 1400 ? std::min(s.connections, 65536U) : 4096;
  s.tcp = b.node.tcp;
  s.mss = b.node.mss;
  s.secret = random_key();
  s.flow_seed = random_key();
  s.cookie_epoch = cookie_epoch_now();
  return s;
}

} // namespace tern::app
