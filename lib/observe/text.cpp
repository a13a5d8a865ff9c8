#include "observe/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "observe/units.hpp"

namespace tern::observe {
namespace {

using Text = std::back_insert_iterator<std::string>;

void count_line(Text out, std::string_view name, std::uint64_t n, std::uint64_t of) {
  const double share = of == 0 ? 0 : static_cast<double>(n) / static_cast<double>(of);
  fmt::format_to(out, "  {:<20}{:>17}", name, grouped(n));
  if (of != 0) fmt::format_to(out, "{:>12}", short_share(share));
  fmt::format_to(out, "\n");
}

void head(Text out, const Result& r) {
  const Summary& s = r.summary;
  const auto clients =
      std::count_if(s.cores.begin(), s.cores.end(), [](const auto& c) { return c.role == "client"; });
  const auto servers =
      std::count_if(s.cores.begin(), s.cores.end(), [](const auto& c) { return c.role == "server"; });
  fmt::format_to(out, "tern {} {}: {:.1f} s measured", printable(r.version), printable(r.command), s.seconds);
  if (clients != 0) fmt::format_to(out, ", {} client core{}", clients, clients == 1 ? "" : "s");
  if (servers != 0) fmt::format_to(out, ", {} server core{}", servers, servers == 1 ? "" : "s");
  fmt::format_to(out, "\n");
  if (s.interrupted) fmt::format_to(out, "Ended early: {}\n", printable(s.interrupted_reason));
  if (s.client_limited)
    fmt::format_to(out, "The tester was the limit, not what it tested: {}\n",
                   printable(s.client_limited_reason));
}

void connections(Text out, const Result& r) {
  const Summary& s = r.summary;
  const Connections& c = s.connections;
  const Side side = side_of(r);
  if (s.search)
    fmt::format_to(out, "\nConnections, all rates tried together {:>8}/s\n", short_count(s.cps));
  else if (side == Side::server)
    fmt::format_to(out, "\nConnections accepted{:>17}/s\n", short_count(headline(r)));
  else
    fmt::format_to(out, "\nConnections{:>26}/s\n", short_count(s.cps));
  if (side == Side::server) {
    count_line(out, "accepted", c.established, 0);
  } else {
    count_line(out, "attempted", c.attempted, 0);
    count_line(out, "established", c.established, c.attempted);
  }
  count_line(out, "completed", c.completed, c.attempted);
  if (c.unfinished != 0) count_line(out, "unfinished", c.unfinished, c.attempted);
  count_line(out, "failed", c.failed.total(), c.attempted);
  for (const Cause& cause : causes_of(side))
    if (const std::uint64_t n = c.failed.*cause.n; n != 0)
      count_line(out, fmt::format("  {}", cause.name), n, c.attempted);
  const auto each = r.config.find("requests_per_connection");
  const bool several = side == Side::client && each != r.config.end() && each->second != "1";
  if (several || s.requests != (side == Side::server ? 0 : c.completed)) {
    count_line(out, "requests", s.requests, 0);
    fmt::format_to(out, "  {:<20}{:>15}/s\n", "requests", short_count(s.requests_per_second));
  }
  // Of small responses the packets tell enough.
  if (s.response_bytes_per_second >= 1e6 && s.response_bytes > 1000 * s.requests)
    fmt::format_to(out, "  {:<20}{:>15}/s{:>12}\n", "responses", short_bytes(s.response_bytes_per_second),
                   short_bits(s.response_bytes_per_second * 8));
  count_line(out, "most open", s.live_peak, 0);
  count_line(out, "most in TIME-WAIT", s.time_wait_peak, 0);
  if (s.cookie_share > 0)
    fmt::format_to(out, "  {:<20}{:>17}\n", "came by cookie", short_share(s.cookie_share));
}

void latency_line(Text out, std::string_view name, const Latency& l) {
  if (l.count == 0) return;
  fmt::format_to(out, "  {:<12}", name);
  for (const double v : {l.p50, l.p90, l.p99, l.p999, l.p9999, l.max})
    fmt::format_to(out, "{:>10}", short_time_us(v));
  fmt::format_to(out, "\n");
}

void latencies(Text out, const Summary& s) {
  fmt::format_to(out, "\n{}\n",
                 s.closed_loop
                     ? "Service time (closed loop: a new connection waited for an old one)"
                     : "Latency (connects count from the intended start, each other stage from its own)");
  fmt::format_to(out, "  {:<12}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}\n", "", "p50", "p90", "p99", "p99.9",
                 "p99.99", "max");
  latency_line(out, "connect", s.latency_us.connect);
  latency_line(out, "first byte", s.latency_us.first_byte);
  latency_line(out, "response", s.latency_us.response);
  latency_line(out, "close", s.latency_us.close);
}

void traffic_line(Text out, std::string_view name, std::uint64_t n, double bits) {
  fmt::format_to(out, "  {:<20}{:>17}", name, grouped(n));
  if (bits > 0) fmt::format_to(out, "{:>12}", short_bits(bits)); // 0: nobody counted bytes
  fmt::format_to(out, "\n");
}

void packets(Text out, const Summary& s) {
  const Packets& p = s.packets;
  fmt::format_to(out, "\nPackets\n");
  traffic_line(out, "received", p.rx, s.rx_bits_per_second);
  traffic_line(out, "sent", p.tx, s.tx_bits_per_second);
  const Retransmitted& r = p.retransmitted;
  count_line(out, "retransmitted", r.total(), p.tx);
  if (r.total() != 0)
    fmt::format_to(
        out, "    SYN {}, SYN-ACK {}, data {}, FIN {}; fast {}, time-outs {}, tail probe {}; needless {}\n",
        grouped(r.syn), grouped(r.syn_ack), grouped(r.data), grouped(r.fin), grouped(r.fast), grouped(r.rto),
        grouped(r.tlp), grouped(r.spurious));
  if (p.out_of_order != 0) count_line(out, "out of order", p.out_of_order, p.rx);
  if (p.duplicate != 0) count_line(out, "duplicate", p.duplicate, p.rx);
  if (p.resteered != 0) count_line(out, "re-steered", p.resteered, p.rx);
  if (p.tx_ring_full != 0) count_line(out, "waited for TX ring", p.tx_ring_full, p.tx);
  for (const auto& [what, n] : p.link) // by --impair
    if (n != 0) count_line(out, printable("link: " + what), n, p.tx);
  for (const auto& [reason, n] : p.drops)
    if (n != 0) fmt::format_to(out, "  dropped {:<29}{:>17}\n", printable(reason), grouped(n));
}

void attacks(Text out, const Summary& s) {
  if (s.attacks.empty()) return;
  fmt::format_to(out, "\nBad clients\n");
  for (const Attack& a : s.attacks) {
    const bool holds = a.kind == "mute" || a.kind == "slow-reader";
    if (holds)
      fmt::format_to(out, "  {:<20}{:>17} open at most; {} opened, {} established, {} ended\n",
                     printable(a.kind), grouped(a.open_peak), grouped(a.sent), grouped(a.established),
                     grouped(a.ended));
    else
      fmt::format_to(out, "  {:<20}{:>17} packets; {}/s asked for\n", printable(a.kind), grouped(a.sent),
                     short_count(static_cast<double>(a.asked)));
    if (a.response_bytes != 0) count_line(out, "  bytes read", a.response_bytes, 0);
  }
  if (s.attacks.front().unsent != 0) count_line(out, "found the link full", s.attacks.front().unsent, 0);
  for (const auto& [name, n] : s.defence)
    if (n != 0) fmt::format_to(out, "  server: {:<29}{:>17}\n", printable(name), grouped(n));
}

void defence(Text out, const Summary& s) {
  if (s.defence.empty()) return;
  fmt::format_to(out, "\nDefence\n");
  for (const auto& [name, n] : s.defence)
    if (n != 0) fmt::format_to(out, "  {:<37}{:>17}\n", printable(name), grouped(n));
}

// "-" where no connection ended, or an earlier tern did not tell.
std::string cycles_text(const CoreLoad& c) {
  const double each = c.cycles_per_connection();
  return each > 0 ? fmt::format("{:.0f}", each) : "-";
}

void cores(Text out, const Summary& s) {
  if (!s.cores.empty())
    fmt::format_to(out, "\nCores{:>26}{:>18}{:>14}{:>14}{:>14}\n", "busy", "completed", "received", "sent",
                   "cycles/conn.");
  for (const auto& c : s.cores)
    fmt::format_to(out, "  {:<4}{:<14}{:>11}{:>18}{:>14}{:>14}{:>14}\n", c.core, printable(c.role),
                   short_share(c.busy), grouped(c.completed), short_count(static_cast<double>(c.rx_packets)),
                   short_count(static_cast<double>(c.tx_packets)), cycles_text(c));
  const auto& cycles = s.cycles_per_connection;
  if (cycles.client > 0 || cycles.server > 0)
    fmt::format_to(out, "  cycles per connection, without the port:");
  if (cycles.client > 0) fmt::format_to(out, " client {:.0f}", cycles.client);
  if (cycles.server > 0) fmt::format_to(out, " server {:.0f}", cycles.server);
  if (cycles.client > 0 || cycles.server > 0) fmt::format_to(out, "\n");
}

void memory(Text out, const Summary& s) {
  const Memory& m = s.memory;
  if (m.rss_bytes == 0 && m.huge_bytes == 0 && m.reserved.empty()) return;
  fmt::format_to(out, "\nMemory: {} resident, {} in huge pages",
                 short_bytes(static_cast<double>(m.rss_bytes)),
                 short_bytes(static_cast<double>(m.huge_bytes)));
  if (m.page_bytes != 0)
    fmt::format_to(out, "; records on pages of {}", short_bytes(static_cast<double>(m.page_bytes)));
  fmt::format_to(out, "\n");
  for (const auto& [what, bytes] : m.reserved)
    fmt::format_to(out, "  {:<30}{:>12}\n", printable(what), short_bytes(static_cast<double>(bytes)));
}

void search(Text out, const Search& f) {
  fmt::format_to(out, "\nHighest rate held: {}/s; stopped: {}\n", short_count(f.found_cps),
                 printable(f.stopped));
  fmt::format_to(out, "  {:>10}{:>10}{:>10}{:>10}\n", "offered", "got", "failed", "p99");
  for (const auto& t : f.steps)
    fmt::format_to(out, "  {:>10}{:>10}{:>10}{:>10}  {}\n", short_count(t.offered_cps), short_count(t.cps),
                   short_share(t.loss), short_time_us(t.p99_us), t.held ? "held" : printable(t.reason));
}

void machine(Text out, const Machine& m) {
  fmt::format_to(out, "\nMachine: {}, {} cores, {}, Linux {}, {}\n", printable(m.cpu), m.cores,
                 short_bytes(static_cast<double>(m.memory_bytes)), printable(m.kernel), dpdk_version(m.dpdk));
  const CoreToCore& c = m.core_to_core_cycles;
  if (c.before > 0 || c.after > 0)
    fmt::format_to(out,
                   "  a cache line between its cores and back: {:.0f} cycles before, {:.0f} after ({})\n",
                   c.before, c.after, mode_of(c));
}

} // namespace

std::string summary_text(const Result& r) {
  std::string text;
  const Text out{text};
  const Side side = side_of(r);
  head(out, r);
  if (r.summary.search) search(out, *r.summary.search);
  connections(out, r);
  if (side == Side::client) latencies(out, r.summary);
  packets(out, r.summary);
  if (side == Side::client)
    attacks(out, r.summary);
  else
    defence(out, r.summary);
  cores(out, r.summary);
  memory(out, r.summary);
  machine(out, r.machine);
  for (const auto& note : r.summary.notes) fmt::format_to(out, "Note: {}\n", printable(note));
  return text;
}

} // namespace tern::observe
