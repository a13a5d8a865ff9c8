// Whether a run that came to its end did anything that it was for.
#pragma once

#include <string>

#include "app/client/settings.hpp"
#include "observe/result.hpp"

namespace tern::app {

// For --help.
inline constexpr const char* exit_codes =
    "Exit code: 0 when it ran to its end and some of it succeeded, 1 when it ended early, when no connection "
    "was completed (of those that ask more than once: each had a bad answer, or none) or no rate was "
    "held, or when a report could not be written, 2 for a mistake here.";

// Why it did not: of all the connections that it tried none was completed, nor had an answer where they ask more than once; or no rate
// of a search was held. A line for a person, and the run has failed; empty: it has not.
[[nodiscard]] std::string came_to_nothing(const observe::Summary&, const LoadSettings&);

} // namespace tern::app
