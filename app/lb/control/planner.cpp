#include "app/lb/control/planner.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "app/lb/choose/credits.hpp"
#include "app/lb/choose/slow_start.hpp"
#include "app/lb/config/changes.hpp"
#include "app/lb/config/kinds.hpp"
#include "runtime/listener.hpp"

namespace tern::app::lb {

Planner::Planner(const LbConfig& config, Instant now) {
  (void)reload(config, now);
  // At the start nobody is cold: all begin together.
  for (Backend& b : backends_) b.since = now - Duration::seconds(30 * 86'400);
}

// ---- Slots and listeners

std::optional<Slot> Planner::take_slot(std::uint16_t service, const BackendConfig& b, Instant now) {
  auto at = std::ranges::find(backends_, Plan::none, &Backend::service);
  if (at == backends_.end()) {
    if (backends_.size() == most_backends) return std::nullopt;
    at = backends_.emplace(backends_.end());
  }
  *at = {.config = b, .service = service, .since = now, .serial = next_serial_++};
  return static_cast<Slot>(at - backends_.begin());
}

void Planner::drop_slot(Slot slot, Instant now) {
  Backend& b = backends_[slot];
  b.gone = true;
  b.since = now;
  std::erase(services_[b.service].slots, slot);
}

void Planner::free_slot(Slot slot) {
  if (backends_[slot].gone) backends_[slot] = {};
}

void Planner::free_listener(std::size_t index) {
  if (listeners_[index].closed) listeners_[index].service = Plan::none;
}

void Planner::free_service(std::uint16_t number) {
  Service& s = services_[number];
  if (!s.gone || std::ranges::find(backends_, number, &Backend::service) != backends_.end() ||
      std::ranges::find(listeners_, number, &Listener::service) != listeners_.end())
    return;
  s = {.config = {}, .gone = true, .free = true};
}

bool Planner::retiring() const {
  return std::ranges::any_of(backends_, &Backend::gone) ||
         std::ranges::any_of(services_, [](const Service& s) { return s.gone && !s.free; }) ||
         std::ranges::any_of(listeners_,
                             [](const Listener& l) { return l.closed && l.service != Plan::none; });
}

std::optional<std::uint16_t> Planner::take_service(const ServiceConfig& c, Instant now) {
  auto at = std::ranges::find(services_, true, &Service::free);
  if (at == services_.end()) {
    if (services_.size() == most_services) return std::nullopt;
    at = services_.emplace(services_.end());
  }
  *at = {.config = c, .since = now, .serial = next_serial_++};
  at->config.backends.clear();
  return static_cast<std::uint16_t>(at - services_.begin());
}

void Planner::open_listeners(std::uint16_t service, std::vector<std::string>& told) {
  for (const ListenConfig& l : services_[service].config.listen) {
    // Its own from before, else one that nobody has, else a new one.
    auto at = std::ranges::find_if(listeners_,
                                   [&](const Listener& x) { return x.service == service && x.at == l; });
    if (at == listeners_.end()) at = std::ranges::find(listeners_, Plan::none, &Listener::service);
    if (at == listeners_.end() && listeners_.size() < Listeners::most)
      at = listeners_.emplace(listeners_.end());
    if (at != listeners_.end())
      *at = {l, service, false};
    else
      told.push_back(fmt::format(
          "service {}: does not listen on {}, {} places are in use or have connections left",
          services_[service].config.name, settings::Value<ListenConfig>::print(l), Listeners::most));
  }
}

void Planner::close_listeners(std::uint16_t service) {
  for (Listener& l : listeners_)
    if (l.service == service) l.closed = true;
}

// ---- Names

std::optional<std::uint16_t> Planner::find_service(std::string_view name) const {
  for (std::size_t i = 0; i < services_.size(); ++i)
    if (!services_[i].gone && services_[i].config.name == name) return static_cast<std::uint16_t>(i);
  return std::nullopt;
}

std::optional<Slot> Planner::find(std::string_view service, std::string_view backend) const {
  const auto s = find_service(service);
  if (!s) return std::nullopt;
  for (const Slot slot : services_[*s].slots)
    if (backends_[slot].config.name == backend) return slot;
  return std::nullopt;
}

std::string Planner::name_of(Slot slot) const {
  const Backend& b = backends_[slot];
  return b.service == Plan::none ? "-" : services_[b.service].config.name + "/" + b.config.name;
}

// ---- Reload

std::vector<std::string> Planner::reload(const LbConfig& config, Instant now) {
  std::vector<std::string> told;
  for (std::uint16_t i = 0; i < services_.size(); ++i) {
    Service& s = services_[i];
    if (s.gone ||
        std::ranges::find(config.services, s.config.name, &ServiceConfig::name) != config.services.end())
      continue;
    s.gone = true;
    s.since = now;
    close_listeners(i);
    for (const Slot slot : std::vector(s.slots)) drop_slot(slot, now);
    told.push_back(fmt::format("service {}: removed", s.config.name));
  }
  // All that close before any that opens: an address may pass from one service to another.
  for (const ServiceConfig& c : config.services)
    if (const auto number = find_service(c.name)) close_listeners(*number);
  for (const ServiceConfig& c : config.services) {
    auto number = find_service(c.name);
    if (!number) {
      number = take_service(c, now);
      told.push_back(number ? fmt::format("service {}: added", c.name)
                            : fmt::format("service {}: not added, {} are there or have connections left",
                                          c.name, most_services));
      if (!number) continue;
    }
    take_in(*number, c, now, told);
    open_listeners(*number, told);
  }
  return told;
}

void Planner::take_in(std::uint16_t number, const ServiceConfig& to, Instant now,
                      std::vector<std::string>& told) {
  Service& s = services_[number];
  for (const std::string& line : changes(s.config, to))
    told.push_back(fmt::format("service {}: {}", to.name, line));
  s.config = to;
  for (const Slot slot : std::vector(s.slots)) {
    const BackendConfig& old = backends_[slot].config;
    const auto at = std::ranges::find(to.backends, old.name, &BackendConfig::name);
    // At another address it is another backend: its connections stay with the old one.
    if (at != to.backends.end() && at->address == old.address) continue;
    told.push_back(fmt::format("backend {}: {}", name_of(slot),
                               at == to.backends.end() ? "removed" : "moved to " + at->address.to_string()));
    drop_slot(slot, now);
  }
  std::vector<Slot> order;
  for (const BackendConfig& b : to.backends) {
    if (const auto slot = find(to.name, b.name)) {
      for (const std::string& line : changes(backends_[*slot].config, b))
        told.push_back(fmt::format("backend {}: {}", name_of(*slot), line));
      backends_[*slot].config = b;
      order.push_back(*slot);
    } else if (const auto fresh = take_slot(number, b, now)) {
      told.push_back(fmt::format("backend {}: added", name_of(*fresh)));
      order.push_back(*fresh);
    } else {
      told.push_back(fmt::format("backend {}/{}: not added, {} are in use or have connections left", to.name,
                                 b.name, most_backends));
    }
  }
  s.slots = std::move(order);
}

// ---- Commands

Planner::Wrong Planner::add(std::string_view service, const BackendConfig& b, Instant now) {
  const auto number = find_service(service);
  if (!number) return fmt::format("there is no service '{}'; tern ctl show services lists them", service);
  for (const Slot slot : services_[*number].slots) {
    const BackendConfig& other = backends_[slot].config;
    if (other.name == b.name) return fmt::format("{} is there already", name_of(slot));
    if (other.address == b.address)
      return fmt::format("{} is already {}; give it more weight", b.address.to_string(), name_of(slot));
  }
  const auto slot = take_slot(*number, b, now);
  if (!slot) return fmt::format("{} backends are in use or have connections left", most_backends);
  services_[*number].slots.push_back(*slot);
  return std::nullopt;
}

Planner::Wrong Planner::remove(std::string_view service, std::string_view backend, Instant now) {
  const auto slot = find(service, backend);
  if (!slot) return fmt::format("there is no backend '{}/{}'", service, backend);
  drop_slot(*slot, now);
  return std::nullopt;
}

Planner::Wrong Planner::set_weight(Slot slot, std::uint32_t weight) {
  if (weight > most_weight) return fmt::format("{} is too large; give 0 to {}", weight, most_weight);
  backends_[slot].config.weight = weight;
  return std::nullopt;
}

// ---- Health

void Planner::went_up(Slot slot, Instant now) {
  backends_[slot].up = true;
  backends_[slot].since = now;
}

void Planner::went_down(Slot slot, Instant now) {
  backends_[slot].up = false;
  backends_[slot].since = now;
}

std::optional<Instant> Planner::next_step(Instant now) const {
  std::optional<Instant> first;
  for (const Backend& b : backends_) {
    if (b.service == Plan::none || b.gone || !b.up) continue;
    const Duration all = services_[b.service].config.slow_start;
    const Duration step = lb::next_step(now - b.since, all);
    if (step == Duration{}) continue;
    const Instant at = b.since + std::min(step, all);
    first = std::min(first.value_or(at), at);
  }
  return first;
}

// ---- The plan

Plan::Service Planner::plan_service(const Service& s, Instant now) const {
  Plan::Service p = blank_service(s.config);
  p.serial = s.serial;
  if (s.gone) return p;
  std::vector<Member> primary;
  std::vector<Member> backup;
  for (const Slot slot : s.slots) {
    const Backend& b = backends_[slot];
    // One that is down is planned as it will begin: when it comes up, nobody has to be quick.
    const Duration up_for = b.up ? now - b.since : Duration{};
    const std::uint32_t weight =
        ramped(weight_for(s.config.balance, b.config.weight), up_for, s.config.slow_start);
    (b.config.backup ? backup : primary).push_back({member_id(b.config.name), weight, slot});
    p.slots.push_back(slot);
  }
  p.primary = Chooser(s.config.balance, primary, p.key);
  p.backup = Chooser(s.config.balance, backup, p.key);
  return p;
}

std::shared_ptr<const Plan> Planner::make(Instant now) const {
  auto plan = std::make_shared<Plan>();
  for (std::size_t i = 0; i < services_.size(); ++i)
    plan->services.push_back(plan_service(services_[i], now));
  for (const Backend& b : backends_) plan->backends.push_back({b.config, b.service, b.serial, b.gone});
  for (const Listener& l : listeners_) {
    const bool used = l.service != Plan::none;
    ListenerSettings at{.ip = l.at.ip, .first = l.at.first, .last = l.at.last};
    if (used) at.cookies = services_[l.service].config.cookies;
    plan->listeners.push_back({at, l.closed || !used});
    plan->service_of_listener.push_back(used ? l.service : std::uint16_t{0});
  }
  return plan;
}

} // namespace tern::app::lb
