// When a core that finds nothing sleeps, and how long where nothing tells it of what comes.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.hpp"

namespace tern {

class Idleness {
 public:
  static constexpr std::uint32_t looks_before_sleep = 2000;
  // Short enough that whoever knocks is answered within a millisecond, though the kernel wakes a sleeper some 60 us late,
  // and no shorter: a wake costs 5 to 25 us, so 1,200 of them a second one to three per cent of a core.
  static constexpr Duration longest_nap = Duration::us(800);

  void found() { looks_ = 0; }
  // One more look in vain: whether that makes it time to sleep.
  [[nodiscard]] bool tired() { return ++looks_ > looks_before_sleep; }
  // After tired(): the longer the less there was.
  [[nodiscard]] Duration nap() {
    constexpr std::int64_t step_us = 20;
    constexpr auto most = static_cast<std::uint32_t>(longest_nap.as_us() / step_us);
    const std::uint32_t beyond = std::min(looks_ - looks_before_sleep, most);
    looks_ = looks_before_sleep + beyond; // it would run over in a day
    return Duration::us(step_us * beyond);
  }

 private:
  std::uint32_t looks_ = 0;
};

} // namespace tern
