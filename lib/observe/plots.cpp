#include "observe/plots.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>

#include "observe/svg.hpp"
#include "observe/units.hpp"

namespace tern::observe::plots {
namespace {

using svg::Frame;
using svg::Point;
using svg::Scale;

void worst_of(Latency& l, const Latency& o) {
  l.count += o.count;
  for (const auto m : {&Latency::mean, &Latency::p50, &Latency::p90, &Latency::p99, &Latency::p999,
                       &Latency::p9999, &Latency::max})
    l.*m = std::max(l.*m, o.*m);
}

void join(CoreLoad& a, double a_seconds, const CoreLoad& b, double b_seconds) {
  a.busy = (a.busy * a_seconds + b.busy * b_seconds) / (a_seconds + b_seconds);
  for (const auto m : {&CoreLoad::attempted, &CoreLoad::established, &CoreLoad::completed, &CoreLoad::failed,
                       &CoreLoad::rx_packets, &CoreLoad::tx_packets, &CoreLoad::resteered,
                       &CoreLoad::requests, &CoreLoad::rx_bytes, &CoreLoad::tx_bytes, &CoreLoad::out_of_order,
                       &CoreLoad::duplicate, &CoreLoad::tx_ring_full, &CoreLoad::drops, &CoreLoad::cycles})
    a.*m += b.*m;
  a.live = std::max(a.live, b.live);
  a.time_wait = std::max(a.time_wait, b.time_wait);
  for (const auto& [cause, n] : b.failed_by_cause) a.failed_by_cause[cause] += n;
  a.retransmitted += b.retransmitted;
  for (const auto& [reason, n] : b.drops_by_reason) a.drops_by_reason[reason] += n;
}

void join(Interval& a, const Interval& b) {
  const double before = a.seconds;
  a.t = b.t;
  a.seconds += b.seconds;
  a.offered_cps = b.offered_cps;
  for (const auto m :
       {&Interval::attempted, &Interval::established, &Interval::completed, &Interval::requests,
        &Interval::response_bytes, &Interval::rx_packets, &Interval::tx_packets, &Interval::rx_bytes,
        &Interval::tx_bytes, &Interval::out_of_order, &Interval::duplicate, &Interval::resteered,
        &Interval::tx_ring_full, &Interval::drops, &Interval::attack_packets})
    a.*m += b.*m;
  for (const auto& [reason, n] : b.drops_by_reason) a.drops_by_reason[reason] += n;
  a.live = std::max(a.live, b.live);
  a.time_wait = std::max(a.time_wait, b.time_wait);
  a.attack_open = std::max(a.attack_open, b.attack_open);
  a.failed += b.failed;
  a.retransmitted += b.retransmitted;
  for (const auto m : {&Stages::connect, &Stages::first_byte, &Stages::response, &Stages::close})
    worst_of(a.latency_us.*m, b.latency_us.*m);
  for (std::size_t i = 0; i < std::min(a.cores.size(), b.cores.size()); ++i)
    join(a.cores[i], before, b.cores[i], b.seconds);
}

std::string clock_text(double t, double last) {
  if (last <= 180) return fmt::format("{:g}", t);
  const auto s = static_cast<std::int64_t>(std::lround(t));
  return last <= 7200 ? fmt::format("{}:{:02}", s / 60, s % 60)
                      : fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}
std::string when(const Interval& v) {
  return fmt::format("{:g}–{:g} s", v.t - v.seconds, v.t);
}

// What all plots over time share.
struct Timeline {
  Timeline(const std::vector<Interval>& v, const Frame& f)
      : last(end(v)), x(beginning(v), last, f.x0(), f.x1()) {}

  // Whatever order a file has them in.
  static double end(const std::vector<Interval>& v) {
    double t = v.empty() ? 1 : v.front().t;
    for (const Interval& i : v) t = std::max(t, i.t);
    return t;
  }
  static double beginning(const std::vector<Interval>& v) {
    double t = v.empty() ? 0 : v.front().t - v.front().seconds;
    for (const Interval& i : v) t = std::min(t, i.t - i.seconds);
    return t;
  }

  [[nodiscard]] double middle(const Interval& i) const { return x(i.t - i.seconds / 2); }
  void axis(std::string& out, const Frame& f, int ticks) const {
    const bool seconds = last <= 180;
    const bool minutes = last <= 7200;
    const char* title = seconds   ? "time since the start (s)"
                        : minutes ? "time since the start (min:s)"
                                  : "time since the start (h:min:s)";
    const auto label = [this](double t) { return clock_text(t, last); };
    svg::x_axis(out, f, x, ticks, label, title, seconds ? 1 : minutes ? 60 : 3600);
  }
  template <class Words>
  void hovers(std::string& out, const Frame& f, const std::vector<Interval>& v, Words words) const {
    for (const auto& i : v) svg::hover(out, f, x(i.t - i.seconds), x(i.t), words(i));
  }

