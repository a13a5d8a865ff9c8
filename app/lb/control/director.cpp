#include "app/lb/control/director.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>

#include "app/lb/control/commands.hpp"
#include "app/lb/control/metrics.hpp"
#include "runtime/clock.hpp"
#include "runtime/signals.hpp"

namespace tern::app::lb {
namespace {

constexpr int turn_ms = 50;
constexpr Duration retire_interval = Duration::ms(500);

} // namespace

void sync_listeners(Listeners& listeners, const Plan& plan) {
  for (std::size_t i = 0; i < plan.listeners.size(); ++i)
    listeners.put(static_cast<std::uint8_t>(i), plan.listeners[i].settings, plan.listeners[i].closed);
}

Director::Director(Settings settings, Planner planner, Shared& shared, std::vector<Directed> cores,
                   Console& console, std::optional<ControlSocket> socket,
                   std::optional<MetricsSocket> metrics)
    : settings_(std::move(settings)),
      planner_(std::move(planner)),
      shared_(shared),
      cores_(std::move(cores)),
      console_(console),
      socket_(std::move(socket)),
      metrics_(std::move(metrics)),
      hangups_(reload_signals()) {
  set_limits();
}

Director::~Director() {
  stop_.store(true, std::memory_order_relaxed);
  if (thread_.joinable()) thread_.join();
}

void Director::start() {
  thread_ = std::thread([this] {
    const TscClock clock;
    const auto answer = [&](std::string_view line) {
      now_ = clock.now();
      return answer_line(*this, line);
    };
    Scrape scrape;
    while (!stop_.load(std::memory_order_relaxed)) {
      if (socket_)
        socket_->wait(turn_ms, answer);
      else
        std::this_thread::sleep_for(std::chrono::milliseconds(turn_ms));
      turn(clock.now());
      if (metrics_) metrics_->wait(0, [&] { return scrape.page(*this, clock.now()); });
    }
  });
}

void Director::log(const std::string& what) {
  const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  console_.say(fmt::format("{:%FT%T}.{:03}Z {}\n", fmt::gmtime(std::chrono::system_clock::to_time_t(now)),
                           now.time_since_epoch().count() % 1000, what));
}

void Director::turn(Instant now) {
  now_ = now;
  if (const int n = reload_signals(); n != hangups_) {
    hangups_ = n;
    (void)reload("SIGHUP"); // it is in the log
  }
  const auto due = planner_.next_step(now);
  watch_health();
  if (due && *due <= now_) publish();
  watch_packets();
  console_.flush();
  if (now >= next_retire_) {
    next_retire_ = now + retire_interval;
    retire();
  }
}

// ---- Plans

void Director::set_limits() {
  for (std::size_t i = 0; i < planner_.backends().size(); ++i) {
    const Planner::Backend& b = planner_.backends()[i];
    const std::uint32_t limit = b.service == Plan::none ? 0 : b.config.max_connections;
    if (const auto s = static_cast<Slot>(i); shared_.bank.limit(s) != limit) shared_.bank.set_limit(s, limit);
  }
  for (std::size_t i = 0; i < planner_.services().size(); ++i) {
    const std::uint32_t limit = planner_.services()[i].config.max_connections;
    const auto s = static_cast<Slot>(i);
    if (shared_.service_bank.limit(s) != limit) shared_.service_bank.set_limit(s, limit);
  }
}

void Director::publish() {
  const std::shared_ptr<const Plan> plan = planner_.make(now_);
  set_limits();
  for (const Directed& core : cores_) {
    const auto tell = [plan, splice = core.splice](CoreHandle& handle) {
      splice->publish(plan);
      sync_listeners(handle.shard().listeners, *plan);
    };
    if (!core.handle->post(tell))
      log(fmt::format("core {} does not take the new plan: it has ended, or is stuck", core.handle->id()));
  }
}

Answer Director::reload(std::string_view who) {
  if (settings_.binding == nullptr) return mistake("there is no file to read again");
  try {
    Reloaded r = read_again(*settings_.binding, *settings_.schema);
    // Its addresses and routes wait for a restart: backends are reached by those that there are.
    LbSettings now = settings_.lb;
    now.lb.services = r.settings.lb.services;
    for (const ServiceConfig& s : now.lb.services)
      for (const BackendConfig& b : s.backends)
        if (const std::string wrong = wrong_backend(b.address, now); !wrong.empty())
          throw settings::ConfigError(b.where, wrong);
    const std::vector<std::string> told = reload_plan(r.settings.lb);
    for (const std::string& line : told) log(fmt::format("{}, by reload", line));
    if (!told.empty())
      for (const std::string& line : doubts(now)) log(fmt::format("note: {}", line));
    if (!told.empty()) publish();
    std::string text =
        fmt::format("reloaded by {}: {}, {}", who, summary(r.settings.lb),
                    told.empty() ? "nothing changed"
                                 : fmt::format("{} change{}", told.size(), told.size() == 1 ? "" : "s"));
    if (!r.needs_restart.empty())
      text += fmt::format("; changed, and waiting for a restart: {}", fmt::join(r.needs_restart, ", "));
    log(text);
    Answer a{.text = text, .rows = Json::array()};
    for (const std::string& line : told) a.rows.push_back({{"change", line}});
    return a;
  } catch (const settings::ConfigError& e) {
    log(fmt::format("reload by {} refused, nothing changed: {}", who, e.what()));
    return mistake(fmt::format("{}; nothing changed", e.what()));
  }
}

// What the operator said of a backend holds for its name, at whatever address it is from now on.
std::vector<std::string> Director::reload_plan(const LbConfig& config) {
  struct Said {
    Slot slot;
    Admin admin;
  };
  std::map<std::string, Said> said;
  const auto each_live = [this](auto&& f) {
    for (const Planner::Service& s : planner_.services())
      for (const Slot slot : s.slots) f(slot);
  };
  each_live([&](Slot slot) {
    if (const Admin admin = shared_.backends.admin(slot); admin != Admin::ready)
      said[planner_.name_of(slot)] = {slot, admin};
  });
  std::vector<std::string> told = planner_.reload(config, now_);
  each_live([&](Slot slot) {
    const auto at = said.find(planner_.name_of(slot));
    if (at != said.end() && at->second.slot != slot) shared_.backends.set_admin(slot, at->second.admin);
  });
  return told;
}

// ---- Health

void Director::watch_health() {
  bool cold = false;
  for (std::size_t i = 0; i < planner_.backends().size(); ++i) {
    const Planner::Backend& b = planner_.backends()[i];
    const auto slot = static_cast<Slot>(i);
    if (b.service == Plan::none || b.gone) continue;
    const std::uint32_t changes = shared_.backends.changes(slot);
    if (changes == seen_[i]) continue;
    const bool flapped = changes - seen_[i] > 1;
    seen_[i] = changes;
    const bool up = shared_.backends.up(slot);
    cold = cold || planner_.services()[b.service].config.slow_start > Duration{};
    if (up)
      planner_.went_up(slot, now_);
    else
      planner_.went_down(slot, now_);
    log(fmt::format("backend {} is {}{}: {}", planner_.name_of(slot), up ? "up" : "down",
                    flapped ? ", not for the first time within a moment" : "",
                    name_of(shared_.backends.because(slot))));
  }
  watch_services();
  if (cold) publish();
}

// Whether anybody is there for new clients: health, the operator and a reload may each change it.
void Director::watch_services() {
  alone_.resize(planner_.services().size());
  for (std::size_t i = 0; i < alone_.size(); ++i) {
    const Planner::Service& s = planner_.services()[i];
    const bool alone = !s.gone && std::ranges::none_of(s.slots, [&](Slot b) { return serves(b); });
    if (alone == alone_[i]) continue;
    alone_[i] = alone;
    if (s.gone) continue;
    log(alone ? fmt::format("service {} has no backend left: new clients are reset", s.config.name)
              : fmt::format("service {} has a backend again", s.config.name));
  }
}

// Once as it begins and once as it ends, however many cores it is. What was over within a turn of ours is told as its end
// alone: that has to say all that a reader needs.
void Director::watch_packets() {
  const bool scarce = shared_.shedding.load(std::memory_order_relaxed) != 0;
  const std::uint64_t shed = shared_.shed.load(std::memory_order_relaxed);
  if (scarce && !scarce_)
    log("packets are scarce: connections whose readers stand still are reset, the longest first");
  if (!scarce && (scarce_ || shed != shed_before_)) {
    log(fmt::format(
        "packets suffice again: {} connections whose readers stood still were reset for want of them; more "
        "packet_memory, or a smaller window, carries more",
        shed - shed_before_));
    shed_before_ = shed;
  }
  scarce_ = scarce;
}

void Director::set_admin(Slot slot, Admin state, std::string_view who) {
  if (shared_.backends.admin(slot) == state) return;
  shared_.backends.set_admin(slot, state);
  log(fmt::format("backend {} is set to {}, by {}", planner_.name_of(slot), name_of(state), who));
}

// ---- The end of what was removed

std::optional<Director::Left> Director::left() {
  const std::size_t slots = planner_.backends().size();
  const std::size_t services = planner_.services().size();
  const std::size_t listeners = planner_.listeners().size();
  Left all{std::vector<std::uint32_t>(slots), std::vector<std::uint32_t>(services),
           std::vector<std::uint32_t>(listeners)};
  const auto add = [](std::vector<std::uint32_t>& to, const std::vector<std::uint32_t>& from) {
    std::ranges::transform(to, from, to.begin(), std::plus{});
  };
  for (const Directed& core : cores_) {
    const auto mine = ask(core, [slots, services, listeners](CoreHandle& h, Splice& s) {
      Left m;
      for (std::size_t i = 0; i < slots; ++i) m.slots.push_back(s.purse().open(static_cast<Slot>(i)));
      for (std::size_t i = 0; i < services; ++i)
        m.services.push_back(s.open_of_service(static_cast<std::uint16_t>(i)));
      const Listeners& all_listeners = h.shard().listeners;
      for (std::size_t i = 0; i < listeners; ++i) {
        const bool known = i < all_listeners.size();
        const Listener l = known ? all_listeners[static_cast<std::uint8_t>(i)] : Listener{};
        m.listeners.push_back(l.open + l.opening);
      }
      return m;
    });
    if (!mine) return std::nullopt;
    add(all.slots, mine->slots);
    add(all.services, mine->services);
    add(all.listeners, mine->listeners);
  }
  return all;
}

void Director::retire() {
  if (planner_.retiring()) {
    // Asked after the plan without them was posted, so nobody can come to them any more.
    if (const auto now = left()) {
      retire_slots(*now);
      for (std::size_t i = 0; i < now->listeners.size(); ++i)
        if (now->listeners[i] == 0) planner_.free_listener(i);
      for (std::size_t i = 0; i < now->services.size(); ++i)
        if (now->services[i] == 0) planner_.free_service(static_cast<std::uint16_t>(i));
    }
  }
  if (draining_) watch_drain();
}

void Director::retire_slots(const Left& left) {
  for (std::size_t i = 0; i < left.slots.size(); ++i) {
    const Planner::Backend& b = planner_.backends()[i];
    const auto slot = static_cast<Slot>(i);
    if (!b.gone) continue;
    if (left.slots[i] == 0) {
      planner_.free_slot(slot);
      shared_.backends.reset(slot);
      seen_[i] = shared_.backends.changes(slot);
      continue;
    }
    const Planner::Service& s = planner_.services()[b.service];
    if (!s.gone || now_ - s.since < s.config.timeouts.drain) continue;
    log(fmt::format("backend {} of a service that was removed: {} connections reset, their time is over",
                    planner_.name_of(slot), left.slots[i]));
    for (const Directed& core : cores_)
      (void)core.handle->post([slot, splice = core.splice](CoreHandle&) { splice->kill(slot); });
  }
}

void Director::watch_drain() {
  std::uint64_t open = 0;
  for (const Directed& core : cores_) {
    const auto n = ask(core, [](CoreHandle& h, Splice&) { return h.shard().connections.used(); });
    if (!n) return;
    open += *n;
  }
  if (open == 0 && !finished_.exchange(true)) log("the node is drained: no connection is left");
}

void Director::drain_node() {
  if (draining_) return;
  draining_ = true;
  log("draining: nothing new is accepted, what is open may end, then the program does");
  for (const Directed& core : cores_)
    (void)core.handle->post([splice = core.splice](CoreHandle& h) {
      h.shard().listeners.close_all();
      splice->on_drain(); // a check that begins would be one more connection to wait for
    });
}

} // namespace tern::app::lb
