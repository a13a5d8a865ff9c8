#include "app/lb/path/counters.hpp"

namespace tern::app::lb {

std::string_view name_of(Count c) {
  static constexpr std::string_view names[] = {
      "accepted",        "connected",           "ended_done",        "ended_client",     "ended_backend",
      "ended_idle",      "ended_killed",        "ended_scarce",      "ended_no_backend", "ended_full",
      "ended_denied",    "ended_source",        "ended_no_port",     "ended_no_memory",  "connect_tried",
      "connect_refused", "connect_unreachable", "connect_timed_out", "connect_no_port",  "connect_no_route",
      "bytes_in",        "bytes_out",           "checks_passed",     "checks_failed",    "checks_skipped"};
  static_assert(std::size(names) == LbCounters::size);
  return names[static_cast<std::size_t>(c)];
}

} // namespace tern::app::lb
