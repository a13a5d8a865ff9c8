// sample-report DIRECTORY: writes the made-up result in every form, for tests that look at files.
#include <cstdio>
#include <fstream>
#include <string>
#include <utility>

#include "observe/json.hpp"
#include "observe/page.hpp"
#include "observe/text.hpp"
#include "sample.hpp"

namespace {
void put(const std::string& path, const std::string& text) {
  std::ofstream out{path, std::ios::binary};
  out << text;
  if (!out.flush()) {
    std::fprintf(stderr, "sample-report: cannot write %s\n", path.c_str());
    std::exit(1);
  }
}
} // namespace

int main(int argc, char** argv) {
  using namespace tern::observe;
  if (argc != 2) {
    std::fprintf(stderr, "usage: sample-report DIRECTORY\n");
    return 2;
  }
  const std::string dir = argv[1];
  const std::pair<const char*, Result> all[] = {
      {"sample", sample_result()},
      {"calm", sample_result({.seconds = 5, .failures = false})},
      {"empty", sample_result({.seconds = 0, .cores = 0, .failures = false})},
      {"wide", sample_result({.seconds = 900, .cores = 32})},
      {"server", sample_result({.seconds = 60, .server = true})},
  };
  for (const auto& [name, result] : all) {
    put(dir + "/" + name + ".json", to_json(result));
    put(dir + "/" + name + ".html", to_html(result));
    put(dir + "/" + name + ".csv", to_csv(result));
    put(dir + "/" + name + ".txt", summary_text(result));
  }
  return 0;
}
