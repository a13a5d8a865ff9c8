#include <array>
#include <vector>

#include "cycles.hpp"
#include "wire/checksum.hpp"
#include "wire/ipv4.hpp"
#include "wire/tcp_inl.hpp"
#include "wire/toeplitz.hpp"

namespace tern::wire {
namespace {

// Eight packets in turn, as a burst has them: no branch predictor learns one by heart, and all lie in L1.
constexpr std::size_t burst = 8;
struct Burst {
  explicit Burst(std::size_t payload) {
    for (std::size_t i = 0; i < burst; ++i) {
      std::vector<std::byte> p(20 + 32 + payload, static_cast<std::byte>(i));
      Ipv4 ip;
      ip.src = Ip4{10, 0, 0, static_cast<std::uint8_t>(i)};
      ip.dst = Ip4{10, 0, 1, 1};
      ip.protocol = tcp_protocol;
      ip.total_length = static_cast<std::uint16_t>(p.size());
      emit_ipv4(ip, p.data());
      Tcp t;
      t.src = Port{static_cast<std::uint16_t>(1024 + i)};
      t.dst = Port{80};
      t.flags = tcp_flag::ack;
      t.options.has = TcpOptions::timestamps_bit;
      emit_tcp(t, p.data() + 20);
      set_tcp_checksum(ip.src, ip.dst, std::span{p}.subspan(20));
      packets.push_back(std::move(p));
    }
  }
  std::span<const std::byte> next() {
    auto& p = packets[at++ % burst];
    benchmark::DoNotOptimize(p.data());
    return p;
  }
  std::vector<std::vector<std::byte>> packets;
  std::size_t at = 0;
};

void parse_ipv4_tcp_timestamps(benchmark::State& state) {
  Burst b(static_cast<std::size_t>(state.range(0)));
  Ipv4 ip;
  Tcp tcp;
  bench::count_cycles(state, [&] {
    const auto p = b.next();
    if (parse_ipv4(p, ip) != Verdict::ok || parse_tcp(p.subspan(20), tcp) != Verdict::ok)
      state.SkipWithError("refused");
    benchmark::DoNotOptimize(&tcp);
    benchmark::ClobberMemory();
    return tcp.options.ts_val;
  });
}
BENCHMARK(parse_ipv4_tcp_timestamps)->Arg(0);

void parse_and_verify_ipv4_tcp_timestamps(benchmark::State& state) {
  Burst b(static_cast<std::size_t>(state.range(0)));
  Ipv4 ip;
  Tcp tcp;
  bench::count_cycles(state, [&] {
    const auto p = b.next();
    if (parse_ipv4(p, ip) != Verdict::ok || !ipv4_checksum_ok(p, ip) ||
        parse_tcp(p.subspan(20), tcp) != Verdict::ok || !tcp_checksum_ok(ip.src, ip.dst, p.subspan(20)))
      state.SkipWithError("refused");
    benchmark::DoNotOptimize(&tcp);
    benchmark::ClobberMemory();
    return tcp.options.ts_val;
  });
}
BENCHMARK(parse_and_verify_ipv4_tcp_timestamps)->Arg(0)->Arg(100);

void emit_ipv4_tcp_timestamps(benchmark::State& state) {
  Ipv4 ip;
  ip.total_length = 52;
  Tcp t;
  t.options.has = TcpOptions::timestamps_bit;
  std::array<std::byte, 128> to{};
  bench::count_cycles(state, [&] {
    benchmark::DoNotOptimize(&t);
    benchmark::DoNotOptimize(&ip);
    benchmark::ClobberMemory();
    const std::size_t n = emit_ipv4(ip, to.data());
    emit_tcp(t, to.data() + n);
    set_tcp_checksum(ip.src, ip.dst, std::span{to}.subspan(20, 32));
    return to[0];
  });
}
BENCHMARK(emit_ipv4_tcp_timestamps);

void checksum(benchmark::State& state) {
  const std::vector<std::byte> bytes(static_cast<std::size_t>(state.range(0)), std::byte{0x5a});
  bench::count_cycles(state, [&] {
    benchmark::ClobberMemory();
    return finish(sum_bytes(bytes));
  });
}
BENCHMARK(checksum)->Arg(20)->Arg(64)->Arg(128)->Arg(512)->Arg(1500);

void checksum_update(benchmark::State& state) {
  Be16 c{0x1234};
  Be32 from{1};
  Be32 to{2};
  bench::count_cycles(state, [&] {
    benchmark::DoNotOptimize(from);
    benchmark::DoNotOptimize(to);
    return updated_checksum(c, from, to);
  });
}
BENCHMARK(checksum_update);

void toeplitz_v4(benchmark::State& state) {
  const Toeplitz t;
  Ip4 src{10, 0, 0, 1};
  Ip4 dst{10, 0, 0, 2};
  bench::count_cycles(state, [&] {
    benchmark::DoNotOptimize(src);
    return t.hash(src, dst, Port{1234}, Port{80});
  });
}
BENCHMARK(toeplitz_v4);

void toeplitz_v6(benchmark::State& state) {
  const Toeplitz t;
  Ip src = Ip::parse("2001:db8::1").value();
  const Ip dst = Ip::parse("2001:db8::2").value();
  bench::count_cycles(state, [&] {
    benchmark::DoNotOptimize(src);
    return t.hash(src, dst, Port{1234}, Port{80});
  });
}
BENCHMARK(toeplitz_v6);

} // namespace
} // namespace tern::wire

BENCHMARK_MAIN();
