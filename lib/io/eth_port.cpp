#include "io/eth_port.hpp"

#include <fmt/format.h>
#include <net/if.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

#include "io/eal.hpp"
#include "io/error.hpp"
#include "io/hearing.hpp"
#include "io/kernel_device.hpp"

namespace tern::io {
namespace {

constexpr std::uint64_t rss_types =
    RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_IPV6 | RTE_ETH_RSS_NONFRAG_IPV6_TCP;

bool has(std::uint64_t flags, std::uint64_t all) {
  return (flags & all) == all;
}

constexpr std::string_view packet_socket = "net_af_packet";

// The value of one of a vdev's arguments: "iface=" of "net_af_packet0,iface=tern0". Empty: it is not there.
std::string argument(const std::string& name, std::string_view key) {
  const std::size_t at = name.find(key);
  if (at == std::string::npos) return {};
  const std::size_t from = at + key.size();
  return name.substr(from, name.find(',', from) - from);
}

bool is_memif_server(const std::string& name) {
  const std::string role = argument(name, "role=");
  return role == "server" || role == "master";
}

// net_af_packet says that it carries usual frames, whatever its ring holds, and DPDK believes it; but nothing
// on the packet path asks. What it carries is what a ring's frame holds beside the kernel's own header and two
// tags, and what the interface allows.
std::uint16_t packet_socket_mtu(const std::string& name) {
  const std::string frame = argument(name, "framesz=");
  const unsigned long bytes = frame.empty() ? 2048 : std::strtoul(frame.c_str(), nullptr, 10);
  constexpr unsigned long beside = 66 + 14 + 8;
  return static_cast<std::uint16_t>(
      std::clamp<unsigned long>(bytes - std::min(bytes, beside), 1500, UINT16_MAX));
}
void check_interface(const PortRequest& request) {
  const std::string device = argument(request.name, "iface=");
  ifreq r{};
  device.copy(r.ifr_name, sizeof r.ifr_name - 1);
  const int s = socket(AF_INET, SOCK_DGRAM, 0);
  const bool known = s >= 0 && ioctl(s, SIOCGIFMTU, &r) == 0;
  if (s >= 0) close(s);
  if (known && r.ifr_mtu < request.mtu)
    throw Error(fmt::format("{}: the interface's own mtu is {}; `ip link set {} mtu {}` lets it carry more",
                            request.name, r.ifr_mtu, device, request.mtu));
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

// The port of a device that is there already, or of one probed now.
std::uint16_t find_port(const std::string& name, bool& probed) {
  const std::string device = device_name(name);
  std::uint16_t id = RTE_MAX_ETHPORTS;
  probed = false;
  if (rte_eth_dev_get_port_by_name(device.c_str(), &id) == 0) return id;
  if (const std::string iface = kernel_device_of(name, name.substr(0, name.find_first_of("0123456789,")));
      !iface.empty() && !kernel_device_exists(iface))
    throw Error(
        fmt::format("{}: there is no interface {} here; `ip link` lists those there are", name, iface));
  Hearing dpdk;
  const int error = rte_dev_probe(name.c_str());
  if (error == 0 && rte_eth_dev_get_port_by_name(device.c_str(), &id) == 0) {
    probed = true;
    return id;
  }
  std::string cause = first_line(dpdk.heard());
  if (cause.empty()) cause = error == 0 ? "its driver made no port" : rte_strerror(-error);
  if (is_pci_address(device))
    throw Error(
        fmt::format("{}: no such port ({}); is the NIC bound to vfio-pci, and was it named before start? "
                    "`tern doctor` lists NICs and their drivers",
                    name, cause));
  throw Error(fmt::format(
      "{}: the port cannot be made ({}){}; `tern doctor` lists the drivers there are and what they need",
      name, cause, geteuid() == 0 ? "" : ", perhaps for want of root"));
}

PortCapabilities capabilities_of(const rte_eth_dev_info& info, const std::string& name) {
  PortCapabilities c;
  c.driver = info.driver_name;
  c.max_rx_queues = info.max_rx_queues;
  c.max_tx_queues = info.max_tx_queues;
  c.max_descriptors = std::min(info.rx_desc_lim.nb_max, info.tx_desc_lim.nb_max);
  c.min_descriptors = std::max(info.rx_desc_lim.nb_min, info.tx_desc_lim.nb_min);
  // A driver that names no MTU names its largest frame: header and checksum are of it.
  const std::uint32_t by_frame = std::max<std::uint32_t>(info.max_rx_pktlen, 18) - 18;
  c.max_mtu = std::max<std::uint16_t>(
      info.max_mtu == UINT16_MAX ? static_cast<std::uint16_t>(std::min<std::uint32_t>(by_frame, UINT16_MAX))
                                 : info.max_mtu,
      1500);
  if (c.driver == packet_socket) c.max_mtu = packet_socket_mtu(name);
  c.rx_ip_checksum = has(info.rx_offload_capa, RTE_ETH_RX_OFFLOAD_IPV4_CKSUM);
  c.rx_tcp_checksum = has(info.rx_offload_capa, RTE_ETH_RX_OFFLOAD_TCP_CKSUM);
  c.tx_ip_checksum = has(info.tx_offload_capa, RTE_ETH_TX_OFFLOAD_IPV4_CKSUM);
  c.tx_tcp_checksum = has(info.tx_offload_capa, RTE_ETH_TX_OFFLOAD_TCP_CKSUM);
  c.tso = has(info.tx_offload_capa, RTE_ETH_TX_OFFLOAD_TCP_TSO);
  // Drivers that know no bound say 0.
  if (info.tx_desc_lim.nb_seg_max != 0) c.tx_pieces = info.tx_desc_lim.nb_seg_max;
  const std::uint16_t frame_pieces = info.tx_desc_lim.nb_mtu_seg_max; // the headers' is one of them
  if (frame_pieces != 0) c.tx_segment_pieces = static_cast<std::uint16_t>(frame_pieces - 1);
  c.vlan_strip = has(info.rx_offload_capa, RTE_ETH_RX_OFFLOAD_VLAN_STRIP);
  c.vlan_insert = has(info.tx_offload_capa, RTE_ETH_TX_OFFLOAD_VLAN_INSERT);
  c.scatter = has(info.rx_offload_capa, RTE_ETH_RX_OFFLOAD_SCATTER);
  c.multi_segment_tx = has(info.tx_offload_capa, RTE_ETH_TX_OFFLOAD_MULTI_SEGS);
  c.link_interrupt = info.dev_flags != nullptr && (*info.dev_flags & RTE_ETH_DEV_INTR_LSC) != 0;
  c.rx_interrupt = false; // found out once the port has started: wake.hpp
  c.rss_tcp4 = has(info.flow_type_rss_offloads, RTE_ETH_RSS_NONFRAG_IPV4_TCP);
  c.rss_tcp6 = has(info.flow_type_rss_offloads, RTE_ETH_RSS_NONFRAG_IPV6_TCP);
  c.rss_key_bytes = info.hash_key_size;
  c.reta_entries = info.reta_size;
  return c;
}

rte_eth_conf to_conf(const PortPlan& p, const rte_eth_dev_info& info) {
  rte_eth_conf conf{};
  const auto rx = [&](bool wanted, std::uint64_t flag) {
    conf.rxmode.offloads |= wanted ? flag & info.rx_offload_capa : 0;
  };
  const auto tx = [&](bool wanted, std::uint64_t flag) {
    conf.txmode.offloads |= wanted ? flag & info.tx_offload_capa : 0;
  };
  rx(p.rx_ip_checksum == Where::hardware, RTE_ETH_RX_OFFLOAD_IPV4_CKSUM);
  rx(p.rx_tcp_checksum == Where::hardware, RTE_ETH_RX_OFFLOAD_TCP_CKSUM);
  rx(p.vlan == Where::hardware, RTE_ETH_RX_OFFLOAD_VLAN_STRIP);
  tx(p.vlan == Where::hardware, RTE_ETH_TX_OFFLOAD_VLAN_INSERT);
  rx(p.scatter, RTE_ETH_RX_OFFLOAD_SCATTER);
  const bool cuts = p.tso == Where::hardware;
  tx(cuts || p.tx_ip_checksum == Where::hardware, RTE_ETH_TX_OFFLOAD_IPV4_CKSUM);
  tx(cuts || p.tx_tcp_checksum == Where::hardware, RTE_ETH_TX_OFFLOAD_TCP_CKSUM);
  tx(cuts, RTE_ETH_TX_OFFLOAD_TCP_TSO);
  tx(p.multi_segment_tx, RTE_ETH_TX_OFFLOAD_MULTI_SEGS);
  // Never MBUF_FAST_FREE: what is sent may be shared with a retransmission queue (lib/README.md).
  conf.rxmode.mtu = info.driver_name == packet_socket ? std::min<std::uint16_t>(p.mtu, 1500) : p.mtu;
  conf.intr_conf.lsc = p.link == Where::hardware ? 1 : 0;
  return conf;
}

} // namespace

EthPort::EthPort(const PortRequest& request, std::span<rte_mempool* const> pools) {
  id_ = find_port(request.name, probed_);
  try {
    configure(request, pools);
  } catch (...) {
    if (probed_) rte_eth_dev_close(id_);
    throw;
  }
}

void EthPort::configure(const PortRequest& request, std::span<rte_mempool* const> pools) {
  rte_eth_dev_info info{};
  if (const int error = rte_eth_dev_info_get(id_, &info); error < 0)
    throw Error(
        fmt::format("{}: the driver does not describe the port: {}", request.name, rte_strerror(-error)));
  capabilities_ = capabilities_of(info, request.name);
  kernel_device_ = kernel_device_of(request.name, capabilities_.driver);
  plan_ = negotiate(capabilities_, request);
  const bool by_ring = capabilities_.driver == packet_socket && plan_.mtu > 1500;
  if (by_ring) check_interface(request);
  if (pools.size() < plan_.queues) throw Error(request.name + ": one receive pool a queue is needed");
  queues_ = std::make_unique<Queue[]>(plan_.queues);

  Failure f = bring_up(request, info, pools, request.wakes);
  if (f.error < 0 && request.wakes) f = bring_up(request, info, pools, false); // without receive interrupts
  if (f.error < 0) throw Error(fmt::format("{}: {}: {}", request.name, f.what, rte_strerror(-f.error)));
  if (request.wakes) {
    if (capabilities_.driver == "net_memif") {
      const bool server = is_memif_server(request.name);
      for (QueueId q = 0; q < plan_.queues; ++q)
        memif_wake_.push_back(std::make_unique<MemifWake>(server, q, plan_.queues));
    } else {
      wake_ = find_wake_descriptors(id_, capabilities_.driver, plan_.queues);
    }
    plan_.wake = memif_wake_.empty() && wake_.of_queue.empty() ? Where::software : Where::hardware;
  }
  if (std::uint16_t mtu = 0; !by_ring && rte_eth_dev_get_mtu(id_, &mtu) == 0 && mtu != plan_.mtu)
    if (rte_eth_dev_set_mtu(id_, plan_.mtu) != 0)
      plan_.notes.push_back(fmt::format("the driver keeps its own mtu of {}", mtu));
  if (plan_.rss == Where::hardware) read_rss();
  sorts_tags_ = plan_.vlan == Where::hardware || capabilities_.driver == packet_socket;
  simple_tx_ = plan_.multi_segment_tx && plan_.vlan != Where::hardware &&
               plan_.tx_ip_checksum != Where::hardware && plan_.tx_tcp_checksum != Where::hardware &&
               plan_.tso != Where::hardware;
}

// Configures and starts it; what it refused, if it did.
EthPort::Failure EthPort::bring_up(const PortRequest& request, const rte_eth_dev_info& info,
                                   std::span<rte_mempool* const> pools, bool interrupts) {
  rte_eth_conf conf = to_conf(plan_, info);
  conf.intr_conf.rxq = interrupts ? 1 : 0;
  std::array<std::uint8_t, 64> key{};
  if (plan_.rss == Where::hardware) {
    if (getrandom(key.data(), key.size(), 0) < 0)
      throw Error(request.name + ": no randomness for the RSS key");
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf = rss_types & info.flow_type_rss_offloads;
    conf.rx_adv_conf.rss_conf.rss_key = key.data();
    conf.rx_adv_conf.rss_conf.rss_key_len = std::min<std::uint8_t>(capabilities_.rss_key_bytes, 64);
  }
  int error = rte_eth_dev_configure(id_, plan_.queues, plan_.queues, &conf);
  if (error < 0 && plan_.rss == Where::hardware) { // some drivers keep their own key
    conf.rx_adv_conf.rss_conf.rss_key = nullptr;
    error = rte_eth_dev_configure(id_, plan_.queues, plan_.queues, &conf);
  }
  if (error < 0) return {error, "the port refuses its configuration"};
  error = rte_eth_dev_adjust_nb_rx_tx_desc(id_, &plan_.rx_descriptors, &plan_.tx_descriptors);
  if (error < 0) return {error, "descriptors"};

  const int socket = rte_eth_dev_socket_id(id_);
  const auto numa = static_cast<unsigned>(socket);
  rte_eth_rxconf rx = info.default_rxconf;
  rx.offloads = conf.rxmode.offloads;
  rte_eth_txconf tx = info.default_txconf;
  tx.offloads = conf.txmode.offloads;
  for (QueueId q = 0; q < plan_.queues; ++q) {
    error = rte_eth_rx_queue_setup(id_, q, plan_.rx_descriptors, numa, &rx, pools[q]);
    if (error < 0) return {error, "a receive queue cannot be set up"};
    error = rte_eth_tx_queue_setup(id_, q, plan_.tx_descriptors, numa, &tx);
    if (error < 0) return {error, "a transmit queue cannot be set up"};
  }
  if (request.promiscuous) (void)rte_eth_promiscuous_enable(id_);
  // Solicited-node and all-nodes groups must arrive; a port that cannot say so delivers everything anyway.
  (void)rte_eth_allmulticast_enable(id_);
  error = rte_eth_dev_start(id_);
  // Whatever keeps it from its peer, net_memif says "not permitted".
  if (error == -EPERM && capabilities_.driver == "net_memif" && !is_memif_server(request.name))
    return {error,
            "nobody answers at its socket yet: start the end with role=server first, then this one; the "
            "port does not start"};
  return {error, "the port does not start"};
}

bool EthPort::arm(QueueId q) {
  if (!memif_wake_.empty()) return memif_wake_[q]->arm();
  return wake_.armed && rte_eth_dev_rx_intr_enable(id_, q) == 0;
}
void EthPort::disarm(QueueId q) {
  if (!memif_wake_.empty()) return memif_wake_[q]->disarm();
  if (!wake_.armed) return;
  (void)rte_eth_dev_rx_intr_disable(id_, q);
  std::uint64_t interrupts = 0; // what is not read would end the next sleep at once
  (void)!read(wake_.of_queue[q], &interrupts, sizeof interrupts);
}

// What the port really hashes with. If it does not say, its spreading is not known, and ours is used instead.
void EthPort::read_rss() {
  rss_.key.assign(capabilities_.rss_key_bytes, 0);
  rte_eth_rss_conf conf{};
  conf.rss_key = rss_.key.data();
  conf.rss_key_len = capabilities_.rss_key_bytes;
  std::vector<rte_eth_rss_reta_entry64> groups((capabilities_.reta_entries + 63U) / 64U);
  for (auto& g : groups) g.mask = ~std::uint64_t{0};
  const std::uint64_t tcp = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP;
  const bool power_of_two = (capabilities_.reta_entries & (capabilities_.reta_entries - 1)) == 0;
  if (!power_of_two || rte_eth_dev_rss_hash_conf_get(id_, &conf) != 0 || !has(conf.rss_hf, tcp) ||
      rte_eth_dev_rss_reta_query(id_, groups.data(), capabilities_.reta_entries) != 0) {
    plan_.rss = Where::software;
    plan_.notes.emplace_back("the driver's RSS key and table cannot be read back");
    return;
  }
  rss_.reta.resize(capabilities_.reta_entries);
  for (std::size_t i = 0; i < rss_.reta.size(); ++i) rss_.reta[i] = groups[i / 64].reta[i % 64];
}

EthPort::~EthPort() {
  if (id_ == RTE_MAX_ETHPORTS) return;
  queues_.reset();
  rte_eth_dev_stop(id_);
  rte_eth_dev_close(id_);
}

// A tag that came beside its frame goes back into it: there the network layer looks. A frame without room for it
// is dropped. An outer tag of 802.1ad comes back as one of 802.1Q; the number decides. Where the port takes ours
// off, frames without it are the strangers: they go on with their own tag, or with the number that IEEE 802.1Q
// keeps for nobody, and are dropped where every frame is judged.
std::uint16_t EthPort::sort_tags(rte_mbuf** m, std::uint16_t n) const {
  constexpr std::uint16_t nobodys = 4095;
  constexpr std::uint16_t number = 0x0fff; // the rest is priority
  const bool ours_is_off = plan_.vlan == Where::hardware;
  std::uint16_t kept = 0;
  for (std::uint16_t i = 0; i < n; ++i) {
    const bool stripped = (m[i]->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0;
    if (!stripped) m[i]->vlan_tci = nobodys;
    const bool ours = ours_is_off ? stripped && (m[i]->vlan_tci & number) == plan_.vlan_id : !stripped;
    if (!ours && rte_vlan_insert(&m[i]) != 0) {
      rte_pktmbuf_free(m[i]);
      continue;
    }
    m[kept++] = m[i];
  }
  return kept;
}

// What the driver wants done before it is handed packets. Those that cannot be sent are freed and counted;
// how many are left.
std::uint16_t EthPort::prepare(QueueId q, rte_mbuf** m, std::uint16_t n) {
  PortCounters& counters = queues_[q].counters;
  std::uint16_t kept = 0;
  const auto unsendable = [&](rte_mbuf* p) {
    counters.add(PortCounter::tx_unsendable);
    rte_pktmbuf_free(p);
  };
  for (std::uint16_t i = 0; i < n; ++i) {
    rte_mbuf* p = m[i];
    if (p->nb_segs > 1 && !plan_.multi_segment_tx) {
      rte_mbuf* whole = rte_pktmbuf_copy(p, p->pool, 0, UINT32_MAX);
      if (whole == nullptr || whole->nb_segs > 1) {
        if (whole != nullptr) rte_pktmbuf_free(whole);
        unsendable(p);
        continue;
      }
      rte_pktmbuf_free(p);
      p = whole;
    }
    if (plan_.vlan == Where::hardware) {
      p->ol_flags |= RTE_MBUF_F_TX_VLAN;
      p->vlan_tci = plan_.vlan_id;
    }
    m[kept++] = p;
  }
  std::uint16_t ready = 0;
  while (ready < kept) {
    ready = static_cast<std::uint16_t>(
        ready + rte_eth_tx_prepare(id_, q, m + ready, static_cast<std::uint16_t>(kept - ready)));
    if (ready == kept) break;
    unsendable(m[ready]);
    std::move(m + ready + 1, m + kept, m + ready);
    --kept;
  }
  return kept;
}

MacBytes EthPort::mac() const {
  rte_ether_addr a{};
  rte_eth_macaddr_get(id_, &a);
  MacBytes b;
  std::memcpy(b.data(), a.addr_bytes, b.size());
  return b;
}

bool EthPort::link_up() const {
  if (!kernel_device_.empty()) return kernel_link_up(kernel_device_);
  rte_eth_link link{};
  return rte_eth_link_get_nowait(id_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

bool EthPort::gone() const {
  if (!kernel_device_.empty()) return !kernel_device_exists(kernel_device_);
  return rte_eth_dev_is_removed(id_) == 1;
}

std::optional<std::uint64_t> EthPort::missed() const {
  rte_eth_stats s{};
  if (rte_eth_stats_get(id_, &s) != 0) return std::nullopt;
  return s.imissed + s.rx_nombuf;
}

} // namespace tern::io
