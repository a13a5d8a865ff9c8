#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <thread>
#include <vector>

#include "app/lb/guard/prefixes.hpp"
#include "app/lb/guard/proxy_protocol.hpp"
#include "app/lb/guard/sources.hpp"

namespace tern::app::lb {
namespace lb_guard_test {

std::string text(std::span<const std::byte> b) {
  return {reinterpret_cast<const char*>(b.data()), b.size()};
}
Endpoint at(std::string_view s) {
  return Endpoint::parse(s).value();
}
Ip ip(std::string_view s) {
  return Ip::parse(s).value();
}
std::vector<Prefix> prefixes(std::initializer_list<std::string_view> all) {
  std::vector<Prefix> v;
  for (const auto s : all) v.push_back(Prefix::parse(s).value());
  return v;
}

TEST(ProxyV1, FourAndSix) {
  ProxyHeader h;
  EXPECT_EQ(text(proxy_header(ProxyProtocol::v1, at("192.168.0.1:56324"), at("192.168.0.11:443"), h)),
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"); // the document's own example
  EXPECT_EQ(text(proxy_header(ProxyProtocol::v1, at("[2001:db8::1]:1"), at("[2001:db8::2]:80"), h)),
            "PROXY TCP6 2001:db8::1 2001:db8::2 1 80\r\n");
  EXPECT_EQ(text(proxy_header_local(ProxyProtocol::v1, h)), "PROXY UNKNOWN\r\n");
}

TEST(ProxyV1, LongestFits) {
  ProxyHeader h;
  const auto all = at("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
  const auto out = text(proxy_header(ProxyProtocol::v1, all, all, h));
  EXPECT_EQ(out.size(), 104U);
  EXPECT_TRUE(out.ends_with(" 65535 65535\r\n"));
}

TEST(ProxyV2, FourIsTwentyEightBytes) {
  ProxyHeader h;
  const std::string expected("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\xa8\0\x01\xc0\xa8\0\x0b\xdc\x04\x01\xbb",
                             28);
  EXPECT_EQ(text(proxy_header(ProxyProtocol::v2, at("192.168.0.1:56324"), at("192.168.0.11:443"), h)),
            expected);
}

TEST(ProxyV2, SixIsFiftyTwoBytes) {
  ProxyHeader h;
  const std::string expected = std::string("\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24", 16) +
                               std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16) +
                               std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02", 16) +
                               std::string("\0\x01\0\x50", 4);
  EXPECT_EQ(text(proxy_header(ProxyProtocol::v2, at("[2001:db8::1]:1"), at("[2001:db8::2]:80"), h)),
            expected);
}

TEST(ProxyV2, LocalSaysNoAddress) {
  ProxyHeader h;
  EXPECT_EQ(text(proxy_header_local(ProxyProtocol::v2, h)),
            std::string("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 16));
  EXPECT_EQ(proxy_header(ProxyProtocol::none, at("1.1.1.1:1"), at("1.1.1.1:1"), h).size(), 0U);
}

TEST(Access, WithoutListsEverybodyMay) {
  const AccessList a;
  EXPECT_TRUE(a.allows(ip("1.2.3.4")) && a.allows(ip("::1")));
}

TEST(Access, LongestPrefixDecides) {
  const AccessList a({}, prefixes({"10.0.0.0/8"}));
  EXPECT_FALSE(a.allows(ip("10.255.255.255")));
  EXPECT_TRUE(a.allows(ip("11.0.0.0")) && a.allows(ip("9.255.255.255")) && a.allows(ip("2001:db8::1")));
  const AccessList b(prefixes({"10.0.0.0/8", "10.1.2.0/24", "2001:db8::/32"}), prefixes({"10.1.0.0/16"}));
  EXPECT_TRUE(b.allows(ip("10.0.0.1")) && b.allows(ip("10.1.2.255")) && b.allows(ip("10.2.0.0")));
  EXPECT_FALSE(b.allows(ip("10.1.1.255")) || b.allows(ip("10.1.3.0")) || b.allows(ip("11.0.0.1")));
  EXPECT_TRUE(b.allows(ip("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff")));
  EXPECT_FALSE(b.allows(ip("2001:db9::")));
}

TEST(Access, SamePrefixInBothIsDenied) {
  const auto p = prefixes({"10.0.0.0/8"});
  EXPECT_FALSE(AccessList(p, p).allows(ip("10.0.0.1")));
}

TEST(Access, EndsOfTheNumberLine) {
  const AccessList a(prefixes({"0.0.0.0/0", "::/0"}),
                     prefixes({"255.255.255.255", "ffff::/16", "0.0.0.0/32"}));
  EXPECT_TRUE(a.allows(ip("255.255.255.254")) && a.allows(ip("0.0.0.1")) && a.allows(ip("::")));
  EXPECT_FALSE(a.allows(ip("255.255.255.255")) || a.allows(ip("ffff:ffff::")) || a.allows(ip("0.0.0.0")));
}

// Against the plain way: look at each prefix.
TEST(Access, AgreesWithALinearSearch) {
  std::mt19937 random{3};
  for (int round = 0; round < 200; ++round) {
    std::vector<Prefix> lists[2];
    for (auto& list : lists)
      for (unsigned i = 0; i < random() % 12; ++i) {
        // A small corner of the address space, so that prefixes nest and touch.
        const Ip4 base{Be32{0x0a000000U | static_cast<std::uint32_t>((random() & 0xff) << 4)}};
        list.emplace_back(base, static_cast<std::uint8_t>(20 + random() % 13));
      }
    const AccessList access(lists[0], lists[1]);
    for (std::uint32_t i = 0; i < 0x1100; i += 3) {
      const Ip who{Ip4{Be32{0x0a000000 + i}}};
      int best = -1;
      bool allowed = lists[0].empty();
      for (const bool deny : {false, true})
        for (const Prefix& p : lists[deny ? 1 : 0])
          if (p.contains(who) && (p.length() > best || (p.length() == best && deny))) {
            best = p.length();
            allowed = !deny;
          }
      ASSERT_EQ(access.allows(who), allowed) << round << ": " << who.to_string();
    }
  }
}

Instant ms(std::int64_t n) {
  return Instant::at_ns(n * 1'000'000);
}

TEST(Sources, ConnectionsAtOnce) {
  SourceTable t(1024, {1, 2});
  const SourceLimits two{.connections = 2};
  SourceTicket a, b, c;
  EXPECT_EQ(t.admit(0, ip("10.0.0.1"), two, ms(0), a), SourceVerdict::admitted);
  EXPECT_EQ(t.admit(0, ip("10.0.0.1"), two, ms(0), b), SourceVerdict::admitted);
  EXPECT_EQ(t.admit(0, ip("10.0.0.1"), two, ms(0), c), SourceVerdict::too_many);
  EXPECT_EQ(t.admit(0, ip("10.0.0.2"), two, ms(0), c), SourceVerdict::admitted); // another source
  EXPECT_EQ(t.admit(1, ip("10.0.0.1"), two, ms(0), c), SourceVerdict::admitted); // another service
  EXPECT_EQ(t.connections(0, ip("10.0.0.1")), 2U);
  t.release(a);
  EXPECT_EQ(t.admit(0, ip("10.0.0.1"), two, ms(0), a), SourceVerdict::admitted);
}

TEST(Sources, RateAndBurst) {
  SourceTable t(1024, {1, 2});
  const SourceLimits ten{.rate = 10, .burst = 3};
  SourceTicket k;
  const auto try_at = [&](std::int64_t when) {
    const auto v = t.admit(0, ip("10.0.0.1"), ten, ms(when), k);
    t.release(k);
    return v;
  };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(try_at(5000), SourceVerdict::admitted);
  EXPECT_EQ(try_at(5000), SourceVerdict::too_fast);
  EXPECT_EQ(try_at(5099), SourceVerdict::too_fast);
  EXPECT_EQ(try_at(5100), SourceVerdict::admitted);
  EXPECT_EQ(try_at(5101), SourceVerdict::too_fast);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(try_at(9000), SourceVerdict::admitted);
  EXPECT_EQ(try_at(9000), SourceVerdict::too_fast);
  // The clock of 40 bits comes round: nobody is locked out.
  EXPECT_EQ(try_at(5'000 + 1'099'511'627), SourceVerdict::admitted);
}

TEST(Sources, SixIsCountedByItsNetwork) {
  SourceTable t(1024, {1, 2});
  const SourceLimits one{.connections = 1};
  SourceTicket k;
  EXPECT_EQ(t.admit(0, ip("2001:db8:0:1::1"), one, ms(0), k), SourceVerdict::admitted);
  EXPECT_EQ(t.admit(0, ip("2001:db8:0:1:ffff::9"), one, ms(0), k), SourceVerdict::too_many);
  EXPECT_EQ(t.admit(0, ip("2001:db8:0:2::1"), one, ms(0), k), SourceVerdict::admitted);
}

TEST(Sources, FullTableLetsInUncountedAndForgetsOnlyTheIdle) {
  SourceTable t(8, {1, 2}); // one bucket
  ASSERT_EQ(t.capacity(), 8U);
  const SourceLimits one{.connections = 1};
  std::vector<SourceTicket> held(8);
  for (std::uint8_t i = 0; i < 8; ++i)
    EXPECT_EQ(t.admit(0, Ip4{10, 0, 0, i}, one, ms(1), held[i]), SourceVerdict::admitted);
  SourceTicket k;
  EXPECT_EQ(t.admit(0, ip("10.0.1.1"), one, ms(1), k), SourceVerdict::uncounted);
  t.release(k); // does nothing
  for (std::uint8_t i = 0; i < 8; ++i) EXPECT_EQ(t.connections(0, Ip4{10, 0, 0, i}), 1U);
  t.release(held[3]);
  EXPECT_EQ(t.admit(0, ip("10.0.1.1"), one, ms(1), k), SourceVerdict::admitted);
  EXPECT_EQ(t.connections(0, ip("10.0.0.3")), 0U);
  EXPECT_EQ(t.admit(0, ip("10.0.0.2"), one, ms(1), k),
            SourceVerdict::too_many); // the others are as they were
}

TEST(Sources, AmongTheIdleTheLeastIndebtedGoes) {
  SourceTable t(8, {1, 2});
  SourceTicket k;
  for (std::uint8_t i = 0; i < 8; ++i) { // the higher, the more they owe
    for (int n = 0; n <= i; ++n) {
      EXPECT_EQ(t.admit(0, Ip4{10, 0, 0, i}, {.rate = 1, .burst = 9}, ms(0), k), SourceVerdict::admitted);
      t.release(k);
    }
  }
  EXPECT_EQ(t.admit(0, ip("10.0.1.1"), {.rate = 1, .burst = 9}, ms(0), k), SourceVerdict::admitted);
  // The heaviest is remembered: eight of its nine are used.
  EXPECT_EQ(t.admit(0, ip("10.0.0.7"), {.rate = 1, .burst = 9}, ms(0), k), SourceVerdict::admitted);
  EXPECT_EQ(t.admit(0, ip("10.0.0.7"), {.rate = 1, .burst = 9}, ms(0), k), SourceVerdict::too_fast);
}

TEST(Sources, ThreadsKeepTheCount) {
  SourceTable t(64, {1, 2});
  const SourceLimits few{.connections = 10};
  std::atomic<int> open{0};
  std::atomic<int> most{0};
  const auto first = ip("10.0.0.1");
  SourceTicket keep; // the entry exists: two cores making it at once is another matter
  ASSERT_EQ(t.admit(0, first, few, ms(0), keep), SourceVerdict::admitted);
  const auto core = [&](std::uint8_t self) {
    std::mt19937 random{self};
    for (int i = 0; i < 20'000; ++i) {
      SourceTicket noise, k;
      (void)t.admit(0, Ip4{10, 1, self, static_cast<std::uint8_t>(random())}, few, ms(i), noise);
      if (t.admit(0, first, few, ms(i), k) == SourceVerdict::admitted) {
        const int n = open.fetch_add(1) + 1;
        int m = most.load();
        while (n > m && !most.compare_exchange_weak(m, n)) {
        }
        open.fetch_sub(1);
        t.release(k);
      }
      t.release(noise);
    }
  };
  std::thread one(core, std::uint8_t{1});
  std::thread two(core, std::uint8_t{2});
  one.join(), two.join();
  EXPECT_LE(most.load(), 9);
  EXPECT_EQ(t.connections(0, first), 1U);
}

} // namespace lb_guard_test
} // namespace tern::app::lb
