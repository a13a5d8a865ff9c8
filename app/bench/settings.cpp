#include "app/bench/settings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <span>

#include "app/bench/ends.hpp"
#include "app/client/in_force.hpp"
#include "app/measure/ports.hpp"
#include "io/eal.hpp"
#include "runtime/key_file.hpp"
#include "runtime/node_port.hpp"
#include "runtime/worker.hpp"

namespace tern::app {

BenchSettings::BenchSettings() {
  node.idle = IdlePolicy::Busy;
}

void declare(settings::Schema& s, BenchSettings& b) {
  s.group("target", "Where the server listens, and whom the clients ask");
  s.add("target", b.targets,
        "addresses or blocks of them, with a port or a range (default: one, port 80; repeat for more)");
  declare(s, b.load);
  s.group("attack", "Bad clients beside the good ones, counted apart");
  s.add(
      "attack", b.attacks,
      "syn-flood, forged-ack, rst-spray: packets a second; mute, slow-reader: connections; several at once: "
      "syn-flood=1M,mute=10k");
  declare(s, b.search);
  s.group("link", "What the pair in memory does to packets");
  s.add("impair", b.impair,
        "harm to the link, each way: loss=1%,delay=1ms,jitter=1ms,reorder=0.1%,duplicate=0.1%,corrupt=0.01%");
  declare(s, b.output);
  declare_port_options(
      s, b.node,
      "CPUs: the first half the clients', the second the servers'; one: both on it; none: the first two "
      "that it may run on");
  derive_records(s);
  declare_tcp_options(s, b.node);
}

namespace {

constexpr std::array routed{"gateway", "route"};
constexpr std::array offloaded{"tso", "vlan_tag"};

// One set of options serves tern client and tern server too; what a pair in memory has no use for is refused,
// not passed over.
void refuse_foreign(const settings::Schema& s, const BenchSettings& b) {
  if (!b.node.port.empty())
    s.fail("port",
           "tern bench runs client and server over a pair in memory and takes no port; see tern client and "
           "tern server");
  for (const char* name : routed)
    if (s.given(name)) s.fail(name, "the pair's ends are neighbours: there is no router between them");
  for (const char* name : offloaded)
    if (s.given(name))
      s.fail(name, "the pair in memory is no NIC: we do that; see tern client and tern server");
  if (s.given("mac")) s.fail("mac", "each end of the pair has its own; see tern client and tern server");
}

void take_attacks(const settings::Schema& s, BenchSettings& b) {
  std::set<AttackKind> seen;
  for (const AttackSetting& a : b.attacks) {
    const std::string name{name_of(a.kind)};
    if (!seen.insert(a.kind).second) s.fail("attack", name + " twice; give it once, with the sum");
    constexpr std::uint64_t most = 100'000'000;
    if (a.amount > most) s.fail("attack", fmt::format("{}: more than {}", name, most));
    constexpr std::uint64_t most_held = 10'000'000;
    if (!is_flood(a.kind) && a.amount > most_held)
      s.fail("attack", fmt::format("{}: more than {} connections", name, most_held));
    const auto n = static_cast<std::uint32_t>(a.amount);
    if (a.kind == AttackKind::mute) b.load.bad[static_cast<std::size_t>(Vice::mute)] = n;
    if (a.kind == AttackKind::slow_reader) b.load.bad[static_cast<std::size_t>(Vice::slow)] = n;
  }
}

// The end that closes first has connections in TIME-WAIT; a few come to rest where none is meant to.
bool rests(const LoadSettings& l, bool server) {
  return server ? l.closer == Closer::server : client_keeps_time_wait(l);
}
constexpr std::uint32_t few_time_waits = 65536;

void take_records(const settings::Schema& s, BenchSettings& b, std::uint64_t targets) {
  const LoadSettings load = sized(b.search, b.load);
  if (!s.given("max_connections"))
    b.node.connections = connection_records(b.load) + spare_connections(b.search, b.load);
  if (!s.given("time_wait_records"))
    b.node.time_wait_records = rests(b.load, true) || rests(b.load, false)
                                   ? static_cast<std::uint32_t>(std::min<std::uint64_t>(
                                         time_wait_records(load, b.node), rest_of_pairs(b.load, targets)))
                                   : few_time_waits;
}

} // namespace

BenchSettings completed(const settings::Schema& s, const BenchSettings& given) {
  BenchSettings b = given;
  refuse_foreign(s, b);
  // The pair is memory: of a port that says it makes and verifies them, nobody would.
  if (b.node.checksums == io::Offload::automatic) b.node.checksums = io::Offload::never;
  if (b.load.sources.empty()) b.load.sources = default_sources(b);
  take_attacks(s, b);
  b.load.bounded = s.given("duration");
  if (cores_of(s, b).shared && !s.given("idle"))
    b.node.idle = IdlePolicy::Adaptive; // else they starve each other
  check_tcp(s, b.node.tcp);
  prepare(s, b.search, b.load);
  const std::size_t targets = ends_of(s, b).targets.size();
  check(s, b.load, b.node, targets);
  check(s, b.output);
  apply_limits(b.node, s);
  take_records(s, b, targets);
  return b;
}

BenchCores cores_of(const settings::Schema& s, const BenchSettings& b) {
  const auto& all = b.node.cores;
  BenchCores c;
  if (all.empty()) {
    const std::vector<unsigned> mine = io::allowed_cpus(); // a container may have any of the machine's
    return {{mine.front()}, {mine[mine.size() > 1 ? 1 : 0]}, mine.size() == 1};
  }
  if (all.size() == 1) return {all, all, true};
  constexpr std::size_t most = 64;
  if (all.size() % 2 != 0 || all.size() > most)
    s.fail("cores",
           fmt::format("{} of them; the first half are the clients', the second the servers': name one "
                       "CPU for both, or an even number up to {}",
                       all.size(), most));
  const auto half = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
  return {{all.begin(), half},
          {half, all.end()},
          std::set<unsigned>(all.begin(), all.end()).size() != all.size()};
}

BenchSettings in_full(const settings::Schema& s, const BenchSettings& completed) {
  BenchSettings b = completed;
  const BenchEnds ends = ends_of(s, b);
  b.targets = ends.listen;
  b.node.ip.clear();
  for (const net::InterfaceSettings* end : {&ends.client, &ends.server})
    for (const net::Address& a : end->addresses) b.node.ip.emplace_back(a.ip, a.prefix_length);
  const BenchCores cores = cores_of(s, b);
  if (b.node.cores.empty()) {
    b.node.cores = cores.clients;
    if (!cores.shared) b.node.cores.insert(b.node.cores.end(), cores.servers.begin(), cores.servers.end());
  }
  return b;
}

std::vector<const char*> unused_options(const BenchSettings& b) {
  std::vector<const char*> all = unused_options(b.load, b.search);
  all.insert(all.end(), {"port", "mac"});
  for (const auto& names : {std::span{routed}, std::span{offloaded}})
    all.insert(all.end(), names.begin(), names.end());
  return all;
}

io::Impairment impairment_of(const settings::Schema& schema, const BenchSettings& b) {
  io::Impairment harm;
  harm.seed = b.load.seed;
  std::string_view rest = b.impair;
  std::set<std::string_view> seen;
  while (!rest.empty()) {
    const std::string_view one = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    const std::size_t eq = one.find('=');
    const std::string_view name = one.substr(0, eq);
    if (!seen.insert(name).second) schema.fail("impair", fmt::format("{} twice; give it once", name));
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

ShardSettings bench_shard(const settings::Schema& schema, const BenchSettings& b, const net::Interface& self,
                          bool server, std::uint32_t cores) {
  const LoadSettings& l = b.load;
  // Steering is even over many connections, not over few: an eighth more for each core.
  const auto share = [&](std::uint32_t all) { return cores == 1 ? all : all / cores + all / cores / 8 + 64; };
  ShardSettings s;
  s.connections = share(b.node.connections);
  s.connections_ready = std::min(s.connections, share(connections_ready(l)));
  // Open loop: what comes while a core is taken away for 30 ms.
  const std::uint64_t at_once = l.cps.is_max() ? 0 : std::min<std::uint64_t>(l.cps.per_second / 32, 1U << 18);
  s.syn_records = share(
      std::min(l.concurrency / 4 + 4 * l.in_progress + 4096 + static_cast<std::uint32_t>(at_once), 1U << 22));
  const bool many = rests(l, server);
  s.time_wait_records = few_time_waits;
  if (many || schema.given("time_wait_records")) s.time_wait_records = share(b.node.time_wait_records);
  if (many) make_time_waits_ready(s, l, l.sources.front().base().is_v4());
  s.long_connections =
      l.response_size > 1400 || l.request_size > 1400 ? std::min(s.connections, 65536U) : 4096;
  s.tcp = b.node.tcp;
  s.mtu = b.node.mtu;
  s.mss = b.node.mss;
  s.syn_rate = b.node.syn_rate;
  s.reset_rate = b.node.reset_rate;
  s.shared_secret = !b.node.cookie_key_file.empty();
  s.secret = s.shared_secret ? read_key_file(b.node.cookie_key_file) : random_key();
  s.flow_seed = random_key();
  s.cookie_epoch = cookie_epoch_now();
  name_addresses(s, self);
  return s;
}

} // namespace tern::app
