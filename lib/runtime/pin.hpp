// The calling thread on one CPU.
#pragma once

#include <pthread.h>
#include <sched.h>

namespace tern {

// False where it may not run there.
inline bool pin_to(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return pthread_setaffinity_np(pthread_self(), sizeof set, &set) == 0;
}

} // namespace tern
