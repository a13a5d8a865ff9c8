// What a handshake agreed on: the same few facts whether a SYN-RECEIVED record, a cookie or TIME-WAIT's reuse
// kept them.
#pragma once

#include <cstdint>

#include "base/seq.hpp"

namespace tern::tcp {

struct Handshake {
  Seq iss;                      // ours
  Seq irs;                      // theirs
  std::uint16_t peer_mss = 536; // as offered, or what is assumed of the family
  std::uint8_t snd_scale = 0;   // shift for windows we receive
  std::uint8_t rcv_scale = 0;   // shift for windows we send
  bool scaled = false;          // both sides sent the option
  bool sack = false;
  bool timestamps = false;
  bool ecn = false;
  std::uint32_t ts_recent = 0;      // the peer's last TSval
  std::uint32_t ts_offset = 0;      // ours: TSval = ms clock + offset
  std::uint32_t syn_window = 65535; // of the SYN, never scaled
  std::uint32_t sent_at_us =
      0; // when the SYN-ACK left, for the first RTT sample; meaningless if `timed` is false
  bool timed = false;
  std::uint8_t resent = 0; // how often the timer sent the SYN-ACK again
};

} // namespace tern::tcp
