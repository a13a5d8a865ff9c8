// What names a connection: remote and local address and port, as they lie in a received packet (the sender is
// remote).
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "base/endian.hpp"
#include "base/ip.hpp"

namespace tern {

// 12 bytes in network order: from a received packet, the 8 bytes of the two addresses and the 4 of the two
// ports.
struct FlowKey4 {
  Ip4 remote;
  Ip4 local;
  Be16 remote_port;
  Be16 local_port;
  bool operator==(const FlowKey4&) const = default;
};
static_assert(sizeof(FlowKey4) == 12 && alignof(FlowKey4) == 1 && std::is_trivially_copyable_v<FlowKey4>);

struct FlowKey6 {
  Ip remote;
  Ip local;
  Be16 remote_port;
  Be16 local_port;
  bool operator==(const FlowKey6&) const = default;
};
static_assert(sizeof(FlowKey6) == 36 && alignof(FlowKey6) == 1 && std::is_trivially_copyable_v<FlowKey6>);

// For records that hold the 12 bytes at any alignment: two loads and two compares.
[[nodiscard]] inline bool same_flow(const void* twelve_bytes, const FlowKey4& key) {
  std::uint64_t a[2];
  std::uint32_t p[2];
  const auto* bytes = static_cast<const std::byte*>(twelve_bytes);
  const auto* other = reinterpret_cast<const std::byte*>(&key);
  std::memcpy(&a[0], bytes, 8), std::memcpy(&a[1], other, 8);
  std::memcpy(&p[0], bytes + 8, 4), std::memcpy(&p[1], other + 8, 4);
  return ((a[0] ^ a[1]) | (p[0] ^ p[1])) == 0;
}

// Either family, for paths that are not hot: IPv4 addresses in their mapped form.
struct FlowKey : FlowKey6 {
  constexpr FlowKey() = default;
  constexpr FlowKey(const FlowKey6& k) : FlowKey6(k) {} // NOLINT: it is one
  constexpr FlowKey(const FlowKey4& k)                  // NOLINT: it is one
      : FlowKey6{Ip{k.remote}, Ip{k.local}, k.remote_port, k.local_port} {}
  constexpr FlowKey(const Endpoint& far, const Endpoint& near)
      : FlowKey6{far.ip, near.ip, Be16{far.port.raw()}, Be16{near.port.raw()}} {}
  [[nodiscard]] constexpr bool is_v4() const { return local.is_v4(); }
  [[nodiscard]] constexpr FlowKey4 v4() const { return {remote.v4(), local.v4(), remote_port, local_port}; }
};

} // namespace tern
