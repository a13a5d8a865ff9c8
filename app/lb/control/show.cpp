#include "app/lb/control/show.hpp"

#include <fmt/format.h>
#include <rte_cycles.h>

#include <algorithm>
#include <set>

#include "app/lb/choose/slow_start.hpp"
#include "app/lb/config/kinds.hpp"
#include "app/lb/control/director.hpp"
#include "app/lb/control/sums.hpp"
#include "app/ss/sockets.hpp"
#include "flow/arena.hpp"

namespace tern::app::lb {
namespace {

using settings::Value;

constexpr std::uint32_t rows_a_turn = 256;          // what a core looks at between two turns of its loop
constexpr std::size_t most_connections = 1'000'000; // that are shown

std::string age(Duration d) {
  const std::int64_t s = d.as_ms() / 1000;
  if (s < 0) return "-";
  if (s < 120) return fmt::format("{}s", s);
  if (s < 7200) return fmt::format("{}m", s / 60);
  return s < 30 * 86'400 ? fmt::format("{}h", s / 3600) : "-"; // since the start
}

std::string_view balance_name(Balance b) {
  constexpr std::string_view names[] = {"maglev", "source_hash", "round_robin", "weighted_round_robin",
                                        "least_connections"};
  return names[static_cast<std::size_t>(b)];
}

} // namespace

Answer show_services(Director& d, Words) {
  const auto all = sums(d);
  if (!all) return mistake(no_answer);
  Answer a{.rows = Json::array()};
  for (std::size_t i = 0; i < d.planner().services().size(); ++i) {
    const Planner::Service& s = d.planner().services()[i];
    if (s.free) continue;
    std::string listen;
    for (const ListenConfig& l : s.config.listen)
      listen += (listen.empty() ? "" : ",") + Value<ListenConfig>::print(l);
    const auto up = std::ranges::count_if(s.slots, [&](Slot slot) { return d.serves(slot); });
    a.rows.push_back({{"service", s.config.name},
                      {"state", s.gone    ? "removed"
                                : up == 0 ? "no backend"
                                          : "open"},
                      {"listen", listen},
                      {"balance", balance_name(s.config.balance)},
                      {"backends", fmt::format("{}/{}", up, s.slots.size())},
                      {"connections", all->in_service[i]},
                      {"limit", s.config.max_connections == 0 ? Json() : Json(s.config.max_connections)},
                      {"accepted", all->accepted[i]}});
  }
  return a;
}

Answer show_backends(Director& d, Words words) {
  const auto all = sums(d);
  if (!all) return mistake(no_answer);
  Answer a{.rows = Json::array()};
  const auto row = [&](Slot slot) {
    const Planner::Backend& b = d.planner().backends()[slot];
    const Planner::Service& s = d.planner().services()[b.service];
    const Duration slow = s.config.slow_start;
    const std::uint32_t tenths = ramped(1, d.now() - b.since, slow);
    a.rows.push_back({{"backend", d.planner().name_of(slot)},
                      {"state", state_of(d, slot)},
                      {"since", age(d.now() - b.since)},
                      {"address", b.config.address.to_string()},
                      {"weight", b.config.weight},
                      {"of_weight", fmt::format("{}%", b.up ? tenths * 100 / full_share : 0)},
                      {"backup", b.config.backup},
                      {"connections", all->open[slot]},
                      {"limit", b.config.max_connections == 0 ? Json() : Json(b.config.max_connections)},
                      {"connected", all->slots[slot].connected},
                      {"failed", all->slots[slot].failed},
                      {"why", name_of(d.shared().backends.because(slot))}});
  };
  if (!words.empty() && !d.planner().find_service(words[0]))
    return mistake(fmt::format("there is no service '{}'; tern ctl show services lists them", words[0]));
  for (const Planner::Service& s : d.planner().services())
    if (words.empty() || (!s.gone && s.config.name == words[0]))
      for (const Slot slot : s.slots) row(slot);
  for (std::size_t i = 0; words.empty() && i < d.planner().backends().size(); ++i)
    if (d.planner().backends()[i].gone) row(static_cast<Slot>(i));
  return a;
}

Answer show_connections(Director& d, Words words) {
  std::size_t most = 100;
  std::string_view service;
  for (const std::string_view w : words) {
    if (const auto n = Value<std::uint32_t>::parse(w))
      most = std::min<std::size_t>(*n, most_connections);
    else
      service = w;
  }
  const auto number = d.planner().find_service(service);
  if (!service.empty() && !number)
    return mistake(fmt::format("there is no service '{}'; tern ctl show services lists them", service));
  struct Row {
    Endpoint client, to, from, backend;
    std::uint16_t service;
    Slot slot;
    Pair::Phase phase;
    std::uint32_t quiet_ms;
  };
  Answer a{.rows = Json::array()};
  for (const Directed& core : d.cores()) {
    std::optional<std::uint32_t> from = 0;
    while (from && a.rows.size() < most) {
      const auto want = static_cast<std::uint32_t>(std::min<std::size_t>(most - a.rows.size(), rows_a_turn));
      struct Part {
        std::vector<Row> rows;
        std::optional<std::uint32_t> next;
      };
      const auto part = d.ask(core, [at = *from, want, number](CoreHandle& h, Splice& s) {
        Part p;
        p.next = s.each_pair(at, want, [&](Pair& pair) {
          if (number && pair.service != *number) return;
          p.rows.push_back({pair.client.remote(), pair.client.local(), pair.backend.local(),
                            pair.backend.remote(), pair.service, pair.slot, pair.phase,
                            h.now().ms32() - pair.moved_ms});
        });
        return p;
      });
      if (!part) return mistake(no_answer);
      for (const Row& r : part->rows) {
        const auto known = [](const Endpoint& e) { return e.port == Port{} ? "-" : e.to_string(); };
        constexpr const char* phases[] = {"opening", "open", "parting", "finishing"};
        const bool has = r.slot != no_slot && r.slot < d.planner().backends().size();
        a.rows.push_back({{"client", known(r.client)},
                          {"to", known(r.to)},
                          {"service", d.planner().services()[r.service].config.name},
                          {"backend", has ? d.planner().name_of(r.slot) : "-"},
                          {"from", known(r.from)},
                          {"state", phases[static_cast<std::size_t>(r.phase)]},
                          {"quiet_ms", r.quiet_ms},
                          {"core", core.handle->id()}});
      }
      from = part->next;
    }
  }
  return a;
}

Answer show_sockets(Director& d, Words words) {
  std::vector<CoreHandle*> cores;
  for (const Directed& core : d.cores()) cores.push_back(core.handle);
  return answer_sockets(
      cores,
      [&d](std::size_t core, std::function<CoreFacts(CoreHandle&)> call) {
        return d.ask(d.cores()[core], [call = std::move(call)](CoreHandle& h, Splice&) { return call(h); });
      },
      words);
}

Answer show_cores(Director& d, Words) {
  Answer a{.rows = Json::array()};
  for (const Directed& core : d.cores()) {
    Json row{{"core", core.handle->id()}};
    // A first look and one 100 ms later: how busy it is now.
    const std::uint64_t busy = core.busy_cycles ? core.busy_cycles() : 0;
    const std::uint64_t start = rte_rdtsc();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const std::uint64_t worked = (core.busy_cycles ? core.busy_cycles() : 0) - busy;
    row["busy"] = fmt::format("{}%", std::min<std::uint64_t>(100, worked * 100 / (rte_rdtsc() - start)));
    struct Seen {
      std::uint32_t connections, most, pairs, time_wait;
      std::uint64_t rx, tx, scarce, counts[LbCounters::size];
    };
    const auto seen = d.ask(core, [](CoreHandle& h, Splice& s) {
      const Shard& shard = h.shard();
      Seen v{shard.connections.used(),
             shard.connections.capacity(),
             s.pairs(),
             shard.time_wait4.streams.size() + shard.time_wait6.streams.size(),
             shard.counters.get(CoreCounter::rx_packets),
             shard.counters.get(CoreCounter::tx_packets),
             shard.counters.get(CoreCounter::packets_scarce),
             {}};
      for (std::size_t i = 0; i < LbCounters::size; ++i)
        v.counts[i] = s.counters().get(static_cast<Count>(i));
      return v;
    });
    if (!seen) {
      row["state"] = "does not answer";
      a.rows.push_back(row);
      continue;
    }
    row["state"] = "well";
    row["pairs"] = seen->pairs;
    row["connections"] = seen->connections;
    row["most"] = seen->most;
    row["time_wait"] = seen->time_wait;
    row["rx"] = seen->rx;
    row["tx"] = seen->tx;
    if (seen->scarce != 0) row["packets_scarce"] = seen->scarce; // times that they became scarcer
    for (std::size_t i = 0; i < LbCounters::size; ++i)
      if (seen->counts[i] != 0) row[std::string(name_of(static_cast<Count>(i)))] = seen->counts[i];
    a.rows.push_back(row);
  }
  return a;
}

Answer show_memory(Director& d, Words) {
  Answer a{.rows = Json::array()};
  std::uint64_t all = 0;
  for (const ArenaReservation& r : process_arena().reservations()) {
    all += r.bytes;
    a.rows.push_back({{"for", r.request.name},
                      {"records", r.request.count},
                      {"bytes_each", r.request.bytes_each},
                      {"bytes", r.bytes}});
  }
  a.rows.push_back({{"for", "clients' limits"},
                    {"records", d.shared().sources.capacity()},
                    {"bytes_each", 16},
                    {"bytes", d.shared().sources.bytes()}});
  all += d.shared().sources.bytes();
  std::set<const void*> pools;
  for (const Directed& core : d.cores()) {
    struct Seen {
      const void* pool;
      unsigned packets, free, bytes_each, side;
      std::uint32_t connections, pairs, flows;
    };
    const auto seen = d.ask(core, [](CoreHandle& h, Splice& s) {
      const PacketPool packets = h.shard().env.packets;
      const rte_mempool* const pool = packets.raw();
      return Seen{.pool = pool,
                  .packets = packets.used(),
                  .free = packets.free(),
                  .bytes_each = pool->header_size + pool->elt_size + pool->trailer_size,
                  .side = h.shard().side.used(),
                  .connections = h.shard().connections.used(),
                  .pairs = s.pairs(),
                  .flows = h.shard().flows.size()};
    });
    if (!seen) return mistake(no_answer);
    const std::uint64_t packets = std::uint64_t{seen->packets} + seen->free;
    if (pools.insert(seen->pool).second) all += packets * seen->bytes_each; // cores may share one
    a.rows.push_back({{"for", fmt::format("core {} packets", core.handle->id())},
                      {"records", packets},
                      {"bytes_each", seen->bytes_each},
                      {"bytes", packets * seen->bytes_each},
                      {"used", seen->packets}});
    a.text +=
        fmt::format("{}core {}: in use {} connections, {} pairs, {} flows, {} side records; {} packets of {}",
                    a.text.empty() ? "" : "\n", core.handle->id(), seen->connections, seen->pairs,
                    seen->flows, seen->side, seen->packets, seen->packets + seen->free);
  }
  a.text += fmt::format("\nreserved {} MiB", all >> 20);
  return a;
}

Answer show_cookies(Director& d, Words) {
  constexpr const char* modes[] = {"auto", "always", "never"};
  Answer a{.rows = Json::array()};
  const NodeSettings& n = d.settings().lb.node;
  for (const Directed& core : d.cores()) {
    struct Seen {
      std::uint64_t sent, valid, invalid;
      std::uint32_t epoch;
    };
    const auto seen = d.ask(core, [](CoreHandle& h, Splice&) {
      const Shard& s = h.shard();
      return Seen{s.tcp_counters.get(tcp::Counter::syn_cookie_sent),
                  s.tcp_counters.get(tcp::Counter::syn_cookie_valid),
                  s.tcp_counters.get(tcp::Counter::syn_cookie_invalid), s.gate.jar.epoch()};
    });
    if (!seen) return mistake(no_answer);
    a.rows.push_back({{"core", core.handle->id()},
                      {"mode", modes[static_cast<std::size_t>(n.cookies)]},
                      {"epoch", seen->epoch},
                      {"sent", seen->sent},
                      {"valid", seen->valid},
                      {"invalid", seen->invalid}});
  }
  a.text = n.cookie_key_file.empty() ? "key: drawn at the start, of this process alone"
                                     : "key: of " + n.cookie_key_file + ", shared with whoever has it";
  return a;
}

} // namespace tern::app::lb
