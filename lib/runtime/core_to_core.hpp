// How far two cores are from each other: a cache line's round trip between them, in TSC cycles. On many
// machines it changes from minute to minute, and every figure of two cores with it.
#pragma once

namespace tern {

// The median of some thousand round trips between the two CPUs; 0 where the caller may not run on them. ~10
// ms.
[[nodiscard]] double core_to_core_cycles(unsigned cpu_a, unsigned cpu_b);

// Pins the calling thread; false where it may not run there.
bool pin_to(unsigned cpu);

} // namespace tern
