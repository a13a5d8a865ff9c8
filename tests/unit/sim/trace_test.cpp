#include "sim/trace.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "frames.hpp"

namespace tern::sim {
namespace trace_test {

using namespace test;
namespace flag = wire::tcp_flag;

const Ip4 ip_a{10, 0, 0, 1};
const Ip4 ip_b{10, 0, 0, 2};

struct Mute {
  Attachment wire;
  void attached(const Attachment& a) { wire = a; }
  void receive(Bytes) {}
  void wake() {}
};

std::uint64_t run(std::uint64_t seed) {
  Network net{seed};
  Mute a;
  Mute b;
  LinkSettings s;
  s.loss = 0.1;
  s.jitter = Duration::ms(2);
  s.corrupt = 0.1;
  const NodeId na = net.add_host("A", ip_a, a);
  const NodeId nb = net.add_host("B", ip_b, b);
  net.add_link(na, nb, s);
  Fingerprint print;
  net.watch = [&](const Sighting& x) { print.add(x); };
  for (std::uint32_t i = 0; i < 100; ++i) a.wire.send(segment(ip_a, ip_b, tcp(i), 40));
  net.run_for(Duration::seconds(1));
  return print.value();
}

TEST(Fingerprint, SameSeedSameRunOtherSeedOtherRun) {
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

TEST(TextTrace, NumbersAreRelativeAcrossWrapAround) {
  Network net{1};
  Mute a;
  Mute b;
  net.add_host("A", ip_a, a);
  net.add_host("B", ip_b, b);
  TextTrace trace{net};
  const auto line = [&](const Frame& f) {
    return trace.line({Sighting::What::sent, Instant{} + Duration::us(1500), 0, Drop::none, f});
  };
  wire::Tcp syn = tcp(0xffff'fff0, flag::syn);
  syn.options.has = wire::TcpOptions::mss_bit | wire::TcpOptions::wscale_bit;
  syn.options.mss = 1460;
  syn.options.wscale = 7;
  EXPECT_EQ(
      line(segment(ip_a, ip_b, syn)),
      "0.001500 A        sent      10.0.0.1:1000 > 10.0.0.2:80 [S] seq 0 win 1000 len 0 <mss 1460,wscale 7>");
  wire::Tcp back = tcp(5, flag::syn | flag::ack);
  std::swap(back.src, back.dst);
  back.ack = Seq{0xffff'fff1};
  EXPECT_EQ(line(segment(ip_b, ip_a, back)),
            "0.001500 A        sent      10.0.0.2:80 > 10.0.0.1:1000 [S.] seq 0 ack 1 win 1000 len 0");
  wire::Tcp data = tcp(0xffff'fff1, flag::ack | flag::psh);
  data.ack = Seq{6};
  EXPECT_EQ(line(segment(ip_a, ip_b, data, 100)),
            "0.001500 A        sent      10.0.0.1:1000 > 10.0.0.2:80 [P.] seq 1:101 ack 1 win 1000 len 100");
}

TEST(TextTrace, SaysWhyAPacketWasLost) {
  Network net{1};
  Mute a;
  net.add_host("A", ip_a, a);
  TextTrace trace{net};
  const Frame f = segment(ip_a, ip_b, tcp());
  const std::string line = trace.line({Sighting::What::dropped, Instant{}, 0, Drop::queue_full, f});
  EXPECT_NE(line.find("DROPPED"), std::string::npos);
  EXPECT_NE(line.find("(queue full)"), std::string::npos);
}

TEST(PcapWriter, WritesHeaderAndRecordsThatHoldThePacketsWhole) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("tern-unit-sim-" + std::to_string(getpid()) + ".pcap");
  const Frame f = segment(ip_a, ip_b, tcp(), 33);
  {
    PcapWriter w{path.string()};
    w.packet(Instant{} + Duration::ms(1500), f);
    w.packet(Instant{} + Duration::ms(1501), f);
  }
  EXPECT_EQ(std::filesystem::file_size(path), 24 + 2 * (16 + f.size()));
  std::ifstream in{path, std::ios::binary};
  std::vector<std::uint32_t> words(10);
  in.read(reinterpret_cast<char*>(words.data()), 40);
  EXPECT_EQ(words[0], 0xa1b23c4du);
  EXPECT_EQ(words[5], 101u);
  EXPECT_EQ(words[6], 1u);
  EXPECT_EQ(words[7], 500'000'000u);
  EXPECT_EQ(words[8], f.size());
  std::filesystem::remove(path);
}

TEST(PcapWriter, SaysWhatItCouldNotWrite) {
  EXPECT_THROW(PcapWriter{"/nonexistent/x.pcap"}, std::runtime_error);
}

} // namespace trace_test
} // namespace tern::sim
