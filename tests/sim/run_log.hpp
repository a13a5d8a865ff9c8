// What every campaign keeps of its run while it goes.
#pragma once

#include <unordered_map>

#include "base/endian.hpp"
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
      note(s);
      if (watch) watch(net_, s);
    };
  }
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;
  ~RunLog() { net_.watch = {}; }

  // Weather may be fair and a road too narrow for all that want it: who meets a full queue at every other try, with
  // back-off between, is not heard before SYNs or TIME-WAIT are over, whatever its TCP does. Did the network swallow
  // so much of the connection that has this end? Five tries, and a quarter of its packets: chance, in fair weather,
  // takes a tenth at the most.
  [[nodiscard]] bool swallowed(Ip4 address, Port port) const {
    const auto at = luck_.find(key(address.host(), port.raw()));
    return at != luck_.end() && at->second.lost >= 5 && 3 * at->second.lost >= at->second.arrived;
  }
  // Another connection takes the end.
  void begin_anew(Ip4 address, Port port) { luck_.erase(key(address.host(), port.raw())); }

  void write(Result& r) const {
    r.fingerprint = print_.value();
    r.seconds = (last_ - Instant{}).as_seconds(); // the silence until the last timers is not counted
    r.events = net_.events();
    r.frames = net_.frames_sent();
  }

 private:
  struct Luck {
    std::uint32_t lost = 0; // either way; what is lost within `one_try` counts once
    std::uint32_t arrived = 0;
    Instant last;
  };
  static constexpr Duration one_try = Duration::ms(150); // less than the least RTO
  static std::uint64_t key(std::uint32_t address, std::uint16_t port) {
    return std::uint64_t{address} << 16 | port;
  }
  void note(const sim::Sighting& s) {
    using What = sim::Sighting::What;
    const bool lost = s.what == What::dropped || s.what == What::damaged;
    if (!lost && s.what != What::arrived) return;
    if (s.frame.size() < 24 || s.frame[9] != std::byte{sim::protocol_tcp}) return;
    for (const std::size_t end : {std::size_t{0}, std::size_t{1}}) { // source, destination
      Luck& l = luck_[key(load_be<std::uint32_t>(s.frame.data() + 12 + 4 * end),
                          load_be<std::uint16_t>(s.frame.data() + 20 + 2 * end))];
      if (!lost)
        ++l.arrived;
      else if (l.lost == 0 || s.at - l.last >= one_try)
        ++l.lost, l.last = s.at;
    }
  }

  sim::Network& net_;
  sim::Fingerprint print_;
  Instant last_;
  std::unordered_map<std::uint64_t, Luck> luck_; // by a connection's ends
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
