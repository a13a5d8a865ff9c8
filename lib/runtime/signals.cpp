#include "runtime/signals.hpp"

#include <atomic>
#include <csignal>

namespace tern {
namespace {

std::atomic<int> stops{0};
std::atomic<int> reloads{0};
static_assert(std::atomic<int>::is_always_lock_free); // for the handler

void on_signal(int) {
  stops.fetch_add(1, std::memory_order_relaxed);
}

// A terminal that goes may say so twice, by its shell and by the kernel: that is one wish.
void on_hang_up(int) {
  int none = 0;
  stops.compare_exchange_strong(none, 1, std::memory_order_relaxed);
}

void on_reload(int) {
  reloads.fetch_add(1, std::memory_order_relaxed);
}

} // namespace

void catch_reload_signal() {
  struct sigaction action {};
  action.sa_handler = on_reload;
  sigaction(SIGHUP, &action, nullptr);
}

int reload_signals() {
  return reloads.load(std::memory_order_relaxed);
}

void catch_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  struct sigaction hang_up {};
  sigaction(SIGHUP, nullptr, &hang_up);
  if (hang_up.sa_handler != SIG_IGN) { // else it is to outlive its terminal: nohup
    action.sa_handler = on_hang_up;
    sigaction(SIGHUP, &action, nullptr);
  }
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, nullptr);
}

int stop_signals() {
  return stops.load(std::memory_order_relaxed);
}

} // namespace tern
