#include "rig.hpp"

namespace tern::rfc {
void say(Rig& r, std::uint32_t n) {
  static const std::vector<std::byte> bytes(65'536, std::byte{'x'});
  r.user([&] { ASSERT_EQ(tcp::send_static(r.env(), r.tcb, std::span{bytes}.first(n), r.now), n); });
}

void open_active(Rig& r) {
  r.user([&] { tcp::open_active(r.env(), r.tcb, our_iss, 0, interface_mss, 536, r.now); });
}

void open(Rig& r, const wire::TcpOptions& options, std::uint16_t window) {
  open_active(r);
  r.pass(Duration::ms(10));
  wire::Tcp h = header(flag::syn | flag::ack, their_iss, our_iss + 1, window);
  h.options = options;
  r.arrives(h, 0);
  ASSERT_EQ(r.tcb.state, State::Established);
}

void open_bulk(Rig& r, bool sack) {
  r.settings.sack = sack;
  wire::TcpOptions o;
  o.has = static_cast<std::uint8_t>(wire::TcpOptions::mss_bit |
                                    (sack ? wire::TcpOptions::sack_permitted_bit : 0));
  o.mss = 1460;
  open(r, o);
}

void hears(Rig& r, std::uint32_t upto, const std::vector<Held>& held, std::uint16_t window) {
  const Seq from = our_iss + 1;
  wire::Tcp h = header(flag::ack, r.tcb.rcv_nxt, from + upto, window);
  for (const Held& b : held) h.options.sack[h.options.sack_count++] = {from + b.from, from + b.to};
  r.arrives(h, 0);
}

namespace {

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
  open(r, {}, 5000);
  peer(r, flag::ack, 20);
  say(r, 100);
  r.pass(Duration::ms(10));
  acknowledge_all(r);
}

} // namespace

void enter(Rig& r, State state) {
  switch (state) {
    case State::Closed:
      break;
    case State::SynSent:
      open_active(r);
      break;
    case State::SynReceived: // by simultaneous open; the passive one is a record of its own
      open_active(r);
      r.arrives(their_iss, flag::syn, Seq{});
      break;
    case State::Established:
      establish(r);
      say(r, 200);
      break;
    case State::FinWait1:
      establish(r);
      say(r, 200);
      close(r);
      break;
    case State::FinWait2:
      establish(r);
      say(r, 200);
      close(r);
      acknowledge_all(r);
      break;
    case State::CloseWait:
      establish(r);
      say(r, 200);
      peer(r, flag::ack | flag::fin);
      break;
    case State::Closing:
      establish(r);
      say(r, 200);
      close(r);
      peer(r, flag::ack | flag::fin);
      break;
    case State::LastAck:
      establish(r);
      say(r, 200);
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
