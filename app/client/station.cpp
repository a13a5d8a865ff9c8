#include "app/client/station.hpp"

#include <rte_cycles.h>

#include <algorithm>
#include <chrono>

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

void add_packets(observe::Packets& p, const Station& s) {
  using C = tcp::Counter;
  const auto tcp = [&](C c) { return s.shard->tcp_counters.get(c); };
  p.rx += s.shard->counters.get(CoreCounter::rx_packets);
  p.tx += s.shard->counters.get(CoreCounter::tx_packets);
  p.rx_bytes += s.shard->counters.get(CoreCounter::rx_bytes);
  p.tx_bytes += s.shard->counters.get(CoreCounter::tx_bytes);
  p.resteered += s.resteered();
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
  if (const auto n = s.steered == nullptr ? 0 : s.steered->get(io::SteerCounter::steer_ring_full))
    p.drops["steer_ring_full"] += n;
  using I = io::ImpairCounter;
  for (const auto& [i, name] : {std::pair{I::lost, "impair_lost"},
                                {I::overflowed, "impair_overflowed"},
                                {I::no_buffer, "impair_no_buffer"}})
    if (const auto n = s.link == nullptr ? 0 : s.link->get(i)) p.drops[name] += n;
}

void add_defence(observe::ByName& to, const Shard& server) {
  using C = tcp::Counter;
  for (const C c : {C::syn_cookie_sent, C::syn_cookie_valid, C::syn_cookie_invalid, C::syn_limit_drop,
                    C::syn_given_up, C::accept_queue_full, C::listen_rst_out, C::listen_rst_limited,
                    C::listen_rst_in, C::challenge_ack, C::challenge_ack_limited, C::drop_rst_not_exact,
                    C::drop_out_of_window, C::time_wait_rst_ignored, C::zero_window_probe})
    if (const std::uint64_t n = server.tcp_counters.get(c); n != 0) to[tcp::name_of(c)] += n;
  for (const CoreCounter c : {CoreCounter::drop_no_connection_record, CoreCounter::drop_no_flow_entry})
    if (const std::uint64_t n = server.counters.get(c); n != 0) to[name_of(c)] += n;
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

namespace {

observe::CoreLoad core_of(const Station& s) {
  observe::CoreLoad c{.core = s.cpu, .role = s.role};
  if (s.is_client()) {
    const Counters<Load>& l = s.load->load;
    c.attempted = l.get(Load::attempted);
    c.established = l.get(Load::established);
    c.completed = l.get(Load::completed);
    c.failed = failures_of(l).total();
    c.live = s.load->live.load(std::memory_order_relaxed);
  } else {
    c.established = s.shard->counters.get(CoreCounter::accepted);
    c.completed = s.shard->counters.get(CoreCounter::closed_done);
    c.live = s.live_now.load(std::memory_order_relaxed);
  }
  c.time_wait = s.time_wait_now.load(std::memory_order_relaxed);
  c.rx_packets = s.shard->counters.get(CoreCounter::rx_packets);
  c.tx_packets = s.shard->counters.get(CoreCounter::tx_packets);
  c.resteered = s.resteered();
  return c;
}

} // namespace

Totals totals_of(std::span<const Station* const> stations) {
  Totals t;
  for (const Station* s : stations) {
    t.busy.push_back(s->busy_cycles.load(std::memory_order_relaxed));
    const observe::CoreLoad& core = t.cores.emplace_back(core_of(*s));
    t.time_wait += core.time_wait;
    if (!s->is_client()) continue;
    // Its core goes on meanwhile: what is in both is read once, so that the cores' figures add up to the whole's.
    t.attempted += core.attempted;
    t.established += core.established;
    t.completed += core.completed;
    t.live += core.live;
    t.client_rx_bytes += s->shard->counters.get(CoreCounter::rx_bytes);
    t.client_tx_bytes += s->shard->counters.get(CoreCounter::tx_bytes);
    const Counters<Load>& l = s->load->load;
    t.requests += l.get(Load::requests);
    t.response_bytes += l.get(Load::response_bytes);
    t.late += l.get(Load::late);
    for (const Bad b : {Bad::syn_flood, Bad::forged_ack, Bad::rst_spray})
      t.attack_packets += s->load->bad.get(b);
    for (const auto& n : s->load->bad_open) t.attack_open += n.load(std::memory_order_relaxed);
    t.failed += failures_of(l);
  }
  t.ns = std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
             .count();
  for (const Station* s : stations) add_packets(t.packets, *s);
  return t;
}

namespace {

observe::Failures minus(observe::Failures a, const observe::Failures& b) {
  a.connect_timeout -= b.connect_timeout;
  a.refused -= b.refused;
  a.reset -= b.reset;
  a.response_timeout -= b.response_timeout;
  a.short_response -= b.short_response;
  a.bad_byte -= b.bad_byte;
  return a;
}

observe::Retransmitted minus(observe::Retransmitted a, const observe::Retransmitted& b) {
  a.syn -= b.syn;
  a.syn_ack -= b.syn_ack;
  a.data -= b.data;
  a.fin -= b.fin;
  a.fast -= b.fast;
  a.rto -= b.rto;
  a.tlp -= b.tlp;
  a.spurious -= b.spurious;
  return a;
}

// Counts of the time between; `live` and `time_wait` are the later moment's.
observe::CoreLoad minus(observe::CoreLoad a, const observe::CoreLoad& b) {
  a.attempted -= b.attempted;
  a.established -= b.established;
  a.completed -= b.completed;
  a.failed -= b.failed;
  a.rx_packets -= b.rx_packets;
  a.tx_packets -= b.tx_packets;
  a.resteered -= b.resteered;
  return a;
}

// Without what did not happen.
observe::ByName minus(const observe::ByName& a, const observe::ByName& b) {
  observe::ByName left;
  for (const auto& [name, n] : a) {
    const auto before = b.find(name);
    if (const std::uint64_t d = before == b.end() ? n : n - before->second; d != 0) left[name] = d;
  }
  return left;
}

} // namespace

observe::Interval between(const Totals& from, const Totals& to, std::span<const Station* const> stations) {
  observe::Interval i;
  i.seconds = static_cast<double>(to.ns - from.ns) * 1e-9;
  i.attempted = to.attempted - from.attempted;
  i.established = to.established - from.established;
  i.completed = to.completed - from.completed;
  i.requests = to.requests - from.requests;
  i.response_bytes = to.response_bytes - from.response_bytes;
  i.failed = minus(to.failed, from.failed);
  i.live = to.live;
  i.attack_packets = to.attack_packets - from.attack_packets;
  i.attack_open = to.attack_open;
  i.time_wait = to.time_wait;
  i.rx_packets = to.packets.rx - from.packets.rx;
  i.tx_packets = to.packets.tx - from.packets.tx;
  i.rx_bytes = to.packets.rx_bytes - from.packets.rx_bytes;
  i.tx_bytes = to.packets.tx_bytes - from.packets.tx_bytes;
  i.retransmitted = minus(to.packets.retransmitted, from.packets.retransmitted);
  i.out_of_order = to.packets.out_of_order - from.packets.out_of_order;
  i.duplicate = to.packets.duplicate - from.packets.duplicate;
  i.resteered = to.packets.resteered - from.packets.resteered;
  i.tx_ring_full = to.packets.tx_ring_full - from.packets.tx_ring_full;
  i.drops_by_reason = minus(to.packets.drops, from.packets.drops);
  for (const auto& [reason, n] : i.drops_by_reason) i.drops += n;
  const double cycles = i.seconds * static_cast<double>(rte_get_tsc_hz());
  for (std::size_t k = 0; k < stations.size(); ++k) {
    i.cores.push_back(minus(to.cores[k], from.cores[k]));
    if (cycles > 0) i.cores[k].busy = std::min(1.0, static_cast<double>(to.busy[k] - from.busy[k]) / cycles);
  }
  return i;
}

StageLatencies StageLatencies::since(const StageLatencies& earlier) const {
  return {connect.since(earlier.connect), first_byte.since(earlier.first_byte),
          response.since(earlier.response), close.since(earlier.close)};
}
observe::Stages StageLatencies::stages() const {
  return {latency_of(connect), latency_of(first_byte), latency_of(response), latency_of(close)};
}

StageLatencies latencies_of(std::span<const Station* const> stations) {
  StageLatencies all;
  for (const Station* s : stations) {
    if (!s->is_client()) continue;
    s->load->connect.add_to(all.connect);
    s->load->first_byte.add_to(all.first_byte);
    s->load->response.add_to(all.response);
    s->load->close.add_to(all.close);
  }
  return all;
}

} // namespace tern::app
