// What the cores read of the configuration: immutable, made off the packet path, swapped whole. Services and
// backends are known by numbers that a reload keeps for as long as anything uses them.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "app/lb/choose/chooser.hpp"
#include "app/lb/config.hpp"
#include "app/lb/guard/prefixes.hpp"
#include "base/siphash.hpp"
#include "runtime/listener.hpp"

namespace tern::app::lb {

struct Plan {
  struct Backend {
    BackendConfig config;
    std::uint16_t service = 0;
    std::uint32_t serial = 0; // no other backend of the process has it, though one may get its slot
    bool gone = false;        // removed: its connections go on, and nothing looks after it
  };
  struct Service {
    ServiceConfig config;
    std::uint32_t serial = 0; // no other service of the process has it, though one may get its number
    SipKey key;
    AccessList access;
    bool open_to_all = true; // the access list need not be asked
    Chooser primary;
    Chooser backup;          // of the backends that serve when no other one can
    std::vector<Slot> slots; // all of its backends
  };
  static constexpr std::uint16_t none = 0xffff;

  std::vector<Service> services;
  std::vector<Backend> backends; // by slot; one whose service is `none` is free
  struct Listener {
    ListenerSettings settings;
    bool closed = false; // takes nothing new: what it has goes on
  };
  std::vector<Listener> listeners; // of every core, by number
  std::vector<std::uint16_t> service_of_listener;
};

// A backend's name to the choosers: the same on every node that calls it the same.
[[nodiscard]] std::uint64_t member_id(std::string_view name);

// A service without backends.
[[nodiscard]] Plan::Service blank_service(const ServiceConfig& config);

// Of a fresh start: services, listeners and slots in the order in which they are written.
[[nodiscard]] Plan make_plan(const LbConfig& config);

} // namespace tern::app::lb
