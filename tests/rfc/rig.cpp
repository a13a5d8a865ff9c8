#include "rig.hpp"

namespace tern::rfc {
namespace {

void send(Rig& r, std::uint32_t n) {
  static const std::vector<std::byte> bytes(4096, std::byte{'x'});
  r.user([&] { ASSERT_EQ(tcp::send_static(r.env(), r.tcb, std::span{bytes}.first(n), r.now), n); });
}

void close(Rig& r) {
  r.user([&] { tcp::close(r.env(), r.tcb, r.now, r.outcome); });
}

void peer(Rig& r, std::uint8_t flags, std::uint32_t text = 0) {
  r.arrives(r.tcb.rcv_nxt, flags, r.tcb.snd_una, text);
}

void acknowledge_all(Rig& r) {
  r.arrives(r.tcb.rcv_nxt, flag::ack, r.tcb.snd_nxt);
}

// The peer has sent 20 bytes; we have sent 300, of which 100 are acknowledged. Both ends straddle 2^32.
void establish(Rig& r) {
  r.user([&] { tcp::open_active(r.env(), r.tcb, our_iss, 0, interface_mss, r.now); });
  r.pass(Duration::ms(10));
  r.arrives(their_iss, flag::syn | flag::ack, our_iss + 1);
  peer(r, flag::ack, 20);
  send(r, 100);
  r.pass(Duration::ms(10));
  acknowledge_all(r);
}

} // namespace

void enter(Rig& r, State state) {
  switch (state) {
    case State::Closed:
      break;
    case State::SynSent:
      r.user([&] { tcp::open_active(r.env(), r.tcb, our_iss, 0, interface_mss, r.now); });
      break;
    case State::SynReceived: // by simultaneous open; the passive one is a record of its own
      r.user([&] { tcp::open_active(r.env(), r.tcb, our_iss, 0, interface_mss, r.now); });
      r.arrives(their_iss, flag::syn, Seq{});
      break;
    case State::Established:
      establish(r);
      send(r, 200);
      break;
    case State::FinWait1:
      establish(r);
      send(r, 200);
      close(r);
      break;
    case State::FinWait2:
      establish(r);
      send(r, 200);
      close(r);
      acknowledge_all(r);
      break;
    case State::CloseWait:
      establish(r);
      send(r, 200);
      peer(r, flag::ack | flag::fin);
      break;
    case State::Closing:
      establish(r);
      send(r, 200);
      close(r);
      peer(r, flag::ack | flag::fin);
      break;
    case State::LastAck:
      establish(r);
      send(r, 200);
      peer(r, flag::ack | flag::fin);
      close(r);
      break;
    case State::Listen:
    case State::TimeWait:
      FAIL() << "a machine of its own";
  }
  ASSERT_EQ(r.tcb.state, state);
  r.pass(Duration::ms(10));
}

} // namespace tern::rfc
