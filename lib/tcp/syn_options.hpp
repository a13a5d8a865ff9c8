// What a SYN's options and our settings agree on, the same for records, cookies and TIME-WAIT's reuse.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "tcp/settings.hpp"
#include "wire/tcp.hpp"

namespace tern::tcp {

inline constexpr std::uint16_t least_mss = 88; // an absurd MSS makes absurd work (CVE-2019-11479)

[[nodiscard]] inline bool absurd_mss(const wire::TcpOptions& o) {
  return (o.has & wire::TcpOptions::mss_bit) != 0 && o.mss < least_mss;
}

struct SynOptions {
  std::uint16_t peer_mss = 0;
  std::uint8_t snd_scale = 0;
  bool scaled = false;
  bool sack = false;
  bool timestamps = false;
  bool ecn = false;
};

// `unsaid_mss`: the peer's, where no option says it.
[[nodiscard]] inline SynOptions agree(const Settings& s, const wire::Tcp& syn, std::uint16_t unsaid_mss) {
  using O = wire::TcpOptions;
  namespace flag = wire::tcp_flag;
  const O& o = syn.options;
  SynOptions a;
  a.peer_mss = (o.has & O::mss_bit) != 0 ? std::max(o.mss, least_mss) : unsaid_mss;
  a.scaled = s.window_scale && (o.has & O::wscale_bit) != 0;
  if (a.scaled) a.snd_scale = std::min<std::uint8_t>(o.wscale, 14); // RFC 7323 §2.3
  a.sack = s.sack && (o.has & O::sack_permitted_bit) != 0;
  a.timestamps = s.timestamps && o.has_timestamps();
  a.ecn = s.ecn && (syn.flags & (flag::ece | flag::cwr)) == (flag::ece | flag::cwr); // RFC 3168 §6.1.1
  return a;
}

// The smallest shift that lets the largest buffer be promised (RFC 7323 §2.2).
[[nodiscard]] constexpr std::uint8_t own_scale(const Settings& s) {
  const std::uint32_t largest = std::max(s.receive_buffer, s.receive_buffer_max);
  const std::uint32_t more_windows = largest == 0 ? 0 : (largest - 1) / 65535; // than one
  return static_cast<std::uint8_t>(std::min<int>(static_cast<int>(std::bit_width(more_windows)), 14));
}
// The window of a SYN-ACK: never scaled.
[[nodiscard]] constexpr std::uint16_t first_window(const Settings& s) {
  return static_cast<std::uint16_t>(std::min<std::uint32_t>(s.receive_buffer, 65535));
}

} // namespace tern::tcp
