// What every campaign keeps of its run while it goes.
#pragma once

#include "campaign.hpp"
#include "sim/trace.hpp"

namespace tern::campaign {

// Sees all that happens on the network from its making on.
class RunLog {
 public:
  RunLog(sim::Network& net, const Watch& watch) : net_(net) {
    net.watch = [this, &watch](const sim::Sighting& s) {
      print_.add(s);
      last_ = s.at;
      if (watch) watch(net_, s);
    };
  }
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;
  ~RunLog() { net_.watch = {}; }

  void write(Result& r) const {
    r.fingerprint = print_.value();
    r.seconds = (last_ - Instant{}).as_seconds(); // the silence until the last timers is not counted
    r.events = net_.events();
    r.frames = net_.frames_sent();
  }

 private:
  sim::Network& net_;
  sim::Fingerprint print_;
  Instant last_;
};

// One seed's run, from nothing to the verdict.
template <class World>
Result play(std::uint64_t seed, PacketPool packets, const Watch& watch) {
  World world{seed, packets};
  Result r = world.run(watch);
  r.seed = seed;
  return r;
}

} // namespace tern::campaign
