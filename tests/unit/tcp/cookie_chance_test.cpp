// How often a forged cookie passes. An executable of its own, built with optimization whatever the profile:
// what is rare takes many tries to see.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "machines.hpp"
#include "tcp/cookie.hpp"

namespace tern::tcp::test {
namespace cookie_chance_test {

constexpr CookieFacts plain{.peer_mss = 1460, .snd_scale = 7, .scaled = true, .sack = true, .ecn = false};

// A forged ACK passes with probability 3/4 × 2^-21: three of the four epoch values are good for something,
// and 21 bits must match. Of 2^27 forgeries, random in address, ISN and cookie, 48 are expected.
TEST(CookieChance, ForgedAckPassesAsOftenAsStated) {
  const CookieJar jar{master, epoch};
  constexpr std::uint64_t tries = std::uint64_t{1} << 27;
  constexpr double expected = 0.75 * static_cast<double>(tries) / (1U << 21);
  static_assert(CookieJar::hash_bits == 21 && expected == 48.0);
  std::uint64_t passed = 0;
  std::uint64_t x = 1;
  const auto random = [&x] { // splitmix64
    std::uint64_t z = x += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  };
  Tuple4 t = tuple4();
  for (std::uint64_t i = 0; i < tries; ++i) {
    t.addresses[0] = random();
    const std::uint64_t r = random();
    if (jar.check(t, Seq{static_cast<std::uint32_t>(r)}, Seq{static_cast<std::uint32_t>(r >> 32)},
                  std::nullopt))
      ++passed;
  }
  // Poisson: one bit of hash more or less (24 or 96 expected) lies outside 3.4 standard deviations.
  EXPECT_NEAR(static_cast<double>(passed), expected, 3.4 * std::sqrt(expected));
  RecordProperty("passed", static_cast<int>(passed));
}

// The timestamp's bits multiply that: of ACKs whose 21 bits are right, one forged TSecr in 64 passes.
TEST(CookieChance, ForgedTimestampPassesOnceInSixtyFour) {
  const CookieJar jar{master, epoch};
  std::mt19937 random{2};
  constexpr int tries = 64 * 1024;
  int passed = 0;
  for (int i = 0; i < tries; ++i) {
    const Seq peer{static_cast<std::uint32_t>(random())};
    const Cookie c = jar.make(tuple4(), peer, plain, true);
    passed += jar.check(tuple4(), peer, c.iss, static_cast<std::uint8_t>(random() & 63)).has_value() ? 1 : 0;
  }
  EXPECT_NEAR(passed, 1024, 4 * 32);
}

} // namespace cookie_chance_test
} // namespace tern::tcp::test
