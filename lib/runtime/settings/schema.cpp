#include "runtime/settings/schema.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/check.hpp"

namespace tern::settings {
namespace {

bool single(const Option& o) {
  return o.shape != Option::Shape::many && o.shape != Option::Shape::list;
}

} // namespace

namespace detail {

const Given& only(std::span<const Given> given) {
  TERN_CHECK(!given.empty());
  if (given.size() > 1) throw ConfigError(given[1].where, "given more than once; give it once");
  return given[0];
}

std::vector<Given> split_commas(std::span<const Given> given) {
  std::vector<Given> all;
  for (const Given& g : given) {
    std::string_view rest = g.text;
    while (true) {
      const std::size_t comma = rest.find(',');
      all.push_back({g.where, std::string(rest.substr(0, comma))});
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  return all;
}

Given split_fields(const Given& given, const Schema& item) {
  Given table{given.where, {}};
  for (const Given& piece : split_commas({&given, 1})) {
    const std::size_t equals = piece.text.find('=');
    if (equals != std::string::npos) {
      table.fields.emplace_back(piece.text.substr(0, equals),
                                Given{given.where, piece.text.substr(equals + 1)});
    } else if (table.fields.empty()) {
      table.fields.emplace_back(item.options().front().name, piece); // the first may go without its name
    } else {
      throw ConfigError(given.where, fmt::format("'{}' has no name; write name=value, with a name of: {}",
                                                 piece.text, fmt::join(item.names_in(""), ", ")));
    }
  }
  return table;
}

std::string inline_table(const Schema& item) {
  std::string all;
  for (const Option& o : item.options()) {
    const std::vector<std::string> values = o.print();
    if (values.empty()) continue;
    all += fmt::format("{}{} = ", all.empty() ? "" : ", ", o.name);
    all += single(o) ? values[0] : fmt::format("[{}]", fmt::join(values, ", "));
  }
  return "{ " + all + " }";
}

std::string quoted(std::string_view text) {
  std::string all = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      all += {'\\', c};
    else if (byte < 0x20 || byte == 0x7f)
      all += fmt::format("\\u{:04x}", byte);
    else
      all += c;
  }
  return all + '"';
}

void not_a(const Given& given, std::string_view expects) {
  throw ConfigError(given.where, fmt::format("'{}' is not {}", given.text, expects));
}

void out_of_range(const Given& given, bool too_large, const std::string& least, const std::string& most) {
  throw ConfigError(given.where, fmt::format("{} is too {}; give {} to {}", given.text,
                                             too_large ? "large" : "small", least, most));
}

void not_one_of(const Given& given, std::span<const std::string> words) {
  throw ConfigError(given.where, fmt::format("'{}' is not one of: {}{}", given.text, fmt::join(words, ", "),
                                             suggestion(given.text, words)));
}

} // namespace detail

std::string dashed(std::string_view name) {
  std::string all = "--" + std::string(name);
  std::ranges::replace(all, '_', '-');
  return all;
}

std::string plain(std::string_view printed) {
  if (printed.size() < 2 || !printed.starts_with('"')) return std::string{printed};
  std::string all;
  const std::string_view inside = printed.substr(1, printed.size() - 2);
  for (std::size_t i = 0; i < inside.size(); ++i) {
    if (inside[i] != '\\') {
      all += inside[i];
    } else if (inside.substr(i + 1).starts_with('u')) { // as quoted() writes what no TOML string may hold
      all += static_cast<char>(std::stoi(std::string{inside.substr(i + 2, 4)}, nullptr, 16));
      i += 5;
    } else {
      all += inside[++i];
    }
  }
  return all;
}

void Schema::group(std::string name, std::string help) {
  groups_.push_back({std::move(name), std::move(help)});
}

Option& Schema::declare(std::string name, std::string help, std::string_view meta, Option::Shape shape) {
  TERN_CHECK(find(name) == nullptr && name.find('-') == std::string::npos);
  Option o{.name = std::move(name),
           .group = groups_.back().name,
           .help = std::move(help),
           .meta = std::string(meta)};
  o.shape = shape;
  return options_.emplace_back(std::move(o));
}

const Option* Schema::find(std::string_view name) const {
  const auto at = std::ranges::find(options_, name, &Option::name);
  return at == options_.end() ? nullptr : &*at;
}

std::vector<std::string> Schema::names_in(std::string_view group) const {
  std::vector<std::string> names;
  for (const Option& o : options_)
    if (o.group == group) names.push_back(o.name);
  return names;
}

void Schema::set(std::string_view name, std::span<const Given> given) {
  const auto at = std::ranges::find(options_, name, &Option::name);
  TERN_CHECK(at != options_.end());
  at->set(given);
  at->where = given.empty() ? std::string{} : given[0].where;
  at->emptied = given.empty();
}

void Schema::positional(std::string_view name) {
  const auto at = std::ranges::find(options_, name, &Option::name);
  TERN_CHECK(at != options_.end());
  at->positional = true;
}

void Schema::file_only(std::string_view name) {
  const auto at = std::ranges::find(options_, name, &Option::name);
  TERN_CHECK(at != options_.end());
  at->file_only = true;
}

void Schema::derived(std::string_view name, std::string how) {
  const auto at = std::ranges::find(options_, name, &Option::name);
  TERN_CHECK(at != options_.end());
  at->help += fmt::format(" (default: {})", how);
  at->derived = std::move(how);
}

void Schema::set_fields(const Given& table, bool first_required) {
  const std::vector<std::string> known = names_in("");
  std::vector<std::pair<std::string, std::vector<Given>>> by_name;
  for (const auto& [name, given] : table.fields) {
    const Option* const o = find(name);
    if (o == nullptr)
      throw ConfigError(given.name_where.empty() ? given.where : given.name_where,
                        fmt::format("'{}' is not known here{}; known are: {}", name, suggestion(name, known),
                                    fmt::join(known, ", ")));
    if (given.is_table && o->shape != Option::Shape::list && o->shape != Option::Shape::table)
      throw ConfigError(given.where, fmt::format("'{}' is no table; give {}", name, o->meta));
    const auto at = std::ranges::find(by_name, name, &std::pair<std::string, std::vector<Given>>::first);
    if (at == by_name.end())
      by_name.push_back({name, {given}});
    else
      at->second.push_back(given);
  }
  if (const Option& first = options_.front();
      first_required &&
      std::ranges::find(by_name, first.name, [](const auto& f) { return f.first; }) == by_name.end())
    throw ConfigError(table.where, fmt::format("'{}' is missing; give {}", first.name, first.meta));
  for (const auto& [name, given] : by_name) set(name, given);
}

std::string Schema::where(std::string_view name) const {
  const Option* const o = find(name);
  return o != nullptr && !o->where.empty() ? o->where : dashed(name);
}

bool Schema::given(std::string_view name) const {
  const Option* const o = find(name);
  return o != nullptr && !o->where.empty();
}

void Schema::fail(std::string_view name, const std::string& what) const {
  throw ConfigError(where(name), what);
}

std::string Schema::to_toml() const {
  std::string all;
  for (const Group& g : groups_) {
    std::string body;
    for (const Option& o : options_) {
      if (o.group != g.name) continue;
      const std::vector<std::string> values = o.print();
      if (values.empty() && !o.emptied) continue;
      const std::string value = single(o) ? values[0] : fmt::format("[{}]", fmt::join(values, ", "));
      const bool set = !o.where.empty() || o.emptied;
      if (!set && !o.derived.empty())
        body += fmt::format("# {}: {}\n", o.name, o.derived);
      else
        body += fmt::format("{}{} = {}\n", set ? "" : "# ", o.name, value);
    }
    if (body.empty()) continue;
    if (!g.name.empty()) all += fmt::format("{}[{}]\n", all.empty() ? "" : "\n", g.name);
    all += body;
  }
  return all;
}

} // namespace tern::settings
