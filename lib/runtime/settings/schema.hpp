// One table of options serves the command line and TOML.
//
//   struct BenchSettings {
//     Rate cps{Rate::unlimited};
//     Duration duration = Duration::seconds(10);
//     std::vector<Prefix> source;
//     std::vector<Listen> listen;
//   };
//   void declare(Schema& s, BenchSettings& b) {
//     s.group("bench", "What to offer");
//     s.add("cps", b.cps, "connections a second to open", Range{Rate{1}, Rate{Rate::unlimited}});
//     s.add("duration", b.duration, "how long to run", Range{Duration::ms(1), Duration::seconds(86'400)});
//     s.add("source", b.source, "client addresses (repeat, or separate by commas)");
//     s.list("listen", b.listen, "where to listen", [](Schema& item, Listen& l) {
//       item.add("address", l.address, "address and port");        // the first may be written without its
//       name item.add("backlog", l.backlog, "handshakes in progress", Range{1U, 1U << 20});
//     });
//   }
//
// command line   --cps 20k --duration 5s --source 10.0.0.0/24 --listen 10.0.0.1:80,backlog=64
// TOML           [bench]
//                cps = "20k"
//                duration = "5s"
//                source = ["10.0.0.0/24"]
//                [[bench.listen]]
//                address = "10.0.0.1:80"
//                backlog = 64
//
// Names are snake_case; the command line writes them with dashes (time_wait, --time-wait). The group is the
// TOML table and the heading in --help; option names are unique across groups. The value that the target
// holds when it is declared is the default. Every complaint names where the value was written: "f.toml:3:7"
// or "--cps". On the command line an empty value (--source=) takes back what a file gave, where having none is a value.
#pragma once

#include <algorithm>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/settings/error.hpp"
#include "runtime/settings/values.hpp"

namespace tern::settings {

// A value as it was written, and where. A table of a list has fields instead of text.
struct Given {
  std::string where;
  std::string text;
  std::vector<std::pair<std::string, Given>> fields{};
  std::string name_where{}; // of a field: where its name stands
  bool is_table = false;
};

// Both ends are allowed.
template <class T>
struct Range {
  T least;
  T most;
};
template <class T>
Range(T, T) -> Range<T>; // clang 14 does not deduce for aggregates by itself

struct Option {
  enum class Shape { value, flag, many, list, table };

  std::string name;
  std::string group;
  std::string help;
  std::string meta;
  Shape shape = Shape::value;
  bool text_only = false; // TOML must write it as a string
  bool file_only = false; // too deep for the command line
  bool positional = false;
  std::function<void(std::span<const Given>)> set{};
  std::function<std::vector<std::string>()> print{}; // for a list: each as an inline table's fields
  std::string where{};                               // where it was last set; empty while it has its default
  bool emptied = false;                              // a list was given, of nothing
  std::string derived{};                             // what that default follows from, if it is no value
};

class Schema {
 public:
  struct Group {
    std::string name;
    std::string help;
  };

  // What is added from here on belongs to this group. Before the first call it is the group without a name.
  void group(std::string name, std::string help);

  template <Setting T>
  void add(std::string name, T& target, std::string help) {
    add_value<T>(std::move(name), target, std::move(help), std::nullopt);
  }
  template <Setting T>
  void add(std::string name, T& target, std::string help, std::type_identity_t<Range<T>> range) {
    add_value<T>(std::move(name), target, std::move(help), range);
  }
  // No value until one is given.
  template <Setting T>
  void add(std::string name, std::optional<T>& target, std::string help);
  // As many as are given; those of the command line replace those of the file.
  template <Setting T>
  void add(std::string name, std::vector<T>& target, std::string help);
  // One of a few words.
  template <class T>
  void choice(std::string name, T& target, std::string help, std::vector<std::pair<std::string, T>> words);
  // A list of small structures, each with its own schema; lists and tables may stand in it again. An item
  // that has a `where` is told where it was written.
  template <class T>
  void list(std::string name, std::vector<T>& target, std::string help,
            std::function<void(Schema&, T&)> declare);

  // One such structure: [service.health]. Nothing in it is required.
  template <class T>
  void table(std::string name, T& target, std::string help, std::function<void(Schema&, T&)> declare);
  // The command line may give its value without its name.
  void positional(std::string_view name);
  // Takes an option off the command line.
  void file_only(std::string_view name);
  // Its default is no value but follows from the others; `how` says so in the help ("what the load wants").
  void derived(std::string_view name, std::string how);

