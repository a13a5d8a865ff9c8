// What the cores of one port share: packets, the port, addresses, and who owns what arrives.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "io/error.hpp"
#include "io/eth_port.hpp"
#include "io/packet_memory.hpp"
#include "io/shared_port.hpp"
#include "net/network.hpp"
#include "runtime/dialer.hpp"
#include "runtime/node_settings.hpp"
#include "runtime/settings/schema.hpp"
#include "runtime/shard.hpp"

namespace tern {

// Who owns what arrives: as the port spreads it, where it spreads over all cores by a key under which ports reach each of
// them; else by a table of ours, under the first such key of those that `draw` gives.
using SteeringKey = std::array<std::uint8_t, 40>;
[[nodiscard]] io::Steering choose_steering(const io::PortPlan&, const io::RssView&, io::CoreId cores,
                                           const std::function<SteeringKey()>& draw);

// DPDK, once in a process, for all of its ports. Throws ConfigError.
[[nodiscard]] std::unique_ptr<io::Eal> start_eal(const settings::Schema&, std::span<const NodeSettings>);

class NodePort {
 public:
  // Throws ConfigError. One core for each that the settings name, at least one. `started`: by who has several
  // ports; without it the port starts DPDK for itself.
  NodePort(const settings::Schema&, const NodeSettings&, const io::Eal* started = nullptr);
  ~NodePort();
  NodePort(const NodePort&) = delete;
  NodePort& operator=(const NodePort&) = delete;

  [[nodiscard]] io::CoreId cores() const { return cores_; }
  // Among several, from 1; 0: it is the only one.
  [[nodiscard]] unsigned number() const { return number_; }
  [[nodiscard]] io::EthPort& port() { return *port_; }
  [[nodiscard]] const io::EthPort& port() const { return *port_; }
  [[nodiscard]] io::SharedPort<io::EthPort>& shared() { return *shared_; }
  [[nodiscard]] const io::Steering& steering() const { return *steering_; }
  [[nodiscard]] const net::Interface& self() const { return *self_; }
  [[nodiscard]] PacketPool packets() const { return PacketPool{pool_}; }
  // Closes the port, once no core runs any more; how many packets nobody gave back.
  [[nodiscard]] unsigned close();

 private:
  void open(const NodeSettings&);

  unsigned number_;
  io::CoreId cores_;
  std::unique_ptr<io::Eal> eal_;
  rte_mempool* pool_ = nullptr;
  unsigned may_keep_ = 0; // packets that the driver does not give back when it is closed
  std::unique_ptr<io::EthPort> port_;
  std::optional<io::Steering> steering_;
  std::unique_ptr<io::SharedPort<io::EthPort>> shared_;
  std::unique_ptr<net::Interface> self_;
};

// One core's share. The secrets are drawn anew at each call: the cores of a node are given copies of one.
[[nodiscard]] ShardSettings shard_settings(const NodeSettings&, const net::Interface&);
// Our IPv6 addresses, by whose numbers records name them.
void name_addresses(ShardSettings&, const net::Interface&);
[[nodiscard]] net::NetworkSettings network_settings(const io::EthPort&);

void print_ready(std::span<const NodePort* const>);
inline void print_ready(const NodePort& one) {
  const NodePort* const all[] = {&one};
  print_ready(all);
}
// Says when the link goes and comes. For the control thread, asked as often as it likes: it looks once a
// second.
class LinkWatch {
 public:
  explicit LinkWatch(const NodePort& node) : node_(node) {}
  void look(Instant now);
  // Its device is there no more, and does not come back.
  [[nodiscard]] bool gone() const { return gone_; }

 private:
  const NodePort& node_;
  bool gone_ = false;
  Instant next_;
  bool up_ = true;
};
// The sum of the cores' counters, and each core's where there are several. Counters may be read at any time.
struct CoreReport {
  std::string name; // "core 0"
  const Shard* shard = nullptr;
  const net::Network* network = nullptr;
  const io::SteerCounters* steered = nullptr;
};
void print_counters(const std::vector<CoreReport>& cores);

} // namespace tern
