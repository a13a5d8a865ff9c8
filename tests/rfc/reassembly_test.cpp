// Text out of order, as a peer that resegments sends it.
#include "rig.hpp"

namespace tern::rfc {
namespace reassembly_test {

// A retransmission that begins before a held range and covers it: the ranges must become one, not two that
// overlap.
TEST(Reassembly, SegmentThatFillsAGapAndCoversWhatFollowsLeavesOneRange) {
  for (const std::uint32_t beyond : {0U, 40U}) {
    Rig r;
    enter(r, State::Established);
    const Seq nxt = r.tcb.rcv_nxt;
    r.arrives(nxt + 1000, flag::ack, r.tcb.snd_una, 300);
    r.arrives(nxt + 600, flag::ack, r.tcb.snd_una,
              700 + beyond); // the rig checks the ranges after every event
    r.arrives(nxt, flag::ack, r.tcb.snd_una, 600);
    EXPECT_EQ(r.delivered, 1300 + beyond);
    EXPECT_EQ(r.tcb.rcv_nxt, nxt + 1300 + beyond);
    EXPECT_TRUE(r.stream_intact);
    EXPECT_EQ(r.tcb.reassembly, nullptr);
  }
}

} // namespace reassembly_test
} // namespace tern::rfc
