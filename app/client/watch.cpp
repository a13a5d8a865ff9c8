#include "app/client/watch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "app/client/pace.hpp"
#include "runtime/signals.hpp"

namespace tern::app {
namespace {

std::int64_t monotonic_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Sight sight_of(double t, const Totals& before, const Totals& now, const observe::Interval& lately) {
  return {.t = t,
          .attempted = now.attempted,
          .completed = now.completed,
          .failed = now.failed.total(),
          .late = now.late,
          .live = now.live,
          .client = hardest_client(before, now, lately.cores)};
}

// Nothing was counted before the run, though the clients may be under way when the watch begins.
Totals beginning(std::span<const Station* const> stations, std::int64_t ns) {
  Totals t{.ns = ns};
  for (const Station* s : stations) {
    t.busy.push_back(s->busy_cycles());
    t.waited_ns.push_back(s->waited_ns());
    t.cores.push_back({.core = s->cpu, .role = s->role});
  }
  return t;
}

} // namespace

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
  return load_.verify ? 0 : count(Load::bad_status); // else such connections have failed
}

double Watch::longest(std::atomic<std::int64_t> LoadStats::*told) const {
  std::int64_t ns = 0;
  for (const LoadStation* s : clients_) ns = std::max(ns, (s->load->*told).load(std::memory_order_relaxed));
  return static_cast<double>(ns) * 1e-9;
}
double Watch::withheld_seconds() const {
  return longest(&LoadStats::withheld_ns);
}
double Watch::stood() const {
  if (stopped_.ns != 0) return stood_; // whatever a client that was away finds out later
  return search_.on() ? 0 : longest(&LoadStats::stood_ns);
}
bool Watch::finding() const {
  return std::any_of(clients_.begin(), clients_.end(),
                     [](const LoadStation* s) { return s->load->finding.load(std::memory_order_relaxed); });
}
// What the cores and the link did before is no part of what is measured. Connections count from the first: the clock of
// their rate stood.
void Watch::begin_behind_the_way() {
  constexpr double moment = 0.1;
  if (behind_the_way_ || finding()) return;
  behind_the_way_ = true;
  if (stood() < moment) return;
  Totals now = totals_of(stations_);
  for (const LoadStation* c : clients_) { // it is looked at now and then, and may have been so for a while
    const std::int64_t began = c->began_ns.load(std::memory_order_relaxed);
    if (began != 0) now.ns = std::min(now.ns, began + static_cast<std::int64_t>(stood() * 1e9));
  }
  static_cast<Tally&>(now) = base_;
  base_ = std::move(now);
}

void Watch::offer(double rate) {
  const std::int64_t ns = monotonic_ns();
  offered_ = offered_by(ns);
  offered_since_ns_ = ns;
  control_.cps.store(rate, std::memory_order_relaxed);
}
double Watch::offered_by(std::int64_t ns) const {
  if (stopped_.ns != 0) ns = std::min(ns, stopped_.ns);
  const double rate = std::max(control_.cps.load(std::memory_order_relaxed), 0.0);
  if (search_.on()) return offered_ + rate * static_cast<double>(ns - offered_since_ns_) * 1e-9;
  const double ramp = load_.ramp.as_seconds();
  const double put_off = ramp > 0 ? 0 : withheld_seconds();
  return due_by(rate, static_cast<double>(ns - began_ns_) * 1e-9 - put_off, ramp);
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
  stood_ = stood();
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
  double offered = std::max(to.offered - from.offered, 0.0);
  const auto at_most = [&](std::uint64_t all, std::uint64_t had) {
    offered = std::min(offered, static_cast<double>(all - std::min(all, had)));
  };
  if (load_.connections != 0) at_most(load_.connections, from.totals.attempted);
  // Of those that stay, for the ones that are not there yet, or went; but for what the end closes.
  if (load_.requests != 1 && load_.concurrency != 0) {
    const Totals& until = stopped_.ns != 0 && stopped_.ns < to.totals.ns ? stopped_ : to.totals;
    const auto ended = [](const Totals& at) { return at.completed + at.failed.total(); };
    at_most(load_.concurrency + ended(until) - std::min(ended(until), ended(from.totals)), from.totals.live);
  }
  i.offered_cps = i.seconds > 0 ? offered / i.seconds : 0;
  i.latency_us = to.latencies.since(from.latencies).stages();
  return i;
}

Watch::Moment Watch::moment() const {
  Totals totals = totals_of(stations_);
  const double offered = offered_by(totals.ns);
  return {std::move(totals), latencies_of(clients_), offered};
}

void Watch::take_interval() {
  Moment now = moment();
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
  result_.intervals.back() = interval(before_last_, end);
}

