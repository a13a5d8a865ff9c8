#include "app/lb/choose/maglev.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace tern::app::lb {
namespace {

// One member's walk: which slot it wants next, and how much of its weight it has used up.
struct Walk {
  std::uint32_t next;
  std::uint32_t skip;
  std::uint32_t weight;
  std::uint64_t credit; // in weights: it claims while there is the heaviest's worth
  Slot slot;
};

std::uint64_t hash_of(SipKey seed, std::uint64_t id, std::uint64_t which) {
  Sip13 s{seed};
  s.word(id);
  return s.finish(which, 9);
}

} // namespace

void fill_maglev(std::span<Slot> table, std::span<const Member> members, SipKey seed) {
  std::ranges::fill(table, no_slot);
  std::vector<Member> sorted;
  for (const Member& m : members)
    if (m.weight != 0) sorted.push_back(m);
  if (sorted.empty()) return;
  std::ranges::sort(sorted, {}, &Member::id);
  const std::uint64_t heaviest = std::ranges::max(sorted, {}, &Member::weight).weight;
  const auto size = static_cast<std::uint32_t>(table.size());
  std::vector<Walk> walks;
  for (const Member& m : sorted)
    walks.push_back({.next = static_cast<std::uint32_t>(hash_of(seed, m.id, 0) % size),
                     .skip = static_cast<std::uint32_t>(hash_of(seed, m.id, 1) % (size - 1)) + 1,
                     .weight = m.weight,
                     .credit = 0,
                     .slot = m.slot});
  std::uint32_t filled = 0;
  while (true) {
    for (Walk& w : walks) {
      w.credit += w.weight;
      if (w.credit < heaviest) continue;
      w.credit -= heaviest;
      while (table[w.next] != no_slot) {
        w.next += w.skip;
        if (w.next >= size) w.next -= size;
      }
      table[w.next] = w.slot;
      if (++filled == size) return;
    }
  }
}

} // namespace tern::app::lb
