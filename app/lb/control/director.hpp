// Who directs the cores of a load balancer: a thread beside them that takes commands, reloads the
// configuration, sees backends come and go, and gives the cores new plans. It owns the truth; the cores own
// their connections. Each core is told by message and answers by message; nobody on the packet path waits for
// it.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "app/lb/config/schema.hpp"
#include "app/lb/control/console.hpp"
#include "app/lb/control/planner.hpp"
#include "app/lb/path/splice.hpp"
#include "app/measure/figures.hpp"
#include "app/socket/answer.hpp"
#include "app/socket/metrics.hpp"
#include "app/socket/socket.hpp"
#include "runtime/core_handle.hpp"

namespace tern::app::lb {

// What a core was asked, and answers when it comes to it. The question is the message's too: should the core answer late, it
// answers into memory that is still there.
template <class T>
class Asked {
 public:
  // f(CoreHandle&, Splice&), on the core's thread.
  template <class F>
  Asked(CoreHandle& core, Splice& splice, F f) : answer_(std::make_shared<Answer>()) {
    const auto run = [answer = answer_, call = std::make_shared<F>(std::move(f)), &splice](CoreHandle& h) {
      answer->value = (*call)(h, splice);
      answer->there.store(true, std::memory_order_release);
    };
    if (!core.post(run)) answer_.reset();
  }
  // Nothing is to be waited for: it is there, or it will never be.
  [[nodiscard]] bool over() const { return !answer_ || answer_->there.load(std::memory_order_acquire); }
  // None if it is not there.
  [[nodiscard]] std::optional<T> take() {
    return over() && answer_ ? std::move(answer_->value) : std::nullopt;
  }

 private:
  struct Answer {
    std::optional<T> value{};
    std::atomic<bool> there{false};
  };
  std::shared_ptr<Answer> answer_; // none: the core has ended, or its mailbox is full
};

// A core, as far as it is directed.
struct Directed {
  CoreHandle* handle = nullptr;
  Splice* splice = nullptr;
  std::function<std::uint64_t()> busy_cycles{}; // of any thread
};

class Director {
 public:
  struct Settings {
    const settings::Binding* binding = nullptr; // for a reload; null: there is none
    const settings::Schema* schema = nullptr;
    LbSettings lb;
    Figures figures{}; // what the cores show of themselves
  };
  // `planner` has made the plan that the cores were started with.
  Director(Settings settings, Planner planner, Shared& shared, std::vector<Directed> cores, Console& console,
           std::optional<ControlSocket> socket, std::optional<MetricsSocket> metrics);
  ~Director(); // ends the thread
  Director(const Director&) = delete;
  Director& operator=(const Director&) = delete;

  void start();
  // `drain node` was asked for, and the last connection has ended: any thread may ask.
  [[nodiscard]] bool finished() const { return finished_.load(std::memory_order_relaxed); }

  // ---- What the thread does each turn; a test calls it by itself.
  void turn(Instant now);

  // ---- For commands, on the same thread.
  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] Planner& planner() { return planner_; }
  [[nodiscard]] Shared& shared() { return shared_; }
  [[nodiscard]] const std::vector<Directed>& cores() const { return cores_; }
  [[nodiscard]] const Settings& settings() const { return settings_; }
  // Takes the files in again; a mistake changes nothing. Who asked stands in the log.
  [[nodiscard]] Answer reload(std::string_view who);
  void publish(); // the plan as the planner has it now, to all cores
  void drain_node();
  void log(const std::string& what);
  void set_admin(Slot slot, Admin state, std::string_view who);
  // Whether new connections may come to it: by its health, by the operator, by its weight.
  [[nodiscard]] bool serves(Slot slot) const {
    return shared_.backends.takes_new(slot) && planner_.backends()[slot].config.weight != 0;
  }
  // Until over(), but no longer than `patience`: a core may be stuck, and whoever asks what is wrong must not be as well (as
  // with runtime/ask.hpp, which waits without bound).
  static constexpr Duration patience = Duration::seconds(2);
  template <class Over>
  static void wait(Over&& over) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::nanoseconds(patience.as_ns());
    while (!over() && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  // Runs f(CoreHandle&, Splice&) on a core, and waits; its result, or none.
  template <class F>
  [[nodiscard]] auto ask(const Directed& core, F f)
      -> std::optional<std::invoke_result_t<F&, CoreHandle&, Splice&>>;
  // Connections by slot, service and listener (there with handshakes), over all cores; none when a core did not
  // answer.
  struct Left {
    std::vector<std::uint32_t> slots;
    std::vector<std::uint32_t> services;
    std::vector<std::uint32_t> listeners;
  };
  [[nodiscard]] std::optional<Left> left();

 private:
  [[nodiscard]] std::vector<std::string> reload_plan(const LbConfig& config);
  void watch_health();
  void watch_services();
  void watch_packets();
  void retire();
  void retire_slots(const Left& left);
  void watch_drain();
  void set_limits();

  Settings settings_;
  Planner planner_;
  Shared& shared_;
  std::vector<Directed> cores_;
  Console& console_;
  std::optional<ControlSocket> socket_;
  std::optional<MetricsSocket> metrics_;
  Instant now_{};
  Instant next_retire_{};
  std::vector<std::uint32_t> seen_ = std::vector<std::uint32_t>(most_backends); // changes of health, by slot
  std::vector<bool> alone_; // services that have no backend for new clients
  bool scarce_ = false;     // pairs are reset for want of packets
  std::uint64_t shed_before_ = 0;
  int hangups_ = 0;
  bool draining_ = false;
  std::atomic<bool> finished_{false};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

void sync_listeners(Listeners& listeners, const Plan& plan); // on the core's thread

template <class F>
auto Director::ask(const Directed& core, F f)
    -> std::optional<std::invoke_result_t<F&, CoreHandle&, Splice&>> {
  Asked<std::invoke_result_t<F&, CoreHandle&, Splice&>> asked(*core.handle, *core.splice, std::move(f));
  wait([&] { return asked.over(); });
  return asked.take();
}

} // namespace tern::app::lb
