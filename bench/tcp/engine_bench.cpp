// What the engine costs, without ports, IP, flow table or timers around it: two engines back to back on one
// thread. `cycles` are TSC cycles of processor time an iteration.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdlib>
#include <cstring>

#include "../cycles.hpp"
#include "support/eal.hpp"
#include "tcp/engine.hpp"
#include "tcp/listen.hpp"
#include "tcp/reply.hpp"
#include "tcp/side_memory.hpp"
#include "tcp/syn_received.hpp"
#include "tcp/time_wait.hpp"
#include "wire/tcp_inl.hpp"

namespace tern::tcp {
namespace {

PacketPool packets() {
  static test::TestPool pool{4095, 2048, 256};
  return pool.pool();
}

// TSC cycles of processor time, so that whoever else runs on this core is not in the figure.
class Cycles {
 public:
  explicit Cycles(benchmark::State& s) : state_(s), from_(bench::cpu_ns()) {}
  ~Cycles() {
    state_.counters["cycles"] = benchmark::Counter((bench::cpu_ns() - from_) * bench::tsc_per_ns(),
                                                   benchmark::Counter::kAvgIterations);
  }

 private:
  benchmark::State& state_;
  double from_;
};

struct End {
  Settings settings;
  TcpCounters counters;
  SideMemory side{SideCounts::for_busy(16)};
  Env env{.settings = settings, .counters = counters, .packets = packets(), .side = side.pools()};
  Tcb tcb;
  TxBurst burst;
  Outcome out;
  std::uint64_t bytes = 0;

