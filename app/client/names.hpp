// The names of a client's next opens: target by target, drawn ahead of time, so that memory has what each will
// look up by the time it is opened (a random line of a large table costs as much as all the rest of an open).
#pragma once

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "flow/flow_hash.hpp"
#include "flow/port_pool.hpp"

namespace tern::app {

// All targets and sources are of the family of `Key`.
template <class Key>
class Names {
 public:
  struct Name {
    Key key;
    bool drawn = false;       // a port was found for it
    std::uint16_t target = 0; // its place among them
    FlowHash hash;
  };
  static constexpr std::uint32_t ahead = 16; // opens

  Names(const PortPool& pool, std::span<const Endpoint> targets, const Sources& sources, std::uint64_t seed)
      : pool_(pool), targets_(targets), sources_(sources) {
    for (const Endpoint& t : targets_) cursors_.push_back(pool_.cursor(t, seed));
  }

  // The name of the next open, until the next is asked for; and `aim(hash)` at the one that joins the line. Null where
  // the draw found no port for its target: the next may.
  template <class Aim>
  [[nodiscard]] const Name* take(const FlowHasher& hasher, Aim&& aim) {
    do put(last_++ % places, hasher, aim);
    while (last_ - next_ <= ahead);
    const Name& next = line_[next_++ % places];
    return next.drawn ? &next : nullptr;
  }

 private:
  template <class Aim>
  void put(std::uint32_t place, const FlowHasher& hasher, Aim& aim) {
    const std::size_t t = next_target_;
    if (++next_target_ == targets_.size()) next_target_ = 0;
    const std::optional<PortDraw> draw = pool_.next(cursors_[t], sources_);
    Name& n = line_[place];
    n.drawn = draw.has_value();
    n.target = static_cast<std::uint16_t>(t);
    if (!draw) return;
    const Endpoint& to = targets_[t];
    const Endpoint from = draw->local();
    const Be16 there{to.port.raw()};
    const Be16 here{from.port.raw()};
    if constexpr (std::is_same_v<Key, FlowKey4>) {
      n.key = {to.ip.v4(), from.ip.v4(), there, here};
      n.hash = hasher.of(n.key.remote.be().raw(), n.key.local.be().raw(),
                         there.raw() | std::uint32_t{here.raw()} << 16);
    } else {
      n.key = {to.ip, from.ip, there, here};
      n.hash = hasher(n.key);
    }
    aim(n.hash);
  }

  const PortPool& pool_;
  std::span<const Endpoint> targets_;
  const Sources& sources_;
  std::vector<PortCursor> cursors_;                  // one a target
  static constexpr std::uint32_t places = 2 * ahead; // a power of two
  std::array<Name, places> line_;
  std::uint32_t last_ = 0; // where the line ends
  std::uint32_t next_ = 0; // who is taken next
  std::size_t next_target_ = 0;
};

} // namespace tern::app
