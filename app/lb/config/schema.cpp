#include "app/lb/config/schema.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "app/lb/config/changes.hpp"
#include "app/lb/config/kinds.hpp"

namespace tern::app::lb {
namespace {

using settings::Range;
using settings::Schema;

constexpr Range<std::uint32_t> count{0U, most_at_once};
const Range<Duration> time_range{Duration{}, Duration::seconds(7 * 86'400)};
const Range<Duration> some_time{Duration::ms(1), Duration::seconds(86'400)};

void declare_check(Schema& s, CheckConfig& c) {
  s.choice<CheckKind>("check", c.kind, "how to see whether a backend is well",
                      {{"none", CheckKind::none}, {"tcp", CheckKind::tcp}, {"http", CheckKind::http}});
  s.add("interval", c.interval, "time between checks of one backend", some_time);
  s.add("jitter", c.jitter, "share of the interval by which checks are spread", Range{0.0, 0.5});
  s.add("timeout", c.timeout, "time for one check to succeed", some_time);
  s.add("rise", c.rise, "checks in a row that must succeed before it is up", Range{1U, 100U});
  s.add("fall", c.fall, "checks in a row that must fail before it is down", Range{1U, 100U});
  s.add("path", c.path, "http: what to ask for");
  s.add("host", c.host, "http: the Host header; empty: the backend's address");
  s.add("status", c.status, "http: which answers are well");
}

void declare_timeouts(Schema& s, TimeoutConfig& t) {
  s.add("connect", t.connect, "for one try to reach a backend", some_time);
  s.add("idle", t.idle, "without a byte in either direction; 0: for ever", time_range);
  s.add("half_closed", t.half_closed, "without a byte once one direction has ended; 0: for ever", time_range);
  s.add("drain", t.drain, "for connections of a service that a reload took away; 0: none", time_range);
}

void declare_backend(Schema& s, BackendConfig& b) {
  s.add("address", b.address, "where it listens");
  s.add("name", b.name, "what it is called; its address if it has no name");
  s.add("weight", b.weight, "its share beside the others'; 0: gets nothing new", Range{0U, most_weight});
  s.add("max_connections", b.max_connections, "at once; 0: no limit", count);
  s.add("backup", b.backup, "only when no other can take a connection");
}

void declare_source(Schema& s, SourceLimits& l) {
  s.add("connections", l.connections, "at once from one client; 0: no limit", Range{0U, 16'000'000U});
  s.add("rate", l.rate, "new ones a second from one client; 0: no limit", Range{0U, 1'000'000U});
  s.add("burst", l.burst, "of them at once after a pause; 0: a second's", Range{0U, 1'000'000U});
}

void declare_service(Schema& s, ServiceConfig& v) {
  s.add("name", v.name, "what it is called");
  s.choice<Mode>("mode", v.mode, "how clients get to backends: splice",
                 {{"splice", Mode::splice}, {"translate", Mode::translate}, {"dsr", Mode::dsr}});
  s.add("listen", v.listen, "where clients connect to");
  s.choice<Balance>("balance", v.balance, "which backend a connection goes to",
                    {{"maglev", Balance::maglev},
                     {"source_hash", Balance::source_hash},
                     {"round_robin", Balance::round_robin},
                     {"weighted_round_robin", Balance::weighted_round_robin},
                     {"least_connections", Balance::least_connections}});
  s.add("seed", v.seed, "of the hash of maglev and source_hash; the same on every node");
  s.choice<ProxyProtocol>(
      "send_proxy", v.send_proxy, "tells the backend who the client is",
      {{"none", ProxyProtocol::none}, {"v1", ProxyProtocol::v1}, {"v2", ProxyProtocol::v2}});
  s.add("max_connections", v.max_connections,
        "at once, over all cores and ports; beyond it SYNs are not answered; 0: no limit", count);
  s.add("tries", v.tries, "backends to try before a client is reset", Range{1U, 16U});
  s.add("slow_start", v.slow_start, "time in which a backend that comes up grows to its weight", time_range);
  s.add("allow", v.allow, "clients that may connect; without it all may");
  s.add("deny", v.deny, "clients that may not; the longest prefix decides");
  s.table<SourceLimits>("per_client", v.source, "limits of one client", declare_source);
  s.table<TimeoutConfig>("timeouts", v.timeouts, "timeouts", declare_timeouts);
  s.table<CheckConfig>("health", v.check, "health checks", declare_check);
  s.list<BackendConfig>("backend", v.backends, "where connections go", declare_backend);
}

} // namespace

void declare_lb_options(Schema& s, LbSettings& v) {
  s.list<ServiceConfig>("service", v.lb.services, "what to balance", declare_service);
  s.file_only("service");
  s.group("lb", "The load balancer");
  s.add("backend_source", v.lb.sources, "addresses that backends are reached from; none: all of --ip");
  s.add("control", v.lb.control, "path of the control socket, for tern ctl; empty: none");
  s.add("metrics", v.lb.metrics, metrics_help);
  s.add("client_records", v.lb.source_records, "clients whose limits are remembered, 16 bytes each",
        Range{8U, 1U << 28});
  s.add("duration", v.duration, "how long to run (0s: until a signal)");
  s.add("drain", v.drain, "how long open connections may take to end once we were told to stop");
  declare_port_options(s, v.node);
  declare_tcp_options(s, v.node);
}

namespace {

// As the schema prints them, key by key; the backends and the tables of a service are others' business.
template <class T>
std::vector<std::string> differences(const T& from, const T& to, void (*declare)(Schema&, T&),
                                     std::string_view table = "") {
  constexpr std::array<std::string_view, 4> others{"backend", "per_client", "timeouts", "health"};
  T a = from;
  T b = to;
  Schema x;
  Schema y;
  declare(x, a);
  declare(y, b);
  std::vector<std::string> all;
  for (std::size_t i = 0; i < x.options().size(); ++i) {
    const auto before = x.options()[i].print();
    const auto after = y.options()[i].print();
    if (before == after || std::ranges::find(others, x.options()[i].name) != others.end()) continue;
    const auto text = [](const std::vector<std::string>& v) {
      return v.size() == 1 ? v[0] : fmt::format("[{}]", fmt::join(v, ", "));
    };
    all.push_back(fmt::format("{}{} {} -> {}", table, x.options()[i].name, text(before), text(after)));
  }
  return all;
}

} // namespace

std::vector<std::string> changes(const ServiceConfig& from, const ServiceConfig& to) {
  std::vector<std::string> all = differences(from, to, declare_service);
  const auto add = [&all](std::vector<std::string> more) {
    all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  };
  add(differences(from.source, to.source, declare_source, "per_client."));
  add(differences(from.timeouts, to.timeouts, declare_timeouts, "timeouts."));
  add(differences(from.check, to.check, declare_check, "health."));
  return all;
}
std::vector<std::string> changes(const BackendConfig& from, const BackendConfig& to) {
  return differences(from, to, declare_backend);
}

Reloaded read_again(const settings::Binding& binding, const Schema& running) {
  Reloaded r;
  Schema schema;
  declare_lb_options(schema, r.settings);
  binding.load_into(schema);
  complete(schema, r.settings);
  for (const settings::Option& o : running.options())
    if (!o.file_only && o.print() != schema.find(o.name)->print()) r.needs_restart.push_back(o.name);
  return r;
}

std::string summary(const LbConfig& c) {
  std::size_t backends = 0;
  for (const ServiceConfig& v : c.services) backends += v.backends.size();
  const auto s = [](std::size_t n) { return n == 1 ? "" : "s"; };
  return fmt::format("{} service{}, {} backend{}", c.services.size(), s(c.services.size()), backends,
                     s(backends));
}

} // namespace tern::app::lb
