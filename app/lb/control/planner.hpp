// What the operator's side knows of services and backends, and the plans that the cores are given of it.
// Pure: no thread, no clock, no socket. Numbers of services, slots and listeners are given again only when nothing
// is left of who had them.
//
//   the file        says which services and backends there are, and their weights: a reload makes them so
//   the operator    drains, maintains, weighs, adds and removes; drain and maintain outlive a reload, weights
//   and
//                   backends that the file does not have do not
//   health          up and down; a backend that comes up grows to its weight by slow start
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/lb/config.hpp"
#include "app/lb/path/plan.hpp"
#include "base/time.hpp"

namespace tern::app::lb {

class Planner {
 public:
  Planner(const LbConfig& config, Instant now);

  // The plan as things are now. Made anew each time: some milliseconds a service.
  [[nodiscard]] std::shared_ptr<const Plan> make(Instant now) const;

  // What differs, a line each ("backend web/one: weight 1 -> 5"); empty: nothing does.
  [[nodiscard]] std::vector<std::string> reload(const LbConfig& config, Instant now);

  // ---- Commands. What is wrong, or nothing.
  using Wrong = std::optional<std::string>;
  [[nodiscard]] Wrong add(std::string_view service, const BackendConfig& b, Instant now);
  [[nodiscard]] Wrong remove(std::string_view service, std::string_view backend, Instant now);
  [[nodiscard]] Wrong set_weight(Slot slot, std::uint32_t weight);

  // ---- Health.
  void went_up(Slot slot, Instant now);
  void went_down(Slot slot, Instant now);
  // When slow start wants the next plan; no value: nobody is starting.
  [[nodiscard]] std::optional<Instant> next_step(Instant now) const;

  // ---- What there is.
  struct Backend {
    BackendConfig config;
    std::uint16_t service = Plan::none; // none: the slot is free
    bool up = true;
    bool gone = false; // removed; its connections go on
    Instant since{};   // up or down, or gone
    std::uint32_t serial = 0;
  };
  struct Service {
    ServiceConfig config;
    bool gone = false;
    bool free = false; // and nothing is left of it: the number is for another
    Instant since{};
    std::uint32_t serial = 0;
    std::vector<Slot> slots; // of those that are not gone, in the order of the file
  };
  struct Listener {
    ListenConfig at;
    std::uint16_t service = Plan::none;
    bool closed = false;
  };
  [[nodiscard]] const std::vector<Backend>& backends() const { return backends_; }
  [[nodiscard]] const std::vector<Service>& services() const { return services_; }
  [[nodiscard]] const std::vector<Listener>& listeners() const { return listeners_; }
  [[nodiscard]] std::optional<std::uint16_t> find_service(
      std::string_view name) const; // not one that is gone
  [[nodiscard]] std::optional<Slot> find(std::string_view service, std::string_view backend) const;
  [[nodiscard]] std::string name_of(Slot slot) const; // "web/one"
  // How often a service or a backend was given a number: while this stays, each number means what it meant.
  [[nodiscard]] std::uint32_t numbers_given() const { return next_serial_; }

  // Nobody has a connection there any more: the slot may serve another.
  void free_slot(Slot slot);
  // The listener has neither connections nor handshakes on any core.
  void free_listener(std::size_t index);
  // It has no connections any more; with no slot and no listener either its number may be another's.
  void free_service(std::uint16_t number);
  // Whether anything waits for the last three.
  [[nodiscard]] bool retiring() const;

 private:
  [[nodiscard]] std::optional<std::uint16_t> take_service(const ServiceConfig& c, Instant now);
  [[nodiscard]] std::optional<Slot> take_slot(std::uint16_t service, const BackendConfig& b, Instant now);
  void drop_slot(Slot slot, Instant now);
  void open_listeners(std::uint16_t service, std::vector<std::string>& told);
  void close_listeners(std::uint16_t service);
  void take_in(std::uint16_t number, const ServiceConfig& to, Instant now, std::vector<std::string>& told);
  [[nodiscard]] Plan::Service plan_service(const Service& s, Instant now) const;

  std::uint32_t next_serial_ = 0; // of services and backends
  std::vector<Service> services_;
  std::vector<Backend> backends_;
  std::vector<Listener> listeners_;
};

} // namespace tern::app::lb
