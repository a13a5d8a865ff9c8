// The PROXY protocol (HAProxy's proxy-protocol.txt): who the client is, told to the backend before the
// client's first byte. Encoded once a connection into a few bytes on the stack.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/ip.hpp"

namespace tern::app::lb {

enum class ProxyProtocol : std::uint8_t { none, v1, v2 };

// The longest header: v1 with two whole IPv6 addresses is 104 bytes with us (107 with addresses written in
// full, as the document counts); v2 is 52.
using ProxyHeader = std::array<std::byte, 108>;

// What stands at the front of `out`. `client` and `service`: the two ends of the connection that the client
// made.
[[nodiscard]] std::span<const std::byte> proxy_header(ProxyProtocol, const Endpoint& client,
                                                      const Endpoint& service, ProxyHeader& out);

// The same for a connection of our own, such as a health check: v1 UNKNOWN, v2 LOCAL.
[[nodiscard]] std::span<const std::byte> proxy_header_local(ProxyProtocol, ProxyHeader& out);

} // namespace tern::app::lb
