// One engine under arbitrary segments, user's calls, ICMP and clocks. What arrives says of every sequence
// number the same byte, and so does what is sent, so text that goes astray is seen at once; after every step
// the simulator's invariants hold, and at the end every record and packet is back.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/check.hpp"
#include "fuzz.hpp"
#include "sim/invariants.hpp"
#include "support/eal.hpp"
#include "tcp/engine.hpp"
#include "tcp/side_memory.hpp"
#include "wire/tcp_inl.hpp"

namespace tern::tcp {
namespace {

namespace flag = wire::tcp_flag;
using O = wire::TcpOptions;

using fuzz::Input;

std::byte byte_at(Seq s) {
  return static_cast<std::byte>((s.raw() * 0x9e3779b1U) >> 24);
}
// For StaticBytes, whose place in the sequence is not known: repeats every 256 bytes.
std::byte sent_byte_at(Seq s) {
  return static_cast<std::byte>(s.raw() & 0xff);
}
const std::array<std::byte, 8192>& static_text() {
  static const std::array<std::byte, 8192> text = [] {
    std::array<std::byte, 8192> t{};
    for (std::size_t i = 0; i < t.size(); ++i) t[i] = static_cast<std::byte>(i & 0xff);
    return t;
  }();
  return text;
}

PacketPool packets() {
  static test::TestPool& pool = *new test::TestPool(4095);
  return pool.pool();
}
SideMemory& side() {
  static SideMemory& memory = *new SideMemory(4U);
  return memory;
}

struct World {
  Settings settings;
  TcpCounters counters;
  Env env{.settings = settings, .counters = counters, .packets = packets(), .side = side().pools()};
  Tcb t;
  Instant now = Instant::at_ns(0xffff'ff00LL * 1'000'000); // the ms clock is about to wrap
  std::uint32_t held = 0;
  bool reads_at_once = true;
  bool eof = false; // the user was told that the peer closed

  void note(Outcome& out, Seq text_from) {
    const bool ended = std::exchange(eof, eof || out.has(event_peer_closed));
    TERN_CHECK(!ended || !out.has(event_data)); // nothing follows a FIN
    if (!out.has(event_data)) return;
    Packet data = out.data.take();
    std::array<std::byte, 4096> buffer;
    for (std::uint32_t at = 0; at < data.length();) {
      const std::uint32_t n = data.copy_out(at, buffer);
      for (std::uint32_t i = 0; i < n; ++i) TERN_CHECK(buffer[i] == byte_at(text_from + at + i));
      at += n;
    }
    held += data.length();
    if (reads_at_once) release(out, held);
  }
  void release(Outcome& out, std::uint32_t n) {
    release_received(env, t, n, out);
    held -= n;
  }

  void check_sent(Packet& p) {
    wire::Tcp h;
    TERN_CHECK(p.pull(static_cast<std::uint16_t>(std::min<std::uint32_t>(60, p.length())), env.packets));
    TERN_CHECK(wire::parse_tcp(p.bytes(), h) == wire::Verdict::ok);
    const std::uint32_t text = p.length() - h.header_length;
    TERN_CHECK(text <= std::max<std::uint32_t>(t.mss, 1460));
    std::array<std::byte, 2048> buffer;
    const std::uint32_t n = p.copy_out(h.header_length, buffer);
    for (std::uint32_t i = 0; i < n; ++i) TERN_CHECK(buffer[i] == sent_byte_at(h.seq + i));
    TERN_CHECK(!h.has(flag::fin) || h.seq + text == t.snd_end);
    TERN_CHECK((h.seq + text).at_or_before(t.snd_nxt));
  }
  void output() {
    TxBurst burst;
    for (int turns = 0;; ++turns) {
      TERN_CHECK(turns < 10'000); // it comes to an end
      const bool more = tcp::output(env, t, now, burst);
      const std::size_t n = burst.size();
      for (std::size_t i = 0; i < n; ++i) check_sent(burst[i]);
      burst.clear();
      if (!more || n == 0) break;
    }
    if (const auto broken = sim::broken_invariant(env, t)) {
      std::fprintf(stderr, "%s: %s\n", name_of(t.state), broken->c_str());
      TERN_CHECK(false);
    }
  }
};

void open(World& w, Input& in) {
  tcp::release(w.env, w.t);
  w.held = 0;
  w.eof = false;
  const auto how = in.take();
  const Seq iss{(how & 1) != 0 ? 0xffff'ff00U + how : in.take<std::uint32_t>()};
  if ((how & 6) != 0) {
    open_active(w.env, w.t, iss, how, 1460, 536, w.now);
    return;
  }
  Handshake hs{.iss = iss, .irs = Seq{in.take<std::uint32_t>()}};
  hs.peer_mss = in.take<std::uint16_t>();
  hs.snd_scale = how >> 3 & 7;
  hs.rcv_scale = (how & 64) != 0 ? 7 : 0;
  hs.scaled = (how & 64) != 0;
  hs.sack = (how & 128) != 0;
  const auto syn_window = in.take<std::uint16_t>();
  hs.syn_window = syn_window;
  open_passive(w.env, w.t, hs, 1460, w.now);
  // The caller's promise: the segment that proves the handshake follows.
  wire::Tcp h;
  h.seq = hs.irs + 1;
  h.ack = iss + 1;
  h.flags = flag::ack;
  h.window = syn_window;
  Outcome out;
  segment_arrives(w.env, w.t, Segment{.h = h}, w.now, out);
  TERN_CHECK(w.t.state == State::Established);
}

void segment(World& w, Input& in) {
  wire::Tcp h;
  const auto how = in.take();
  h.flags = (how & 1) != 0 ? in.take() : static_cast<std::uint8_t>(flag::ack | (how & 2 ? flag::psh : 0));
  // Near what the engine waits for, or anywhere.
  h.seq = (how & 4) != 0 ? w.t.rcv_nxt + static_cast<std::uint32_t>(in.take<std::int16_t>()) : w.t.rcv_nxt;
  h.ack = (how & 8) != 0 ? w.t.snd_una + static_cast<std::uint32_t>(in.take<std::int16_t>()) : w.t.snd_nxt;
  if (how == 0xff) h.seq = Seq{in.take<std::uint32_t>()}, h.ack = Seq{in.take<std::uint32_t>()};
  h.window = (how & 16) != 0 ? in.take<std::uint16_t>() : 0xffff;
  if (h.has(flag::syn)) {
    h.options.has = in.take();
    h.options.mss = in.take<std::uint16_t>();
    h.options.wscale = in.take();
  }
  if (w.t.has(flag_timestamps) || (h.options.has & O::timestamps_bit) != 0) {
    h.options.has |= O::timestamps_bit;
    h.options.ts_val =
        w.t.ts_recent + static_cast<std::uint32_t>((how & 32) != 0 ? in.take<std::int8_t>() : 0);
    h.options.ts_ecr = w.now.ms32() + w.t.ts_offset - ((how & 64) != 0 ? in.take<std::uint16_t>() : 0);
  }
  if ((how & 128) != 0) {
    h.options.sack_count = in.take() % 4;
    for (std::uint8_t i = 0; i < h.options.sack_count; ++i) {
      const Seq left = w.t.snd_una + static_cast<std::uint32_t>(in.take<std::int16_t>());
      h.options.sack[i] = {left, left + in.take<std::uint16_t>()};
    }
  }
  const std::uint32_t text = (how & 2) != 0 ? in.take<std::uint16_t>() % 1500 : 0;
  Packet p;
  if (text != 0) {
    p = packets().alloc();
    std::byte* at = p.append(static_cast<std::uint16_t>(text));
    const Seq first = h.seq + (h.has(flag::syn) ? 1U : 0U);
    for (std::uint32_t i = 0; i < text; ++i) at[i] = byte_at(first + i);
  }
  Outcome out;
  const bool opening = w.t.state == State::SynSent;
  const Seq before = w.t.rcv_nxt;
  const Segment s{.h = h, .payload = text != 0 ? &p : nullptr, .text = text, .ce = (how & 96) == 96};
  segment_arrives(w.env, w.t, s, w.now, out);
  w.note(out, opening ? h.seq + 1 : before);
}

void send(World& w, Input& in, unsigned how) {
  const Seq at = w.t.snd_end;
  const std::size_t n = in.take<std::uint16_t>() % 4096;
  const auto text = std::span{static_text()}.subspan(at.raw() & 0xff, n);
  if (how == 0) {
    (void)send_copy(w.env, w.t, text, w.now);
  } else if (how == 1) {
    (void)send_static(w.env, w.t, text, w.now);
  } else if (n != 0) {
    Packet p = packets().alloc();
    if (p.append_copy(text, packets())) (void)send_packet(w.env, w.t, p, false, w.now);
  }
}

void step(World& w, Input& in) {
  Outcome out;
  const auto what = in.take() % 24;
  switch (what) {
    case 0: {
      const std::uint32_t at = next_deadline(w.t); // to the next deadline
      if (at != 0) w.now = w.now + Duration::ms(std::max(0, static_cast<std::int32_t>(at - w.now.ms32())));
      timer_fires(w.env, w.t, w.now, out);
      break;
    }
    case 1:
      w.now = w.now + Duration::us(in.take<std::uint16_t>() * 16LL);
      timer_fires(w.env, w.t, w.now, out);
      break;
    case 2:
    case 3:
    case 4:
      send(w, in, static_cast<unsigned>(what) - 2);
      break;
    case 5:
      close(w.env, w.t, w.now, out);
      break;
    case 6:
      if (in.take() < 32) abort(w.env, w.t, out);
      break;
    case 7:
      if (const std::uint8_t how = in.take(); how < 64)
        orphan(w.env, w.t, how < 32 ? Farewell::Reset : Farewell::Drain, w.now, out);
      break;
    case 8:
      w.reads_at_once = !w.reads_at_once;
      break;
    case 9:
      w.release(out, std::min<std::uint32_t>(w.held, in.take<std::uint16_t>()));
      break;
    case 10:
      pause_reading(w.t);
      break;
    case 11:
      resume_reading(w.env, w.t, out);
      break;
    case 12:
      path_mtu_reduced(w.env, w.t, w.t.snd_una + in.take(), in.take<std::uint16_t>(), w.now, out);
      break;
    case 13:
      if (in.take() < 32)
        icmp_unreachable(w.env, w.t, w.t.snd_una + in.take(), CloseReason::Unreachable, out);
      break;
    default:
      segment(w, in);
  }
  w.output();
  if (w.t.state == State::Closed || w.t.state == State::TimeWait) {
    open(w, in);
    w.output();
  }
}

} // namespace
} // namespace tern::tcp

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tern::tcp;
  Input in{data, size};
  World w;
  const auto bits = in.take();
  w.settings.timestamps = (bits & 1) == 0;
  w.settings.sack = (bits & 2) == 0;
  w.settings.window_scale = (bits & 4) == 0;
  w.settings.ecn = (bits & 8) != 0;
  w.settings.nagle = (bits & 16) == 0;
  w.settings.congestion = (bits & 32) != 0 ? CongestionControl::NewReno : CongestionControl::Cubic;
  if ((bits & 64) != 0) w.settings.receive_buffer = 1 + in.take<std::uint16_t>();
  if ((bits & 128) != 0) {
    w.settings.send_buffer = 1 + in.take<std::uint16_t>();
    w.settings.keepalive_idle = tern::Duration::seconds(1);
    w.settings.close_wait = tern::Duration::seconds(3);
    w.settings.user_timeout = tern::Duration::seconds(in.take());
  }
  open(w, in);
  w.output();
  while (!in.empty()) step(w, in);
  release(w.env, w.t);
  TERN_CHECK(side().used() == 0);
  TERN_CHECK(packets().used() == 0);
  return 0;
}
