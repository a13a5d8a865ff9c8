#include "app/server/watch.hpp"

#include <algorithm>
#include <utility>

namespace tern::app {
ServerWatch::ServerWatch(const OutputSettings& out, std::span<const Station* const> stations,
                         observe::Result& result)
    : stations_(stations),
      result_(result),
      live_(stdout, "tern server", out.quiet ? observe::Live::Mode::quiet : observe::Live::Mode::automatic,
            observe::Side::server),
      interval_(out.interval),
      keeps_(out.writes()) {}

Totals ServerWatch::totals(Instant now) const {
  Totals t = totals_of(stations_);
  t.ns = now.since_origin_ns();
  return t;
}

void ServerWatch::begin(Instant now) {
  base_ = last_ = totals(now);
  next_ = now + interval_;
}

void ServerWatch::look(Instant now) {
  if (now < next_) return;
  // Who was away for several takes one long interval, and no empty ones after it.
  while (next_ <= now) next_ = next_ + interval_;
  take_interval(totals(now));
}

observe::Interval ServerWatch::until(const Totals& now) const {
  observe::Interval i = between(last_, now, stations_);
  i.t = static_cast<double>(now.ns - base_.ns) * 1e-9;
  return i;
}

void ServerWatch::take_interval(const Totals& now) {
  if (keeps_)
    make_room(result_.intervals);
  else
    result_.intervals.clear(); // nobody will ask for them
  result_.intervals.push_back(until(now));
  live_.show(result_.intervals.back());
  before_ = std::exchange(last_, now);
}

// A drain without length is no interval of its own, whose rates would stand out.
void ServerWatch::take_last_interval(const Totals& end) {
  const bool whole = (end.ns - last_.ns) * 10 >= interval_.as_ns();
  if (whole || result_.intervals.empty()) return take_interval(end);
  last_ = before_;
  result_.intervals.back() = until(end);
}

void ServerWatch::stopping(Instant now) {
  stopped_ = totals(now);
}

void ServerWatch::conclude(Instant now, const std::string& why) {
  observe::Summary& s = result_.summary;
  const Totals end = totals(now);
  take_last_interval(end);
  const observe::Interval measured = between(base_, stopped_, stations_);
  s.seconds = measured.seconds;
  s.cps = measured.cps();
  s.accepted_per_second = measured.per_second(measured.established);
  s.requests_per_second = measured.per_second(measured.requests);
  s.requests = end.requests;
  s.rx_bits_per_second = measured.per_second(measured.rx_bytes) * 8;
  s.tx_bits_per_second = measured.per_second(measured.tx_bytes) * 8;
  const std::uint64_t ended = end.completed + end.failed.total();
  const std::uint64_t begun = std::max(end.established, ended);
  s.connections = {begun, begun, end.completed, begun - ended, end.failed};
  s.packets = end.packets;
  for (const Station* c : stations_) {
    s.live_peak += c->gauges->live_peak.load(std::memory_order_relaxed);
    add_defence(s.defence, *c->shard);
  }
  s.cycles_per_connection.server = cycles_each(stations_, ended);
  tell_cores(s, end, measured, stations_);
  s.memory = memory();
  s.cookie_share = cookie_share(stations_);
  s.interrupted = !why.empty();
  s.interrupted_reason = why;
}

} // namespace tern::app
