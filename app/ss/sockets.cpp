#include "app/ss/sockets.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "runtime/settings/schema.hpp"
#include "runtime/settings/values.hpp"

namespace tern::app {
namespace {

using settings::Value;
using tcp::State;

constexpr std::size_t flows_a_call = 32; // that a core looks at between two turns of its loop
constexpr std::array states{State::SynSent,  State::SynReceived, State::Established,
                            State::FinWait1, State::FinWait2,    State::CloseWait,
                            State::Closing,  State::LastAck,     State::TimeWait};

// "time-wait"; and "syn-recv", as ss has it.
std::optional<State> state_named(std::string_view text) {
  if (text == "syn-recv") return State::SynReceived;
  for (const State s : states) {
    const std::string_view name = name_of(s);
    if (std::ranges::equal(name, text,
                           [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; }))
      return s;
  }
  return std::nullopt;
}

std::string state_names() {
  std::string all;
  for (const State s : states) {
    std::string name = name_of(s);
    for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    all += (all.empty() ? "" : ", ") + name;
  }
  return all;
}

bool parse_states(std::string_view text, std::vector<State>& into) {
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const auto s = state_named(text.substr(0, comma));
    if (!s) return false;
    into.push_back(*s);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return !into.empty();
}

Endpoint local_of(const FlowSeen& f) {
  return {f.key.local, Port{f.key.local_port.host()}};
}
Endpoint peer_of(const FlowSeen& f) {
  return {f.key.remote, Port{f.key.remote_port.host()}};
}

// ---- On a core's thread.

std::uint32_t until(Tick at, Tick now) {
  return static_cast<std::uint32_t>(std::max<std::int64_t>(0, ticks_between(now, at)));
}

FlowFacts facts_of(CoreHandle& core, const FlowSeen& f) {
  Shard& shard = core.shard();
  const Tick now = core.now().ms32();
  FlowFacts facts;
  const auto rests = [&](const auto& table, const auto& key) { // it may be another's since
    if (table.streams.live(f.ref.index()) && table.streams.at(f.ref.index()).key == key)
      facts.left_ms = until(table.streams.since(f.ref.index()) + table.lifetimes[0], now);
  };
  switch (f.ref.kind()) {
    case FlowKind::connection:
      if (const ConnectionRecord* r = shard.resolve(f.ref.index(), f.generation)) {
        const tcp::Tcb& t = r->tcb;
        facts.recv_q = t.rcv_held;
        facts.send_q = t.snd_end.after(t.snd_una) ? t.snd_end.since(t.snd_una) : 0;
        if (t.srtt_us != 0) facts.rtt_us = t.srtt_us / 8;
        facts.cwnd = t.cwnd;
        facts.mss = t.mss;
        facts.quiet_ms =
            static_cast<std::uint32_t>(std::min<std::int64_t>(t.silent_for(core.now()).as_ms(), 0xffff'ffff));
      }
      break;
    case FlowKind::syn_received: {
      const auto there = ConnectionReader(shard).look(f.ref); // a free one has no name
      if (!there || there->key != f.key) break;
      const std::uint32_t four = shard.syn4.slots.capacity();
      facts.left_ms = until(f.ref.index() < four ? shard.syn4.slots.at(f.ref.index())->due
                                                 : shard.syn6.slots.at(f.ref.index() - four)->due,
                            now);
      break;
    }
    case FlowKind::time_wait:
      rests(shard.time_wait4, f.key.v4());
      break;
    case FlowKind::time_wait6:
      rests(shard.time_wait6, static_cast<const FlowKey6&>(f.key));
      break;
  }
  return facts;
}

CoreFacts listeners_of(CoreHandle& core) {
  CoreFacts facts;
  const Listeners& all = core.shard().listeners;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Listener& l = all[static_cast<std::uint8_t>(i)];
    const ListenerSettings& s = l.settings;
    if (l.closed && l.open + l.opening == 0) continue;
    constexpr std::array cookies{"auto", "always", "never"};
    facts.listeners.push_back({{"state", l.closed ? "CLOSED" : (l.full ? "FULL" : "LISTEN")},
                               {"local", l.any_address ? "*" : s.ip.to_string()},
                               {"ports", Value<settings::PortRange>::print({s.first, s.last})},
                               {"open", l.open},
                               {"opening", l.opening},
                               {"backlog", s.backlog},
                               {"limit", s.connections == 0xffff'ffff ? Json() : Json(s.connections)},
                               {"cookies", cookies[static_cast<std::size_t>(s.cookies)]},
                               {"core", core.id()}});
  }
  return facts;
}

// ---- On the control thread.

const std::string no_answer = "a core does not answer: it is ending, or its mailbox is full; ask again";

struct Listed {
  std::size_t core;
  FlowSeen flow;
  FlowFacts facts{};
};

bool add_facts(const AskCore& ask, std::vector<Listed>& rows) {
  for (std::size_t from = 0; from < rows.size();) {
    const std::size_t core = rows[from].core; // rows come by core
    std::vector<FlowSeen> some;
    while (from + some.size() < rows.size() && some.size() < flows_a_call &&
           rows[from + some.size()].core == core)
      some.push_back(rows[from + some.size()].flow);
    const std::size_t n = some.size();
    const auto facts = ask(core, [some = std::move(some)](CoreHandle& h) {
      CoreFacts f;
      for (const FlowSeen& flow : some) f.flows.push_back(facts_of(h, flow));
      return f;
    });
    if (!facts) return false;
    for (std::size_t i = 0; i < n; ++i) rows[from + i].facts = facts->flows[i];
    from += n;
  }
  return true;
}

Json row_of(const Listed& l, CoreHandle& core, bool info) {
  Json row{{"state", name_of(l.flow.state)}};
  const auto number = [&](const char* name, const std::optional<std::uint32_t>& v) {
    row[name] = v ? Json(*v) : Json();
  };
  if (info) number("recv_q", l.facts.recv_q), number("send_q", l.facts.send_q);
  row["local"] = local_of(l.flow).to_string();
  row["peer"] = peer_of(l.flow).to_string();
  if (info) {
    number("rtt_us", l.facts.rtt_us);
    number("cwnd", l.facts.cwnd), number("mss", l.facts.mss);
    number("quiet_ms", l.facts.quiet_ms), number("left_ms", l.facts.left_ms);
  }
  row["core"] = core.id();
  return row;
}

Answer list(std::span<CoreHandle* const> cores, const AskCore& ask, const SocketQuery& q) {
  std::vector<Listed> rows;
  std::uint64_t matching = 0;
  bool whole = true;
  for (std::size_t c = 0; c < cores.size(); ++c)
    whole = ConnectionReader(cores[c]->shard()).each_flow([&](const FlowSeen& f) {
      if (!q.takes(f)) return;
      if (++matching <= q.limit) rows.push_back({c, f});
    }) && whole;
  if (q.info && !add_facts(ask, rows)) return mistake(no_answer);
  Answer a{.rows = Json::array()};
  if (matching > rows.size())
    a.text =
        fmt::format("the first {} of {}: {} more; --limit shows more, --state, --local and --peer choose",
                    rows.size(), matching, matching - rows.size());
  else
    a.text = fmt::format("{} listed", matching);
  if (!whole) a.text += "; entries moved meanwhile: one may be missing, or here twice";
  for (const Listed& l : rows) a.rows.push_back(row_of(l, *cores[l.core], q.info));
  return a;
}

Answer summary(std::span<CoreHandle* const> cores, const SocketQuery& q) {
  Answer a{.rows = Json::array()};
  for (CoreHandle* core : cores) {
    std::array<std::uint64_t, 16> by_state{};
    std::uint64_t all = 0;
    ConnectionReader(core->shard()).each_flow([&](const FlowSeen& f) {
      if (q.takes(f)) ++by_state[static_cast<std::size_t>(f.state)], ++all;
    });
    Json row{{"core", core->id()}, {"all", all}};
    for (const State s : states) row[name_of(s)] = by_state[static_cast<std::size_t>(s)];
    a.rows.push_back(std::move(row));
  }
  return a;
}

} // namespace

std::optional<EndFilter> EndFilter::parse(std::string_view text) {
  EndFilter f;
  const bool bracketed = text.starts_with('[');
  const std::size_t close = bracketed ? text.find(']') : std::string_view::npos;
  std::string_view ip = text;
  std::string_view port;
  if (bracketed) {
    if (close == std::string_view::npos) return std::nullopt;
    ip = text.substr(1, close - 1);
    port = text.substr(close + 1);
    if (!port.empty() && port[0] != ':') return std::nullopt;
  } else if (std::ranges::count(text, ':') == 1) {
    ip = text.substr(0, text.find(':'));
    port = text.substr(text.find(':'));
  }
  if (!port.empty()) {
    const auto n = Value<std::uint16_t>::parse(port.substr(1));
    if (!n) return std::nullopt;
    f.port = Port{*n};
  }
  if (!ip.empty()) {
    f.ip = Prefix::parse(ip);
    if (!f.ip) return std::nullopt;
  }
  if (!f.ip && !f.port) return std::nullopt;
  return f;
}

SocketQuery SocketQuery::parse(std::span<const std::string_view> words, std::string& mistake) {
  SocketQuery q;
  for (const std::string_view word : words) {
    const std::size_t equals = std::min(word.find('='), word.size());
    const std::string_view name = word.substr(0, equals);
    const std::string_view value = equals < word.size() ? word.substr(equals + 1) : std::string_view{};
    const auto end = [&](EndFilter& into) {
      if (const auto f = EndFilter::parse(value)) return into = *f, void();
      mistake = fmt::format(
          "{}: '{}' is no end of a connection; write 10.0.0.1, 10.0.0.0/8, :80, 10.0.0.1:80, "
          "fd00::1 or [fd00::1]:80",
          name, value);
    };
    if (word == "info") {
      q.info = true;
    } else if (word == "listening") {
      q.what = What::listeners;
    } else if (word == "summary") {
      q.what = What::summary;
    } else if (name == "state") {
      if (!parse_states(value, q.states))
        mistake = fmt::format("state: '{}' is none of {}", value, state_names());
    } else if (name == "limit") {
      const settings::Number n = settings::number_of(value);
      q.limit = n.value;
      if (!n.wrong.empty()) mistake = "limit: " + n.wrong;
    } else if (name == "local") {
      end(q.local);
    } else if (name == "peer") {
      end(q.peer);
    } else {
      mistake = fmt::format(
          "'{}' is none of: state=S,…  local=END  peer=END  limit=N  info  listening  summary", word);
    }
  }
  return q;
}

bool SocketQuery::takes(const FlowSeen& f) const {
  return (states.empty() || std::ranges::find(states, f.state) != states.end()) &&
         local.takes(f.key.local, Port{f.key.local_port.host()}) &&
         peer.takes(f.key.remote, Port{f.key.remote_port.host()});
}

Answer answer_sockets(std::span<CoreHandle* const> cores, const AskCore& ask, const SocketQuery& query) {
  switch (query.what) {
    case SocketQuery::What::list:
      return list(cores, ask, query);
    case SocketQuery::What::summary:
      return summary(cores, query);
    case SocketQuery::What::listeners:
      break;
  }
  Answer a{.rows = Json::array()};
  for (std::size_t c = 0; c < cores.size(); ++c) {
    const auto facts = ask(c, listeners_of);
    if (!facts) return mistake(no_answer);
    for (const Json& row : facts->listeners) a.rows.push_back(row);
  }
  return a;
}

Answer answer_sockets(std::span<CoreHandle* const> cores, const AskCore& ask,
                      std::span<const std::string_view> words) {
  std::string wrong;
  const SocketQuery q = SocketQuery::parse(words, wrong);
  return wrong.empty() ? answer_sockets(cores, ask, q) : mistake(wrong);
}

} // namespace tern::app
