#include "tcp/reply.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "machines.hpp"
#include "support/eal.hpp"
#include "wire/tcp_inl.hpp"

namespace tern::tcp::test {
namespace {

TEST(Reply, PacketHoldsTheHeaderAndNothingElse) {
  tern::test::TestPool pool{15};
  Host host;
  const SynRecord record = make_syn_record(host.settings, full_syn(), {.iss = iss, .ts_offset = 7}, t0);
  const Timestamps ts{1, 2};
  const std::vector<wire::Tcp> all{syn_ack(host.settings, record, 1460, t0),
                                   ack_segment(iss, irs, 9, nullptr), ack_segment(iss, irs, 9, &ts),
                                   reset_for(Segment{.h = header(flag::syn, irs)})};
  for (const wire::Tcp& h : all) {
    const Packet p = build(h, pool.pool(), host.counters);
    ASSERT_TRUE(p);
    wire::Tcp back;
    ASSERT_EQ(wire::parse_tcp(p.bytes(), back), wire::Verdict::ok);
    EXPECT_EQ(p.length(), back.header_length);
    EXPECT_EQ(back.checksum, 0);
    wire::Tcp expected = h;
    expected.header_length = back.header_length;
    EXPECT_EQ(back, expected);
  }
}

TEST(Reply, EmptyPoolIsCounted) {
  tern::test::TestPool pool{1};
  Host host;
  const wire::Tcp h = ack_segment(iss, irs, 9, nullptr);
  const Packet first = build(h, pool.pool(), host.counters);
  ASSERT_TRUE(first);
  EXPECT_FALSE(build(h, pool.pool(), host.counters));
  EXPECT_EQ(host.count(Counter::no_packet), 1U);
}

} // namespace
} // namespace tern::tcp::test
