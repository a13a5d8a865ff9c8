#include "app/client/target.hpp"

#include <fmt/format.h>

namespace tern::app {

std::uint64_t TargetRange::count() const {
  return addresses.count() * (static_cast<std::uint64_t>(ports.last.raw() - ports.first.raw()) + 1);
}

void expand(const TargetRange& range, std::vector<Endpoint>& to) {
  const std::uint64_t addresses = range.addresses.count();
  for (std::uint64_t i = 0; i < addresses; ++i)
    for (std::uint32_t port = range.ports.first.raw(); port <= range.ports.last.raw(); ++port)
      to.push_back(
          {range.addresses.at(static_cast<std::uint32_t>(i)), Port{static_cast<std::uint16_t>(port)}});
}

void refuse_no_hosts(const settings::Schema& s, const char* option, const std::string& who, const Prefix& p) {
  struct Kind {
    const char* block;
    const char* what;
  };
  for (const Kind& k :
       {Kind{"0.0.0.0/8", "no address"}, Kind{"127.0.0.0/8", "loopback"}, Kind{"224.0.0.0/4", "multicast"},
        Kind{"255.255.255.255/32", "broadcast"}, Kind{"::/128", "no address"}, Kind{"::1/128", "loopback"},
        Kind{"ff00::/8", "multicast"}}) {
    const Prefix block = *Prefix::parse(k.block);
    if (block.base().is_v4() != p.base().is_v4()) continue;
    if (!block.contains(p.first()) && !p.contains(block.first())) continue;
    s.fail(option,
           fmt::format("{}{} is {}, or holds such: no host has it; name others", who,
                       p.length() == (p.base().is_v4() ? 32 : 128) ? p.base().to_string() : p.to_string(),
                       k.what));
  }
}

} // namespace tern::app

namespace tern::settings {

std::optional<app::TargetRange> Value<app::TargetRange>::parse(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view block = text.substr(0, colon);
  const bool bracketed = block.starts_with('[') && block.ends_with(']');
  if (bracketed) block = block.substr(1, block.size() - 2);
  const auto addresses = Value<Prefix>::parse(block);
  const auto ports = Value<PortRange>::parse(text.substr(colon + 1));
  // An IPv6 address stands in brackets: its last group would pass for a port.
  if (!addresses || !ports || ports->first.raw() == 0 || addresses->base().is_v4() == bracketed)
    return std::nullopt;
  return app::TargetRange{*addresses, *ports};
}

std::string Value<app::TargetRange>::print(const app::TargetRange& v) {
  const bool four = v.addresses.base().is_v4();
  const bool one = v.addresses.length() == (four ? 32 : 128);
  const std::string block = one ? v.addresses.base().to_string() : v.addresses.to_string();
  return (four ? block : "[" + block + "]") + ":" + Value<PortRange>::print(v.ports);
}

} // namespace tern::settings
