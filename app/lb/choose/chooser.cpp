#include "app/lb/choose/chooser.hpp"

#include <algorithm>

#include "app/lb/choose/turns.hpp"

namespace tern::app::lb {

Chooser::Chooser(Method method, std::span<const Member> members, SipKey seed) : method_(method) {
  for (Member m : members) {
    if (m.weight == 0) continue;
    if (method == Method::round_robin) m.weight = 1;
    members_.push_back(m);
  }
  std::ranges::sort(members_, {}, &Member::id);
  if (members_.empty()) return;
  if (method == Method::maglev || method == Method::source) {
    table_.resize(maglev_slots);
    fill_maglev(table_, members_, seed);
  } else if (method != Method::least_connections) {
    table_ = make_turns(members_);
  }
}

} // namespace tern::app::lb
