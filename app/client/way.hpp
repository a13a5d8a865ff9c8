// The way to the target: until the first connection stands the others would only wait in a queue.
//
// It finds the way (ARP, routes) for all. But its SYN may be lost, or nobody live at the first of several targets: others
// follow, at the rate that was asked for. And what all responses are to be compared with is what the first one is: it is
// awaited alone, but for a second at most.
//
// Meanwhile a rate is not offered: what was due is withheld, nobody is late for want of a way, and the clock of what is
// measured stands still.
#pragma once

#include <algorithm>
#include <cstddef>

#include "app/client/load.hpp"
#include "base/time.hpp"

namespace tern::app {

class Way {
 public:
  Way(const LoadPlan& plan, LoadStats& stats) : plan_(plan), stats_(stats) {
    stats_.finding.store(!plan.rests, std::memory_order_relaxed);
  }

  [[nodiscard]] bool finding() const { return finding_; }
  // How long opens, or all that comes after them, were put off.
  [[nodiscard]] Duration withheld() const { return withheld_; }
  // How long the clock of what is offered and measured stood for it: not where a ramp or a warm-up comes first, nor without
  // end.
  [[nodiscard]] Duration stood() const {
    const Duration patience = std::min(plan_.timeout, Duration::seconds(10));
    return plan_.settles ? Duration{} : std::min(withheld_, patience);
  }

  // Once a turn while it is being found. `learns`: what responses are compared with is not known yet.
  void look(bool learns, Instant begun, Instant now) {
    const bool stands = stats_.load.get(Load::established) != 0;
    if (!stands) stood_at_ = now;
    learning_ = learns && now - stood_at_ < Duration::seconds(1);
    finding_ = !stands || learning_;
    // A number of connections, as fast as they are answered, is not over before they are: its clock has nothing to wait for.
    if (!paced_ && plan_.connections == 0) tell(now - begun);
    if (finding_) return;
    stats_.found_ns.store((now - begun).as_ns(), std::memory_order_relaxed);
    stats_.finding.store(false, std::memory_order_relaxed);
  }
  [[nodiscard]] bool learning() const { return learning_; }
  // What was due at `due` of a rate is due now.
  void put_off(Instant due, Instant now) {
    paced_ = true;
    if (due < now) tell(withheld_ + (now - due));
  }
  // Whether one more may try, of `live` and `attempted` so far, the last at `active`.
  [[nodiscard]] bool room(std::uint64_t live, bool learns, Instant active, Instant now) const {
    // As many as may wait for one neighbour's ARP; each target may have its own.
    const std::size_t most = std::clamp<std::size_t>(plan_.targets.size(), 4, 16);
    const Duration patience = Duration::ms(learns ? 1000 : 20);
    // Then one a second, as long as there are others: those that wait may all be of targets that are not there.
    if (live >= most && stats_.load.get(Load::attempted) >= plan_.targets.size()) return false;
    const Duration rest = live < most ? patience : Duration::seconds(1);
    return live == 0 || now - active >= rest;
  }

 private:
  void tell(Duration withheld) {
    withheld_ = withheld;
    stats_.withheld_ns.store(withheld.as_ns(), std::memory_order_relaxed);
    stats_.stood_ns.store(stood().as_ns(), std::memory_order_relaxed);
  }

  const LoadPlan& plan_;
  LoadStats& stats_;
  bool finding_ = true;
  bool learning_ = false;
  bool paced_ = false;
  Instant stood_at_; // when the first connection did
  Duration withheld_{};
};

} // namespace tern::app
