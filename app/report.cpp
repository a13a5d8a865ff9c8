// tern report: reads what --json wrote. One file: its summary again, or its page; several: side by side.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "app/command.hpp"
#include "app/measure/reports.hpp"
#include "base/file.hpp"
#include "observe/compare.hpp"
#include "observe/json.hpp"
#include "observe/page.hpp"
#include "observe/text.hpp"
#include "runtime/settings/error.hpp"

namespace tern::app {
namespace {

struct ReportOptions {
  std::vector<std::string> files;
  std::string html;
  std::string csv;
};

observe::Result read(const std::string& path) {
  try {
    const std::string text = read_file(path);
    if (text.empty()) throw settings::ConfigError(path, "is empty; name a file that --json wrote");
    return observe::from_json(text);
  } catch (const std::system_error& e) {
    throw settings::ConfigError(path, "cannot be read: " + e.code().message());
  } catch (const observe::ReportError& e) {
    throw settings::ConfigError(path, e.what());
  }
}

void write(const std::string& option, const std::string& path, const std::string& text) {
  try {
    write_file(path, text);
  } catch (const std::system_error& e) {
    throw settings::ConfigError(option, fmt::format("cannot write '{}': {}", path, e.code().message()));
  }
}

int run(const ReportOptions& o) {
  if (o.files.empty())
    throw settings::ConfigError("tern report",
                                "no file given; name one that --json wrote, or several to compare");
  constexpr std::size_t most = 8;
  if (o.files.size() > most)
    throw settings::ConfigError("tern report", std::to_string(o.files.size()) + " files; " +
                                                   std::to_string(most) + " at most fit side by side");
  for (const auto& [option, path] : {std::pair{"--html", &o.html}, {"--csv", &o.csv}})
    if (*path == "-") throw settings::ConfigError(option, no_dash);
  std::vector<observe::NamedResult> results;
  for (const auto& file : o.files) results.push_back({file, read(file)});
  const bool one = results.size() == 1;
  if (!one && !o.html.empty())
    throw settings::ConfigError("--html", "makes a page of one report, not of several");
  if (!one && !o.csv.empty())
    throw settings::ConfigError("--csv", "takes the intervals of one report, not of several");
  say(one ? observe::summary_text(results[0].result) : observe::compare_text(results));
  if (!o.html.empty()) write("--html", o.html, observe::to_html(results[0].result));
  if (!o.csv.empty()) write("--csv", o.csv, observe::to_csv(results[0].result));
  return 0;
}

} // namespace

Run declare_report(CLI::App& app) {
  const auto options = std::make_shared<ReportOptions>();
  // None, and too many, are told by run(), as our own mistakes are.
  app.add_option("reports", options->files, "files that --json wrote; several are compared with the first")
      ->expected(0, -1);
  app.add_option("--html", options->html, "write the page of one report to this file");
  app.add_option("--csv", options->csv, "write the intervals of one report to this file");
  return [options] { return run(*options); };
}

} // namespace tern::app
