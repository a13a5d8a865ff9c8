// What serves on one port: a thread a core, each with its own shard of everything, and the caller's thread to
// control them. A process may have several.
//
//   control   construct ──▶ start() ──────────── wait() ──▶ stop() ───────────────▶ close()
//   core i       handler, worker │ on_start, turns │ drain: no new connections, those
//                are made        │                 │ there finish, late ones are reset │ gone
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <barrier>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "base/file.hpp"
#include "runtime/ask.hpp"
#include "runtime/node_port.hpp"
#include "runtime/node_settings.hpp"
#include "runtime/thread.hpp"
#include "runtime/worker.hpp"

namespace tern {

// What a node that listens is asked for, beside its ports and TCP.
struct ServeSettings {
  NodeSettings node;
  std::vector<settings::PortRange> listen{{Port{80}, Port{80}}};
  Duration duration{}; // zero: until a signal
  Duration drain = Duration::seconds(5);
};
void declare_serve_options(settings::Schema&, ServeSettings&);
// Of them, all but the node's.
void declare_listen_options(settings::Schema&, ServeSettings&);
// Ranges that overlap are refused: throws ConfigError.
void check_listen(const settings::Schema&, const ServeSettings&);

template <class Handler>
class Node {
 public:
  using TheWorker = Worker<io::SharedPort<io::EthPort>, Handler>;

  // Opens the port and makes a handler (`make(core's number)`) and a worker a core, on the core's thread.
  // None runs yet. Throws ConfigError, ArenaError.
  // `started`: DPDK, where this is one of several nodes of the process.
  template <class Make>
  Node(const settings::Schema& schema, const NodeSettings& settings, Make&& make, DialSettings dial = {},
       const io::Eal* started = nullptr)
      : port_(schema, settings, started),
        dial_(port_.self(), port_.steering(), seeded(std::move(dial))),
        slots_(port_.cores()),
        turn_(port_.cores() + 1) {
    shard_ = shard_settings(settings, port_.self());
    for (io::CoreId c = 0; c < port_.cores(); ++c)
      threads_.emplace_back([this, &schema, &settings, &make, c] { live(schema, settings, make, c); });
    turn_.arrive_and_wait(); // all made, or not
    if (failure_) {
      join();
      std::rethrow_exception(failure_);
    }
    for (auto& s : slots_) handles_.push_back(&s->worker.core().handle());
    for (io::CoreId c = 0; c < port_.cores(); ++c) handles_[c]->set_peers(c, handles_);
  }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node() { // only where an exception came between
    if (threads_.empty()) return;
    if (phase_.load(std::memory_order_relaxed) == Phase::made) start();
    if (phase_.load(std::memory_order_relaxed) == Phase::serving) stop(Duration{});
    join();
  }

  // ---- Before start(): on every core. False: more than 254 ranges.
  [[nodiscard]] bool listen(const ListenerSettings& l) {
    for (auto& s : slots_)
      if (!s->worker.shard().listeners.add(l)) return false;
    return true;
  }
  // On all that `v` names. Throws ConfigError.
  void listen(const settings::Schema& schema, const ServeSettings& v) {
    for (const settings::PortRange& r : v.listen)
      if (!listen({.ip = Ip{},
                   .first = r.first,
                   .last = r.last,
                   .cookies = v.node.cookies,
                   .backlog = v.node.backlog}))
        schema.fail("listen", "more than 254 ranges; join neighbouring ones: 80-90");
  }
  void start() {
    phase_.store(Phase::serving, std::memory_order_release);
    turn_.arrive_and_wait();
  }

