// A frame that is written at one go against the same put together step by step: header, checksum, IP, Ethernet.
#include <gtest/gtest.h>

#include "frames.hpp"
#include "net/encapsulate.hpp"

namespace tern::net {
namespace frame_test {

using namespace test;
using tern::test::TestPool;
namespace flag = wire::tcp_flag;
using O = wire::TcpOptions;

constexpr std::uint32_t ports = 0x5000'e704; // 1255 and 80, as they lie

wire::Tcp parsed(const wire::LeanHeader& h) {
  wire::Tcp t;
  t.seq = h.seq, t.ack = h.ack, t.flags = h.flags, t.window = h.window;
  if (h.stamped) t.options.has = O::timestamps_bit;
  t.options.ts_val = h.stamp.val, t.options.ts_ecr = h.stamp.ecr;
  return t;
}
wire::Tcp parsed(const wire::FullSyn& h) {
  wire::Tcp t;
  t.seq = h.seq, t.ack = h.ack, t.flags = h.flags, t.window = h.window;
  t.options.has = O::mss_bit | O::wscale_bit | O::sack_permitted_bit;
  if (h.stamped) t.options.has |= O::timestamps_bit;
  t.options.mss = h.mss, t.options.wscale = h.wscale;
  t.options.ts_val = h.stamp.val, t.options.ts_ecr = h.stamp.ecr;
  return t;
}

class Frames : public ::testing::Test {
 protected:
  template <class Header>
  void expect_same(const Header& h, const Bytes& text, const TxOffloads& offloads) {
    wire::Tcp t = parsed(h);
    t.src = Port{byteswap(static_cast<std::uint16_t>(ports))};
    t.dst = Port{byteswap(static_cast<std::uint16_t>(ports >> 16))};
    Bytes segment(wire::emitted_length(t));
    wire::emit_tcp(t, segment.data());
    Packet stepwise = pool_.pool().alloc();
    ASSERT_TRUE(stepwise.append_copy(segment + text, pool_.pool()));
    ASSERT_TRUE(encapsulate4(stepwise, l2_, our4, peer4, 4711, 0, offloads));

    const auto length = static_cast<std::uint32_t>(front4 + h.length() + text.size());
    Packet whole = pool_.pool().alloc(length, front4);
    ASSERT_TRUE(whole);
    write_frame4(whole, l2_, {our4, peer4, ports}, 4711, h, text, offloads);
    EXPECT_EQ(bytes_of(whole), bytes_of(stepwise)) << text.size() << " bytes of text";
    EXPECT_EQ(whole.mbuf()->ol_flags, stepwise.mbuf()->ol_flags);
    EXPECT_EQ(whole.headroom(), stepwise.headroom());
  }

  TestPool pool_{63};
  L2Header l2_ = L2Header::make(peer_mac, our_mac, wire::ether_type::ipv4, {});
};

constexpr TxOffloads who_sums[] = {
    {}, {.ip_checksum = true}, {.tcp_checksum = true}, {.ip_checksum = true, .tcp_checksum = true}};

TEST_F(Frames, SegmentAtOneGoIsWhatTheStepsMakeOfIt) {
  for (const TxOffloads& offloads : who_sums)
    for (const bool stamped : {false, true})
      for (const unsigned n : {0U, 1U, 2U, 3U, 7U, 31U, 32U, 33U, 64U, 255U, 256U, 257U, 511U}) {
        wire::LeanHeader h;
        h.seq = Seq{0xffff'fff0U + n};
        h.ack = Seq{0x1234'5678};
        h.flags = flag::ack | flag::psh | flag::fin;
        h.window = 0xfffe;
        h.stamped = stamped;
        h.stamp = {stamped ? 0xdead'beef : 0U, stamped ? 0xffff'ffff : 0U};
        expect_same(h, payload(n), offloads);
      }
}

TEST_F(Frames, SynAtOneGoIsWhatTheStepsMakeOfIt) {
  for (const TxOffloads& offloads : who_sums)
    for (const bool stamped : {false, true})
      for (const std::uint8_t flags : {flag::syn, static_cast<std::uint8_t>(flag::syn | flag::ack)}) {
        const wire::FullSyn h{.seq = Seq{0xffff'ffff},
                              .ack = Seq{flags == flag::syn ? 0U : 77U},
                              .flags = flags,
                              .wscale = 7,
                              .stamped = stamped,
                              .window = 65'535,
                              .mss = 1460,
                              .stamp = {1, 0xffff'ffff}};
        expect_same(h, {}, offloads);
      }
}

TEST_F(Frames, OnlyAnUntaggedNeighbourTakesThem) {
  EXPECT_TRUE(takes_frame4(l2_, {}));
  EXPECT_FALSE(takes_frame4(l2_, {.lengths = true}));
  const wire::VlanTag tag{.tpid = wire::ether_type::vlan, .tci = 5};
  EXPECT_FALSE(takes_frame4(L2Header::make(peer_mac, our_mac, wire::ether_type::ipv4, {&tag, 1}), {}));
}

} // namespace frame_test
} // namespace tern::net
