// sample-report DIRECTORY: writes the made-up result in every form, for tests that look at files.
#include <cstdio>
#include <fstream>
#include <string>

#include "observe/json.hpp"
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
  put(dir + "/sample.json", to_json(sample_result()));
  put(dir + "/calm.json", to_json(sample_result({.seconds = 5, .failures = false})));
  put(dir + "/empty.json", to_json(sample_result({.seconds = 0, .cores = 0, .failures = false})));
  put(dir + "/wide.json", to_json(sample_result({.seconds = 900, .cores = 32})));
  return 0;
}
