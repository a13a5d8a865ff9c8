// From the counters of two cores to the result that is printed and written.
#pragma once

#include "app/bench/client.hpp"
#include "app/bench/settings.hpp"
#include "observe/result.hpp"

namespace tern::app {

// A core's share, read after its thread has ended or, relaxed, while it runs.
struct Side {
  const char* role = "client";
  unsigned core = 0;
  const Shard* shard = nullptr;
  const net::NetCounters* net = nullptr;
  const io::PortCounters* port = nullptr;
  std::uint64_t busy_cycles = 0;
  std::uint64_t port_cycles = 0;
  std::uint64_t time_wait = 0;
};

[[nodiscard]] observe::Failures failures_of(const Counters<Load>&);
void add_packets(observe::Packets&, const Side&);
[[nodiscard]] observe::Memory memory();

} // namespace tern::app
