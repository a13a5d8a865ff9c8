// Clients and servers, a core each and as many on either side, over the two ends of a pair in memory.
#pragma once

#include <fmt/format.h>
#include <unistd.h>

#include <barrier>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "app/bench/ends.hpp"
#include "app/bench/flood.hpp"
#include "app/client/client.hpp"
#include "app/client/load_station.hpp"
#include "app/client/loop.hpp"
#include "app/client/watch.hpp"
#include "app/measure/station.hpp"
#include "app/server/handlers.hpp"
#include "app/server/responder.hpp"
#include "base/file.hpp"
#include "io/memory_pair.hpp"
#include "io/shared_port.hpp"
#include "observe/machine.hpp"
#include "runtime/thread.hpp"
#include "runtime/worker.hpp"

namespace tern::app {

// The server of either payload: one branch a call, instead of a second copy of the core.
class Answerer {
 public:
  Answerer(const LoadSettings& l, std::string_view response)
      : http_(l.payload == PayloadKind::http ? l.response_size : 1, Http::Closes::WhenAsked),
        plain_(l.request_size, response, l.closer == Closer::server ? l.requests : 0),
        is_http_(l.payload == PayloadKind::http) {}
  void on_data(Connection c, Payload& p) {
    if (is_http_) [[unlikely]]
      return http_.on_data(c, p);
    plain_.on_data(c, p);
  }
  void on_writable(Connection c) {
    if (is_http_) return http_.on_writable(c);
    plain_.on_writable(c);
  }
  [[nodiscard]] const Answered& answered() const { return is_http_ ? http_.answered() : plain_.answered(); }

 private:
  Http http_;
  Responder plain_;
  bool is_http_;
};

// The texts of both ends; they outlive the run.
[[nodiscard]] LoadTexts bench_texts(const settings::Schema&, const LoadSettings&);

template <class Port>
class Pair {
 public:
  struct End {
    Port& port;
    io::MemoryPort& raw; // behind what impairs it
  };

  Pair(const settings::Schema& schema, const BenchSettings& b, End client, End server, rte_mempool* pool,
       observe::Result& result)
      : schema_(schema),
        b_(b),
        pool_(pool),
        result_(result),
        ends_(ends_of(schema, b)),
        cpus_(cores_of(schema, b)),
        cores_(static_cast<io::CoreId>(cpus_.clients.size())),
        texts_(bench_texts(schema, b.load)),
        whole_(plan_of(b.load, texts_, ends_.targets)),
        steering_(cores_ == 1 ? io::Steering{} : io::Steering::by_port(client.raw.rss(), cores_)),
        table_(steering_.toeplitz(), static_cast<std::uint32_t>(steering_.owners().size()), whole_.ports,
               whole_.seed),
        clients_(make_side(client, ends_.client, false)),
        servers_(make_side(server, ends_.server, true)),
        made_(2 * cores_ + 1),
        turn_(2 * cores_ + 1) {
    if (cores_ > 1 && !table_.spans(whole_.targets.front().ip.is_v4()))
      schema.fail("source_ports",
                  "too few for several cores: each must find ports whose replies come back to it");
    control_.cps =
        b.load.cps.is_max() ? LoadControl::closed_loop : static_cast<double>(b.load.cps.per_second);
    if (b.search.on) control_.cps = LoadControl::paused;
    for (io::CoreId i = 0; i < cores_; ++i) {
      Asker& c = *askers_.emplace_back(std::make_unique<Asker>());
      c.plan = share_of(whole_, i, cores_);
      c.station.cpu = cpus_.clients[i];
      c.station.load = &c.stats;
      asking_.push_back(&c.station);
      Station& s = *answerers_.emplace_back(std::make_unique<Station>());
      s.cpu = cpus_.servers[i];
      s.tallied = false; // its connections are the clients'
      answering_.push_back(&s);
    }
  }

  void go() {
    auto& apart = result_.machine.core_to_core_cycles;
    apart.before = observe::core_round_trip_cycles(cpus_.clients[0], cpus_.servers[0]);
    Watch watch("tern bench", b_.load, b_.output, b_.search, asking_, answering_, control_, result_);
    std::vector<std::thread> threads;
    for (io::CoreId i = 0; i < cores_; ++i) {
      threads.emplace_back([this, i] { guarded([this, i] { serve(i); }); });
      threads.emplace_back([this, i] { guarded([this, i] { ask(i); }); });
    }
    made_.arrive_and_wait();
    if (!failed_) {
      introduce(clients_);
      introduce(servers_);
      start_table();
      turn_.arrive_and_wait(); // begin
      watch.run([] { return std::string{}; });
      turn_.arrive_and_wait(); // all stand still
      watch.conclude();
      conclude();
      turn_.arrive_and_wait(); // all was read
    }
    for (std::thread& t : threads) t.join();
    if (failed_) std::rethrow_exception(failed_);
    apart.after = observe::core_round_trip_cycles(cpus_.clients[0], cpus_.servers[0]);
  }

