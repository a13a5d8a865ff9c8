#include "app/lb/control/commands.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "app/lb/config/kinds.hpp"
#include "app/lb/control/director.hpp"
#include "app/lb/control/show.hpp"
#include "runtime/key_file.hpp"
#include "runtime/worker.hpp"

namespace tern::app::lb {
namespace {

using settings::Number;
using settings::number_of;
using settings::Value;

struct Path {
  std::string_view service;
  std::string_view backend;
};

std::optional<Path> path_of(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == text.size()) return std::nullopt;
  return Path{text.substr(0, slash), text.substr(slash + 1)};
}

// The slot that "web/one" names, or what is wrong with the name.
struct Found {
  Slot slot = no_slot;
  std::string wrong{};
};
Found find(Director& d, std::string_view text) {
  const auto path = path_of(text);
  if (!path)
    return {.wrong = fmt::format("'{}' names no backend; write SERVICE/BACKEND, such as web/one", text)};
  const auto slot = d.planner().find(path->service, path->backend);
  if (slot) return {.slot = *slot};
  std::vector<std::string> known;
  for (const Planner::Service& s : d.planner().services())
    for (const Slot b : s.slots) known.push_back(d.planner().name_of(b));
  return {.wrong = fmt::format("there is no backend '{}'{}; tern ctl show backends lists them", text,
                               settings::suggestion(text, known))};
}

Answer backend_add(Director& d, Words w) {
  const auto path = path_of(w[0]);
  if (!path)
    return mistake(fmt::format("'{}' names no backend; write SERVICE/BACKEND, such as web/four", w[0]));
  BackendConfig b;
  b.name = path->backend;
  if (!good_name(b.name)) return mistake(fmt::format("'{}' cannot name a backend; {}", b.name, name_rule));
  const auto address = Value<Endpoint>::parse(w[1]);
  if (!address) return mistake(fmt::format("'{}' is not {}", w[1], Value<Endpoint>::expects));
  if (const std::string wrong = wrong_backend(*address, d.settings().lb); !wrong.empty())
    return mistake(wrong);
  b.address = *address;
  for (const std::string_view word : w.subspan(2)) {
    const std::size_t equals = word.find('=');
    const std::string_view key = word.substr(0, equals);
    const Number n = number_of(equals == word.npos ? "" : word.substr(equals + 1),
                               key == "weight" ? most_weight : most_at_once);
    if (word == "backup")
      b.backup = true;
    else if (equals == word.npos || (key != "weight" && key != "max_connections"))
      return mistake(fmt::format("'{}' is none of: weight=N, max_connections=N, backup", word));
    else if (!n.wrong.empty())
      return mistake(fmt::format("{}: {}", key, n.wrong));
    else
      (key == "weight" ? b.weight : b.max_connections) = n.value;
  }
  if (const auto wrong = d.planner().add(path->service, b, d.now())) return mistake(*wrong);
  d.publish();
  d.log(fmt::format("backend {} added at {}, by tern ctl", w[0], b.address.to_string()));
  return {.text = fmt::format("added {}; a reload takes it away again unless the file has it", w[0])};
}

Answer backend_remove(Director& d, Words w) {
  const Found f = find(d, w[0]);
  if (f.slot == no_slot) return mistake(f.wrong);
  const auto path = path_of(w[0]);
  if (const auto wrong = d.planner().remove(path->service, path->backend, d.now())) return mistake(*wrong);
  d.publish();
  d.log(fmt::format("backend {} removed, by tern ctl", w[0]));
  return {.text = fmt::format("removed {}; its connections go on until they end", w[0])};
}

Answer backend_weight(Director& d, Words w) {
  const Found f = find(d, w[0]);
  if (f.slot == no_slot) return mistake(f.wrong);
  const Number weight = number_of(w[1], most_weight);
  if (!weight.wrong.empty()) return mistake(weight.wrong);
  const std::uint32_t before = d.planner().backends()[f.slot].config.weight;
  if (const auto wrong = d.planner().set_weight(f.slot, weight.value)) return mistake(*wrong);
  d.publish();
  d.log(fmt::format("backend {}: weight {} -> {}, by tern ctl", w[0], before, weight.value));
  return {.text = fmt::format("weight of {} is {}, was {}", w[0], weight.value, before)};
}

template <Admin state>
Answer backend_set(Director& d, Words w) {
  const Found f = find(d, w[0]);
  if (f.slot == no_slot) return mistake(f.wrong);
  d.set_admin(f.slot, state, "tern ctl");
  return {.text = fmt::format("{} is set to {}", w[0], name_of(state))};
}

// Of all cores, those for which which(Pair&) is true, some at a time.
template <class Which>
std::optional<std::uint64_t> kill_where(Director& d, Which which) {
  std::uint64_t killed = 0;
  for (const Directed& core : d.cores()) {
    std::optional<std::uint32_t> from = 0;
    while (from) {
      struct Part {
        std::uint64_t killed = 0;
        std::optional<std::uint32_t> next{};
      };
      const auto part = d.ask(core, [at = *from, which](CoreHandle&, Splice& s) {
        Part p;
        p.next = s.each_pair(at, 256, [&](Pair& pair) {
          if (!which(pair)) return;
          ++p.killed;
          s.kill(pair);
        });
        return p;
      });
      if (!part) return std::nullopt;
      killed += part->killed;
      from = part->next;
    }
  }
  return killed;
}

// All that bear a name: what was removed, or moved, has it as long as connections of it go on.
std::vector<std::uint16_t> services_called(Director& d, std::string_view name) {
  std::vector<std::uint16_t> all;
  for (std::size_t i = 0; i < d.planner().services().size(); ++i)
    if (const Planner::Service& s = d.planner().services()[i]; !s.free && s.config.name == name)
      all.push_back(static_cast<std::uint16_t>(i));
  return all;
}
std::vector<Slot> slots_called(Director& d, std::string_view name) {
  std::vector<Slot> all;
  for (std::size_t i = 0; i < d.planner().backends().size(); ++i)
    if (d.planner().backends()[i].service != Plan::none && d.planner().name_of(static_cast<Slot>(i)) == name)
      all.push_back(static_cast<Slot>(i));
  return all;
}
bool among(const std::vector<std::uint16_t>& all, std::uint16_t one) {
  return std::ranges::find(all, one) != all.end();
}

Answer connections_kill(Director& d, Words w) {
  std::optional<std::uint64_t> n;
  if (w[0] == "all") {
    n = kill_where(d, [](const Pair&) { return true; });
  } else if (const auto client = Value<Prefix>::parse(w[0])) {
    n = kill_where(d, [p = *client](const Pair& pair) { return p.contains(pair.client.remote().ip); });
  } else if (const auto at = Value<Endpoint>::parse(w[0])) {
    n = kill_where(d, [e = *at](const Pair& pair) { return pair.client.remote() == e; });
  } else if (const auto services = services_called(d, w[0]); !services.empty()) {
    n = kill_where(d, [services](const Pair& pair) { return among(services, pair.service); });
  } else if (const auto slots = slots_called(d, w[0]); !slots.empty()) {
    n = kill_where(d, [slots](const Pair& pair) { return among(slots, pair.slot); });
  } else {
    return mistake(find(d, w[0]).wrong);
  }
  if (!n) return mistake(no_answer);
  d.log(fmt::format("{} connections of {} reset, by tern ctl", *n, w[0]));
  return {.text = fmt::format("{} connections reset", *n), .rows = {}};
}

Answer cookie_rotate(Director& d, Words) {
  const std::string& file = d.settings().lb.node.cookie_key_file;
  SipKey key;
  try {
    key = file.empty() ? random_key() : read_key_file(file);
  } catch (const settings::ConfigError& e) {
    return mistake(fmt::format("{}; nothing changed", e.what()));
  }
  const SipKey cookie = tcp::derive_secrets(key).cookie;
  for (const Directed& core : d.cores())
    if (!d.ask(core, [cookie](CoreHandle& h, Splice&) {
          h.shard().gate.jar.rotate(cookie);
          return true;
        }))
      return mistake(no_answer);
  d.log(fmt::format("the cookies' key is changed ({}), by tern ctl",
                    file.empty() ? "drawn anew" : "of " + file));
  return {.text =
              "the new key serves from the next epoch on, in 64 s at most; cookies that are out stay good"};
}

Answer drain(Director& d, Words) {
  d.drain_node();
  return {.text = "nothing new is accepted; the program ends with the last connection"};
}

Answer reload(Director& d, Words) {
  return d.reload("tern ctl");
}

Answer help(Director&, Words) {
  return {.text = command_help()};
}

constexpr ControlCommand table[] = {
    {"show services", "", "what is balanced", show_services},
    {"show backends", "[SERVICE]", "where to, in what state, with how many connections", show_backends},
    {"show connections", "[SERVICE] [MOST]", "who is connected through whom to whom (100, or MOST)",
     show_connections},
    {"show sockets", "[state=S,…] [local=END] [peer=END] [limit=N] [info] [listening] [summary]",
     "every TCP connection by itself, as tern ss shows it", show_sockets},
    {"show cores", "", "how busy each is, and its counters", show_cores},
    {"show ports", "[SERVICE]", "our ports in use and in TIME-WAIT, by our address and backend", show_ports},
    {"show memory", "", "what is reserved for what, and used", show_memory},
    {"show cookies", "", "SYN cookies: sent, valid, not valid", show_cookies},
    {"backend add", "SERVICE/NAME IP:PORT [weight=N] [max_connections=N] [backup]", "until the next reload",
     backend_add},
    {"backend remove", "SERVICE/NAME", "its connections go on", backend_remove},
    {"backend weight", "SERVICE/NAME N", "for new connections; 0: none", backend_weight},
    {"backend drain", "SERVICE/NAME", "nothing new; what it has goes on", backend_set<Admin::drain>},
    {"backend maintain", "SERVICE/NAME", "nothing new, and no health checks", backend_set<Admin::maintain>},
    {"backend ready", "SERVICE/NAME", "undoes drain and maintain", backend_set<Admin::ready>},
    {"connections kill", "SERVICE/NAME|SERVICE|CLIENT[/LENGTH]|CLIENT:PORT|all", "resets both ends",
     connections_kill},
    {"cookie rotate", "", "a new key for SYN cookies: of the file anew, or drawn", cookie_rotate},
    {"drain node", "", "accepts nothing new, ends with the last connection", drain},
    {"reload", "", "reads the configuration again", reload},
    {"help", "", "this list", help},
};

// "SERVICE/NAME N" wants two words; what stands in brackets may be missing.
std::pair<std::size_t, std::size_t> wanted(const ControlCommand& c) {
  std::size_t least = 0;
  std::size_t most = 0;
  for (const std::string_view w : words_of(c.arguments)) {
    ++most;
    if (!w.starts_with('[')) ++least;
  }
  return {least, most};
}

Answer run(Director& d, Words words) {
  for (const ControlCommand& c : table) {
    const auto name = words_of(c.words);
    if (words.size() < name.size() || !std::ranges::equal(name, words.first(name.size()))) continue;
    const Words arguments = words.subspan(name.size());
    const auto [least, most] = wanted(c);
    if (arguments.size() < least || arguments.size() > most)
      return mistake(fmt::format("write: {} {}", c.words, c.arguments));
    return c.run(d, arguments);
  }
  std::vector<std::string> known;
  for (const ControlCommand& c : table) known.emplace_back(c.words);
  const std::string said =
      fmt::format("{}", fmt::join(words.first(std::min<std::size_t>(words.size(), 2)), " "));
  return mistake(
      fmt::format("'{}' is no command{}; 'help' lists them", said, settings::suggestion(said, known)));
}

} // namespace

std::span<const ControlCommand> control_commands() {
  return table;
}

std::string command_help() {
  std::string all;
  for (const ControlCommand& c : table)
    all += fmt::format("  {}{}{}\n      {}\n", c.words, c.arguments.empty() ? "" : " ", c.arguments, c.help);
  return all;
}

std::string answer_line(Director& d, std::string_view line) {
  const auto words = words_of(line);
  const bool json = !words.empty() && words[0] == "json";
  const Answer a = run(d, Words{words}.subspan(json ? 1 : 0));
  return json ? as_json(a) : as_text(a);
}

} // namespace tern::app::lb
