// Who has to go when packets stay scarce. A pair whose reader stands still holds what its window let in, for as long as
// its peer likes; enough of them and nobody gets an answer any more, health checks included. So once packets have been
// critically scarce, now and then, for a second, pairs are reset that hold text and have stood still for long, until packets suffice.
//
//   still for 32 s ──a round of all pairs finds nobody──▶ for 16 s ──▶ … ──▶ for 1 s, and no less: who moves may stay
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
      last_ = now;
      if (since_ == Instant{}) since_ = now;
    }
    if (on_ || since_ == Instant{} || now - since_ < patience || now - last_ >= patience) return on_;
    still_ = longest;
    on_ = true;
    return true;
  }
  // All pairs were looked at; so many were reset.
  void round(std::uint32_t reset) {
    if (reset == 0 && starving_) still_ = std::max(shortest, Duration::ns(still_.as_ns() / 2));
  }
  [[nodiscard]] bool on() const { return on_; }
  // Whether look() has to be told that packets suffice again.
  [[nodiscard]] bool watches() const { return since_ != Instant{}; }
  [[nodiscard]] Duration still() const { return still_; } // who stood still for so long is reset
  // Whether an answer that came within the last `d` may have been thrown away.
  [[nodiscard]] bool starved(Instant now, Duration d) const { return last_ != Instant{} && now - last_ <= d; }

 private:
  Instant since_; // they became critically scarce, since when they never sufficed; not set: they did not
  Instant last_;  // when they were so last
  Duration still_ = longest;
  bool on_ = false;
  bool starving_ = false;
};

} // namespace tern::app::lb
