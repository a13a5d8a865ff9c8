// Paths that ask something of the window or of the segment's size.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "pump.hpp"
#include "support/eal.hpp"

namespace tern::campaign {
namespace path_test {

class Path : public ::testing::Test {
 protected:
  static sim::EngineHostSettings host_settings() {
    sim::EngineHostSettings s;
    s.tcp.send_buffer = 8 * 1024 * 1024;
    s.records.tx_log = 20'000;
    s.records.pieces = 20'000;
    return s;
  }
  static sim::LinkSettings path(Duration delay, std::uint64_t bits_per_second) {
    sim::LinkSettings l;
    l.delay = delay;
    l.bits_per_second = bits_per_second;
    return l;
  }
  // Packets above this vanish, and nobody says so.
  static sim::LinkSettings black_hole(std::uint16_t mtu) {
    sim::LinkSettings l = path(Duration::ms(10), 10'000'000);
    l.mtu = mtu;
    l.icmp = false;
    return l;
  }
  // A transfer from a to b.
  void start(const sim::LinkSettings& both, const sim::EngineHostSettings& s = host_settings()) {
    a = std::make_unique<sim::EngineHost>("a", Ip4{10, 0, 0, 1}, packets(), s);
    b = std::make_unique<sim::EngineHost>("b", Ip4{10, 0, 0, 2}, packets(), s);
    a->check_invariants = b->check_invariants = false; // campaigns do; here queues are long
    const sim::NodeId na = net.add_host("a", a->address(), *a);
    const sim::NodeId nb = net.add_host("b", b->address(), *b);
    link = net.add_link(na, nb, both);
    source.sends = true;
    b->listen(Port{80}, sink);
    from = a->connect(Port{1000}, b->address(), Port{80}, source);
  }
  const tcp::Tcb& receiver() { return *b->find(*b->connection(Port{80}, a->address(), Port{1000})); }
  const tcp::Tcb& sender() { return *a->find(from); }
  double rate_over(Duration d) {
    const std::uint64_t before = sink.received;
    net.run_for(d);
    return static_cast<double>(sink.received - before) / d.as_seconds();
  }
  static PacketPool packets() {
    static test::TestPool pool{16383};
    return pool.pool();
  }

