#include "io/shared_port.hpp"

namespace tern::io {

std::string_view name_of(PortCounter c) {
  constexpr std::string_view names[] = {"rx_packets", "tx_packets", "tx_backlogged", "tx_dropped",
                                        "tx_unsendable"};
  static_assert(std::size(names) == PortCounters::size);
  return names[static_cast<std::size_t>(c)];
}

std::string_view name_of(SteerCounter c) {
  constexpr std::string_view names[] = {"steer_handoff", "steer_ring_full", "steer_received", "tx_relayed"};
  static_assert(std::size(names) == SteerCounters::size);
  return names[static_cast<std::size_t>(c)];
}

} // namespace tern::io
