// What the tests of the small machines share: a host without records, and segments written in a line.
#pragma once

#include <cstring>

#include "tcp/env.hpp"
#include "tcp/listen.hpp"
#include "tcp/segment.hpp"
#include "tcp/syn_received.hpp"
#include "tcp/time_wait.hpp"

namespace tern::tcp::test {

namespace flag = wire::tcp_flag;
using O = wire::TcpOptions;

inline constexpr Instant t0 = Instant::at_ns(1'000'000'000'000);
inline constexpr SipKey master{0x0123456789abcdef, 0xfedcba9876543210};
inline constexpr std::uint32_t epoch = 27'000'000; // 64 s since 1970: some time in 2024

inline constexpr Seq irs{0xffff'fffe}; // the peer's SYN: its text begins just before the wrap
inline constexpr Seq iss{0xffff'ffff}; // ours: acknowledged by 0

struct Host {
  Settings settings;
  TcpCounters counters;
  Env env{.settings = settings, .counters = counters, .packets = {}, .side = {}};

  [[nodiscard]] std::uint64_t count(Counter c) const { return counters.get(c); }
};

inline wire::Tcp header(std::uint8_t flags, Seq seq, Seq ack = Seq{}) {
  wire::Tcp h;
  h.flags = flags;
  h.seq = seq;
  h.ack = ack;
  h.window = 50'000;
  return h;
}
inline wire::Tcp stamped(wire::Tcp h, std::uint32_t val, std::uint32_t ecr = 0) {
  h.options.has |= O::timestamps_bit;
  h.options.ts_val = val;
  h.options.ts_ecr = ecr;
  return h;
}
// A SYN as Linux sends it.
inline wire::Tcp full_syn(Seq seq = irs, std::uint32_t ts_val = 0xffff'fff0) {
  wire::Tcp h = stamped(header(flag::syn, seq), ts_val);
  h.options.has |= O::mss_bit | O::wscale_bit | O::sack_permitted_bit;
  h.options.mss = 1460;
  h.options.wscale = 7;
  return h;
}

inline Tuple4 tuple4(std::uint16_t port = 1024, std::uint32_t remote = 0x0a000001) {
  unsigned char b[12] = {};
  std::memcpy(b, &remote, 4);
  b[4] = 10, b[7] = 2;
  std::memcpy(b + 8, &port, 2);
  b[11] = 80;
  return Tuple4::from(b);
}
inline Tuple6 tuple6(std::uint16_t port = 1024, unsigned char last = 1) {
  unsigned char b[36] = {0x20, 0x01, 0x0d, 0xb8};
  b[15] = last;
  b[31] = 2;
  std::memcpy(b + 32, &port, 2);
  b[35] = 80;
  return Tuple6::from(b);
}

} // namespace tern::tcp::test