  ~End() { release(env, tcb); }
  void take(Packet p, Instant now) {
    wire::Tcp h;
    if (wire::parse_tcp(p.bytes(), h) != wire::Verdict::ok) std::abort();
    Segment s{.h = h, .payload = nullptr, .text = p.length() - h.header_length};
    if (s.text != 0) {
      p.trim_front(h.header_length);
      s.payload = &p;
    }
    out = Outcome{};
    segment_arrives(env, tcb, s, now, out);
    if (!out.has(event_data)) return;
    const Packet text = out.data.take();
    bytes += text.length();
    release_received(env, tcb, text.length(), out);
  }
  void put(Instant now) { (void)output(env, tcb, now, burst); }
};

// Everything either has to say, until both are silent.
void settle(End& a, End& b, Instant now) {
  for (bool said = true; said;) {
    said = false;
    for (auto [from, to] : {std::pair{&a, &b}, std::pair{&b, &a}}) {
      from->put(now);
      for (std::size_t i = 0; i < from->burst.size(); ++i) {
        said = true;
        to->take(std::move(from->burst[i]), now);
      }
      from->burst.clear();
    }
  }
}

const std::array<std::byte, 65536> text{};

// A connection's opening: SYN, SYN-ACK, and the third segment with 64 bytes of request; the server's end by a
// SYN-RECEIVED record. False if anything is not as it should be.
bool open_and_ask(End& client, End& server, SynGate& gate, const Tuple4& tuple, Instant now) {
  static ListenOutcome heard;
  const Origins from = gate.isn.both(tuple, now);
  open_active(client.env, client.tcb, from.iss, from.ts_offset, 1460, 536, now);
  client.put(now);
  wire::Tcp syn, ack;
  (void)wire::parse_tcp(client.burst[0].bytes(), syn);
  client.burst.clear();
  const ListenVerdict v =
      listen_arrives(server.env, gate, CookieMode::Auto, ListenRoom{}, tuple, Segment{.h = syn}, now, heard);
  if (v != ListenVerdict::Record) return false;
  SynRecord record = heard.record;
  client.take(build(syn_ack(server.env.settings, record, 1460, now), server.env.packets, server.env.counters),
              now);
  (void)send_static(client.env, client.tcb, std::span{text}.first(64), now);
  client.put(now);
  Packet third = std::move(client.burst[0]);
  client.burst.clear();
  (void)wire::parse_tcp(third.bytes(), ack);
  const Segment s{.h = ack, .payload = nullptr, .text = 64};
  if (syn_received_arrives(server.env, record, s, 1460, true, now, heard.reply) != SynVerdict::Complete)
    return false;
  open_passive(server.env, server.tcb, handshake_of(server.settings, record), 1460, now);
  server.take(std::move(third), now);
  return server.tcb.state == State::Established;
}

// Open, 64 bytes, 64 bytes, close: SYN, SYN-ACK, ACK+request, response+FIN, ACK+FIN, ACK; a TIME-WAIT record
// at the end of the side that closed first.
void life(benchmark::State& state) {
  End client, server;
  SynGate gate{derive_secrets({1, 2}), 1000};
  std::array<unsigned char, 12> key{10, 0, 0, 1, 10, 0, 0, 2};
  Instant now = Instant::at_ns(1'000'000'000'000);
  std::uint32_t n = 0;
  const Cycles cycles{state};
  for (auto _ : state) {
    now = now + Duration::us(10);
    std::memcpy(key.data() + 8, &++n, 4);
    if (!open_and_ask(client, server, gate, Tuple4::from(key.data()), now)) {
      state.SkipWithError("not opened");
      break;
    }
    (void)send_static(server.env, server.tcb, std::span{text}.first(64), now);
    close(server.env, server.tcb, now, server.out);
    server.put(now);
    client.take(std::move(server.burst[0]), now);
    server.burst.clear();
    close(client.env, client.tcb, now, client.out);
    settle(client, server, now);
    TimeWaitRecord rest = make_time_wait(server.env, time_wait_facts(server.tcb, now));
    benchmark::DoNotOptimize(rest);
    if (client.tcb.reason != CloseReason::Done || server.tcb.state != State::TimeWait) {
      state.SkipWithError("not closed");
      break;
    }
    release(client.env, client.tcb);
    release(server.env, server.tcb);
  }
}
BENCHMARK(life);
BENCHMARK(life)->Name("counted_life")->Iterations(1000);
BENCHMARK(life)->Name("counted_life")->Iterations(3000);

void establish(End& a, End& b, Instant now) {
  open_active(a.env, a.tcb, Seq{0xffff'0000}, 5, 1460, 536, now);
  open_active(b.env, b.tcb, Seq{0xfff0'0000}, 7, 1460, 536, now);
  settle(a, b, now);
  if (a.tcb.state != State::Established || b.tcb.state != State::Established) std::abort();
  a.tcb.cwnd = 1U << 20;
}

// A full segment in order, at the side that receives: a buffer with a header, parse, the fast path, the text
// handed over and released, and its share of an ACK (one for two).
void data_segment(benchmark::State& state) {
  End a, b;
  const Instant now = Instant::at_ns(1'000'000'000'000);
  establish(a, b, now);
  wire::Tcp h;
  h.flags = wire::tcp_flag::ack;
  h.options.has = wire::TcpOptions::timestamps_bit;
  h.window = 1000;
  std::array<std::byte, 60> header;
  const Cycles cycles{state};
  for (auto _ : state) {
    h.seq = b.tcb.rcv_nxt;
    h.ack = b.tcb.snd_nxt;
    h.options.ts_val = a.tcb.ts_offset + now.ms32();
    h.options.ts_ecr = b.tcb.ts_offset + now.ms32();
    const std::size_t n = wire::emitted_length(h);
    wire::emit_tcp(h, header.data());
    Packet p = packets().alloc();
    std::memcpy(p.append(static_cast<std::uint16_t>(n + 1448)), header.data(), n);
    b.take(std::move(p), now);
    if (!b.out.output) continue;
    b.put(now);
    b.burst.clear();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(b.bytes));
}
BENCHMARK(data_segment);
BENCHMARK(data_segment)->Name("counted_data_segment")->Iterations(1000);
BENCHMARK(data_segment)->Name("counted_data_segment")->Iterations(3000);

// A bulk transfer's other side: the pure ACK of one full segment, and the segment from static bytes that it
// lets out, with 30 in flight.
void pure_ack(benchmark::State& state) {
  End a, b;
  Instant now = Instant::at_ns(1'000'000'000'000);
  establish(a, b, now);
  constexpr std::uint32_t mss = 1448;
  a.tcb.snd_wnd = a.tcb.max_snd_wnd = 1U << 20;
  const auto send = [&](std::uint32_t segments) {
    (void)send_static(a.env, a.tcb, std::span{text}.first(segments * mss), now);
    a.put(now);
    a.burst.clear();
  };
  send(30);
  wire::Tcp h;
  h.flags = wire::tcp_flag::ack;
  h.options.has = wire::TcpOptions::timestamps_bit;
  h.window = 65535;
  h.seq = a.tcb.rcv_nxt;
  const Cycles cycles{state};
  for (auto _ : state) {
    now = now + Duration::us(10);
    h.ack = a.tcb.snd_una + mss;
    h.options.ts_val = b.tcb.ts_offset + now.ms32();
    h.options.ts_ecr = a.tcb.ts_offset + now.ms32();
    a.out = Outcome{};
    segment_arrives(a.env, a.tcb, Segment{.h = h}, now, a.out);
    send(1);
  }
  if (a.tcb.outstanding() != 30 * mss) state.SkipWithError("not 30 in flight");
}
BENCHMARK(pure_ack);
BENCHMARK(pure_ack)->Name("counted_pure_ack")->Iterations(1000);
BENCHMARK(pure_ack)->Name("counted_pure_ack")->Iterations(3000);

} // namespace
} // namespace tern::tcp
