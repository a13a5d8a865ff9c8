#include "tcp/cookie.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "machines.hpp"

namespace tern::tcp::test {
namespace cookie_test {

constexpr CookieFacts plain{.peer_mss = 1460, .snd_scale = 7, .scaled = true, .sack = true, .ecn = false};

template <class T>
std::optional<CookieFacts> there_and_back(const CookieJar& a, const CookieJar& b, const T& t,
                                          const CookieFacts& f, bool ts) {
  const Cookie c = a.make(t, irs, f, ts);
  return b.check(t, irs, c.iss, ts ? std::optional{c.ts_bits} : std::nullopt);
}

TEST(Cookie, EveryCombinationOfFactsComesBack) {
  const CookieJar jar{master, epoch};
  for (const std::uint16_t mss : CookieJar::mss_table)
    for (int scale = -1; scale <= 14; ++scale)
      for (int bits = 0; bits < 8; ++bits) {
        const CookieFacts f{.peer_mss = mss,
                            .snd_scale = static_cast<std::uint8_t>(scale < 0 ? 0 : scale),
                            .scaled = scale >= 0,
                            .sack = (bits & 1) != 0,
                            .ecn = (bits & 2) != 0};
        EXPECT_EQ(there_and_back(jar, jar, tuple4(), f, (bits & 4) != 0), f);
        EXPECT_EQ(there_and_back(jar, jar, tuple6(), f, (bits & 4) != 0), f);
      }
}

TEST(Cookie, MssIsRoundedDownToTheTable) {
  const CookieJar jar{master, epoch};
  const std::map<std::uint16_t, std::uint16_t> cases{{88, 88},     {535, 88},    {536, 536},   {1219, 536},
                                                     {1220, 1220}, {1452, 1440}, {1459, 1440}, {1460, 1460},
                                                     {8939, 1460}, {8940, 8940}, {8960, 8940}, {65535, 8940}};
  for (const auto& [sent, kept] : cases) {
    CookieFacts f = plain;
    f.peer_mss = sent;
    EXPECT_EQ(there_and_back(jar, jar, tuple4(), f, false)->peer_mss, kept) << sent;
  }
}

TEST(Cookie, AnotherTupleOrIsnOrKeyIsRefused) {
  const CookieJar jar{master, epoch};
  const CookieJar other{{master.k0, master.k1 + 1}, epoch};
  const Cookie c = jar.make(tuple4(), irs, plain, false);
  ASSERT_TRUE(jar.check(tuple4(), irs, c.iss, std::nullopt));
  EXPECT_FALSE(jar.check(tuple4(1025), irs, c.iss, std::nullopt));
  EXPECT_FALSE(jar.check(tuple4(1024, 77), irs, c.iss, std::nullopt));
  EXPECT_FALSE(jar.check(tuple4(), irs + 1, c.iss, std::nullopt));
  EXPECT_FALSE(jar.check(tuple4(), irs, c.iss + 1, std::nullopt));
  EXPECT_FALSE(other.check(tuple4(), irs, c.iss, std::nullopt));
  EXPECT_FALSE(jar.check(tuple6(), irs, c.iss, std::nullopt));
}

// Whether timestamps were agreed is in the hash: an ACK cannot say otherwise than its SYN.
TEST(Cookie, TimestampsCannotBeAddedOrTakenAway) {
  const CookieJar jar{master, epoch};
  const Cookie with = jar.make(tuple4(), irs, plain, true);
  EXPECT_FALSE(jar.check(tuple4(), irs, with.iss, std::nullopt));
  const Cookie without = jar.make(tuple4(), irs, plain, false);
  for (unsigned bits = 0; bits < 64; ++bits)
    EXPECT_FALSE(jar.check(tuple4(), irs, without.iss, static_cast<std::uint8_t>(bits)));
}

TEST(Cookie, OneTimestampValueOfSixtyFourPasses) {
  const CookieJar jar{master, epoch};
  const Cookie c = jar.make(tuple4(), irs, plain, true);
  int passed = 0;
  for (unsigned bits = 0; bits < 64; ++bits)
    passed += jar.check(tuple4(), irs, c.iss, static_cast<std::uint8_t>(bits)).has_value() ? 1 : 0;
  EXPECT_EQ(passed, 1);
}

TEST(Cookie, TimestampIsNeverAheadOfTheClockAndLessThan64Behind) {
  for (std::uint32_t clock = 0xffff'ff00; clock != 0x100; ++clock)
    for (unsigned bits = 0; bits < 64; ++bits) {
      const std::uint32_t ts = CookieJar::timestamp_with(clock, static_cast<std::uint8_t>(bits));
      ASSERT_EQ(ts & 63, bits);
      ASSERT_LT(clock - ts, 64U);
    }
}

TEST(Cookie, LivesThroughOneEpochAndDiesInTheNext) {
  CookieJar jar{master, epoch};
  const Cookie c = jar.make(tuple4(), irs, plain, false);
  jar.turn_to(epoch + 1);
  EXPECT_EQ(jar.check(tuple4(), irs, c.iss, std::nullopt), plain);
  for (std::uint32_t later = 2; later < 10; ++later) { // 4 and 8 have the same two bits
    jar.turn_to(epoch + later);
    EXPECT_FALSE(jar.check(tuple4(), irs, c.iss, std::nullopt)) << later;
  }
}

TEST(Cookie, EpochBitsWrapWithTheEpochCounter) {
  CookieJar jar{master, 0xffff'ffff};
  const Cookie c = jar.make(tuple4(), irs, plain, false);
  jar.turn_to(0);
  EXPECT_TRUE(jar.check(tuple4(), irs, c.iss, std::nullopt));
  jar.turn_to(1);
  EXPECT_FALSE(jar.check(tuple4(), irs, c.iss, std::nullopt));
}

// A key file on two machines: either finishes what the other began, one epoch of clock skew either way.
TEST(Cookie, MachinesWithOneMasterAcceptEachOther) {
  for (const int skew : {-1, 0, 1}) {
    const CookieJar here{master, epoch};
    const CookieJar there{master, epoch + static_cast<std::uint32_t>(skew)};
    EXPECT_EQ(there_and_back(here, there, tuple4(), plain, true), plain) << skew;
    EXPECT_EQ(there_and_back(here, there, tuple6(), plain, false), plain) << skew;
  }
  for (const int skew : {-2, 2, 3, 4}) {
    const CookieJar here{master, epoch};
    const CookieJar there{master, epoch + static_cast<std::uint32_t>(skew)};
    EXPECT_FALSE(there_and_back(here, there, tuple4(), plain, true)) << skew;
  }
}

TEST(Cookie, RotationBeginsWithTheNextEpochAndSparesWhatIsOut) {
  CookieJar jar{master, epoch};
  const CookieJar old{master, epoch};
  const SipKey fresh{7, 8};
  const CookieJar other{fresh, epoch + 1};
  jar.rotate(fresh);
  EXPECT_EQ(there_and_back(old, jar, tuple4(), plain, true), plain); // made before, brought back after
  EXPECT_EQ(there_and_back(jar, old, tuple4(), plain, true), plain); // not yet turned
  jar.turn_to(epoch + 1);
  EXPECT_EQ(there_and_back(old, jar, tuple4(), plain, true), plain);
  EXPECT_EQ(there_and_back(jar, other, tuple4(), plain, true), plain);
  EXPECT_FALSE(there_and_back(jar, CookieJar{master, epoch + 1}, tuple4(), plain, true));
  jar.turn_to(epoch + 2);
  EXPECT_FALSE(there_and_back(old, jar, tuple4(), plain, true));
  // Twice within an epoch: the first was never used.
  CookieJar twice{master, epoch};
  twice.rotate({1, 1});
  twice.rotate(fresh);
  EXPECT_EQ(there_and_back(old, twice, tuple4(), plain, true), plain);
  twice.turn_to(epoch + 1);
  EXPECT_EQ(there_and_back(other, twice, tuple4(), plain, true), plain);
}

TEST(Cookie, SecretsOfOneMasterAreIndependentAndStable) {
  const Secrets a = derive_secrets(master);
  EXPECT_EQ(derive_secrets(master).cookie, a.cookie);
  EXPECT_EQ(derive_secrets(master).isn, a.isn);
  EXPECT_NE(a.cookie, a.isn);
  EXPECT_NE(a.cookie, master);
  EXPECT_NE(derive_secrets({master.k0 ^ 1, master.k1}).cookie, a.cookie);
}

// The bits of the options are under a mask: nobody who does not get the packet can guess them.
TEST(Cookie, OptionBitsAreMasked) {
  const CookieJar jar{master, epoch};
  std::set<std::uint32_t> middles;
  for (std::uint16_t port = 0; port < 10'000; ++port)
    middles.insert(jar.make(tuple4(port), irs, plain, false).iss.raw() >> CookieJar::hash_bits & 0x1ff);
  EXPECT_EQ(middles.size(), 512U);
}

} // namespace cookie_test
} // namespace tern::tcp::test
