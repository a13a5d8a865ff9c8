// Client and server on a core each, over the two ends of a pair in memory.
#pragma once

#include <fmt/format.h>

#include <barrier>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>

#include "app/bench/settings.hpp"
#include "app/client/client.hpp"
#include "app/client/loop.hpp"
#include "app/client/station.hpp"
#include "app/client/watch.hpp"
#include "app/server/handlers.hpp"
#include "app/server/responder.hpp"
#include "io/memory_pair.hpp"
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

 private:
  Http http_;
  Responder plain_;
  bool is_http_;
};

template <class Port>
class Pair {
 public:
  struct Ends {
    Port& client;
    Port& server;
    io::MemoryPort& raw_client; // behind what impairs it
    io::MemoryPort& raw_server;
  };
  static constexpr Ip4 client_ip{10, 0, 0, 1};
  static constexpr Ip4 server_ip{10, 0, 0, 2};

  Pair(const settings::Schema& schema, const BenchSettings& b, Ends ends, rte_mempool* pool,
       observe::Result& result)
      : schema_(schema), b_(b), ends_(ends), pool_(pool), result_(result) {
    if (b.load.payload == PayloadKind::http) {
      texts_.request = http_request(schema, b.load, "bench", false);
      texts_.last_request = http_request(schema, b.load, "bench", true);
      texts_.response = http_body(b.load.response_size);
    } else {
      texts_.request.assign(b.load.request_size, 'q');
      texts_.response = response_text(b.load.response_size);
    }
    plan_ = plan_of(b.load, texts_, {{Ip{server_ip}, tern::Port{80}}});
    control_.cps =
        b.load.cps.is_max() ? LoadControl::closed_loop : static_cast<double>(b.load.cps.per_second);
    if (b.search.on) control_.cps = LoadControl::paused;
    server_.cpu = std::thread::hardware_concurrency() > 1 ? 1 : 0;
    if (!b.node.cores.empty()) client_.cpu = server_.cpu = b.node.cores.front();
    if (b.node.cores.size() > 1) server_.cpu = b.node.cores[1];
    client_.load = &stats_;
    server_.role = "server";
  }

  void go() {
    result_.machine.core_to_core_cycles.before = observe::core_round_trip_cycles(client_.cpu, server_.cpu);
    const Station* const all[] = {&client_, &server_};
    Watch watch("tern bench", b_.load, b_.output, b_.search, all, control_, result_);
    std::thread server([this] { guarded([this] { serve(); }); });
    std::thread client([this] { guarded([this] { ask(); }); });
    made_.arrive_and_wait();
    if (!failed_) {
      start_table();
      started_.arrive_and_wait();
      watch.run([] { return std::string{}; });
      still_.arrive_and_wait();
      watch.conclude();
      over_.arrive_and_wait();
    }
    client.join();
    server.join();
    if (failed_) std::rethrow_exception(failed_);
    result_.machine.core_to_core_cycles.after = observe::core_round_trip_cycles(client_.cpu, server_.cpu);
  }

 private:
  using TheClient = Client<Port>;

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
  // Both threads have their records, or one of them has failed and neither runs.
  [[nodiscard]] bool ready() {
    made_.arrive_and_wait();
    if (failed_) return false;
    started_.arrive_and_wait();
    return true;
  }
  void start_table() const {
    if (b_.output.quiet) return;
    for (const ArenaReservation& r : process_arena().reservations())
      if (r.bytes >= 1U << 20) fmt::print("{}\n", r.to_string());
    const ShardSettings& resting =
        client_.shard->settings.time_wait_records > server_.shard->settings.time_wait_records
            ? client_.shard->settings
            : server_.shard->settings;
    if (b_.load.closer != Closer::reset)
      fmt::print("{}\n", time_wait_line(b_.load, resting.tcp.time_wait, resting.time_wait_records));
    std::fflush(stdout);
  }

