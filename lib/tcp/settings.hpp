// What a user can set of the engine. Immutable once running; many connections share one.
#pragma once

#include <cstdint>

#include "base/time.hpp"

namespace tern::tcp {

enum class CongestionControl : std::uint8_t { NewReno, Cubic };

struct Settings {
  // Options offered and accepted.
  bool sack = true;
  bool timestamps = true;
  bool window_scale = true;
  bool ecn = false;

  // Sending.
  CongestionControl congestion = CongestionControl::Cubic;
  bool hystart = true;
  bool nagle = true;
  std::uint16_t initial_window = 10;           // segments, RFC 6928
  std::uint32_t send_buffer = 256 * 1024;      // bytes queued and unacknowledged
  Duration rto_initial = Duration::seconds(1); // RFC 6298 §2.1
  Duration rto_min = Duration::ms(200);        // Differs: RFC 6298 §2.4 says 1 s; Linux's value
  Duration rto_max = Duration::seconds(120);
  std::uint8_t syn_retries = 6;    // as Linux's tcp_syn_retries
  std::uint8_t synack_retries = 5; // as Linux's tcp_synack_retries
  std::uint8_t data_retries = 15;  // as Linux's tcp_retries2
  std::uint8_t orphan_retries = 8; // once nobody owns the connection

  // Receiving.
  std::uint32_t receive_buffer = 64 * 1024;           // the first window
  std::uint32_t receive_buffer_max = 4 * 1024 * 1024; // auto-tuning stops here
  bool delayed_ack = true;
  Duration ack_delay = Duration::ms(40);

  // Life.
  Duration time_wait = Duration::seconds(60);  // 2MSL
  Duration fin_wait_2 = Duration::seconds(60); // orphans only
  // The peer closed, and the user neither closes nor sends nor reads: forgotten. Zero: for ever.
  Duration close_wait = Duration::seconds(7200);
  Duration keepalive_idle{}; // zero: off
  Duration keepalive_interval = Duration::seconds(75);
  std::uint8_t keepalive_probes = 9;
  Duration user_timeout{}; // RFC 5482; zero: off
};

} // namespace tern::tcp
