#include "net/interface.hpp"

#include <algorithm>

namespace tern::net {
Interface::Interface(InterfaceSettings settings) : settings_(std::move(settings)) {
  if (settings_.service_vlan) tags_.push_back({wire::ether_type::service_vlan, *settings_.service_vlan});
  if (settings_.vlan) tags_.push_back({wire::ether_type::vlan, *settings_.vlan});
  const bool any6 = std::any_of(settings_.addresses.begin(), settings_.addresses.end(),
                                [](const Address& a) { return !a.ip.is_v4(); });
  if (any6 && settings_.link_local) settings_.addresses.push_back({link_local_of(settings_.mac), 64});
  std::memcpy(&mac_word_, settings_.mac.data(), settings_.mac.size());
  if (!tags_.empty()) mac_word_ = ~std::uint64_t{0};
  std::vector<Prefix> all = settings_.pools;
  for (const Address& a : settings_.addresses)
    all.emplace_back(a.ip, a.ip.is_v4() ? std::uint8_t{32} : std::uint8_t{128});
  for (const Prefix& p : all) {
    if (p.base().is_v4())
      blocks4_.emplace_back(p);
    else
      blocks6_.push_back(p);
  }
  for (const Address& a : settings_.addresses)
    if (a.ip.is_v4()) links4_.emplace_back(a.network());
  for (const Address& a : settings_.addresses)
    if (a.ip.is_v4()) {
      first4_ = a.ip.v4();
      break;
    }
}

bool Interface::owns(const Ip& ip) const {
  if (ip.is_v4()) return owns(ip.v4());
  return std::any_of(blocks6_.begin(), blocks6_.end(), [&](const Prefix& p) { return p.contains(ip); });
}

bool Interface::joined(const Ip& group) const {
  if (blocks6_.empty()) return false;
  if (group == all_nodes) return true;
  // A group holds the low 24 bits of its addresses: a block up to /104 has all of them, a longer one those
  // of its own prefix. Whether the target is ours is asked later anyway.
  return std::any_of(blocks6_.begin(), blocks6_.end(), [&](const Prefix& p) {
    return Prefix{solicited_node(p.base()), std::max<std::uint8_t>(p.length(), 104)}.contains(group);
  });
}

bool Interface::is_broadcast(Ip4 ip) const {
  if (ip.host() == 0xffffffff) return true;
  return std::any_of(settings_.addresses.begin(), settings_.addresses.end(), [&](const Address& a) {
    if (!a.ip.is_v4() || a.prefix_length > 30) return false;
    const Block4 network(a.network());
    return network.contains(ip) && (ip.be().raw() | network.mask) == ~std::uint32_t{0};
  });
}

bool Interface::on_link(const Ip& ip) const {
  if (ip.is_v4()) return on_link(ip.v4());
  if (is_link_local(ip)) return true;
  return std::any_of(settings_.addresses.begin(), settings_.addresses.end(),
                     [&](const Address& a) { return a.network().contains(ip); });
}

std::optional<Ip> Interface::source_for(const Ip& to) const {
  std::optional<Ip> first;
  for (const Address& a : settings_.addresses) {
    if (a.ip.is_v4() != to.is_v4()) continue;
    if (a.network().contains(to)) return a.ip;
    // A link-local source reaches nobody beyond the link.
    if (!first && (a.ip.is_v4() || !is_link_local(a.ip) || is_link_local(to))) first = a.ip;
  }
  return first;
}

} // namespace tern::net
