#include "app/measure/station.hpp"

#include <rte_cycles.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "observe/fields.hpp"
#include "observe/machine.hpp"

namespace tern::app {

Tally& Tally::operator+=(const Tally& o) {
  attempted += o.attempted;
  established += o.established;
  completed += o.completed;
  requests += o.requests;
  response_bytes += o.response_bytes;
  late += o.late;
  starved += o.starved;
  live += o.live;
  attack_packets += o.attack_packets;
  attack_open += o.attack_open;
  failed += o.failed;
  return *this;
}

Tally Station::tally() const {
  const auto core = [&](CoreCounter c) { return shard->counters.get(c); };
  Tally t;
  // Ends first: none is seen to end that was not accepted.
  t.completed = core(CoreCounter::closed_done);
  t.failed.reset = core(CoreCounter::closed_reset);
  t.failed.timed_out = core(CoreCounter::closed_timed_out);
  t.failed.aborted = core(CoreCounter::closed_aborted);
  t.failed.no_memory = core(CoreCounter::closed_no_memory);
  t.attempted = t.established = core(CoreCounter::accepted);
  t.live = gauges->live.load(std::memory_order_relaxed);
  t.requests = answered == nullptr ? 0 : answered->load(std::memory_order_relaxed);
  return t;
}

std::uint64_t Station::waited_ns() const {
  return thread == 0 ? 0 : observe::waited_for_cpu_ns(thread);
}

std::uint64_t Station::busy_cycles() const {
  return gauges->busy_cycles.load(std::memory_order_relaxed);
}

std::int64_t Station::own_cycles() const {
  return static_cast<std::int64_t>(Station::busy_cycles()) -
         static_cast<std::int64_t>(gauges->port_cycles.load(std::memory_order_relaxed));
}

namespace {

// But for what core_of() has read by then.
observe::Packets packets_of(const Station& s) {
  observe::Packets p;
  using C = tcp::Counter;
  const auto tcp = [&](C c) { return s.shard->tcp_counters.get(c); };
  p.rx_bytes = s.shard->counters.get(CoreCounter::rx_bytes);
  p.tx_bytes = s.shard->counters.get(CoreCounter::tx_bytes);
  p.tx_ring_full = s.port->get(io::PortCounter::tx_backlogged);
  p.retransmitted.syn = tcp(C::retransmit_syn);
  p.retransmitted.syn_ack = tcp(C::retransmit_syn_ack);
  p.retransmitted.data = tcp(C::retransmit_data);
  p.retransmitted.fin = tcp(C::retransmit_fin);
  p.retransmitted.fast = tcp(C::retransmit_fast);
  p.retransmitted.rto = tcp(C::retransmit_rto);
  p.retransmitted.tlp = tcp(C::retransmit_tlp);
  p.retransmitted.spurious = tcp(C::retransmit_spurious);
  p.out_of_order = tcp(C::out_of_order_in);
  p.duplicate = tcp(C::duplicate_in);
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
  if (const auto n = s.port->get(io::PortCounter::tx_unsendable)) p.drops["tx_unsendable"] += n;
  if (const auto n = s.missed ? s.missed().value_or(0) : 0) p.drops["rx_missed"] += n;
  if (const auto n = s.steered == nullptr ? 0 : s.steered->get(io::SteerCounter::steer_ring_full))
    p.drops["steer_ring_full"] += n;
  using I = io::ImpairCounter;
  for (const auto& [i, name] : {std::pair{I::lost, "impair_lost"},
                                {I::overflowed, "impair_overflowed"},
                                {I::no_buffer, "impair_no_buffer"}})
    if (const auto n = s.link == nullptr ? 0 : s.link->get(i)) p.drops[name] += n;
  for (const auto& [i, name] :
       {std::pair{I::duplicated, "duplicated"}, {I::corrupted, "corrupted"}, {I::reordered, "reordered"}})
    if (const auto n = s.link == nullptr ? 0 : s.link->get(i)) p.link[name] += n;
  return p;
}

std::uint64_t sum_of(const observe::ByName& all) {
  std::uint64_t n = 0;
  for (const auto& [name, each] : all) n += each;
  return n;
}

// One core's among all.
void add_packets(observe::CoreLoad& core, observe::Packets& all, const Station& s) {
  observe::Packets p = packets_of(s);
  for (const auto& [of_core, of_packets] :
       {std::pair{&observe::CoreLoad::rx_bytes, &observe::Packets::rx_bytes},
        {&observe::CoreLoad::tx_bytes, &observe::Packets::tx_bytes},
        {&observe::CoreLoad::out_of_order, &observe::Packets::out_of_order},
        {&observe::CoreLoad::duplicate, &observe::Packets::duplicate},
        {&observe::CoreLoad::tx_ring_full, &observe::Packets::tx_ring_full}}) {
    core.*of_core = p.*of_packets;
    all.*of_packets += p.*of_packets;
  }
  core.retransmitted = p.retransmitted;
  all.retransmitted += p.retransmitted;
  for (const auto& [reason, n] : p.drops) all.drops[reason] += n;
  for (const auto& [what, n] : p.link) all.link[what] += n;
  core.drops = sum_of(p.drops);
  core.drops_by_reason = std::move(p.drops);
}

} // namespace

void add_defence(observe::ByName& to, const Shard& server) {
  using C = tcp::Counter;
  for (const C c : {C::syn_cookie_sent, C::syn_cookie_valid, C::syn_cookie_invalid, C::syn_limit_drop,
                    C::syn_given_up, C::accept_queue_full, C::listen_rst_out, C::listen_rst_limited,
                    C::listen_rst_in, C::challenge_ack, C::challenge_ack_limited, C::drop_rst_not_exact,
                    C::drop_out_of_window, C::time_wait_rst_ignored, C::zero_window_probe})
    if (const std::uint64_t n = server.tcp_counters.get(c); n != 0) to[tcp::name_of(c)] += n;
  constexpr CoreCounter c = CoreCounter::drop_no_flow_entry;
  if (const std::uint64_t n = server.counters.get(c); n != 0) to[name_of(c)] += n;
}

double cookie_share(std::span<const Station* const> servers) {
  std::uint64_t accepted = 0;
  std::uint64_t by_cookie = 0;
  for (const Station* s : servers) {
    accepted += s->shard->counters.get(CoreCounter::accepted);
    by_cookie += s->shard->tcp_counters.get(tcp::Counter::syn_cookie_valid);
  }
  // A good cookie may find no record, and its ACK come again: there can be more of them.
  return accepted == 0 ? 0 : std::min(1.0, static_cast<double>(by_cookie) / static_cast<double>(accepted));
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

struct ThatHappened {
  observe::ByName& to;
  void operator()(const char* name, std::uint64_t n) const {
    if (n != 0) to[name] = n;
  }
  void client(const char* name, std::uint64_t n) const { (*this)(name, n); }
  void server(const char* name, std::uint64_t n) const { (*this)(name, n); }
  void derived(const char*, std::uint64_t) const {}
};

observe::CoreLoad core_of(const Station& s, const Tally& t) {
  observe::CoreLoad c{.core = s.cpu, .role = s.role};
  c.attempted = t.attempted;
  c.established = t.established;
  c.completed = t.completed;
  c.failed = t.failed.total();
  fields(t.failed, ThatHappened{c.failed_by_cause});
  c.requests = t.requests;
  c.live = t.live;
  c.time_wait = s.gauges->time_wait.load(std::memory_order_relaxed);
  c.rx_packets = s.shard->counters.get(CoreCounter::rx_packets);
  c.tx_packets = s.shard->counters.get(CoreCounter::tx_packets);
  c.resteered = s.resteered();
  c.cycles = static_cast<std::uint64_t>(std::max<std::int64_t>(s.own_cycles(), 0));
  return c;
}

} // namespace

Totals totals_of(std::span<const Station* const> stations) {
  Totals t;
  for (const Station* s : stations) {
    t.busy.push_back(s->busy_cycles());
    t.waited_ns.push_back(s->waited_ns());
    // Its core goes on meanwhile: each is read once, so that the cores' figures add up to the whole's.
    const Tally tally = s->tally();
    const observe::CoreLoad& core = t.cores.emplace_back(core_of(*s, tally));
    t.time_wait += core.time_wait;
    t.packets.rx += core.rx_packets;
    t.packets.tx += core.tx_packets;
    t.packets.resteered += core.resteered;
    if (s->tallied) t += tally;
  }
  t.ns = std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
             .count();
  for (std::size_t k = 0; k < stations.size(); ++k) add_packets(t.cores[k], t.packets, *stations[k]);
  return t;
}

namespace {

observe::Failures minus(observe::Failures a, const observe::Failures& b) {
  a.connect_timeout -= b.connect_timeout;
  a.refused -= b.refused;
  a.unreachable -= b.unreachable;
  a.reset -= b.reset;
  a.response_timeout -= b.response_timeout;
  a.short_response -= b.short_response;
  a.bad_byte -= b.bad_byte;
  a.timed_out -= b.timed_out;
  a.aborted -= b.aborted;
  a.no_memory -= b.no_memory;
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

// Without what did not happen.
observe::ByName minus(const observe::ByName& a, const observe::ByName& b) {
  observe::ByName left;
  for (const auto& [name, n] : a) {
    const auto before = b.find(name);
    if (const std::uint64_t d = before == b.end() ? n : n - before->second; d != 0) left[name] = d;
  }
  return left;
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
  a.cycles -= std::min(a.cycles, b.cycles); // what the port took may be told a turn later
  a.failed_by_cause = minus(a.failed_by_cause, b.failed_by_cause);
  a.requests -= b.requests;
  a.rx_bytes -= b.rx_bytes;
  a.tx_bytes -= b.tx_bytes;
  a.retransmitted = minus(a.retransmitted, b.retransmitted);
  a.out_of_order -= b.out_of_order;
  a.duplicate -= b.duplicate;
  a.tx_ring_full -= b.tx_ring_full;
  a.drops_by_reason = minus(a.drops_by_reason, b.drops_by_reason);
  a.drops = sum_of(a.drops_by_reason);
  return a;
}

} // namespace

void tell_cores(observe::Summary& s, const Totals& end, const observe::Interval& measured,
                std::span<const Station* const> stations) {
  for (std::size_t i = 0; i < end.cores.size(); ++i)
    s.cores.emplace_back(observe::CoreSummary{end.cores[i], {}}).busy = measured.cores[i].busy;
  for (const Station* c : stations)
    s.time_wait_peak += c->gauges->time_wait_peak.load(std::memory_order_relaxed);
}

CoreTime hardest_client(const Totals& from, const Totals& to, std::span<const observe::CoreLoad> meanwhile) {
  CoreTime hardest;
  if (to.ns <= from.ns) return hardest;
  for (std::size_t k = 0; k < meanwhile.size(); ++k) {
    if (meanwhile[k].role == "server") continue;
    const std::uint64_t waited = to.waited_ns[k] - std::min(to.waited_ns[k], from.waited_ns[k]);
    const CoreTime it{meanwhile[k].busy,
                      std::min(1.0, static_cast<double>(waited) / static_cast<double>(to.ns - from.ns))};
    if (std::max(it.busy, it.waited) > std::max(hardest.busy, hardest.waited)) hardest = it;
  }
  return hardest;
}

double cycles_each(std::span<const Station* const> stations, std::uint64_t connections) {
  std::int64_t cycles = 0;
  for (const Station* c : stations) cycles += c->own_cycles();
  return connections == 0 ? 0 : std::max(0.0, static_cast<double>(cycles) / static_cast<double>(connections));
}

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
  i.drops = sum_of(i.drops_by_reason);
  const double cycles = i.seconds * static_cast<double>(rte_get_tsc_hz());
  for (std::size_t k = 0; k < stations.size(); ++k) {
    i.cores.push_back(minus(to.cores[k], from.cores[k]));
    if (cycles > 0) i.cores[k].busy = std::min(1.0, static_cast<double>(to.busy[k] - from.busy[k]) / cycles);
  }
  return i;
}

} // namespace tern::app
