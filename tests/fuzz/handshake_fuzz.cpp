// LISTEN, SYN-RECEIVED and TIME-WAIT under arbitrary segments, timers, clocks and limits: one tuple, which is
// at any time in one of the three. After every step what must hold of each machine is checked, and every
// reply goes through the emitter and back.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/check.hpp"
#include "fuzz.hpp"
#include "tcp/listen.hpp"
#include "tcp/reply.hpp"
#include "tcp/syn_received.hpp"
#include "tcp/time_wait.hpp"
#include "wire/tcp_inl.hpp"

namespace tern::tcp {
namespace {

namespace flag = wire::tcp_flag;
using O = wire::TcpOptions;

using fuzz::Input;

constexpr Tuple4 tuple{{0x0100'000a'0200'000a}, 0x5000'0004};

struct World {
  enum class In { Listen, SynReceived, TimeWait };

  Settings settings;
  TcpCounters counters;
  Env env{.settings = settings, .counters = counters, .packets = {}, .side = {}};
  SynGate gate{derive_secrets({1, 2}), 0xffff'fffe};
  CookieMode mode = CookieMode::Auto;
  ListenRoom room;
  ListenOutcome out;
  Instant now = Instant::at_ns(0xffff'ff00LL * 1'000'000); // the ms clock is about to wrap
  In in = In::Listen;
  SynRecord syn;
  TimeWaitRecord time_wait;
  Seq seq_seen; // numbers worth coming back to
  Seq ack_seen;
  std::uint32_t ts_seen = 0;
  std::int64_t second = -1; // and how many replies the record sent in it
  unsigned replies = 0;

  [[nodiscard]] std::uint64_t counted() const {
    std::uint64_t n = 0;
    for (std::size_t i = 0; i < TcpCounters::size; ++i) n += counters.get(static_cast<Counter>(i));
    return n;
  }
};

wire::Tcp take_header(World& w, Input& in) {
  wire::Tcp h;
  h.flags = in.take();
  const auto how = in.take();
  // Near what the machines wait for, or anywhere.
  h.seq = (how & 1) != 0 ? Seq{in.take<std::uint32_t>()}
                         : w.seq_seen + static_cast<std::uint32_t>(in.take<std::int8_t>());
  h.ack = (how & 2) != 0 ? Seq{in.take<std::uint32_t>()}
                         : w.ack_seen + static_cast<std::uint32_t>(in.take<std::int8_t>());
  h.window = in.take<std::uint16_t>();
  h.options.has = in.take();
  h.options.mss = in.take<std::uint16_t>();
  h.options.wscale = in.take();
  h.options.ts_val = in.take<std::uint32_t>();
  h.options.ts_ecr = (how & 4) != 0 ? in.take<std::uint32_t>() : w.ts_seen;
  return h;
}

void check_reply(World& w, const wire::Tcp& to, const wire::Tcp& r) {
  // Nothing answers a RST, but for RFC 5961's challenge to one that is in the window and not exact.
  TERN_CHECK(!to.has(flag::rst) || (w.in == World::In::SynReceived && r.flags == flag::ack));
  std::array<std::byte, wire::tcp_max_header> bytes;
  const std::size_t n = wire::emit_tcp(r, bytes.data());
  TERN_CHECK(n == wire::emitted_length(r) && n <= bytes.size());
  wire::Tcp back;
  TERN_CHECK(wire::parse_tcp({bytes.data(), n}, back) == wire::Verdict::ok);
  back.header_length = r.header_length;
  TERN_CHECK(back == r);
  if (r.has(flag::rst)) {
    TERN_CHECK(r.flags == (to.has(flag::ack) ? flag::rst : flag::rst | flag::ack));
    TERN_CHECK(!to.has(flag::ack) || r.seq == to.ack);
  } else {
    TERN_CHECK(r.has(flag::ack) && !r.has(flag::fin));
    TERN_CHECK(!r.has(flag::syn) || (to.has(flag::syn) && !to.has(flag::ack) && r.ack == to.seq + 1));
    w.ack_seen = r.seq + 1;
    w.seq_seen = r.ack;
    w.ts_seen = r.options.ts_val;
  }
}

void check_handshake(const Handshake& hs) {
  TERN_CHECK(hs.peer_mss >= 88 && hs.snd_scale <= 14 && hs.rcv_scale <= 14);
  TERN_CHECK(hs.scaled || (hs.snd_scale == 0 && hs.rcv_scale == 0));
}

// A connection is made, lives and ends at once: TIME-WAIT.
void live_and_die(World& w, const Handshake& hs, Input& in) {
  check_handshake(hs);
  w.time_wait = make_time_wait(w.env, {.snd_nxt = hs.iss + 2 + in.take<std::uint16_t>(),
                                       .rcv_nxt = hs.irs + 2 + in.take<std::uint16_t>(),
                                       .rcv_wnd = in.take<std::uint32_t>(),
                                       .ts_recent = hs.ts_recent,
                                       .ts_recent_at_ms = w.now.ms32(),
                                       .ts_offset = hs.ts_offset,
                                       .timestamps = hs.timestamps});
  w.seq_seen = w.time_wait.rcv_nxt;
  w.ack_seen = w.time_wait.snd_nxt;
  w.in = World::In::TimeWait;
}

void take_record(World& w, const Segment& s) {
  TERN_CHECK(s.h.has(flag::syn) && (s.h.flags & (flag::ack | flag::rst | flag::fin)) == 0);
  TERN_CHECK(w.room.record && w.room.accept);
  w.syn = w.out.record;
  TERN_CHECK(w.syn.irs == s.h.seq);
  check_handshake(handshake_of(w.settings, w.syn));
  check_reply(w, s.h, syn_ack(w.settings, w.out.record, w.room.mtu_mss, w.now));
  w.second = -1;
  w.in = World::In::SynReceived;
}

void at_listen(World& w, const Segment& s, Input& in) {
  const bool live = w.gate.cookies_live(w.mode);
  switch (listen_arrives(w.env, w.gate, w.mode, w.room, tuple, s, w.now, w.out)) {
    case ListenVerdict::Drop:
      break;
    case ListenVerdict::Reply:
      TERN_CHECK(!w.out.reply.has(flag::syn) || w.mode != CookieMode::Never);
      check_reply(w, s.h, w.out.reply);
      break;
    case ListenVerdict::Record:
      TERN_CHECK(w.mode != CookieMode::Always);
      take_record(w, s);
      break;
    case ListenVerdict::Complete:
      TERN_CHECK(live && w.room.accept && s.h.has(flag::ack) && (s.h.flags & (flag::rst | flag::syn)) == 0);
      TERN_CHECK(w.out.handshake.iss + 1 == s.h.ack && w.out.handshake.irs + 1 == s.h.seq);
      live_and_die(w, w.out.handshake, in);
  }
}

void at_syn_received(World& w, const Segment& s, Input& in) {
  const Seq iss = w.syn.iss;
  heed_cookie(w.env, w.gate, w.mode, tuple, s, w.now, w.syn);
  TERN_CHECK(w.syn.iss == iss || (w.gate.cookies_live(w.mode) && w.syn.iss + 1 == s.h.ack));
  const SynRecord before = w.syn;
  const SynVerdict v =
      syn_received_arrives(w.env, w.syn, s, w.room.mtu_mss, w.room.accept, w.now, w.out.reply);
  TERN_CHECK(w.syn.iss == before.iss && w.syn.irs == before.irs && w.syn.retries == before.retries);
  switch (v) {
    case SynVerdict::Drop:
      break;
    case SynVerdict::Reply: {
      check_reply(w, s.h, w.out.reply);
      const std::int64_t second = w.now.since_origin_ns() / 1'000'000'000;
      if (second != w.second) w.second = second, w.replies = 0;
      TERN_CHECK(++w.replies <= 10);
      break;
    }
    case SynVerdict::Closed:
      TERN_CHECK(s.h.has(flag::rst) && s.h.seq == before.irs + 1);
      w.in = World::In::Listen;
      break;
    case SynVerdict::Complete:
      TERN_CHECK(w.room.accept && (s.h.flags & (flag::ack | flag::rst | flag::syn)) == flag::ack);
      TERN_CHECK(s.h.ack == before.iss + 1);
      live_and_die(w, handshake_of(w.settings, w.syn), in);
  }
}

void at_time_wait(World& w, const Segment& s) {
  const TimeWaitRecord before = w.time_wait;
  const TimeWaitVerdict v = time_wait_arrives(w.env, w.time_wait, s, w.now, w.out.reply);
  TERN_CHECK(w.time_wait.snd_nxt == before.snd_nxt && w.time_wait.rcv_nxt == before.rcv_nxt);
  const bool dated = before.timestamps != 0 && (s.h.options.has & O::timestamps_bit) != 0;
  const bool older = dated && static_cast<std::int32_t>(s.h.options.ts_val - before.ts_recent) < 0;
  switch (v) {
    case TimeWaitVerdict::Drop:
      break;
    case TimeWaitVerdict::Restart:
      TERN_CHECK(s.h.has(flag::fin) && s.end() == before.rcv_nxt && !older);
      [[fallthrough]];
    case TimeWaitVerdict::Reply:
      TERN_CHECK(s.len() != 0 && w.out.reply.flags == flag::ack);
      check_reply(w, s.h, w.out.reply);
      break;
    case TimeWaitVerdict::Reuse: {
      TERN_CHECK((s.h.flags & (flag::syn | flag::ack | flag::rst | flag::fin)) == flag::syn);
      TERN_CHECK(!(older && w.settings.timestamps));
      const Seq iss = w.time_wait.next_iss();
      TERN_CHECK(iss.after(before.snd_nxt));
      const ListenVerdict l = listen_reuses(w.env, w.gate, w.room, tuple, iss, s, w.now, w.out);
      TERN_CHECK(l == ListenVerdict::Record || l == ListenVerdict::Drop);
      if (l == ListenVerdict::Record) take_record(w, s);
    }
  }
}

void segment(World& w, Input& in) {
  const wire::Tcp h = take_header(w, in);
  const Segment s{.h = h, .text = in.take<std::uint16_t>()};
  const std::uint64_t before = w.counted();
  const World::In was = w.in;
  w.out.reply = wire::Tcp{};
  switch (w.in) {
    case World::In::Listen:
      at_listen(w, s, in);
      break;
    case World::In::SynReceived:
      at_syn_received(w, s, in);
      break;
    case World::In::TimeWait:
      at_time_wait(w, s);
  }
  TERN_CHECK(w.counted() > before || was != w.in); // every segment leaves a trace
}

void step(World& w, Input& in) {
  switch (in.take() % 8) {
    case 0:
      w.now = w.now + Duration::ms(in.take<std::uint16_t>());
      break;
    case 1:
      w.gate.jar.turn_to(w.gate.jar.epoch() + in.take() % 4);
      break;
    case 2:
      if (w.in == World::In::SynReceived) {
        const auto next = syn_ack_timer_fires(w.env, w.syn);
        if (!next) w.in = World::In::Listen;
        TERN_CHECK(!next || (*next > Duration{} && *next <= w.settings.rto_max));
      } else if (w.in == World::In::TimeWait && in.take() < 16) {
        w.in = World::In::Listen;
      } else if (w.in == World::In::TimeWait) {
        TERN_CHECK(w.time_wait.timestamps != 0 || !may_reuse_for_active_open(w.time_wait, w.now));
      }
      break;
    case 3: {
      const auto bits = in.take();
      w.room.record = (bits & 1) != 0;
      w.room.accept = (bits & 2) != 0 || (bits & 4) != 0;
      w.mode = static_cast<CookieMode>(bits >> 3 & 3 ? (bits >> 3 & 3) - 1 : 0);
      w.gate.shared_keys = (bits & 32) != 0;
      break;
    }
    default:
      segment(w, in);
  }
}

} // namespace
} // namespace tern::tcp

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tern::tcp::Input in{data, size};
  tern::tcp::World w;
  const auto bits = in.take();
  w.settings.timestamps = (bits & 1) == 0;
  w.settings.sack = (bits & 2) == 0;
  w.settings.window_scale = (bits & 4) == 0;
  w.settings.ecn = (bits & 8) != 0;
  if ((bits & 16) != 0) w.settings.receive_buffer = in.take<std::uint16_t>();
  if ((bits & 32) != 0) w.settings.receive_buffer_max = in.take<std::uint32_t>();
  if ((bits & 64) != 0) w.gate.syn_rate = tern::TokenBucket{in.take<std::uint16_t>(), in.take()};
  if ((bits & 128) != 0) w.gate.reset_rate = tern::TokenBucket{in.take<std::uint16_t>(), in.take()};
  while (!in.empty()) step(w, in);
  return 0;
}
