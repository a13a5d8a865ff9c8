// What a handshake costs before there is a connection: cookies, records, ISNs, TIME-WAIT. `cycles` are TSC
// cycles an iteration.
#include <benchmark/benchmark.h>

#include <array>
#include <cstring>

#include "../cycles.hpp"
#include "tcp/cookie.hpp"
#include "tcp/isn.hpp"
#include "tcp/listen.hpp"
#include "tcp/reply.hpp"
#include "tcp/syn_received.hpp"
#include "tcp/time_wait.hpp"

namespace tern::tcp {
namespace {

namespace flag = wire::tcp_flag;
using O = wire::TcpOptions;

constexpr SipKey master{0x0123456789abcdef, 0xfedcba9876543210};
constexpr Instant now = Instant::at_ns(1'000'000'000'000);

// Many peers, so that nothing is predicted or hoisted out of the loop.
constexpr std::size_t peers = 1024;
template <class T>
std::array<T, peers> make_tuples() {
  std::array<T, peers> all;
  std::array<unsigned char, 36> key{};
  for (std::size_t i = 0; i < peers; ++i) {
    key[0] = 10, key[3] = static_cast<unsigned char>(i), key[9] = static_cast<unsigned char>(i >> 8);
    all[i] = T::from(key.data());
  }
  return all;
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

wire::Tcp full_syn(std::size_t i) {
  wire::Tcp h;
  h.flags = flag::syn;
  h.seq = Seq{static_cast<std::uint32_t>(i * 0x9e3779b9)};
  h.window = 64'240;
  h.options.has = O::mss_bit | O::wscale_bit | O::sack_permitted_bit | O::timestamps_bit;
  h.options.mss = 1460;
  h.options.wscale = 7;
  h.options.ts_val = static_cast<std::uint32_t>(i);
  return h;
}

// Each check waits for its make, as it does on the wire; but one pair does not wait for the other.
template <class T>
void cookie_cycles(benchmark::State& state) {
  const CookieJar jar{master, 1000};
  const auto tuples = make_tuples<T>();
  const bool ts = state.range(0) != 0;
  const CookieFacts facts{.peer_mss = 1460, .snd_scale = 7, .scaled = true, .sack = true};
  std::size_t i = 0;
  const Cycles cycles{state};
  for (auto _ : state) {
    const T& t = tuples[i++ % peers];
    const Seq irs{static_cast<std::uint32_t>(i)};
    Cookie c = jar.make(t, irs, facts, ts);
    benchmark::DoNotOptimize(c);
    auto back = jar.check(t, irs, c.iss, ts ? std::optional{c.ts_bits} : std::nullopt);
    benchmark::DoNotOptimize(back);
    if (!back) state.SkipWithError("refused");
  }
}
BENCHMARK(cookie_cycles<Tuple4>)->Arg(0)->Arg(1);
BENCHMARK(cookie_cycles<Tuple6>)->Arg(0)->Arg(1);

template <class T>
void isn_cycles(benchmark::State& state) {
  const IsnSource source{master};
  const auto tuples = make_tuples<T>();
  std::size_t i = 0;
  const Cycles cycles{state};
  for (auto _ : state) {
    Origins o = source.both(tuples[i++ % peers], now);
    benchmark::DoNotOptimize(o);
  }
}
BENCHMARK(isn_cycles<Tuple4>);
BENCHMARK(isn_cycles<Tuple6>);

struct Host {
  Settings settings;
  TcpCounters counters;
  Env env{.settings = settings, .counters = counters, .packets = {}, .side = {}};
  SynGate gate{derive_secrets(master), 1000};
  ListenRoom room;
  ListenOutcome out;
};

// A SYN to its SYN-ACK's header, by record and by cookie.
void syn_cycles(benchmark::State& state) {
  Host host;
  const auto tuples = make_tuples<Tuple4>();
  const CookieMode mode = state.range(0) == 0 ? CookieMode::Auto : CookieMode::Always;
  wire::Tcp h = full_syn(7);
  std::size_t i = 0;
  const Cycles cycles{state};
  for (auto _ : state) {
    h.seq += 1;
    auto v = listen_arrives(host.env, host.gate, mode, host.room, tuples[i++ % peers], Segment{.h = h}, now,
                            host.out);
    benchmark::DoNotOptimize(v);
    benchmark::DoNotOptimize(host.out);
  }
}
BENCHMARK(syn_cycles)->Arg(0)->Arg(1);

// The ACK that completes a record, to the Handshake that opens the connection.
void syn_record_accept_cycles(benchmark::State& state) {
  Host host;
  const SynRecord made = make_syn_record(host.settings, full_syn(7), 536, {Seq{0xffff'ffff}, 5}, now);
  wire::Tcp h;
  h.flags = flag::ack;
  h.seq = made.irs + 1;
  h.ack = made.iss + 1;
  h.options.has = O::timestamps_bit;
  h.options.ts_val = 9;
  SynRecord r = made;
  const Cycles cycles{state};
  for (auto _ : state) {
    benchmark::DoNotOptimize(r);
    benchmark::DoNotOptimize(h);
    if (syn_received_arrives(host.env, r, Segment{.h = h}, 1460, true, now, host.out.reply) !=
        SynVerdict::Complete)
      state.SkipWithError("refused");
    host.out.handshake = handshake_of(host.settings, r);
    benchmark::DoNotOptimize(host.out.handshake);
  }
}
BENCHMARK(syn_record_accept_cycles);

// The ACK that brings a cookie back, to the Handshake.
void cookie_accept_cycles(benchmark::State& state) {
  Host host;
  const auto tuples = make_tuples<Tuple4>();
  std::array<wire::Tcp, peers> acks;
  for (std::size_t i = 0; i < peers; ++i) {
    const wire::Tcp syn = full_syn(i);
    if (listen_arrives(host.env, host.gate, CookieMode::Always, host.room, tuples[i], Segment{.h = syn}, now,
                       host.out) != ListenVerdict::Reply)
      return state.SkipWithError("no cookie");
    acks[i].flags = flag::ack;
    acks[i].seq = syn.seq + 1;
    acks[i].ack = host.out.reply.seq + 1;
    acks[i].options.has = O::timestamps_bit;
    acks[i].options.ts_ecr = host.out.reply.options.ts_val;
  }
  std::size_t i = 0;
  const Cycles cycles{state};
  for (auto _ : state) {
    const std::size_t at = i++ % peers;
    if (listen_arrives(host.env, host.gate, CookieMode::Always, host.room, tuples[at], Segment{.h = acks[at]},
                       now, host.out) != ListenVerdict::Complete)
      state.SkipWithError("refused");
    benchmark::DoNotOptimize(host.out);
  }
}
BENCHMARK(cookie_accept_cycles);

// TIME-WAIT: a retransmitted FIN, and the SYN of the next incarnation.
void time_wait_cycles(benchmark::State& state) {
  Host host;
  TimeWaitRecord r = make_time_wait(
      host.env, {.snd_nxt = Seq{5}, .rcv_nxt = Seq{9}, .rcv_wnd = 500, .ts_recent = 3, .timestamps = true});
  wire::Tcp h = full_syn(7);
  if (state.range(0) == 0) {
    h.flags = flag::fin | flag::ack;
    h.seq = Seq{8};
  }
  h.options.ts_val = 4;
  const Cycles cycles{state};
  for (auto _ : state) {
    benchmark::DoNotOptimize(h);
    auto v = time_wait_arrives(host.env, r, Segment{.h = h}, now, host.out.reply);
    benchmark::DoNotOptimize(v);
    benchmark::DoNotOptimize(host.out);
  }
}
BENCHMARK(time_wait_cycles)->Arg(0)->Arg(1);

} // namespace
} // namespace tern::tcp
