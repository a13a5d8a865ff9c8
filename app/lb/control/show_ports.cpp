// Our ports towards backends: an address of ours has 64,512 towards each, and one in use or in TIME-WAIT cannot be
// had again at once. They are the backend's address's, whichever services and health checks share it: a row is one
// of our addresses and one of theirs. Counted by walking each core's connections and TIME-WAIT records, some between
// two turns of its loop.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <memory>
#include <unordered_map>

#include "app/lb/control/director.hpp"
#include "app/lb/control/show.hpp"
#include "flow/port_pool.hpp"

namespace tern::app::lb {
namespace {

constexpr std::uint32_t looks_a_turn = 16'384;
constexpr unsigned ports_of_an_address = 65'536 - 1024;

struct PortUse {
  Ip from;
  std::uint32_t open = 0;
  std::uint32_t time_wait = 0;
};

// A backend's address, once, whoever has it.
struct There {
  Endpoint address;
  std::vector<Slot> slots;
  std::vector<PortUse> uses{}; // by our address
};
// Where in the list of them an address is. A core that answers late still looks at it.
using Places = std::unordered_map<Endpoint, std::size_t, HashEndpoint>;

struct Seen {
  std::size_t place;
  PortUse use;
};
struct Part {
  std::vector<Seen> seen{};
  std::optional<std::uint32_t> next{};
  void add(std::size_t place, const Ip& from, std::uint32_t open, std::uint32_t time_wait) {
    const auto same = [&](const Seen& s) { return s.place == place && s.use.from == from; };
    auto at = std::ranges::find_if(seen, same);
    if (at == seen.end()) at = seen.insert(at, {place, {.from = from}});
    at->use.open += open;
    at->use.time_wait += time_wait;
  }
};

void add(std::vector<There>& all, const Part& part) {
  for (const Seen& s : part.seen) {
    std::vector<PortUse>& uses = all[s.place].uses;
    auto at = std::ranges::find(uses, s.use.from, &PortUse::from);
    if (at == uses.end()) at = uses.insert(at, {.from = s.use.from});
    at->open += s.use.open;
    at->time_wait += s.use.time_wait;
  }
}

// A core's answer, asked for piece by piece: f(CoreHandle&, from) gives a Part.
template <class F>
bool collect(Director& d, const Directed& core, std::vector<There>& all, F f) {
  std::optional<std::uint32_t> from = 0;
  while (from) {
    const auto part = d.ask(core, [f, at = *from](CoreHandle& h, Splice&) { return f(h, at); });
    if (!part) return false;
    add(all, *part);
    from = part->next;
  }
  return true;
}

// Health checks are among them: they take a port as well.
Part walk_connections(Shard& shard, const Places& places, std::uint32_t from) {
  Part p;
  const std::uint32_t end = std::min(shard.connections.fresh(), from + looks_a_turn);
  for (std::uint32_t i = from; i < end; ++i) {
    const ConnectionRecord& r = shard.connections.at(i);
    if (!r.has(ConnectionRecord::in_use)) continue;
    const Connection c = shard.handle(r);
    if (c.listener() != 0xff) continue;
    const auto at = places.find(c.remote());
    if (at != places.end()) p.add(at->second, c.local().ip, 1, 0);
  }
  if (end < shard.connections.fresh()) p.next = end;
  return p;
}

template <class Streams>
Part walk_time_wait(const Streams& streams, const Places& places, std::uint32_t from) {
  Part p;
  const std::uint32_t end = std::min(streams.index_end(), from + looks_a_turn);
  for (std::uint32_t i = from; i < end; ++i) {
    if (!streams.live(i)) continue;
    const auto& key = streams.at(i).key;
    const auto at = places.find(Endpoint{Ip{key.remote}, Port{key.remote_port.host()}});
    if (at != places.end()) p.add(at->second, Ip{key.local}, 0, 1);
  }
  if (end < streams.index_end() && streams.size() != 0) p.next = end;
  return p;
}

// In the order of the services and their backends.
std::vector<There> addresses(const Planner& planner, Places& places) {
  std::vector<There> all;
  for (std::size_t i = 0; i < planner.backends().size(); ++i) {
    const Planner::Backend& b = planner.backends()[i];
    if (b.service == Plan::none) continue;
    const auto [at, fresh] = places.try_emplace(b.config.address, all.size());
    if (fresh) all.push_back({.address = b.config.address, .slots = {}});
    all[at->second].slots.push_back(static_cast<Slot>(i));
  }
  return all;
}

bool count_ports(Director& d, std::vector<There>& all, const std::shared_ptr<const Places>& places) {
  return std::ranges::all_of(d.cores(), [&](const Directed& core) {
    return collect(d, core, all,
                   [places](CoreHandle& h, std::uint32_t at) {
                     return walk_connections(h.shard(), *places, at);
                   }) &&
           collect(d, core, all,
                   [places](CoreHandle& h, std::uint32_t at) {
                     return walk_time_wait(h.shard().time_wait4.streams, *places, at);
                   }) &&
           collect(d, core, all, [places](CoreHandle& h, std::uint32_t at) {
             return walk_time_wait(h.shard().time_wait6.streams, *places, at);
           });
  });
}

// How drawing went since the start, in a line; none when a core does not answer.
std::optional<std::string> draws(Director& d) {
  std::array<std::uint64_t, 3> all{};
  for (const Directed& core : d.cores()) {
    const auto mine = d.ask(core, [](CoreHandle& h, Splice& s) {
      const Dialer* const dialer = h.dialer();
      return std::array{dialer == nullptr ? 0 : dialer->counts().get(PortCount::free),
                        dialer == nullptr ? 0 : dialer->counts().get(PortCount::taken),
                        s.counters().get(Count::connect_no_port)};
    });
    if (!mine) return std::nullopt;
    for (std::size_t i = 0; i < all.size(); ++i) all[i] += (*mine)[i];
  }
  return fmt::format("{} ports tried were free, {} were taken, {} times none was left", all[0], all[1],
                     all[2]);
}

} // namespace

Answer show_ports(Director& d, Words words) {
  const auto service = words.empty() ? std::nullopt : d.planner().find_service(words[0]);
  if (!words.empty() && !service)
    return mistake(fmt::format("there is no service '{}'; tern ctl show services lists them", words[0]));
  const auto places = std::make_shared<Places>();
  std::vector<There> all = addresses(d.planner(), *places);
  const auto line = draws(d);
  if (!line || !count_ports(d, all, places)) return mistake(no_answer);
  Answer a{.text = *line, .rows = Json::array()};
  for (There& t : all) {
    const auto has = [&](Slot s) { return d.planner().backends()[s].service == *service; };
    if (service && std::ranges::none_of(t.slots, has)) continue;
    std::vector<std::string> names;
    for (const Slot s : t.slots)
      if (std::string n = d.planner().name_of(s); std::ranges::find(names, n) == names.end())
        names.push_back(std::move(n)); // else it was removed and is there again
    std::ranges::sort(t.uses, std::ranges::lexicographical_compare,
                      [](const PortUse& u) { return u.from.bytes(); });
    const auto row = [&](const std::string& from, const PortUse& use) {
      const std::uint32_t used = use.open + use.time_wait;
      a.rows.push_back({{"address", t.address.to_string()},
                        {"backend", fmt::format("{}", fmt::join(names, ","))},
                        {"from", from},
                        {"open", use.open},
                        {"time_wait", use.time_wait},
                        {"free", ports_of_an_address - std::min(ports_of_an_address, used)}});
    };
    if (t.uses.empty()) row("-", {});
    for (const PortUse& use : t.uses) row(use.from.to_string(), use);
  }
  return a;
}

} // namespace tern::app::lb
