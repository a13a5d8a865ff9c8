#include "app/client/crew.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <chrono>

#include "app/client/loop.hpp"
#include "app/client/watch.hpp"
#include "observe/machine.hpp"
#include "runtime/thread.hpp"

namespace tern::app {
namespace {

// Sources that are none of --ip are addresses of ours all the same.
NodeSettings with_sources(const ClientSettings& c) {
  NodeSettings n = c.node;
  for (const Prefix& source : c.load.sources)
    if (std::none_of(n.ip.begin(), n.ip.end(),
                     [&](const Prefix& ip) { return ip.base() == source.base(); }) ||
        addresses_in(source) > 1)
      n.sources.push_back(source);
  return n;
}

std::vector<Endpoint> all_targets(const ClientSettings& c) {
  std::vector<Endpoint> all;
  for (const TargetRange& t : c.targets) expand(t, all);
  return all;
}

std::int64_t monotonic_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

} // namespace

Crew::Crew(const settings::Schema& schema, const ClientSettings& c, const LoadTexts& texts)
    : schema_(schema),
      settings_(c),
      whole_(plan_of(c.load, texts, all_targets(c))),
      port_(schema, with_sources(c)),
      table_(port_.steering().toeplitz(), static_cast<std::uint32_t>(port_.steering().owners().size()),
             whole_.ports, whole_.seed),
      shard_(records()),
      turn_(port_.cores() + 1) {
  const bool four = whole_.targets.front().ip.is_v4();
  if (port_.cores() > 1 && !table_.spans(four))
    schema.fail("source_ports",
                "too few for several cores: each must find ports whose replies come back to it");
  control_.cps = c.load.cps.is_max() ? LoadControl::closed_loop : static_cast<double>(c.load.cps.per_second);
  if (c.search.on) control_.cps = LoadControl::paused;
  for (io::CoreId i = 0; i < port_.cores(); ++i) {
    members_.push_back(std::make_unique<Member>());
    Member& m = *members_.back();
    m.plan = share_of(whole_, i, port_.cores());
    m.station.cpu = i < c.node.cores.size() ? c.node.cores[i] : static_cast<unsigned>(sched_getcpu());
    m.station.load = &m.stats;
    stations_.push_back(&m.station);
  }
  for (io::CoreId i = 0; i < port_.cores(); ++i) threads_.emplace_back([this, i] { live(i); });
  turn_.arrive_and_wait(); // all made, or not
  if (failure_) {
    join();
    std::rethrow_exception(failure_);
  }
  for (auto& m : members_) handles_.push_back(m->handle);
  for (io::CoreId i = 0; i < port_.cores(); ++i) handles_[i]->set_peers(i, handles_);
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
  return port_.close();
}

ShardSettings Crew::records() const {
  const LoadSettings& l = settings_.load;
  const std::uint32_t cores = port_.cores();
  ShardSettings s = shard_settings(settings_.node, port_.self());
  if (!schema_.given("max_connections"))
    s.connections = connection_records(l) / cores + 4096 + (settings_.search.on ? 1'000'000 / cores : 0);
  s.syn_records = 1024; // nobody connects to us
  const bool rests = l.closer == Closer::client || l.requests == 0;
  if (!schema_.given("time_wait_records"))
    s.time_wait_records = rests ? time_wait_records(l, settings_.node.tcp.time_wait) / cores + 1024 : 65536;
  if (rests) make_time_waits_ready(s, l, whole_.targets.front().ip.is_v4());
  s.long_connections =
      l.response_size > 1400 || l.request_size > 1400 ? std::min(s.connections, 65536U) : 4096;
  return s;
}

// A core's thread, from the first to the last.
void Crew::live(io::CoreId core) {
  const NodeSettings& n = settings_.node;
  Member& m = *members_[core];
  const PacketThread thread(n.cores.empty() ? std::nullopt : std::optional{n.cores[core]});
  std::unique_ptr<Client<ThePort>> client;
  std::unique_ptr<Worker<ThePort, Client<ThePort>>> worker;
  try {
    if (!thread.pinned())
      schema_.fail("cores",
                   fmt::format("this process may not run on CPU {}; see taskset -p $$", n.cores[core]));
    client = std::make_unique<Client<ThePort>>(m.plan, m.stats, control_, table_, port_.steering().owners(),
                                               core, shard_.connections);
    typename Worker<ThePort, Client<ThePort>>::Settings s;
    s.shard = shard_;
    s.network = network_settings(port_.port());
    s.idle = IdlePolicy::Busy; // it rests by what it is to do next
    s.name = port_.cores() == 1 ? "client" : fmt::format("client {}", core);
    s.id = core;
    worker = std::make_unique<Worker<ThePort, Client<ThePort>>>(port_.shared(), core, port_.self(),
                                                                routes_of(n), port_.packets(), s, *client);
    client->attach(worker->core());
    m.station.gauges = &worker->gauges();
    m.station.shard = &worker->shard();
    m.station.net = m.net = &worker->network().counters();
    m.station.port = &port_.shared().counters(core);
    m.station.steered = &port_.shared().steered(core);
    if (core == 0) m.station.missed = [this] { return port_.port().missed(); };
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
  for (int i = 0; i < tenths && !port_.port().link_up(); ++i) {
    if (stop_signals() != 0) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  if (!port_.port().link_up())
    schema_.fail("port", "no link after 10 s; is the cable in, the other end up, the memif's peer running?");
}

void Crew::start_table() const {
  if (settings_.output.quiet) return;
  print_ready(port_);
  if (settings_.load.closer == Closer::client)
    fmt::print("{}\n", time_wait_line(settings_.load, settings_.node.tcp.time_wait,
                                      shard_.time_wait_records * port_.cores()));
  if (const std::string line = sources_line(settings_.load, settings_.node.tcp, whole_.targets.size());
      !line.empty())
    fmt::print("{}\n", line);
  std::fflush(stdout);
}

void Crew::run(observe::Result& result) {
  wait_for_link();
  start_table();
  const bool two = port_.cores() > 1;
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

std::string Crew::no_way() const {
  const std::string to = whole_.targets.front().to_string();
  std::uint64_t refused = 0;
  std::uint64_t unresolved = 0;
  std::uint64_t routeless = 0;
  std::uint64_t wrong_sum = 0;
  std::int64_t began = INT64_MAX;
  for (const auto& m : members_) {
    if (m->stats.load.get(Load::established) != 0) return {};
    refused += m->stats.load.get(Load::refused);
    unresolved += m->net->get(net::NetCounter::drop_unresolved);
    routeless += m->net->get(net::NetCounter::drop_no_route);
    wrong_sum += m->net->get(net::NetCounter::drop_tcp_checksum);
    began = std::min(began, m->station.began_ns.load(std::memory_order_relaxed));
  }
  if (refused != 0) return fmt::format("{} refused: nothing listens there, or a firewall says no", to);
  if (routeless != 0) return fmt::format("no way to {}: it is on no network of --ip; name a --gateway", to);
  // Three: one may be an accident of the wire.
  if (wrong_sum > 2)
    return fmt::format(
        "what comes back has wrong TCP checksums ({} segments): the other end leaves them to hardware "
        "that is not there; on its device: ethtool -K DEVICE tx off tso off gso off",
        wrong_sum);
  if (unresolved != 0)
    return fmt::format(
        "nobody answers ARP or neighbour discovery on the way to {}; check the address, the "
        "link, --gateway and --vlan",
        to);
  const Duration patience = std::min(settings_.load.timeout, Duration::seconds(10));
  if (began != 0 && monotonic_ns() - began > patience.as_ns() + 1'000'000'000)
    return fmt::format("{} does not answer; is it up, and does it know the way back to {}?", to,
                       settings_.load.sources.front().to_string());
  return {};
}

std::string Crew::fault() {
  if (unreachable_.empty()) unreachable_ = no_way();
  if (!unreachable_.empty()) {
    lost_.store(true, std::memory_order_relaxed);
    return "since the target cannot be reached";
  }
  // Seldom: some drivers ask the kernel.
  if (const std::int64_t now = monotonic_ns(); now - link_asked_ns_ > 1'000'000'000) {
    link_asked_ns_ = now;
    link_lost_ = port_.port().link_up() ? 0 : link_lost_ + 1;
  }
  if (link_lost_ < 2) return {};
  lost_.store(true, std::memory_order_relaxed);
  return "since the port lost its link";
}

} // namespace tern::app
