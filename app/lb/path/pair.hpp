// A proxied connection: the client's and the backend's, and what ties them.
#pragma once

#include <cstdint>

#include "app/lb/choose/slot.hpp"
#include "app/lb/guard/sources.hpp"
#include "flow/timer_wheel.hpp"
#include "runtime/connection.hpp"

namespace tern::app::lb {

enum class Side : std::uint8_t { client, backend };
[[nodiscard]] constexpr Side other(Side s) {
  return s == Side::client ? Side::backend : Side::client;
}

//  accepted ──▶ opening ──▶ open ──▶ (one leg ended badly: parting, or finishing) ──▶ free
//                │   ▲
//                └───┘ refused or too slow: the next backend, as long as no byte of the client's was passed
//                on
//
//  parting     what the lost leg said is delivered as far as it came, then the other is reset
//  finishing   the lost leg had said all, and its end was passed on: the other gets all of that, and its FIN
//
// One line:
//
//   | hook due | moved | client | backend | slot service | tried | phase flags | ticket |
struct alignas(64) Pair {
  TimerHook hook;
  Tick due = 0;
  std::uint32_t moved_ms = 0; // when a byte, or an end, last came by
  Connection client;
  Connection backend;
  Slot slot = no_slot;
  std::uint16_t service = 0;
  Slot tried[2] = {no_slot, no_slot}; // and found wanting; more than two are forgotten
  enum class Phase : std::uint8_t { opening, open, parting, finishing } phase = Phase::opening;
  std::uint8_t tries : 4 = 0;
  std::uint8_t client_open : 1 = 1; // on_closed has not come
  std::uint8_t backend_open : 1 = 0;
  std::uint8_t counted : 1 = 0;  // its end stands in the counters
  std::uint8_t credited : 1 = 0; // it holds one of its backend's connections
  std::uint8_t ended[2] = {};    // this side sent its FIN: 1; and the other was given it: 2
  SourceTicket ticket;

  [[nodiscard]] Connection& leg(Side s) { return s == Side::client ? client : backend; }
  [[nodiscard]] const Connection& leg(Side s) const { return s == Side::client ? client : backend; }
};
static_assert(sizeof(Pair) == 64, "one line");

} // namespace tern::app::lb
