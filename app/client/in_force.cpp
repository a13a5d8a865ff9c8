#include "app/client/in_force.hpp"

namespace tern::app {

std::vector<const char*> unused_options(const LoadSettings& l, const SearchSettings& s) {
  std::vector<const char*> all;
  if (s.on || !l.timed()) all.push_back("duration");
  if (!s.on) all.insert(all.end(), {"max_loss", "max_p99", "find_from", "find_to", "find_step"});
  return all;
}

} // namespace tern::app
