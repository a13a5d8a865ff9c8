// How much gets through, against what the RFCs' own arithmetic says.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "pump.hpp"
#include "support/eal.hpp"

namespace tern::campaign {
namespace throughput_test {

struct Path {
  sim::LinkSettings there;
  sim::LinkSettings back;
  std::uint16_t mtu = 1500;
  tcp::CongestionControl congestion = tcp::CongestionControl::Cubic;
  std::uint32_t buffers = 4 * 1024 * 1024;
};

// Bytes a second of text, after `warm_up`.
double goodput(const Path& p, Duration warm_up, Duration measured, std::uint64_t seed) {
  static test::TestPool pool{16383};
  sim::EngineHostSettings s;
  s.mtu = p.mtu;
  s.tcp.congestion = p.congestion;
  s.tcp.send_buffer = s.tcp.receive_buffer = s.tcp.receive_buffer_max = p.buffers;
  s.records.tx_log = 20'000;
  s.records.pieces = 20'000;
  sim::Network net{seed};
  sim::EngineHost a{"a", Ip4{10, 0, 0, 1}, pool.pool(), s};
  sim::EngineHost b{"b", Ip4{10, 0, 0, 2}, pool.pool(), s};
  a.check_invariants = b.check_invariants = false; // campaigns do; here queues are long
  const sim::NodeId na = net.add_host("a", a.address(), a);
  const sim::NodeId nb = net.add_host("b", b.address(), b);
  net.add_link(na, nb, p.there, p.back);
  Pump sink;
  Pump source;
  source.sends = true;
  b.listen(Port{80}, sink);
  a.connect(Port{1000}, b.address(), Port{80}, source);
  net.run_for(warm_up);
  const std::uint64_t before = sink.received;
  net.run_for(measured);
  return static_cast<double>(sink.received - before) / measured.as_seconds();
}

TEST(Throughput, CleanLinkOfTenGigabitsAndTenMillisecondsIsFilled) {
  Path p;
  p.mtu = 9000;
  p.there.mtu = p.back.mtu = 9000;
  p.there.bits_per_second = p.back.bits_per_second = 10'000'000'000;
  p.there.delay = p.back.delay = Duration::ms(5);
  p.there.queue_packets = 1400; // one bandwidth-delay product
  p.buffers = 32 * 1024 * 1024;
  const double full = 10e9 / 8 * (9000 - 52) / 9000;
  const double got = goodput(p, Duration::seconds(1), Duration::ms(500), 1);
  RecordProperty("share_of_the_link", fmt::format("{:.4f}", got / full));
  EXPECT_GT(got, 0.95 * full) << got / full;
  EXPECT_LE(got, 1.001 * full);
}

// 1% random loss, 50 ms. The response function of Reno (Mathis et al. 1997; RFC 9438 §5.1's figure of
// comparison) is
//   W = sqrt(3 / (2 p)) segments a round trip,
// and CUBIC's, in this region of small windows, is that of its Reno-friendly mode (RFC 9438 §4.3), by
// construction the same:
//   W = sqrt(alpha (1 + beta) / (2 (1 - beta) p)) with alpha = 3 (1 - beta) / (1 + beta).
// CUBIC's own function, (C (3 + beta) / (4 (1 - beta)))^(1/4) (RTT / p)^(3/4), gives 3.5 segments here, less
// than Reno's 12.2.
double expected_by_mathis(double loss, double rtt_seconds, double mss) {
  return std::sqrt(3 / (2 * loss)) * mss / rtt_seconds;
}

class Lossy : public ::testing::TestWithParam<tcp::CongestionControl> {};

TEST_P(Lossy, OnePercentAtFiftyMillisecondsKeepsToTheResponseFunction) {
  Path p;
  p.congestion = GetParam();
  p.there.delay = p.back.delay = Duration::ms(25);
  p.there.bits_per_second = 1'000'000'000;
  p.there.loss = 0.01;
  const double expected = expected_by_mathis(0.01, 0.05, 1448);
  double sum = 0;
  constexpr int runs = 5;
  for (std::uint64_t seed = 1; seed <= runs; ++seed)
    sum += goodput(p, Duration::seconds(10), Duration::seconds(60), seed);
  const double share = sum / runs / expected;
  RecordProperty("of_the_response_function", fmt::format("{:.3f}", share));
  // Random losses come in clusters that the formula's even ones do not; hence the width.
  EXPECT_GT(share, 0.8);
  EXPECT_LT(share, 1.5);
}

INSTANTIATE_TEST_SUITE_P(Throughput, Lossy,
                         ::testing::Values(tcp::CongestionControl::NewReno, tcp::CongestionControl::Cubic),
                         [](const auto& i) {
                           return i.param == tcp::CongestionControl::Cubic ? "Cubic" : "NewReno";
                         });

} // namespace throughput_test
} // namespace tern::campaign
