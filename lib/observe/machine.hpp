// What can be known of the machine without DPDK, and the distance between two of its cores.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "observe/result.hpp"

namespace tern::observe {

// CPU, cores, memory, kernel and huge pages, from /proc and /sys; what can't be read stays empty. The caller
// adds `dpdk`, `tsc_hz` and the distance between cores.
[[nodiscard]] Machine machine_facts();

// TSC cycles that a cache line takes from one core to the other and back: the median of short bursts, some 20
// ms in all. On virtual machines it flips within minutes between ~180 and ~900, and every figure of two cores
// with it. 0 when the two are one, or the threads cannot be pinned there.
[[nodiscard]] double core_round_trip_cycles(unsigned cpu_a, unsigned cpu_b);

// Now, as Result::started has it.
[[nodiscard]] std::string utc_now();

// Bytes of the process that are resident, and in huge pages of either kind.
struct Resident {
  std::size_t rss_bytes = 0;
  std::size_t huge_bytes = 0;
};
[[nodiscard]] Resident resident();

// How long a thread of this process has waited for a CPU to run on, while others had it; 0 where the kernel does not tell.
[[nodiscard]] std::uint64_t waited_for_cpu_ns(pid_t thread);

} // namespace tern::observe
