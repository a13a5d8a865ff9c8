#include "app/bench/flood.hpp"

#include <algorithm>

#include "wire/checksum.hpp"
#include "wire/ipv4.hpp"
#include "wire/ipv6.hpp"
#include "wire/tcp_inl.hpp"

namespace tern::app {

std::array<double, floods> flood_rates(std::span<const AttackSetting> attacks, const LoadPlan& core) {
  std::array<double, floods> rates{};
  for (const AttackSetting& a : attacks)
    if (is_flood(a.kind) && !core.rests)
      rates[static_cast<std::size_t>(a.kind)] = static_cast<double>(a.amount) * core.share;
  return rates;
}

std::uint64_t Forger::next() { // SplitMix64
  std::uint64_t z = (random_ += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

Forger::Tuple Forger::nobody() {
  const std::uint64_t r = next();
  const auto which = static_cast<std::uint32_t>(r >> 32) % static_cast<std::uint32_t>(plan_.spoofed.count());
  const auto port = static_cast<std::uint16_t>(1024 + (r & 0xffff) % 64512);
  return {{plan_.spoofed.at(which), Port{port}}, plan_.targets[(r >> 16 & 0xffff) % plan_.targets.size()]};
}

Forger::Tuple Forger::victim(Shard& shard) {
  const std::uint32_t all = shard.connections.fresh();
  for (int tries = all == 0 ? 0 : 4; tries != 0; --tries) {
    ConnectionRecord& r = shard.connections.at(static_cast<std::uint32_t>(next() % all));
    if (!r.has(ConnectionRecord::in_use)) continue;
    const Connection c = shard.handle(r);
    return {c.local(), c.remote()};
  }
  return nobody();
}

Packet Forger::make(AttackKind kind, Shard& victims, const PacketPool& pool) {
  const Tuple t = kind == AttackKind::rst_spray ? victim(victims) : nobody();
  const std::uint64_t r = next();
  wire::Tcp tcp;
  tcp.src = t.from.port;
  tcp.dst = t.to.port;
  tcp.seq = Seq{static_cast<std::uint32_t>(r)};
  switch (kind) {
    case AttackKind::syn_flood:
      tcp.flags = wire::tcp_flag::syn;
      tcp.window = 64240;
      tcp.options.has = wire::TcpOptions::mss_bit;
      tcp.options.mss = 1460;
      break;
    case AttackKind::forged_ack:
      tcp.flags = wire::tcp_flag::ack;
      tcp.ack = Seq{static_cast<std::uint32_t>(r >> 32)};
      tcp.window = 502;
      break;
    default:
      tcp.flags = wire::tcp_flag::rst;
      break;
  }
  return frame(t, tcp, pool);
}

Packet Forger::frame(const Tuple& t, const wire::Tcp& tcp, const PacketPool& pool) {
  const bool four = t.to.ip.is_v4();
  const std::size_t link = plan_.link.header_length();
  const std::size_t ip = four ? wire::ipv4_length : wire::ipv6_length;
  const std::size_t segment = wire::emitted_length(tcp);
  Packet p = pool.alloc(static_cast<std::uint32_t>(link + ip + segment));
  if (!p) return p;
  wire::Ethernet e = plan_.link;
  e.type = four ? wire::ether_type::ipv4 : wire::ether_type::ipv6;
  std::byte* to = p.data();
  to += wire::emit_ethernet(e, to);
  if (four) {
    wire::Ipv4 h;
    h.src = t.from.ip.v4();
    h.dst = t.to.ip.v4();
    h.protocol = wire::ip_protocol::tcp;
    h.dont_fragment = true;
    h.total_length = static_cast<std::uint16_t>(ip + segment);
    wire::emit_plain_ipv4(h, true, to);
  } else {
    wire::Ipv6 h;
    h.src = t.from.ip;
    h.dst = t.to.ip;
    h.next_header = wire::ip_protocol::tcp;
    h.payload_length = static_cast<std::uint16_t>(segment);
    wire::emit_plain_ipv6(h, to);
  }
  to += ip;
  wire::emit_tcp(tcp, to);
  wire::set_tcp_checksum(t.from.ip, t.to.ip, {to, segment});
  return p;
}

} // namespace tern::app
