// Round robin, weighted or not, as a list of turns made beforehand: a pick is one load, and what a core keeps
// of its own is one number.
#pragma once

#include <span>
#include <vector>

#include "app/lb/choose/slot.hpp"

namespace tern::app::lb {

inline constexpr std::size_t most_turns = 65'536; // weights whose sum is larger are rounded to fit

// Smooth weighted round robin, as nginx's: at each turn everybody gains its weight, whoever has most is
// chosen and pays the sum of all. So 5:1:1 is a a b a c a a, not a a a a a b c. In order of ids, whatever the
// members' order.
[[nodiscard]] std::vector<Slot> make_turns(std::span<const Member> members);

} // namespace tern::app::lb
