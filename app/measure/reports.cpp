#include "app/measure/reports.hpp"

#include <fmt/format.h>
#include <rte_cycles.h>
#include <rte_version.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "base/file.hpp"
#include "observe/json.hpp"
#include "observe/machine.hpp"
#include "observe/page.hpp"
#include "observe/plots.hpp"
#include "observe/text.hpp"

namespace tern::app {

void declare(settings::Schema& s, OutputSettings& o) {
  s.group("output", "What to print and write");
  s.add("json", o.json,
        "write the report to this file, once it is whole (empty: none; /dev/stdout: standard output)");
  s.add("csv", o.csv, "write the intervals to this file (empty: none)");
  s.add("html", o.html, "write the report as a page with plots to this file (empty: none)");
  s.add("quiet", o.quiet, "neither the table at the start nor a line a second");
  s.add("interval", o.interval, "how often to print and to take an interval",
        settings::Range{Duration::ms(100), Duration::seconds(3600)});
}

namespace {

// By whatever names; what is no file of its own (/dev/null) takes several.
bool same_file(const std::string& a, const std::string& b) {
  namespace fs = std::filesystem;
  std::error_code unknown;
  if (a.empty() || b.empty() || (fs::exists(a, unknown) && !fs::is_regular_file(a, unknown))) return false;
  const fs::path first = fs::weakly_canonical(fs::absolute(a), unknown);
  if (unknown) return false;
  const fs::path second = fs::weakly_canonical(fs::absolute(b), unknown);
  return !unknown && first == second;
}

} // namespace

void check(const settings::Schema& s, const OutputSettings& o) {
  if (same_file(o.json, o.csv)) s.fail("csv", "--json writes '" + o.csv + "' too; name another file");
  for (const auto& [name, file] : {std::pair{"json", &o.json}, {"csv", &o.csv}})
    if (same_file(*file, o.html))
      s.fail("html", fmt::format("--{} writes '{}' too; name another file", name, o.html));
  // Told before the run, not after it.
  for (const auto& [name, file] : {std::pair{"json", &o.json}, {"csv", &o.csv}, {"html", &o.html}}) try {
      if (*file == "-") s.fail(name, no_dash);
      if (!file->empty()) check_writable(*file);
    } catch (const std::system_error& e) {
      s.fail(name, fmt::format("cannot write '{}' ({}); {}", *file, e.code().message(),
                               e.code() == std::errc::no_such_device_or_address
                                   ? "nobody reads this pipe: begin to, before the run, or name a file"
                                   : "name a file in a directory that you may write to"));
    }
}

void describe_run(observe::Result& r, const settings::Schema& in_force, const std::string& command,
                  std::span<const char* const> unused) {
  r.command = command;
  r.version = TERN_VERSION;
  r.started = observe::utc_now();
  r.machine = observe::machine_facts();
  r.machine.dpdk = rte_version();
  r.machine.tsc_hz = rte_get_tsc_hz();
  for (const settings::Option& o : in_force.options()) {
    if (std::ranges::find(unused, o.name) != unused.end()) continue;
    std::string& text = r.config[o.name];
    const std::vector<std::string> all = o.print();
    // Devices have commas of their own.
    const bool commas =
        std::any_of(all.begin(), all.end(), [](const auto& one) { return one.find(',') != one.npos; });
    for (const std::string& one : all)
      text += (text.empty() ? "" : commas ? " " : ",") + settings::plain(one);
  }
}

void make_room(std::vector<observe::Interval>& all) {
  constexpr std::size_t most = 10'000; // some 10 MB
  if (all.size() >= most) all = observe::plots::joined(all, most / 2);
}

bool write_reports(const OutputSettings& o, const observe::Result& r) {
  const auto write = [](const std::string& file, auto&& text) {
    if (file.empty()) return true;
    try {
      write_file(file, text());
    } catch (const std::system_error& e) {
      const bool unread = e.code() == std::errc::no_such_device_or_address;
      say(fmt::format(
          "could not be written: {} ({}); {}, and run it again\n", file, e.code().message(),
          unread ? "nobody reads this pipe any more: let somebody" : "name a file where there is room"));
      return false;
    }
    say(fmt::format("written: {}\n", file));
    return true;
  };
  bool good = write(o.json, [&] { return to_json(r); });
  good = write(o.csv, [&] { return to_csv(r); }) && good;
  good = write(o.html, [&] { return to_html(r); }) && good;
  for (const std::string& w : contradictions(r)) {
    say(fmt::format("contradiction: {}\n", w));
    good = false;
  }
  return good;
}

} // namespace tern::app
