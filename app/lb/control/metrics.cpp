#include "app/lb/control/metrics.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "app/lb/control/director.hpp"
#include "app/lb/control/sums.hpp"
#include "app/measure/figures.hpp"
#include "observe/prometheus.hpp"

namespace tern::app::lb {
namespace {

using observe::MetricsPage;

// Services and backends that were removed are in no family but the whole's, though their last connections go on: another may
// have come by the same name, and a name may be on a page once.
template <class F>
void each_service(Director& d, F&& f) {
  const auto& all = d.planner().services();
  for (std::size_t i = 0; i < all.size(); ++i)
    if (!all[i].free && !all[i].gone) f(i, all[i]);
}
template <class F>
void each_backend(Director& d, F&& f) {
  each_service(d, [&](std::size_t, const Planner::Service& s) {
    for (const Slot slot : s.slots) f(slot, s.config.name, d.planner().backends()[slot]);
  });
}

void add_services(MetricsPage& page, Director& d, const std::optional<Sums>& sums) {
  const auto family = [&](auto&& value) {
    each_service(d, [&](std::size_t i, const Planner::Service& s) {
      page.sample(std::uint64_t{value(i, s)}, {{"service", s.config.name}});
    });
  };
  using S = Planner::Service;
  page.gauge("tern_lb_service_backends", "backends of a service");
  family([](std::size_t, const S& s) { return s.slots.size(); });
  page.gauge("tern_lb_service_backends_serving",
             "of them, those that take new connections: up, ready, of some weight");
  family([&](std::size_t, const S& s) {
    return static_cast<std::uint64_t>(
        std::ranges::count_if(s.slots, [&](Slot slot) { return d.serves(slot); }));
  });
  page.gauge("tern_lb_service_connections_max", "most connections of a service at once; 0: no limit");
  family([](std::size_t, const S& s) { return s.config.max_connections; });
  if (!sums) return;
  page.gauge("tern_lb_service_connections", "open connections of clients to a service");
  family([&](std::size_t i, const S&) { return sums->in_service[i]; });
  page.counter("tern_lb_service_accepted", "clients of a service whose handshake was done");
  family([&](std::size_t i, const S&) { return sums->accepted[i]; });
}

void add_backends(MetricsPage& page, Director& d, const std::optional<Sums>& sums) {
  using B = Planner::Backend;
  const auto family = [&](auto&& value) {
    each_backend(d, [&](Slot slot, const std::string& service, const B& b) {
      page.sample(std::uint64_t{value(slot, b)}, {{"service", service}, {"backend", b.config.name}});
    });
  };
  page.gauge("tern_lb_backend_info", "1; its labels tell where a backend is");
  each_backend(d, [&](Slot, const std::string& service, const B& b) {
    page.sample(std::uint64_t{1}, {{"service", service},
                                   {"backend", b.config.name},
                                   {"address", b.config.address.to_string()},
                                   {"backup", b.config.backup ? "true" : "false"}});
  });
  page.gauge("tern_lb_backend_up", "1: well, by its checks or by clients' connections; 0: down");
  family([&](Slot slot, const B&) { return std::uint64_t{d.shared().backends.up(slot)}; });
  page.gauge("tern_lb_backend_state",
             "1 for the state that it is in: the operator's, if he set one, else up or down");
  each_backend(d, [&](Slot slot, const std::string& service, const B& b) {
    const std::string now = state_of(d, slot);
    for (const char* state : {"up", "down", "drain", "maintain"})
      page.sample(std::uint64_t{now == state},
                  {{"service", service}, {"backend", b.config.name}, {"state", state}});
  });
  page.counter("tern_lb_backend_changes", "times that it went down or came up");
  family([&](Slot slot, const B&) { return d.shared().backends.changes(slot); });
  page.gauge("tern_lb_backend_weight", "its share beside the others'; 0: gets nothing new");
  family([](Slot, const B& b) { return b.config.weight; });
  page.gauge("tern_lb_backend_connections_max", "most connections of a backend at once; 0: no limit");
  family([](Slot, const B& b) { return b.config.max_connections; });
  if (!sums) return;
  page.gauge("tern_lb_backend_connections", "open connections to a backend");
  family([&](Slot slot, const B&) { return sums->open[slot]; });
  page.counter("tern_lb_backend_tried", "connections to a backend that were begun for clients");
  family([&](Slot slot, const B&) { return sums->slots[slot].tried; });
  page.counter("tern_lb_backend_connected", "of them, those that came about");
  family([&](Slot slot, const B&) { return sums->slots[slot].connected; });
  page.counter("tern_lb_backend_failed", "of them, those that did not");
  family([&](Slot slot, const B&) { return sums->slots[slot].failed; });
}

std::string page_of(Director& d, const std::optional<Sums>& all) {
  MetricsPage page;
  const Figures& figures = d.settings().figures;
  add(page, figures);
  add_counters<Count>(
      page, "lb", "the balancer", [](Count c) { return name_of(c); }, figures,
      [&](std::size_t k) -> const LbCounters& { return d.cores()[k].splice->counters(); });
  page.gauge("tern_cores_answer",
             "1; 0: a core does not answer, and what is missing here is what it was asked for");
  page.sample(std::uint64_t{all.has_value()});
  add_services(page, d, all);
  add_backends(page, d, all);
  return page.text();
}

} // namespace

std::optional<std::string> Scrape::page(Director& d, Instant now) {
  // Answers that nobody fetched in time are those of a scrape that was given up.
  const bool stale = asked_ && now >= until_ && asked_->over();
  if (!asked_ || stale || !asked_->about(d.planner())) {
    asked_.emplace(d);
    until_ = now + Director::patience;
  }
  if (!asked_->over() && now < until_) return std::nullopt;
  const auto all = asked_->take();
  asked_.reset();
  return page_of(d, all);
}

} // namespace tern::app::lb
