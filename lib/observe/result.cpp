#include "observe/result.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace tern::observe {

Failures& Failures::operator+=(const Failures& o) {
  connect_timeout += o.connect_timeout;
  refused += o.refused;
  unreachable += o.unreachable;
  reset += o.reset;
  response_timeout += o.response_timeout;
  short_response += o.short_response;
  bad_byte += o.bad_byte;
  timed_out += o.timed_out;
  aborted += o.aborted;
  no_memory += o.no_memory;
  return *this;
}

std::span<const Cause> causes_of(Side side) {
  static constexpr std::array client{Cause{"connect timeout", &Failures::connect_timeout},
                                     Cause{"refused", &Failures::refused},
                                     Cause{"unreachable", &Failures::unreachable},
                                     Cause{"reset", &Failures::reset},
                                     Cause{"response timeout", &Failures::response_timeout},
                                     Cause{"short response", &Failures::short_response},
                                     Cause{"bad byte", &Failures::bad_byte}};
  static constexpr std::array server{
      Cause{"reset by the peer", &Failures::reset}, Cause{"timed out", &Failures::timed_out},
      Cause{"reset by us", &Failures::aborted}, Cause{"no memory", &Failures::no_memory}};
  if (side == Side::server) return server;
  return client;
}

Side side_of(const Result& r) {
  return r.command == "server" ? Side::server : Side::client;
}

double headline(const Result& r) {
  if (r.summary.search) return r.summary.search->found_cps;
  if (side_of(r) == Side::client) return r.summary.cps;
  // An earlier tern did not tell it.
  const double all = static_cast<double>(r.summary.connections.established);
  return r.summary.accepted_per_second > 0 || r.summary.seconds <= 0 ? r.summary.accepted_per_second
                                                                     : all / r.summary.seconds;
}

Retransmitted& Retransmitted::operator+=(const Retransmitted& o) {
  syn += o.syn;
  syn_ack += o.syn_ack;
  data += o.data;
  fin += o.fin;
  fast += o.fast;
  rto += o.rto;
  tlp += o.tlp;
  spurious += o.spurious;
  return *this;
}

namespace {
double us(std::uint64_t ns) {
  return static_cast<double>(ns) / 1000;
}
} // namespace

Latency latency_of(const Latencies& l) {
  return {.count = l.count(),
          .mean = l.mean() / 1000,
          .p50 = us(l.percentile(50)),
          .p90 = us(l.percentile(90)),
          .p99 = us(l.percentile(99)),
          .p999 = us(l.percentile(99.9)),
          .p9999 = us(l.percentile(99.99)),
          .max = us(l.max())};
}

HistogramBars bars_of(const Latencies& l) {
  HistogramBars out;
  for (const auto& bar : l.bars()) out.push_back({us(bar.from), us(bar.to), bar.count});
  return out;
}

std::string mode_of(const CoreToCore& c) {
  if (c.before <= 0 || c.after <= 0) return "unknown";
  // Near is some 180 cycles, far some 900 (measured): nothing lies about the middle.
  constexpr double border = 450;
  if ((c.before < border) != (c.after < border)) return "mixed";
  return c.before < border ? "near" : "far";
}

namespace {

class Findings {
 public:
  template <class... A>
  void unless(bool right, fmt::format_string<A...> text, A&&... args) {
    if (!right) lines.push_back(fmt::format(text, std::forward<A>(args)...));
  }
  std::vector<std::string> lines;
};

struct StageName {
  const char* name;
  Latency Stages::*stage;
};
constexpr std::array stages{StageName{"connect", &Stages::connect},
                            StageName{"first_byte", &Stages::first_byte},
                            StageName{"response", &Stages::response}, StageName{"close", &Stages::close}};

void check_latency(Findings& f, const std::string& where, const Latency& l) {
  const bool rising =
      l.p50 <= l.p90 && l.p90 <= l.p99 && l.p99 <= l.p999 && l.p999 <= l.p9999 && l.p9999 <= l.max;
  f.unless(rising, "{}: percentiles do not rise", where);
  f.unless(l.count != 0 || l.max == 0, "{}: a maximum of nothing", where);
}

// An earlier tern did not tell the reasons.
void check_drops(Findings& f, const std::string& where, const Interval& v) {
  std::uint64_t told = 0;
  for (const auto& [reason, n] : v.drops_by_reason) told += n;
  f.unless(told == v.drops || v.drops_by_reason.empty(), "{}: {} drops by their reasons, {} in all", where,
           told, v.drops);
}

void check_core(Findings& f, const std::string& where, const CoreLoad& c) {
  f.unless(c.busy >= 0 && c.busy <= 1, "{}: core {} busy {} is no share of 1", where, c.core, c.busy);
}

// An earlier tern did not tell the cores' latencies.
void check_core_latencies(Findings& f, const Summary& s) {
  for (const auto& [name, stage] : stages) {
    bool told = false;
    std::uint64_t n = 0;
    for (const CoreSummary& c : s.cores) {
      if (!c.latency_us) continue;
      told = true;
      n += ((*c.latency_us).*stage).count;
      check_latency(f, fmt::format("core {}: {}", c.core, name), (*c.latency_us).*stage);
    }
    f.unless(!told || n == (s.latency_us.*stage).count, "{}: {} values by their cores, {} in all", name, n,
             (s.latency_us.*stage).count);
  }
}

} // namespace

std::vector<std::string> contradictions(const Result& r) {
  Findings f;
  const Summary& s = r.summary;
  const Connections& c = s.connections;
  f.unless(c.attempted == c.completed + c.failed.total() + c.unfinished,
           "connections: attempted {} is not completed {} + failed {} + unfinished {}", c.attempted,
           c.completed, c.failed.total(), c.unfinished);
  f.unless(c.established >= c.completed, "connections: established {} is less than completed {}",
           c.established, c.completed);
  f.unless(c.attempted >= c.established, "connections: attempted {} is less than established {}", c.attempted,
           c.established);
  f.unless(std::isfinite(s.cps) && s.cps >= 0, "cps is {}", s.cps);
  f.unless(s.cookie_share >= 0 && s.cookie_share <= 1, "cookie_share {} is no share of 1", s.cookie_share);
  f.unless(s.client_limited == !s.client_limited_reason.empty(), "client_limited and its reason disagree");
  for (const auto& [name, stage] : stages) check_latency(f, name, s.latency_us.*stage);
  check_core_latencies(f, s);
  for (const CoreSummary& core : s.cores) check_core(f, "summary", core);
  double last = 0;
  std::uint64_t completed = 0;
  for (std::size_t i = 0; i < r.intervals.size(); ++i) {
    const Interval& v = r.intervals[i];
    f.unless(v.t > last && v.seconds > 0, "interval {}: time does not advance", i);
    last = v.t;
    completed += v.completed;
    for (const CoreLoad& core : v.cores) check_core(f, fmt::format("interval {}", i), core);
    check_drops(f, fmt::format("interval {}", i), v);
  }
  // Warm-up, ramp and drain may stand outside the intervals, never the other way.
  f.unless(completed <= c.completed, "intervals hold {} completed connections, the run {}", completed,
           c.completed);
  return std::move(f.lines);
}

} // namespace tern::observe
