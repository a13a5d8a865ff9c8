#include "observe/page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include "observe/json.hpp"
#include "observe/page_style.hpp"
#include "observe/plots.hpp"
#include "observe/svg.hpp"
#include "observe/units.hpp"

namespace tern::observe {
namespace {

using svg::escaped;

constexpr std::size_t most_columns = 240; // in a plot over time

template <class... A>
void put(std::string& out, fmt::format_string<A...> format, A&&... args) {
  fmt::format_to(std::back_inserter(out), format, std::forward<A>(args)...);
}

double share(std::uint64_t n, std::uint64_t of) {
  return of == 0 ? 0 : static_cast<double>(n) / static_cast<double>(of);
}

void tile(std::string& out, std::string_view name, const std::string& value, const std::string& note,
          std::string_view mood = {}) {
  put(out,
      "<div class=\"card tile\"><div class=\"k\">{}</div><div class=\"v {}\">{}</div><div "
      "class=\"n\">{}</div></div>\n",
      name, mood, escaped(value), escaped(note));
}

void tiles(std::string& out, const Result& r) {
  const Summary& s = r.summary;
  const Connections& c = s.connections;
  out += "<div class=\"tiles\">\n";
  if (s.search)
    tile(out, "Highest rate held", short_count(s.search->found_cps), "connections a second");
  else
    tile(out, side_of(r) == Side::server ? "Accepted a second" : "Connections a second",
         short_count(headline(r)), fmt::format("over {:.1f} s", s.seconds));
  const std::uint64_t failed = c.failed.total();
  tile(out, "Failed", failed == 0 ? "none" : grouped(failed),
       failed == 0
           ? fmt::format("of {}", grouped(c.attempted))
           : short_share(share(failed, c.attempted)) + " of " + short_count(static_cast<double>(c.attempted)),
       failed == 0 ? "good" : "bad");
  const Latency& l = s.latency_us.response;
  const char* kind = s.closed_loop ? "service time" : "latency";
  if (l.count != 0) {
    tile(out, "Response, p50", short_time_us(l.p50), fmt::format("{}; p90 {}", kind, short_time_us(l.p90)));
    tile(out, "Response, p99", short_time_us(l.p99), "max " + short_time_us(l.max));
  }
  if (s.requests != (side_of(r) == Side::server ? 0 : c.completed))
    tile(out, "Requests per second", short_count(s.requests_per_second), grouped(s.requests) + " in all");
  tile(out, "Most open at once", grouped(s.live_peak),
       short_count(static_cast<double>(s.time_wait_peak)) + " in TIME-WAIT");
  const auto& cycles = s.cycles_per_connection;
  if (cycles.server > 0)
    tile(out, "Cycles per connection", grouped(static_cast<std::uint64_t>(cycles.server)),
         cycles.client > 0 ? fmt::format("server; client {:.0f}", cycles.client) : "server");
  else if (cycles.client > 0)
    tile(out, "Cycles per connection", grouped(static_cast<std::uint64_t>(cycles.client)), "client");
  out += "</div>\n";
}

void warnings(std::string& out, const Result& r) {
  const Summary& s = r.summary;
  const auto warn = [&](std::string_view lead, const std::string& words) {
    put(out, "<p class=\"warn\"><b>{}</b> {}</p>\n", lead, escaped(words));
  };
  if (s.interrupted) warn("Ended early:", s.interrupted_reason);
  if (s.client_limited) warn("The tester was the limit, not what it tested:", s.client_limited_reason);
  if (mode_of(r.machine.core_to_core_cycles) == "mixed")
    warn("The distance between the cores changed during the run:",
         fmt::format(
             "a cache line took {:.0f} cycles there and back before it, {:.0f} after. Compare with care.",
             r.machine.core_to_core_cycles.before, r.machine.core_to_core_cycles.after));
  for (const auto& line : contradictions(r)) warn("This report contradicts itself:", line);
  for (const auto& note : s.notes) warn("Note:", note);
}

// `kind`: "wide" for both columns, "half" for one.
void figure(std::string& out, std::string_view kind, std::string_view title, std::string_view caption,
            const std::string& legend, const std::string& drawing) {
  put(out,
      "<section class=\"card {}\"><h2>{}</h2><figure><figcaption>{}</figcaption>{}<div "
      "class=\"scroll\">\n{}</div></figure></section>\n",
      kind, title, caption, legend, drawing);
}

std::string legend(const std::vector<std::pair<std::string, std::string>>& entries,
                   std::string_view shape = "") {
  if (entries.size() < 2) return {};
  std::string out = "<div class=\"legend\">";
  for (const auto& [colour, name] : entries)
    put(out, "<span><i class=\"{}\" style=\"background:var(--{})\"></i>{}</span>", shape, colour,
        escaped(name));
  return out + "</div>";
}

std::string failure_legend(const Failures& f, Side side) {
  std::vector<std::pair<std::string, std::string>> seen;
  const std::span<const Cause> causes = causes_of(side);
  for (std::size_t i = 0; i < causes.size(); ++i)
    if (const std::uint64_t n = f.*causes[i].n; n != 0)
      seen.emplace_back(fmt::format("c{}", i + 1), fmt::format("{} {}", causes[i].name, grouped(n)));
  return legend(seen, "box");
}

std::string core_legend(const std::vector<Interval>& v) {
  if (v.empty() || v.front().cores.size() > 6)
    return v.empty() ? "" : "<div class=\"legend\"><span>the fuller the colour, the busier</span></div>";
  std::vector<std::pair<std::string, std::string>> entries;
  for (std::size_t i = 0; i < v.front().cores.size(); ++i)
    entries.emplace_back(fmt::format("c{}", i + 1),
                         fmt::format("core {} ({})", v.front().cores[i].core, v.front().cores[i].role));
  return legend(entries);
}

void latency_figure(std::string& out, const Summary& s, const std::vector<Interval>& v,
                    const std::string& joint) {
  const bool timed =
      std::any_of(v.begin(), v.end(), [](const Interval& i) { return i.latency_us.response.count != 0; });
  figure(
      out, "wide", s.closed_loop ? "Service time of the response" : "Latency of the response",
      (s.closed_loop ? "Request sent until the response is whole. Closed loop: a new connection waited for "
                       "an old one, so this is service time."
                     : "From the request, with --rps from when it was due, until the response is whole. "
                       "Connects count from when they were meant to start.") +
          (joint.empty() ? joint : joint + ", at their worst."),
      !timed ? "" : legend({{"r1", "p50"}, {"r2", "p90"}, {"r3", "p99"}, {"r4", "p99.9"}}),
      plots::latency(v, s.closed_loop));
}

void histograms(std::string& out, const Summary& s) {
  const auto stage = [&](std::string_view title, std::string_view name, const HistogramBars& bars,
                         const Latency& l) {
    figure(out, "half", title,
           fmt::format("{} values, mean {}, p99.9 {}.", grouped(l.count), short_time_us(l.mean),
                       short_time_us(l.p999)),
           "", plots::histogram(name, bars, l));
  };
  stage("Histogram: connect", "SYN to established", s.histogram.connect, s.latency_us.connect);
  stage("Histogram: first byte", "request to first byte", s.histogram.first_byte, s.latency_us.first_byte);
  stage("Histogram: response", "request to last byte", s.histogram.response, s.latency_us.response);
  stage("Histogram: close", "FIN to closed or TIME-WAIT", s.histogram.close, s.latency_us.close);
}

void figures(std::string& out, const Result& r) {
  const Summary& s = r.summary;
  const std::vector<Interval> v = plots::joined(r.intervals, most_columns);
  const std::size_t each = v.empty() ? 1 : (r.intervals.size() + v.size() - 1) / v.size();
  const std::string joint = each < 2 ? "" : fmt::format(" Each point joins {} intervals", each);
  const Side side = side_of(r);
  const bool paced = std::any_of(v.begin(), v.end(), [](const Interval& i) { return i.offered_cps > 0; });
  out += "<div class=\"grid\">\n";
  const std::string what = side == Side::server ? "accepted" : "completed";
  figure(out, "wide", "Rate",
         fmt::format("Connections {} a second.{}{}", what, joint, joint.empty() ? "" : "."),
         paced ? legend({{"c1", "completed"}, {"muted", "offered"}}) : "", plots::rate(v, side));
  if (side == Side::client) latency_figure(out, s, v, joint);
  figure(out, "half", "Failures", "Failed connections by cause.", failure_legend(s.connections.failed, side),
         plots::failures(v, side));
  figure(out, "half", "Core load", "Share of each core's cycles that did work.", core_legend(v),
         plots::cores(v));
  if (side == Side::client) histograms(out, s);
  figure(out, "half", "Open and in TIME-WAIT", "Connections at the end of each interval.",
         v.empty() ? "" : legend({{"c1", "open"}, {"c2", "TIME-WAIT"}}), plots::live(v));
}

class Table {
 public:
  Table(std::string& out, std::string_view title, std::string_view kind = "half") : out_(out) {
    put(out_, "<section class=\"card {}\"><h2>{}</h2><div class=\"scroll\"><table>\n", kind, title);
  }
  ~Table() { out_ += "</table></div></section>\n"; }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  void row(std::string_view name, const std::vector<std::string>& cells, const char* tag = "td",
           bool numbers = true) {
    put(out_, "<tr><{0}>{1}</{0}>", tag, escaped(name));
    for (const auto& c : cells)
      put(out_, "<{0} class=\"{2}\">{1}</{0}>", tag, escaped(c), numbers ? "n" : "w");
    out_ += "</tr>\n";
  }

