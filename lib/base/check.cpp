#include "base/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace tern {

void check_failed(const char* what, const char* file, int line) {
  std::fprintf(stderr, "tern: broken invariant: %s at %s:%d\n", what, file, line);
  std::abort();
}

} // namespace tern
