#include "runtime/node_port.hpp"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "base/file.hpp"
#include "runtime/key_file.hpp"
#include "runtime/worker.hpp"

namespace tern {
namespace {

// Random, so that nobody can choose connections that all fall on one core.
SteeringKey random_steering_key() {
  SteeringKey key{};
  TERN_CHECK(getrandom(key.data(), key.size(), 0) == static_cast<ssize_t>(key.size()));
  return key;
}

// net_af_packet makes as many queues as its arguments say, one if they say nothing, and its rings' frames hold
// 2 KiB. A block must be whole pages and whole frames: the driver steps from frame to frame as if there were no
// blocks.
std::string with_arguments(std::string port, io::CoreId cores, std::uint16_t mtu) {
  if (!port.starts_with("net_af_packet")) return port;
  if (cores > 1 && port.find("qpairs=") == std::string::npos) port += fmt::format(",qpairs={}", cores);
  if (mtu > 1500 && port.find("framesz=") == std::string::npos)
    port += ",framesz=9216,blocksz=36864,framecnt=512";
  return port;
}

// The number behind `word` in a port's arguments.
std::optional<unsigned long> argument(const std::string& port, std::string_view word) {
  const std::size_t at = port.find(word);
  if (at == std::string::npos) return std::nullopt;
  return std::strtoul(port.c_str() + at + word.size(), nullptr, 10);
}

// net_af_packet reads a frame into one buffer, and wants it to hold the largest.
std::uint16_t buffer_for(const std::string& port) {
  const auto frame = argument(port, "framesz=");
  if (!port.starts_with("net_af_packet") || !frame) return RTE_MBUF_DEFAULT_BUF_SIZE;
  return static_cast<std::uint16_t>(
      std::clamp<unsigned long>(*frame + RTE_PKTMBUF_HEADROOM, RTE_MBUF_DEFAULT_BUF_SIZE, 32768));
}

// net_memif lends packets to its peer, which finds them by the file that huge pages lie in; without one it crashes (22.11).
bool lends_packets(std::string_view port) {
  return port.starts_with("net_memif") && port.find("zero-copy=yes") != std::string_view::npos;
}

// Of a frame that takes several buffers net_memif leaves a mark on the first; when that is used again, what lies there and
// the next frame are one to the peer, and it reads on beyond the ring (22.11).
void require_whole_frames(const settings::Schema& schema, const NodeSettings& n) {
  if (!n.port.starts_with("net_memif")) return;
  const unsigned long buffer = argument(n.port, "bsize=").value_or(2048);
  const unsigned tags = 4U * (n.vlan.has_value() + n.service_vlan.has_value());
  const unsigned frame =
      RTE_ETHER_HDR_LEN + tags + std::min<unsigned>(n.mtu, RTE_ETHER_MTU); // the driver's most
  if (buffer >= frame) return;
  schema.fail(
      "port",
      fmt::format(
          "a buffer of {} bytes (bsize) holds no frame of {}, and net_memif garbles those that take several: "
          "bsize={}, or a smaller --mtu",
          buffer, frame, frame));
}

unsigned megabytes(const NodeSettings& n) {
  return static_cast<unsigned>(n.packet_memory.n >> 20);
}

} // namespace

io::Steering choose_steering(const io::PortPlan& plan, const io::RssView& rss, io::CoreId cores,
                             const std::function<SteeringKey()>& draw) {
  if (plan.rss == io::Where::hardware && plan.queues == cores && io::Steering::possible_by_port(rss, cores)) {
    io::Steering s = io::Steering::by_port(rss, cores);
    if (spans(s)) return s;
  }
  for (;;) {
    io::Steering s = io::Steering::by_software(draw(), cores);
    if (spans(s)) return s;
  }
}

std::unique_ptr<io::Eal> start_eal(const settings::Schema& schema, std::span<const NodeSettings> ports) {
  io::EalSettings e;
  e.memory_mb = 0;
  for (const NodeSettings& n : ports) {
    e.huge_pages = n.huge_pages;
    e.memory_mb += io::eal_megabytes_for(megabytes(n));
    if (io::is_pci_address(n.port)) e.devices.push_back(n.port);
  }
  try {
    auto eal = std::make_unique<io::Eal>(e);
    if (!eal->note().empty()) say(eal->note() + "\n");
    return eal;
  } catch (const io::HugePagesError& error) {
    schema.fail("huge_pages", error.what());
  } catch (const io::Error& error) {
    schema.fail("port", error.what());
  }
}

NodePort::NodePort(const settings::Schema& schema, const NodeSettings& n, const io::Eal* started)
    : number_(n.number), cores_(static_cast<io::CoreId>(std::max<std::size_t>(n.cores.size(), 1))) {
  if (n.port.empty()) fail_without_port(schema);
  constexpr std::size_t most_cores = 64;
  if (n.cores.size() > most_cores) schema.fail("cores", fmt::format("more than {} cores", most_cores));
  if (started == nullptr) eal_ = start_eal(schema, {&n, 1});
  if (lends_packets(n.port) && !(started == nullptr ? *eal_ : *started).huge_pages())
    schema.fail("port", "zero-copy=yes needs huge pages, and there are none; --huge-pages on says how many");
  require_whole_frames(schema, n);
  try {
    open(n);
  } catch (const io::Error& e) {
    schema.fail("port", e.what());
  }
  if (n.checksums == io::Offload::required && port_->plan().tx_tcp_checksum != io::Where::hardware)
    schema.fail("checksum",
                fmt::format("{}{} computes none; choose auto", which_port(n), port_->capabilities().driver));
  if (n.tso == io::Offload::required && port_->plan().tso != io::Where::hardware)
    schema.fail("tso",
                fmt::format("{}{} cuts none{}; choose auto", which_port(n), port_->capabilities().driver,
                            n.checksums == io::Offload::never ? " without --checksum auto" : ""));
  apply_limits(n, schema);
  net::InterfaceSettings who = interface_of(n, schema, port_->mac(), port_->capabilities().driver);
  if (port_->plan().vlan == io::Where::hardware) who.vlan.reset(); // above the port there is no tag
  self_ = std::make_unique<net::Interface>(std::move(who));
}

void NodePort::open(const NodeSettings& n) {
  io::PortRequest request;
  request.name = with_arguments(n.port, cores_, n.mtu);
  const std::uint16_t buffer = buffer_for(request.name);
  request.buffer_room = static_cast<std::uint16_t>(buffer - RTE_PKTMBUF_HEADROOM);
  const std::string name = n.number == 0 ? "tern" : fmt::format("tern port {}", n.number);
  pool_ = io::make_packet_pool(name, megabytes(n), 256, buffer);
  request.queues = cores_;
  request.mtu = n.mtu;
  request.checksums = n.checksums;
  request.tso = n.tso;
  request.wakes = n.idle == IdlePolicy::Adaptive;
  request.vlan = n.vlan.has_value() || n.service_vlan.has_value();
  request.vlan_id = n.service_vlan.has_value() ? std::uint16_t{0} : tag_of(n.vlan).value_or(0);
  request.vlan_tag = n.vlan_tag;
  const std::vector<rte_mempool*> pools(cores_, pool_);
  port_ = std::make_unique<io::EthPort>(request, pools);
  // net_af_xdp gives back neither what lies in its fill ring nor what the kernel had still to say was sent, net_memif not
  // what it lent to its peer (seen in 22.11): as many as the rings hold are the driver's own affair.
  if (port_->capabilities().driver == "net_af_xdp")
    may_keep_ =
        rte_mempool_in_use_count(pool_) + unsigned{port_->plan().tx_descriptors} * port_->plan().queues;
  else if (lends_packets(n.port))
    may_keep_ = 2U * port_->plan().queues << std::min(argument(n.port, "rsize=").value_or(10), 14UL);
  steering_ = choose_steering(port_->plan(), port_->rss(), cores_, random_steering_key);
  shared_ = std::make_unique<io::SharedPort<io::EthPort>>(*port_, *steering_);
}

NodePort::~NodePort() = default;

unsigned NodePort::close() {
  shared_.reset();
  port_.reset();
  const unsigned used = rte_mempool_in_use_count(pool_);
  const unsigned kept = std::min(used, may_keep_);
  if (kept != 0) say(fmt::format("packets that the driver keeps: {}\n", kept));
  return used - kept;
}

ShardSettings shard_settings(const NodeSettings& n, const net::Interface& self) {
  // Steering is even over many connections, not over few: an eighth more for each core.
  const auto cores = static_cast<std::uint32_t>(std::max<std::size_t>(n.cores.size(), 1));
  const auto share = [&](std::uint32_t all) { return cores == 1 ? all : all / cores + all / cores / 8 + 64; };
  ShardSettings s;
  s.connections = share(n.connections);
  s.syn_records = std::clamp(s.connections / 4, 1024U, 1U << 20);
  s.time_wait_records = share(n.time_wait_records);
  s.connections_ready = std::min(s.connections, 65536U); // 16 MiB
  constexpr std::uint32_t ready = 1'000'000;             // 33 MiB, and a quarter of it
  s.time_waits_ready4 = std::min(s.time_wait_records, ready);
  s.time_waits_ready6 = std::min(s.time_wait_records, ready) / 4;
  s.long_connections = std::clamp(s.connections / 8, 1024U, 65536U);
  s.tcp = n.tcp;
  s.mtu = n.mtu;
  s.mss = n.mss;
  s.shared_secret = !n.cookie_key_file.empty();
  s.secret = s.shared_secret ? read_key_file(n.cookie_key_file) : random_key();
  s.syn_rate = n.syn_rate;
  s.reset_rate = n.reset_rate;
  s.flow_seed = random_key();
  s.cookie_epoch = cookie_epoch_now();
  name_addresses(s, self);
  return s;
}

void name_addresses(ShardSettings& s, const net::Interface& self) {
  for (const net::Address& a : self.addresses())
    if (!a.ip.is_v4()) s.addresses6.push_back(a.ip);
  for (const Prefix& p : self.pools())
    if (!p.base().is_v4()) s.pools6.push_back(p);
}

net::NetworkSettings network_settings(const io::EthPort& port) {
  net::NetworkSettings s;
  s.key = random_key();
  s.offloads.ip_checksum = port.plan().tx_ip_checksum == io::Where::hardware;
  s.offloads.tcp_checksum = port.plan().tx_tcp_checksum == io::Where::hardware;
  s.offloads.lengths = s.offloads.tcp_checksum;
  return s;
}

void print_ready(std::span<const NodePort* const> ports) {
  std::string text;
  for (const ArenaReservation& r : process_arena().reservations()) text += r.to_string() + "\n";
  for (const NodePort* one : ports) {
    const NodePort& node = *one;
    const std::string which = node.number() == 0 ? "" : fmt::format("port {}: ", node.number());
    if (node.cores() > 1)
      text += fmt::format("{}{} cores, packets spread by {}\n", which, node.cores(),
                          node.steering().by_port() ? "the port" : "software, over hand-off rings");
    // Who waits for the word waits for the last.
    text += fmt::format("{}{}: {} on {}\n", which, one == ports.back() ? "ready" : "open",
                        node.port().describe(), node.self().addresses().front().ip.to_string());
  }
  say(text);
}

void LinkWatch::look(Instant now) {
  if (now < next_) return;
  next_ = now + Duration::seconds(1);
  gone_ = node_.port().gone();
  if (const bool up = node_.port().link_up(); up != up_) {
    up_ = up;
    say(fmt::format("link{} {}\n", node_.number() == 0 ? "" : fmt::format(" of port {}", node_.number()),
                    up ? "up" : "down"));
  }
}

namespace {

struct Counted {
  std::string name;
  std::uint64_t n = 0;
};

// All counters of one core, in the order of their enumerations.
std::vector<Counted> counters_of(const CoreReport& core) {
  std::vector<Counted> all;
  const auto add = [&]<class E>(const Counters<E>& c, auto&& name) {
    for (std::size_t i = 0; i < Counters<E>::size; ++i)
      all.push_back({std::string{name(static_cast<E>(i))}, c.get(static_cast<E>(i))});
  };
  add(core.shard->counters, [](CoreCounter c) { return name_of(c); });
  add(*core.steered, [](io::SteerCounter c) { return io::name_of(c); });
  add(core.shard->tcp_counters, [](tcp::Counter c) { return tcp::name_of(c); });
  add(core.network->counters(), [](net::NetCounter c) { return net::name_of(c); });
  return all;
}

} // namespace

void print_counters(const std::vector<CoreReport>& cores) {
  std::vector<std::vector<Counted>> each;
  for (const CoreReport& c : cores) each.push_back(counters_of(c));
  std::string text = "counters\n";
  const auto to = std::back_inserter(text);
  for (std::size_t i = 0; i < each.front().size(); ++i) {
    std::uint64_t sum = 0;
    for (const auto& core : each) sum += core[i].n;
    if (sum != 0) fmt::format_to(to, "  {:<28} {}\n", each.front()[i].name, sum);
  }
  for (std::size_t c = 0; each.size() > 1 && c < each.size(); ++c) {
    fmt::format_to(to, "  of {}\n", cores[c].name);
    for (const Counted& counted : each[c])
      if (counted.n != 0) fmt::format_to(to, "    {:<26} {}\n", counted.name, counted.n);
  }
  say(text);
}

} // namespace tern
