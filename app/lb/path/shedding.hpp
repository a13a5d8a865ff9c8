// Who has to go when packets stay scarce. A pair whose reader stands still holds what its window let in, for as long as
// its peer likes; enough of them and nobody gets an answer any more, health checks included. So once packets have been
// critically scarce, now and then, for a second, pairs are reset that hold text and have stood still for long, until
// packets suffice. Who takes less than a floor counts as one who stands still (standing.hpp), and that rises from next to
// nothing: those who stand still go first, then the slowest.
//
//   still for 32 s ──a round of all pairs finds nobody──▶ for 16 s ──▶ … ──▶ for 1 s, and no less
//   and then, when nobody is found for a second:  256 bytes/s ──▶ 512 ──▶ … ──▶ 4096: who takes more may stay
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.hpp"
#include "tcp/env.hpp"

namespace tern::app::lb {

class Shedding {
 public:
  static constexpr Duration patience = Duration::seconds(1); // with packets that are scarce
  static constexpr Duration longest = Duration::seconds(32);
  static constexpr Duration shortest = Duration::seconds(1);
  static constexpr std::uint32_t least_floor = 256; // bytes a second
  static constexpr std::uint32_t most_floor = 4096; // a telephone at 50 kbit/s takes half as much again
  static constexpr Duration lapse =
      Duration::seconds(60); // scarce again before that: the floor is where it was

  // Below this answers are thrown away.
  [[nodiscard]] static bool starves(tcp::Scarcity s) { return s >= tcp::Scarcity::critical; }

  // Once a tick; whether pairs are to be reset now.
  bool look(Instant now, tcp::Scarcity s) {
    if (s == tcp::Scarcity::none) {
      since_ = Instant{};
      on_ = false;
      return false;
    }
    starving_ = starves(s);
    if (starving_) {
      if (since_ == Instant{}) begin(now);
      last_ = now;
    }
    if (on_ || since_ == Instant{} || now - since_ < patience || now - last_ >= patience) return on_;
    still_ = longest;
    found_ = now;
    ++episode_;
    on_ = true;
    return true;
  }
  // All pairs were looked at; so many were reset.
  void round(Instant now, std::uint32_t reset) {
    if (reset != 0) found_ = now;
    if (reset != 0 || !starving_) return;
    if (still_ > shortest) {
      still_ = std::max(shortest, Duration::ns(still_.as_ns() / 2));
      found_ = now;
    } else if (now - found_ > shortest) { // who is slower than the floor would have been found
      floor_ = std::min(most_floor, 2 * floor_);
      found_ = now;
    }
  }
  [[nodiscard]] bool on() const { return on_; }
  // Whether look() has to be told that packets suffice again.
  [[nodiscard]] bool watches() const { return since_ != Instant{}; }
  [[nodiscard]] Duration still() const { return still_; }      // who stood still for so long is reset
  [[nodiscard]] std::uint32_t floor() const { return floor_; } // who takes less stands still: bytes a second
  [[nodiscard]] std::uint32_t episode() const { return episode_; } // how often it began to reset pairs
  // Whether an answer that came within the last `d` may have been thrown away.
  [[nodiscard]] bool starved(Instant now, Duration d) const { return last_ != Instant{} && now - last_ <= d; }

 private:
  void begin(Instant now) {
    since_ = now;
    if (now - last_ >= lapse) floor_ = least_floor;
  }

  Instant since_; // they became critically scarce, since when they never sufficed; not set: they did not
  Instant last_;  // when they were so last
  Instant found_; // when a round last found somebody, or what it looks for changed
  Duration still_ = longest;
  std::uint32_t floor_ = least_floor;
  std::uint32_t episode_ = 0;
  bool on_ = false;
  bool starving_ = false;
};

} // namespace tern::app::lb
