#include "app/client/verdict.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace tern::app {
namespace {

// Who asks more than once may be cut off by the end of the run, or in a long response, and yet was served.
bool any_served(const observe::Summary& s, const LoadSettings& l) {
  const bool all_bad = s.connections.established <= s.connections.failed.bad_byte;
  return l.requests != 1 && (s.requests != 0 || s.response_bytes != 0) && !all_bad;
}

} // namespace

std::string came_to_nothing(const observe::Summary& s, const LoadSettings& l) {
  if (s.search) return s.search->found_cps > 0 ? std::string{} : s.search->stopped;
  const observe::Connections& c = s.connections;
  if (c.attempted == 0 || c.completed != 0 || any_served(s, l)) return {};
  if (c.failed.total() == 0)
    return fmt::format("no connection was completed: {} were left unfinished", c.unfinished);
  const auto causes = observe::causes_of(observe::Side::client);
  const auto most =
      std::ranges::max_element(causes, {}, [&](const observe::Cause& cause) { return c.failed.*cause.n; });
  return fmt::format("no connection was completed: {} of {} failed, {} of them by {}", c.failed.total(),
                     c.attempted, c.failed.*(most->n), most->name);
}

} // namespace tern::app
