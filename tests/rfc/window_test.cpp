// RFC 7323 §2.2: the window of a segment with SYN is never scaled.
#include "rig.hpp"

namespace tern::rfc {
namespace {

TEST(SynSent, SynAckHasAnUnscaledWindow) {
  tcp::Settings s = Rig::plain_settings();
  s.window_scale = true;
  Rig r{s};
  r.user([&] { tcp::open_active(r.env(), r.tcb, our_iss, 0, interface_mss, r.now); });
  wire::Tcp syn_ack;
  syn_ack.seq = their_iss;
  syn_ack.ack = our_iss + 1;
  syn_ack.flags = flag::syn | flag::ack;
  syn_ack.window = 50'000;
  syn_ack.options.has = wire::TcpOptions::mss_bit | wire::TcpOptions::wscale_bit;
  syn_ack.options.mss = 1460;
  syn_ack.options.wscale = 4;
  r.arrives(syn_ack, 0);
  ASSERT_EQ(r.tcb.state, State::Established);
  EXPECT_EQ(r.tcb.snd_wnd, 50'000u);
  EXPECT_EQ(r.tcb.max_snd_wnd, 50'000u);
}

TEST(SynReceived, SynAckOfSimultaneousOpenHasAnUnscaledWindow) {
  tcp::Settings s = Rig::plain_settings();
  s.window_scale = true;
  Rig r{s};
  r.user([&] { tcp::open_active(r.env(), r.tcb, our_iss, 0, interface_mss, r.now); });
  wire::Tcp syn;
  syn.seq = their_iss;
  syn.flags = flag::syn;
  syn.window = 50'000;
  syn.options.has = wire::TcpOptions::mss_bit | wire::TcpOptions::wscale_bit;
  syn.options.mss = 1460;
  syn.options.wscale = 4;
  r.arrives(syn, 0);
  ASSERT_EQ(r.tcb.state, State::SynReceived);
  syn.flags |= flag::ack;
  syn.ack = our_iss + 1;
  r.arrives(syn, 0);
  ASSERT_EQ(r.tcb.state, State::Established);
  EXPECT_EQ(r.tcb.snd_wnd, 50'000u); // and not sixteen times that
  EXPECT_EQ(r.tcb.max_snd_wnd, 50'000u);
  r.arrives(r.tcb.rcv_nxt, flag::ack, r.tcb.snd_una, 0, 3000);
  EXPECT_EQ(r.tcb.snd_wnd, 48'000u);
}

} // namespace
} // namespace tern::rfc
