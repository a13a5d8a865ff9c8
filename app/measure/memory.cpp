#include "app/measure/memory.hpp"

#include <fmt/format.h>

#include <string>

namespace tern::app {
namespace {

// About, with their places in the flow table: to tell which takes more, not how much.
constexpr std::uint64_t bytes_of_connection = 300;
constexpr std::uint64_t bytes_of_time_wait = 57;

std::string printed(const settings::Size& n) {
  return settings::Value<settings::Size>::print(n);
}

} // namespace

MemoryAsked memory_asked(const NodeSettings& n) {
  return {.connections = n.connections,
          .time_waits = n.time_wait_records,
          .packets = n.packet_memory,
          .most = n.memory};
}

void fail_for_memory(const settings::Schema& s, const MemoryAsked& m, const ArenaError& e) {
  const std::string all = e.what();
  const std::string sum = all.substr(0, all.rfind("; ")); // its cure is for whoever has no options
  const bool limited = m.most.n != 0;
  const std::uint64_t time_waits = m.time_waits * bytes_of_time_wait;
  const std::uint64_t connections = m.connections * bytes_of_connection;
  if (limited && m.packets.n > time_waits && m.packets.n > connections)
    s.fail("packet_memory", fmt::format("{}, of --memory {}, where packets take {}; lower it, or give more",
                                        sum, printed(m.most), printed(m.packets)));
  const char* more = limited ? "give more --memory" : "give the machine more memory";
  if (time_waits > connections)
    s.fail("time_wait_records",
           fmt::format("{}, and TIME-WAIT takes the most of it; ask for fewer than {} records, or {}", sum,
                       m.time_waits, more));
  s.fail(m.connections_option,
         fmt::format("{}, and connections take the most of it; ask for fewer, or {}", sum, more));
}

} // namespace tern::app
