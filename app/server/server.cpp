// tern server: something to talk to.
#include <fmt/format.h>

#include <memory>

#include "app/command.hpp"
#include "app/server/handlers.hpp"
#include "io/error.hpp"
#include "io/eth_port.hpp"
#include "io/packet_memory.hpp"
#include "runtime/settings/cli.hpp"
#include "runtime/worker.hpp"

namespace tern::app {
namespace {

enum class Mode : std::uint8_t { Echo, Discard, Chargen, Http };

struct ServerSettings {
  NodeSettings node;
  std::vector<settings::PortRange> listen{{tern::Port{80}, tern::Port{80}}};
  Mode mode = Mode::Http;
  std::uint32_t response_size = 64;
  Http::Closes closes = Http::Closes::WhenAsked;
  Duration duration{};
  Duration drain = Duration::seconds(5);
};

void declare(settings::Schema& s, ServerSettings& v) {
  s.group("server", "What to answer");
  s.add("listen", v.listen, "ports to listen on, each a port or a range");
  s.choice<Mode>(
      "mode", v.mode, "what connections get",
      {{"http", Mode::Http}, {"echo", Mode::Echo}, {"discard", Mode::Discard}, {"chargen", Mode::Chargen}});
  s.add("response_size", v.response_size, "bytes of an HTTP response's body", settings::Range{0U, 1U << 30});
  s.choice<Http::Closes>("close", v.closes, "who ends an HTTP connection",
                         {{"client", Http::Closes::WhenAsked}, {"server", Http::Closes::AfterEach}});
  s.add("duration", v.duration, "how long to serve (0s: until a signal)");
  s.add("drain", v.drain, "how long open connections may take to end once we were told to stop");
  declare_port_options(s, v.node);
  declare_tcp_options(s, v.node);
}

ShardSettings shard_of(const ServerSettings& v, const net::Interface& self) {
  ShardSettings s;
  s.connections = v.node.connections;
  s.syn_records = std::clamp(v.node.connections / 4, 1024U, 1U << 20);
  s.time_wait_records = v.node.time_wait_records;
  s.long_connections = std::clamp(v.node.connections / 8, 1024U, 65536U);
  s.tcp = v.node.tcp;
  s.mtu = v.node.mtu;
  s.secret = random_key();
  s.flow_seed = random_key();
  s.cookie_epoch = cookie_epoch_now();
  for (const net::Address& a : self.addresses())
    if (!a.ip.is_v4()) s.addresses6.push_back(a.ip);
  return s;
}

template <class Handler>
int serve(const ServerSettings& v, io::EthPort& port, const net::Interface& self, rte_mempool* pool,
          Handler handler) {
  typename Worker<io::EthPort, Handler>::Settings ws;
  ws.shard = shard_of(v, self);
  ws.network.key = random_key();
  ws.network.offloads.ip_checksum = port.plan().tx_ip_checksum == io::Where::hardware;
  ws.network.offloads.tcp_checksum = port.plan().tx_tcp_checksum == io::Where::hardware;
  ws.network.offloads.lengths = true;
  ws.idle = v.node.idle;
  Worker<io::EthPort, Handler> worker(port, 0, self, routes_of(v.node), PacketPool{pool}, ws, handler);
  for (const settings::PortRange& r : v.listen)
    if (!worker.shard().listeners.add(
            {.ip = Ip{}, .first = r.first, .last = r.last, .cookies = v.node.cookies}))
      throw settings::ConfigError("--listen", "more than 254 ranges; join neighbouring ones: 80-90");
  for (const ArenaReservation& r : process_arena().reservations()) fmt::print("{}\n", r.to_string());
  fmt::print("ready: {} on {}\n", port.describe(), self.addresses().front().ip.to_string());
  std::fflush(stdout);
  const Instant end = v.duration > Duration{} ? worker.clock().now() + v.duration : Instant::at_ns(INT64_MAX);
  worker.run([&](Instant now) { return stop_signals() != 0 || now >= end; }, v.drain);
  const Shard& shard = worker.shard();
  fmt::print("counters\n");
  for (std::size_t i = 0; i < CoreCounters::size; ++i)
    if (const auto n = shard.counters.get(static_cast<CoreCounter>(i)))
      fmt::print("  {:<28} {}\n", name_of(static_cast<CoreCounter>(i)), n);
  for (std::size_t i = 0; i < tcp::TcpCounters::size; ++i)
    if (const auto n = shard.tcp_counters.get(static_cast<tcp::Counter>(i)))
      fmt::print("  {:<28} {}\n", tcp::name_of(static_cast<tcp::Counter>(i)), n);
  for (std::size_t i = 0; i < net::NetCounters::size; ++i)
    if (const auto n = worker.network().counters().get(static_cast<net::NetCounter>(i)))
      fmt::print("  {:<28} {}\n", net::name_of(static_cast<net::NetCounter>(i)), n);
  return 0;
}

int run(const settings::Schema& schema, const ServerSettings& v) {
  if (v.node.port.empty())
    schema.fail("port", "no port given; name a NIC (0000:03:00.0) or a software one (net_tap0,iface=tern0)");
  if (v.node.cores.size() > 1) schema.fail("cores", "tern server runs on one core so far; name one");
  catch_stop_signals();
  io::EalSettings eal_settings;
  eal_settings.huge_pages = v.node.huge_pages;
  const auto megabytes = static_cast<unsigned>(v.node.packet_memory.n >> 20);
  eal_settings.memory_mb = io::eal_megabytes_for(megabytes);
  if (io::is_pci_address(v.node.port)) eal_settings.devices = {v.node.port};
  const io::Eal eal(eal_settings);
  if (!eal.note().empty()) fmt::print("{}\n", eal.note());
  rte_mempool* pool = io::make_packet_pool("tern", megabytes, 256);
  int code = 0;
  {
    io::PortRequest request;
    request.name = v.node.port;
    request.mtu = v.node.mtu;
    request.checksums = v.node.checksums;
    request.vlan = v.node.vlan.has_value();
    rte_mempool* const pools[] = {pool};
    io::EthPort port(request, pools);
    const net::Interface self(interface_of(v.node, schema, port.mac(), port.capabilities().driver));
    switch (v.mode) {
      case Mode::Echo:
        code = serve(v, port, self, pool, Echo{});
        break;
      case Mode::Discard:
        code = serve(v, port, self, pool, Discard{});
        break;
      case Mode::Chargen:
        code = serve(v, port, self, pool, Chargen{16'384});
        break;
      case Mode::Http:
        code = serve(v, port, self, pool, Http{v.response_size, v.closes});
        break;
    }
  }
  const unsigned leaked = rte_mempool_in_use_count(pool);
  fmt::print("packets not given back: {}\n", leaked);
  return leaked == 0 ? code : 1;
}

} // namespace

Run declare_server(CLI::App& app) {
  struct State {
    ServerSettings settings;
    settings::Schema schema;
    std::unique_ptr<settings::Binding> binding;
  };
  auto state = std::make_shared<State>();
  declare(state->schema, state->settings);
  state->binding = std::make_unique<settings::Binding>(app, state->schema);
  return [state] {
    if (!state->binding->resolve()) return 0;
    try {
      return run(state->schema, state->settings);
    } catch (const io::Error& e) {
      throw settings::ConfigError("--port", e.what());
    } catch (const ArenaError& e) {
      throw settings::ConfigError("--connections", e.what());
    }
  };
}

} // namespace tern::app
