// What a person should know of a run beside its figures: a line each.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "app/client/fates.hpp"
#include "app/client/verdict.hpp"
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
  if (withheld <= 0.01 || !(finding() || (late && !search_.on()))) return; // a search judges no rate before
  std::string when = "stood after " + observe::short_time_us(found * 1e6) + ": until then";
  if (finding()) // of those that were under way at the end one may have got through
    when = s.connections.established == 0 ? "never stood:" : "did not stand before the load was over:";
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

namespace {

void tell_fates(std::span<const LoadStation* const> clients, std::vector<std::string>& notes) {
  std::vector<std::span<const TargetFate>> fates;
  for (const LoadStation* c : clients) fates.emplace_back(c->load->targets);
  for (std::string& line : notes_of(fates)) notes.push_back(std::move(line));
}

// A server that closed first may remember a pair, and then answers its next SYN late.
std::string met_again(const observe::Summary& s, const LoadSettings& l,
                      std::span<const LoadStation* const> clients) {
  if (l.closer != Closer::server) return {}; // then it remembers none
  double pairs = 0;
  for (const LoadStation* c : clients) pairs += c->load->pairs;
  const std::uint64_t again = s.packets.retransmitted.syn;
  constexpr std::uint64_t few = 10;
  const auto attempted = static_cast<double>(s.connections.attempted);
  if (again <= std::max(few, s.connections.attempted / 100) || pairs <= 0 || attempted < 2 * pairs) return {};
  return fmt::format(
      "{} SYNs were sent again, and each pair of endpoints was used {:.0f} times: a server that still "
      "remembers one (in TIME-WAIT) answers late, which may be why; more --sources or --source-ports help "
      "then",
      again, attempted / pairs);
}

// Where all failed alike, the two ends may not mean the same thing.
std::string misunderstanding(const observe::Summary& s, const LoadSettings& l, std::uint64_t http) {
  const observe::Connections& c = s.connections;
  if (http != 0)
    return fmt::format(
        "{} responses began as HTTP's do, and --payload tcp expects other bytes: try --payload http", http);
  const std::uint64_t silent = c.failed.response_timeout + c.failed.short_response + c.unfinished;
  const bool all = silent != 0 && silent + c.failed.connect_timeout >= c.attempted;
  if (c.established == 0 || c.completed != 0 || s.response_bytes != 0 || !all || s.interrupted) return {};
  return l.payload == PayloadKind::tcp ? "the server accepted and said nothing: does it speak what --payload "
                                         "tcp sends? tern server --mode "
                                         "respond does; --payload http is for a web server"
                                       : "the server accepted and said nothing: does it speak HTTP there?";
}

} // namespace

void Watch::notes(observe::Summary& s) const {
  const auto note = [&](std::uint64_t n, const char* what) {
    if (n != 0) s.notes.push_back(fmt::format("{} {}", n, what));
  };
  if (s.seconds <= 0)
    s.notes.emplace_back(load_.ramp + load_.warmup > Duration{}
                             ? "nothing was measured, for --ramp and --warmup were not over before the load "
                               "was; latencies are "
                               "of all that ran"
                             : "nothing was measured: it was stopped before it began");
  if (search_.target_gone())
    s.notes.push_back(fmt::format(
        "the target stopped answering, even at a rate that it had held: {}/s is what it held before",
        observe::short_count(search_.result().found_cps)));
  // Whoever was told to stop may have stopped it before any could be; and a search leads with why it ended.
  if (std::string why = s.interrupted || search_.on() ? "" : came_to_nothing(s, load_); !why.empty())
    s.notes.push_back(std::move(why));
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
  tell_fates(clients_, s.notes);
  if (std::string why = misunderstanding(s, load_, count(Load::http_text)); !why.empty())
    s.notes.push_back(std::move(why));
  if (std::string why = met_again(s, load_, clients_); !why.empty()) s.notes.push_back(std::move(why));
  note(count(Load::cut_short), "connections were ended by the server before all their requests were asked");
  note(count(Load::bad_status), "responses had an HTTP status of 400 or above");
  note(count(Load::not_http), "responses were not HTTP as this client understands it");
  note(count(Load::not_compared), "responses came before the first was known, and were not compared");
  // Who closed for others closes: a FIN may have been lost, or the time too short for it.
  note(count(Load::never_closed),
       s.connections.completed == 0 ? "whole responses, but their server did not close: see --close"
       : load_.closer == Closer::server
           ? "whole responses, but their server's FIN did not come within --timeout, as others' did"
           : "whole responses, but their connections were not closed within --timeout, as others' were");
  if (const auto full = s.packets.drops.find("impair_overflowed"); full != s.packets.drops.end())
    note(full->second,
         "packets were lost that --impair did not ask to lose: the link with its delay was full; more "
         "--packet-memory makes it longer");
}

} // namespace tern::app
