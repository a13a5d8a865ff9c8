#include "app/measure/figures.hpp"

#include <rte_cycles.h>

#include "flow/arena.hpp"
#include "tcp/counters.hpp"

namespace tern::app {
namespace {

using observe::MetricsPage;

template <class Value>
void each_core(MetricsPage& page, const Figures& all, Value&& value) {
  for (const CoreFigures& f : all.cores)
    page.sample(value(f), {{"port", std::to_string(f.port)}, {"core", std::to_string(f.core)}});
}
template <class Value>
void each_port(MetricsPage& page, const Figures& all, Value&& value) {
  for (const PortFigures& f : all.ports) page.sample(value(f), {{"port", std::to_string(f.number)}});
}

std::uint64_t read(const std::atomic<std::uint64_t>& n) {
  return n.load(std::memory_order_relaxed);
}

void add_gauges(MetricsPage& page, const Figures& all) {
  page.gauge("tern_connections", "open connections; one that is balanced is two");
  each_core(page, all, [](const CoreFigures& f) { return read(f.gauges->live); });
  page.gauge("tern_connections_max", "connections that there are records for");
  each_core(page, all, [](const CoreFigures& f) { return std::uint64_t{f.shard->connections.capacity()}; });
  page.gauge("tern_syn_received", "handshakes under way that have a record; those under cookies have none");
  each_core(page, all, [](const CoreFigures& f) { return read(f.gauges->syn_received); });
  page.gauge("tern_time_wait", "closed connections remembered in TIME-WAIT");
  each_core(page, all, [](const CoreFigures& f) { return read(f.gauges->time_wait); });
}

void add_load(MetricsPage& page, const Figures& all) {
  const auto hz = static_cast<double>(rte_get_tsc_hz());
  const auto seconds = [hz](const std::atomic<std::uint64_t>& cycles) {
    return static_cast<double>(read(cycles)) / hz;
  };
  page.counter("tern_core_busy_seconds",
               "time in turns that found work: its rate is the core's load, 0 to 1");
  each_core(page, all, [&](const CoreFigures& f) { return seconds(f.gauges->busy_cycles); });
  page.counter("tern_core_port_seconds", "of the busy time, that inside the port's receive and transmit");
  each_core(page, all, [&](const CoreFigures& f) { return seconds(f.gauges->port_cycles); });
}

void add_memory(MetricsPage& page, const Figures& all) {
  page.gauge("tern_packets_free", "packets that nobody holds, of the pool of a port");
  each_port(page, all, [](const PortFigures& f) { return std::uint64_t{f.packets.free()}; });
  page.gauge("tern_packets_used", "packets that somebody holds");
  each_port(page, all, [](const PortFigures& f) { return std::uint64_t{f.packets.used()}; });
  page.gauge("tern_memory_bytes", "memory reserved at the start, by what it is for");
  std::map<std::string, std::uint64_t> pieces = all.memory;
  for (const ArenaReservation& r : process_arena().reservations()) pieces[r.request.name] += r.bytes;
  for (const PortFigures& f : all.ports) {
    const rte_mempool* const pool = f.packets.raw();
    const std::uint64_t each = pool->header_size + pool->elt_size + pool->trailer_size;
    pieces[fmt::format("port {} packets", f.number)] = pool->size * each;
  }
  for (const auto& [piece, bytes] : pieces) page.sample(bytes, {{"piece", piece}});
}

} // namespace

void add(MetricsPage& page, const Figures& all) {
  page.gauge("tern_build_info", "1; its labels tell which tern this is");
  page.sample(std::uint64_t{1}, {{"version", TERN_VERSION}});
  add_gauges(page, all);
  add_load(page, all);
  add_memory(page, all);
  const auto layer = [&]<class E>(const char* name, const char* where, auto&& of, E) {
    add_counters<E>(
        page, name, where, [](E c) { return std::string_view(name_of(c)); }, all,
        [&](std::size_t k) -> const Counters<E>& { return of(all.cores[k]); });
  };
  using F = CoreFigures;
  layer(
      "core", "the core", [](const F& f) -> auto& { return f.shard->counters; }, CoreCounter{});
  layer(
      "core", "the core for others", [](const F& f) -> auto& { return *f.steered; }, io::SteerCounter{});
  layer(
      "tcp", "the TCP engine", [](const F& f) -> auto& { return f.shard->tcp_counters; }, tcp::Counter{});
  layer(
      "net", "the network layer", [](const F& f) -> auto& { return *f.net; }, net::NetCounter{});
  layer(
      "port", "the core's queue of the port", [](const F& f) -> auto& { return *f.queue; },
      io::PortCounter{});
  page.counter("tern_port_rx_missed",
               "packets that the port's device lost: its ring was full, or no packet free");
  for (const PortFigures& f : all.ports)
    if (const auto n = f.missed()) page.sample(*n, {{"port", std::to_string(f.number)}});
  if (all.cores.empty() || all.cores.front().answered == nullptr) return;
  page.counter("tern_server_requests", "requests answered");
  each_core(page, all, [](const CoreFigures& f) { return f.answered == nullptr ? 0 : read(*f.answered); });
}

} // namespace tern::app
