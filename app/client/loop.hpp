// The loop of a client's core.
#pragma once

#include <rte_cycles.h>

#include <ctime>

#include "app/client/load.hpp"
#include "app/client/load_station.hpp"
#include "runtime/signals.hpp"
#include "runtime/worker.hpp"

namespace tern::app {

// Sleeps, where that is asked for: never past what is next to be done, and short enough that a packet which
// arrives meanwhile waits a few hundred microseconds at most.
class Rest {
 public:
  explicit Rest(bool allowed) : allowed_(allowed) {}
  template <class W, class C>
  void after_turn(const W& worker, const C& client, Instant now) {
    if (!allowed_) return;
    if (const std::uint64_t busy = worker.busy_cycles(); busy != busy_) {
      busy_ = busy;
      quiet_ = 0;
      return;
    }
    if (++quiet_ < polls_before_sleep) return;
    const Duration left = std::min(client.next_due(now) - worker.clock().now(), Duration::us(300));
    if (left < Duration::us(30)) return;
    const timespec t{0, static_cast<long>((left - Duration::us(15)).as_ns())};
    nanosleep(&t, nullptr);
  }

 private:
  static constexpr std::uint32_t polls_before_sleep = 500;
  bool allowed_;
  std::uint32_t quiet_ = 0;
  std::uint64_t busy_ = 0;
};

// The life of a client: its load until it is told to stop, its time is up, or it has opened its last; then what is live finishes
// or times out; a second signal leaves at once. `each(now)`: once a turn; the cycles that it worked.
// `lost()`: there is no going on. Opening and asking is work of this core as well as what packets bring, and so
// is what `each` does; but that, like the port's work, is no connection's.
template <class W, class C, class Each, class Lost>
void run_client(W& worker, C& client, const LoadStats& stats, const LoadControl& control,
                LoadStation& station, IdlePolicy idle, Duration timeout, Each&& each, Lost&& lost) {
  std::uint64_t driving = 0;
  std::uint64_t beside = 0;
  const auto drive = [&](Instant at) {
    const std::uint64_t start = rte_rdtsc();
    if (client.drive(at)) driving += rte_rdtsc() - start;
  };
  const auto note = [&] {
    station.driving_cycles.store(driving, std::memory_order_relaxed);
    station.beside_cycles.store(beside, std::memory_order_relaxed);
  };
  const auto end_measuring = [&](Instant at) {
    station.completed_when_stopped.store(stats.load.get(Load::completed), std::memory_order_relaxed);
    station.requests_when_stopped.store(stats.load.get(Load::requests), std::memory_order_relaxed);
    station.bytes_when_stopped.store(stats.load.get(Load::response_bytes), std::memory_order_relaxed);
    station.stopped_ns.store(at.since_origin_ns(), std::memory_order_relaxed);
  };
  Rest rest(idle == IdlePolicy::Adaptive);
  Instant now = worker.clock().now();
  station.began_ns.store(now.since_origin_ns(), std::memory_order_relaxed);
  bool measured = false;
  bool offered = false;
  for (std::uint32_t turns = 0; !control.stop.load(std::memory_order_relaxed) && !lost();) {
    drive(now);
    now = worker.turn();
    beside += each(now);
    rest.after_turn(worker, client, now);
    if (++turns % 256 == 0) note();
    if (!offered && client.all_offered(now)) {
      offered = true;
      // Else they take longer than the load lasted: of them all, the last is waited for.
      measured = 2 * stats.load.get(Load::completed) >= stats.load.get(Load::attempted);
      if (measured) end_measuring(now);
    }
    if (client.all_over(now)) break;
    if (client.time_is_up(now)) break;
  }
  if (!measured) end_measuring(client.last_active(now));
  client.stop(now);
  const Instant patience = now + timeout + timeout / 8 + Duration::seconds(1);
  for (std::uint32_t turns = 0; client.live() != 0 && stop_signals() < 2 && now < patience && !lost();) {
    drive(now);
    now = worker.turn();
    beside += each(now);
    rest.after_turn(worker, client, now);
    if (++turns % 256 == 0) note();
  }
  client.give_up(worker.turn());
  note();
  worker.show();
  station.done.store(true, std::memory_order_release);
}

} // namespace tern::app
