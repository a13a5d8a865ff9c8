#include "app/client/tester.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace tern::app {
namespace {

bool others_had_it(CoreTime core) {
  constexpr double some = 0.05;
  return core.waited > some && core.busy - core.waited <= saturated_core;
}

} // namespace

std::string core_of_tester(CoreTime core) {
  if (others_had_it(core))
    return fmt::format("its CPU was others' for {:.0f}% of the time", core.waited * 100);
  return fmt::format("its core was {:.0f}% busy", core.busy * 100);
}

std::string limit_of_tester(const TesterSight& t) {
  constexpr std::uint64_t few = 10; // a core is taken away for a moment now and then
  const std::uint64_t some = std::max(few, t.due / 100);
  // Whoever waited for a pair or a record was late for that; a note tells.
  const bool behind = !t.closed_loop && t.due != 0 && t.late > some && t.starved <= some;
  if (t.core.busy <= saturated_core && !behind) return {};
  const std::string core = core_of_tester(t.core);
  const bool others = others_had_it(t.core);
  if (t.closed_loop)
    return core + (others ? ": with one of its own there might have been more"
                          : ": with more or faster --cores for it there might have been more");
  const char* why = others                         ? ": give it one of its own"
                    : t.core.busy > saturated_core ? ""
                                                   : ": once late, they wait while many are under way";
  return fmt::format("{}, {} of {} {} were more than 1 ms late{}", core, t.late, t.due, t.what, why);
}

} // namespace tern::app
