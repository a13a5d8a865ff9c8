#include "app/client/search.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "app/client/load.hpp"
#include "app/client/settings.hpp"
#include "app/client/tester.hpp"
#include "observe/units.hpp"

namespace tern::app {
namespace {

// How a reason begins that is the tester's, and not the system's under test.
constexpr std::string_view by_tester = "the tester itself opened ";

} // namespace

using settings::Range;

void declare(settings::Schema& s, SearchSettings& f) {
  s.group("search", "To find the highest rate that is held");
  s.add("find_max", f.on,
        "try rates, and say which is the highest that the system under test holds, and why");
  s.add("max_loss", f.max_loss, "held: no more failed connections than this");
  s.add("max_p99", f.max_p99,
        "held: 99% of connects, and 99% of responses, take no longer than this (0: no limit)",
        Range{Duration{}, Duration::seconds(60)});
  s.add("find_from", f.first, "the first rate to try", Range{settings::Rate{1}, settings::Rate{100'000'000}});
  s.add("find_to", f.most, "no rate above this is tried",
        Range{settings::Rate{1}, settings::Rate{settings::Rate::unlimited}});
  s.add("find_step", f.step,
        "how long to measure each rate; and how long a connection's step may take (1s to 5s of it), unless "
        "--timeout is given",
        Range{Duration::ms(100), Duration::seconds(3600)});
}

void prepare(const settings::Schema& s, SearchSettings& search, LoadSettings& l) {
  if (!search.on) {
    if (s.given("find_max")) return; // turned off, where a file may still say how it would have gone
    for (const char* name : {"max_loss", "max_p99", "find_from", "find_to", "find_step"})
      if (s.given(name)) s.fail(name, "is a search's; give --find-max, or leave it out");
    return;
  }
  l.searched = true;
  if (l.requests != 1) s.fail("find_max", "searches the rate of connections with one request each");
  if (l.connections != 0) s.fail("find_max", "runs until it has found the rate; leave --connections out");
  if (l.ramp > Duration{}) s.fail("find_max", "offers each rate at once; leave --ramp out");
  if (l.warmup > Duration{}) s.fail("find_max", "measures each rate once it has settled; leave --warmup out");
  if (s.given("duration"))
    s.fail("find_max",
           "runs until it has found the rate; leave --duration out, --find-step is a rate's time");
  if (!l.cps.is_max()) s.fail("find_max", "tries rates of its own; leave --cps out, see --find-from");
  if (l.concurrency != 0)
    s.fail("find_max", "wants each connection asked at once, and none held; leave --concurrency out");
  if (search.first == SearchSettings{}.first) search.first = std::min(search.first, search.most);
  if (search.most < search.first)
    s.fail("find_to",
           fmt::format("below the first rate to try, which is {} (--find-from); raise this or lower that",
                       settings::Value<settings::Rate>::print(search.first)));
  if (!s.given("timeout")) l.timeout = std::clamp(search.step, Duration::seconds(1), Duration::seconds(5));
}

LoadSettings sized(const SearchSettings& search, const LoadSettings& l) {
  LoadSettings all = l;
  if (search.on) all.cps = search.most, all.duration = Duration::seconds(120);
  return all;
}

std::uint32_t spare_connections(const SearchSettings& search, const LoadSettings& l) {
  if (!search.on) return 0;
  constexpr double most = 1e6;
  if (search.most.is_max()) return static_cast<std::uint32_t>(most);
  const double seconds = std::max(l.timeout.as_seconds(), 2.0);
  const double left = static_cast<double>(search.most.per_second) * seconds;
  return static_cast<std::uint32_t>(std::min(left, most));
}

// The first that were opened at this rate are over once as many are as had been opened at all before it. Half as long again,
// for others live longer.
bool Search::settled(const Sight& now) {
  const bool patient = now.t - began_ < most_finding_seconds;
  if ((now.finding || now.partly) && patient) { // what was opened so far is no rate
    since_ = now.t;
    opened_before_ = now.attempted;
    return false;
  }
  if (now.finding) return true;
  const double seconds = now.t - since_;
  if (lifetime_ == 0 && now.completed + now.failed > opened_before_) lifetime_ = seconds;
  if (lifetime_ == 0) return seconds >= most_settle_seconds;
  return seconds >= std::max(settle_seconds, 1.5 * lifetime_);
}

void Search::judge(const Sight& now, const SlowestStage& p99) {
  const double seconds = now.t - begin_.t;
  const auto attempted = static_cast<double>(now.attempted - begin_.attempted);
  const auto failed = static_cast<double>(now.failed - begin_.failed + now.errors - begin_.errors);
  // Who hangs has not failed yet: what is live beyond what that number varies by anyway.
  const auto live = static_cast<double>(std::min(least_live_, now.live));
  const auto was_live = static_cast<double>(begin_.live);
  const double hanging = std::max(0.0, live - was_live - drained_ - 4 * std::sqrt(live + was_live));
  const double lost = failed + hanging;
  observe::SearchStep step;
  step.offered_cps = offered_;
  step.cps = static_cast<double>(now.completed - begin_.completed) / seconds;
  step.loss = attempted + lost == 0 ? 0 : std::min(1.0, lost / std::max(attempted, lost));
  step.p99_us = p99.p99_us;
  // RFC 9411 §7.2.3.4: few failures, and a rate that deviates by less than 5%; of a few connections, some may
  // fall just outside.
  const auto late = static_cast<double>(now.late - begin_.late);
  const double busy = busy_ / looks_;
  // Open loop: a latency counts from when its connection was due, and has in it what the tester was late by.
  const bool tester_late = late > std::max(10.0, 0.01 * attempted) || busy > saturated_core;
  const std::string its_core = core_of_tester({busy, waited_ / looks_});
  const auto tester_was_late = [&] {
    return fmt::format("{}{:.0f}% more than 1 ms late, {}", by_tester, 100 * late / std::max(attempted, 1.0),
                       its_core);
  };
  // For half of the time, at the least, that the missing ones would have taken.
  const bool starved = starved_ > 0 && starved_ / looks_ >= 0.5 * (1 - attempted / (offered_ * seconds));
  const double enough = 0.95 * offered_ * seconds - 3;
  if (failed > settings_.max_loss.share * std::max(attempted, failed))
    step.reason = fmt::format("{:.3g}% failed", 100 * failed / std::max(attempted, failed));
  else if (attempted < enough && starved)
    step.reason = fmt::format(
        "only {}/s found a free port or record: name a larger --sources prefix, or more --max-connections",
        observe::short_count(attempted / seconds));
  else if (attempted < enough)
    step.reason =
        fmt::format("{}only {}/s, {}", by_tester, observe::short_count(attempted / seconds), its_core);
  else if (now.completed == begin_.completed) // at a few a second that may still be enough
    step.reason = "none was completed";
  else if (step.cps * seconds < enough)
    step.reason = tester_late ? tester_was_late()
                              : fmt::format("only {}/s were completed", observe::short_count(step.cps));
  else if (step.loss > settings_.max_loss.share)
    step.reason = fmt::format("{:.3g}% failed or were left unanswered", step.loss * 100);
  else if (settings_.max_p99 > Duration{} && p99.p99_us == 0)
    step.reason = "no latency was measured";
  else if (settings_.max_p99 > Duration{} &&
           p99.p99_us > static_cast<double>(settings_.max_p99.as_ns()) / 1000)
    step.reason = tester_late
                      ? tester_was_late()
                      : fmt::format("p99 of {} was {}", p99.stage, observe::short_time_us(p99.p99_us));
  if (now.finding) step.reason = "nobody answered: the way to the target never stood";
  step.held = step.reason.empty();
  // Of one or two it is not known yet.
  answered_ = now.completed != begin_.completed || now.attempted - begin_.attempted < 3;
  if (!step.held && !asks_again_) tester_limit_ = step.reason.starts_with(by_tester) ? step.reason : "";
  found_.steps.push_back(step);
}

std::optional<double> Search::end(std::string why) {
  found_.found_cps = held_;
  found_.stopped = std::move(why);
  state_ = State::over;
  return std::nullopt;
}

std::optional<double> Search::advance(const Sight& now) {
  if (now.finding) { // no other rate finds it
    failed_ = offered_;
    silent_ = true;
    return end(found_.steps.back().reason);
  }
  const std::string& why = found_.steps.back().reason;
  if (!answered_ && asks_again_) {
    gone_ = held_ != 0;
    tester_limit_ = held_ == 0 && why.starts_with(by_tester) ? why : "";
    return end(held_ != 0 ? "the target stopped answering"
                          : fmt::format("not even {}/s was held: {}", observe::short_count(offered_), why));
  }
  if (why.empty()) {
    held_ = std::max(held_, offered_);
    if (failed_ <= held_) failed_ = 0; // it was silent then, and is not now
  } else if (!asks_again_) {
    failed_ = offered_;
  }
  found_.found_cps = held_;
  if (!answered_) {
    asks_again_ = true;
    return drain(now, held_ != 0 ? held_ : std::min(offered_, lowest()));
  }
  // It answers, however well this time: the rate was too high.
  asks_again_ = false;
  return bisect(now);
}

std::optional<double> Search::bisect(const Sight& now) {
  const bool held = found_.steps.back().held;
  const double most = settings_.most.is_max() ? 1e12 : static_cast<double>(settings_.most.per_second);
  if (held && offered_ >= most)
    return end(fmt::format("--find-to: no rate above {}/s was to be tried", observe::short_count(most)));
  if (failed_ == 0) return offer(now, std::min(2 * offered_, most));
  const double middle = (held_ + failed_) / 2;
  if (failed_ - held_ <= std::max(1.0, resolution * failed_) || middle < lowest()) {
    std::string why;
    for (const observe::SearchStep& s : found_.steps)
      if (s.offered_cps == failed_) why = s.reason;
    return end(held_ == 0 ? fmt::format("not even {}/s was held: {}", observe::short_count(failed_), why)
                          : fmt::format("at {}/s {}", observe::short_count(failed_), why));
  }
  return held ? offer(now, middle) : drain(now, middle);
}

} // namespace tern::app
