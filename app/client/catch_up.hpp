// Open loop, late: how many connections may be under way while opens past their time are made up.
//
// What is due on time is opened, whatever the system under test makes of it. But when this core was taken away, or the
// link took no more, thousands are due at once: opened at once they no longer fit the caches, each costs several times as
// much, more come late, and the rate is never reached again. So late opens wait until there is room: twice what is
// under way while all is well, or more if more turns out to help. Their time runs from when they were due all the same.
//
// Whether more helps depends on the path: a long one wants many under way, a busy processor few. It is found by trying, for
// as long as opens stay late: half as many again are kept if a tenth more got through, a third less if no fewer did;
// what was kept is tried again at once, what was not is undone, and after a rest the other is tried.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.hpp"

namespace tern::app {

class CatchUp {
 public:
  // `least`: so many may always be under way.
  explicit CatchUp(std::uint64_t least) : least_(least) {}

  // An open is on time, with `busy` under way.
  void on_time(std::uint64_t busy, Instant now) {
    if (late_ && now - late_at_ < period) return; // it struggles still
    late_ = false;
    busy_sum_ += busy;
    ++busy_seen_;
    if (now - calm_since_ >= period) learn(now);
  }
  // The next open is late: may it be made now? `through`: how many are no longer under way, since the beginning.
  [[nodiscard]] bool room(std::uint64_t busy, std::uint64_t through, Instant now) {
    late_at_ = now;
    if (!late_) begin(through, now);
    if (now >= judged_at_) judge(through, now);
    if (busy < limit_) return true;
    held_ = true;
    return false;
  }
  [[nodiscard]] std::uint64_t limit() const { return limit_; }

 private:
  static constexpr Duration period = Duration::ms(100);
  static constexpr int rest = 4; // periods between tries

  // A crowd is believed slowly: a server that was taken away for a while leaves one behind.
  void learn(Instant now) {
    const double mean = static_cast<double>(busy_sum_) / static_cast<double>(busy_seen_);
    calm_ += (mean - calm_) / (mean < calm_ || calm_ == 0 ? 1 : 16);
    busy_sum_ = busy_seen_ = 0;
    calm_since_ = now;
  }
  void begin(std::uint64_t through, Instant now) {
    late_ = true;
    limit_ = std::max(least_, static_cast<std::uint64_t>(2 * calm_));
    upwards_ = limit_ == least_;
    trying_ = false;
    wait_ = 1;
    start_period(through, now, 0);
  }
  void judge(std::uint64_t through, Instant now) {
    const double rate = static_cast<double>(through - through_then_) / (now - began_).as_seconds();
    const bool better = trying_ && rate >= (upwards_ ? 1.1 : 0.95) * rate_before_;
    const bool further = better && (upwards_ || limit_ > least_);
    if (trying_ && !better) limit_ = limit_before_;
    if (trying_ && !further) {
      upwards_ = !upwards_;
      wait_ = rest;
    }
    trying_ = further || (held_ && --wait_ <= 0);
    if (trying_) {
      limit_before_ = limit_;
      rate_before_ = rate;
      limit_ = upwards_ ? limit_ + limit_ / 2 : std::max(least_, limit_ - limit_ / 3);
    }
    start_period(through, now, rate);
  }
  // Long enough for those that a step let in to get through as well: two lives, by Little's law.
  void start_period(std::uint64_t through, Instant now, double rate) {
    const double lives = rate > 0 ? 2 * static_cast<double>(limit_) / rate : 0;
    began_ = now;
    judged_at_ = now + std::clamp(Duration::ns(static_cast<std::int64_t>(lives * 1e9)), period, period * 50);
    through_then_ = through;
    held_ = false;
  }

  std::uint64_t least_;
  double calm_ = 0; // the mean under way while all is well
  Instant calm_since_;
  std::uint64_t busy_sum_ = 0;
  std::uint64_t busy_seen_ = 0;
  bool late_ = false;
  Instant late_at_;
  std::uint64_t limit_ = 0;
  // Of the present period.
  Instant began_;
  Instant judged_at_;
  std::uint64_t through_then_ = 0;
  bool held_ = false; // an open waited for room
  // Of the present try.
  bool trying_ = false;
  bool upwards_ = false;
  std::uint64_t limit_before_ = 0;
  double rate_before_ = 0;
  int wait_ = 0;
};

} // namespace tern::app
