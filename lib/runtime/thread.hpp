// A thread that handles packets: on a CPU of its own where one is named, and known to DPDK, which gives it a
// cache of packets.
#pragma once

#include <rte_lcore.h>
#include <sys/prctl.h>

#include <optional>

#include "runtime/pin.hpp"

namespace tern {

class PacketThread {
 public:
  explicit PacketThread(std::optional<unsigned> cpu)
      : pinned_(!cpu || pin_to(*cpu)), registered_(rte_thread_register() == 0) {
    prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0); // ns: a short sleep ends when it should, not 50 us later
  }
  ~PacketThread() {
    if (registered_) rte_thread_unregister();
  }
  PacketThread(const PacketThread&) = delete;
  PacketThread& operator=(const PacketThread&) = delete;

  [[nodiscard]] bool pinned() const { return pinned_; } // or did not ask to be

 private:
  bool pinned_;
  bool registered_;
};

} // namespace tern
