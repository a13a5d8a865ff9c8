#include "app/client/target.hpp"

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