  double last;
  Scale x;
};

std::string empty(Frame f, std::string_view label, std::string_view words) {
  f.height = f.width > 1000 ? 160 : 120;
  std::string out = svg::open(f, label);
  svg::text(out, f.width / 2, f.height / 2, "note mid", words);
  return out + std::string{svg::close};
}

constexpr std::string_view no_interval = "no interval was recorded";

} // namespace

std::vector<Interval> joined(const std::vector<Interval>& intervals, std::size_t most) {
  std::vector<Interval> out;
  const std::size_t each = std::max<std::size_t>(1, (intervals.size() + most - 1) / most);
  for (std::size_t i = 0; i < intervals.size(); ++i) {
    if (i % each == 0)
      out.push_back(intervals[i]);
    else
      join(out.back(), intervals[i]);
  }
  return out;
}

std::string rate(const std::vector<Interval>& v, Side side) {
  const Frame f{.width = 1160, .height = 280};
  const bool serves = side == Side::server;
  const char* what = serves ? "accepted" : "completed";
  const auto rate_of = [&](const Interval& i) { return serves ? i.per_second(i.established) : i.cps(); };
  const std::string label = fmt::format("Connections {} a second, over time", what);
  if (v.empty()) return empty(f, label, no_interval);
  const Timeline time{v, f};
  double top = 0;
  for (const auto& i : v) top = std::max({top, rate_of(i), i.offered_cps});
  const Scale y{0, svg::axis_end(top * 1.02), f.y0(), f.y1()};
  std::string out = svg::open(f, label);
  svg::y_axis(out, f, y, 5, short_count, "connections per second");
  std::vector<Point> points, offered;
  for (const auto& i : v) {
    points.push_back({time.middle(i), y(rate_of(i))});
    offered.push_back({time.middle(i), y(i.offered_cps), i.offered_cps > 0});
  }
  svg::area(out, points, f.y0(), "wash s1");
  svg::line(out, offered, "dashed muted");
  svg::line(out, points, "s1");
  time.axis(out, f, 12);
  time.hovers(out, f, v, [&](const Interval& i) {
    return fmt::format("{}\n{}/s {}{}\n{} failed, {} open", when(i),
                       grouped(static_cast<std::uint64_t>(rate_of(i))), what,
                       i.offered_cps > 0 ? fmt::format(" of {}/s offered", short_count(i.offered_cps)) : "",
                       grouped(i.failed.total()), grouped(i.live));
  });
  return out + std::string{svg::close};
}

std::string latency(const std::vector<Interval>& v, bool closed_loop) {
  const Frame f{.width = 1160, .height = 300, .right = 56};
  const std::string_view label =
      closed_loop ? "Service time of the response, over time" : "Latency of the response, over time";
  struct Curve {
    const char* name;
    double Latency::*value;
  };
  static constexpr std::array curves{Curve{"p50", &Latency::p50}, Curve{"p90", &Latency::p90},
                                     Curve{"p99", &Latency::p99}, Curve{"p99.9", &Latency::p999}};
  double low = 1e300, high = 0;
  for (const auto& i : v) {
    if (i.latency_us.response.count == 0) continue;
    low = std::min(low, i.latency_us.response.p50);
    high = std::max(high, i.latency_us.response.p999);
  }
  if (high <= 0) return empty(f, label, v.empty() ? no_interval : "no response was measured");
  const Timeline time{v, f};
  const Scale y{low / 1.3, high * 1.2, f.y0(), f.y1(), true};
  std::string out = svg::open(f, label);
  svg::y_axis(out, f, y, 7, short_time_us, closed_loop ? "service time (log)" : "latency (log)");
  double above = 1e300; // labels stand at the lines' ends, pushed apart from the lowest up
  for (std::size_t k = 0; k < curves.size(); ++k) {
    std::vector<Point> points;
    Point end{f.x1(), f.y0()};
    for (const auto& i : v) {
      const Latency& l = i.latency_us.response;
      points.push_back({time.middle(i), y(l.*curves[k].value), l.count != 0});
      if (l.count != 0) end = points.back();
    }
    svg::bridges(out, points, fmt::format("r{}", k + 1));
    svg::line(out, points, fmt::format("r{}", k + 1));
    above = std::min(end.y + 4, above - 13);
    svg::text(out, end.x + 6, above, "tick start", curves[k].name);
  }
  time.axis(out, f, 12);
  time.hovers(out, f, v, [](const Interval& i) {
    const Latency& l = i.latency_us.response;
    return fmt::format("{}\np50 {}\np90 {}\np99 {}\np99.9 {}\nmax {}", when(i), short_time_us(l.p50),
                       short_time_us(l.p90), short_time_us(l.p99), short_time_us(l.p999),
                       short_time_us(l.max));
  });
  return out + std::string{svg::close};
}

std::string histogram(std::string_view stage, const HistogramBars& bars, const Latency& l) {
  const Frame f{.width = 560, .height = 230, .top = 26};
  const std::string label = fmt::format("Histogram: {}", stage);
  if (bars.empty() || l.count == 0) return empty(f, label, "nothing was recorded");
  // Bars are of unequal width on a logarithmic axis: their area is their share, so the height is share by
  // width.
  constexpr double end = 0.001; // both ends belong to a bar, in whole nanoseconds
  const auto share = [&](const HistogramBar& b) {
    return static_cast<double>(b.count) / static_cast<double>(l.count);
  };
  const auto density = [&](const HistogramBar& b) {
    return share(b) / std::log2((b.to_us + end) / std::max(b.from_us, end));
  };
  double most = 0;
  for (const auto& b : bars) most = std::max(most, density(b));
  const Scale x{std::max(bars.front().from_us, end) / 1.05, bars.back().to_us * 1.05, f.x0(), f.x1(), true};
  const Scale y{0, svg::axis_end(most * 1.02), f.y0(), f.y1()};
  std::string out = svg::open(f, label);
  svg::y_axis(
      out, f, y, 4, [](double d) { return fmt::format("{:.3g}", d); }, "share per doubling");
  for (const auto& b : bars) {
    const double from = x(b.from_us);
    // One in a million is still a bar: what is there must be seen.
    const double height = std::max(1.0, f.y0() - y(density(b)));
    svg::rect(out, from, f.y0() - height, std::max(1.0, x(b.to_us + end) - from - 0.5), height, "fill s1",
              fmt::format("{} to {}\n{} values, {}", short_time_us(b.from_us), short_time_us(b.to_us),
                          grouped(b.count), short_share(share(b))));
  }
  double right = -1e300; // of the last label: those that would overlap stay unwritten, their rule is drawn
  for (const auto& [name, value] :
       {std::pair{"p50", l.p50}, std::pair{"p99", l.p99}, std::pair{"p99.9", l.p999}}) {
    fmt::format_to(std::back_inserter(out), "<path class=\"mark\" d=\"M{:.1f} {:.1f}V{:.1f}\"/>\n", x(value),
                   f.y0(), f.y1() - 6);
    const std::string words = fmt::format("{} {}", name, short_time_us(value));
    const double half = 3.2 * static_cast<double>(words.size());
    const double at = std::min(x(value), f.x1() - half);
    if (at - half < right + 4) continue;
    svg::text(out, at, f.y1() - 10, "tick mid", words);
    right = at + half;
  }
  svg::x_axis(out, f, x, 6, short_time_us, fmt::format("{} (log)", stage));
  return out + std::string{svg::close};
}

std::string failures(const std::vector<Interval>& v, Side side) {
  const Frame f{.width = 560, .height = 260};
  constexpr std::string_view label = "Failed connections by cause, over time";
  const std::span<const Cause> causes = causes_of(side);
  double top = 0;
  for (const auto& i : v) top = std::max(top, i.per_second(i.failed.total()));
  if (top <= 0) return empty(f, label, v.empty() ? no_interval : "no connection failed");
  const Timeline time{v, f};
  const Scale y{0, svg::axis_end(top * 1.02), f.y0(), f.y1()};
  std::string out = svg::open(f, label);
  svg::y_axis(out, f, y, 4, short_count, "failed per second");
  for (const auto& i : v) {
    const double from = time.x(i.t - i.seconds);
    const double width = std::max(2.0, time.x(i.t) - from - 1);
    double below = 0;
    for (std::size_t c = 0; c < causes.size(); ++c) {
      const double n = i.per_second(i.failed.*causes[c].n);
      if (n <= 0) continue;
      svg::rect(out, from, y(below + n), width, std::max(0.5, y(below) - y(below + n)),
                fmt::format("fill c{}", c + 1));
      below += n;
    }
  }
  time.axis(out, f, 6);
  time.hovers(out, f, v, [&](const Interval& i) {
    std::string words = fmt::format("{}\n{} failed", when(i), grouped(i.failed.total()));
    for (const auto& c : causes)
      if (i.failed.*c.n != 0) words += fmt::format("\n{} {}", c.name, grouped(i.failed.*c.n));
    return words;
  });
  return out + std::string{svg::close};
}

namespace {

std::string core_lines(const std::vector<Interval>& v, const Frame& f) {
  const Timeline time{v, f};
  const Scale y{0, 1, f.y0(), f.y1()};
  std::string out = svg::open(f, "Busy share of each core, over time");
  svg::y_axis(
      out, f, y, 4, [](double s) { return fmt::format("{:.0f}%", s * 100); }, "cycles that did work");
  for (std::size_t c = 0; c < v.front().cores.size(); ++c) {
    std::vector<Point> points;
    for (const auto& i : v)
      points.push_back({time.middle(i), c < i.cores.size() ? y(i.cores[c].busy) : 0, c < i.cores.size()});
    svg::line(out, points, fmt::format("c{}", c + 1));
  }
  time.axis(out, f, 6);
  time.hovers(out, f, v, [](const Interval& i) {
    std::string words = when(i);
    for (const auto& c : i.cores)
      words += fmt::format("\ncore {} ({}) {:.1f}%", c.core, c.role, c.busy * 100);
    return words;
  });
  return out + std::string{svg::close};
}

std::string core_map(const std::vector<Interval>& v, Frame f) {
  const std::size_t rows = v.front().cores.size();
  const double step = std::clamp(200.0 / static_cast<double>(rows), 5.0, 20.0);
  f.height = f.top + f.bottom + step * static_cast<double>(rows);
  const Timeline time{v, f};
  std::string out = svg::open(f, "Busy share of each core, over time");
  const std::size_t label_every = static_cast<std::size_t>(std::ceil(12 / step));
  for (std::size_t c = 0; c < rows; ++c) {
    const double y = f.y1() + step * static_cast<double>(c);
    const CoreLoad& first = v.front().cores[c];
    if (c % label_every == 0)
      svg::text(out, f.x0() - 8, y + step / 2 + 4, "tick end", fmt::format("{}", first.core));
    for (const auto& i : v) {
      if (c >= i.cores.size()) continue;
      // Ten shades are as many as can be told apart.
      const int shade = static_cast<int>(std::clamp(std::lround(i.cores[c].busy * 10), 0L, 10L));
      svg::rect(
          out, time.x(i.t - i.seconds), y, time.x(i.t) - time.x(i.t - i.seconds) + 0.05, step,
          fmt::format("h{}", shade),
          fmt::format("core {} ({}), {}: {:.1f}%", first.core, first.role, when(i), i.cores[c].busy * 100));
    }
  }
  fmt::format_to(std::back_inserter(out),
                 "<text class=\"name mid\" transform=\"translate(13 {:.1f}) rotate(-90)\">core</text>\n",
                 (f.y0() + f.y1()) / 2);
  time.axis(out, f, 6);
  return out + std::string{svg::close};
}

} // namespace

std::string cores(const std::vector<Interval>& v) {
  const Frame f{.width = 560, .height = 260};
  if (v.empty() || v.front().cores.empty())
    return empty(f, "Busy share of each core, over time", no_interval);
  constexpr std::size_t lines = 6; // as many colours as can be told apart
  if (v.front().cores.size() <= lines) return core_lines(v, f);
  return core_map(joined(v, 120), f);
}

std::string live(const std::vector<Interval>& v) {
  const Frame f{.width = 560, .height = 260};
  constexpr std::string_view label = "Connections open and in TIME-WAIT, over time";
  double top = 0;
  for (const auto& i : v)
    top = std::max({top, static_cast<double>(i.live), static_cast<double>(i.time_wait)});
  if (top <= 0) return empty(f, label, v.empty() ? no_interval : "none");
  const Timeline time{v, f};
  // A thousand open beside a hundred million in TIME-WAIT: only a logarithm shows both.
  const Scale y{1, top * 1.5, f.y0(), f.y1(), true};
  std::string out = svg::open(f, label);
  svg::y_axis(out, f, y, 5, short_count, "connections (log)");
  std::vector<Point> open, waiting;
  for (const auto& i : v) {
    open.push_back({time.middle(i), y(static_cast<double>(i.live)), i.live != 0});
    waiting.push_back({time.middle(i), y(static_cast<double>(i.time_wait)), i.time_wait != 0});
  }
  svg::line(out, open, "c1");
  svg::line(out, waiting, "c2");
  time.axis(out, f, 6);
  time.hovers(out, f, v, [](const Interval& i) {
    return fmt::format("{}\n{} open\n{} in TIME-WAIT", when(i), grouped(i.live), grouped(i.time_wait));
  });
  return out + std::string{svg::close};
}

} // namespace tern::observe::plots