  // ---- The control thread, while the cores run.
  // Until `over()`, which is asked some 50 times a second, or a signal to stop.
  template <class Over>
  void wait(Over&& over) {
    while (stop_signals() == 0 && !over()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  // Every core takes nothing new, lets what is open finish for `patience`, and resets the rest; a second
  // signal cuts that short. Returns when all have ended.
  void stop(Duration patience) {
    begin_stop(patience);
    finish_stop();
  }
  // The same in two steps, for who stops several at once.
  void begin_stop(Duration patience) {
    patience_ns_.store(patience.as_ns(), std::memory_order_relaxed);
    undrained_.store(port_.cores(), std::memory_order_relaxed);
    phase_.store(Phase::draining, std::memory_order_release);
    for (CoreHandle* h : handles_) (void)h->post([](CoreHandle&) {}); // who sleeps looks up
  }
  void finish_stop() { turn_.arrive_and_wait(); }
  // After stop(): workers and handlers go, then the port; how many packets nobody gave back.
  [[nodiscard]] unsigned close() {
    join();
    slots_.clear();
    return port_.close();
  }

  [[nodiscard]] NodePort& port() { return port_; }
  [[nodiscard]] io::CoreId cores() const { return port_.cores(); }
  // Any thread: core(c).post(…), ask(core(c), …).
  [[nodiscard]] CoreHandle& core(io::CoreId c) { return *handles_[c]; }
  [[nodiscard]] std::span<CoreHandle* const> handles() const { return handles_; }
  // Its counters and gauges may be read at any time; the rest is the core's alone.
  [[nodiscard]] TheWorker& worker(io::CoreId c) { return slots_[c]->worker; }
  // Its own core's alone, before start() and after stop() ours.
  [[nodiscard]] Handler& handler(io::CoreId c) { return slots_[c]->handler; }
  [[nodiscard]] std::vector<CoreReport> reports() {
    std::vector<CoreReport> all;
    for (io::CoreId c = 0; c < port_.cores(); ++c)
      all.push_back({name_of(c), &worker(c).shard(), &worker(c).network(), &port_.shared().steered(c)});
    return all;
  }

 private:
  enum class Phase : std::uint8_t { made, serving, draining };
  struct Slot {
    template <class Make>
    Slot(Make& make, io::CoreId c, NodePort& port, const NodeSettings& n,
         const typename TheWorker::Settings& s)
        : handler(make(c)), worker(port.shared(), c, port.self(), routes_of(n), port.packets(), s, handler) {}
    Handler handler;
    TheWorker worker;
  };

  static DialSettings seeded(DialSettings d) {
    d.seed = random_key().k0;
    return d;
  }
  void join() {
    for (std::thread& t : threads_) t.join();
    threads_.clear();
  }
  [[nodiscard]] std::string name_of(io::CoreId c) const {
    return port_.number() == 0 ? fmt::format("core {}", c)
                               : fmt::format("port {} core {}", port_.number(), c);
  }
  [[nodiscard]] typename TheWorker::Settings worker_settings(const NodeSettings& n, io::CoreId c) {
    typename TheWorker::Settings s;
    s.shard = shard_;
    s.network = network_settings(port_.port());
    s.idle = n.idle;
    s.name = name_of(c);
    s.id = c;
    s.dial = &dial_;
    return s;
  }

  // A core's thread, from the first to the last.
  template <class Make>
  void live(const settings::Schema& schema, const NodeSettings& n, Make& make, io::CoreId c) {
    const PacketThread thread(n.cores.empty() ? std::nullopt : std::optional{n.cores[c]});
    try {
      if (!thread.pinned())
        schema.fail("cores",
                    fmt::format("this process may not run on CPU {}; see taskset -p $$", n.cores[c]));
      slots_[c] = std::make_unique<Slot>(make, c, port_, n, worker_settings(n, c));
    } catch (...) {
      const std::scoped_lock lock(failure_lock_);
      failure_ = std::current_exception();
    }
    turn_.arrive_and_wait(); // made
    if (failed()) return;
    turn_.arrive_and_wait(); // started
    TheWorker& w = slots_[c]->worker;
    while (phase_.load(std::memory_order_acquire) == Phase::serving) w.turn();
    drain(w);
    w.show();
    turn_.arrive_and_wait(); // stopped
  }
  [[nodiscard]] bool failed() {
    const std::scoped_lock lock(failure_lock_);
    return failure_ != nullptr;
  }

  // No core ends before all have: another may live from what this one's queue receives, or transmit by it.
  void drain(TheWorker& w) {
    w.begin_drain();
    const Instant end = w.clock().now() + Duration::ns(patience_ns_.load(std::memory_order_relaxed));
    bool told = false;
    while (undrained_.load(std::memory_order_acquire) != 0) {
      const Instant now = w.turn();
      if (now >= end || stop_signals() > 1) w.abort_some();
      if (told || !w.drained()) continue;
      told = true;
      undrained_.fetch_sub(1, std::memory_order_acq_rel);
    }
    // The last segments, first of all cores, then what others sent through this one's queue.
    w.turn();
    flush_.arrive_and_wait();
    w.turn();
  }

  NodePort port_;
  DialPlan dial_;
  ShardSettings shard_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<CoreHandle*> handles_;
  std::barrier<> turn_;
  std::barrier<> flush_{port_.cores()};
  std::mutex failure_lock_;
  std::exception_ptr failure_;
  std::atomic<Phase> phase_{Phase::made};
  std::atomic<std::int64_t> patience_ns_{0};
  std::atomic<unsigned> undrained_{0};
  std::vector<std::thread> threads_;
};

struct NothingBeside {
  void operator()(std::span<CoreHandle* const>) const {}
};

// Serves with one copy of `handler` a core until the time is over or a signal comes; the exit code. Meanwhile
// `beside(the cores)` is called some 50 times a second, on this thread.
template <class Handler, class Beside = NothingBeside>
[[nodiscard]] int serve(const settings::Schema& schema, const ServeSettings& v, const Handler& handler,
                        Beside&& beside = {}) {
  check_listen(schema, v);
  catch_stop_signals();
  Node<Handler> node(schema, v.node, [&](io::CoreId) { return handler; });
  node.listen(schema, v);
  node.start();
  print_ready(node.port());
  const TscClock clock;
  const Instant end = v.duration > Duration{} ? clock.now() + v.duration : Instant::at_ns(INT64_MAX);
  LinkWatch link(node.port());
  node.wait([&] {
    link.look(clock.now());
    beside(node.handles());
    return clock.now() >= end;
  });
  node.stop(v.drain);
  print_counters(node.reports());
  const unsigned leaked = node.close();
  say(fmt::format("packets not given back: {}\n", leaked));
  return leaked == 0 ? 0 : 1;
}

} // namespace tern
