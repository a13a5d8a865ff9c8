// tern bench: client and server in one process over an in-memory pair, one core each.
#include <fmt/format.h>
#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_version.h>

#include <barrier>
#include <fstream>
#include <memory>
#include <thread>

#include "app/bench/report.hpp"
#include "app/command.hpp"
#include "io/error.hpp"
#include "io/memory_pair.hpp"
#include "io/packet_memory.hpp"
#include "observe/json.hpp"
#include "observe/live.hpp"
#include "observe/machine.hpp"
#include "observe/page.hpp"
#include "observe/text.hpp"
#include "runtime/pin.hpp"
#include "runtime/settings/cli.hpp"
#include "runtime/worker.hpp"

namespace tern::app {
namespace {

constexpr Ip4 client_ip{10, 0, 0, 1};
constexpr Ip4 server_ip{10, 0, 0, 2};

io::Impairment impairment_of(const settings::Schema& schema, const BenchSettings& b) {
  io::Impairment harm;
  harm.seed = b.seed;
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

std::uint64_t free_memory() {
  std::ifstream in("/proc/meminfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("MemAvailable:")) return std::strtoull(line.c_str() + 13, nullptr, 10) * 1024;
  return 1ULL << 30;
}

// TIME-WAIT at millions of closes a second is the largest memory of all: room for as many as the run can
// close in 2MSL, or a quarter of what is free.
std::uint32_t time_wait_records(const settings::Schema& schema, const BenchSettings& b) {
  if (schema.given("time_wait_records")) return b.node.time_wait_records;
  const double cps = b.cps.is_max() ? 4e6 : static_cast<double>(b.cps.per_second) * 1.1;
  const double seconds = std::min(b.duration.as_seconds() + 1, b.node.tcp.time_wait.as_seconds());
  constexpr double bytes_each = 43; // record, its share of a chunk, its place in the flow table
  const double most = static_cast<double>(free_memory()) / 4 / bytes_each;
  double wanted = cps * seconds;
  if (b.connections != 0) wanted = std::min(wanted, static_cast<double>(b.connections) + 1000);
  return static_cast<std::uint32_t>(std::clamp(wanted, 65536.0, most));
}

ShardSettings shard_settings(const settings::Schema& schema, const BenchSettings& b, bool server) {
  ShardSettings s;
  s.connections = b.concurrency + 4 * b.in_progress + 4096;
  s.syn_records = std::min(b.concurrency / 4 + 4 * b.in_progress + 4096, 1U << 22);
  s.time_wait_records = server ? time_wait_records(schema, b) : 65536;
  s.long_connections =
      b.response_size > 1400 || b.request_size > 1400 ? std::min(s.connections, 65536U) : 4096;
  s.tcp = b.node.tcp;
  s.mss = b.node.mss;
  s.secret = random_key();
  s.flow_seed = random_key();
  s.cookie_epoch = cookie_epoch_now();
  return s;
}

// A registered thread has an lcore's number, and with it a cache of packets of its own.
struct RegisteredThread {
  explicit RegisteredThread(unsigned cpu) {
    pinned = pin_to(cpu);
    registered = rte_thread_register() == 0;
  }
  ~RegisteredThread() {
    if (registered) rte_thread_unregister();
  }
  bool pinned = false;
  bool registered = false;
};

template <class Port>
class Pair {
 public:
  Pair(const settings::Schema& schema, const BenchSettings& b, Port& a, Port& z, io::MemoryPort& raw_a,
       io::MemoryPort& raw_z, rte_mempool* pool, observe::Result& result)
      : schema_(schema),
        b_(b),
        client_port_(a),
        server_port_(z),
        raw_client_(raw_a),
        raw_server_(raw_z),
        pool_(pool),
        result_(result) {
    request_.assign(b.request_size, 'q');
    response_.resize(b.response_size);
    for (std::size_t i = 0; i < response_.size(); ++i) response_[i] = static_cast<char>('!' + i % 90);
    plan_.targets = {{Ip{server_ip}, tern::Port{80}}};
    for (const Prefix& p : b.sources)
      plan_.sources.add(p.base(), static_cast<std::uint32_t>(1ULL << (32 - p.length())));
    plan_.ports = {b.source_ports.first.raw(), b.source_ports.last.raw()};
    plan_.request = request_;
    plan_.response = response_;
    plan_.verify = b.verify;
    plan_.cps = b.cps.is_max() ? 0 : static_cast<double>(b.cps.per_second);
    plan_.in_progress = b.in_progress;
    plan_.hold = b.concurrency;
    plan_.connections = b.connections;
    plan_.timeout = b.timeout;
    plan_.seed = b.seed;
    if (!b.node.cores.empty()) client_cpu_ = server_cpu_ = b.node.cores.front();
    if (b.node.cores.size() > 1) server_cpu_ = b.node.cores[1];
  }

  void go() {
    result_.machine.core_to_core_cycles.before = observe::core_round_trip_cycles(client_cpu_, server_cpu_);
    std::thread server([this] { serve(); });
    std::thread client([this] { ask(); });
    ready_.arrive_and_wait();
    watch();
    client.join();
    server.join();
    result_.machine.core_to_core_cycles.after = observe::core_round_trip_cycles(client_cpu_, server_cpu_);
  }

 private:
  using TheClient = Client<Port>;

  template <class Handler>
  typename Worker<Port, Handler>::Settings worker_settings(bool server) const {
    typename Worker<Port, Handler>::Settings s;
    s.shard = shard_settings(schema_, b_, server);
    s.network.key = random_key();
    const bool hardware = b_.node.checksums != io::Offload::never;
    s.network.offloads = {.ip_checksum = hardware, .tcp_checksum = hardware};
    s.idle = IdlePolicy::Busy;
    s.name = server ? "server" : "client";
    return s;
  }
  static void move_time(Port& port, Instant now) {
    if constexpr (requires { port.advance(now); }) port.advance(now);
  }

  void serve() {
    const RegisteredThread thread(server_cpu_);
    const net::Interface self({.mac = raw_server_.mac(), .addresses = {{Ip{server_ip}, 24}}});
    std::vector<net::Route> routes;
    for (const Prefix& p : b_.sources) routes.push_back({p, Ip{client_ip}});
    Responder responder(request_.size(), response_);
    Worker<Port, Responder> worker(server_port_, 0, self, net::Routes{routes}, PacketPool{pool_},
                                   worker_settings<Responder>(true), responder);
    TERN_CHECK(worker.shard().listeners.add({.ip = Ip{},
                                             .first = tern::Port{80},
                                             .last = tern::Port{80},
                                             .cookies = b_.node.cookies,
                                             .backlog = 0xffff'ffff}));
    ready_.arrive_and_wait();
    std::uint32_t turns = 0;
    std::uint64_t peak = 0;
    while (!client_done_.load(std::memory_order_acquire)) {
      move_time(server_port_, worker.turn());
      if (++turns % 1024 != 0) continue;
      const std::uint64_t n = worker.shard().time_wait4.streams.size();
      peak = std::max(peak, n);
      time_wait_.store(n, std::memory_order_relaxed);
      server_busy_.store(worker.busy_cycles(), std::memory_order_relaxed);
    }
    result_.summary.time_wait_peak = std::max<std::uint64_t>(peak, worker.shard().time_wait4.streams.size());
    conclude({"server", server_cpu_, &worker.shard(), &worker.network().counters(), &raw_server_.counters(0),
              worker.busy_cycles(), worker.core().port_cycles(), worker.shard().time_wait4.streams.size()});
    const Shard& s = worker.shard();
    const auto accepted = s.counters.get(CoreCounter::accepted);
    if (accepted != 0)
      result_.summary.cookie_share = static_cast<double>(s.tcp_counters.get(tcp::Counter::syn_cookie_valid)) /
                                     static_cast<double>(accepted);
    server_over_.arrive_and_wait();
  }

  void ask() {
    const RegisteredThread thread(client_cpu_);
    net::InterfaceSettings who{
        .mac = raw_client_.mac(), .addresses = {{Ip{client_ip}, 24}}, .pools = b_.sources};
    const net::Interface self(who);
    const auto ws = worker_settings<TheClient>(false);
    TheClient handler(plan_, stats_, ws.shard.connections);
    Worker<Port, TheClient> worker(client_port_, 0, self, net::Routes{}, PacketPool{pool_}, ws, handler);
    handler.attach(worker.core());
    ready_.arrive_and_wait();
    started_ = worker.clock().now();
    Instant now = started_;
    std::uint32_t turns = 0;
    while (!stop_.load(std::memory_order_relaxed)) {
      handler.drive(now);
      now = worker.turn();
      move_time(client_port_, now);
      if (++turns % 1024 == 0) client_busy_.store(worker.busy_cycles(), std::memory_order_relaxed);
      if (handler.all_opened() && handler.live() == 0) break;
    }
    measured_.store((now - started_).as_ns(), std::memory_order_release);
    completed_when_stopped_ = stats_.load.get(Load::completed);
    busy_when_stopped_ = worker.busy_cycles();
    handler.stop();
    // The live ones finish or time out; a second signal leaves at once.
    while (handler.live() != 0 && stop_signals() < 2 &&
           worker.clock().now() - now < b_.timeout + Duration::seconds(1))
      move_time(client_port_, worker.turn());
    const Instant end = worker.turn();
    handler.give_up(end);
    conclude({"client", client_cpu_, &worker.shard(), &worker.network().counters(), &raw_client_.counters(0),
              worker.busy_cycles(), worker.core().port_cycles(), 0});
    client_done_.store(true, std::memory_order_release);
    server_over_.arrive_and_wait();
  }

  // A core's share of the result; both threads come here, one after the other.
  void conclude(const Side& side) {
    const std::scoped_lock lock(conclusion_);
    observe::Summary& s = result_.summary;
    add_packets(s.packets, side);
    const bool client = side.shard->listeners.size() == 0;
    const auto bits = [&](CoreCounter c) {
      return static_cast<double>(side.shard->counters.get(c)) * 8e9 /
             static_cast<double>(std::max<std::int64_t>(measured_.load(std::memory_order_acquire), 1));
    };
    if (client) { // one end's: the other's are the same packets
      s.rx_bits_per_second = bits(CoreCounter::rx_bytes);
      s.tx_bits_per_second = bits(CoreCounter::tx_bytes);
    }
    const double done = static_cast<double>(std::max<std::uint64_t>(stats_.load.get(Load::completed), 1));
    (client ? s.cycles_per_connection.client : s.cycles_per_connection.server) =
        static_cast<double>(side.busy_cycles - side.port_cycles) / done;
    observe::CoreLoad load{.core = side.core, .role = side.role};
    const double seconds = static_cast<double>(measured_.load(std::memory_order_acquire)) * 1e-9;
    load.busy = std::min(
        1.0, static_cast<double>(side.busy_cycles) / (seconds * static_cast<double>(rte_get_tsc_hz())));
    load.completed = client ? stats_.load.get(Load::completed) : 0;
    load.rx_packets = side.shard->counters.get(CoreCounter::rx_packets);
    load.tx_packets = side.shard->counters.get(CoreCounter::tx_packets);
    load.time_wait = side.time_wait;
    s.cores.push_back(load);
    if (s.memory.rss_bytes == 0) s.memory = memory();
  }

  // The main thread: a line an interval, and the end.
  void watch() {
    const auto begin = std::chrono::steady_clock::now();
    const auto wake = [&](std::int64_t ns) { return begin + std::chrono::nanoseconds(ns); };
    observe::Live live(stdout, "tern bench",
                       b_.quiet ? observe::Live::Mode::quiet : observe::Live::Mode::automatic);
    observe::Interval before;
    std::uint64_t client_busy = 0;
    std::uint64_t server_busy = 0;
    double t = 0;
    while (!client_done_.load(std::memory_order_acquire)) {
      const double next =
          std::min(t + b_.interval.as_seconds(), std::max(b_.duration.as_seconds(), t + 0.05));
      while (std::chrono::steady_clock::now() < wake(static_cast<std::int64_t>(next * 1e9)) &&
             stop_signals() == 0 && !client_done_.load(std::memory_order_acquire))
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      const double now = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      observe::Interval i = sample(before, t, now);
      const double cycles = i.seconds * static_cast<double>(rte_get_tsc_hz());
      const std::uint64_t cb = client_busy_.load(std::memory_order_relaxed);
      const std::uint64_t sb = server_busy_.load(std::memory_order_relaxed);
      i.cores = {{.core = client_cpu_,
                  .role = "client",
                  .busy = std::min(1.0, static_cast<double>(cb - client_busy) / cycles)},
                 {.core = server_cpu_,
                  .role = "server",
                  .busy = std::min(1.0, static_cast<double>(sb - server_busy) / cycles)}};
      client_busy = cb, server_busy = sb;
      t = now;
      if (i.seconds > 0.05) {
        live.show(i);
        result_.intervals.push_back(i);
      }
      const bool over = b_.connections == 0 && now >= b_.duration.as_seconds();
      if (over || stop_signals() != 0) stop_.store(true, std::memory_order_relaxed);
      if (stop_signals() != 0 && !result_.summary.interrupted) {
        result_.summary.interrupted = true;
        result_.summary.interrupted_reason = "by a signal; what had run by then is reported";
      }
    }
    conclude_summary();
  }

  observe::Interval sample(observe::Interval& before, double from, double to) {
    observe::Interval total;
    const auto& l = stats_.load;
    total.attempted = l.get(Load::attempted), total.established = l.get(Load::established);
    total.completed = l.get(Load::completed), total.requests = l.get(Load::requests);
    total.failed = failures_of(l);
    observe::Interval i = total;
    i.t = to, i.seconds = to - from;
    i.offered_cps = plan_.cps;
    i.attempted -= before.attempted, i.established -= before.established;
    i.completed -= before.completed, i.requests -= before.requests;
    const observe::Failures& f = before.failed;
    i.failed.connect_timeout -= f.connect_timeout, i.failed.refused -= f.refused, i.failed.reset -= f.reset;
    i.failed.response_timeout -= f.response_timeout, i.failed.short_response -= f.short_response,
        i.failed.bad_byte -= f.bad_byte;
    i.live = stats_.live.load(std::memory_order_relaxed);
    i.time_wait = time_wait_.load(std::memory_order_relaxed);
    before = total;
    const auto stage = [](const observe::Histogram& h, observe::Latencies& last) {
      const observe::Latencies all = h.snapshot();
      const observe::Latency since = latency_of(all.since(last));
      last = all;
      return since;
    };
    i.latency_us = {stage(stats_.connect, last_connect_), stage(stats_.first_byte, last_first_byte_),
                    stage(stats_.response, last_response_), stage(stats_.close, last_close_)};
    return i;
  }

  void conclude_summary() {
    const std::scoped_lock lock(conclusion_);
    observe::Summary& s = result_.summary;
    const auto& l = stats_.load;
    s.seconds = static_cast<double>(measured_.load(std::memory_order_acquire)) * 1e-9;
    s.cps = s.seconds > 0 ? static_cast<double>(completed_when_stopped_) / s.seconds : 0;
    s.requests = l.get(Load::requests);
    s.requests_per_second = s.seconds > 0 ? static_cast<double>(s.requests) / s.seconds : 0;
    s.connections = {l.get(Load::attempted), l.get(Load::established), l.get(Load::completed),
                     l.get(Load::unfinished), failures_of(l)};
    s.closed_loop = b_.cps.is_max();
    for (const auto& i : result_.intervals) s.live_peak = std::max(s.live_peak, i.live);
    const auto put = [](const observe::Histogram& h, observe::Latency& at, observe::HistogramBars& bars) {
      const observe::Latencies all = h.snapshot();
      at = latency_of(all);
      bars = bars_of(all);
    };
    put(stats_.connect, s.latency_us.connect, s.histogram.connect);
    put(stats_.first_byte, s.latency_us.first_byte, s.histogram.first_byte);
    put(stats_.response, s.latency_us.response, s.histogram.response);
    put(stats_.close, s.latency_us.close, s.histogram.close);
    const double busy =
        static_cast<double>(busy_when_stopped_) / (s.seconds * static_cast<double>(rte_get_tsc_hz()));
    if (!s.closed_loop && (busy > 0.95 || l.get(Load::late) > l.get(Load::attempted) / 100)) {
      s.client_limited = true;
      s.client_limited_reason =
          fmt::format("its core was {:.0f}% busy, {} of {} opens were more than 1 ms late", busy * 100,
                      l.get(Load::late), l.get(Load::attempted));
    }
    if (const auto n = l.get(Load::no_port))
      s.notes.push_back(fmt::format("{} opens waited for a free port or record", n));
  }

  const settings::Schema& schema_;
  const BenchSettings& b_;
  Port& client_port_;
  Port& server_port_;
  io::MemoryPort& raw_client_;
  io::MemoryPort& raw_server_;
  rte_mempool* pool_;
  observe::Result& result_;
  std::string request_;
  std::string response_;
  ClientPlan plan_;
  ClientStats stats_;
  unsigned client_cpu_ = 0;
  unsigned server_cpu_ = std::thread::hardware_concurrency() > 1 ? 1 : 0;
  std::barrier<> ready_{3};
  std::barrier<> server_over_{2};
  std::mutex conclusion_;
  Instant started_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> client_done_{false};
  std::atomic<std::int64_t> measured_{0};
  std::atomic<std::uint64_t> time_wait_{0};
  std::atomic<std::uint64_t> client_busy_{0};
  std::atomic<std::uint64_t> server_busy_{0};
  observe::Latencies last_connect_, last_first_byte_, last_response_, last_close_; // as of the last interval
  std::uint64_t completed_when_stopped_ = 0;
  std::uint64_t busy_when_stopped_ = 0;
};

int run(const settings::Schema& schema, const BenchSettings& b) {
  check(schema, b);
  apply_limits(b.node, schema);
  const io::Impairment harm = impairment_of(schema, b);
  catch_stop_signals();
  io::EalSettings eal_settings;
  eal_settings.huge_pages = b.node.huge_pages;
  const auto megabytes = static_cast<unsigned>(b.node.packet_memory.n >> 20);
  eal_settings.memory_mb = io::eal_megabytes_for(megabytes);
  const io::Eal eal(eal_settings);
  if (!eal.note().empty()) fmt::print("{}\n", eal.note());
  rte_mempool* pool = io::make_packet_pool("bench", megabytes, 512);
  observe::Result result;
  result.command = "bench";
  result.version = TERN_VERSION;
  result.started = observe::utc_now();
  result.machine = observe::machine_facts();
  result.machine.dpdk = rte_version();
  result.machine.tsc_hz = rte_get_tsc_hz();
  for (const settings::Option& o : schema.options()) {
    std::string text;
    for (const std::string& one : o.print()) text += (text.empty() ? "" : ", ") + one;
    result.config[o.name] = text;
  }
  {
    io::MemoryPair pair({.ring_size = 4096, .checksums = b.node.checksums});
    if (b.impair.empty()) {
      Pair<io::MemoryPort>(schema, b, pair.a(), pair.b(), pair.a(), pair.b(), pool, result).go();
    } else {
      io::Impaired<io::MemoryPort> a(pair.a(), harm, PacketPool{pool});
      io::Impairment other = harm;
      other.seed ^= 0x9e3779b97f4a7c15;
      io::Impaired<io::MemoryPort> z(pair.b(), other, PacketPool{pool});
      Pair<io::Impaired<io::MemoryPort>>(schema, b, a, z, pair.a(), pair.b(), pool, result).go();
    }
  }
  if (const unsigned leaked = rte_mempool_in_use_count(pool); leaked != 0)
    result.summary.notes.push_back(fmt::format("{} packets were not given back: a bug of tern's", leaked));
  fmt::print("{}", summary_text(result));
  const auto write = [](const std::string& file, auto&& text) {
    if (file.empty()) return;
    std::ofstream(file) << text();
    fmt::print("written: {}\n", file);
  };
  write(b.json, [&] { return to_json(result); });
  write(b.csv, [&] { return to_csv(result.intervals); });
  write(b.html, [&] { return to_html(result); });
  const std::vector<std::string> wrong = contradictions(result);
  for (const std::string& w : wrong) fmt::print("contradiction: {}\n", w);
  return wrong.empty() && !result.summary.interrupted ? 0 : 1;
}

} // namespace

Run declare_bench(CLI::App& app) {
  return command_of<BenchSettings>(app, declare, run, "concurrency");
}

} // namespace tern::app
