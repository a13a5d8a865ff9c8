// Frames as far as RSS and steering look.
#pragma once

#include <algorithm>
#include <cstring>

#include "base/endian.hpp"
#include "base/ip.hpp"
#include "packet/packet.hpp"

namespace tern::io::test {

using tern::Port; // io has a concept of ports of another kind

struct Way {
  Ip src;
  Ip dst;
  std::uint16_t src_port = 0;
  std::uint16_t dst_port = 0;
  [[nodiscard]] Way back() const { return {dst, src, dst_port, src_port}; }
};

// An IP header with `n` bytes behind it, at `b`; how long it is.
inline std::size_t put_ip(std::byte* b, const Way& w, std::uint8_t protocol, std::uint16_t fragment = 0) {
  if (w.src.is_v4()) {
    b[0] = std::byte{0x45};
    store_be<std::uint16_t>(b + 2, 80);
    store_be<std::uint16_t>(b + 6, fragment);
    b[9] = std::byte{protocol};
    const Be32 src = w.src.v4().be();
    const Be32 dst = w.dst.v4().be();
    std::memcpy(b + 12, &src, 4);
    std::memcpy(b + 16, &dst, 4);
    return 20;
  }
  b[0] = std::byte{0x60};
  store_be<std::uint16_t>(b + 4, 40);
  b[6] = std::byte{protocol};
  std::memcpy(b + 8, w.src.bytes().data(), 16);
  std::memcpy(b + 24, w.dst.bytes().data(), 16);
  return 40;
}
inline std::size_t put_tcp(std::byte* b, const Way& w, std::uint16_t fragment = 0) {
  const std::size_t n = put_ip(b, w, 6, fragment);
  store_be<std::uint16_t>(b + n, w.src_port);
  store_be<std::uint16_t>(b + n + 2, w.dst_port);
  return n + 20;
}
inline std::byte* start_frame(Packet& p, bool v4, int tags = 0) {
  std::byte* b = p.append(160);
  std::fill_n(b, 160, std::byte{0});
  std::size_t at = 12;
  for (; tags > 0; --tags, at += 4) store_be<std::uint16_t>(b + at, 0x8100);
  store_be<std::uint16_t>(b + at, v4 ? 0x0800 : 0x86dd);
  return b + at + 2;
}
inline Packet tcp_frame(const PacketPool& pool, const Way& w, int tags = 0, std::uint16_t fragment = 0) {
  Packet p = pool.alloc();
  put_tcp(start_frame(p, w.src.is_v4(), tags), w, fragment);
  return p;
}
// An error from `router` to the sender of `what`, which it quotes.
inline Packet icmp_error(const PacketPool& pool, const Ip& router, const Way& what, std::uint8_t type) {
  Packet p = pool.alloc();
  std::byte* b = start_frame(p, router.is_v4());
  b += put_ip(b, {router, what.src}, router.is_v4() ? 1 : 58);
  b[0] = std::byte{type};
  put_tcp(b + 8, what);
  return p;
}

} // namespace tern::io::test
