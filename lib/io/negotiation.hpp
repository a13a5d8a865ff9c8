// What a port can do, what was asked of it, and what comes of the two. Pure: a fake set of capabilities
// drives the tests.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tern::io {

// Who does a piece of work.
enum class Where : std::uint8_t { off, software, hardware };
[[nodiscard]] std::string_view name_of(Where w);

// As the driver tells it (rte_eth_dev_info and what could be read back), in terms of what Tern needs.
struct PortCapabilities {
  std::string driver;
  std::uint16_t max_rx_queues = 1;
  std::uint16_t max_tx_queues = 1;
  std::uint16_t max_descriptors = 4096;
  std::uint16_t min_descriptors = 0;
  std::uint16_t max_mtu = 1500;
  bool rx_ip_checksum = false;
  bool rx_tcp_checksum = false;
  bool tx_ip_checksum = false;
  bool tx_tcp_checksum = false;
  bool tso = false;
  std::uint16_t tx_pieces = UINT16_MAX;         // most mbufs of a chain; of one that is cut
  std::uint16_t tx_segment_pieces = UINT16_MAX; // and of what the text of one of its segments lies in
  bool vlan_strip = false;                      // takes an 802.1Q tag off what it receives, and says which
  bool vlan_insert = false;                     // puts one on what it sends
  bool scatter = false;                         // receives into chains
  bool multi_segment_tx = false;
  bool link_interrupt = false;
  bool rx_interrupt = false;
  bool rss_tcp4 = false; // hashes the 4-tuple of TCP over IPv4
  bool rss_tcp6 = false;
  std::uint8_t rss_key_bytes = 0;
  std::uint16_t reta_entries = 0;
};

enum class Offload : std::uint8_t {
  automatic, // the port, where it can
  never,     // we, whatever the port can
  required,  // the port: the caller checks the plan and refuses what is less
};

struct PortRequest {
  std::string name;         // a vdev string ("net_tap0,iface=tern0") or a PCI address
  std::uint16_t queues = 1; // one receive and one transmit queue a core
  std::uint16_t mtu = 1500;
  std::uint16_t rx_descriptors = 1024;
  std::uint16_t tx_descriptors = 1024;
  std::uint16_t buffer_room = 2048; // bytes of frame that one segment of the receive pool holds
  Offload checksums = Offload::automatic;
  Offload rss = Offload::automatic;
  Offload tso = Offload::automatic;
  Offload vlan_tag = Offload::automatic; // who puts it on and takes it off
  bool vlan = false;                     // frames are tagged
  std::uint16_t vlan_id = 0;             // with this one tag; 0: with two, which are ours to write
  bool promiscuous = false;
  bool wakes = false; // whoever polls it wants to sleep, and be woken by what arrives
};

// What a port that cuts segments takes.
struct TsoLimits {
  std::uint16_t pieces = UINT16_MAX;         // mbufs of a chain
  std::uint16_t segment_pieces = UINT16_MAX; // mbufs that the text of one segment lies in
  std::uint16_t frame = UINT16_MAX;          // most bytes of a frame that it makes
  bool ip6 = true;
};

// How a port is used: what it says of itself and nobody here uses (packet types, the hash beside the packet) is
// not in it. `rss` is hardware only once key and table have been read back; until then
// negotiate's word for it is that they should be.
struct PortPlan {
  std::uint16_t queues = 1;
  std::uint16_t mtu = 1500;
  std::uint16_t rx_descriptors = 1024;
  std::uint16_t tx_descriptors = 1024;
  Where rx_ip_checksum = Where::software;
  Where rx_tcp_checksum = Where::software;
  Where tx_ip_checksum = Where::software;
  Where tx_tcp_checksum = Where::software;
  Where rss = Where::off;       // off: one queue, nothing to spread
  Where vlan = Where::off;      // hardware: above the port there is no tag
  std::uint16_t vlan_id = 0;    // which the port writes then
  Where tso = Where::software;  // software: cut before the port
  TsoLimits tso_limits;         // where it is the port's
  Where link = Where::software; // hardware: interrupts tell of it; software: it is polled
  Where wake = Where::off;      // hardware: what arrives ends a sleep; software: short sleeps
  bool scatter = false;
  bool multi_segment_tx = true;
  std::vector<std::string> notes; // what was asked and cannot be, in words
};

// Throws Error for what no fallback mends: more queues than the port has on both sides is mended (fewer
// queues, software steering), an MTU it cannot carry is not.
[[nodiscard]] PortPlan negotiate(const PortCapabilities& can, const PortRequest& want);

// "port 0 net_tap: 2 queues, mtu 1500, rss software, rx-csum hardware, tx-csum hardware, …"
[[nodiscard]] std::string describe(std::uint16_t port_id, std::string_view driver, const PortPlan& plan);

} // namespace tern::io
