#include <gtest/gtest.h>

#include <array>

#include "bytes.hpp"
#include "wire/checksum.hpp"
#include "wire/tcp_inl.hpp"

namespace tern::wire {
namespace tcp_test {

using test::Bytes;
using test::bytes;
using test::Exact;
using test::Random;

// A header of 20 + options bytes, the data offset to match.
Bytes header_with(const Bytes& options) {
  Bytes b =
      bytes({0x1f, 0x90, 0xc0, 0x01, 0xff, 0xff, 0xff, 0xf0, 1, 2, 3, 4, 0, 0x18, 0x80, 0, 0xab, 0xcd, 0, 7});
  b.insert(b.end(), options.begin(), options.end());
  b[12] = static_cast<std::byte>(b.size() / 4 << 4);
  return b;
}

Bytes emitted(const Tcp& t) {
  Bytes b(emitted_length(t));
  EXPECT_EQ(emit_tcp(t, b.data()), b.size());
  return b;
}

Bytes options_of(const Tcp& t) {
  Bytes b = emitted(t);
  b.erase(b.begin(), b.begin() + tcp_min_header);
  return b;
}

// The SYN of a Linux 6.1 client: MSS 1460, SACK-permitted, timestamps, window scale 7.
const Bytes linux_syn = bytes({0xa8, 0x9e, 0x1f, 0x90, 0x5e, 0x9c, 0x1d, 0xe3, 0, 0,    0, 0, 0xa0, 0x02,
                               0xfa, 0xf0, 0,    0,    0,    0,    2,    4,    5, 0xb4, 4, 2, 8,    0x0a,
                               0x2a, 0x5b, 0x11, 0x0d, 0,    0,    0,    0,    1, 3,    3, 7});

TEST(TcpParse, FixedHeaderFieldsAreRead) {
  const Bytes b = header_with({});
  Tcp t;
  ASSERT_EQ(parse_tcp(b, t), Verdict::ok);
  EXPECT_EQ(t.src.raw(), 8080);
  EXPECT_EQ(t.dst.raw(), 0xc001);
  EXPECT_EQ(t.seq.raw(), 0xfffffff0U);
  EXPECT_EQ(t.ack.raw(), 0x01020304U);
  EXPECT_EQ(t.flags, tcp_flag::psh | tcp_flag::ack);
  EXPECT_EQ(t.header_length, 20);
  EXPECT_EQ(t.window, 0x8000);
  EXPECT_EQ(t.checksum, 0xabcd);
  EXPECT_EQ(t.urgent, 7);
  EXPECT_EQ(t.options.has, 0);
  EXPECT_EQ(t.options.sack_count, 0);
}

// parse_lean() reads all of a header but its ports, checksum and urgent pointer, whatever the header is.
TEST(TcpParse, LeanParseSaysWhatTheWholeOneSays) {
  const Bytes stamp = bytes({1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8});
  const Bytes stamp_apart = bytes({8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1});
  Bytes cut = header_with(stamp);
  cut.resize(30);
  for (const Bytes& b : {header_with(stamp), header_with(stamp_apart), header_with({}), linux_syn, cut}) {
    Tcp whole, lean;
    lean.options.sack_count = 3;
    const Verdict v = parse_tcp(b, whole);
    ASSERT_EQ(parse_lean(b, lean), v);
    if (v != Verdict::ok) continue;
    whole.src = lean.src, whole.dst = lean.dst;
    whole.checksum = lean.checksum, whole.urgent = lean.urgent;
    EXPECT_EQ(lean, whole);
  }
}

// In registers: a header without options, or with a timestamp alone; and a SYN as Linux has it, with a timestamp and
// without, and as Windows has it.
TEST(TcpParse, WhatIsReadInRegistersIsWhatTheWholeParseSays) {
  const Bytes stamp = bytes({1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8});
  for (const Bytes& b : {header_with({}), header_with(stamp)}) {
    Tcp whole;
    LeanHeader lean;
    ASSERT_EQ(parse_tcp(b, whole), Verdict::ok);
    ASSERT_TRUE(read(b, lean));
    EXPECT_EQ(lean.length(), b.size());
    EXPECT_EQ(lean.stamped, whole.options.has_timestamps());
    EXPECT_EQ(std::tie(lean.seq, lean.ack, lean.flags, lean.window),
              std::tie(whole.seq, whole.ack, whole.flags, whole.window));
    EXPECT_FALSE(read(std::span{b}.first(b.size() - 1), lean));
  }
  LeanHeader lean;
  EXPECT_FALSE(read(header_with(bytes({1, 1, 1, 1})), lean));
  EXPECT_FALSE(read(header_with(bytes({8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1})), lean));

  const Bytes bare_linux = bytes({2, 4, 5, 0xb4, 1, 1, 4, 2, 1, 3, 3, 7});
  const Bytes windows = bytes({2, 4, 5, 0xb4, 1, 3, 3, 8, 1, 1, 4, 2});
  for (const Bytes& b : {linux_syn, header_with(bare_linux), header_with(windows)}) {
    Tcp whole;
    FullSyn syn;
    ASSERT_EQ(parse_tcp(b, whole), Verdict::ok);
    ASSERT_TRUE(is_full_syn(whole) || whole.urgent != 0);
    ASSERT_TRUE(read(b, syn));
    EXPECT_EQ(syn.length(), b.size());
    EXPECT_EQ(syn.stamped, whole.options.has_timestamps());
    EXPECT_EQ(
        std::tie(syn.seq, syn.ack, syn.flags, syn.window, syn.mss, syn.wscale),
        std::tie(whole.seq, whole.ack, whole.flags, whole.window, whole.options.mss, whole.options.wscale));
    EXPECT_FALSE(read(std::span{b}.first(b.size() - 1), syn));
    for (std::size_t at :
         {std::size_t{20}, std::size_t{21}, std::size_t{24}, std::size_t{26}, std::size_t{28}}) {
      Bytes other = b;
      other[at] ^= std::byte{0x40};
      if (at == 28 && b.size() == 40) continue; // there it is the timestamp
      EXPECT_FALSE(read(other, syn)) << at;
    }
  }
}

TEST(TcpParse, StaleOptionsOfAnEarlierParseAreForgotten) {
  Tcp t;
  ASSERT_EQ(parse_tcp(linux_syn, t), Verdict::ok);
  ASSERT_NE(t.options.has, 0);
  t.options.sack_count = 3;
  ASSERT_EQ(parse_tcp(header_with({}), t), Verdict::ok);
  EXPECT_EQ(t.options.has, 0);
  EXPECT_EQ(t.options.sack_count, 0);
}

TEST(TcpParse, LinuxSynIsReadAndEmittedByteForByte) {
  Tcp t;
  ASSERT_EQ(parse_tcp(linux_syn, t), Verdict::ok);
  EXPECT_EQ(t.flags, tcp_flag::syn);
  EXPECT_EQ(t.header_length, 40);
  EXPECT_EQ(t.options.mss, 1460);
  EXPECT_EQ(t.options.wscale, 7);
  EXPECT_EQ(t.options.ts_val, 0x2a5b110dU);
  EXPECT_EQ(t.options.ts_ecr, 0U);
  EXPECT_EQ(t.options.has, TcpOptions::mss_bit | TcpOptions::wscale_bit | TcpOptions::sack_permitted_bit |
                               TcpOptions::timestamps_bit);
  EXPECT_EQ(emitted(t), linux_syn);
}

TEST(TcpParse, DataSegmentWithTimestampsTakesTheFastLayout) {
  const Bytes b = header_with(bytes({1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 8}));
  Tcp t;
  ASSERT_EQ(parse_tcp(b, t), Verdict::ok);
  EXPECT_EQ(t.options.has, TcpOptions::timestamps_bit);
  EXPECT_EQ(t.options.ts_val, 9U);
  EXPECT_EQ(t.options.ts_ecr, 8U);
}

TEST(TcpParse, TimestampsNotAlignedAreFoundTheSame) {
  const Bytes b = header_with(bytes({8, 10, 0, 0, 0, 9, 0, 0, 0, 8, 0, 0xee}));
  Tcp t;
  ASSERT_EQ(parse_tcp(b, t), Verdict::ok);
  EXPECT_EQ(t.options.has, TcpOptions::timestamps_bit);
  EXPECT_EQ(t.options.ts_val, 9U);
}

TEST(TcpParse, SackBlocksAreRead) {
  const Bytes b = header_with(bytes({1, 1, 5, 18, 0xff, 0xff, 0xff, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3}));
  Tcp t;
  ASSERT_EQ(parse_tcp(b, t), Verdict::ok);
  ASSERT_EQ(t.options.sack_count, 2);
  EXPECT_EQ(t.options.sack[0], (SackBlock{Seq{0xffffff00}, Seq{1}}));
  EXPECT_EQ(t.options.sack[1], (SackBlock{Seq{2}, Seq{3}}));
}

TEST(TcpParse, UserTimeoutIsRead) {
  Tcp t;
  ASSERT_EQ(parse_tcp(header_with(bytes({28, 4, 0x80, 5})), t), Verdict::ok);
  EXPECT_EQ(t.options.has, TcpOptions::user_timeout_bit);
  EXPECT_EQ(t.options.user_timeout, 0x8005);
}

TEST(TcpParse, UnknownOptionIsSkippedByItsLength) {
  Tcp t;
  ASSERT_EQ(parse_tcp(header_with(bytes({254, 6, 2, 4, 9, 9, 3, 3, 5, 1, 1, 0})), t), Verdict::ok);
  EXPECT_EQ(t.options.has, TcpOptions::wscale_bit | TcpOptions::unknown_bit);
  EXPECT_EQ(t.options.wscale, 5);
}

TEST(TcpParse, KnownKindWithAnotherLengthIsSkipped) {
  // MSS of 3, window scale of 4, SACK-permitted of 3, timestamps of 9, SACK of 2 and of 11, user timeout of 3
  for (const auto& o : {bytes({2, 3, 5, 0}), bytes({3, 4, 7, 7}), bytes({4, 3, 1, 0}),
                        bytes({8, 9, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0}), bytes({5, 2, 0, 0}),
                        bytes({5, 11, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0}), bytes({28, 3, 1, 0})}) {
    Tcp t;
    EXPECT_EQ(parse_tcp(header_with(o), t), Verdict::ok);
    EXPECT_EQ(t.options.has, TcpOptions::misfit_bit);
    EXPECT_EQ(t.options.sack_count, 0);
  }
}

TEST(TcpParse, NothingAfterEndOfListIsRead) {
  Tcp t;
  ASSERT_EQ(parse_tcp(header_with(bytes({0, 2, 4, 5})), t), Verdict::ok);
  EXPECT_EQ(t.options.has, 0);
}

TEST(TcpParse, OfDuplicateOptionsTheLaterCounts) {
  Tcp t;
  ASSERT_EQ(parse_tcp(header_with(bytes({2, 4, 1, 0, 2, 4,  2, 0, 5, 10, 0, 0, 0, 1,
                                         0, 0, 0, 2, 5, 10, 0, 0, 0, 7,  0, 0, 0, 8})),
                      t),
            Verdict::ok);
  EXPECT_EQ(t.options.has, TcpOptions::mss_bit | TcpOptions::repeated_bit);
  EXPECT_EQ(t.options.mss, 0x200);
  ASSERT_EQ(t.options.sack_count, 1);
  EXPECT_EQ(t.options.sack[0], (SackBlock{Seq{7}, Seq{8}}));
}

TEST(TcpParse, ReservedBitsAreIgnored) {
  Bytes b = header_with({});
  b[12] |= std::byte{0x0f};
  Tcp t;
  EXPECT_EQ(parse_tcp(b, t), Verdict::ok);
  EXPECT_EQ(t.header_length, 20);
}

TEST(TcpParseBadInput, TruncatedAtEveryByte) {
  for (std::size_t n = 0; n < linux_syn.size(); ++n) {
    const Exact cut{std::span{linux_syn}.first(n)};
    Tcp t;
    EXPECT_EQ(parse_tcp(cut.span(), t), Verdict::truncated) << n;
  }
}

TEST(TcpParseBadInput, DataOffsetBelowFive) {
  for (unsigned words = 0; words < 5; ++words) {
    Bytes b = linux_syn;
    b[12] = static_cast<std::byte>(words << 4);
    Tcp t;
    EXPECT_EQ(parse_tcp(b, t), Verdict::bad_header_length) << words;
  }
}

TEST(TcpParseBadInput, DataOffsetPastTheEnd) {
  for (unsigned words = 6; words < 16; ++words) {
    Bytes b = header_with({});
    b[12] = static_cast<std::byte>(words << 4);
    const Exact e{b};
    Tcp t;
    EXPECT_EQ(parse_tcp(e.span(), t), Verdict::truncated) << words;
  }
}

TEST(TcpParseBadInput, OptionLengthZeroOneOrPastTheEnd) {
  for (const unsigned kind : {2U, 3U, 4U, 5U, 8U, 28U, 99U}) {
    for (const unsigned length : {0U, 1U, 9U, 40U, 255U}) {
      const Exact e{header_with(bytes({kind, length, 0, 0, 0, 0, 0, 0}))};
      Tcp t;
      EXPECT_EQ(parse_tcp(e.span(), t), Verdict::bad_option_length) << kind << " " << length;
    }
    // the kind is the last byte: its length is not there at all
    const Exact e{header_with(bytes({1, 1, 1, kind}))};
    Tcp t;
    EXPECT_EQ(parse_tcp(e.span(), t), Verdict::bad_option_length) << kind;
  }
}

TEST(TcpParse, ZeroLengthPayloadIsWhole) {
  Tcp t;
  const Exact e{header_with({})};
  EXPECT_EQ(parse_tcp(e.span(), t), Verdict::ok);
  EXPECT_EQ(e.span().size() - t.header_length, 0U);
}

TEST(TcpEmit, LayoutsAreThoseOfLinux) {
  Tcp t;
  t.options.has = TcpOptions::sack_permitted_bit;
  EXPECT_EQ(options_of(t), bytes({1, 1, 4, 2}));
  t.options.has = TcpOptions::wscale_bit;
  t.options.wscale = 9;
  EXPECT_EQ(options_of(t), bytes({1, 3, 3, 9}));
  t.options = {};
  t.options.sack_count = 1;
  t.options.sack[0] = {Seq{1}, Seq{2}};
  EXPECT_EQ(options_of(t), bytes({1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2}));
}

TEST(TcpEmit, SackTakesWhatIsLeftAndNeverMoreThanForty) {
  for (unsigned has = 0; has < 32; ++has) {
    for (std::uint8_t blocks = 0; blocks <= 4; ++blocks) {
      Tcp t;
      t.options.has = static_cast<std::uint8_t>(has);
      t.options.sack_count = blocks;
      const Bytes b = emitted(t);
      ASSERT_LE(b.size(), tcp_max_header);
      Tcp back;
      ASSERT_EQ(parse_tcp(b, back), Verdict::ok);
      EXPECT_EQ(back.header_length, b.size());
      EXPECT_EQ(back.options.has, has);
      EXPECT_EQ(back.options.sack_count != 0, blocks != 0);
      const std::size_t one_more = b.size() + 8;
      EXPECT_TRUE(back.options.sack_count == blocks || one_more > tcp_max_header)
          << has << " " << int{blocks};
    }
  }
}

Tcp random_tcp(Random& r) {
  Tcp t;
  t.src = Port{r.any<std::uint16_t>()};
  t.dst = Port{r.any<std::uint16_t>()};
  t.seq = Seq{r.any<std::uint32_t>()};
  t.ack = Seq{r.any<std::uint32_t>()};
  t.flags = r.any<std::uint8_t>();
  t.window = r.any<std::uint16_t>();
  t.urgent = r.any<std::uint16_t>();
  TcpOptions& o = t.options;
  o.has = r.below<std::uint8_t>(32);
  o.mss = r.any<std::uint16_t>();
  o.wscale = r.any<std::uint8_t>();
  o.user_timeout = r.any<std::uint16_t>();
  o.ts_val = r.any<std::uint32_t>();
  o.ts_ecr = r.any<std::uint32_t>();
  o.sack_count = r.below<std::uint8_t>(2); // one block always fits
  if (o.has == 0) o.sack_count = r.below<std::uint8_t>(5);
  for (auto& s : o.sack) s = {Seq{r.any<std::uint32_t>()}, Seq{r.any<std::uint32_t>()}};
  t.header_length = static_cast<std::uint8_t>(emitted_length(t));
  return t;
}

TEST(TcpProperty, ParseOfEmitIsTheSameAndEmitsTheSameBytes) {
  Random r{20260101};
  for (int i = 0; i < 100'000; ++i) {
    const Tcp t = random_tcp(r);
    const Bytes b = emitted(t);
    ASSERT_EQ(b.size(), t.header_length);
    Tcp back;
    ASSERT_EQ(parse_tcp(b, back), Verdict::ok);
    ASSERT_EQ(back, t);
    ASSERT_EQ(emitted(back), b);
  }
}

TEST(TcpProperty, AnyBytesGiveAVerdictAndWhatParsesSurvivesEmit) {
  Random r{7};
  for (int i = 0; i < 100'000; ++i) {
    Bytes b = r.bytes(r.below<std::size_t>(70));
    if (b.size() > 12 && r.coin()) b[12] = static_cast<std::byte>(b.size() / 4 << 4);
    for (std::size_t at = 20; at < b.size(); ++at) // options that look like options
      if (r.coin()) b[at] = static_cast<std::byte>(r.below(11));
    const Exact e{b};
    Tcp t;
    if (parse_tcp(e.span(), t) != Verdict::ok) continue;
    const Bytes again = emitted(t);
    Tcp back;
    ASSERT_EQ(parse_tcp(again, back), Verdict::ok);
    t.header_length = back.header_length; // canonical form may be shorter
    t.checksum = 0;
    if (back.options.sack_count < t.options.sack_count) t.options.sack_count = back.options.sack_count;
    ASSERT_EQ(back, t);
  }
}

TEST(TcpChecksum, OfTheLinuxSynIsSetAndHolds) {
  Bytes b = linux_syn;
  const Ip4 from{10, 0, 0, 1};
  const Ip4 to{10, 0, 0, 2};
  EXPECT_FALSE(tcp_checksum_ok(from, to, b));
  set_tcp_checksum(from, to, std::span{b});
  EXPECT_TRUE(tcp_checksum_ok(from, to, b));
  EXPECT_TRUE(tcp_checksum_ok(Ip{from}, Ip{to}, b)); // both forms of an address agree
  for (auto& byte : b) {
    byte ^= std::byte{0x10};
    EXPECT_FALSE(tcp_checksum_ok(from, to, b));
    byte ^= std::byte{0x10};
  }
}

} // namespace tcp_test
} // namespace tern::wire
