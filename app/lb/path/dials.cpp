#include "app/lb/path/dials.hpp"

#include "app/lb/choose/credits.hpp"

namespace tern::app::lb {

void Dials::point(Slot slot, const Endpoint& to) {
  if (of_.size() <= slot) of_.resize(slot + std::size_t{1}, nowhere);
  if (of_[slot] != nowhere && all_[of_[slot]].remote == to) return;
  if (all_.size() >= 2 * most_backends) forget_unused();
  const auto [at, fresh] = by_address_.try_emplace(to, static_cast<std::uint32_t>(all_.size()));
  if (fresh) all_.emplace_back().remote = to;
  of_[slot] = at->second;
}

Connecting Dials::connect(CoreHandle& core, Slot slot, std::uint64_t word) {
  Dial& d = all_[of_[slot]];
  Connecting made = core.connect(d, word);
  for (unsigned i = 1; made.error == ConnectError::no_port && i < draws; ++i) made = core.connect(d, word);
  return made;
}

// Addresses that no slot leads to any more: they were kept lest they come back.
void Dials::forget_unused() {
  std::vector<Dial> kept;
  by_address_.clear();
  for (std::uint32_t& place : of_) {
    if (place == nowhere) continue;
    const auto [at, fresh] =
        by_address_.try_emplace(all_[place].remote, static_cast<std::uint32_t>(kept.size()));
    if (fresh) kept.push_back(all_[place]);
    place = at->second;
  }
  all_ = std::move(kept);
}

} // namespace tern::app::lb
