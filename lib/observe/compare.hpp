// Results side by side: what each found, and by what ratio they differ from the first.
#pragma once

#include <string>
#include <vector>

#include "observe/result.hpp"

namespace tern::observe {

struct NamedResult {
  std::string name; // of the file, for the column's head
  Result result;
};

// Two or more. Begins with what forbids or limits the comparison: other distances between the cores, another
// machine, open against closed loop, a tester that was the limit; ends with the settings that differ.
[[nodiscard]] std::string compare_text(const std::vector<NamedResult>& results);

} // namespace tern::observe
