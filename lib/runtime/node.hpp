// A process that serves on one port: EAL, packets, port, addresses, one worker; and its end.
#pragma once

#include <fmt/format.h>

#include <memory>
#include <vector>

#include "io/error.hpp"
#include "io/eth_port.hpp"
#include "io/packet_memory.hpp"
#include "runtime/node_settings.hpp"
#include "runtime/settings/schema.hpp"
#include "runtime/worker.hpp"

namespace tern {

// What a node that listens is asked for, beside its ports and TCP.
struct ServeSettings {
  NodeSettings node;
  std::vector<settings::PortRange> listen{{Port{80}, Port{80}}};
  Duration duration{}; // zero: until a signal
  Duration drain = Duration::seconds(5);
};
void declare_serve_options(settings::Schema&, ServeSettings&);

// EAL, the packets and the port. Throws ConfigError.
class NodePort {
 public:
  NodePort(const settings::Schema&, const NodeSettings&);
  ~NodePort();
  NodePort(const NodePort&) = delete;
  NodePort& operator=(const NodePort&) = delete;

  [[nodiscard]] io::EthPort& port() { return *port_; }
  [[nodiscard]] const net::Interface& self() const { return *self_; }
  [[nodiscard]] PacketPool packets() const { return PacketPool{pool_}; }
  // Closes the port; how many packets nobody gave back.
  [[nodiscard]] unsigned close();

 private:
  std::unique_ptr<io::Eal> eal_;
  rte_mempool* pool_ = nullptr;
  std::unique_ptr<io::EthPort> port_;
  std::unique_ptr<net::Interface> self_;
};

[[nodiscard]] ShardSettings shard_settings(const NodeSettings&, const net::Interface&);
[[nodiscard]] net::NetworkSettings network_settings(const io::EthPort&);
void print_ready(const io::EthPort&, const net::Interface&);
void print_counters(const Shard&, const net::Network&);

// Serves until the time is over or a signal comes; the exit code.
template <class Handler>
[[nodiscard]] int serve(const settings::Schema& schema, const ServeSettings& v, Handler handler) {
  catch_stop_signals();
  NodePort node(schema, v.node);
  {
    typename Worker<io::EthPort, Handler>::Settings ws;
    ws.shard = shard_settings(v.node, node.self());
    ws.network = network_settings(node.port());
    ws.idle = v.node.idle;
    const DialPlan dial(node.self(), io::Steering{}, {.seed = random_key().k0});
    ws.dial = &dial;
    Worker<io::EthPort, Handler> worker(node.port(), 0, node.self(), routes_of(v.node), node.packets(), ws,
                                        handler);
    for (const settings::PortRange& r : v.listen)
      if (!worker.shard().listeners.add(
              {.ip = Ip{}, .first = r.first, .last = r.last, .cookies = v.node.cookies}))
        schema.fail("listen", "more than 254 ranges; join neighbouring ones: 80-90");
    print_ready(node.port(), node.self());
    const Instant end =
        v.duration > Duration{} ? worker.clock().now() + v.duration : Instant::at_ns(INT64_MAX);
    worker.run([&](Instant now) { return stop_signals() != 0 || now >= end; }, v.drain);
    print_counters(worker.shard(), worker.network());
  }
  const unsigned leaked = node.close();
  fmt::print("packets not given back: {}\n", leaked);
  return leaked == 0 ? 0 : 1;
}

} // namespace tern
