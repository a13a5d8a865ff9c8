#include "runtime/node_settings.hpp"

#include <fmt/format.h>

#include <charconv>
#include <utility>

#include "flow/arena.hpp"
#include "runtime/port_options.hpp"

namespace tern {
namespace {

using settings::Range;

std::optional<net::Mac> parse_mac(std::string_view text) {
  net::Mac mac{};
  if (text.size() != 17) return std::nullopt;
  for (std::size_t i = 0; i < 6; ++i) {
    const char* at = text.data() + 3 * i;
    if (std::from_chars(at, at + 2, mac[i], 16).ptr != at + 2) return std::nullopt;
    if (i < 5 && at[2] != ':') return std::nullopt;
  }
  return mac;
}

} // namespace

void declare_port_options(settings::Schema& s, NodeSettings& n, std::string cores_help) {
  s.group("ports", "Where packets come from");
  s.add("port", n.port, "a DPDK device: a vdev string (net_tap0,iface=tern0) or a PCI address");
  s.add("cores", n.cores, std::move(cores_help));
  detail::declare_own_options(s, n);
  declare_common_port_options(s, n);
}

void declare_common_port_options(settings::Schema& s, NodeSettings& n) {
  s.add("mtu", n.mtu, "largest IP packet", Range<std::uint16_t>{576, 9000});
  s.choice<io::HugePages>(
      "huge_pages", n.huge_pages, "whether packets lie in huge pages",
      {{"auto", io::HugePages::automatic}, {"on", io::HugePages::required}, {"off", io::HugePages::never}});
  s.add("memory", n.memory, "most memory, packets and records together (0: what the machine has free)");
  s.add("packet_memory", n.packet_memory, "of it, for packets",
        Range{settings::Size{16ULL << 20}, settings::Size{64ULL << 30}});
  s.add("max_connections", n.connections, "most connections at once", Range{1U, 100'000'000U});
  s.add("time_wait_records", n.time_wait_records,
        "most connections remembered in TIME-WAIT; beyond it the oldest go", Range{64U, 400'000'000U});
  s.choice<IdlePolicy>("idle", n.idle, "with nothing to do: spin, or sleep until something comes or is due",
                       {{"busy", IdlePolicy::Busy}, {"adaptive", IdlePolicy::Adaptive}});
  s.choice<io::Offload>("checksum", n.checksums,
                        "who computes checksums: the port where it can, always the port, or always we",
                        {{"auto", io::Offload::automatic},
                         {"hardware", io::Offload::required},
                         {"software", io::Offload::never}});
  s.choice<io::Offload>("tso", n.tso,
                        "who cuts text into segments: the port where it can, always it, or always we",
                        {{"auto", io::Offload::automatic},
                         {"hardware", io::Offload::required},
                         {"software", io::Offload::never}});
  s.choice<io::Offload>("vlan_tag", n.vlan_tag,
                        "who puts the VLAN's tag on and takes it off: the port where it can, or always we",
                        {{"auto", io::Offload::automatic}, {"software", io::Offload::never}});
}

void declare_tcp_options(settings::Schema& s, NodeSettings& n) {
  tcp::Settings& t = n.tcp;
  s.group("tcp", "How TCP behaves");
  s.choice<tcp::CongestionControl>(
      "cc", t.congestion, "congestion control",
      {{"cubic", tcp::CongestionControl::Cubic}, {"newreno", tcp::CongestionControl::NewReno}});
  s.choice<tcp::CookieMode>("syn_cookies", n.cookies,
                            "SYN cookies: when records run out, for every SYN, or not at all",
                            {{"auto", tcp::CookieMode::Auto},
                             {"always", tcp::CookieMode::Always},
                             {"never", tcp::CookieMode::Never}});
  s.add("cookie_key_file", n.cookie_key_file,
        "32 hex digits; machines that share them finish handshakes that another began (default: drawn at the "
        "start)");
  s.add("backlog", n.backlog, "handshakes under way at once, of each listener and core; beyond it cookies",
        Range{1U, 1U << 20});
  s.add("syn_rate", n.syn_rate,
        "handshakes that may begin with a record, each core and second; beyond it cookies (0: no limit)",
        Range{0U, 1U << 30});
  s.add("synack_retries", t.synack_retries, "how often a SYN-ACK is sent again before we give up",
        Range<std::uint8_t>{0, 15});
  s.add("reset_rate", n.reset_rate, "RSTs for what belongs to no connection, each core and second",
        Range{1U, 1U << 30});
  s.add("time_wait", t.time_wait, "2MSL: how long a closed connection is remembered",
        Range{Duration::ms(1), Duration::seconds(1800)});
  s.add("fin_wait_2", t.fin_wait_2,
        "how long a connection that nobody reads any more waits for the peer's FIN",
        Range{Duration::ms(1), Duration::seconds(3600)});
  s.add("keepalive", t.keepalive_idle,
        "quiet time after which a peer is asked whether it is still there (0: never)",
        Range{Duration{}, Duration::seconds(7 * 86'400)});
  s.add("close_wait", t.close_wait,
        "how long a connection whose peer has closed may rest, neither sending nor read, before it is reset "
        "(0: for ever)",
        Range{Duration{}, Duration::seconds(86'400)});
  s.add("user_timeout", t.user_timeout,
        "how long text may stay unacknowledged before the connection is given up (0: after 15 tries)",
        Range{Duration{}, Duration::seconds(86'400)});
  s.add("rto_min", t.rto_min, "least retransmission timeout", Range{Duration::ms(1), Duration::seconds(60)});
  s.add("sack", t.sack, "selective acknowledgement");
  s.add("timestamps", t.timestamps, "timestamps option");
  s.add("ecn", t.ecn, "explicit congestion notification");
  s.add("delayed_ack", t.delayed_ack, "delay ACKs by up to 40 ms");
  s.add("nagle", t.nagle, "hold small segments back while others are unacknowledged");
  s.add("mss", n.mss, "most text of a segment that we send or ask for (0: what the MTU leaves)",
        Range<std::uint16_t>{0, 8960});
  s.add("window", t.receive_buffer, "receive buffer of a connection at first, bytes", Range{2048U, 1U << 30});
  s.add("window_max", t.receive_buffer_max, "and what it may grow to for a fast reader on a long path",
        Range{2048U, 1U << 30});
  s.add("send_buffer", t.send_buffer, "bytes a connection may have queued and unacknowledged",
        Range{2048U, 1U << 30});
}

std::string which_port(const NodeSettings& n) {
  return n.number == 0 ? "" : fmt::format("port {}: ", n.number);
}

void fail_without_port(const settings::Schema& s) {
  s.fail("port", "no port given; name a NIC (0000:03:00.0) or a software one (net_tap0,iface=tern0)");
}

net::InterfaceSettings interface_of(const NodeSettings& n, const settings::Schema& s,
                                    const net::Mac& port_mac, const std::string& driver) {
  net::InterfaceSettings who;
  who.mac = port_mac;
  // net_tap gives its kernel side the PMD's own MAC: be its neighbour, or the kernel takes our frames for its
  // own.
  if (driver == "net_tap") who.mac[5] ^= 1;
  if (!n.mac.empty()) {
    const auto mac = parse_mac(n.mac);
    if (!mac)
      s.fail("mac", which_port(n) + "'" + n.mac + "' is not a MAC address; write it as 02:00:00:00:00:01");
    who.mac = *mac;
  }
  if (n.ip.empty())
    s.fail("ip", "no address given; name at least one with its network's length, such as 10.0.0.2/24");
  for (const Prefix& p : n.ip) who.addresses.push_back({p.base(), p.length()});
  for (const Prefix& p : n.sources) {
    if (p.base().is_v4() || p.length() < 128)
      who.pools.push_back(p);
    else
      who.addresses.push_back({p.base(), 128});
  }
  who.mtu = n.mtu;
  if (n.gateway.size() > 2 || (n.gateway.size() == 2 && n.gateway[0].is_v4() == n.gateway[1].is_v4()))
    s.fail("gateway", which_port(n) + "more than one of a family; give the others with --route");
  for (const RouteSetting& r : n.routes)
    if (r.to.base().is_v4() != r.via.is_v4())
      s.fail("route", r.to.to_string() + " and its router " + r.via.to_string() + " are of two families");
  who.vlan = tag_of(n.vlan);
  who.service_vlan = tag_of(n.service_vlan);
  return who;
}

void apply_limits(const NodeSettings& n, const settings::Schema& s) {
  if (n.mss != 0 && n.mss < 88) s.fail("mss", fmt::format("{} leaves no room; give 88 or more", n.mss));
  if (n.memory.n == 0) return;
  if (n.memory.n <= n.packet_memory.n)
    s.fail("memory", "the packets alone take " + settings::Value<settings::Size>::print(n.packet_memory) +
                         "; give more, or lower --packet-memory");
  process_arena().set_memory(n.memory.n - n.packet_memory.n);
}

net::Routes routes_of(const NodeSettings& n) {
  std::vector<net::Route> routes;
  for (const Ip& via : n.gateway) routes.push_back({Prefix{via.is_v4() ? Ip{Ip4{}} : Ip{}, 0}, via});
  for (const RouteSetting& r : n.routes) routes.push_back({r.to, r.via});
  return net::Routes{std::move(routes)};
}

} // namespace tern
