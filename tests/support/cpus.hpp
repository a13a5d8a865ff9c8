// The CPUs this process may run on, as EAL's --lcores wants them: EAL would else pin the main thread to CPU
// 0, whatever taskset said, and every test of the machine with it.
#pragma once

#include <sched.h>

#include <string>

namespace tern::test {

[[nodiscard]] inline std::string main_lcore_anywhere() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  std::string list;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &allowed)) list += (list.empty() ? "" : ",") + std::to_string(cpu);
  return "--lcores=0@(" + (list.empty() ? "0" : list) + ")";
}

} // namespace tern::test
