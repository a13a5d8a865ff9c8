// Segments packed for a port that cuts them: what such a port makes of a pack is what went into it.
#include "tcp/pack.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "support/eal.hpp"
#include "wire/tcp_inl.hpp"

namespace tern::tcp::test {
namespace pack_test {

namespace flag = wire::tcp_flag;
using Bytes = std::vector<std::byte>;
constexpr Packing all{.most_bytes = 65000};

struct Bundle {
  // A segment behind the last one.
  void add(std::uint32_t text, std::uint8_t flags = flag::ack, bool ect = false) {
    wire::Tcp h;
    h.seq = next;
    h.ack = ack;
    h.flags = flags;
    h.window = 1000;
    h.options.has = wire::TcpOptions::timestamps_bit;
    h.options.ts_val = stamp;
    h.options.ts_ecr = 9;
    Packet p = pool.pool().alloc(static_cast<std::uint32_t>(wire::emitted_length(h)));
    wire::emit_tcp(h, p.data());
    Bytes bytes(text);
    for (std::byte& b : bytes) b = static_cast<std::byte>(random());
    if (apart) {
      Packet body = pool.pool().alloc(0);
      ASSERT_TRUE(body.append_copy(bytes, pool.pool()));
      ASSERT_TRUE(p.chain(std::move(body)));
    } else {
      ASSERT_TRUE(p.append_copy(bytes, pool.pool()));
    }
    before.push_back(bytes_of(p));
    burst.push(std::move(p), ect);
    next += text;
  }
  static Bytes bytes_of(const Packet& p) {
    Bytes b(p.length());
    EXPECT_EQ(p.copy_out(0, b), b.size());
    return b;
  }
  // As a port cuts: the header again in front of each piece, its number counted on, PSH and FIN on the last.
  static std::vector<Bytes> cut(const Packet& p) {
    if ((p.mbuf()->ol_flags & RTE_MBUF_F_TX_TCP_SEG) == 0) return {bytes_of(p)};
    EXPECT_NE(p.mbuf()->ol_flags & RTE_MBUF_F_TX_TCP_CKSUM, 0U);
    const Bytes whole = bytes_of(p);
    wire::Tcp h;
    EXPECT_EQ(wire::parse_tcp(p.bytes(), h), wire::Verdict::ok);
    std::vector<Bytes> out;
    for (std::size_t at = h.header_length; at < whole.size(); at += p.mbuf()->tso_segsz) {
      const std::size_t n = std::min<std::size_t>(p.mbuf()->tso_segsz, whole.size() - at);
      wire::Tcp mine = h;
      mine.seq = h.seq + static_cast<std::uint32_t>(at - h.header_length);
      if (at + n < whole.size()) mine.flags &= static_cast<std::uint8_t>(~(flag::psh | flag::fin));
      Bytes s(h.header_length + n);
      wire::emit_tcp(mine, s.data());
      std::copy_n(whole.begin() + static_cast<std::ptrdiff_t>(at), n, s.begin() + h.header_length);
      out.push_back(std::move(s));
    }
    return out;
  }
  // Packs, and sees to it that nothing was changed; how many packets are left.
  std::size_t packed(const Packing& may = all) {
    done = pack(burst, may);
    std::vector<Bytes> after;
    std::uint32_t packs = 0, segments = 0;
    for (std::size_t i = 0; i < burst.size(); ++i) {
      const Packet& p = burst[i];
      std::uint32_t pieces = 0, length = 0;
      for (const rte_mbuf* m = p.mbuf(); m != nullptr; m = m->next) ++pieces, length += m->data_len;
      EXPECT_EQ(pieces, p.segments());
      EXPECT_EQ(length, p.length());
      const auto made = cut(p);
      if (made.size() > 1) ++packs, segments += static_cast<std::uint32_t>(made.size());
      after.insert(after.end(), made.begin(), made.end());
    }
    EXPECT_EQ(after, before);
    EXPECT_EQ(done.packs, packs);
    EXPECT_EQ(done.segments, segments);
    const std::size_t n = burst.size();
    burst.clear();
    before.clear();
    return n;
  }

