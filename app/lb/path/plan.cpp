#include "app/lb/path/plan.hpp"

#include "app/lb/choose/slow_start.hpp"

namespace tern::app::lb {
namespace {

Plan::Service make_service(const ServiceConfig& config, std::uint16_t number,
                           std::vector<Plan::Backend>& all) {
  Plan::Service s = blank_service(config);
  s.serial = number;
  std::vector<Member> primary;
  std::vector<Member> backup;
  for (const BackendConfig& b : config.backends) {
    const auto slot = static_cast<Slot>(all.size());
    all.push_back({.config = b, .service = number, .serial = slot});
    s.slots.push_back(slot);
    (b.backup ? backup : primary)
        .push_back({member_id(b.name), weight_for(config.balance, b.weight) * full_share, slot});
  }
  s.primary = Chooser(config.balance, primary, s.key);
  s.backup = Chooser(config.balance, backup, s.key);
  return s;
}

} // namespace

std::uint64_t member_id(std::string_view name) {
  return siphash13({0x6261'636b'656e'6400, 0}, std::as_bytes(std::span{name}));
}

Plan::Service blank_service(const ServiceConfig& config) {
  Plan::Service s{.config = config, .key = {config.seed, 0x7465'726e'6c62'0001}};
  s.access = AccessList(config.allow, config.deny);
  s.open_to_all = config.allow.empty() && config.deny.empty();
  return s;
}

Plan make_plan(const LbConfig& config) {
  Plan plan;
  for (const ServiceConfig& c : config.services) {
    const auto number = static_cast<std::uint16_t>(plan.services.size());
    plan.services.push_back(make_service(c, number, plan.backends));
    for (const ListenConfig& l : c.listen) {
      plan.listeners.push_back({{.ip = l.ip, .first = l.first, .last = l.last, .cookies = c.cookies}, false});
      plan.service_of_listener.push_back(number);
    }
  }
  return plan;
}

} // namespace tern::app::lb
