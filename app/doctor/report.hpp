// What `tern doctor` found: facts, and for each thing missing the command that mends it.
#pragma once

#include <string>
#include <vector>

namespace tern::app::doctor {

enum class State {
  good,    // as it should be
  note,    // works; could be faster, or matters to some uses only
  missing, // what this line is about does not work here
};

struct Finding {
  std::string topic; // "huge pages"
  State state;
  std::string detail; // what is so
  std::string fix{};  // the exact command; empty where there is none
};

using Report = std::vector<Finding>;

// Each looks at one part of the machine. `root` is where its files are: "/" but in tests.
void probe_dpdk(Report& report, const std::string& pmd_dir);
void probe_huge_pages(Report& report, const std::string& root);
void probe_privileges(Report& report, const std::string& root);
void probe_nics(Report& report, const std::string& root);
void probe_cpu(Report& report, const std::string& root);
void probe_clock(Report& report, const std::string& root);

[[nodiscard]] Report examine();
[[nodiscard]] std::string as_text(const Report& report);
[[nodiscard]] std::string as_json(const Report& report);

} // namespace tern::app::doctor
