#include "sim/sim_port.hpp"

#include "wire/ethernet.hpp"

namespace tern::sim {

namespace {

constexpr std::size_t ethernet_bytes = 14;
// Whoever is behind the link answers with one address: there is only one wire.
constexpr wire::Mac far_end{{0x02, 0, 0, 0, 0, 2}};

} // namespace

SimPort::SimPort(PacketPool packets, std::uint32_t receive_ring) : packets_(packets), room_(receive_ring) {}

SimPort::~SimPort() {
  for (rte_mbuf* m : ring_) Packet{m}.reset();
}

void SimPort::put_in_ring(Packet p) {
  if (ring_.size() == room_) {
    ++missed_;
    return;
  }
  ring_.push_back(p.release());
}

void SimPort::deliver(Bytes ip_packet) {
  Packet p = packets_.alloc();
  std::byte* at = p ? p.append(ethernet_bytes) : nullptr;
  if (at == nullptr) {
    ++missed_;
    return;
  }
  wire::Ethernet e;
  e.dst = mac();
  e.src = far_end;
  e.type = wire::ether_type::ipv4;
  wire::emit_ethernet(e, at);
  if (!p.append_copy(ip_packet, packets_)) {
    ++missed_;
    return;
  }
  put_in_ring(std::move(p));
}

std::uint16_t SimPort::rx_burst(io::QueueId, rte_mbuf** out, std::uint16_t n) {
  std::uint16_t i = 0;
  for (; i < n && !ring_.empty(); ++i) {
    out[i] = ring_.front();
    ring_.pop_front();
  }
  counters_.add(io::PortCounter::rx_packets, i);
  return i;
}

std::uint16_t SimPort::tx_burst(io::QueueId, rte_mbuf** m, std::uint16_t n) {
  counters_.add(io::PortCounter::tx_packets, n);
  for (std::uint16_t i = 0; i < n; ++i) {
    const Packet p{m[i]};
    wire::Ethernet e;
    if (wire::parse_ethernet(p.bytes(), e) != wire::Verdict::ok) continue;
    if (e.type == wire::ether_type::arp) {
      answer_arp(p);
    } else if (e.type == wire::ether_type::ipv4) {
      scratch_.resize(p.length() - ethernet_bytes);
      p.copy_out(ethernet_bytes, scratch_);
      wire(scratch_);
    }
  }
  return n;
}

void SimPort::answer_arp(const Packet& request) {
  wire::Arp asked;
  if (wire::parse_arp(request.bytes().subspan(ethernet_bytes), asked) != wire::Verdict::ok ||
      asked.operation != wire::Arp::request || asked.target_ip == asked.sender_ip) // its announcement
    return;
  Packet p = packets_.alloc();
  if (!p) return;
  wire::Ethernet e;
  e.dst = asked.sender_mac;
  e.src = far_end;
  e.type = wire::ether_type::arp;
  wire::emit_ethernet(e, p.append(ethernet_bytes));
  wire::Arp a;
  a.operation = wire::Arp::reply;
  a.sender_mac = far_end;
  a.sender_ip = asked.target_ip;
  a.target_mac = asked.sender_mac;
  a.target_ip = asked.sender_ip;
  wire::emit_arp(a, p.append(wire::arp_length));
  put_in_ring(std::move(p));
}

} // namespace tern::sim
