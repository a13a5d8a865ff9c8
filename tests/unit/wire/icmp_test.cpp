#include "wire/icmp.hpp"

#include <gtest/gtest.h>

#include "bytes.hpp"
#include "wire/checksum.hpp"
#include "wire/ipv4.hpp"
#include "wire/ipv6.hpp"

namespace tern::wire {
namespace icmp_test {

using test::Bytes;
using test::bytes;
using test::Exact;
using test::Random;

const Ip here = Ip::parse("fe80::1").value();
const Ip there = Ip::parse("fe80::2").value();

void seal_v6(Bytes& b) {
  b[2] = b[3] = std::byte{0};
  const Be16 c = finish(
      pseudo_sum_v6(here, there, ip_protocol::icmpv6, static_cast<std::uint32_t>(b.size())) + sum_bytes(b));
  std::memcpy(b.data() + 2, &c, 2);
}
Verdict verdict_v6(Bytes b, std::uint8_t hop_limit = 255) {
  seal_v6(b);
  Icmpv6 out;
  return parse_icmpv6(Exact{b}.span(), here, there, hop_limit, out);
}

TEST(Icmp, EchoOfLinuxPingIsReadAndEmitted) {
  // type 8, id 0x1234, sequence 1, "abcd"; the checksum was worked out by hand
  const Bytes b = bytes({8, 0, 0x20, 0x05, 0x12, 0x34, 0, 1, 'a', 'b', 'c', 'd'});
  const std::uint32_t sum = 0x0800 + 0x1234 + 0x0001 + 0x6162 + 0x6364;
  Bytes sealed = b;
  store_be(sealed.data() + 2, static_cast<std::uint16_t>(~sum));
  IcmpMessage m;
  ASSERT_EQ(parse_icmp(sealed, m), Verdict::ok);
  EXPECT_EQ(m.type, icmp_type::echo_request);
  EXPECT_EQ(m.id, 0x1234);
  EXPECT_EQ(m.sequence, 1);
  EXPECT_EQ(m.body.size(), 4U);
  Bytes again(emitted_length(m));
  EXPECT_EQ(emit_icmp(m, again.data()), sealed.size());
  EXPECT_EQ(again, sealed);
}

TEST(Icmp, EchoReplyMayBeMadeInPlace) {
  IcmpMessage m;
  m.type = icmp_type::echo_request;
  const Bytes data = bytes({1, 2, 3, 4, 5});
  m.body = data;
  Bytes b(emitted_length(m));
  emit_icmp(m, b.data());
  ASSERT_EQ(parse_icmp(b, m), Verdict::ok);
  m.type = icmp_type::echo_reply;
  emit_icmp(m, b.data());
  ASSERT_EQ(parse_icmp(b, m), Verdict::ok);
  EXPECT_TRUE(std::ranges::equal(m.body, data));
}

TEST(Icmp, MtuIsReadOfFragmentationNeededOnly) {
  IcmpMessage m;
  m.type = icmp_type::unreachable;
  m.code = icmp_fragmentation_needed;
  m.mtu = 1400;
  Bytes b(8);
  emit_icmp(m, b.data());
  EXPECT_EQ(load_be<std::uint16_t>(b.data() + 6), 1400);
  ASSERT_EQ(parse_icmp(b, m), Verdict::ok);
  EXPECT_EQ(m.mtu, 1400U);
  m.code = 3;
  emit_icmp(m, b.data());
  ASSERT_EQ(parse_icmp(b, m), Verdict::ok);
  EXPECT_EQ(m.mtu, 0U);
}

TEST(IcmpBadInput, TruncatedCorruptedOrOfAnotherType) {
  IcmpMessage m;
  m.type = icmp_type::time_exceeded;
  const Bytes quote(28);
  m.body = quote;
  Bytes b(emitted_length(m));
  emit_icmp(m, b.data());
  for (std::size_t n = 0; n < 8; ++n) {
    const Exact e{std::span{b}.first(n)};
    EXPECT_EQ(parse_icmp(e.span(), m), Verdict::truncated) << n;
  }
  b[9] ^= std::byte{1};
  EXPECT_EQ(parse_icmp(b, m), Verdict::bad_checksum);
  m = {};
  m.type = 13;
  Bytes timestamp(8);
  emit_icmp(m, timestamp.data());
  EXPECT_EQ(parse_icmp(timestamp, m), Verdict::not_supported);
}

TEST(Icmpv6, PacketTooBigCarriesAnMtuOf32Bits) {
  IcmpMessage m;
  m.type = icmpv6_type::packet_too_big;
  m.mtu = 0x12345678;
  Bytes b(8);
  emit_icmpv6(m, here, there, b.data());
  Icmpv6 out;
  ASSERT_EQ(parse_icmpv6(b, here, there, 64, out), Verdict::ok);
  EXPECT_EQ(out.kind, Icmpv6Kind::message);
  EXPECT_EQ(out.message, m);
  EXPECT_EQ(parse_icmpv6(b, here, here, 64, out), Verdict::bad_checksum); // the addresses are covered
}

TEST(Icmpv6, NeighbourMessagesRoundTrip) {
  Random r{51};
  for (int i = 0; i < 10'000; ++i) {
    Neighbour n;
    constexpr std::uint8_t types[] = {133, 135, 136};
    n.type = types[r.below(3)];
    n.has_link_layer = r.coin();
    if (n.has_link_layer)
      for (auto& v : n.link_layer.bytes) v = r.any<std::uint8_t>();
    if (n.type == 136) n.router = r.coin(), n.solicited = r.coin(), n.override_ = r.coin();
    if (n.type != 133) n.target = here;
    Bytes b(emitted_length(n));
    ASSERT_EQ(emit_neighbour(n, here, there, b.data()), b.size());
    Icmpv6 out;
    ASSERT_EQ(parse_icmpv6(Exact{b}.span(), here, there, 255, out), Verdict::ok);
    ASSERT_EQ(out.kind, Icmpv6Kind::neighbour);
    ASSERT_EQ(out.neighbour, n);
  }
}

TEST(Icmpv6BadInput, NeighbourDiscoveryFromAfarIsRefused) {
  Neighbour n;
  n.target = there;
  Bytes b(emitted_length(n));
  emit_neighbour(n, here, there, b.data());
  EXPECT_EQ(verdict_v6(b), Verdict::ok);
  EXPECT_EQ(verdict_v6(b, 254), Verdict::bad_field);
  Bytes code = b;
  code[1] = std::byte{1};
  EXPECT_EQ(verdict_v6(code), Verdict::bad_field);
  Bytes multicast = b;
  multicast[8] = std::byte{0xff};
  EXPECT_EQ(verdict_v6(multicast), Verdict::bad_field);
}

TEST(Icmpv6BadInput, TruncatedAtEveryByteAndOptionLengths) {
  Neighbour n;
  n.target = there;
  n.has_link_layer = true;
  Bytes b(emitted_length(n));
  emit_neighbour(n, here, there, b.data());
  for (std::size_t size = 0; size < b.size(); ++size) {
    Bytes cut(b.begin(), b.begin() + static_cast<std::ptrdiff_t>(size));
    if (size >= 4) seal_v6(cut);
    Icmpv6 out;
    const Verdict v = parse_icmpv6(Exact{cut}.span(), here, there, 255, out);
    EXPECT_EQ(v, size < 24    ? Verdict::truncated
                 : size == 24 ? Verdict::ok
                              : Verdict::bad_option_length)
        << size;
  }
  for (const unsigned length : {0U, 2U, 255U}) {
    b[25] = static_cast<std::byte>(length);
    EXPECT_EQ(verdict_v6(b), Verdict::bad_option_length) << length;
  }
}

Bytes quoted_v4(std::uint8_t protocol, std::uint16_t fragment_offset) {
  Ipv4 h;
  h.src = Ip4{10, 0, 0, 1};
  h.dst = Ip4{10, 0, 0, 2};
  h.protocol = protocol;
  h.fragment_offset = fragment_offset;
  h.total_length = 1500; // the quote is shorter than it says
  Bytes b(28);
  emit_ipv4(h, b.data());
  store_be<std::uint16_t>(b.data() + 20, 40000);
  store_be<std::uint16_t>(b.data() + 22, 80);
  store_be<std::uint32_t>(b.data() + 24, 0xfffffff0);
  return b;
}

TEST(QuotedTcp, Ipv4TupleAndSequenceAreRead) {
  const Bytes b = quoted_v4(6, 0);
  QuotedTcp q;
  ASSERT_EQ(parse_quoted_v4(b, q), Verdict::ok);
  EXPECT_EQ(q.src, Ip(Ip4{10, 0, 0, 1}));
  EXPECT_EQ(q.dst, Ip(Ip4{10, 0, 0, 2}));
  EXPECT_EQ(q.src_port.raw(), 40000);
  EXPECT_EQ(q.dst_port.raw(), 80);
  EXPECT_EQ(q.seq.raw(), 0xfffffff0U);
  for (std::size_t n = 0; n < b.size(); ++n) {
    const Exact e{std::span{b}.first(n)};
    EXPECT_EQ(parse_quoted_v4(e.span(), q), Verdict::truncated) << n;
  }
  EXPECT_EQ(parse_quoted_v4(quoted_v4(17, 0), q), Verdict::not_supported);
  EXPECT_EQ(parse_quoted_v4(quoted_v4(6, 8), q), Verdict::not_supported);
}

TEST(QuotedTcp, Ipv6BehindItsExtensionHeaders) {
  const Bytes chain = bytes({6, 0, 1, 4, 0, 0, 0, 0});
  Ipv6 h;
  h.src = here;
  h.dst = there;
  h.next_header = ip_protocol::destination_options;
  h.payload_length = 1400;
  h.extensions = chain;
  Bytes b(56);
  emit_ipv6(h, b.data());
  store_be<std::uint16_t>(b.data() + 48, 40000);
  store_be<std::uint16_t>(b.data() + 50, 443);
  QuotedTcp q;
  ASSERT_EQ(parse_quoted_v6(b, q), Verdict::ok);
  EXPECT_EQ(q.dst, there);
  EXPECT_EQ(q.dst_port.raw(), 443);
  for (std::size_t n = 0; n < b.size(); ++n) {
    const Exact e{std::span{b}.first(n)};
    EXPECT_EQ(parse_quoted_v6(e.span(), q), Verdict::truncated) << n;
  }
}

} // namespace icmp_test
} // namespace tern::wire
