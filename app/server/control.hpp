// Who asks `tern server` while it runs: `tern ss` by the control socket, Prometheus by HTTP. Served by the control thread,
// between its naps.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "app/measure/figures.hpp"
#include "app/socket/metrics.hpp"
#include "app/socket/socket.hpp"
#include "runtime/core_handle.hpp"

namespace tern::app {

// Where it may be asked.
struct DoorSettings {
  std::string control; // path of the control socket; empty: none
  MetricsAddress metrics;
};

class ServerControl {
 public:
  // Throws ConfigError.
  explicit ServerControl(const DoorSettings&);
  void operator()(std::span<CoreHandle* const> cores, const Figures& figures);

 private:
  std::optional<ControlSocket> socket_;
  std::optional<MetricsSocket> metrics_;
};

} // namespace tern::app
