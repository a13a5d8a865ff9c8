// What a person should know of a run beside its figures: a line each.
#include <fmt/format.h>

#include <algorithm>

#include "app/client/watch.hpp"
#include "observe/units.hpp"

namespace tern::app {

std::uint64_t Watch::count(Load what) const {
  std::uint64_t n = 0;
  for (const LoadStation* c : clients_) n += c->load->load.get(what);
  return n;
}

// Where what was measured has time in it in which the rate was not offered.
void Watch::tell_way(observe::Summary& s) const {
  const double withheld = withheld_seconds();
  const double measured_at = (load_.ramp + load_.warmup).as_seconds();
  double found = 0;
  for (const LoadStation* c : clients_)
    found = std::max(found, static_cast<double>(c->load->found_ns.load(std::memory_order_relaxed)) * 1e-9);
  constexpr double moment = 0.1;
  const bool late = measured_at > 0 ? found > measured_at + moment : withheld > stood() + moment;
  if (search_.on() || withheld <= 0.01 || !(finding() || late)) return;
  const std::string when =
      finding() ? "never stood:" : "stood after " + observe::short_time_us(found * 1e6) + ": until then";
  s.notes.push_back(fmt::format(
      "the way to the target {} {}", when,
      load_.cps.is_max() ? "few connections were tried"
                         : fmt::format("{} opens of the rate were withheld", count(Load::withheld))));
}

// Whoever was told to stop knows why there are fewer.
void Watch::tell_held(observe::Summary& s) const {
  if (s.interrupted || load_.connections != 0 || s.live_peak >= load_.concurrency) return;
  s.notes.push_back(fmt::format(
      "{} connections were to be held, {} were open at most: {}", load_.concurrency, s.live_peak,
      load_.cps.is_max()
          ? "give them time with --ramp, or see above what failed"
          : fmt::format(
                "--cps {} brings no more before they end or the run does; raise it, or give them time "
                "with --ramp or a longer life, or see above what failed",
                settings::Value<settings::Rate>::print(load_.cps))));
}

void Watch::notes(observe::Summary& s) const {
  const auto note = [&](std::uint64_t n, const char* what) {
    if (n != 0) s.notes.push_back(fmt::format("{} {}", n, what));
  };
  if (s.seconds <= 0)
    s.notes.emplace_back(
        "nothing was measured, for --ramp and --warmup were not over before the load was; latencies are "
        "of all that ran");
  tell_way(s);
  tell_held(s);
  note(count(Load::no_port),
       "opens waited for a free port or record; a larger --sources prefix or --max-connections helps");
  // A hundredth may be a moment's, and so may a few.
  constexpr std::uint64_t few = 10;
  if (const std::uint64_t n = count(Load::never_asked); n > std::max(few, s.requests / 100))
    note(n, "requests were due and never asked: no connection was free");
  if (const std::uint64_t n = count(Load::never_opened);
      n > std::max(few, s.connections.attempted / 100) && !search_.on())
    note(n,
         "connections were due and never opened: they waited until fewer were under way, or for a "
         "free port or record");
  note(count(Load::cut_short), "connections were ended by the server before all their requests were asked");
  note(count(Load::bad_status), "responses had an HTTP status of 400 or above");
  note(count(Load::not_http), "responses were not HTTP as this client understands it");
  note(count(Load::not_compared), "responses came before the first was known, and were not compared");
  note(count(Load::never_closed), "whole responses, but their server did not close: see --close");
  if (const auto full = s.packets.drops.find("impair_overflowed"); full != s.packets.drops.end())
    note(full->second,
         "packets were lost that --impair did not ask to lose: the link with its delay was full; more "
         "--packet-memory makes it longer");
}

} // namespace tern::app
