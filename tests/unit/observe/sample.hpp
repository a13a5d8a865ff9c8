// A made-up result with everything in it, for the writers' tests: the same at every call.
#pragma once

#include "observe/result.hpp"

namespace tern::observe {

struct SampleShape {
  int seconds = 60;
  int cores = 2; // the first half clients, the others servers
  bool failures = true;
  bool server = false; // as a `tern server` tells it
};
[[nodiscard]] Result sample_result(const SampleShape& shape = {});

} // namespace tern::observe
