#include "sample.hpp"

#include <algorithm>
#include <cmath>
#include <random>

namespace tern::observe {
namespace {

struct Recorders {
  Latencies connect, first_byte, response, close;

  void merge(const Recorders& o) {
    connect.merge(o.connect);
    first_byte.merge(o.first_byte);
    response.merge(o.response);
    close.merge(o.close);
  }
  [[nodiscard]] Stages stages() const {
    return {latency_of(connect), latency_of(first_byte), latency_of(response), latency_of(close)};
  }
};

class Maker {
 public:
  explicit Maker(const SampleShape& shape)
      : of_core(static_cast<std::size_t>(std::max(1, shape.cores / 2))), shape_(shape) {}

  Interval second(int t) {
    Interval v;
    v.t = t + 1;
    v.seconds = 1;
    // A hiccup two thirds of the way: fewer connections, longer latencies, failures.
    const bool hiccup = shape_.failures && t >= shape_.seconds * 2 / 3 && t < shape_.seconds * 2 / 3 + 3;
    const double rate = 2.9e6 * (hiccup ? 0.55 : 1) * (1 + 0.02 * std::sin(t * 0.7)) + noise_(random_) * 2e4;
    v.completed = static_cast<std::uint64_t>(rate);
    v.established = v.completed;
    if (hiccup && shape_.server)
      v.failed = {.reset = 37, .timed_out = 5, .aborted = 2};
    else if (hiccup)
      v.failed = {.connect_timeout = 410,
                  .reset = 37,
                  .response_timeout = 1900U + 100U * static_cast<unsigned>(t % 3)};
    v.attempted = v.completed + v.failed.total();
    v.requests = v.completed;
    v.live = hiccup ? 61'000 : 4'096;
    v.time_wait = std::min<std::uint64_t>(static_cast<std::uint64_t>(t + 1) * 2'900'000, 174'000'000);
    v.rx_packets = v.completed * 3;
    v.tx_packets = v.completed * 3;
    v.rx_bytes = v.rx_packets * 82;
    v.tx_bytes = v.tx_packets * 82;
    if (hiccup)
      v.retransmitted = {.syn = 820, .data = 5200, .fast = 3100, .rto = 2000, .tlp = 100, .spurious = 12};
    if (hiccup) {
      v.out_of_order = 4100;
      v.duplicate = 12;
      v.tx_ring_full = 31;
      v.drops = 6021;
      v.drops_by_reason = {{"tcp.drop_out_of_window", 6021}};
    }
    Recorders now;
    fill(now, hiccup ? 9.0 : 1.0);
    v.latency_us = now.stages();
    all.merge(now);
    of_core[static_cast<std::size_t>(t) % of_core.size()].merge(now); // they are busy in turn
    for (int c = 0; c < shape_.cores; ++c) v.cores.push_back(core(v, c, hiccup));
    return v;
  }

  Recorders all;
  std::vector<Recorders> of_core; // of the clients'

