#include "wire/toeplitz.hpp"

#include <gtest/gtest.h>

#include "bytes.hpp"

namespace tern::wire {
namespace toeplitz_test {

using test::Random;

// "Verifying the RSS hash calculation", Microsoft: the key, then destination, source, hash of addresses, hash
// of 4-tuple.
constexpr ToeplitzKey microsoft_key = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
                                       0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                       0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
                                       0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
struct Vector {
  const char* dst;
  const char* src;
  std::uint32_t addresses;
  std::uint32_t tuple;
};
constexpr Vector vectors[] = {
    {"161.142.100.80:1766", "66.9.149.187:2794", 0x323e8fc2, 0x51ccc178},
    {"65.69.140.83:4739", "199.92.111.2:14230", 0xd718262a, 0xc626b0ea},
    {"12.22.207.184:38024", "24.19.198.95:12898", 0xd2d0a5de, 0x5c2b394a},
    {"209.142.163.6:2217", "38.27.205.30:48228", 0x82989176, 0xafc7327f},
    {"202.188.127.2:1303", "153.39.163.191:44251", 0x5d1809c5, 0x10e828a2},
    {"[3ffe:2501:200:3::1]:1766", "[3ffe:2501:200:1fff::7]:2794", 0x2cc18cd5, 0x40207d3d},
    {"[ff02::1]:4739", "[3ffe:501:8::260:97ff:fe40:efab]:14230", 0x0f0c461c, 0xdde51bbf},
    {"[fe80::200:f8ff:fe21:67cf]:38024", "[3ffe:1900:4545:3:200:f8ff:fe21:67cf]:44251", 0x4b61e985,
     0x02d1feef},
};

TEST(Toeplitz, MicrosoftVectorsMatch) {
  const Toeplitz t{microsoft_key};
  for (const Vector& v : vectors) {
    const Endpoint dst = Endpoint::parse(v.dst).value();
    const Endpoint src = Endpoint::parse(v.src).value();
    EXPECT_EQ(t.hash(src.ip, dst.ip), v.addresses) << v.src;
    EXPECT_EQ(t.hash(src.ip, dst.ip, src.port, dst.port), v.tuple) << v.src;
    if (src.ip.is_v4()) {
      EXPECT_EQ(t.hash(src.ip.v4(), dst.ip.v4()), v.addresses);
      EXPECT_EQ(t.hash(src.ip.v4(), dst.ip.v4(), src.port, dst.port), v.tuple);
    }
  }
}

struct Tuple {
  Ip src, dst;
  Port sport, dport;
};
Ip random_v6(Random& r) {
  Ip::Bytes b;
  for (auto& v : b) v = r.any<std::uint8_t>();
  b[0] = 0x20;
  return Ip{b};
}
Tuple random_tuple(Random& r, bool v4) {
  const auto four = [&r] { return Ip{Ip4{Be32{r.any<std::uint32_t>()}}}; };
  return {v4 ? four() : random_v6(r), v4 ? four() : random_v6(r), Port{r.any<std::uint16_t>()},
          Port{r.any<std::uint16_t>()}};
}
std::vector<std::uint8_t> input_of(const Tuple& t) {
  std::vector<std::uint8_t> in;
  const std::ptrdiff_t skip = t.src.is_v4() ? 12 : 0;
  in.insert(in.end(), t.src.bytes().begin() + skip, t.src.bytes().end());
  in.insert(in.end(), t.dst.bytes().begin() + skip, t.dst.bytes().end());
  for (const Port p : {t.sport, t.dport}) {
    in.push_back(static_cast<std::uint8_t>(p.raw() >> 8));
    in.push_back(static_cast<std::uint8_t>(p.raw()));
  }
  return in;
}

TEST(Toeplitz, AgreesWithItsDefinitionForAnyKeyAndTuple) {
  Random r{11};
  for (int i = 0; i < 20'000; ++i) {
    ToeplitzKey key;
    for (auto& b : key) b = r.any<std::uint8_t>();
    const Toeplitz t{key};
    const Tuple x = random_tuple(r, r.coin());
    ASSERT_EQ(t.hash(x.src, x.dst, x.sport, x.dport), toeplitz_by_bits(key, input_of(x)));
    const auto whole = input_of(x);
    ASSERT_EQ(t.hash(x.src, x.dst), toeplitz_by_bits(key, std::span{whole}.first(whole.size() - 4)));
  }
}

TEST(Toeplitz, IsTheXorOfItsContributions) {
  Random r{12};
  const Toeplitz t{microsoft_key};
  for (int i = 0; i < 20'000; ++i) {
    const bool v4 = r.coin();
    const Tuple x = random_tuple(r, v4);
    ASSERT_EQ(t.hash(x.src, x.dst, x.sport, x.dport), t.hash(x.src, x.dst) ^
                                                          t.src_port_contribution(x.sport, v4) ^
                                                          t.dst_port_contribution(x.dport, v4));
    const Port other{r.any<std::uint16_t>()};
    const Port both{static_cast<std::uint16_t>(x.sport.raw() ^ other.raw())};
    ASSERT_EQ(t.src_port_contribution(both, v4),
              t.src_port_contribution(x.sport, v4) ^ t.src_port_contribution(other, v4));
    ASSERT_EQ(t.dst_port_contribution(both, v4),
              t.dst_port_contribution(x.sport, v4) ^ t.dst_port_contribution(other, v4));
  }
}

TEST(Toeplitz, SymmetricKeyHashesBothDirectionsTheSameAndTheOtherDoesNot) {
  Random r{13};
  const Toeplitz symmetric;
  const Toeplitz plain{microsoft_key};
  int differing = 0;
  for (int i = 0; i < 1000; ++i) {
    const Tuple x = random_tuple(r, r.coin());
    ASSERT_EQ(symmetric.hash(x.src, x.dst, x.sport, x.dport), symmetric.hash(x.dst, x.src, x.dport, x.sport));
    differing += plain.hash(x.src, x.dst, x.sport, x.dport) != plain.hash(x.dst, x.src, x.dport, x.sport);
  }
  EXPECT_GT(differing, 990);
}

TEST(Toeplitz, KeyOfANicIsCutOrPaddedToForty) {
  const std::vector<std::uint8_t> raw(52, 0xaa);
  EXPECT_EQ(Toeplitz::key_from(raw)[39], 0xaa);
  const auto cut = std::span{raw}.first(16);
  EXPECT_EQ(Toeplitz::key_from(cut)[15], 0xaa);
  EXPECT_EQ(Toeplitz::key_from(cut)[16], 0);
}

} // namespace toeplitz_test
} // namespace tern::wire
