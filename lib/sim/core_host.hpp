// A whole Core as a host of the simulated network: the same poll loop, flow table, timers, TIME-WAIT streams
// and handler calls as on a NIC, in virtual time. What EngineHost leaves out is in here; what it shows (each
// state as it changes) is not.
#pragma once

#include <algorithm>
#include <string>

#include "runtime/core.hpp"
#include "sim/network.hpp"
#include "sim/sim_port.hpp"

namespace tern::sim {

struct CoreHostSettings {
  ShardSettings shard;
  std::uint8_t prefix = 16; // every host is on one network
  std::uint32_t receive_ring = 4096;
};

template <class Handler>
class CoreHost {
 public:
  using TheCore = Core<SimPort, Handler>;

  CoreHost(std::string name, Ip4 address, PacketPool packets, const CoreHostSettings& s, Handler& handler)
      : name_(std::move(name)),
        address_(address),
        port_(packets, s.receive_ring),
        self_({.mac = port_.mac(), .mtu = s.shard.mtu, .addresses = {{Ip{address}, s.prefix}}}),
        network_(self_, net::Routes{}, packets, {.key = {s.shard.secret.k1, 7}}),
        shard_(process_arena(), s.shard, packets, Instant{}, name_),
        core_(shard_, network_, port_, 0, handler) {
    port_.wire = [this](Bytes ip) { wire_.send(ip); };
  }
  CoreHost(const CoreHost&) = delete;
  CoreHost& operator=(const CoreHost&) = delete;

  // ---- The Host concept.
  void attached(const Attachment& a) { wire_ = a; }
  void receive(Bytes ip_packet) {
    port_.deliver(ip_packet);
    turn();
  }
  void wake() { turn(); }

  // Turns until the core finds nothing more to do; whoever called into a connection from outside calls it
  // after.
  void turn() {
    if (turning_) return;
    turning_ = true;
    shard_.gate.jar.turn_to(static_cast<std::uint32_t>(wire_.now().since_origin_ns() / epoch_ns));
    for (int i = 0; i < most_turns && (core_.poll(wire_.now()) || port_.waiting()); ++i) {
    }
    turning_ = false;
    // A core on a NIC looks at its clock all the time. Where nothing but old records waits, less often will
    // do.
    if (shard_.connections.used() + shard_.syn4.slots.used() != 0)
      wire_.wake_at(wire_.now() + Duration::ms(1));
    else if (shard_.flows.size() != 0)
      wire_.wake_at(wire_.now() + Duration::ms(20));
  }

  // A connection to `to`; its SYN leaves with the next turn().
  Connecting connect(Port from, Ip4 to, Port port) {
    return core_.connect(FlowKey4{to, address_, Be16{port.raw()}, Be16{from.raw()}});
  }
  void listen(Port port, tcp::CookieMode cookies = tcp::CookieMode::Auto) {
    TERN_CHECK(shard_.listeners.add({.ip = Ip{}, .first = port, .last = port, .cookies = cookies}));
  }

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] Ip4 address() const { return address_; }
  [[nodiscard]] Shard& shard() { return shard_; }
  [[nodiscard]] TheCore& core() { return core_; }
  [[nodiscard]] net::Network& network() { return network_; }
  [[nodiscard]] const SimPort& port() const { return port_; }
  [[nodiscard]] Instant now() const { return wire_.now(); }

 private:
  static constexpr int most_turns = 1000;
  static constexpr std::int64_t epoch_ns = std::int64_t{tcp::CookieJar::epoch_seconds} * 1'000'000'000;

  std::string name_;
  Ip4 address_;
  Attachment wire_;
  SimPort port_;
  net::Interface self_;
  net::Network network_;
  Shard shard_;
  TheCore core_;
  bool turning_ = false;
};

} // namespace tern::sim