  tern::test::TestPool pool{1023};
  TxBurst burst;
  std::vector<Bytes> before;
  Packed done;
  Seq next{0xffff'f000}; // wraps within the burst
  Seq ack{7};
  std::uint32_t stamp = 5;
  bool apart = false; // header and text in mbufs of their own
  std::minstd_rand random{1};
};

TEST(Pack, FollowersAreOnePacketWithTheEndsFlags) {
  Bundle b;
  for (int i = 0; i < 9; ++i) b.add(1448);
  b.add(300, flag::ack | flag::psh | flag::fin);
  EXPECT_EQ(b.packed(), 1U);
  EXPECT_EQ(b.done.segments, 10U);
  b.apart = true;
  for (int i = 0; i < 9; ++i) b.add(1447);
  b.add(1447, flag::ack | flag::psh);
  EXPECT_EQ(b.packed(), 1U);
}

TEST(Pack, LoneSegmentStaysAsItIs) {
  Bundle b;
  b.add(1448);
  EXPECT_EQ(b.packed(), 1U);
  EXPECT_EQ(b.done.packs, 0U);
  b.add(0);
  b.add(0, flag::ack | flag::rst);
  EXPECT_EQ(b.packed(), 2U);
}

TEST(Pack, WhatEndsAPackIsItsLast) {
  Bundle b;
  b.add(1000);
  b.add(999); // shorter
  b.add(1000);
  b.add(1000, flag::ack | flag::psh);
  b.add(1000);
  b.add(1001); // longer: a pack's segments are as long as its first
  EXPECT_EQ(b.packed(), 4U);
  EXPECT_EQ(b.done.packs, 2U);
}

TEST(Pack, WhatDiffersIsApart) {
  Bundle b;
  b.add(500);
  b.next += 1; // a hole
  b.add(500);
  b.ack = Seq{8};
  b.add(500);
  b.stamp = 6;
  b.add(500);
  b.add(500, flag::ack, true); // ECT
  b.add(500, flag::ack | flag::cwr);
  b.add(500, flag::ack | flag::ece);
  b.add(500, flag::ack | flag::urg);
  b.add(500);
  b.add(0); // a bare ACK
  EXPECT_EQ(b.packed(), 10U);
  EXPECT_EQ(b.done.packs, 0U);
}

TEST(Pack, LimitsOfThePortAreKept) {
  Bundle b;
  const auto full = [&] {
    for (int i = 0; i < 40; ++i) b.add(1448);
  };
  full();
  EXPECT_EQ(b.packed({.most_bytes = 32 + 10 * 1448}), 4U);
  full();
  EXPECT_EQ(b.packed({.most_bytes = 32 + 10 * 1448 - 1}), 5U);
  full();
  EXPECT_EQ(b.packed({.most_bytes = 65000, .most_pieces = 8}), 5U);
  full();
  EXPECT_EQ(b.packed({.most_bytes = 65000, .most_segment = 1448 + 31}), 40U);
  b.apart = true;
  full();
  EXPECT_EQ(b.packed({.most_bytes = 65000, .most_pieces = 11}), 4U); // a header, ten of text
  full();
  EXPECT_EQ(b.packed({.most_bytes = 65000, .segment_pieces = 1}), 1U);
}

TEST(Pack, TextInManyPiecesIsApartWhereThePortSaysSo) {
  Bundle b;
  for (int i = 0; i < 4; ++i) b.add(3000); // two buffers each
  EXPECT_EQ(b.packed({.most_bytes = 65000, .segment_pieces = 1}), 4U);
  for (int i = 0; i < 4; ++i) b.add(3000);
  EXPECT_EQ(b.packed({.most_bytes = 65000, .segment_pieces = 2}), 1U);
}

TEST(Pack, WhateverComesComesOutAgain) {
  Bundle b;
  const auto draw = [&](std::uint32_t n) { return static_cast<std::uint32_t>(b.random() % n); };
  const std::uint8_t flags[] = {
      flag::ack, flag::ack, flag::ack, flag::ack, flag::ack | flag::psh, flag::ack | flag::fin};
  for (int round = 0; round < 300; ++round) {
    const std::uint32_t n = 1 + draw(TxBurst::most);
    for (std::uint32_t i = 0; i < n; ++i) {
      if (draw(16) == 0) b.next += 100;
      if (draw(16) == 0) b.ack += 1;
      b.apart = draw(2) == 0;
      b.add(draw(8) == 0 ? draw(1448) : 1448, flags[draw(6)], draw(16) == 0);
    }
    (void)b.packed(
        {.most_bytes = 2000 + draw(60000), .most_pieces = static_cast<std::uint16_t>(1 + draw(60))});
  }
}

} // namespace pack_test
} // namespace tern::tcp::test