  void load_file(const std::string& path);
  void load_text(std::string_view toml, const std::string& file_name);
  void set(std::string_view name, std::span<const Given> given); // where the value is known to belong
  // "key = value" pairs of one table. Of a list's items the first option is what the item is about: required.
  void set_fields(const Given& table, bool first_required = true);

  // For what only the whole can tell: `s.fail("cps", "more than 4 ports allow: …")` names where cps was
  // written.
  [[noreturn]] void fail(std::string_view name, const std::string& what) const;
  [[nodiscard]] std::string where(std::string_view name) const; // "f.toml:3:7" or "--cps"
  [[nodiscard]] bool given(std::string_view name) const;

  // All values as they are now, as a file that load_text takes back: what nobody set stands there as a comment, for it
  // counts as given() to whoever reads it.
  [[nodiscard]] std::string to_toml() const;
  [[nodiscard]] std::span<const Option> options() const { return options_; }
  [[nodiscard]] std::span<const Group> groups() const { return groups_; }
  [[nodiscard]] std::vector<std::string> names_in(std::string_view group) const;
  [[nodiscard]] const Option* find(std::string_view name) const;

 private:
  template <Setting T>
  void add_value(std::string name, T& target, std::string help, std::optional<Range<T>> range);
  Option& declare(std::string name, std::string help, std::string_view meta, Option::Shape shape);

