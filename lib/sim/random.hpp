// Randomness for tests and simulations: small, seeded, splittable. Never for secrets.
#pragma once

#include <cstdint>

namespace tern::sim {

// SplitMix64 (Steele, Lea, Flood 2014). `split` gives a stream of its own, so that one user's draws never
// shift another's: a seed keeps its meaning when a fault is added elsewhere.
class Random {
 public:
  explicit constexpr Random(std::uint64_t seed) : state_(seed) {}

  constexpr std::uint64_t next() {
    state_ += 0x9e37'79b9'7f4a'7c15;
    return mix(state_);
  }
  [[nodiscard]] constexpr Random split(std::uint64_t label) const {
    return Random{mix(state_ ^ mix(label + 0x632b'e59b'd9b4'e019))};
  }

  // 0 <= result < n; 0 if n is 0. The bias of the multiplication is below 2^-32 for every n that a test uses.
  constexpr std::uint64_t below(std::uint64_t n) {
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>(next()) * n) >> 64);
  }
  constexpr std::uint64_t between(std::uint64_t low, std::uint64_t high) {
    return low + below(high - low + 1);
  }                                                                               // both ends included
  constexpr double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; } // [0, 1)
  constexpr bool chance(double p) { return p > 0 && unit() < p; }
  constexpr std::uint32_t word() { return static_cast<std::uint32_t>(next() >> 32); }
  // Mostly small, sometimes large: 2^u with u even over [0, bits).
  constexpr std::uint64_t skewed(unsigned bits) {
    const std::uint64_t top = std::uint64_t{1} << below(bits);
    return top + below(top);
  }

 private:
  static constexpr std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58'476d'1ce4'e5b9;
    z = (z ^ (z >> 27)) * 0x94d0'49bb'1331'11eb;
    return z ^ (z >> 31);
  }
  std::uint64_t state_;
};

} // namespace tern::sim
