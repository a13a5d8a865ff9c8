// tern report: reads what --json wrote. One file: its summary again, or its page; several: side by side.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "app/command.hpp"
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
  std::ifstream in{path, std::ios::binary};
  std::ostringstream text;
  if (!in || !(text << in.rdbuf())) throw settings::ConfigError(path, "cannot be read, or is empty");
  try {
    return observe::from_json(text.str());
  } catch (const observe::ReportError& e) {
    throw settings::ConfigError(path, e.what());
  }
}

void write(const std::string& option, const std::string& path, const std::string& text) {
  std::ofstream out{path, std::ios::binary};
  out << text;
  if (!out.flush()) throw settings::ConfigError(option, "cannot write " + path);
}

int run(const ReportOptions& o) {
  if (o.files.empty())
    throw settings::ConfigError("tern report",
                                "no file given; name one that --json wrote, or several to compare");
  constexpr std::size_t most = 8;
  if (o.files.size() > most)
    throw settings::ConfigError("tern report", std::to_string(o.files.size()) + " files; " +
                                                   std::to_string(most) + " at most fit side by side");
  std::vector<observe::NamedResult> results;
  for (const auto& file : o.files) results.push_back({file, read(file)});
  const bool one = results.size() == 1;
  if (!one && !o.html.empty())
    throw settings::ConfigError("--html", "makes a page of one report, not of several");
  if (!one && !o.csv.empty())
    throw settings::ConfigError("--csv", "takes the intervals of one report, not of several");
  const std::string text = one ? observe::summary_text(results[0].result) : observe::compare_text(results);
  std::fwrite(text.data(), 1, text.size(), stdout);
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
