// Runs code an instruction at a time, by the processor's trap flag, and looks between any two: what another core may
// see of a change at any moment, each moment once, whatever the machine is busy with.
#pragma once

#include <ucontext.h>

#include <csignal>
#include <cstdint>
#include <functional>

#include "base/check.hpp"

// The sanitizer of threads has a runtime of its own between instructions, which must not be entered twice.
#if defined(__SANITIZE_THREAD__)
#define TERN_CAN_STEP 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TERN_CAN_STEP 0
#endif
#endif
#ifndef TERN_CAN_STEP
#define TERN_CAN_STEP 1
#endif

namespace tern::test {

class Stepping {
 public:
  // Calls `between` after each instruction of `f`, as long as it says so; how many those were.
  static std::uint64_t through(const std::function<void()>& f, const std::function<bool()>& between) {
    struct sigaction mine {
    }, before{};
    mine.sa_flags = SA_SIGINFO;
    mine.sa_sigaction = [](int, siginfo_t*, void* interrupted) {
      ++steps;
      if (!(*look)()) static_cast<ucontext_t*>(interrupted)->uc_mcontext.gregs[REG_EFL] &= ~trap;
    };
    TERN_CHECK(sigaction(SIGTRAP, &mine, &before) == 0);
    steps = 0;
    look = &between;
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() | std::uint64_t{trap});
    f();
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~std::uint64_t{trap});
    TERN_CHECK(sigaction(SIGTRAP, &before, nullptr) == 0);
    return steps;
  }

 private:
  static constexpr greg_t trap = 0x100;
  static inline std::uint64_t steps = 0;
  static inline const std::function<bool()>* look = nullptr;
};

} // namespace tern::test