 private:
  using ThePort = io::SharedPort<Port>; // its queues are the cores'
  using TheClient = Client<ThePort>;
  struct Asker {
    LoadPlan plan;
    LoadStats stats;
    LoadStation station;
  };
  struct Side {
    End end;
    std::unique_ptr<ThePort> port;
    net::Interface self;
    ShardSettings records;
    std::vector<CoreHandle*> handles; // of its cores
  };

  Side make_side(End end, net::InterfaceSettings who, bool server) const {
    who.mac = end.raw.mac();
    const net::Interface self(std::move(who));
    return {end, std::make_unique<ThePort>(end.port, steering_), self,
            bench_shard(schema_, b_, self, server, cores_), std::vector<CoreHandle*>(cores_)};
  }
  // What goes wrong while the records are reserved ends the run before it begins, and is told by the main
  // thread. Nothing throws once the run is under way.
  template <class Body>
  void guarded(Body&& body) {
    try {
      body();
    } catch (...) {
      {
        const std::scoped_lock lock(failure_);
        if (!failed_) failed_ = std::current_exception();
      }
      made_.arrive_and_drop();
    }
  }
  // All threads have their records, or one of them has failed and none runs.
  [[nodiscard]] bool ready() {
    made_.arrive_and_wait();
    if (failed_) return false;
    turn_.arrive_and_wait();
    return true;
  }
  // One end's cores tell each other whom they learned of.
  void introduce(Side& side) {
    for (io::CoreId i = 0; i < cores_; ++i) side.handles[i]->set_peers(i, side.handles);
  }
  void start_table() const {
    if (b_.output.quiet) return;
    for (const ArenaReservation& r : process_arena().reservations())
      if (r.bytes >= 1U << 20) say(r.to_string() + "\n");
    const ShardSettings& resting = clients_.records.time_wait_records > servers_.records.time_wait_records
                                       ? clients_.records
                                       : servers_.records;
    if (b_.load.closer != Closer::reset)
      say(time_wait_line(sized(b_.search, b_.load), resting.tcp.time_wait,
                         most_pairs(b_.load, whole_.targets.size()), resting.time_wait_records * cores_) +
          "\n");
    if (const std::string line = sources_line(b_.load, b_.node.tcp, whole_.targets.size()); !line.empty())
      say(line + "\n");
  }

  template <class Handler>
  typename Worker<ThePort, Handler>::Settings worker_settings(const Side& side, io::CoreId core) const {
    const bool server = &side == &servers_;
    typename Worker<ThePort, Handler>::Settings s;
    s.shard = side.records;
    s.network.key = random_key();
    const bool hardware = b_.node.checksums != io::Offload::never;
    s.network.offloads = {.ip_checksum = hardware, .tcp_checksum = hardware};
    s.idle = server ? b_.node.idle : IdlePolicy::Busy; // the client rests by what it is to do next
    s.name = server ? "server" : "client";
    if (cores_ > 1) s.name += fmt::format(" {}", core);
    s.id = core;
    return s;
  }
  static constexpr bool impaired = requires(Port & p) { p.advance(Instant{}, 0); };
  static void move_time(const Side& side, io::CoreId core, Instant now) {
    if constexpr (impaired) side.end.port.advance(now, core);
  }
  template <class W>
  static void show(Side& side, io::CoreId core, Station& station, W& worker) {
    station.gauges = &worker.gauges();
    station.shard = &worker.shard();
    station.net = &worker.network().counters();
    station.port = &side.end.raw.counters(core);
    if (side.handles.size() > 1) station.steered = &side.port->steered(core);
    if constexpr (impaired) station.link = &side.end.port.impairments(core);
    side.handles[core] = &worker.core().handle();
  }
  void pin_failed(unsigned cpu) const {
    schema_.fail("cores", fmt::format("this process may not run on CPU {}; see taskset -p $$", cpu));
  }
  [[nodiscard]] bool all_done() const {
    for (const auto& c : askers_)
      if (!c->station.done.load(std::memory_order_acquire)) return false;
    return true;
  }

