#include "io/negotiation.hpp"

#include <gtest/gtest.h>

#include "io/error.hpp"

namespace tern::io {
namespace negotiation_test {

// A NIC that does everything.
PortCapabilities grand() {
  PortCapabilities c;
  c.driver = "net_grand";
  c.max_rx_queues = c.max_tx_queues = 16;
  c.max_mtu = 9600;
  c.rx_ip_checksum = c.rx_tcp_checksum = c.tx_ip_checksum = c.tx_tcp_checksum = true;
  c.tso = c.scatter = c.multi_segment_tx = c.vlan_strip = c.vlan_insert = true;
  c.link_interrupt = c.rx_interrupt = c.rss_tcp4 = c.rss_tcp6 = true;
  c.rss_key_bytes = 40;
  c.reta_entries = 128;
  return c;
}
PortRequest two_queues() {
  PortRequest r;
  r.name = "p";
  r.queues = 2;
  return r;
}
std::string error_of(const PortCapabilities& c, const PortRequest& r) {
  try {
    (void)negotiate(c, r);
  } catch (const Error& e) {
    return e.what();
  }
  return {};
}

TEST(Negotiate, EverythingIsTakenWhereItIsOffered) {
  PortRequest r = two_queues();
  r.vlan = r.wakes = true;
  r.vlan_id = 7;
  r.tso = Offload::automatic;
  const PortPlan p = negotiate(grand(), r);
  EXPECT_EQ(describe(0, "net_grand", p),
            "port 0 net_grand: 2 queues, mtu 1500, rss hardware, rx-csum hardware, tx-csum hardware, tso "
            "hardware, vlan hardware, link interrupt, wake interrupt");
}

TEST(Negotiate, NothingIsAssumedWhereNothingIsOffered) {
  PortCapabilities c;
  c.driver = "net_poor";
  PortRequest r;
  r.vlan = r.wakes = true;
  r.vlan_id = 7;
  EXPECT_EQ(describe(3, "net_poor", negotiate(c, r)),
            "port 3 net_poor: 1 queue, mtu 1500, rss off, rx-csum software, tx-csum software, tso software, "
            "vlan software, link polled, wake timer, tx copied to one segment");
}

TEST(Negotiate, ATagIsThePortsOnlyIfItDoesBothAndThereIsOne) {
  PortRequest r;
  EXPECT_EQ(negotiate(grand(), r).vlan, Where::off);
  r.vlan = true;
  EXPECT_EQ(negotiate(grand(), r).vlan, Where::software); // two tags
  r.vlan_id = 7;
  EXPECT_EQ(negotiate(grand(), r).vlan, Where::hardware);
  EXPECT_EQ(negotiate(grand(), r).vlan_id, 7);
  PortCapabilities half = grand();
  half.vlan_insert = false;
  EXPECT_EQ(negotiate(half, r).vlan, Where::software);
  half = grand();
  half.vlan_strip = false;
  EXPECT_EQ(negotiate(half, r).vlan, Where::software);
  r.vlan_tag = Offload::never;
  EXPECT_EQ(negotiate(grand(), r).vlan, Where::software);
  EXPECT_EQ(negotiate(grand(), r).vlan_id, 0);
}

TEST(Negotiate, ChecksumsThatNetTapGetsWrongAreOurs) {
  PortCapabilities c = grand();
  c.driver = "net_tap";
  const PortPlan p = negotiate(c, PortRequest{});
  EXPECT_EQ(p.tx_tcp_checksum, Where::software);
  EXPECT_EQ(p.tx_ip_checksum, Where::software);
  EXPECT_EQ(p.rx_tcp_checksum, Where::software);
  EXPECT_EQ(p.tso, Where::software);
}

TEST(Negotiate, PartialChecksumsAreNamedSo) {
  PortCapabilities c = grand();
  c.rx_tcp_checksum = false;
  c.tx_ip_checksum = false;
  PortRequest r = two_queues();
  r.tso = Offload::automatic;
  const PortPlan p = negotiate(c, r);
  const std::string s = describe(0, "x", p);
  EXPECT_NE(s.find("rx-csum partial, tx-csum partial"), std::string::npos) << s;
  EXPECT_EQ(p.tso, Where::software); // a NIC that cuts must fill in both
}

TEST(Negotiate, RssNeedsBothFamiliesKeyAndTableAndAllQueues) {
  const auto rss_without = [](auto spoil) {
    PortCapabilities c = grand();
    spoil(c);
    return negotiate(c, two_queues()).rss;
  };
  EXPECT_EQ(rss_without([](PortCapabilities&) {}), Where::hardware);
  EXPECT_EQ(rss_without([](PortCapabilities& c) { c.rss_tcp4 = false; }), Where::software);
  EXPECT_EQ(rss_without([](PortCapabilities& c) { c.rss_tcp6 = false; }), Where::software);
  EXPECT_EQ(rss_without([](PortCapabilities& c) { c.rss_key_bytes = 0; }), Where::software);
  EXPECT_EQ(rss_without([](PortCapabilities& c) { c.reta_entries = 0; }), Where::software);
  EXPECT_EQ(rss_without([](PortCapabilities& c) { c.max_rx_queues = 1; }), Where::software);
}

TEST(Negotiate, FewerQueuesThanAskedForIsNoted) {
  PortCapabilities c = grand();
  c.max_tx_queues = 3;
  PortRequest r = two_queues();
  r.queues = 8;
  const PortPlan p = negotiate(c, r);
  EXPECT_EQ(p.queues, 3);
  EXPECT_EQ(p.rss, Where::software);
  ASSERT_EQ(p.notes.size(), 1U);
  EXPECT_NE(p.notes[0].find("8 queues"), std::string::npos);
}

TEST(Negotiate, LargeMtuTakesChainsOrIsRefused) {
  PortRequest r = two_queues();
  r.mtu = 9000;
  EXPECT_TRUE(negotiate(grand(), r).scatter);
  PortCapabilities c = grand();
  c.scatter = false;
  EXPECT_NE(error_of(c, r).find("cannot receive into chains"), std::string::npos);
  r.buffer_room = 9216;
  EXPECT_FALSE(negotiate(c, r).scatter);
  c.max_mtu = 4000;
  EXPECT_NE(error_of(c, r).find("at most 4000"), std::string::npos);
  EXPECT_EQ(error_of(c, r).find("framesz"), std::string::npos);
  EXPECT_NE(error_of(c, r).find("--mtu 4000"), std::string::npos);
  c.driver = "net_tap";
  EXPECT_NE(error_of(c, r).find("net_af_packet on a veth pair"), std::string::npos);
  c.driver = "net_af_packet"; // there is a cure
  EXPECT_NE(error_of(c, r).find("framesz=9216"), std::string::npos);
  r.mtu = 100;
  EXPECT_NE(error_of(c, r).find("576..9216"), std::string::npos);
}

TEST(Negotiate, SegmentsAreCutByThePortThatCan) {
  PortCapabilities c = grand();
  c.tx_pieces = 40;
  c.tx_segment_pieces = 8;
  const PortPlan p = negotiate(c, two_queues());
  EXPECT_EQ(p.tso, Where::hardware);
  EXPECT_EQ(p.tso_limits.pieces, 40);
  EXPECT_EQ(p.tso_limits.segment_pieces, 8);
  EXPECT_TRUE(p.tso_limits.ip6);
  PortRequest sums_are_ours = two_queues();
  sums_are_ours.checksums = Offload::never;
  EXPECT_EQ(negotiate(c, sums_are_ours).tso, Where::software);
  c.multi_segment_tx = false;
  EXPECT_EQ(negotiate(c, two_queues()).tso, Where::software);
}

// What it cuts in software is dearer than what we do; asked for, it is given what it can.
TEST(Negotiate, NetTapCutsOnlyWhenItIsAsked) {
  PortCapabilities c = grand();
  c.driver = "net_tap";
  PortRequest r = two_queues();
  EXPECT_EQ(negotiate(c, r).tso, Where::software);
  r.tso = Offload::required;
  const PortPlan p = negotiate(c, r);
  EXPECT_EQ(p.tso, Where::hardware);
  EXPECT_EQ(p.tx_tcp_checksum, Where::software); // of what is not cut
  EXPECT_FALSE(p.tso_limits.ip6);
  EXPECT_EQ(p.tso_limits.segment_pieces, 1);
  EXPECT_EQ(p.tso_limits.frame, 1500);
}

TEST(Negotiate, WhatTheUserForbidsStaysSoftware) {
  PortRequest r = two_queues();
  r.checksums = r.rss = r.tso = Offload::never;
  const PortPlan p = negotiate(grand(), r);
  EXPECT_EQ(p.rx_tcp_checksum, Where::software);
  EXPECT_EQ(p.tx_tcp_checksum, Where::software);
  EXPECT_EQ(p.rss, Where::software);
  EXPECT_EQ(p.tso, Where::software);
}

TEST(Negotiate, NoQueueIsAnError) {
  PortRequest r = two_queues();
  r.queues = 0;
  EXPECT_NE(error_of(grand(), r).find("at least one queue"), std::string::npos);
  PortCapabilities c = grand();
  c.max_tx_queues = 0;
  EXPECT_NE(error_of(c, two_queues()).find("no queue to give"), std::string::npos);
}

} // namespace negotiation_test
} // namespace tern::io
