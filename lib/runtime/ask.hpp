// A question to a core from a thread that may wait: the control thread, a test. Never from a core's own
// thread.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

#include "runtime/core_handle.hpp"

namespace tern {

// Runs `f(core)` on the core's thread and brings back what it gave (for a void f: true). None if the core has
// ended or its mailbox is full. `f` and what it refers to may lie on the caller's stack: the answer, or that
// there will be none, is waited for.
template <class F>
auto ask(CoreHandle& core, F&& f) {
  using Given = std::invoke_result_t<F&, CoreHandle&>;
  using Answer = std::conditional_t<std::is_void_v<Given>, bool, Given>;
  std::optional<Answer> answer;
  std::atomic<bool> over{false};
  // Says that the message is gone, whether it was run or not.
  struct Ticket {
    explicit Ticket(std::atomic<bool>& o) : over(&o) {}
    Ticket(Ticket&& o) noexcept : over(std::exchange(o.over, nullptr)) {}
    Ticket& operator=(Ticket&&) = delete;
    ~Ticket() {
      if (over != nullptr) over->store(true, std::memory_order_release);
    }
    std::atomic<bool>* over;
  };
  Message question([&answer, &f, ticket = Ticket{over}](CoreHandle& c) {
    if constexpr (std::is_void_v<Given>) {
      f(c);
      answer = true;
    } else {
      answer = f(c);
    }
  });
  if (!core.post(std::move(question))) return answer; // the ticket went with the message
  while (!over.load(std::memory_order_acquire)) std::this_thread::sleep_for(std::chrono::microseconds(50));
  return answer;
}

} // namespace tern
