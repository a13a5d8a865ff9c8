#include "app/measure/memory.hpp"

#include <fmt/format.h>

#include <string>

namespace tern::app {
namespace {

std::string printed(const settings::Size& n) {
  return settings::Value<settings::Size>::print(n);
}

// Of the records whose name says so. What both share, as the flow table, is blamed on neither.
std::uint64_t bytes_of(const ArenaError& e, std::string_view what) {
  std::uint64_t sum = 0;
  for (const ArenaRequest& r : e.asked)
    if (r.name.ends_with(what)) sum += r.bytes();
  return sum;
}

} // namespace

void fail_for_memory(const settings::Schema& s, const NodeSettings& n, const char* connections_option,
                     const ArenaError& e) {
  const std::string all = e.what();
  const std::string sum = all.substr(0, all.rfind("; ")); // its cure is for whoever has no options
  const std::uint64_t time_waits = bytes_of(e, " TIME-WAIT");
  const std::uint64_t connections = bytes_of(e, " connections");
  // --memory may be more than there is: then it is not what bounds.
  const bool limited = n.memory.n != 0 && n.memory.n - n.packet_memory.n <= e.memory;
  std::string more;
  if (e.why == ArenaError::Why::memory)
    more = limited ? ", or give more --memory" : ", or give the machine more memory";
  if (limited && e.why == ArenaError::Why::memory && n.packet_memory.n > time_waits &&
      n.packet_memory.n > connections)
    s.fail("packet_memory", fmt::format("{}, of --memory {}, where packets take {}; lower it, or give more",
                                        sum, printed(n.memory), printed(n.packet_memory)));
  if (time_waits > connections)
    s.fail("time_wait_records",
           fmt::format("{}, and TIME-WAIT takes the most of it; ask for fewer{}", sum, more));
  s.fail(connections_option,
         fmt::format("{}, and connections take the most of it; ask for fewer{}", sum, more));
}

} // namespace tern::app
