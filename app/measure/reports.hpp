// What a run that measures prints and writes: the settings that ask for it, the report's beginning, and its files.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "observe/result.hpp"
#include "runtime/settings/schema.hpp"

namespace tern::app {

struct OutputSettings {
  std::string json;
  std::string csv;
  std::string html;
  bool quiet = false;
  Duration interval = Duration::seconds(1);
  [[nodiscard]] bool writes() const { return !json.empty() || !csv.empty() || !html.empty(); }
};
void declare(settings::Schema&, OutputSettings&);
inline constexpr const char* no_dash =
    "'-' names no file; write /dev/stdout for standard output, ./- for a file of that name";
// Files that cannot be written are told before the run; throws ConfigError.
void check(const settings::Schema&, const OutputSettings&);

// Why a run ended that was told to.
inline constexpr const char* by_signal = "by a signal; what had run by then is reported";

// `in_force`: the schema of the settings as they are after all that was left open has been filled in.
// `unused`: options that this run makes nothing of, and might refuse. The rest, given to the command, is the same run again.
void describe_run(observe::Result&, const settings::Schema& in_force, const std::string& command,
                  std::span<const char* const> unused);
// Before one more is added: a run may last for months, so old ones are joined, two and two, where there are many.
void make_room(std::vector<observe::Interval>&);
// Writes what --json, --csv and --html ask for, says so, and tells whether the report adds up.
[[nodiscard]] bool write_reports(const OutputSettings&, const observe::Result&);

} // namespace tern::app
