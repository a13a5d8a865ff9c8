// What `tern client` is asked for, and what each of its ports has of it.
#pragma once

#include <vector>

#include "app/client/search.hpp"
#include "app/client/settings.hpp"
#include "app/measure/ports.hpp"
#include "app/measure/reports.hpp"

namespace tern::app {

struct ClientSettings {
  ClientSettings();
  LoadSettings load; // its sources: each port's own, below
  std::vector<OfPort<Prefix>> sources;
  SearchSettings search;
  OutputSettings output;
  PortsSettings ports;
  std::vector<TargetRange> targets;
};
void declare(settings::Schema&, ClientSettings&);

// One port's: its addresses, the targets that it has a way to, and its share of the load, by its CPUs.
struct PortShare {
  NodeSettings node;
  LoadSettings load;
  std::vector<Endpoint> targets;
};

// All that can be said before anything starts: what was left open is filled in, contradictions are told. Throws
// ConfigError.
[[nodiscard]] std::vector<PortShare> complete(const settings::Schema&, ClientSettings&);

// TIME-WAIT records of a port whose user named no number: its part of those that all ports want together.
[[nodiscard]] std::uint32_t time_wait_records_of(const ClientSettings&, const PortShare&);

} // namespace tern::app
