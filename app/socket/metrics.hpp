// GET /metrics, for Prometheus: over the kernel's TCP, beside the packet path and its addresses.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "app/socket/callers.hpp"
#include "app/socket/metrics_address.hpp"
#include "base/ip.hpp"

namespace tern::app {

class MetricsSocket {
 public:
  using Page = std::function<std::optional<std::string>()>; // none: it is not known yet

  // Throws ConfigError.
  explicit MetricsSocket(const Endpoint& at, std::chrono::milliseconds patience = std::chrono::seconds(5));
  // What keeps this process from listening there, now; empty: nothing does, or only somebody who listens there already.
  [[nodiscard]] static std::string obstacle(const Endpoint& at);

  // As Callers::wait. However many ask in one call, `page` is called once: cores are not asked more often for it. Where it is
  // not known, who asked waits for a later call.
  void wait(int milliseconds, const Page& page);

 private:
  Callers callers_;
};

} // namespace tern::app