  std::vector<Option> options_;
  std::vector<Group> groups_{{"", ""}};
};

[[nodiscard]] std::string dashed(std::string_view name); // time_wait → --time-wait
// What an option prints, as it would stand on the command line: a TOML string without its quotes.
[[nodiscard]] std::string plain(std::string_view printed);

namespace detail {

const Given& only(std::span<const Given> given); // complains of a second
std::vector<Given> split_commas(std::span<const Given> given);
Given split_fields(const Given& given, const Schema& item); // "10.0.0.1:80,backlog=5" → fields
std::string inline_table(const Schema& item);
std::string quoted(std::string_view text); // as a TOML string
[[noreturn]] void not_a(const Given& given, std::string_view expects);
[[noreturn]] void out_of_range(const Given& given, bool too_large, const std::string& least,
                               const std::string& most);
[[noreturn]] void not_one_of(const Given& given, std::span<const std::string> words);

// Which side of the range it lies on, and its ends: one message for 1001 and for what no 32 bits hold.
template <Setting T>
[[noreturn]] void outside(const Given& given, bool too_large, const std::optional<Range<T>>& range,
                          const T& end) {
  using V = Value<T>;
  out_of_range(given, too_large, V::print(range ? range->least : std::min(end, T{})),
               V::print(range ? range->most : std::max(end, T{})));
}

template <Setting T>
T read(const Given& given, const std::optional<Range<T>>& range = {}) {
  auto v = Value<T>::parse(given.text);
  if constexpr (requires { Value<T>::beyond(given.text); }) {
    if (!v)
      if (const auto end = Value<T>::beyond(given.text)) outside<T>(given, T{} < *end, range, *end);
  }
  if constexpr (requires { Value<T>::expected_of(given.text); }) {
    if (!v) not_a(given, Value<T>::expected_of(given.text));
  }
  if (!v) not_a(given, Value<T>::expects);
  if constexpr (requires(const T& a) { a < a; }) { // else it is of a kind without an order
    if (range && *v < range->least) outside<T>(given, false, range, *v);
    if (range && range->most < *v) outside<T>(given, true, range, *v);
  }
  return *std::move(v);
}

// Several may stand in one text, with commas between them, but of a kind that has commas of its own.
template <Setting T>
std::vector<Given> each_of(std::span<const Given> given) {
  if constexpr (requires { Value<T>::holds_commas; })
    return {given.begin(), given.end()};
  else
    return split_commas(given);
}

// Numbers and truths stand bare in TOML, everything else in quotes: so do numbers beyond TOML's, which has 63 bits.
template <Setting T>
std::string write(const T& v) {
  const std::string text = Value<T>::print(v);
  if constexpr (std::is_unsigned_v<T> && sizeof(T) == sizeof(std::int64_t))
    if (v > std::numeric_limits<std::int64_t>::max()) return detail::quoted(text);
  return std::is_arithmetic_v<T> ? text : detail::quoted(text);
}

} // namespace detail

template <Setting T>
void Schema::add_value(std::string name, T& target, std::string help, std::optional<Range<T>> range) {
  const auto shape = std::is_same_v<T, bool> ? Option::Shape::flag : Option::Shape::value;
  Option& o = declare(std::move(name), std::move(help), Value<T>::meta, shape);
  o.text_only = text_only<T>();
  o.set = [&target, range](std::span<const Given> given) {
    target = detail::read<T>(detail::only(given), range);
  };
  o.print = [&target] { return std::vector{detail::write<T>(target)}; };
}

template <Setting T>
void Schema::add(std::string name, std::optional<T>& target, std::string help) {
  Option& o = declare(std::move(name), std::move(help), Value<T>::meta, Option::Shape::value);
  o.text_only = text_only<T>();
  o.set = [&target](std::span<const Given> given) {
    const Given& g = detail::only(given);
    if (g.text.empty() && !Value<T>::parse(g.text))
      target.reset(); // the command line takes back what a file gave
    else
      target = detail::read<T>(g);
  };
  o.print = [&target] {
    return target ? std::vector{detail::write<T>(*target)} : std::vector<std::string>{};
  };
}

template <Setting T>
void Schema::add(std::string name, std::vector<T>& target, std::string help) {
  Option& o = declare(std::move(name), std::move(help), Value<T>::meta, Option::Shape::many);
  o.text_only = text_only<T>();
  o.set = [&target](std::span<const Given> given) {
    std::vector<T> all;
    for (const Given& g : detail::each_of<T>(given)) all.push_back(detail::read<T>(g));
    target = std::move(all);
  };
  o.print = [&target] {
    std::vector<std::string> all;
    for (const T& v : target) all.push_back(detail::write<T>(v));
    return all;
  };
}

template <class T>
void Schema::choice(std::string name, T& target, std::string help,
                    std::vector<std::pair<std::string, T>> words) {
  std::string meta;
  std::vector<std::string> names;
  for (const auto& [word, value] : words) {
    meta += (meta.empty() ? "" : "|") + word;
    names.push_back(word);
  }
  Option& o = declare(std::move(name), std::move(help), meta, Option::Shape::value);
  o.text_only = true;
  o.set = [&target, words, names](std::span<const Given> given) {
    const Given& g = detail::only(given);
    for (const auto& [word, value] : words)
      if (word == g.text) {
        target = value;
        return;
      }
    detail::not_one_of(g, names);
  };
  o.print = [&target, words] {
    for (const auto& [word, value] : words)
      if (value == target) return std::vector{detail::quoted(word)};
    return std::vector<std::string>{};
  };
}

template <class T>
void Schema::table(std::string name, T& target, std::string help,
                   std::function<void(Schema&, T&)> declare_item) {
  Option& o = declare(std::move(name), std::move(help), "TABLE", Option::Shape::table);
  o.set = [&target, declare_item](std::span<const Given> given) {
    const Given& g = detail::only(given);
    Schema schema;
    declare_item(schema, target);
    schema.set_fields(g.is_table ? g : detail::split_fields(g, schema), false);
  };
  o.print = [&target, declare_item] {
    Schema schema;
    declare_item(schema, target);
    return std::vector{detail::inline_table(schema)};
  };
}

template <class T>
void Schema::list(std::string name, std::vector<T>& target, std::string help,
                  std::function<void(Schema&, T&)> declare_item) {
  Schema sample;
  T item{};
  declare_item(sample, item);
  std::string meta;
  for (const Option& o : sample.options()) meta += meta.empty() ? o.meta : "[," + o.name + "=" + o.meta + "]";
  Option& o = declare(std::move(name), std::move(help), meta, Option::Shape::list);
  o.set = [&target, declare_item](std::span<const Given> given) {
    std::vector<T> all;
    for (const Given& g : given) {
      T value{};
      Schema schema;
      declare_item(schema, value);
      schema.set_fields(g.is_table ? g : detail::split_fields(g, schema));
      if constexpr (requires { value.where = g.where; }) value.where = g.where;
      all.push_back(std::move(value));
    }
    target = std::move(all);
  };
  o.print = [&target, declare_item] {
    std::vector<std::string> all;
    for (T& value : target) {
      Schema schema;
      declare_item(schema, value);
      all.push_back(detail::inline_table(schema));
    }
    return all;
  };
}

} // namespace tern::settings