 private:
  void fill(Recorders& r, double slow) {
    std::lognormal_distribution<double> body{std::log(14'000 * slow), 0.22};
    for (int i = 0; i < 1000; ++i) {
      const double v = body(random_);
      const double tail = i % 250 == 0 ? 12 : 1;
      r.connect.record(static_cast<std::uint64_t>(v * 0.8 * tail), 28);
      r.first_byte.record(static_cast<std::uint64_t>(v * tail), 28);
      r.response.record(static_cast<std::uint64_t>(v * 1.05 * tail), 28);
      r.close.record(static_cast<std::uint64_t>(v * 0.6), 28);
    }
  }
  CoreLoad core(const Interval& v, int c, bool hiccup) {
    const auto part = static_cast<std::uint64_t>(std::max(1, shape_.cores / 2));
    const bool client = !shape_.server && c < static_cast<int>(part);
    return {
        .core = static_cast<std::uint32_t>(c),
        .role = client ? "client" : "server",
        .busy = std::clamp((client ? 0.91 : 0.97) * (hiccup ? 0.6 : 1) + noise_(random_) * 0.01, 0.0, 1.0),
        .attempted = v.attempted / part,
        .established = v.established / part,
        .completed = v.completed / part,
        .failed = client ? v.failed.total() / part : 0,
        .live = v.live / part,
        .time_wait = client ? 0 : v.time_wait / part,
        .rx_packets = v.rx_packets / 2 / part,
        .tx_packets = v.tx_packets / 2 / part,
        .resteered = 0,
        .cycles = (client ? 612 : 574) * v.completed / part};
  }

  SampleShape shape_;
  std::mt19937_64 random_{20};
  std::normal_distribution<double> noise_{0, 1};
};

void sum(Summary& s, const Interval& v) {
  s.connections.attempted += v.attempted;
  s.connections.established += v.established;
  s.connections.completed += v.completed;
  s.connections.failed += v.failed;
  s.requests += v.requests;
  s.live_peak = std::max(s.live_peak, v.live);
  s.time_wait_peak = std::max(s.time_wait_peak, v.time_wait);
  s.packets.rx += v.rx_packets;
  s.packets.tx += v.tx_packets;
  s.packets.rx_bytes += v.rx_bytes;
  s.packets.tx_bytes += v.tx_bytes;
  s.packets.retransmitted += v.retransmitted;
  s.packets.out_of_order += v.out_of_order;
  s.packets.duplicate += v.duplicate;
  s.packets.tx_ring_full += v.tx_ring_full;
  for (const auto& [reason, n] : v.drops_by_reason) s.packets.drops[reason] += n;
  if (v.duplicate != 0) s.packets.link["duplicated"] += v.duplicate;
  if (s.cores.empty()) s.cores.resize(v.cores.size());
  for (std::size_t i = 0; i < v.cores.size(); ++i) {
    CoreLoad& c = s.cores[i];
    const CoreLoad& o = v.cores[i];
    const double busy = c.busy + o.busy;
    const CoreLoad before = c;
    c = o;
    c.busy = busy;
    c.attempted += before.attempted, c.established += before.established, c.completed += before.completed;
    c.cycles += before.cycles;
    c.failed += before.failed, c.rx_packets += before.rx_packets, c.tx_packets += before.tx_packets;
  }
}

} // namespace

Result sample_result(const SampleShape& shape) {
  Result r;
  r.version = "0.1.0";
  r.command = shape.server ? "server" : "bench";
  r.started = "2030-01-31T23:59:59Z";
  Maker maker{shape};
  Summary& s = r.summary;
  for (int t = 0; t < shape.seconds; ++t) {
    r.intervals.push_back(maker.second(t));
    sum(s, r.intervals.back());
  }
  const double n = std::max(1, shape.seconds);
  for (std::size_t i = 0; i < s.cores.size(); ++i) {
    s.cores[i].busy /= n;
    if (s.cores[i].role == "client") s.cores[i].latency_us = maker.of_core[i].stages();
  }
  s.seconds = shape.seconds;
  s.cps = static_cast<double>(s.connections.completed) / n;
  s.requests_per_second = s.cps;
  if (shape.server) s.accepted_per_second = static_cast<double>(s.connections.established) / n;
  s.rx_bits_per_second = static_cast<double>(s.packets.rx_bytes) * 8 / n;
  s.tx_bits_per_second = static_cast<double>(s.packets.tx_bytes) * 8 / n;
  s.connections.unfinished = shape.failures ? 3 : 0;
  s.connections.attempted += s.connections.unfinished;
  s.closed_loop = true;
  s.latency_us = maker.all.stages();
  s.histogram = {bars_of(maker.all.connect), bars_of(maker.all.first_byte), bars_of(maker.all.response),
                 bars_of(maker.all.close)};
  s.cycles_per_connection = {.client = 612, .server = 574};
  s.memory = {.rss_bytes = 512'000'000,
              .huge_bytes = std::uint64_t{7} << 30,
              .page_bytes = 2 << 20,
              .reserved = {
                  {"connections", 268'435'456}, {"TIME-WAIT", 6'960'000'000}, {"flow table", 2'281'701'376}}};
  s.cookie_share = 0.0012;
  if (shape.server) s.defence = {{"syn_cookie_sent", 4096}};
  if (shape.failures) s.notes = {"<b>a note</b> & \"quotes\""}; // what a page must escape
  r.config = {
      {"cps", "max"}, {"duration", "60s"}, {"request_size", "64"}, {"time_wait", "60s"}, {"verify", "true"}};
  r.machine = {.cpu = "A CPU of 2 cores",
               .cores = 2,
               .memory_bytes = std::uint64_t{24} << 30,
               .kernel = "6.1.0",
               .dpdk = "22.11.4",
               .tsc_hz = 2'600'000'000,
               .huge_page_bytes = 2 << 20,
               .huge_pages = 4096,
               .huge_pages_free = 1024,
               .transparent_huge_pages = "madvise",
               .core_to_core_cycles = {.before = 181.5, .after = 183.25}};
  return r;
}

} // namespace tern::observe
