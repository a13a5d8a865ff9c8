// One core's loop in a thread: clock, idle policy, drain.
#pragma once

#include <sys/random.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <optional>
#include <thread>
#include <utility>

#include "runtime/clock.hpp"
#include "runtime/core.hpp"
#include "runtime/gauges.hpp"
#include "runtime/idleness.hpp"
#include "runtime/node_settings.hpp"
#include "runtime/signals.hpp"

namespace tern {

[[nodiscard]] inline SipKey random_key() {
  SipKey k;
  TERN_CHECK(getrandom(&k, sizeof k, 0) == static_cast<ssize_t>(sizeof k));
  return k;
}

[[nodiscard]] inline std::uint32_t cookie_epoch_now() {
  return static_cast<std::uint32_t>(std::time(nullptr) / tcp::CookieJar::epoch_seconds);
}

template <io::PacketPort Port, class Handler>
class Worker {
 public:
  struct Settings {
    ShardSettings shard;
    net::NetworkSettings network;
    IdlePolicy idle = IdlePolicy::Adaptive;
    std::string name = "core 0";
    io::CoreId id = 0;
    const DialPlan* dial = nullptr; // none: connect() finds no source
  };

  Worker(Port& port, io::QueueId queue, const net::Interface& self, net::Routes routes, PacketPool pool,
         const Settings& settings, Handler& handler)
      : port_(port),
        queue_(queue),
        idle_(settings.idle),
        network_(self, std::move(routes), pool, settings.network),
        shard_(process_arena(), settings.shard, pool, clock_.now(), settings.name),
        core_(shard_, network_, port, queue, handler) {
    if (settings.dial != nullptr) core_.handle().set_dialer(&dialer_.emplace(*settings.dial, settings.id));
    core_.handle().set_bell(&bell_);
    if constexpr (requires { port.set_bell(queue, &bell_); }) port.set_bell(queue, &bell_);
    if (settings.id == 0) network_.announce(); // once for the port
  }
  ~Worker() { core_.handle().close_mail(); }

  [[nodiscard]] Core<Port, Handler>& core() { return core_; }
  // From any thread: runs `m` on this core's, before its next turn; see CoreHandle::post.
  [[nodiscard]] bool post(Message m) { return core_.handle().post(std::move(m)); }
  [[nodiscard]] Shard& shard() { return shard_; }
  [[nodiscard]] net::Network& network() { return network_; }
  [[nodiscard]] const TscClock& clock() const { return clock_; }
  // TSC cycles of turns that found work; any thread may read.
  [[nodiscard]] std::uint64_t busy_cycles() const {
    return gauges_.busy_cycles.load(std::memory_order_relaxed);
  }
  [[nodiscard]] const Gauges& gauges() const { return gauges_; }
  // Brings the gauges up to date, on the worker's thread; turn() does so by itself.
  void show() {
    gauges_.show(core_.port_cycles(), shard_.connections.used(),
                 shard_.time_wait4.streams.size() + shard_.time_wait6.streams.size(),
                 shard_.syn4.slots.used() + shard_.syn6.slots.used());
  }

  // One turn; the time it began.
  Instant turn() {
    const std::uint64_t start = rte_rdtsc();
    const Instant now = clock_.at(start);
    if (const std::uint32_t ms = now.ms32(); ms != last_ms_) [[unlikely]]
      each_millisecond(ms);
    if (core_.poll(now)) {
      gauges_.busy_cycles.store(busy_cycles() + rte_rdtsc() - start, std::memory_order_relaxed);
      idleness_.found();
    } else if (idle_ == IdlePolicy::Adaptive && idleness_.tired()) {
      rest();
    }
    return now;
  }

  // ---- The end, on the worker's thread.
  // Nothing new is accepted; the handler is told, so that it opens nothing new either.
  void begin_drain() {
    longest_rest_ = Duration::ms(1); // others end, and nobody tells
    shard_.listeners.close_all();
    core_.drain();
  }
  [[nodiscard]] bool drained() const { return shard_.connections.used() == 0; }
  // Some thousands of the connections that are left, going on where the last call ended, and round again until it is
  // drained: what is opened in spite of the drain ends too, and no turn is long.
  void abort_some() {
    constexpr std::uint32_t most_looked_at = 16'384;
    constexpr std::uint32_t most_aborted = 4096;
    const std::uint32_t all = shard_.connections.fresh();
    std::uint32_t aborted = 0;
    for (std::uint32_t n = std::min(most_looked_at, all); n != 0 && aborted != most_aborted; --n) {
      if (abort_at_ >= all) abort_at_ = 0;
      ConnectionRecord& r = shard_.connections.at(abort_at_++);
      if (!r.has(ConnectionRecord::in_use)) continue;
      shard_.handle(r).abort();
      ++aborted;
    }
  }

 private:
  using Woken = io::Bell::Woken;

  void each_millisecond(std::uint32_t ms) {
    last_ms_ = ms;
    show();
    if (ms / 1000 == last_second_) return;
    last_second_ = ms / 1000;
    shard_.gate.jar.turn_to(cookie_epoch_now());
  }

  // Until something is due, where whatever comes wakes us; else a nap.
  void rest() {
    show();
    const io::Waking waking = waking_of_port();
    if (!waking.sure || !io::Bell::never_missed() || std::exchange(trouble_, false)) return nap();
    const Duration spell = core_.nothing_before(std::min(longest_rest_, waking.most)) - core_.now();
    if (spell < Duration::us(10)) return port_.tx_pending(queue_) != 0 ? nap() : void();
    if constexpr (requires { port_.arm(queue_); }) {
      if (port_.arm(queue_) && core_.poll(clock_.now())) {
        idleness_.found();
        return port_.disarm(queue_);
      }
    }
    const Woken woken = sleep(waking.descriptor, spell);
    if constexpr (requires { port_.disarm(queue_); }) port_.disarm(queue_);
    if (woken == Woken::port)
      idleness_.found(); // net_tap's driver looks only once a signal was handled: wait for it
    trouble_ = woken == Woken::trouble;
  }
  void nap() { (void)sleep(-1, idleness_.nap()); }
  Woken sleep(int descriptor, Duration most) {
    const Woken woken = bell_.sleep(descriptor, most, [this] { return core_.knocked(); });
    CoreCounters& counters = shard_.counters;
    counters.add(CoreCounter::sleeps);
    if (woken == Woken::port) counters.add(CoreCounter::sleeps_ended_by_port);
    if (woken == Woken::knock) counters.add(CoreCounter::sleeps_ended_by_knock);
    return woken;
  }
  [[nodiscard]] io::Waking waking_of_port() const {
    if constexpr (requires { port_.waking(queue_); })
      return port_.waking(queue_);
    else
      return {};
  }

  Port& port_;
  io::QueueId queue_;
  TscClock clock_;
  IdlePolicy idle_;
  bool trouble_ = false; // the port's descriptor is in error: it was asked, and may be sound next time
  Duration longest_rest_ = Duration::seconds(1);
  Idleness idleness_;
  Gauges gauges_;
  std::uint32_t abort_at_ = 0;
  std::uint32_t last_ms_ = 0;
  std::uint32_t last_second_ = 0;
  net::Network network_;
  Shard shard_;
  std::optional<Dialer> dialer_;
  io::Bell bell_;
  Core<Port, Handler> core_;
};

} // namespace tern
