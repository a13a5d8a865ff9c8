// What DPDK says of a device while it is asked for: where it is refused, its driver's words are the cause.
#pragma once

#include <string>

namespace tern::io {

// From the first of these on DPDK's log goes through a stream of ours, which is never closed: threads of DPDK's own (its
// interrupt thread) log when they like, and may be writing to it at any moment. One at a time.
class Hearing {
 public:
  Hearing();
  ~Hearing(); // what was not asked for goes where it was meant to
  Hearing(const Hearing&) = delete;
  Hearing& operator=(const Hearing&) = delete;

  // Once: all of it. What is said from then on goes where it was meant to.
  std::string heard();
};

} // namespace tern::io
