// A row of the state × event table, read.
#pragma once

#include <cstdint>
#include <string>

namespace tern::rfc {

// One row: "ACK+FIN at ack una", "data last ack una", "SYN irs", "user close", "timer retransmission".
struct Happening {
  std::uint8_t flags = 0;
  bool data = false;
  std::string where;
  std::string ack;
  std::string user;
  std::string timer;
};

inline constexpr std::uint32_t piece = 100; // text of one segment

// What the row does to a machine that has no Tcb: the listener, its half-open record, TIME-WAIT.
enum class Door : std::uint8_t { Listen, HalfOpen, TimeWait };
[[nodiscard]] std::string door_cell(Door, const Happening&);

} // namespace tern::rfc
