// The report's beginning, and its files.
#include <fmt/format.h>
#include <rte_cycles.h>
#include <rte_version.h>

#include <fstream>

#include "app/client/settings.hpp"
#include "observe/json.hpp"
#include "observe/machine.hpp"
#include "observe/page.hpp"
#include "observe/text.hpp"

namespace tern::app {

void describe_run(observe::Result& r, const settings::Schema& schema, const std::string& command) {
  r.command = command;
  r.version = TERN_VERSION;
  r.started = observe::utc_now();
  r.machine = observe::machine_facts();
  r.machine.dpdk = rte_version();
  r.machine.tsc_hz = rte_get_tsc_hz();
  for (const settings::Option& o : schema.options()) {
    std::string text;
    for (const std::string& one : o.print()) text += (text.empty() ? "" : ", ") + one;
    r.config[o.name] = text;
  }
}

bool write_reports(const OutputSettings& o, const observe::Result& r) {
  const auto write = [](const std::string& file, auto&& text) {
    if (file.empty()) return true;
    std::ofstream out(file);
    out << text();
    const bool whole = static_cast<bool>(out.flush());
    fmt::print("{}: {}\n", whole ? "written" : "could not be written", file);
    return whole;
  };
  bool good = write(o.json, [&] { return to_json(r); });
  good = write(o.csv, [&] { return to_csv(r.intervals); }) && good;
  good = write(o.html, [&] { return to_html(r); }) && good;
  for (const std::string& w : contradictions(r)) {
    fmt::print("contradiction: {}\n", w);
    good = false;
  }
  return good;
}

} // namespace tern::app
