// RFC 6691: what options take of a segment, text has to give.
#include "rig.hpp"

namespace tern::rfc {
namespace {

TEST(SegmentSize, SackNeverMakesAFullSegmentTooLongForThePath) {
  tcp::Settings s;
  s.nagle = false;
  Rig r{s};
  r.user([&] { tcp::open_active(r.env(), r.tcb, our_iss, 0, interface_mss, r.now); });
  wire::Tcp syn_ack;
  syn_ack.seq = their_iss;
  syn_ack.ack = our_iss + 1;
  syn_ack.flags = flag::syn | flag::ack;
  syn_ack.window = 65535;
  using O = wire::TcpOptions;
  syn_ack.options.has = O::mss_bit | O::sack_permitted_bit | O::timestamps_bit;
  syn_ack.options.mss = 1460;
  syn_ack.options.ts_val = 1;
  r.arrives(syn_ack, 0);
  ASSERT_EQ(r.tcb.state, State::Established);

  static const std::vector<std::byte> bytes(5000, std::byte{'x'});
  wire::Tcp hole;
  hole.seq = their_iss + 101;
  hole.ack = our_iss + 1;
  hole.flags = flag::ack;
  hole.window = 65535;
  hole.options.has = O::timestamps_bit;
  hole.options.ts_val = 2;
  r.arrives(hole, 100);
  ASSERT_EQ(r.sent.size(), 1u);
  EXPECT_EQ(r.sent[0].h.options.sack_count, 1);
  // The next hole, and text of ours at the same output.
  hole.seq = their_iss + 301;
  r.tcb.set(tcp::flag_ack_now);
  r.user([&] { ASSERT_EQ(tcp::send_static(r.env(), r.tcb, bytes, r.now), bytes.size()); });
  ASSERT_GE(r.sent.size(), 4u);
  bool told = false;
  for (const Sent& one : r.sent) {
    EXPECT_LE(one.h.header_length + one.text, 20u + interface_mss);
    told |= one.h.options.sack_count != 0;
  }
  EXPECT_TRUE(told); // and the peer learns of the hole all the same
}

} // namespace
} // namespace tern::rfc
