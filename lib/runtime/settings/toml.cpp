// A TOML file into a schema: every value becomes text and the place it stands at, and is then read as the
// command line's is.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <sstream>
#include <system_error>

#include "base/file.hpp"
#include "runtime/settings/schema.hpp"

namespace tern::settings {
namespace {

std::string place(const std::string& file, const toml::source_region& at) {
  return fmt::format("{}:{}:{}", file, at.begin.line, at.begin.column);
}

// Where the number begins that ends here.
std::string beginning(std::string_view text, const std::string& file, toml::source_position at) {
  std::size_t line = 0;
  for (unsigned n = 1; n < at.line; ++n) line = std::min(text.find('\n', line), text.size() - 1) + 1;
  const auto in_number = [&](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  std::size_t end = std::min(line + at.column - 1, text.size());
  while (end > line && in_number(text[end - 1])) --end;
  if (end > line && (text[end - 1] == '-' || text[end - 1] == '+')) --end;
  return fmt::format("{}:{}:{}", file, at.line, end - line + 1);
}

std::string kind_of(const toml::node& node) {
  std::ostringstream name;
  name << node.type();
  return name.str();
}

class Loader {
 public:
  Loader(Schema& schema, const std::string& file) : schema_(schema), file_(file) {}

  void load(const toml::table& root) {
    for (const auto& [key, node] : root) {
      const std::string name(key.str());
      if (const Option* const o = schema_.find(name); o != nullptr && o->group.empty())
        set(*o, node);
      else if (is_group(name))
        load_group(name, key, node);
      else
        unknown(key, "");
    }
  }

 private:
  [[nodiscard]] bool is_group(std::string_view name) const {
    for (const Schema::Group& g : schema_.groups())
      if (!g.name.empty() && g.name == name) return true;
    return false;
  }

  void load_group(const std::string& group, const toml::key& key, const toml::node& node) {
    const toml::table* const table = node.as_table();
    if (table == nullptr) fail(key.source(), fmt::format("'{}' is a table; write [{}]", group, group));
    for (const auto& [inner, value] : *table) {
      const Option* const o = schema_.find(inner.str());
      if (o == nullptr || o->group != group) unknown(inner, group);
      set(*o, value);
    }
  }

  [[noreturn]] void unknown(const toml::key& key, const std::string& group) const {
    const std::string name(key.str());
    if (const Option* const o = schema_.find(name); o != nullptr)
      fail(key.source(), o->group.empty() ? fmt::format("'{}' belongs above the first table", name)
                                          : fmt::format("'{}' belongs in [{}]", name, o->group));
    std::vector<std::string> known = schema_.names_in(group);
    if (group.empty())
      for (const Schema::Group& g : schema_.groups())
        if (!g.name.empty()) known.push_back(g.name);
    fail(key.source(), fmt::format("'{}' is not known{}{}; known are: {}", name,
                                   group.empty() ? "" : fmt::format(" in [{}]", group),
                                   suggestion(name, known), fmt::join(known, ", ")));
  }

  void set(const Option& o, const toml::node& node) {
    std::vector<Given> all;
    const bool several = o.shape == Option::Shape::many || o.shape == Option::Shape::list;
    if (const toml::array* const array = node.as_array(); array != nullptr && several)
      for (const toml::node& each : *array) all.push_back(value(o, each));
    else
      all.push_back(value(o, node));
    schema_.set(o.name, all);
  }

  Given value(const Option& o, const toml::node& node) const {
    const std::string where = place(file_, node.source());
    const bool of_fields = o.shape == Option::Shape::list || o.shape == Option::Shape::table;
    if (of_fields && node.is_table()) return fields(where, *node.as_table());
    if (o.shape == Option::Shape::flag && !node.is_boolean())
      fail(node.source(), fmt::format("'{}' is on or off; write true or false, without quotes", o.name));
    if (o.text_only && !node.is_string())
      fail(node.source(), fmt::format("'{}' is text; write it in quotes, not as {}", o.name, kind_of(node)));
    if (o.shape != Option::Shape::flag && node.is_boolean())
      fail(node.source(), fmt::format("'{}' takes {}, not true or false", o.name, o.meta));
    return {where, text(o.name, node)};
  }

  Given fields(const std::string& where, const toml::table& table) const {
    Given given{.where = where, .is_table = true};
    for (const auto& [key, node] : table) {
      const std::string name(key.str());
      const std::string name_where = place(file_, key.source());
      const auto one = [&](const toml::node& each) {
        const std::string at = place(file_, each.source());
        Given g = each.is_table() ? fields(at, *each.as_table()) : Given{at, text(name, each)};
        g.name_where = name_where;
        given.fields.emplace_back(name, std::move(g));
      };
      if (const toml::array* const array = node.as_array(); array != nullptr)
        for (const toml::node& each : *array) one(each);
      else
        one(node);
    }
    return given;
  }

  [[nodiscard]] std::string text(const std::string& name, const toml::node& node) const {
    if (const auto v = node.value_exact<std::string>()) return *v;
    if (const auto v = node.value_exact<std::int64_t>()) return fmt::format("{}", *v);
    if (const auto v = node.value_exact<double>()) return fmt::format("{}", *v);
    if (const auto v = node.value_exact<bool>()) return *v ? "true" : "false";
    fail(node.source(), fmt::format("'{}' cannot be {}; give one value", name, kind_of(node)));
  }

  [[noreturn]] void fail(const toml::source_region& at, const std::string& what) const {
    throw ConfigError(place(file_, at), what);
  }

  Schema& schema_;
  const std::string& file_;
};

} // namespace

void Schema::load_text(std::string_view text, const std::string& file_name) {
  toml::table root;
  try {
    root = toml::parse(text, file_name);
  } catch (const toml::parse_error& e) {
    if (e.description().find("not representable in 64 bits") != std::string_view::npos)
      throw ConfigError(beginning(text, file_name, e.source().begin),
                        fmt::format("the number is too large; give {} at most", INT64_MAX));
    throw ConfigError(place(file_name, e.source()), fmt::format("not TOML: {}", e.description()));
  }
  Loader(*this, file_name).load(root);
}

void Schema::load_file(const std::string& path) {
  std::string text;
  try {
    text = read_file(path);
  } catch (const std::system_error& e) {
    throw ConfigError(path, fmt::format("cannot be read ({}); check --config", e.code().message()));
  }
  load_text(text, path);
}

} // namespace tern::settings
