#include "app/lb/choose/chooser.hpp"

#include <algorithm>
#include <iterator>

#include "app/lb/choose/turns.hpp"

namespace tern::app::lb {

Chooser::Chooser(Balance balance, std::span<const Member> members, SipKey seed) : balance_(balance) {
  std::ranges::copy_if(members, std::back_inserter(members_), [](const Member& m) { return m.weight != 0; });
  std::ranges::sort(members_, {}, &Member::id);
  if (members_.empty()) return;
  if (balance == Balance::maglev || balance == Balance::source_hash) {
    table_.resize(maglev_slots);
    fill_maglev(table_, members_, seed);
  } else if (balance != Balance::least_connections) {
    table_ = make_turns(members_);
  }
}

} // namespace tern::app::lb
