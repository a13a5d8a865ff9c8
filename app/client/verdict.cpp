#include "app/client/verdict.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace tern::app {
namespace {

bool any_stayed(const observe::Summary& s, const LoadSettings& l) {
  const bool asked_again = l.requests != 1 && s.requests != 0;
  const bool held = l.concurrency != 0 && s.connections.established != 0 && s.connections.unfinished != 0;
  return asked_again || held;
}

} // namespace

std::string came_to_nothing(const observe::Summary& s, const LoadSettings& l) {
  if (s.search) return s.search->found_cps > 0 ? std::string{} : s.search->stopped;
  const observe::Connections& c = s.connections;
  if (c.attempted == 0 || c.completed != 0 || any_stayed(s, l)) return {};
  if (c.failed.total() == 0)
    return fmt::format("no connection was completed: {} were left unfinished", c.unfinished);
  const auto causes = observe::causes_of(observe::Side::client);
  const auto most =
      std::ranges::max_element(causes, {}, [&](const observe::Cause& cause) { return c.failed.*cause.n; });
  return fmt::format("no connection was completed: {} of {} failed, {} of them by {}", c.failed.total(),
                     c.attempted, c.failed.*(most->n), most->name);
}

} // namespace tern::app
