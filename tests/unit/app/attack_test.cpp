#include <gtest/gtest.h>

#include "app/bench/attack.hpp"
#include "app/bench/flood.hpp"
#include "app/client/settings.hpp"
#include "support/eal.hpp"
#include "wire/checksum.hpp"
#include "wire/ipv4.hpp"
#include "wire/ipv6.hpp"
#include "wire/tcp_inl.hpp"

namespace tern::app {
namespace attack_test {

using settings::Value;

TEST(Attack, WrittenFormsAreReadAndPrintedBack) {
  for (const char* text : {"syn-flood=1M", "forged-ack=100k", "rst-spray=7", "mute=10k", "slow-reader=250"}) {
    const auto a = Value<AttackSetting>::parse(text);
    ASSERT_TRUE(a) << text;
    EXPECT_EQ(Value<AttackSetting>::parse(Value<AttackSetting>::print(*a)), a) << text;
  }
  EXPECT_EQ(Value<AttackSetting>::parse("syn-flood=1M"), (AttackSetting{AttackKind::syn_flood, 1'000'000}));
  for (const char* text :
       {"", "syn-flood", "syn-flood=", "syn-flood=0", "syn-flood=max", "syn_flood=1", "teardrop=5", "=5"})
    EXPECT_FALSE(Value<AttackSetting>::parse(text)) << text;
}

// Those that rest end at once: the others send what was asked for.
TEST(Attack, CoresThatRestDropNothingOfAFlood) {
  const std::vector<AttackSetting> asked{{AttackKind::syn_flood, 10'000}, {AttackKind::mute, 5}};
  LoadPlan whole;
  whole.concurrency = 2;
  double all = 0;
  for (std::uint32_t core = 0; core < 4; ++core) all += flood_rates(asked, share_of(whole, core, 4))[0];
  EXPECT_DOUBLE_EQ(all, 10'000);
}

FloodPlan plan(bool four) {
  FloodPlan p;
  p.targets = {*Endpoint::parse(four ? "10.0.0.2:80" : "[fd00::2]:80")};
  p.spoofed = *Prefix::parse(four ? "198.18.0.0/15" : "2001:2::/108");
  p.seed = 7;
  return p;
}
ShardSettings small() {
  ShardSettings s;
  s.connections = s.syn_records = s.time_wait_records = s.long_connections = 64;
  return s;
}

// What a server's border makes of it.
struct Read {
  Ip from;
  Ip to;
  wire::Tcp tcp;
};
void read(const Packet& p, bool four, Read& out) {
  wire::Ethernet e;
  ASSERT_EQ(wire::parse_ethernet(p.bytes(), e), wire::Verdict::ok);
  const auto l3 = p.bytes().subspan(e.header_length());
  std::span<const std::byte> l4;
  if (four) {
    wire::Ipv4 h;
    ASSERT_EQ(wire::parse_ipv4(l3, h), wire::Verdict::ok);
    EXPECT_TRUE(wire::ipv4_checksum_ok(l3, h));
    EXPECT_EQ(h.total_length, l3.size());
    out.from = h.src, out.to = h.dst;
    l4 = l3.subspan(h.header_length);
  } else {
    wire::Ipv6 h;
    ASSERT_EQ(wire::parse_ipv6(l3, h), wire::Verdict::ok);
    out.from = h.src, out.to = h.dst;
    l4 = l3.subspan(wire::ipv6_length);
  }
  EXPECT_TRUE(wire::tcp_checksum_ok(out.from, out.to, l4));
  ASSERT_EQ(wire::parse_tcp(l4, out.tcp), wire::Verdict::ok);
}

TEST(Forger, WhatItSendsIsSoundAndFromNobody) {
  const test::TestPool pool;
  for (const bool four : {true, false}) {
    const FloodPlan p = plan(four);
    Forger forger(p);
    Shard none(process_arena(), small(), pool.pool(), Instant::at_ns(1));
    const std::pair<AttackKind, std::uint8_t> kinds[] = {{AttackKind::syn_flood, wire::tcp_flag::syn},
                                                         {AttackKind::forged_ack, wire::tcp_flag::ack},
                                                         {AttackKind::rst_spray, wire::tcp_flag::rst}};
    for (const auto& [kind, flags] : kinds)
      for (int i = 0; i < 100; ++i) {
        const Packet packet = forger.make(kind, none, pool.pool());
        ASSERT_TRUE(packet);
        Read r;
        ASSERT_NO_FATAL_FAILURE(read(packet, four, r));
        EXPECT_TRUE(p.spoofed.contains(r.from)) << r.from.to_string();
        EXPECT_EQ(r.to, p.targets[0].ip);
        EXPECT_EQ(r.tcp.dst, Port{80});
        EXPECT_GE(r.tcp.src.raw(), 1024);
        EXPECT_EQ(r.tcp.flags, flags);
      }
  }
}

TEST(Forger, APoolThatIsOutStopsIt) {
  const test::TestPool pool(1);
  const FloodPlan p = plan(true);
  Forger forger(p);
  Shard none(process_arena(), small(), pool.pool(), Instant::at_ns(1));
  const Packet first = forger.make(AttackKind::syn_flood, none, pool.pool());
  EXPECT_TRUE(first);
  EXPECT_FALSE(forger.make(AttackKind::syn_flood, none, pool.pool()));
}

} // namespace attack_test
} // namespace tern::app
