#include "app/bench/report.hpp"

#include "observe/machine.hpp"

namespace tern::app {
observe::Failures failures_of(const Counters<Load>& c) {
  observe::Failures f;
  f.connect_timeout = c.get(Load::connect_timeout);
  f.refused = c.get(Load::refused);
  f.reset = c.get(Load::reset);
  f.response_timeout = c.get(Load::response_timeout);
  f.short_response = c.get(Load::short_response);
  f.bad_byte = c.get(Load::bad_byte);
  return f;
}

void add_packets(observe::Packets& p, const Side& s) {
  using C = tcp::Counter;
  const auto tcp = [&](C c) { return s.shard->tcp_counters.get(c); };
  p.rx += s.shard->counters.get(CoreCounter::rx_packets);
  p.tx += s.shard->counters.get(CoreCounter::tx_packets);
  p.rx_bytes += s.shard->counters.get(CoreCounter::rx_bytes);
  p.tx_bytes += s.shard->counters.get(CoreCounter::tx_bytes);
  p.tx_ring_full += s.port->get(io::PortCounter::tx_backlogged);
  p.retransmitted.syn += tcp(C::retransmit_syn);
  p.retransmitted.syn_ack += tcp(C::retransmit_syn_ack);
  p.retransmitted.fin += tcp(C::retransmit_fin);
  p.retransmitted.fast += tcp(C::retransmit_fast);
  p.retransmitted.rto += tcp(C::retransmit_rto);
  p.retransmitted.tlp += tcp(C::retransmit_tlp);
  p.retransmitted.spurious += tcp(C::retransmit_spurious);
  const std::uint64_t again = tcp(C::retransmit_fast) + tcp(C::retransmit_rto) + tcp(C::retransmit_tlp);
  p.retransmitted.data += again - std::min(again, tcp(C::retransmit_fin));
  p.out_of_order += tcp(C::out_of_order_in);
  p.duplicate += tcp(C::duplicate_in);
  for (std::size_t i = 0; i < tcp::TcpCounters::size; ++i) {
    const auto c = static_cast<C>(i);
    const std::string name = tcp::name_of(c);
    if (name.starts_with("drop_") && tcp(c) != 0) p.drops[name] += tcp(c);
  }
  for (std::size_t i = 0; i < net::NetCounters::size; ++i) {
    const auto c = static_cast<net::NetCounter>(i);
    const std::string name(net::name_of(c));
    if (name.starts_with("drop_") && s.net->get(c) != 0) p.drops[name] += s.net->get(c);
  }
  for (std::size_t i = 0; i < CoreCounters::size; ++i) {
    const auto c = static_cast<CoreCounter>(i);
    const std::string name = name_of(c);
    if (name.starts_with("drop_") && s.shard->counters.get(c) != 0) p.drops[name] += s.shard->counters.get(c);
  }
  if (const auto n = s.port->get(io::PortCounter::tx_dropped)) p.drops["tx_ring_full"] += n;
}

observe::Memory memory() {
  observe::Memory m;
  const observe::Resident now = observe::resident();
  m.rss_bytes = now.rss_bytes;
  m.huge_bytes = now.huge_bytes;
  m.page_bytes = 4096;
  for (const ArenaReservation& r : process_arena().reservations()) {
    m.reserved[r.request.name] += r.bytes;
    if (r.pages != PageKind::small) m.page_bytes = 2U << 20;
  }
  return m;
}

} // namespace tern::app