void Watch::run(const std::function<std::string()>& fault) {
  began_ns_ = offered_since_ns_ = monotonic_ns();
  base_ = beginning(stations_, began_ns_);
  last_.totals = base_;
  const auto awaits_measuring = [&] { return !measuring_ && offering(); };
  const double measure_at = (load_.ramp + load_.warmup).as_seconds();
  const auto end_at = [&] {
    return !load_.timed() || search_.on() ? 1e18 : measure_at + stood() + load_.duration.as_seconds();
  };
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
    const double end = end_at();
    const double until = std::min({next, t < end ? end : 1e18, awaits_measuring() ? measure_at : 1e18,
                                   t + (search_.on() ? 0.02 : 0.1)});
    // Short, so that a signal or the end is soon seen; and few, for the cores are the run's.
    while (now() < until && stop_signals() == heeded && !all_done() && (stopped_.ns != 0 || offering()))
      std::this_thread::sleep_for(std::chrono::duration<double>(std::clamp(until - now(), 0.0, 0.01)));
    if (awaits_measuring() && now() >= measure_at) begin_measuring();
    if (measure_at == 0 && !search_.on() && offering()) begin_behind_the_way();
    if (load_.connections != 0 && offering()) follow();
    if (!offering()) end_measuring();
    if (now() >= next) {
      take_interval();
      next += interval_.as_seconds();
    }
    if (search_.on()) {
      const Totals totals = totals_of(stations_);
      const observe::Interval lately = between(before, totals, stations_);
      Sight sight = sight_of(now(), before, totals, lately);
      if (lately.seconds > 0.5) before = totals;
      sight.errors = errors();
      sight.finding = std::all_of(clients_.begin(), clients_.end(), [](const LoadStation* c) {
        return c->load->finding.load(std::memory_order_relaxed);
      });
      sight.partly = finding();
      sight.starved = std::any_of(clients_.begin(), clients_.end(),
                                  [](const LoadStation* c) { return c->load->starved.load(); });
      if (const auto rate = search_.look(sight, p99)) offer(*rate);
      if (search_.over()) stop();
      if (search_.target_gone() || search_.target_silent()) {
        result_.summary.interrupted = true;
        result_.summary.interrupted_reason =
            search_.target_gone() ? "since the target stopped answering" : "since nobody answered";
      }
    }
    if (now() >= end_at()) stop();
    heeded = stop_signals();
    const std::string why = heeded != 0 ? by_signal : fault();
    if (!why.empty() && !result_.summary.interrupted) {
      stop();
      search_.interrupted(why);
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
  if (!measuring_) return; // it ended before there was anything to measure
  if ((load_.ramp + load_.warmup) > Duration{}) began = base_.ns;
  began += static_cast<std::int64_t>(stood() * 1e9);
  s.seconds = std::max(0.0, static_cast<double>(stopped - began) * 1e-9);
  const auto rate = [&](std::uint64_t n, std::uint64_t before) {
    return s.seconds > 0 && n > before ? static_cast<double>(n - before) / s.seconds : 0;
  };
  s.cps = rate(completed, base_.completed);
  s.requests_per_second = rate(requests, base_.requests);
  s.response_bytes_per_second = rate(bytes, base_.response_bytes);
  const double whole = static_cast<double>(stopped_.ns - base_.ns) * 1e-9;
  if (whole <= 0) return;
  const auto bits = [&](std::uint64_t observe::Packets::*of) {
    return static_cast<double>(stopped_.packets.*of - base_.packets.*of) * 8 / whole;
  };
  s.rx_bits_per_second = bits(&observe::Packets::rx_bytes);
  s.tx_bits_per_second = bits(&observe::Packets::tx_bytes);
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
                   .core = hardest_client(base_, stopped_, between(base_, stopped_, stations_).cores),
                   .late = stopped_.late - base_.late,
                   .due = asks ? stopped_.requests - base_.requests : stopped_.attempted - base_.attempted,
                   .starved = asks ? 0 : stopped_.starved - base_.starved,
                   .what = asks ? "requests" : "opens"};
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
  for (const LoadStation* c : clients_) s.live_peak += c->load->live_peak.load(std::memory_order_relaxed);
  s.connections = {end.attempted, end.established, end.completed, count(Load::unfinished), end.failed};
  s.packets = end.packets;
  finish_intervals({end, latencies_of(clients_), offered_by(end.ns)});
  const std::span<const Station* const> all{stations_};
  s.cycles_per_connection = {cycles_each(all.first(clients_.size()), end.completed),
                             cycles_each(all.subspan(clients_.size()), end.completed)};
  tell_cores(s, end, between(base_, stopped_, stations_), stations_);
  latencies(s);
  if (s.seconds > 0) tester(s);
  s.memory = memory();
  notes(s);
  if (search_.on()) s.search = search_.result();
}

} // namespace tern::app