 private:
  std::string& out_;
};

void connection_table(std::string& out, const Summary& s, Side side) {
  const Connections& c = s.connections;
  Table t{out, "Connections"};
  const auto row = [&](std::string_view name, std::uint64_t n) {
    t.row(name, {grouped(n), short_share(share(n, c.attempted))});
  };
  if (side == Side::client) row("attempted", c.attempted);
  row(side == Side::client ? "established" : "accepted", c.established);
  row("completed", c.completed);
  row("unfinished", c.unfinished);
  for (const Cause& cause : causes_of(side)) row(fmt::format("failed: {}", cause.name), c.failed.*cause.n);
  t.row("came by SYN cookie", {"", short_share(s.cookie_share)});
}

void latency_table(std::string& out, const Summary& s) {
  Table t{out, s.closed_loop ? "Service time" : "Latency", "wide"};
  t.row("", {"values", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"}, "th");
  for (const auto& [name, l] :
       {std::pair{"connect", &s.latency_us.connect}, std::pair{"first byte", &s.latency_us.first_byte},
        std::pair{"response", &s.latency_us.response}, std::pair{"close", &s.latency_us.close}}) {
    std::vector<std::string> cells{grouped(l->count)};
    for (const double v : {l->mean, l->p50, l->p90, l->p99, l->p999, l->p9999, l->max})
      cells.push_back(short_time_us(v));
    t.row(name, cells);
  }
}

// Nothing where nobody counted bytes.
std::string bits_text(double per_second) {
  return per_second > 0 ? short_bits(per_second) : "";
}

void packet_table(std::string& out, const Summary& s) {
  const Packets& p = s.packets;
  Table t{out, "Packets"};
  t.row("received", {grouped(p.rx), bits_text(s.rx_bits_per_second)});
  t.row("sent", {grouped(p.tx), bits_text(s.tx_bits_per_second)});
  const Retransmitted& x = p.retransmitted;
  t.row("retransmitted", {grouped(x.total()), short_share(share(x.total(), p.tx))});
  for (const auto& [name, n] :
       {std::pair{"SYN", x.syn}, std::pair{"SYN-ACK", x.syn_ack}, std::pair{"data", x.data},
        std::pair{"FIN", x.fin}, std::pair{"by fast recovery", x.fast}, std::pair{"time-outs", x.rto},
        std::pair{"by tail probe", x.tlp}, std::pair{"needless", x.spurious}})
    if (n != 0) t.row(fmt::format("retransmitted: {}", name), {grouped(n), ""});
  t.row("out of order", {grouped(p.out_of_order), short_share(share(p.out_of_order, p.rx))});
  t.row("duplicate", {grouped(p.duplicate), short_share(share(p.duplicate, p.rx))});
  t.row("re-steered", {grouped(p.resteered), short_share(share(p.resteered, p.rx))});
  t.row("waited for TX ring", {grouped(p.tx_ring_full), short_share(share(p.tx_ring_full, p.tx))});
  for (const auto& [what, n] : p.link)
    if (n != 0) t.row("the link: " + what, {grouped(n), short_share(share(n, p.tx))});
  for (const auto& [reason, n] : p.drops)
    if (n != 0) t.row("dropped: " + reason, {grouped(n), ""});
}

// What was not counted, or not told by an earlier tern, is left empty.
void core_table(std::string& out, const Summary& s, Side side) {
  Table t{out, "Cores", "wide"};
  std::vector<std::string> head{"busy", "completed", "failed", "cycles per connection"};
  if (side == Side::client)
    for (const char* stage : {"connect", "first byte", "response", "close"})
      head.push_back(fmt::format("{}, p50 / p99", stage));
  t.row("", head, "th");
  for (const CoreSummary& c : s.cores) {
    const double cycles = c.cycles_per_connection();
    std::vector<std::string> cells{
        short_share(c.busy), grouped(c.completed), grouped(c.failed),
        cycles > 0 ? grouped(static_cast<std::uint64_t>(std::llround(cycles))) : ""};
    const Stages none;
    const Stages& of = c.latency_us ? *c.latency_us : none;
    if (side == Side::client)
      for (const Latency* l : {&of.connect, &of.first_byte, &of.response, &of.close})
        cells.push_back(l->count == 0 ? "" : short_time_us(l->p50) + " / " + short_time_us(l->p99));
    t.row(fmt::format("{} ({})", c.core, c.role), cells);
  }
}

void attack_table(std::string& out, const Summary& s) {
  Table t{out, "Bad clients, and what the server did against them", "wide"};
  t.row("", {"asked for", "sent or opened", "established", "ended", "most open", "bytes read"}, "th");
  for (const Attack& a : s.attacks)
    t.row(a.kind, {grouped(a.asked), grouped(a.sent), grouped(a.established), grouped(a.ended),
                   grouped(a.open_peak), grouped(a.response_bytes)});
  for (const auto& [name, n] : s.defence) t.row("server: " + name, {"", grouped(n), "", "", "", ""});
}

void defence_table(std::string& out, const Summary& s) {
  Table t{out, "Defence"};
  for (const auto& [name, n] : s.defence) t.row(name, {grouped(n)});
}

void machine_table(std::string& out, const Result& r) {
  const Machine& m = r.machine;
  Table t{out, "Machine and memory"};
  const auto row = [&](std::string_view name, const std::string& value) {
    t.row(name, {value}, "td", false);
  };
  const auto bytes = [](std::uint64_t n) { return short_bytes(static_cast<double>(n)); };
  row("CPU", fmt::format("{}, {} logical processors", m.cpu, m.cores));
  row("memory", bytes(m.memory_bytes));
  row("kernel, DPDK", fmt::format("Linux {}, {}", m.kernel, dpdk_version(m.dpdk)));
  row("TSC", fmt::format("{:.3f} GHz", static_cast<double>(m.tsc_hz) / 1e9));
  row("huge pages", fmt::format("{} of {}, {} free; transparent: {}", m.huge_pages, bytes(m.huge_page_bytes),
                                m.huge_pages_free, m.transparent_huge_pages));
  const CoreToCore& c = m.core_to_core_cycles;
  row("core to core and back",
      c.before <= 0 && c.after <= 0
          ? "not measured"
          : fmt::format("{:.0f} cycles before, {:.0f} after ({})", c.before, c.after, mode_of(c)));
  row("resident", fmt::format("{}, {} in huge pages", bytes(r.summary.memory.rss_bytes),
                              bytes(r.summary.memory.huge_bytes)));
  for (const auto& [what, n] : r.summary.memory.reserved) row("reserved: " + what, bytes(n));
}

void search_table(std::string& out, const Search& f) {
  Table t{out, "Search for the highest rate", "wide"};
  t.row("offered", {"completed/s", "failed", "p99", "held", "why"}, "th");
  for (const auto& step : f.steps)
    t.row(short_count(step.offered_cps), {short_count(step.cps), short_share(step.loss),
                                          short_time_us(step.p99_us), step.held ? "yes" : "no", step.reason});
  t.row("found: " + short_count(f.found_cps), {"", "", "", "", f.stopped});
}

// In a script element, "</" and "<!--" would end or change it; JSON may write any character as \u.
std::string embedded(const std::string& json) {
  std::string out;
  for (const char c : json) {
    if (c == '<')
      out += "\\u003c";
    else
      out += c;
  }
  return out;
}

} // namespace

std::string to_html(const Result& r) {
  const Summary& s = r.summary;
  std::string out;
  put(out,
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>tern {}: {} connections/s</title>\n<style>{}</style></head>\n<body><main>\n",
      escaped(r.command), short_count(headline(r)), page_style);
  put(out, "<h1>tern {}</h1>\n<p class=\"sub\">{} · tern {} · {}</p>\n", escaped(r.command),
      escaped(r.started), escaped(r.version), escaped(r.machine.cpu));
  warnings(out, r);
  tiles(out, r);
  figures(out, r);
  const Side side = side_of(r);
  connection_table(out, s, side);
  if (side == Side::client) latency_table(out, s);
  if (!s.cores.empty()) core_table(out, s, side);
  packet_table(out, s);
  if (!s.attacks.empty()) attack_table(out, s);
  if (side == Side::server && !s.defence.empty()) defence_table(out, s);
  machine_table(out, r);
  if (s.search) search_table(out, *s.search);
  {
    Table t{out, "Settings", "wide"};
    for (const auto& [name, value] : r.config) t.row(name, {value}, "td", false);
  }
  put(out, "</div></main>\n<script type=\"application/json\" id=\"report\">{}</script>\n</body></html>\n",
      embedded(to_compact_json(r)));
  return out;
}

} // namespace tern::observe
