#include "runtime/settings/cli.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "base/file.hpp"

namespace tern::settings {
namespace {

// The subcommand that was reached; its options are what a mistyped one is compared with.
const CLI::App& innermost(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? app : innermost(*chosen.front());
}

std::string full_name(const CLI::App& app) {
  return app.get_parent() == nullptr ? app.get_name() : full_name(*app.get_parent()) + " " + app.get_name();
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* o : app.get_options())
    for (const std::string& n : o->get_lnames()) names.push_back("--" + n);
  return names;
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(sub->get_name());
  return names;
}

[[noreturn]] void explain_extra(const CLI::App& app, std::string word) {
  const CLI::App& at = innermost(app);
  const std::string help = fmt::format("'{} --help' lists them", full_name(at));
  if (word.starts_with("-")) {
    word = word.substr(0, word.find('='));
    throw ConfigError(word, fmt::format("no such option{}; {}", suggestion(word, option_names(at)), help));
  }
  const std::vector<std::string> commands = command_names(at);
  if (!commands.empty())
    throw ConfigError(word, fmt::format("no such command{}; {}", suggestion(word, commands), help));
  throw ConfigError(word.empty() ? "''" : word,
                    fmt::format("not expected here; options start with --, and {}", help));
}

[[noreturn]] void explain(const CLI::App& app, const CLI::ParseError& e) {
  const CLI::App& at = innermost(app);
  if (const auto extra = app.remaining(true); !extra.empty()) explain_extra(app, extra.front());
  if (dynamic_cast<const CLI::RequiredError*>(&e) != nullptr && !command_names(at).empty())
    throw ConfigError(full_name(at),
                      fmt::format("a command is missing; '{} --help' lists them", full_name(at)));
  // CLI11 begins what it says of an option with the option's name.
  const std::string what = e.what();
  const std::string name = what.substr(0, what.find(':'));
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&e) != nullptr && name.starts_with("--"))
    throw ConfigError(name, fmt::format("a value is missing; write {} VALUE", name));
  if (name.starts_with("--") && name.size() < what.size())
    throw ConfigError(name, what.substr(name.size() + 2));
  throw ConfigError(full_name(at), what);
}

// CLI11 writes "--pace,--no-pace{false}", which says the opposite of what is so.
class PlainFlags : public CLI::Formatter {
 public:
  std::string make_option_name(const CLI::Option* option, bool positional) const override {
    std::string name = CLI::Formatter::make_option_name(option, positional);
    for (std::size_t at = name.find("{false}"); at != std::string::npos; at = name.find("{false}"))
      name.erase(at, std::string_view("{false}").size());
    return name;
  }
};

} // namespace

Binding::Binding(CLI::App& app, Schema& schema) : schema_(schema) {
  app.formatter(std::make_shared<PlainFlags>());
  config_ = app.add_option("--config", CLI::callback_t([](const CLI::results_t&) { return true; }),
                           "a TOML file of these settings; the command line goes over it");
  config_->type_name("FILE")->take_all()->allow_extra_args(false);
  const std::string about_print =
      "print the settings as TOML, what nobody set as a comment, and do nothing else";
  print_ = app.add_flag("--print-config", about_print);
  for (const Option& o : schema.options()) {
    if (o.file_only) continue;
    CLI::Option* at = nullptr;
    const std::string name = dashed(o.name);
    if (o.shape == Option::Shape::flag) {
      at = app.add_flag(name + ",!--no-" + name.substr(2), o.help); // a file may have turned it on or off
    } else {
      at = app.add_option(o.positional ? o.name + "," + name : name,
                          CLI::callback_t([](const CLI::results_t&) { return true; }), o.help);
      at->type_name(o.meta);
      at->allow_extra_args(false);
      if (o.shape == Option::Shape::value && o.derived.empty())
        if (const auto v = o.print(); !v.empty()) at->default_str(plain(v.front()));
    }
    at->take_all(); // the schema says what it thinks of a second value
    for (const Schema::Group& g : schema.groups())
      if (!g.name.empty() && g.name == o.group) at->group(g.help);
    options_.emplace_back(o.name, at);
  }
}

void Binding::load_into(Schema& schema) const {
  for (const std::string& path : config_->results()) schema.load_file(path);
  for (const auto& [name, option] : options_) {
    if (option->count() == 0) continue;
    std::vector<Given> given;
    for (const std::string& text : option->results()) given.push_back({dashed(name), text});
    // As [] is in a file: of what may be given several times, none.
    const Option::Shape shape = schema.find(name)->shape;
    const bool several = shape == Option::Shape::many || shape == Option::Shape::list;
    if (several && given.size() == 1 && given[0].text.empty()) given.clear();
    schema.set(name, given);
  }
}

bool Binding::resolve() {
  load_into(schema_);
  if (print_->count() != 0) say(schema_.to_toml());
  return print_->count() == 0;
}

namespace {

// CLI11 takes the next word for the value of "--name=": it is given the empty one apart. From the last word to the first,
// as CLI11 wants them.
std::vector<std::string> words_of(int argc, const char* const* argv) {
  std::vector<std::string> words;
  bool options = true;
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    options = options && word != "--";
    const bool empty_value =
        options && word.starts_with("--") && word.size() > 3 && word.find('=') == word.size() - 1;
    if (empty_value) word.pop_back();
    words.push_back(std::move(word));
    if (empty_value) words.emplace_back();
  }
  std::ranges::reverse(words);
  return words;
}

} // namespace

std::optional<int> parse(CLI::App& app, int argc, const char* const* argv) {
  try {
    app.parse(words_of(argc, argv));
  } catch (const CLI::Success& e) {
    return app.exit(e); // --help, --version
  } catch (const CLI::ParseError& e) {
    explain(app, e);
  }
  return std::nullopt;
}

std::optional<int> parse(Schema& schema, const std::string& about, int argc, const char* const* argv) {
  CLI::App app(about, argc > 0 ? argv[0] : "tern");
  Binding binding(app, schema);
  if (const auto done = parse(app, argc, argv)) return done;
  if (!binding.resolve()) return 0;
  return std::nullopt;
}

} // namespace tern::settings
