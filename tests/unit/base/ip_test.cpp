#include "base/ip.hpp"

#include <gtest/gtest.h>

#include <random>

namespace tern {
namespace ip_test {

using namespace std::string_view_literals;

TEST(Ip, TextOfBothFamiliesIsReadAndWritten) {
  for (const auto text : {"0.0.0.0", "10.0.0.1", "255.255.255.255", "::", "::1", "2001:db8::1",
                          "fe80::200:f8ff:fe21:67cf", "2001:db8:0:1:1:1:1:1", "1:2:3:4:5:6:7:8"}) {
    const auto ip = Ip::parse(text);
    ASSERT_TRUE(ip) << text;
    EXPECT_EQ(ip->to_string(), text);
  }
  EXPECT_EQ(Ip::parse("2001:DB8:0:0:0:0:0:1")->to_string(), "2001:db8::1"); // RFC 5952 §4
}

TEST(Ip, HostileTextIsRefused) {
  for (const auto text : {""sv,
                          " "sv,
                          "10.0.0"sv,
                          "10.0.0.1.2"sv,
                          "10.0.0.256"sv,
                          "10.0.0.-1"sv,
                          " 10.0.0.1"sv,
                          "10.0.0.1 "sv,
                          "10.0.0.1\n"sv,
                          "10.0.0.1\0"sv,
                          "10.0.0.1\0.5"sv,
                          "::1\0x"sv,
                          "\0"sv,
                          ":"sv,
                          ":::"sv,
                          "1::2::3"sv,
                          "1:2:3:4:5:6:7"sv,
                          "1:2:3:4:5:6:7:8:9"sv,
                          "12345::"sv,
                          "g::"sv,
                          "fe80::1%eth0"sv,
                          "[::1]"sv,
                          "10.0.0.1/8"sv,
                          "0x7f.1"sv,
                          "localhost"sv})
    EXPECT_FALSE(Ip::parse(text)) << text;
  EXPECT_FALSE(Ip::parse(std::string(100'000, '1')));
  EXPECT_FALSE(Ip::parse(std::string(100'000, ':')));
}

TEST(Ip, MappedFormIsThatOfIpv4) {
  const Ip mapped = Ip::parse("::ffff:10.1.2.3").value();
  EXPECT_TRUE(mapped.is_v4());
  EXPECT_EQ(mapped, Ip(Ip4{10, 1, 2, 3}));
  EXPECT_EQ(mapped.v4(), (Ip4{10, 1, 2, 3}));
  EXPECT_EQ(mapped.v4().host(), 0x0a010203U);
  EXPECT_EQ(mapped.to_string(), "10.1.2.3");
  EXPECT_FALSE(Ip{}.is_v4());
}

TEST(Ip, OneBitOffTheMappedPrefixIsIpv6) {
  const Ip mapped = Ip4{1, 2, 3, 4};
  for (std::size_t bit = 0; bit < 128; ++bit) {
    Ip::Bytes b = mapped.bytes();
    b[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
    EXPECT_EQ(Ip{b}.is_v4(), bit >= 96) << bit;
  }
}

TEST(Prefix, BeginsWithItsLowestAddressWhicheverNamesIt) {
  for (const auto& [text, first] : {std::pair{"10.0.0.3/30", "10.0.0.0"},
                                    {"10.0.0.3", "10.0.0.3"},
                                    {"10.1.200.7/17", "10.1.128.0"},
                                    {"255.255.255.255/0", "0.0.0.0"},
                                    {"2001:db8::7/126", "2001:db8::4"},
                                    {"2001:db8:ffff::7/33", "2001:db8:8000::"},
                                    {"2001:db8::3/128", "2001:db8::3"},
                                    {"ffff::1/0", "::"}}) {
    const Prefix p = Prefix::parse(text).value();
    EXPECT_EQ(p.first(), Ip::parse(first).value()) << text;
    EXPECT_TRUE(p.contains(p.first())) << text;
  }
}

TEST(Prefix, CountsItsAddressesAndKnowsEach) {
  struct Block {
    const char* text;
    std::uint64_t count;
    const char* last;
  };
  for (const Block& b : {Block{"10.0.0.3/30", 4, "10.0.0.3"},
                         {"10.0.0.1", 1, "10.0.0.1"},
                         {"10.0.200.7/15", 1U << 17, "10.1.255.255"},
                         {"255.255.255.255/0", std::uint64_t{1} << 32, "255.255.255.255"},
                         {"2001:db8::7/126", 4, "2001:db8::7"},
                         {"2001:db8::ffff:7/113", 1U << 15, "2001:db8::ffff:7fff"},
                         {"2001:db8:8000::5/100", 1U << 28, "2001:db8:8000::fff:ffff"},
                         {"2001:db8::3/128", 1, "2001:db8::3"}}) {
    const Prefix p = Prefix::parse(b.text).value();
    EXPECT_EQ(p.count(), b.count) << b.text;
    EXPECT_EQ(p.at(static_cast<std::uint32_t>(b.count - 1)), Ip::parse(b.last).value()) << b.text;
    if (b.count < 1U << 31) {
      EXPECT_FALSE(p.contains(p.at(static_cast<std::uint32_t>(b.count)))) << b.text;
    }
  }
  EXPECT_EQ(Prefix::parse("2001:db8::7/64")->count(), std::uint64_t{1} << 32); // and no more is told
  EXPECT_EQ(Prefix::parse("10.0.0.0/15")->at(0x10000).to_string(), "10.1.0.0");
}

TEST(Prefix, ContainsByBitsOfItsOwnFamily) {
  const Prefix ten = Prefix::parse("10.0.0.0/8").value();
  EXPECT_TRUE(ten.contains(Ip4{10, 255, 255, 255}));
  EXPECT_FALSE(ten.contains(Ip4{11, 0, 0, 0}));
  EXPECT_FALSE(ten.contains(Ip::parse("a00::").value()));
  EXPECT_TRUE(Prefix::parse("0.0.0.0/0")->contains(Ip4{1, 2, 3, 4}));
  EXPECT_FALSE(Prefix::parse("::/0")->contains(Ip4{1, 2, 3, 4}));
  EXPECT_TRUE(Prefix::parse("::/0")->contains(Ip::parse("ffff::").value()));
  EXPECT_FALSE(Prefix::parse("2001:db8::/33")->contains(Ip::parse("2001:db8:8000::").value()));
  EXPECT_TRUE(Prefix::parse("2001:db8::/32")->contains(Ip::parse("2001:db8:8000::").value()));
  EXPECT_TRUE(Prefix::parse("10.0.0.1")->contains(Ip4{10, 0, 0, 1}));
  EXPECT_FALSE(Prefix::parse("10.0.0.1")->contains(Ip4{10, 0, 0, 2}));
}

TEST(Prefix, ContainsAgreesWithEachBitOfTheAddress) {
  std::mt19937 r{1};
  for (int i = 0; i < 20'000; ++i) {
    Ip::Bytes b;
    for (auto& v : b) v = static_cast<std::uint8_t>(r());
    b[0] = 0x20;
    const auto length = static_cast<std::uint8_t>(r() % 129);
    const std::size_t bit = r() % 128;
    Ip::Bytes flipped = b;
    flipped[bit / 8] ^= static_cast<std::uint8_t>(0x80U >> bit % 8);
    ASSERT_EQ(Prefix(Ip{b}, length).contains(Ip{flipped}), bit >= length) << bit << "/" << int{length};
  }
}

TEST(Prefix, HostileTextIsRefused) {
  for (const auto text : {""sv, "/"sv, "10.0.0.0/"sv, "10.0.0.0/33"sv, "10.0.0.0/-1"sv, "10.0.0.0/+8"sv,
                          "10.0.0.0/8/8"sv, "10.0.0.0/8 "sv, "10.0.0.0/256"sv, "10.0.0.0/264"sv, "::/129"sv,
                          "/8"sv, "10.0.0.0/8\0"sv, "10.0.0/8"sv})
    EXPECT_FALSE(Prefix::parse(text)) << text;
  EXPECT_EQ(Prefix::parse("::/128")->to_string(), "::/128");
}

TEST(Endpoint, TextIsReadAndWritten) {
  for (const auto text : {"10.0.0.1:80", "[2001:db8::1]:65535", "0.0.0.0:0", "[::]:443"}) {
    const auto e = Endpoint::parse(text);
    ASSERT_TRUE(e) << text;
    EXPECT_EQ(e->to_string(), text);
  }
}

TEST(Endpoint, HostileTextIsRefused) {
  for (const auto text :
       {""sv, ":"sv, ":80"sv, "[]:80"sv, "[:80"sv, "]:80"sv, "[::1:80"sv, "::1:80"sv, "10.0.0.1"sv,
        "10.0.0.1:"sv, "10.0.0.1:65536"sv, "10.0.0.1:-1"sv, "10.0.0.1:80x"sv, "10.0.0.1:80:80"sv, "[::1]80"sv,
        "[::1]"sv, "10.0.0.1:99999999999999999999"sv, "10.0.0.1\0:80"sv})
    EXPECT_FALSE(Endpoint::parse(text)) << text;
}

} // namespace ip_test
} // namespace tern
