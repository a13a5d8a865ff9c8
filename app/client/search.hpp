// --find-max: which rate the system under test just holds. Pure: it is told what was seen and says which rate
// to offer, so that a test can play any system.
//
//   settle → measure → judge → next rate → …     a rate that failed is let drain before the next is tried
//
// A rate has settled when as many connections end as begin: not before its first ones are over, or half a minute.
// Rates double until one fails; then the gap between the highest held and the lowest failed is halved until
// it is 2% of the rate. A rate that brings but a few connections in a step is not tried: chance would judge it.
//
// No rate is judged before the way to the target stands. And where nothing at all was completed, the rate or the target may be
// why: the highest rate that was held is tried again, or the lowest that can be judged where none was, and if nothing comes of
// that either, the target is gone.
#pragma once

#include <algorithm>
#include <optional>
#include <string>

#include "app/measure/station.hpp"
#include "observe/result.hpp"
#include "runtime/settings/schema.hpp"

namespace tern::app {

struct SearchSettings {
  bool on = false;
  settings::Percent max_loss{0.001};
  Duration max_p99{}; // zero: no limit
  settings::Rate first{10'000};
  settings::Rate most{settings::Rate::unlimited};
  Duration step = Duration::seconds(2);
};
void declare(settings::Schema&, SearchSettings&);
// A load fit to be searched with, and rates to begin and to end with; throws ConfigError where there are none. Who hangs
// must be given up before the next rate is judged: without a word of the user's, after a step.
struct LoadSettings;
void prepare(const settings::Schema&, SearchSettings&, LoadSettings&);
// What TIME-WAIT is to have room for: any rate that may be tried. And the connections beside those of any load: what the rate
// opens in two seconds, and what a rate that is too high leaves behind until it is given up.
[[nodiscard]] LoadSettings sized(const SearchSettings&, const LoadSettings&);
[[nodiscard]] std::uint32_t spare_connections(const SearchSettings&, const LoadSettings&);

// What is seen of the run at a moment; counts since its beginning.
struct Sight {
  double t = 0; // seconds
  std::uint64_t attempted = 0;
  std::uint64_t completed = 0;
  std::uint64_t failed = 0;
  std::uint64_t errors = 0; // of the completed, those whose response was no answer
  std::uint64_t late = 0;
  bool starved = false; // an open waits for a port or a record
  std::uint64_t live = 0;
  bool finding = false; // no client has found the way to the target: opens are withheld
  bool partly = false;  // some have not: their share is
  CoreTime client;      // lately
};

// Of connect and response, the one that took longer at its 99th percentile.
struct SlowestStage {
  double p99_us = 0; // 0: none was measured
  const char* stage = "";
};
[[nodiscard]] inline SlowestStage slowest(double connect_p99_us, double response_p99_us) {
  if (connect_p99_us > response_p99_us) return {connect_p99_us, "connect"};
  return {response_p99_us, "response"};
}

class Search {
 public:
  explicit Search(const SearchSettings& s) : settings_(s) {}

  [[nodiscard]] bool on() const { return settings_.on; }
  [[nodiscard]] bool over() const { return state_ == State::over; }
  // The rate to offer from now on; no value: as before. `p99(since_mark)` is the SlowestStage of what was recorded
  // since the last call with `mark`.
  template <class P99>
  [[nodiscard]] std::optional<double> look(const Sight& now, P99&& p99) {
    switch (state_) {
      case State::start:
        began_ = now.t;
        return offer(now, static_cast<double>(settings_.first.per_second));
      case State::settle:
        if (!settled(now)) return std::nullopt;
        (void)p99(true);
        begin_ = now;
        least_live_ = UINT64_MAX;
        busy_ = waited_ = looks_ = starved_ = 0;
        state_ = State::measure;
        return std::nullopt;
      case State::measure:
        busy_ += now.client.busy;
        waited_ += now.client.waited;
        starved_ += now.starved ? 1 : 0;
        ++looks_;
        if (now.t - begin_.t > 0.75 * settings_.step.as_seconds())
          least_live_ = std::min(least_live_, now.live);
        if (now.t - begin_.t < settings_.step.as_seconds()) return std::nullopt;
        judge(now, p99(false));
        return advance(now);
      case State::drain:
        // What a rate that was too high left behind must not be held against the next.
        if (now.live > drained_ && now.t - since_ < drain_seconds) return std::nullopt;
        return offer(now, next_);
      case State::over:
        break;
    }
    return std::nullopt;
  }
  [[nodiscard]] observe::Search result() const { return found_; }
  // How the tester, and not the system under test, was what ended it; empty: it was not.
  [[nodiscard]] const std::string& tester_limit() const { return tester_limit_; }
  // The target answered at first, and then no more: what was held before is what was found.
  [[nodiscard]] bool target_gone() const { return gone_; }
  // It never did.
  [[nodiscard]] bool target_silent() const { return silent_; }
  // It ended before it came to an end of its own.
  void interrupted(const std::string& why) {
    if (!over()) {
      found_.stopped = "before its time, " + why;
      tester_limit_.clear();
    }
    state_ = State::over;
  }

 private:
  enum class State { start, settle, measure, drain, over };
  static constexpr double settle_seconds = 0.3;     // at least
  static constexpr double most_settle_seconds = 30; // where none is over in that time
  static constexpr double drain_seconds = 10;
  static constexpr double most_finding_seconds = 15; // who knows the cause better mostly ends the run before
  static constexpr double resolution = 0.02;         // of the rate
  static constexpr double least_a_step = 10;         // connections
  static constexpr std::uint64_t drained_ = 16;

  std::optional<double> offer(const Sight& now, double rate) {
    offered_ = rate;
    since_ = now.t;
    opened_before_ = now.attempted;
    lifetime_ = 0;
    state_ = State::settle;
    return rate;
  }
  // A rate after one that failed.
  std::optional<double> drain(const Sight& now, double next) {
    next_ = next;
    since_ = now.t;
    state_ = State::drain;
    return -1; // LoadControl::paused
  }
  [[nodiscard]] bool settled(const Sight& now);
  void judge(const Sight& now, const SlowestStage& p99);
  std::optional<double> advance(const Sight& now);
  std::optional<double> bisect(const Sight& now);
  std::optional<double> end(std::string why);
  [[nodiscard]] double lowest() const { return least_a_step / settings_.step.as_seconds(); }

  SearchSettings settings_;
  State state_ = State::start;
  observe::Search found_;
  std::string tester_limit_; // of the lowest rate that was not held
  double offered_ = 0;
  double next_ = 0;
  double held_ = 0;         // the highest that was
  double failed_ = 0;       // the lowest that was not; 0: none yet
  bool answered_ = false;   // some were completed at the last rate
  bool asks_again_ = false; // whether the target answers at all, at a rate that it held or at the lowest
  bool gone_ = false;
  bool silent_ = false;
  double since_ = 0;
  double began_ = 0;
  std::uint64_t opened_before_ = 0; // at other rates
  double lifetime_ = 0;             // of this rate's first connections; 0: none of them is over
  Sight begin_;
  double busy_ = 0; // the sum of client.busy at each look of the step
  double waited_ = 0;
  double looks_ = 0;
  double starved_ = 0;           // so many looks saw an open wait for a port or a record
  std::uint64_t least_live_ = 0; // in the step's last quarter: one moment may be a pause of the machine's
};

} // namespace tern::app
