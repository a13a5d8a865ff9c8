// What loss recovery costs an ACK. `cycles` are TSC cycles an iteration; an iteration is one segment sent and
// one ACK taken.
#include <benchmark/benchmark.h>

#include <array>

#include "../cycles.hpp"
#include "tcp/recovery/recovery.hpp"
#include "tcp/side_memory.hpp"

namespace tern::tcp {
namespace {

constexpr std::uint16_t mss = 1448;

struct Sender {
  SideMemory side{SideCounts{.recovery = 1, .tx_log = 64}};
  Settings settings;
  TcpCounters counters;
  Env env{.settings = settings, .counters = counters, .packets = {}, .side = side.pools()};
  Tcb t;
  std::int64_t now_us = 1'000'000;
  Recovery* r = nullptr;

  Sender() {
    t.state = State::Established;
    t.flags = flag_sack | flag_timestamps;
    t.mss = mss;
    t.snd_una = t.snd_nxt = t.snd_end = t.recover = Seq{0xfff0'0000};
    t.cwnd = t.ssthresh = 256 * mss;
    t.snd_wnd = 1U << 30;
    t.srtt_us = 8 * 10'000;
    r = side.pools().recovery->take(settings, t, now());
  }
  ~Sender() {
    r->release(env);
    side.pools().recovery->give_back(r);
  }
  [[nodiscard]] Instant now() const { return Instant::at_ns(now_us * 1000); }
  void send(std::uint32_t n = 1) {
    for (; n != 0; --n) {
      const Seq at = t.snd_nxt;
      t.snd_nxt += mss;
      r->on_transmit(env, t, {at, mss}, false, now());
    }
  }
  AckVerdict ack(std::uint32_t segments, std::span<const wire::SackBlock> sack) {
    const AckInfo info{.una_before = t.snd_una, .acked = segments * mss, .sack = sack, .pure = true};
    t.snd_una += segments * mss;
    return r->on_ack(env, t, info, now());
  }
};

// Nothing lost: 200 segments in flight, each ACK covers one.
void clean_ack(benchmark::State& state) {
  Sender s;
  s.send(200);
  s.now_us += 10'000;
  const std::uint64_t from = bench::tsc();
  for (auto _ : state) {
    s.now_us += 5;
    benchmark::DoNotOptimize(s.ack(1, {}));
    s.send();
  }
  state.counters["cycles"] =
      benchmark::Counter(static_cast<double>(bench::tsc() - from) / static_cast<double>(state.iterations()));
  state.counters["entries"] = s.r->log().entries();
}
BENCHMARK(clean_ack);

// `holes` segments missing, every second one. Each ACK moves the top block by one segment and repeats two
// others, as a receiver's do. `resent`: the holes have been sent again and are under way; else they wait.
void sack_with_holes(benchmark::State& state) {
  const auto holes = static_cast<std::uint32_t>(state.range(0));
  const bool resent = state.range(1) != 0;
  Sender s;
  const Seq base = s.t.snd_una;
  const auto at = [&](std::uint32_t n) { return base + n * mss; };
  for (std::uint32_t n = 0; n < 2 * holes + 4; ++n) s.send(), s.now_us += 2;
  s.now_us += 10'000;
  for (std::uint32_t n = 0; n < holes; ++n) {
    const std::array<wire::SackBlock, 1> one{{{at(2 * n + 1), at(2 * n + 2)}}};
    (void)s.ack(0, one);
  }
  if (resent) {
    s.t.cwnd = 1U << 29;
    for (auto lost = s.r->next_lost(s.t); lost; lost = s.r->next_lost(s.t)) {
      s.r->on_transmit(s.env, s.t, *lost, true, s.now());
      s.now_us += 1;
    }
  }
  std::array<wire::SackBlock, 3> blocks{{{at(2 * holes - 1), s.t.snd_nxt},
                                         {at(holes + 1 - holes % 2), at(holes + 2 - holes % 2)},
                                         {at(1), at(2)}}};
  const std::uint64_t from = bench::tsc();
  for (auto _ : state) {
    if (s.t.outstanding() > 1U << 30) { // the circle is only so long
      state.SkipWithError("too many iterations for one flight");
      break;
    }
    s.send();
    blocks[0].right = s.t.snd_nxt;
    benchmark::DoNotOptimize(s.ack(0, blocks));
  }
  state.counters["cycles"] =
      benchmark::Counter(static_cast<double>(bench::tsc() - from) / static_cast<double>(state.iterations()));
  state.counters["entries"] = s.r->log().entries();
}
BENCHMARK(sack_with_holes)->Args({1, 0})->Args({64, 0})->Args({64, 1})->Args({500, 1})->Iterations(500'000);

} // namespace
} // namespace tern::tcp