  sim::Network net{1};
  std::unique_ptr<sim::EngineHost> a, b;
  Pump sink, source;
  sim::LinkId link = 0;
  sim::ConnId from = 0;
};

// 100 Mb/s × 100 ms are 1.25 MB: twenty times the first window.
TEST_F(Path, LongFatPipeIsFilledByAWindowThatGrows) {
  start(path(Duration::ms(50), 100'000'000));
  net.run_for(Duration::seconds(3));
  const double full = 100e6 / 8 * 1448 / 1500;
  const double got = rate_over(Duration::seconds(2));
  RecordProperty("share_of_the_link", fmt::format("{:.3f}", got / full));
  EXPECT_GT(got, 0.95 * full) << got / full;
  EXPECT_GT(receiver().rcv_limit, 1'250'000U);
  EXPECT_LE(receiver().rcv_limit, b->settings().receive_buffer_max);
}

TEST_F(Path, WithoutTuningTheFirstWindowIsAllThatPipeGets) {
  sim::LinkSettings l = path(Duration::ms(50), 100'000'000);
  auto s = host_settings();
  s.tcp.receive_buffer_max = s.tcp.receive_buffer;
  start(l, s);
  net.run_for(Duration::seconds(3));
  EXPECT_LT(rate_over(Duration::seconds(2)), 1.1 * 65536 / 0.1);
}

TEST_F(Path, WindowGrowsOnAPathOfCarrierGradeLoss) {
  sim::LinkSettings l = path(Duration::ms(50), 100'000'000);
  l.loss = 0.0001;
  start(l);
  net.run_for(Duration::seconds(10));
  EXPECT_GT(receiver().rcv_limit, 400'000U);
}

TEST_F(Path, SlowReaderKeepsASmallWindow) {
  sim::LinkSettings l = path(Duration::ms(50), 100'000'000);
  sink.reads_a_second = 200'000; // 20 KB a round trip
  sink.net = &net;
  start(l);
  net.run_for(Duration::seconds(20));
  EXPECT_NEAR(static_cast<double>(sink.received), 200'000.0 * 20, 400'000.0);
  EXPECT_LE(receiver().rcv_limit, 128U * 1024);
}

TEST_F(Path, ShortPathKeepsASmallWindow) { // 100 Mb/s × 2 ms are 25 KB
  sim::LinkSettings l = path(Duration::ms(1), 100'000'000);
  l.queue_packets = 20;
  start(l);
  net.run_for(Duration::seconds(5));
  EXPECT_GT(rate_over(Duration::seconds(1)), 0.9 * 100e6 / 8 * 1448 / 1500);
  EXPECT_LE(receiver().rcv_limit, 256U * 1024);
}

// RFC 9406: slow start ends when the round trip grows, and not when the queue has overflowed.
struct Overshoot : Path {
  void TestBody() override {}
  std::uint64_t retransmissions(bool hystart) {
    sim::LinkSettings l = path(Duration::ms(20), 50'000'000); // 166 packets fill it
    l.queue_packets = 200;
    auto s = host_settings();
    s.tcp.hystart = hystart;
    s.tcp.receive_buffer = s.tcp.receive_buffer_max;
    start(l, s);
    net.run_for(Duration::seconds(1));
    return a->count(tcp::Counter::retransmit_fast) + a->count(tcp::Counter::retransmit_rto);
  }
};

TEST(SlowStart, OverrunsTheQueueByLessThanHalfWithHyStart) {
  const std::uint64_t with = Overshoot{}.retransmissions(true);
  const std::uint64_t without = Overshoot{}.retransmissions(false);
  RecordProperty("retransmissions", fmt::format("{} with, {} without", with, without));
  EXPECT_LT(2 * with, without);
}

// ---- Black holes.

TEST_F(Path, BlackHoleIsFoundAndLived) {
  start(black_hole(1400));
  net.run_for(Duration::seconds(15)); // two looks of three time-outs each
  EXPECT_EQ(sender().path_mss, 1160U);
  EXPECT_GT(rate_over(Duration::seconds(5)), 0.75 * 10e6 / 8);
  EXPECT_EQ(a->count(tcp::Counter::pmtu_black_hole), 2U);
}

TEST_F(Path, BlackHoleBelowWhatTunnelsLeaveIsFoundToo) {
  start(black_hole(600));
  net.run_for(Duration::seconds(120));
  EXPECT_EQ(sender().path_mss, 536U);
  EXPECT_GT(rate_over(Duration::seconds(5)), 0.8 * 10e6 / 8);
}

TEST_F(Path, LinkThatWasDownKeepsItsSegments) {
  start(path(Duration::ms(10), 10'000'000));
  net.run_for(Duration::seconds(2));
  for (int i = 0; i < 2; ++i) net.link(link + static_cast<sim::LinkId>(i)).settings().loss = 1;
  net.run_for(Duration::seconds(4));
  for (int i = 0; i < 2; ++i) net.link(link + static_cast<sim::LinkId>(i)).settings().loss = 0;
  net.run_for(Duration::seconds(8));
  EXPECT_GE(a->count(tcp::Counter::pmtu_black_hole), 1U);
  EXPECT_EQ(sender().path_mss, 1460U);
  EXPECT_GT(rate_over(Duration::seconds(2)), 0.9 * 10e6 / 8 * 1448 / 1500);
}

TEST_F(Path, SmallerMtuIsTakenFromIcmp) {
  start(path(Duration::ms(10), 10'000'000));
  net.run_for(Duration::seconds(2));
  net.link(link).settings().mtu = 1400;
  net.run_for(Duration::seconds(1));
  EXPECT_EQ(sender().path_mss, 1360U);
  EXPECT_EQ(a->count(tcp::Counter::pmtu_black_hole), 0U);
  EXPECT_GT(rate_over(Duration::seconds(2)), 0.9 * 10e6 / 8);
}

} // namespace path_test
} // namespace tern::campaign
