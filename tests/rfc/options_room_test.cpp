// RFC 6691: what options take of a segment, text has to give.
#include "rig.hpp"

namespace tern::rfc {
namespace options_room_test {

TEST(SegmentSize, SackNeverMakesAFullSegmentTooLongForThePath) {
  tcp::Settings s;
  s.nagle = false;
  Rig r{s};
  using O = wire::TcpOptions;
  O o;
  o.has = O::mss_bit | O::sack_permitted_bit | O::timestamps_bit;
  o.mss = 1460;
  o.ts_val = 1;
  open(r, o);

  wire::Tcp hole = header(flag::ack, their_iss + 101, our_iss + 1);
  hole.options.has = O::timestamps_bit;
  hole.options.ts_val = 2;
  r.arrives(hole, 100);
  ASSERT_EQ(r.sent.size(), 1u);
  EXPECT_EQ(r.sent[0].h.options.sack_count, 1);
  // An ACK is owed, and text of ours goes at the same output.
  r.tcb.set(tcp::flag_ack_now);
  say(r, 5000);
  ASSERT_GE(r.sent.size(), 4u);
  bool told = false;
  for (const Sent& one : r.sent) {
    EXPECT_LE(one.h.header_length + one.text, 20u + interface_mss);
    told |= one.h.options.sack_count != 0;
  }
  EXPECT_TRUE(told); // and the peer learns of the hole all the same
}

} // namespace options_room_test
} // namespace tern::rfc
