// One connection brought into any state by real segments, its numbers beside the wrap-around: what the tests
// against the RFC's text poke at.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sim/invariants.hpp"
#include "support/eal.hpp"
#include "tcp/engine.hpp"
#include "tcp/side_memory.hpp"
#include "wire/tcp_inl.hpp"

namespace tern::rfc {

namespace flag = wire::tcp_flag;
using tcp::State;

// Ours and theirs: within the first few hundred bytes both streams cross 2^32.
inline constexpr Seq our_iss{0xffff'ff40};
inline constexpr Seq their_iss{0xffff'ffd0};
inline constexpr std::uint16_t interface_mss = 1460;

inline PacketPool packets() {
  static test::TestPool pool{4095};
  return pool.pool();
}

// A segment as it left the engine.
struct Sent {
  wire::Tcp h;
  std::uint32_t text = 0;
  std::vector<std::byte> bytes; // that text
  bool ect = false;             // may be marked on its way
};

class Rig {
 public:
  explicit Rig(tcp::Settings s = plain_settings(),
               const tcp::SideCounts& records = tcp::SideCounts::for_busy(64))
      : settings(s), records_(records) {}
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;
  ~Rig() {
    outcome.data.clear();
    tcp::release(env(), tcb);
    EXPECT_EQ(records_.used(), 0u);
  }

  // No delay, no options: each test reads the bare protocol. Others ask for more.
  static tcp::Settings plain_settings() {
    tcp::Settings s;
    s.nagle = false;
    s.timestamps = false;
    s.window_scale = false;
    s.sack = false;
    return s;
  }

  [[nodiscard]] tcp::Env env() {
    return {settings, counters, packets(), records_.pools(), scarcity, text_at_last};
  }

  // A segment arrives. `text` bytes are those of the peer's stream at that place.
  void arrives(Seq seq, std::uint8_t flags, Seq ack, std::uint32_t text = 0, std::uint16_t window = 5000) {
    wire::Tcp h;
    h.seq = seq;
    h.flags = flags;
    h.ack = ack;
    h.window = window;
    arrives(h, text);
  }
  void arrives(const wire::Tcp& h, std::uint32_t text) {
    begin();
    Packet p;
    if (text != 0) {
      p = packets().alloc();
      ASSERT_TRUE(p);
      std::byte* at = p.append(static_cast<std::uint16_t>(text));
      for (std::uint32_t i = 0; i < text; ++i) at[i] = stream_byte(h.seq + i) ^ twist;
    }
    const tcp::Segment s{.h = h, .payload = text != 0 ? &p : nullptr, .text = text, .ce = marked};
    if (by_rfc)
      tcp::segment_arrives_by_rfc(env(), tcb, s, now, outcome);
    else
      tcp::segment_arrives(env(), tcb, s, now, outcome);
    finish();
  }
  template <class Call>
  void user(Call&& call) {
    begin();
    call();
    finish();
  }
  // Time moves to the next deadline, and it fires. False if none is set.
  bool timer_fires() {
    const std::uint32_t at = tcp::next_deadline(tcb);
    if (at == 0) return false;
    const auto wait = static_cast<std::int32_t>(at - now.ms32());
    now = now + Duration::ms(std::max(wait, 0));
    begin();
    tcp::timer_fires(env(), tcb, now, outcome);
    finish();
    return true;
  }
  void pass(Duration d) { now = now + d; }

  // What the peer's stream holds at a sequence number: so that text can be checked wherever it was cut.
  static std::byte stream_byte(Seq s) { return static_cast<std::byte>((s.raw() * 167) >> 3); }

  tcp::Settings settings;
  tcp::TcpCounters counters;
  tcp::Tcb tcb;
  Instant now = Instant{} + Duration::seconds(100);
  bool by_rfc = false;    // arrival and output without their fast paths
  bool user_reads = true; // else text stays with the user and keeps the window down
  bool marked = false;    // arrives with CE
  std::byte twist{};      // what arrives is not the stream's text but this away from it
  tcp::Scarcity scarcity = tcp::Scarcity::none;
  std::uint32_t text_at_last = 0; // of each event
  // Of the last event:
  tcp::Outcome outcome;
  std::vector<Sent> sent;
  std::vector<std::byte> taken; // handed to the user
  std::uint32_t delivered = 0;  // its length
  bool stream_intact = true;    // and always until now what the stream holds

 private:
  void begin() {
    outcome.data.clear();
    outcome = tcp::Outcome{};
    sent.clear();
    taken.clear();
    delivered = 0;
    rcv_before_ = tcb.rcv_nxt;
  }
  void finish() {
    if (outcome.has(tcp::event_data)) {
      Packet p = outcome.data.take();
      delivered = p.length();
      taken.resize(delivered);
      p.copy_out(0, taken);
      for (std::uint32_t i = 0; i < delivered; ++i) stream_intact &= taken[i] == stream_byte(rcv_before_ + i);
      tcp::Outcome release;
      if (user_reads && tcb.rcv_held >= delivered) tcp::release_received(env(), tcb, delivered, release);
    }
    tcp::TxBurst burst;
    const tcp::Env e = env();
    bool more = true;
    while (more) {
      more = by_rfc ? tcp::output_by_steps(e, tcb, now, burst) : tcp::output(e, tcb, now, burst);
      if (burst.size() == 0) break;
      for (std::size_t i = 0; i < burst.size(); ++i) {
        Sent s;
        ASSERT_EQ(wire::parse_tcp(burst[i].bytes(), s.h), wire::Verdict::ok);
        s.text = burst[i].length() - s.h.header_length;
        s.bytes.resize(s.text);
        burst[i].copy_out(s.h.header_length, s.bytes);
        s.ect = burst.ect(i);
        sent.push_back(s);
      }
      burst.clear();
    }
    if (!tcp_over()) {
      const auto broken = sim::broken_invariant(env(), tcb);
      EXPECT_FALSE(broken) << *broken;
    }
  }
  [[nodiscard]] bool tcp_over() const { return tcb.state == State::Closed; }

  tcp::SideMemory records_;
  Seq rcv_before_;
};

// What every segment of a test's own begins with: at `seq`, with `ack`.
inline wire::Tcp header(std::uint8_t flags, Seq seq, Seq ack = Seq{}, std::uint16_t window = 65'535) {
  wire::Tcp h;
  h.flags = flags;
  h.seq = seq;
  h.ack = ack;
  h.window = window;
  return h;
}

// Queues `n` bytes for the peer.
void say(Rig&, std::uint32_t n);
void open_active(Rig&); // → SYN-SENT
// … and → ESTABLISHED, by a SYN-ACK that comes 10 ms later.
void open(Rig&, const wire::TcpOptions& = {}, std::uint16_t window = 65'535);
// … where both sides have SACK, if asked for, and the peer takes 1460 bytes in a segment.
void open_bulk(Rig&, bool sack);

// Bytes of our stream, from its first.
struct Held {
  std::uint32_t from;
  std::uint32_t to;
};
// The peer acknowledges our text up to `upto`, and reports what it holds, a duplicate first.
void hears(Rig&, std::uint32_t upto, const std::vector<Held>& held = {}, std::uint16_t window = 65'535);

// Brings the connection into `state` as its life would: what was sent lies around the wrap-around, and where
// the state lets something be outstanding, 200 bytes (and the FIN) are.
void enter(Rig&, State);

} // namespace tern::rfc
