// Our ports towards backends: an address of ours has 64,512 towards each, and one in use or in TIME-WAIT cannot be
// had again at once. Counted by walking each core's connections and TIME-WAIT records, some between two turns of its
// loop.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
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
  std::uint32_t open = 0;
  std::uint32_t time_wait = 0;
};
struct OurEnd { // of connections to one backend, from one address
  Slot slot;
  Ip from;
  bool operator<(const OurEnd& o) const {
    return slot != o.slot ? slot < o.slot
                          : std::ranges::lexicographical_compare(from.bytes(), o.from.bytes());
  }
};
using Uses = std::map<OurEnd, PortUse>;

// Two services may have one backend: its ports are counted with the first.
using SlotOf = std::unordered_map<Endpoint, Slot, HashEndpoint>;

struct Part {
  Uses uses;
  std::optional<std::uint32_t> next{};
};

void add(Uses& to, const Uses& from) {
  for (const auto& [end, use] : from) {
    to[end].open += use.open;
    to[end].time_wait += use.time_wait;
  }
}

// A core's answer, asked for piece by piece: f(CoreHandle&, Splice&, from) gives a Part.
template <class F>
bool collect(Director& d, const Directed& core, Uses& uses, F f) {
  std::optional<std::uint32_t> from = 0;
  while (from) {
    const auto part = d.ask(core, [f, at = *from](CoreHandle& h, Splice& s) { return f(h, s, at); });
    if (!part) return false;
    add(uses, part->uses);
    from = part->next;
  }
  return true;
}

Part walk_pairs(Splice& s, std::uint32_t from) {
  Part p;
  p.next = s.each_pair(from, 1024, [&](Pair& pair) {
    if (pair.slot != no_slot && pair.backend) ++p.uses[{pair.slot, pair.backend.local().ip}].open;
  });
  return p;
}

template <class Streams>
Part walk_time_wait(const Streams& streams, const SlotOf& slots, std::uint32_t from) {
  Part p;
  const std::uint32_t end = std::min(streams.index_end(), from + looks_a_turn);
  for (std::uint32_t i = from; i < end; ++i) {
    if (!streams.live(i)) continue;
    const auto& key = streams.at(i).key;
    const auto slot = slots.find(Endpoint{Ip{key.remote}, Port{key.remote_port.host()}});
    if (slot != slots.end()) ++p.uses[OurEnd{slot->second, Ip{key.local}}].time_wait;
  }
  if (end < streams.index_end() && streams.size() != 0) p.next = end;
  return p;
}

} // namespace

Answer show_ports(Director& d, Words words) {
  const auto service = words.empty() ? std::nullopt : d.planner().find_service(words[0]);
  if (!words.empty() && !service)
    return mistake(fmt::format("there is no service '{}'; tern ctl show services lists them", words[0]));
  const std::vector<Planner::Backend>& backends = d.planner().backends();
  const auto slots = std::make_shared<SlotOf>(); // a core that answers late still looks at it
  for (std::size_t i = 0; i < backends.size(); ++i)
    if (backends[i].service != Plan::none) slots->emplace(backends[i].config.address, static_cast<Slot>(i));
  Uses uses;
  std::uint64_t drawn = 0;
  std::uint64_t taken = 0;
  std::uint64_t none_left = 0;
  for (const Directed& core : d.cores()) {
    const auto four = [slots](CoreHandle& h, Splice&, std::uint32_t at) {
      return walk_time_wait(h.shard().time_wait4.streams, *slots, at);
    };
    const auto six = [slots](CoreHandle& h, Splice&, std::uint32_t at) {
      return walk_time_wait(h.shard().time_wait6.streams, *slots, at);
    };
    const auto open = [](CoreHandle&, Splice& s, std::uint32_t at) { return walk_pairs(s, at); };
    const auto draws = d.ask(core, [](CoreHandle& h, Splice& s) {
      const Dialer* const dialer = h.dialer();
      return std::array{dialer == nullptr ? 0 : dialer->counts().get(PortCount::drawn),
                        dialer == nullptr ? 0 : dialer->counts().get(PortCount::taken),
                        s.counters().get(Count::connect_no_port)};
    });
    if (!draws || !collect(d, core, uses, open) || !collect(d, core, uses, four) ||
        !collect(d, core, uses, six))
      return mistake(no_answer);
    drawn += (*draws)[0];
    taken += (*draws)[1];
    none_left += (*draws)[2];
  }
  Answer a{.text = fmt::format("{} ports drawn, {} of them were taken, {} times none was left", drawn, taken,
                               none_left),
           .rows = Json::array()};
  const auto row = [&](Slot slot, const std::string& from, PortUse use) {
    const std::uint32_t used = use.open + use.time_wait;
    a.rows.push_back({{"backend", d.planner().name_of(slot)},
                      {"from", from},
                      {"open", use.open},
                      {"time_wait", use.time_wait},
                      {"free", ports_of_an_address - std::min(ports_of_an_address, used)}});
  };
  for (std::size_t i = 0; i < backends.size(); ++i) {
    const auto slot = static_cast<Slot>(i);
    if (backends[i].service == Plan::none || (service && backends[i].service != *service)) continue;
    const auto first = uses.lower_bound({slot, Ip{}});
    if (first == uses.end() || first->first.slot != slot) row(slot, "-", {});
    for (auto at = first; at != uses.end() && at->first.slot == slot; ++at)
      row(slot, at->first.from.to_string(), at->second);
  }
  return a;
}

} // namespace tern::app::lb
