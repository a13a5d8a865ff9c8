// What wakes a core that sleeps for want of work: other threads that have put something where it looks, its
// port's descriptor, or the time.
//
//   core    asleep_ = 1 ── barrier on all threads ── looks once more ── poll(eventfd, port) until …
//   others            put work ── asleep_? ── then write the eventfd
//
// Each side writes first and looks then, so one of them sees the other. The barrier between is the sleeper's
// (membarrier(2): it makes every running thread of the process pass one), so who rings pays for a load of a
// line that stays shared as long as nobody sleeps.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/counters.hpp"
#include "base/time.hpp"

namespace tern::io {

// How a core learns that its queue of a port has something, without looking.
struct Waking {
  int descriptor = -1; // readable while the queue holds something; -1: none
  bool sure = false;   // nothing comes that the descriptor does not tell of: else sleeps must be short
  Duration most = Duration::seconds(1); // and so far it is sure
};

class Bell {
 public:
  enum class Woken : std::uint8_t {
    not_asleep, // there was work
    time,
    knock,  // rung
    port,   // the port has something
    trouble // the port's descriptor is in error: it tells nothing until that is mended
  };

  Bell();
  ~Bell();
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;

  // Any thread, after it has put work where the sleeper looks.
  void ring() {
    std::atomic_signal_fence(std::memory_order_seq_cst); // the work before the look
    if (asleep_.load(std::memory_order_relaxed) != 0) [[unlikely]]
      wake();
  }
  // The owner: until it is rung, `port` is readable, or `most` is over, unless `ready()` finds work that came
  // in the meantime.
  template <class Ready>
  Woken sleep(int port, Duration most, Ready&& ready) {
    asleep_.store(1, std::memory_order_relaxed);
    all_threads_pass();
    const Woken woken = ready() ? Woken::not_asleep : wait(port, most);
    asleep_.store(0, std::memory_order_relaxed);
    return woken;
  }
  // False on a kernel without membarrier(2): a ring in the instant before a sleep may go unheard there.
  [[nodiscard]] static bool never_missed();

 private:
  static void all_threads_pass();
  Woken wait(int port, Duration most) const;
  void wake();

  alignas(2 * cache_line) std::atomic<std::uint32_t> asleep_{0};
  int event_; // an eventfd
};

} // namespace tern::io
