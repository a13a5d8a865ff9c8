// The control socket of `tern server`: what `tern ss` asks. Served by the control thread, between its naps.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "app/socket/socket.hpp"
#include "runtime/core_handle.hpp"

namespace tern::app {

class ServerControl {
 public:
  // Throws ConfigError. An empty path: there is none.
  explicit ServerControl(const std::string& path);
  void operator()(std::span<CoreHandle* const> cores);

 private:
  std::optional<ControlSocket> socket_;
};

} // namespace tern::app
