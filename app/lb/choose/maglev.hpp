// Maglev hashing (Eisenbud et al., NSDI 2016, §3.4): a table from which every node of a cluster, by itself,
// reads the same backend for the same connection, and which moves few connections when a backend comes or
// goes.
#pragma once

#include <cstdint>
#include <span>

#include "app/lb/choose/slot.hpp"
#include "base/siphash.hpp"

namespace tern::app::lb {

inline constexpr std::uint32_t maglev_slots = 65'537; // prime, so that every skip visits every slot

// Fills the table, whose size is a prime. Depends on ids, weights and seed alone: not on the members' order.
// Each backend has a permutation of the slots from its id; they take turns, each turn as often as its weight
// says, and claim the next slot of theirs that is free. Members of weight 0 claim none; without any the table
// is all no_slot. Two members with one id would share one permutation: the configuration refuses a name given
// twice.
void fill_maglev(std::span<Slot> table, std::span<const Member> members, SipKey seed);

// Where in a table of this size a hash points.
[[nodiscard]] inline std::uint32_t place_of(std::uint64_t hash, std::size_t size) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint32_t>(static_cast<Wide>(hash) * size >> 64);
}

} // namespace tern::app::lb
