#include "app/client/watch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "observe/units.hpp"
#include "runtime/signals.hpp"

namespace tern::app {
namespace {

std::int64_t monotonic_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Sight sight_of(double t, const Totals& now, const observe::Interval& lately, std::uint64_t errors) {
  Sight s{.t = t,
          .attempted = now.attempted,
          .completed = now.completed,
          .failed = now.failed.total(),
          .errors = errors,
          .late = now.late,
          .live = now.live};
  for (const observe::CoreLoad& c : lately.cores)
    if (c.role != "server") s.client_busy = std::max(s.client_busy, c.busy);
  return s;
}

// Nothing was counted before the run, though the clients may be under way when the watch begins.
Totals beginning(std::span<const Station* const> stations, std::int64_t ns) {
  Totals t{.ns = ns};
  for (const Station* s : stations) {
    t.busy.push_back(s->busy_cycles());
    t.cores.push_back({.core = s->cpu, .role = s->role});
  }
  return t;
}

} // namespace

std::string limit_of_tester(const TesterSight& t) {
  constexpr double saturated = 0.95;
  constexpr std::uint64_t few = 10; // a core is taken away for a moment now and then
  const bool behind = !t.closed_loop && t.due != 0 && t.late > std::max(few, t.due / 100);
  if (t.busy <= saturated && !behind) return {};
  const std::string busy = fmt::format("its core was {:.0f}% busy", t.busy * 100);
  if (t.closed_loop) return busy + ": with more or faster --cores for it there might have been more";
  return fmt::format("{}, {} of {} {} were more than 1 ms late{}", busy, t.late, t.due, t.what,
                     t.busy > saturated ? "" : ": once late, they wait while many are under way");
}

Watch::Watch(std::string title, const LoadSettings& load, const OutputSettings& out,
             const SearchSettings& search, std::span<const LoadStation* const> clients,
             std::span<const Station* const> servers, LoadControl& control, observe::Result& result)
    : load_(load),
      clients_(clients),
      stations_(clients.begin(), clients.end()),
      control_(control),
      result_(result),
      live_(stdout, std::move(title),
            out.quiet ? observe::Live::Mode::quiet : observe::Live::Mode::automatic),
      search_(search),
      interval_(out.interval) {
  stations_.insert(stations_.end(), servers.begin(), servers.end());
}

double Watch::now() const {
  return static_cast<double>(monotonic_ns() - began_ns_) * 1e-9;
}

bool Watch::all_done() const {
  return std::all_of(clients_.begin(), clients_.end(),
                     [](const LoadStation* s) { return s->done.load(std::memory_order_acquire); });
}

bool Watch::offering() const {
  return stopped_.ns == 0 && std::any_of(clients_.begin(), clients_.end(), [](const LoadStation* s) {
           return s->stopped_ns.load(std::memory_order_relaxed) == 0;
         });
}

std::uint64_t Watch::errors() const {
  if (load_.verify) return 0; // such connections have failed
  std::uint64_t n = 0;
  for (const LoadStation* s : clients_) n += s->load->load.get(Load::bad_status);
  return n;
}

void Watch::begin_measuring() {
  measuring_ = true;
  base_ = totals_of(stations_);
  for (std::size_t k = 0; k < clients_.size(); ++k)
    base_latencies_.push_back(latencies_of(clients_.subspan(k, 1)));
}

// What is still open finishes; what is measured ends here.
void Watch::stop() {
  end_measuring();
  control_.stop.store(true, std::memory_order_relaxed);
}

std::int64_t Watch::clients_stopped() const {
  std::int64_t last = 0;
  for (const LoadStation* c : clients_) last = std::max(last, c->stopped_ns.load(std::memory_order_relaxed));
  return last;
}
// Clients that stopped by themselves may have waited for those that are never answered: neither that time is part of it,
// nor what the cores and the link did in it.
void Watch::follow() {
  Totals now = totals_of(stations_);
  if (now.attempted != active_.attempted || now.completed != active_.completed) active_ = std::move(now);
}
void Watch::end_measuring() {
  if (stopped_.ns != 0) return;
  const bool by_themselves = !offering();
  stopped_ = totals_of(stations_);
  if (!by_themselves) return;
  const std::int64_t last = std::min(stopped_.ns, clients_stopped());
  const bool same = active_.attempted == stopped_.attempted && active_.completed == stopped_.completed;
  if (same && active_.ns > base_.ns) stopped_ = active_;
  stopped_.ns = last;
}

observe::Interval Watch::interval(const Moment& from, const Moment& to) const {
  observe::Interval i = between(from.totals, to.totals, stations_);
  i.t = static_cast<double>(to.totals.ns - began_ns_) * 1e-9;
  i.offered_cps = std::max(control_.cps.load(std::memory_order_relaxed), 0.0);
  i.latency_us = to.latencies.since(from.latencies).stages();
  return i;
}

void Watch::take_interval() {
  Moment now{totals_of(stations_), latencies_of(clients_)};
  observe::Interval i = interval(last_, now);
  if (i.seconds < 0.05) return;
  live_.show(i);
  make_room(result_.intervals);
  result_.intervals.push_back(std::move(i));
  before_last_ = std::exchange(last_, std::move(now));
}

// What came after the last interval, too short for one of its own, is counted to it: they add up to the run.
void Watch::finish_intervals(const Moment& end) {
  if (result_.intervals.empty()) {
    if (end.totals.ns > last_.totals.ns) result_.intervals.push_back(interval(last_, end));
    return;
  }
  const double offered = result_.intervals.back().offered_cps;
  result_.intervals.back() = interval(before_last_, end);
  result_.intervals.back().offered_cps = offered;
}

void Watch::run(const std::function<std::string()>& fault) {
  began_ns_ = monotonic_ns();
  base_ = beginning(stations_, began_ns_);
  last_.totals = base_;
  const auto awaits_measuring = [&] { return !measuring_ && offering(); };
  const double measure_at = (load_.ramp + load_.warmup).as_seconds();
  const double end = !load_.timed() || search_.on() ? 1e18 : measure_at + load_.duration.as_seconds();
  if (measure_at == 0) measuring_ = true;
  StageLatencies mark;
  const auto p99 = [&](bool set) {
    StageLatencies all = latencies_of(clients_);
    const StageLatencies since = all.since(mark);
    if (set) mark = std::move(all);
    return slowest(static_cast<double>(since.connect.percentile(99)) / 1000,
                   static_cast<double>(since.response.percentile(99)) / 1000);
  };
  Totals before = base_;
  double next = interval_.as_seconds();
  int heeded = 0; // signals
  while (!all_done()) {
    const double t = now();
    const double until = std::min({next, t < end ? end : 1e18, awaits_measuring() ? measure_at : 1e18,
                                   t + (search_.on() ? 0.02 : 0.1)});
    // Short, so that a signal or the end is soon seen; and few, for the cores are the run's.
    while (now() < until && stop_signals() == heeded && !all_done() && (stopped_.ns != 0 || offering()))
      std::this_thread::sleep_for(std::chrono::duration<double>(std::clamp(until - now(), 0.0, 0.01)));
    if (awaits_measuring() && now() >= measure_at) begin_measuring();
    if (load_.connections != 0 && offering()) follow();
    if (!offering()) end_measuring();
    if (now() >= next) {
      take_interval();
      next += interval_.as_seconds();
    }
    if (search_.on()) {
      const Totals totals = totals_of(stations_);
      const observe::Interval lately = between(before, totals, stations_);
      if (lately.seconds > 0.5) before = totals;
      if (const auto rate = search_.look(sight_of(now(), totals, lately, errors()), p99))
        control_.cps.store(*rate, std::memory_order_relaxed);
      if (search_.over()) stop();
    }
    if (now() >= end) stop();
    heeded = stop_signals();
    const std::string why = heeded != 0 ? by_signal : fault();
    if (!why.empty() && !result_.summary.interrupted) {
      stop();
      search_.interrupted("it was " + why);
      result_.summary.interrupted = true;
      result_.summary.interrupted_reason = why;
    }
  }
  take_interval();
  end_measuring();
}

void Watch::rates(observe::Summary& s) const {
  const std::int64_t stopped = clients_stopped();
  std::int64_t began = INT64_MAX;
  std::uint64_t completed = 0;
  std::uint64_t requests = 0;
  std::uint64_t bytes = 0;
  for (const LoadStation* c : clients_) {
    began = std::min(began, c->began_ns.load(std::memory_order_relaxed));
    completed += c->completed_when_stopped.load(std::memory_order_relaxed);
    requests += c->requests_when_stopped.load(std::memory_order_relaxed);
    bytes += c->bytes_when_stopped.load(std::memory_order_relaxed);
  }
  if ((load_.ramp + load_.warmup) > Duration{}) began = base_.ns;
  if (!measuring_) return; // it ended before there was anything to measure
  s.seconds = std::max(0.0, static_cast<double>(stopped - began) * 1e-9);
  const auto rate = [&](std::uint64_t n, std::uint64_t before) {
    return s.seconds > 0 && n > before ? static_cast<double>(n - before) / s.seconds : 0;
  };
  s.cps = rate(completed, base_.completed);
  s.requests_per_second = rate(requests, base_.requests);
  s.response_bytes_per_second = rate(bytes, base_.response_bytes);
  const double whole = static_cast<double>(stopped_.ns - base_.ns) * 1e-9;
  if (whole <= 0) return;
  s.rx_bits_per_second = static_cast<double>(stopped_.rx_bytes - base_.rx_bytes) * 8 / whole;
  s.tx_bits_per_second = static_cast<double>(stopped_.tx_bytes - base_.tx_bytes) * 8 / whole;
}

// A benchmark must not blame the device for the tester.
void Watch::tester(observe::Summary& s) const {
  if (search_.on()) { // it judges each step
    s.client_limited_reason = search_.tester_limit();
    s.client_limited = !s.client_limited_reason.empty();
    return;
  }
  const bool asks = !load_.rps.is_max();
  TesterSight seen{.closed_loop = s.closed_loop,
                   .late = stopped_.late - base_.late,
                   .due = asks ? stopped_.requests - base_.requests : stopped_.attempted - base_.attempted,
                   .what = asks ? "requests" : "opens"};
  for (const observe::CoreLoad& c : between(base_, stopped_, stations_).cores)
    if (c.role != "server") seen.busy = std::max(seen.busy, c.busy);
  s.client_limited_reason = limit_of_tester(seen);
  s.client_limited = !s.client_limited_reason.empty();
}

// Of each client core, the first of the cores, and of all together.
void Watch::latencies(observe::Summary& s) const {
  StageLatencies all;
  for (std::size_t k = 0; k < clients_.size(); ++k) {
    StageLatencies one = latencies_of(clients_.subspan(k, 1));
    if (s.seconds > 0 && !base_latencies_.empty()) one = one.since(base_latencies_[k]);
    s.cores[k].latency_us = one.stages();
    all.merge(one);
  }
  s.latency_us = all.stages();
  s.histogram = {bars_of(all.connect), bars_of(all.first_byte), bars_of(all.response), bars_of(all.close)};
}

void Watch::conclude() {
  observe::Summary& s = result_.summary;
  const Totals end = totals_of(stations_);
  s.closed_loop = load_.cps.is_max() && load_.rps.is_max() && !search_.on();
  rates(s);
  s.requests = end.requests;
  s.response_bytes = end.response_bytes;
  std::uint64_t unfinished = 0;
  std::uint64_t waited = 0;
  std::uint64_t status = 0;
  std::uint64_t strange = 0;
  std::uint64_t open = 0;
  std::uint64_t unasked = 0;
  std::uint64_t unopened = 0;
  std::uint64_t unknown = 0;
  for (const LoadStation* c : clients_) {
    unfinished += c->load->load.get(Load::unfinished);
    s.live_peak += c->load->live_peak.load(std::memory_order_relaxed);
    waited += c->load->load.get(Load::no_port);
    status += c->load->load.get(Load::bad_status);
    strange += c->load->load.get(Load::not_http);
    open += c->load->load.get(Load::never_closed);
    unasked += c->load->load.get(Load::never_asked);
    unopened += c->load->load.get(Load::never_opened);
    unknown += c->load->load.get(Load::not_compared);
  }
  s.connections = {end.attempted, end.established, end.completed, unfinished, end.failed};
  s.packets = end.packets;
  finish_intervals({end, latencies_of(clients_)});
  const std::span<const Station* const> all{stations_};
  s.cycles_per_connection = {cycles_each(all.first(clients_.size()), end.completed),
                             cycles_each(all.subspan(clients_.size()), end.completed)};
  tell_cores(s, end, between(base_, stopped_, stations_), stations_);
  latencies(s);
  if (s.seconds > 0) tester(s);
  s.memory = memory();
  const auto note = [&](std::uint64_t n, const char* what) {
    if (n != 0) s.notes.push_back(fmt::format("{} {}", n, what));
  };
  if (s.seconds <= 0)
    s.notes.emplace_back(
        "nothing was measured, for --ramp and --warmup were not over before the load was; latencies are "
        "of all that ran");
  if (s.live_peak < load_.concurrency && load_.connections == 0)
    s.notes.push_back(
        fmt::format("{} connections were to be held, {} were open at most: give them time with --ramp, "
                    "or see above what failed",
                    load_.concurrency, s.live_peak));
  note(waited,
       "opens waited for a free port or record; a larger --sources prefix or --max-connections helps");
  // A hundredth may be a moment's, and so may a few.
  constexpr std::uint64_t few = 10;
  if (unasked > std::max(few, end.requests / 100))
    note(unasked, "requests were due and never asked: no connection was free");
  if (unopened > std::max(few, end.attempted / 100) && !search_.on())
    note(unopened,
         "connections were due and never opened: they waited until fewer were under way, or for a "
         "free port or record");
  note(status, "responses had an HTTP status of 400 or above");
  note(strange, "responses were not HTTP as this client understands it");
  note(unknown, "responses came before the first was known, and were not compared");
  note(open, "whole responses, but their server did not close: see --close");
  if (const auto full = s.packets.drops.find("impair_overflowed"); full != s.packets.drops.end())
    note(full->second,
         "packets were lost that --impair did not ask to lose: the link with its delay was full; more "
         "--packet-memory makes it longer");
  if (search_.on()) s.search = search_.result();
}

} // namespace tern::app