  template <class Handler>
  typename Worker<Port, Handler>::Settings worker_settings(bool server) const {
    typename Worker<Port, Handler>::Settings s;
    s.shard = bench_shard(schema_, b_, server);
    s.network.key = random_key();
    const bool hardware = b_.node.checksums != io::Offload::never;
    s.network.offloads = {.ip_checksum = hardware, .tcp_checksum = hardware};
    s.idle = server ? b_.node.idle : IdlePolicy::Busy; // the client rests by what it is to do next
    s.name = server ? "server" : "client";
    return s;
  }
  static void move_time(Port& port, Instant now) {
    if constexpr (requires { port.advance(now); }) port.advance(now);
  }
  template <class W>
  static void show(Station& s, W& worker, const io::MemoryPort& raw) {
    s.shard = &worker.shard();
    s.net = &worker.network().counters();
    s.port = &raw.counters(0);
  }

  void serve() {
    const PacketThread thread(server_.cpu);
    const net::Interface self({.mac = ends_.raw_server.mac(), .addresses = {{Ip{server_ip}, 24}}});
    std::vector<net::Route> routes;
    for (const Prefix& p : b_.load.sources) routes.push_back({p, Ip{client_ip}});
    Answerer answerer(b_.load, texts_.response);
    Worker<Port, Answerer> worker(ends_.server, 0, self, net::Routes{routes}, PacketPool{pool_},
                                  worker_settings<Answerer>(true), answerer);
    TERN_CHECK(worker.shard().listeners.add({.ip = Ip{},
                                             .first = tern::Port{80},
                                             .last = tern::Port{80},
                                             .cookies = b_.node.cookies,
                                             .backlog = 0xffff'ffff}));
    show(server_, worker, ends_.raw_server);
    if (!ready()) return;
    for (std::uint32_t turns = 0; !client_.done.load(std::memory_order_acquire);) {
      move_time(ends_.server, worker.turn());
      if (++turns % 256 == 0) server_.note(worker.busy_cycles(), worker.core().port_cycles());
    }
    server_.note(worker.busy_cycles(), worker.core().port_cycles());
    const Shard& s = worker.shard();
    if (const auto accepted = s.counters.get(CoreCounter::accepted); accepted != 0)
      result_.summary.cookie_share = static_cast<double>(s.tcp_counters.get(tcp::Counter::syn_cookie_valid)) /
                                     static_cast<double>(accepted);
    still_.arrive_and_wait();
    over_.arrive_and_wait();
  }

  void ask() {
    const PacketThread thread(client_.cpu);
    const net::Interface self(
        {.mac = ends_.raw_client.mac(), .addresses = {{Ip{client_ip}, 24}}, .pools = b_.load.sources});
    const auto ws = worker_settings<TheClient>(false);
    const PortTable ports(wire::Toeplitz{}, 1, plan_.ports, plan_.seed);
    static constexpr std::uint16_t one_owner[1] = {0};
    TheClient handler(plan_, stats_, control_, ports, one_owner, 0, ws.shard.connections);
    Worker<Port, TheClient> worker(ends_.client, 0, self, net::Routes{}, PacketPool{pool_}, ws, handler);
    handler.attach(worker.core());
    show(client_, worker, ends_.raw_client);
    if (!ready()) return;
    run_client(
        worker, handler, stats_, control_, client_, b_.node.idle, b_.load.timeout,
        [&](Instant now) { move_time(ends_.client, now); }, [] { return false; });
    still_.arrive_and_wait();
    over_.arrive_and_wait();
  }

  const settings::Schema& schema_;
  const BenchSettings& b_;
  Ends ends_;
  rte_mempool* pool_;
  observe::Result& result_;
  LoadTexts texts_;
  LoadPlan plan_;
  LoadStats stats_;
  LoadControl control_;
  Station client_;
  Station server_;
  std::barrier<> made_{3};
  std::barrier<> started_{3};
  std::barrier<> still_{3};
  std::barrier<> over_{3};
  std::mutex failure_;
  std::exception_ptr failed_;
};

} // namespace tern::app
