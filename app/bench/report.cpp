#include "app/bench/report.hpp"

#include <fmt/format.h>
#include <rte_version.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

namespace tern::app {
namespace {

std::string field_of(const char* file, const std::string& name) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(name)) {
      const std::size_t at = line.find_first_not_of(" \t:", name.size());
      return at == std::string::npos ? "" : line.substr(at);
    }
  return "";
}

std::uint64_t kilobytes(const char* file, const std::string& name) {
  return std::strtoull(field_of(file, name).c_str(), nullptr, 10) * 1024;
}

} // namespace

observe::Failures failures_of(const Counters<Load>& c) {
  observe::Failures f;
  f.connect_timeout = c.get(Load::connect_timeout);
  f.refused = c.get(Load::refused);
  f.reset = c.get(Load::reset);
  f.response_timeout = c.get(Load::response_timeout);
  f.short_response = c.get(Load::short_response);
  f.bad_byte = c.get(Load::bad_byte);
  return f;
}

void add_packets(observe::Packets& p, const Side& s) {
  using C = tcp::Counter;
  const auto tcp = [&](C c) { return s.shard->tcp_counters.get(c); };
  p.rx += s.shard->counters.get(CoreCounter::rx_packets);
  p.tx += s.shard->counters.get(CoreCounter::tx_packets);
  p.tx_ring_full += s.port->get(io::PortCounter::tx_backlogged);
  p.retransmitted.syn += tcp(C::retransmit_syn);
  p.retransmitted.syn_ack += tcp(C::retransmit_syn_ack);
  p.retransmitted.fin += tcp(C::retransmit_fin);
  p.retransmitted.fast += tcp(C::retransmit_fast);
  p.retransmitted.rto += tcp(C::retransmit_rto);
  p.retransmitted.tlp += tcp(C::retransmit_tlp);
  p.retransmitted.spurious += tcp(C::retransmit_spurious);
  const std::uint64_t again = tcp(C::retransmit_fast) + tcp(C::retransmit_rto) + tcp(C::retransmit_tlp);
  p.retransmitted.data += again - std::min(again, tcp(C::retransmit_fin));
  p.out_of_order += tcp(C::out_of_order_in);
  p.duplicate += tcp(C::duplicate_bytes_in) != 0 ? 1 : 0;
  for (std::size_t i = 0; i < tcp::TcpCounters::size; ++i) {
    const auto c = static_cast<C>(i);
    const std::string name = tcp::name_of(c);
    if (name.starts_with("drop_") && tcp(c) != 0) p.drops[name] += tcp(c);
  }
  for (std::size_t i = 0; i < net::NetCounters::size; ++i) {
    const auto c = static_cast<net::NetCounter>(i);
    const std::string name(net::name_of(c));
    if (name.starts_with("drop_") && s.net->get(c) != 0) p.drops[name] += s.net->get(c);
  }
  for (std::size_t i = 0; i < CoreCounters::size; ++i) {
    const auto c = static_cast<CoreCounter>(i);
    const std::string name = name_of(c);
    if (name.starts_with("drop_") && s.shard->counters.get(c) != 0) p.drops[name] += s.shard->counters.get(c);
  }
  if (const auto n = s.port->get(io::PortCounter::tx_dropped)) p.drops["tx_ring_full"] += n;
}

observe::Machine machine() {
  observe::Machine m;
  m.cpu = field_of("/proc/cpuinfo", "model name");
  m.cores = static_cast<std::uint32_t>(sysconf(_SC_NPROCESSORS_ONLN));
  m.memory_bytes = kilobytes("/proc/meminfo", "MemTotal");
  utsname u{};
  uname(&u);
  m.kernel = u.release;
  m.dpdk = rte_version();
  m.tsc_hz = rte_get_tsc_hz();
  m.huge_page_bytes = kilobytes("/proc/meminfo", "Hugepagesize");
  m.huge_pages = kilobytes("/proc/meminfo", "HugePages_Total") / 1024;
  m.huge_pages_free = kilobytes("/proc/meminfo", "HugePages_Free") / 1024;
  std::ifstream thp("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string words;
  std::getline(thp, words);
  if (const auto open = words.find('['), close = words.find(']'); close != std::string::npos)
    m.transparent_huge_pages = words.substr(open + 1, close - open - 1);
  return m;
}

observe::Memory memory() {
  observe::Memory m;
  m.rss_bytes = kilobytes("/proc/self/status", "VmRSS");
  m.huge_bytes = process_arena().huge_bytes();
  m.page_bytes = 4096;
  for (const ArenaReservation& r : process_arena().reservations()) {
    m.reserved[r.request.name] += r.bytes;
    if (r.pages != PageKind::small) m.page_bytes = 2U << 20;
  }
  return m;
}

std::string text_summary(const observe::Result& r) {
  const observe::Summary& s = r.summary;
  std::string t;
  const auto line = [&](std::string_view name, const std::string& value) {
    t += fmt::format("  {:<28} {}\n", name, value);
  };
  const auto stage = [&](const char* name, const observe::Latency& l) {
    line(name, fmt::format("{:.1f} / {:.1f} / {:.1f} / {:.1f} us", l.p50, l.p99, l.p999, l.max));
  };
  t += "summary\n";
  line("connections per second", fmt::format("{:.0f}", s.cps));
  line("measured for", fmt::format("{:.2f} s", s.seconds));
  line("attempted", fmt::format("{}", s.connections.attempted));
  line("completed", fmt::format("{}", s.connections.completed));
  const observe::Failures& f = s.connections.failed;
  line("failed",
       fmt::format(
           "{}  (connect timeout {}, refused {}, reset {}, response timeout {}, short {}, bad byte {})",
           f.total(), f.connect_timeout, f.refused, f.reset, f.response_timeout, f.short_response,
           f.bad_byte));
  line("unfinished", fmt::format("{}", s.connections.unfinished));
  t += fmt::format("{} (p50 / p99 / p99.9 / max)\n", s.closed_loop ? "service time" : "latency");
  stage("connect", s.latency_us.connect);
  stage("first byte", s.latency_us.first_byte);
  stage("response", s.latency_us.response);
  stage("close", s.latency_us.close);
  t += "cost\n";
  line("cycles per connection", fmt::format("client {:.0f}, server {:.0f} (TSC, the port's own apart)",
                                            s.cycles_per_connection.client, s.cycles_per_connection.server));
  for (const observe::CoreLoad& c : s.cores)
    line(fmt::format("core {} ({})", c.core, c.role), fmt::format("{:.0f}% busy", c.busy * 100));
  line("retransmitted", fmt::format("{}", s.packets.retransmitted.total()));
  line("by SYN cookie", fmt::format("{:.2f}%", s.cookie_share * 100));
  line("in TIME-WAIT at most", fmt::format("{}", s.time_wait_peak));
  line("memory", fmt::format("{:.0f} MiB resident", static_cast<double>(s.memory.rss_bytes) / (1 << 20)));
  const auto& cc = r.machine.core_to_core_cycles;
  line("core to core round trip",
       fmt::format("{:.0f} cycles before, {:.0f} after ({})", cc.before, cc.after, observe::mode_of(cc)));
  for (const auto& [name, n] : s.packets.drops) line(name, fmt::format("{}", n));
  for (const std::string& note : s.notes) t += "  " + note + "\n";
  if (s.client_limited) t += "  the client was the bottleneck: " + s.client_limited_reason + "\n";
  if (s.interrupted) t += "  interrupted: " + s.interrupted_reason + "\n";
  return t;
}

} // namespace tern::app
