// A campaign: one seed makes a network, hosts, users and faults, runs them in virtual time, and judges the
// end.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "packet/packet.hpp"
#include "sim/network.hpp"
#include "tcp/counters.hpp"

namespace tern::campaign {

struct Result {
  std::uint64_t seed = 0;
  std::uint64_t fingerprint = 0; // two runs with one fingerprint are one run
  double seconds = 0;            // of virtual time
  std::uint64_t events = 0;
  std::uint64_t frames = 0;
  std::uint64_t bytes = 0; // delivered to users, each checked
  std::uint32_t hosts = 0; // of whole Cores
  std::uint32_t connections = 0;
  std::map<std::string, std::uint32_t> ends; // how they ended
  std::map<std::string, std::uint64_t> counters;
  std::optional<std::string> wrong; // the first thing that must not be
  std::string weather;              // the world in a line
};

using Watch = std::function<void(const sim::Network&, const sim::Sighting&)>;

// `packets` must be idle: the run checks that it is again at the end.
[[nodiscard]] Result run(std::uint64_t seed, PacketPool packets, const Watch& watch = {});

} // namespace tern::campaign