  void serve(io::CoreId core) {
    Station& station = *answerers_[core];
    const PacketThread thread(station.cpu);
    if (!thread.pinned()) pin_failed(station.cpu);
    Answerer answerer(b_.load, texts_.response);
    Worker<ThePort, Answerer> worker(*servers_.port, core, servers_.self, net::Routes{ends_.server_routes},
                                     PacketPool{pool_}, worker_settings<Answerer>(servers_, core), answerer);
    // Without an attack and without a word of the user's nothing but the records limits handshakes.
    const bool bounded = !b_.attacks.empty() || schema_.given("backlog");
    for (const TargetRange& t : ends_.listen)
      TERN_CHECK(worker.shard().listeners.add({.ip = Ip{},
                                               .first = t.ports.first,
                                               .last = t.ports.last,
                                               .cookies = b_.node.cookies,
                                               .backlog = bounded ? b_.node.backlog : 0xffff'ffff}));
    show(servers_, core, station, worker);
    station.answered = &answerer.answered().count();
    if (!ready()) return;
    while (!all_done()) move_time(servers_, core, worker.turn());
    worker.show();
    turn_.arrive_and_wait();
    turn_.arrive_and_wait();
  }

  [[nodiscard]] FloodPlan flood_of(io::CoreId core) const {
    FloodPlan f;
    f.link.src = clients_.self.mac();
    f.link.dst = servers_.self.mac();
    for (const wire::VlanTag& t : clients_.self.tags()) f.link.tags[f.link.tag_count++] = t;
    f.targets = whole_.targets;
    f.spoofed = ends_.nobody;
    f.seed = whole_.seed + core;
    f.rates = flood_rates(b_.attacks, askers_[core]->plan);
    return f;
  }
  void ask(io::CoreId core) {
    Asker& m = *askers_[core];
    const PacketThread thread(m.station.cpu);
    if (!thread.pinned()) pin_failed(m.station.cpu);
    TheClient handler(m.plan, m.stats, control_, table_, steering_.owners(), core,
                      clients_.records.connections);
    Worker<ThePort, TheClient> worker(*clients_.port, core, clients_.self, net::Routes{ends_.client_routes},
                                      PacketPool{pool_}, worker_settings<TheClient>(clients_, core), handler);
    handler.attach(worker.core());
    // A link with delay always has packets on their way.
    Flood<ThePort> flood(flood_of(core), *clients_.port, core, impaired ? 2048 : 64, PacketPool{pool_},
                         m.stats.bad);
    const bool flooding = flood_of(core).any();
    m.station.thread = ::gettid();
    show(clients_, core, m.station, worker);
    if (!ready()) return;
    run_client(
        worker, handler, m.stats, control_, m.station, b_.node.idle, b_.load.timeout,
        [&](Instant now) {
          move_time(clients_, core, now);
          return flooding && !handler.stopping() ? flood.turn(now, worker.shard()) : 0;
        },
        [] { return false; });
    // No core ends before all have: another may live from what this one's queue receives.
    while (!all_done()) move_time(clients_, core, worker.turn());
    turn_.arrive_and_wait();
    turn_.arrive_and_wait();
  }

  // What only both ends together know.
  void conclude() {
    observe::Summary& s = result_.summary;
    s.cookie_share = cookie_share(answering_);
    for (const Station* server : answering_)
      if (!b_.attacks.empty()) add_defence(s.defence, *server->shard);
    for (const AttackSetting& a : b_.attacks) {
      s.attacks.push_back({.kind = std::string{name_of(a.kind)}, .asked = a.amount});
      for (const auto& c : askers_) add_attack(s.attacks.back(), a.kind, c->stats);
    }
  }

  const settings::Schema& schema_;
  const BenchSettings& b_;
  rte_mempool* pool_;
  observe::Result& result_;
  const BenchEnds ends_;
  const BenchCores cpus_;
  const io::CoreId cores_; // of each end
  const LoadTexts texts_;
  const LoadPlan whole_;
  const io::Steering steering_;
  const PortTable table_;
  Side clients_;
  Side servers_;
  std::vector<std::unique_ptr<Asker>> askers_; // a core each
  std::vector<std::unique_ptr<Station>> answerers_;
  std::vector<const LoadStation*> asking_;
  std::vector<const Station*> answering_;
  LoadControl control_;
  std::barrier<> made_;
  std::barrier<> turn_;
  std::mutex failure_;
  std::exception_ptr failed_;
};

} // namespace tern::app
