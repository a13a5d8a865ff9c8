#include "io/negotiation.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "io/error.hpp"

namespace tern::io {
namespace {

constexpr std::uint16_t ethernet_overhead = 14 + 4 + 4; // header, two tags: what a frame holds beside its MTU

Where hardware_if(bool can) {
  return can ? Where::hardware : Where::software;
}

std::string cure_for_mtu(const PortCapabilities& can) {
  if (can.driver == "net_af_packet")
    return "its ring's frames are too small; framesz=9216,blocksz=36864,framecnt=512 makes them larger";
  if (can.driver == "net_tap")
    return "its driver reads and writes no larger frames; net_af_packet on a veth pair does";
  return fmt::format("the driver takes no larger frames; --mtu {} is what it does", can.max_mtu);
}

std::string_view checksum_word(Where ip, Where tcp) {
  return ip == tcp ? name_of(ip) : "partial";
}

// A NIC that cuts segments must fill in their checksums, and read them from chains. net_tap's cutting is the
// driver's own: no cheaper than ours, so it is left unless it is asked for. It knows IPv4 alone, counts Ethernet's
// header to the MTU, and refuses for ever what is longer; and what it sums must lie in one piece (see below).
void negotiate_tso(const PortCapabilities& can, const PortRequest& want, PortPlan& p) {
  const bool tap = can.driver == "net_tap";
  const bool sums = can.tx_ip_checksum && can.tx_tcp_checksum && want.checksums != Offload::never;
  const bool wanted = want.tso == Offload::required || (want.tso == Offload::automatic && !tap);
  p.tso = hardware_if(wanted && can.tso && sums && can.multi_segment_tx);
  p.tso_limits = {.pieces = can.tx_pieces, .segment_pieces = can.tx_segment_pieces};
  if (tap) p.tso_limits = {.pieces = UINT16_MAX, .segment_pieces = 1, .frame = want.mtu, .ip6 = false};
}

} // namespace

std::string_view name_of(Where w) {
  switch (w) {
    case Where::off:
      return "off";
    case Where::software:
      return "software";
    case Where::hardware:
      return "hardware";
  }
  return "?";
}

PortPlan negotiate(const PortCapabilities& can, const PortRequest& want) {
  if (want.queues == 0) throw Error(want.name + ": a port needs at least one queue");
  if (want.mtu < 576 || want.mtu > 9216)
    throw Error(fmt::format("{}: mtu {} is not in 576..9216", want.name, want.mtu));
  if (want.mtu > can.max_mtu)
    throw Error(fmt::format("{}: {} carries an mtu of at most {}; {} was asked for: {}", want.name,
                            can.driver, can.max_mtu, want.mtu, cure_for_mtu(can)));
  PortPlan p;
  p.mtu = want.mtu;
  p.queues = std::min({want.queues, can.max_rx_queues, can.max_tx_queues});
  if (p.queues == 0) throw Error(fmt::format("{}: {} has no queue to give", want.name, can.driver));
  if (p.queues < want.queues)
    p.notes.push_back(fmt::format("{} queues asked for, {} there are: cores beyond them are fed by hand-off",
                                  want.queues, p.queues));
  p.rx_descriptors = std::clamp(want.rx_descriptors, can.min_descriptors, can.max_descriptors);
  p.tx_descriptors = std::clamp(want.tx_descriptors, can.min_descriptors, can.max_descriptors);

  p.scatter = want.mtu + ethernet_overhead > want.buffer_room;
  if (p.scatter && !can.scatter)
    throw Error(fmt::format(
        "{}: {} cannot receive into chains, and one buffer of {} bytes does not hold an mtu of {}; "
        "take larger buffers or a smaller mtu",
        want.name, can.driver, want.buffer_room, want.mtu));
  p.multi_segment_tx = can.multi_segment_tx;

  // net_tap's are no hardware's but the driver's own sums, and those of chains are wrong when a segment's
  // length is odd (seen in 22.11: tap_tx_l4_cksum adds the segments as if each began at an even offset).
  const bool sums_wrongly = can.driver == "net_tap";
  const bool checksums = want.checksums != Offload::never && !sums_wrongly;
  p.rx_ip_checksum = hardware_if(checksums && can.rx_ip_checksum);
  p.rx_tcp_checksum = hardware_if(checksums && can.rx_tcp_checksum);
  p.tx_ip_checksum = hardware_if(checksums && can.tx_ip_checksum);
  p.tx_tcp_checksum = hardware_if(checksums && can.tx_tcp_checksum);
  negotiate_tso(can, want, p);
  // Both or neither: what is above the port knows of a tag, or does not.
  const bool one_tag = want.vlan_id != 0 && want.vlan_tag != Offload::never;
  if (want.vlan) p.vlan = hardware_if(one_tag && can.vlan_strip && can.vlan_insert);
  if (p.vlan == Where::hardware) p.vlan_id = want.vlan_id;
  p.link = hardware_if(can.link_interrupt);
  p.wake = want.wakes ? hardware_if(can.rx_interrupt) : Where::off;

  if (want.queues > 1) {
    // Both families or neither: the owner of a tuple is one function, whoever computes it.
    const bool whole = can.rss_tcp4 && can.rss_tcp6 && can.rss_key_bytes >= 40 && can.reta_entries > 0;
    p.rss = hardware_if(want.rss == Offload::automatic && whole && p.queues == want.queues);
  }
  return p;
}

std::string describe(std::uint16_t port_id, std::string_view driver, const PortPlan& p) {
  std::string s = fmt::format(
      "port {} {}: {} queue{}, mtu {}, rss {}, rx-csum {}, tx-csum {}, tso {}, vlan {}, link {}, wake {}",
      port_id, driver, p.queues, p.queues == 1 ? "" : "s", p.mtu, name_of(p.rss),
      checksum_word(p.rx_ip_checksum, p.rx_tcp_checksum), checksum_word(p.tx_ip_checksum, p.tx_tcp_checksum),
      name_of(p.tso), name_of(p.vlan), p.link == Where::hardware ? "interrupt" : "polled",
      p.wake == Where::off        ? "off"
      : p.wake == Where::hardware ? "interrupt"
                                  : "timer");
  if (p.scatter) s += ", scatter";
  if (!p.multi_segment_tx) s += ", tx copied to one segment";
  for (const auto& n : p.notes) s += "; " + n;
  return s;
}

} // namespace tern::io
