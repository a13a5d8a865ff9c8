// One engine whose peer is the test.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>
#include <string_view>

#include "support/engine_pair.hpp"

namespace tern::tcp {

namespace flag = wire::tcp_flag;

class PeerTest : public ::testing::Test {
 protected:
  explicit PeerTest(const Settings& s = {}) : pool(2047), t(pool.pool(), s) {}

  // ESTABLISHED, by a SYN-ACK with these options that took so long.
  void open(std::uint16_t window, const wire::TcpOptions& options, Duration rtt = {}) {
    open_active(t.env, t.tcb, Seq{0xffff'ff00}, 0, 1460, 536, now);
    ASSERT_EQ(t.output(now).size(), 1U);
    now = now + rtt;
    wire::Tcp h = segment(flag::syn | flag::ack);
    h.seq = peer_iss;
    h.window = window;
    h.options = options;
    t.arrive(h, {}, now);
    ASSERT_EQ(t.tcb.state, State::Established);
    (void)t.output(now);
  }
  // A segment at rcv.nxt that acknowledges everything.
  [[nodiscard]] wire::Tcp segment(unsigned flags = flag::ack) const {
    wire::Tcp h;
    h.header_length = 20;
    h.seq = t.tcb.rcv_nxt;
    h.ack = t.tcb.snd_nxt;
    h.flags = static_cast<std::uint8_t>(flags);
    h.window = 65535;
    return h;
  }
  Outcome arrive(const wire::Tcp& h, std::string_view text = {}) {
    Packet p = pool.pool().alloc();
    std::byte* at = p.append(static_cast<std::uint16_t>(h.header_length + text.size()));
    std::memset(at, 0, h.header_length);
    std::ranges::copy(std::as_bytes(std::span{text}), at + h.header_length);
    return t.arrive(h, std::move(p), now);
  }

  tern::test::TestPool pool;
  tern::test::Host t;
  Instant now = Instant::at_ns(5'000'000'000);
  Seq peer_iss{0xffff'fff8};
};

} // namespace tern::tcp
