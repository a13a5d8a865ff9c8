// Which backend a new connection goes to. Built off the packet path, never changed, shared by all cores; a
// pick allocates nothing and touches a few lines.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "app/lb/choose/maglev.hpp"
#include "app/lb/choose/slot.hpp"
#include "base/ip.hpp"
#include "base/siphash.hpp"

namespace tern::app::lb {

enum class Balance : std::uint8_t {
  maglev,               // by the client's address and port; the same on every node
  source_hash,          // by the client's address alone: a client stays with its backend
  round_robin,          // in turn, weights aside: whoever makes the members gives them weight_for()
  weighted_round_robin, // in turn, by weight
  least_connections,    // where there are fewest for its weight
};

// What of a backend's weight counts. Slow start's share of it does with every balance.
[[nodiscard]] constexpr std::uint32_t weight_for(Balance b, std::uint32_t weight) {
  return b == Balance::round_robin ? std::min(weight, 1U) : weight;
}

// The hash that a pick wants, of who connects. Balances that do not hash get 0.
[[nodiscard]] inline std::uint64_t hash_for(Balance m, SipKey seed, const Endpoint& client) {
  if (m != Balance::maglev && m != Balance::source_hash) return 0;
  Sip13 s{seed};
  std::uint64_t half = 0;
  std::memcpy(&half, client.ip.bytes().data(), 8);
  s.word(half);
  std::memcpy(&half, client.ip.bytes().data() + 8, 8);
  s.word(half);
  return s.finish(m == Balance::maglev ? client.port.raw() : 0U, 18);
}

class Chooser {
 public:
  Chooser() = default; // of nobody
  Chooser(Balance, std::span<const Member>, SipKey seed);

  // One of the members for which open(slot) is true; no_slot when it is true of none. `turn` is the core's
  // own; load(slot) is how many connections there are: least_connections asks. A member of weight 0 is never
  // chosen.
  //
  // A hashed connection whose backend is not open goes on by its hash, then in turn: with a few closed it
  // still finds the same second choice every time. So one that is full, or refused, sends its connections
  // everywhere.
  template <class Open, class Load>
  [[nodiscard]] Slot pick(std::uint32_t& turn, std::uint64_t hash, Open&& open, Load&& load) const;

  [[nodiscard]] bool empty() const { return members_.empty(); }
  [[nodiscard]] std::span<const Slot> table() const { return table_; }       // of turns, or of Maglev
  [[nodiscard]] std::span<const Member> members() const { return members_; } // of a weight, in order of ids

 private:
  static constexpr unsigned tries = 8;

  template <class Open>
  [[nodiscard]] Slot any(std::uint32_t& turn, Open& open) const {
    const auto n = static_cast<std::uint32_t>(members_.size());
    for (std::uint32_t i = 0, at = turn++ % n; i < n; ++i, at = at + 1 == n ? 0 : at + 1)
      if (open(members_[at].slot)) return members_[at].slot;
    return no_slot;
  }

  Balance balance_ = Balance::maglev;
  std::vector<Member> members_;
  std::vector<Slot> table_;
};

template <class Open, class Load>
Slot Chooser::pick(std::uint32_t& turn, std::uint64_t hash, Open&& open, Load&& load) const {
  if (members_.empty()) return no_slot;
  switch (balance_) {
    case Balance::maglev:
    case Balance::source_hash:
      for (unsigned i = 0; i < tries; ++i) {
        const Slot s = table_[place_of(hash, table_.size())];
        if (open(s)) return s;
        hash = hash * 0x9e37'79b9'7f4a'7c15 + 0xd1b5'4a32'd192'ed03; // another place, from the same beginning
        hash ^= hash >> 29;
      }
      break;
    case Balance::round_robin:
    case Balance::weighted_round_robin:
      for (unsigned i = 0; i < tries; ++i) {
        const Slot s = table_[turn++ % table_.size()];
        if (open(s)) return s;
      }
      break;
    case Balance::least_connections: {
      const auto n = static_cast<std::uint32_t>(members_.size());
      const Member* best = nullptr;
      std::uint64_t least = 0;
      // From another place each time, or equals would be filled in order.
      for (std::uint32_t i = 0, at = turn++ % n; i < n; ++i, at = at + 1 == n ? 0 : at + 1) {
        const Member& m = members_[at];
        const std::uint64_t l = std::uint64_t{load(m.slot)} + 1;
        if (best != nullptr && l * best->weight >= least * m.weight) continue;
        if (!open(m.slot)) continue;
        best = &m;
        least = l;
      }
      return best == nullptr ? no_slot : best->slot;
    }
  }
  return any(turn, open);
}

} // namespace tern::app::lb
