#include "runtime/node.hpp"

#include "runtime/pin.hpp"

namespace tern {

void declare_serve_options(settings::Schema& s, ServeSettings& v) {
  s.add("listen", v.listen, "ports to listen on, each a port or a range");
  s.add("duration", v.duration, "how long to serve (0s: until a signal)");
  s.add("drain", v.drain, "how long open connections may take to end once we were told to stop");
  declare_port_options(s, v.node);
  declare_tcp_options(s, v.node);
}

NodePort::NodePort(const settings::Schema& schema, const NodeSettings& n) {
  if (n.port.empty())
    schema.fail("port", "no port given; name a NIC (0000:03:00.0) or a software one (net_tap0,iface=tern0)");
  if (n.cores.size() > 1) schema.fail("cores", "several cores on one port are not served yet; name one");
  try {
    const auto megabytes = static_cast<unsigned>(n.packet_memory.n >> 20);
    io::EalSettings e;
    e.huge_pages = n.huge_pages;
    e.memory_mb = io::eal_megabytes_for(megabytes);
    if (io::is_pci_address(n.port)) e.devices = {n.port};
    eal_ = std::make_unique<io::Eal>(e);
    if (!eal_->note().empty()) fmt::print("{}\n", eal_->note());
    pool_ = io::make_packet_pool("tern", megabytes, 256);
    io::PortRequest request;
    request.name = n.port;
    request.mtu = n.mtu;
    request.checksums = n.checksums;
    request.vlan = n.vlan.has_value() || n.service_vlan.has_value();
    rte_mempool* const pools[] = {pool_};
    port_ = std::make_unique<io::EthPort>(request, pools);
  } catch (const io::Error& e) {
    schema.fail("port", e.what());
  }
  if (n.checksums == io::Offload::required && port_->plan().tx_tcp_checksum != io::Where::hardware)
    schema.fail("checksum", fmt::format("{} computes none; choose auto", port_->capabilities().driver));
  apply_limits(n, schema);
  self_ =
      std::make_unique<net::Interface>(interface_of(n, schema, port_->mac(), port_->capabilities().driver));
  if (!n.cores.empty() && !pin_to(n.cores.front()))
    schema.fail("cores",
                fmt::format("this process may not run on CPU {}; see taskset -p $$", n.cores.front()));
}

NodePort::~NodePort() = default;

unsigned NodePort::close() {
  port_.reset();
  return rte_mempool_in_use_count(pool_);
}

ShardSettings shard_settings(const NodeSettings& n, const net::Interface& self) {
  ShardSettings s;
  s.connections = n.connections;
  s.syn_records = std::clamp(n.connections / 4, 1024U, 1U << 20);
  s.time_wait_records = n.time_wait_records;
  s.long_connections = std::clamp(n.connections / 8, 1024U, 65536U);
  s.tcp = n.tcp;
  s.mtu = n.mtu;
  s.mss = n.mss;
  s.secret = random_key();
  s.flow_seed = random_key();
  s.cookie_epoch = cookie_epoch_now();
  for (const net::Address& a : self.addresses())
    if (!a.ip.is_v4()) s.addresses6.push_back(a.ip);
  return s;
}

net::NetworkSettings network_settings(const io::EthPort& port) {
  net::NetworkSettings s;
  s.key = random_key();
  s.offloads.ip_checksum = port.plan().tx_ip_checksum == io::Where::hardware;
  s.offloads.tcp_checksum = port.plan().tx_tcp_checksum == io::Where::hardware;
  s.offloads.lengths = true;
  return s;
}

void print_ready(const io::EthPort& port, const net::Interface& self) {
  for (const ArenaReservation& r : process_arena().reservations()) fmt::print("{}\n", r.to_string());
  fmt::print("ready: {} on {}\n", port.describe(), self.addresses().front().ip.to_string());
  std::fflush(stdout);
}

void print_counters(const Shard& shard, const net::Network& network) {
  fmt::print("counters\n");
  const auto line = [](std::string_view name, std::uint64_t n) {
    if (n != 0) fmt::print("  {:<28} {}\n", name, n);
  };
  for (std::size_t i = 0; i < CoreCounters::size; ++i)
    line(name_of(static_cast<CoreCounter>(i)), shard.counters.get(static_cast<CoreCounter>(i)));
  for (std::size_t i = 0; i < tcp::TcpCounters::size; ++i)
    line(tcp::name_of(static_cast<tcp::Counter>(i)), shard.tcp_counters.get(static_cast<tcp::Counter>(i)));
  for (std::size_t i = 0; i < net::NetCounters::size; ++i)
    line(net::name_of(static_cast<net::NetCounter>(i)),
         network.counters().get(static_cast<net::NetCounter>(i)));
}

} // namespace tern
