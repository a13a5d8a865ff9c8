// Which descriptors tell that a DPDK port has received something.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace tern::io {

// One descriptor a queue of a started port, or none at all.
struct WakeDescriptors {
  std::vector<int> of_queue;
  bool armed = false; // they tell of what comes after rte_eth_dev_rx_intr_enable, once
};

// By DPDK's receive interrupts, which must have been asked for when the port was configured; where the driver
// has none but its queues are sockets of the kernel's (net_af_packet, net_af_xdp), by these.
[[nodiscard]] WakeDescriptors find_wake_descriptors(std::uint16_t port, std::string_view driver,
                                                    std::uint16_t queues);

} // namespace tern::io
