#include "app/lb/choose/turns.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>

namespace tern::app::lb {

std::vector<Slot> make_turns(std::span<const Member> members) {
  std::vector<Member> all;
  std::uint64_t sum = 0;
  std::uint32_t divisor = 0;
  for (const Member& m : members) {
    if (m.weight == 0) continue;
    all.push_back(m);
    sum += m.weight;
    divisor = std::gcd(divisor, m.weight);
  }
  if (all.empty()) return {};
  std::ranges::sort(all, {}, &Member::id);
  // Reduced; and scaled down where a list would be too long, but nobody to nothing.
  sum /= divisor;
  const std::uint64_t room = std::max(most_turns - std::min(most_turns / 2, all.size()), all.size());
  std::uint64_t total = 0;
  for (Member& m : all) {
    m.weight /= divisor;
    if (sum > room) m.weight = std::max(1U, static_cast<std::uint32_t>(std::uint64_t{m.weight} * room / sum));
    total += m.weight;
  }
  std::vector<Slot> turns;
  turns.reserve(total);
  std::vector<std::int64_t> has(all.size(), 0);
  for (std::uint64_t t = 0; t < total; ++t) {
    std::size_t best = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      has[i] += all[i].weight;
      if (has[i] > has[best]) best = i;
    }
    has[best] -= static_cast<std::int64_t>(total);
    turns.push_back(all[best].slot);
  }
  return turns;
}

} // namespace tern::app::lb
