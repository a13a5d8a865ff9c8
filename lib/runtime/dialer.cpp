#include "runtime/dialer.hpp"

#include <algorithm>
#include <stdexcept>

#include "base/siphash.hpp"

namespace tern {
namespace {

// All addresses of a block, which must be ours.
void add_block(Sources& to, const Prefix& p, const net::Interface& self) {
  if (p.count() > 1U << 24) throw std::invalid_argument(p.to_string() + ": more than 2^24 source addresses");
  const auto count = static_cast<std::uint32_t>(p.count());
  // A connection over IPv6 names its local address by its place among the interface's.
  const auto& named = self.addresses();
  const bool ours = p.base().is_v4()
                        ? self.owns(p.first()) && self.owns(p.at(count - 1))
                        : count == 1 && std::any_of(named.begin(), named.end(),
                                                    [&](const net::Address& a) { return a.ip == p.base(); });
  if (!ours) throw std::invalid_argument(p.to_string() + ": these source addresses are not all ours");
  to.add(p.first(), count);
}

std::uint64_t mix(std::uint64_t seed, const Endpoint& remote) {
  const auto bytes = std::bit_cast<std::array<std::uint64_t, 2>>(remote.ip.bytes());
  std::uint64_t z = seed ^ bytes[0] * 0x9e3779b97f4a7c15 ^ bytes[1] * 0xbf58476d1ce4e5b9 ^
                    remote.port.raw() * 0x94d049bb133111ebULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

} // namespace

DialPlan::DialPlan(const net::Interface& self, const io::Steering& steering, const DialSettings& s)
    : self_(self),
      table_(steering.toeplitz(), static_cast<std::uint32_t>(steering.owners().size()), s.ports, s.seed),
      owners_(steering.owners().begin(), steering.owners().end()),
      seed_(s.seed) {
  for (const bool v4 : {true, false}) {
    Sources all;
    for (const Prefix& p : s.sources)
      if (p.base().is_v4() == v4) add_block(all, p, self);
    if (all.count() != 0) choices_.push_back(std::move(all));
  }
  if (!choices_.empty()) return;
  for (const net::Address& a : self.addresses()) {
    own_.push_back(a.ip);
    choices_.emplace_back().add(a.ip, 1);
  }
}

std::uint32_t DialPlan::choice_for(const Ip& remote) const {
  if (own_.empty()) {
    for (std::uint32_t i = 0; i < choices_.size(); ++i)
      if (choices_[i].blocks()[0].v4 == remote.is_v4()) return i;
    return none;
  }
  const auto ip = self_.source_for(remote);
  if (!ip) return none;
  const auto at = std::find(own_.begin(), own_.end(), *ip);
  return at == own_.end() ? none : static_cast<std::uint32_t>(at - own_.begin());
}

Dialer::Dialer(const DialPlan& plan, io::CoreId core)
    : plan_(plan),
      pool_(plan.table(), plan.owners(), core),
      seed_(mix(plan.seed() + core, {})),
      recent_(256) {}

bool spans(const io::Steering& s) {
  const PortTable table(s.toeplitz(), static_cast<std::uint32_t>(s.owners().size()), {}, 1);
  return table.spans(true) && table.spans(false);
}

Dial Dialer::dial(const Endpoint& remote) {
  Dial d;
  d.remote = remote;
  d.choice = plan_.choice_for(remote.ip);
  if (d.choice != DialPlan::none) d.at = pool_.cursor(remote, mix(seed_ + ++dialled_, remote));
  return d;
}

Dial& Dialer::recent(const Endpoint& remote) {
  Dial& d = recent_[mix(seed_, remote) % recent_.size()];
  if (d.remote != remote) [[unlikely]] {
    d = Dial{};
    d.remote = remote;
  }
  return d;
}

} // namespace tern
