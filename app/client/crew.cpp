#include "app/client/crew.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "app/client/loop.hpp"
#include "app/client/watch.hpp"
#include "base/file.hpp"
#include "observe/machine.hpp"
#include "runtime/thread.hpp"

namespace tern::app {
namespace {

std::int64_t monotonic_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

} // namespace

Crew::Road::Road(const settings::Schema& schema, const ClientSettings& c, const PortShare& p,
                 const LoadTexts& texts, const io::Eal* started)
    : share(p),
      whole([&] {
        LoadSettings all = c.load;
        all.sources = p.load.sources;
        return plan_of(all, texts, p.targets);
      }()),
      port(schema, p.node, started),
      table(port.steering().toeplitz(), static_cast<std::uint32_t>(port.steering().owners().size()),
            whole.ports, whole.seed),
      shard(records(schema, c, p, port)) {
  if (port.cores() > 1 && !table.spans(whole.targets.front().ip.is_v4()))
    schema.fail("source_ports",
                "too few for several cores: each must find ports whose replies come back to it");
}

namespace {

unsigned cores_of(const std::vector<PortShare>& ports) {
  std::size_t n = 0;
  for (const PortShare& p : ports) n += std::max<std::size_t>(p.node.cores.size(), 1);
  return static_cast<unsigned>(n);
}

} // namespace

Crew::Crew(const settings::Schema& schema, const ClientSettings& c, const std::vector<PortShare>& ports,
           const LoadTexts& texts)
    : schema_(schema), settings_(c), shares_(ports), turn_(cores_of(ports) + 1) {
  open_ports(texts);
  control_.cps = c.load.cps.is_max() ? LoadControl::closed_loop : static_cast<double>(c.load.cps.per_second);
  if (c.search.on) control_.cps = LoadControl::paused;
  take_on(cores_of(ports));
  for (auto& m : members_) threads_.emplace_back([this, &m = *m] { live(m); });
  turn_.arrive_and_wait(); // all made, or not
  if (failure_) {
    join();
    std::rethrow_exception(failure_);
  }
  for (auto& m : members_) m->road.handles.push_back(m->handle);
  for (auto& m : members_) m->handle->set_peers(m->core, m->road.handles);
}

void Crew::open_ports(const LoadTexts& texts) {
  if (shares_.size() > 1) {
    std::vector<NodeSettings> nodes;
    for (const PortShare& p : shares_) nodes.push_back(p.node);
    eal_ = start_eal(schema_, nodes);
  }
  for (const PortShare& p : shares_)
    roads_.push_back(std::make_unique<Road>(schema_, settings_, p, texts, eal_.get()));
}

// Members are on the ports in turn, as CPUs are dealt out.
void Crew::take_on(unsigned cores) {
  for (unsigned i = 0; i < cores; ++i) {
    Road& road = *roads_[i % roads_.size()];
    const auto core = static_cast<io::CoreId>(i / roads_.size());
    Member& m = *members_.emplace_back(std::make_unique<Member>(road, core, share_of(road.whole, i, cores)));
    const auto& cpus = road.share.node.cores;
    m.station.cpu = core < cpus.size() ? cpus[core] : static_cast<unsigned>(sched_getcpu());
    m.station.load = &m.stats;
    stations_.push_back(&m.station);
  }
}

Crew::~Crew() { // only where an exception came between
  if (threads_.empty()) return;
  control_.stop.store(true);
  turn_.arrive_and_wait();
  turn_.arrive_and_wait();
  turn_.arrive_and_wait();
  join();
}

void Crew::join() {
  for (std::thread& t : threads_) t.join();
  threads_.clear();
}

unsigned Crew::close() {
  join();
  unsigned leaked = 0;
  for (auto& r : roads_) leaked += r->port.close();
  return leaked;
}

ShardSettings Crew::records(const settings::Schema& schema, const ClientSettings& c, const PortShare& p,
                            const NodePort& port) {
  const LoadSettings& l = p.load;
  const std::uint32_t cores = port.cores();
  const auto part = [&](std::uint64_t of_all) {
    return static_cast<std::uint32_t>(part_of_port(of_all, p.node, c.ports.port.size(), c.ports.common));
  };
  ShardSettings s = shard_settings(p.node, port.self());
  if (!schema.given("max_connections"))
    s.connections = connection_records(l) / cores + 4096 + part(spare_connections(c.search, c.load)) / cores;
  s.connections_ready = std::min(s.connections, connections_ready(l) / cores);
  s.syn_records = 1024; // nobody connects to us
  if (!schema.given("time_wait_records")) s.time_wait_records = time_wait_records_of(c, p) / cores + 1024;
  s.time_waits_ready4 = s.time_waits_ready6 = 0;
  if (client_keeps_time_wait(l)) make_time_waits_ready(s, l, p.targets.front().ip.is_v4());
  s.long_connections =
      l.response_size > 1400 || l.request_size > 1400 ? std::min(s.connections, 65536U) : 4096;
  return s;
}

// A core's thread, from the first to the last.
void Crew::live(Member& m) {
  Road& road = m.road;
  const NodeSettings& n = road.share.node;
  const PacketThread thread(n.cores.empty() ? std::nullopt : std::optional{n.cores[m.core]});
  std::unique_ptr<Client<ThePort>> client;
  std::unique_ptr<Worker<ThePort, Client<ThePort>>> worker;
  try {
    if (!thread.pinned())
      schema_.fail("cores",
                   fmt::format("this process may not run on CPU {}; see taskset -p $$", n.cores[m.core]));
    client = std::make_unique<Client<ThePort>>(m.plan, m.stats, control_, road.table,
                                               road.port.steering().owners(), m.core, road.shard.connections);
    typename Worker<ThePort, Client<ThePort>>::Settings s;
    s.shard = road.shard;
    s.network = network_settings(road.port.port());
    s.idle = IdlePolicy::Busy; // it rests by what it is to do next
    s.name = "client";
    if (n.number != 0) s.name += fmt::format(" port {}", n.number);
    if (road.port.cores() > 1) s.name += fmt::format(" {}", m.core);
    s.id = m.core;
    io::SharedPort<io::EthPort>& shared = road.port.shared();
    worker = std::make_unique<Worker<ThePort, Client<ThePort>>>(
        shared, m.core, road.port.self(), routes_of(n), road.port.packets(), s, *client);
    client->attach(worker->core());
    m.station.thread = ::gettid();
    m.station.gauges = &worker->gauges();
    m.station.shard = &worker->shard();
    m.station.net = m.net = &worker->network().counters();
    m.station.port = &shared.counters(m.core);
    m.station.steered = &shared.steered(m.core);
    if (m.core == 0) m.station.missed = [&road] { return road.port.port().missed(); };
    m.handle = &worker->core().handle();
  } catch (...) {
    const std::scoped_lock lock(failure_lock_);
    failure_ = std::current_exception();
  }
  turn_.arrive_and_wait(); // made
  {
    const std::scoped_lock lock(failure_lock_);
    if (failure_) return;
  }
  turn_.arrive_and_wait(); // started
  run_client(
      *worker, *client, m.stats, control_, m.station, n.idle, settings_.load.timeout,
      [](Instant) { return 0U; }, [&] { return lost_.load(std::memory_order_relaxed); });
  // No core ends before all have: another may live from what this one's queue receives.
  while (!all_done()) worker->turn();
  for (int last = 0; last < 64; ++last) worker->turn();
  turn_.arrive_and_wait(); // still
  turn_.arrive_and_wait(); // read
}

bool Crew::all_done() const {
  return std::all_of(stations_.begin(), stations_.end(),
                     [](const LoadStation* s) { return s->done.load(std::memory_order_acquire); });
}

void Crew::wait_for_link() const {
  constexpr int tenths = 100;
  int waited = 0;
  for (const auto& r : roads_) {
    for (; waited < tenths && !r->port.port().link_up(); ++waited) {
      if (stop_signals() != 0) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    if (!r->port.port().link_up())
      schema_.fail("port", which_port(r->share.node) +
                               "no link after 10 s; is the cable in, the other end up, "
                               "the memif's peer running?");
  }
}

void Crew::start_table() const {
  if (settings_.output.quiet) return;
  std::vector<const NodePort*> ports;
  std::uint32_t records = 0;
  std::uint64_t all_pairs = 0;
  for (const auto& r : roads_) {
    ports.push_back(&r->port);
    all_pairs += most_pairs(r->share.load, r->share.targets.size());
    records += r->shard.time_wait_records * r->port.cores();
  }
  print_ready(ports);
  const tcp::Settings& tcp = settings_.ports.common.tcp;
  if (settings_.load.closer == Closer::client)
    say(time_wait_line(sized(settings_.search, settings_.load), tcp.time_wait, all_pairs, records) + "\n");
  for (const auto& r : roads_)
    if (const std::string line = sources_line(r->share.load, tcp, r->share.targets.size()); !line.empty())
      say(fmt::format("{}{}\n", which_port(r->share.node), line));
}

void Crew::run(observe::Result& result) {
  wait_for_link();
  start_table();
  const bool two = members_.size() > 1;
  auto& apart = result.machine.core_to_core_cycles;
  const unsigned a = stations_.front()->cpu;
  const unsigned b = stations_.back()->cpu;
  if (two) apart.before = observe::core_round_trip_cycles(a, b);
  Watch watch("tern client", settings_.load, settings_.output, settings_.search, stations_, {}, control_,
              result);
  turn_.arrive_and_wait();
  watch.run([this] { return fault(); });
  turn_.arrive_and_wait();
  watch.conclude();
  turn_.arrive_and_wait();
  join();
  if (two) apart.after = observe::core_round_trip_cycles(a, b);
}

std::string Crew::no_way(const Road& road) const {
  std::string to = road.whole.targets.front().to_string();
  const std::size_t targets = road.whole.targets.size();
  if (targets > 1) to = fmt::format("any of {} targets ({}, …)", targets, to);
  std::uint64_t members = 0;
  std::uint64_t attempted = 0;
  std::uint64_t refused = 0;
  std::uint64_t unreachable = 0; // says ICMP
  std::uint64_t unresolved = 0;
  std::uint64_t pushed_out = 0; // by others that waited for the same neighbour
  std::uint64_t routeless = 0;
  std::uint64_t wrong_sum = 0;
  std::int64_t began = INT64_MAX;
  for (const auto& m : members_) {
    if (&m->road != &road) continue;
    if (m->stats.load.get(Load::established) != 0) return {};
    members += m->plan.rests ? 0 : 1;
    attempted += m->stats.load.get(Load::attempted);
    refused += m->stats.load.get(Load::refused);
    unreachable += m->stats.load.get(Load::unreachable);
    unresolved += m->net->get(net::NetCounter::drop_unresolved);
    pushed_out +=
        m->net->get(net::NetCounter::drop_resolve_queue) + m->net->get(net::NetCounter::drop_resolve_scarce);
    routeless += m->net->get(net::NetCounter::drop_no_route);
    wrong_sum += m->net->get(net::NetCounter::drop_tcp_checksum);
    began = std::min(began, m->station.began_ns.load(std::memory_order_relaxed));
  }
  if (members == 0) return {};
  // Of several targets each is to be tried by each member, or to be part of what was tried: one a second, at the least.
  const std::uint64_t all = targets * members;
  const Duration patience =
      std::min(settings_.load.timeout, Duration::seconds(10)) +
      Duration::seconds(targets == 1 ? 0 : static_cast<std::int64_t>(std::min<std::uint64_t>(all, 60)));
  const bool too_long = began != 0 && monotonic_ns() - began > patience.as_ns() + 1'000'000'000;
  const std::uint64_t turned_away = refused + unreachable;
  if (turned_away >= all || (turned_away != 0 && too_long)) {
    if (unreachable == 0) return fmt::format("{} refused: nothing listens there, or a firewall says no", to);
    return fmt::format(
        "{} unreachable: a router on the way, or the host, says so by ICMP{}; check the address, --gateway "
        "and the routes behind it",
        to, refused == 0 ? "" : " (of some; others refused)");
  }
  if (routeless != 0) return fmt::format("no way to {}: it is on no network of --ip; name a --gateway", to);
  // Three: one may be an accident of the wire.
  if (wrong_sum > 2)
    return fmt::format(
        "what comes back has wrong TCP checksums ({} segments): the other end leaves them to hardware "
        "that is not there; on its device: ethtool -K DEVICE tx off tso off gso off",
        wrong_sum);
  // Who is impatient ends before a neighbour is given up: those that were pushed out tell of it.
  const bool unheard =
      unresolved != 0 && (targets == 1 || (attempted >= all && unresolved + pushed_out >= attempted));
  if (unheard || (too_long && unresolved + pushed_out != 0))
    return fmt::format(
        "nobody answers ARP or neighbour discovery on the way to {}; check the address, the "
        "link, --gateway and --vlan",
        to);
  if (too_long)
    return fmt::format("{} does not answer; is it up, and does it know the way back to {}?", to,
                       road.share.load.sources.front().to_string());
  return {};
}

// Asked again a second later: a moment's loss is no end.
bool Crew::link_is_lost(Road& road) const {
  road.link_lost = road.port.port().link_up() ? 0 : road.link_lost + 1;
  return road.link_lost >= 2;
}

std::string Crew::fault() {
  for (const auto& r : roads_)
    if (unreachable_.empty())
      if (const std::string why = no_way(*r); !why.empty()) unreachable_ = which_port(r->share.node) + why;
  if (!unreachable_.empty()) {
    lost_.store(true, std::memory_order_relaxed);
    return "since the target cannot be reached";
  }
  // Seldom: some drivers ask the kernel.
  const std::int64_t now = monotonic_ns();
  if (now - link_asked_ns_ <= 1'000'000'000) return {};
  link_asked_ns_ = now;
  for (const auto& r : roads_) {
    if (!link_is_lost(*r)) continue;
    lost_.store(true, std::memory_order_relaxed);
    const unsigned number = r->share.node.number;
    return fmt::format("since {} lost its link", number == 0 ? "the port" : fmt::format("port {}", number));
  }
  return {};
}

} // namespace tern::app
