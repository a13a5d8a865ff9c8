// Where active opens come from: our address and port for a remote, so that the replies reach the core that
// opens. Ports are found in O(1) (flow/port_pool.hpp); whether one is taken is asked of the flow table.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "flow/port_pool.hpp"
#include "io/steering.hpp"
#include "net/interface.hpp"

namespace tern {

struct DialSettings {
  std::vector<Prefix> sources; // every address of these; none: our own address on the way to the remote
  PortRange ports;             // 1024-65535
  std::uint64_t seed = 1; // where cursors start: random, lest a restarted process repeats its last tuples
};

// One for all cores, made at start, never changed.
class DialPlan {
 public:
  // std::invalid_argument for settings that name nothing; `sources` must be addresses of `self`.
  DialPlan(const net::Interface& self, const io::Steering& steering, const DialSettings& settings);

  static constexpr std::uint32_t none = UINT32_MAX;
  // Which of the choices serves this remote; `none` if we have no address of its family.
  [[nodiscard]] std::uint32_t choice_for(const Ip& remote) const;
  [[nodiscard]] const Sources& sources(std::uint32_t choice) const { return choices_[choice]; }
  [[nodiscard]] const PortTable& table() const { return table_; }
  [[nodiscard]] std::span<const io::CoreId> owners() const { return owners_; }
  [[nodiscard]] std::uint64_t seed() const { return seed_; }

 private:
  const net::Interface& self_;
  PortTable table_;
  std::vector<io::CoreId> owners_;
  std::vector<Sources> choices_; // given ones: one a family; else one an address of ours
  std::vector<Ip> own_;          // the address of each choice, where none were given
  std::uint64_t seed_;
};

// Whether every core finds ports for every tuple, all ports but the reserved ones being there: not under a key that
// repeats itself.
[[nodiscard]] bool spans(const io::Steering&);

// A remote, and where this core stands with the ports towards it. Kept by whoever opens many connections to
// it.
struct Dial {
  Endpoint remote;
  std::uint32_t choice = DialPlan::none;
  bool checked = false; // that there is a way and a source
  PortCursor at;
};

// One a core.
class Dialer {
 public:
  Dialer(const DialPlan& plan, io::CoreId core);

  // `choice` is none if there is no source for it. Each begins elsewhere among its remote's ports: what an earlier one
  // has opened is not tried first.
  [[nodiscard]] Dial dial(const Endpoint& remote);
  // The one of a small table of those lately used: a remote that was pushed out starts elsewhere among its
  // ports, which is as good.
  [[nodiscard]] Dial& recent(const Endpoint& remote);
  // The next local endpoint of which `taken(PortDraw)` says no; none after a bounded number of tries.
  template <class Taken>
  [[nodiscard]] bool draw(Dial& d, Taken&& taken) {
    return pool_.draw(d.at, plan_.sources(d.choice), taken).has_value();
  }
  [[nodiscard]] const Counters<PortCount>& counts() const { return pool_.counts(); }

 private:
  const DialPlan& plan_;
  PortPool pool_;
  std::uint64_t seed_;
  std::uint64_t dialled_ = 0;
  std::vector<Dial> recent_;
};

} // namespace tern
