#include "tcp/reply.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "machines.hpp"
#include "support/eal.hpp"
#include "wire/tcp_inl.hpp"

namespace tern::tcp::test {
namespace reply_test {

TEST(Reply, PacketHoldsTheHeaderAndNothingElse) {
  tern::test::TestPool pool{15};
  Host host;
  const SynRecord record = make_syn_record(host.settings, full_syn(), 536, {.iss = iss, .ts_offset = 7}, t0);
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

// The usual layout, written from registers: what the general way makes of the record.
TEST(Reply, FullSynAckOfARecordIsWhatTheGeneralWayWrites) {
  tern::test::TestPool pool{15};
  Host host;
  for (unsigned agreed = 0; agreed < 16; ++agreed) {
    SynRecord r = make_syn_record(host.settings, full_syn(), 536, {.iss = iss, .ts_offset = 7}, t0);
    r.scaled = agreed & 1;
    r.sack = agreed >> 1 & 1;
    r.timestamps = agreed >> 2 & 1;
    r.ecn = agreed >> 3 & 1;
    EXPECT_EQ(full(r), agreed == 7 || agreed == 3);
    if (!full(r)) continue;
    std::array<std::byte, wire::FullSyn::length(true)> room;
    const wire::SummedFront front = wire::emit(full_syn_ack(host.settings, r, 1400, t0), 0, room.data());
    const std::span bytes{room.data(), wire::FullSyn::length(r.timestamps != 0)};
    const Packet general = build(syn_ack(host.settings, r, 1400, t0), pool.pool(), host.counters);
    ASSERT_TRUE(general);
    EXPECT_TRUE(std::ranges::equal(bytes, general.bytes()));
    EXPECT_EQ(front.bytes, bytes.size());
    EXPECT_EQ(wire::fold(front.sum), wire::fold(wire::sum_bytes(bytes)));
  }
}

// Our own SYN has a layout written at one go and a general way too.
TEST(Reply, SynOffersWhatTheSettingsSay) {
  tern::test::TestPool pool{15};
  for (unsigned on = 0; on < 16; ++on) {
    Host host;
    host.settings.window_scale = (on & 1) != 0;
    host.settings.sack = (on & 2) != 0;
    host.settings.timestamps = (on & 4) != 0;
    host.settings.ecn = (on & 8) != 0;
    const Env env{host.settings, host.counters, pool.pool(), {}};
    Tcb t;
    open_active(env, t, iss, 7, 1400, 536, t0);
    TxBurst burst;
    EXPECT_FALSE(output(env, t, t0, burst));
    ASSERT_EQ(burst.size(), 1U);
    wire::Tcp h;
    ASSERT_EQ(wire::parse_tcp(burst[0].bytes(), h), wire::Verdict::ok);
    EXPECT_EQ(burst[0].length(), h.header_length);
    EXPECT_EQ(h.flags, flag::syn | ((on & 8) != 0 ? flag::ece | flag::cwr : 0)) << on;
    EXPECT_EQ(h.seq, iss);
    EXPECT_EQ(h.ack, Seq{});
    EXPECT_EQ(h.window, 65535);
    EXPECT_EQ(h.options.has, O::mss_bit | ((on & 1) != 0 ? O::wscale_bit : 0) |
                                 ((on & 2) != 0 ? O::sack_permitted_bit : 0) |
                                 ((on & 4) != 0 ? O::timestamps_bit : 0))
        << on;
    EXPECT_EQ(h.options.mss, 1400);
    EXPECT_TRUE((on & 1) == 0 || h.options.wscale == own_scale(host.settings));
    EXPECT_TRUE((on & 4) == 0 || (h.options.ts_val == t0.ms32() + 7 && h.options.ts_ecr == 0));
    EXPECT_EQ(wire::fold(burst.front(0).sum), wire::fold(wire::sum_bytes(burst[0].bytes())));
    burst.clear();
    release(env, t);
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

} // namespace reply_test
} // namespace tern::tcp::test
