// Whom a client talks to: an address or a block of them, with a port or a range.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ip.hpp"
#include "runtime/settings/schema.hpp"
#include "runtime/settings/values.hpp"

namespace tern::app {

// "10.0.0.2:80", "10.0.0.2:80-89", "10.0.0.0/28:80", "[2001:db8::1]:80", "[2001:db8::/124]:80-81".
struct TargetRange {
  Prefix addresses;
  settings::PortRange ports;
  constexpr bool operator==(const TargetRange&) const = default;
  [[nodiscard]] std::uint64_t count() const; // saturates
};

// Every one of them, address by address. Only where count() is small enough to want that.
void expand(const TargetRange& range, std::vector<Endpoint>& to);

// Fails where a block holds addresses that are no host's on a network: groups, loopback, none at all. `who`: before what is
// said.
void refuse_no_hosts(const settings::Schema&, const char* option, const std::string& who, const Prefix&);

} // namespace tern::app

namespace tern::settings {

template <>
struct Value<app::TargetRange> {
  static constexpr std::string_view meta = "IP:PORT";
  static constexpr std::string_view expects =
      "an address and a port, such as 10.0.0.2:80, 10.0.0.2:80-89, 10.0.0.0/28:80 or [2001:db8::1]:80";
  static std::optional<app::TargetRange> parse(std::string_view);
  static std::string print(const app::TargetRange&);
};

} // namespace tern::settings
