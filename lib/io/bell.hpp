// What wakes a core that sleeps for want of work: a futex with a time limit.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <ctime>

#include "base/counters.hpp"
#include "base/time.hpp"

namespace tern::io {

class Bell {
 public:
  // Any thread, after it has put work where the sleeper looks. Costs a load of a line that stays shared as
  // long as nobody sleeps. A ring in the instant before the sleep may go unheard: every sleep is short.
  void ring() {
    if (asleep_.load(std::memory_order_relaxed) != 0) [[unlikely]]
      wake();
  }
  // The owner: until it is rung, or `most` is over, unless `ready()` finds work that came in the meantime.
  template <class Ready>
  void sleep(Duration most, Ready&& ready) {
    asleep_.store(1, std::memory_order_seq_cst);
    if (!ready()) {
      const timespec t{0, static_cast<long>(most.as_ns())};
      syscall(SYS_futex, &asleep_, FUTEX_WAIT_PRIVATE, 1, &t, nullptr, 0);
    }
    asleep_.store(0, std::memory_order_relaxed);
  }

 private:
  void wake() {
    asleep_.store(0, std::memory_order_relaxed);
    syscall(SYS_futex, &asleep_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }
  alignas(2 * cache_line) std::atomic<std::uint32_t> asleep_{0};
};

} // namespace tern::io
