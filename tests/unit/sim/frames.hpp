// Packets for the network's tests.
#pragma once

#include <cstring>
#include <string_view>

#include "sim/frame.hpp"
#include "wire/tcp_inl.hpp"

namespace tern::sim::test {

inline Frame segment(Ip4 src, Ip4 dst, const wire::Tcp& h, std::size_t text = 0, Ecn ecn = Ecn::not_ect) {
  Frame f;
  const std::size_t header = wire::emitted_length(h);
  const std::span<std::byte> room = start_ip(f, header + text);
  wire::emit_tcp(h, room.data());
  for (std::size_t i = 0; i < text; ++i) room[header + i] = static_cast<std::byte>(i);
  seal_tcp(f, src, dst, ecn);
  return f;
}

inline wire::Tcp tcp(std::uint32_t seq = 1, std::uint8_t flags = wire::tcp_flag::ack) {
  wire::Tcp h;
  h.src = Port{1000};
  h.dst = Port{80};
  h.seq = Seq{seq};
  h.flags = flags;
  h.window = 1000;
  return h;
}

} // namespace tern::sim::test
