// A client on Tern for the peer tests, with every option of a node. At the end a line of counts.
#include "caller.hpp"

#include <fmt/format.h>

#include "runtime/node.hpp"
#include "runtime/settings/cli.hpp"
#include "runtime/settings/error.hpp"

namespace {

using namespace tern;

struct Settings {
  NodeSettings node;
  std::string to = "10.99.8.2:7";
  test::CallPlan plan;
  Duration limit = Duration::seconds(30);
};

int call(const settings::Schema& schema, Settings& s) {
  catch_stop_signals();
  const auto to = Endpoint::parse(s.to);
  if (!to) schema.fail("to", "'" + s.to + "' is not an address and a port; write 10.0.0.2:7");
  s.plan.to = *to;
  test::CallTotals totals;
  Node<test::Caller> node(schema, s.node, [&](io::CoreId) {
    return test::Caller{s.plan, totals, s.node.connections + 64};
  });
  node.start();
  print_ready(node.port());
  const TscClock clock;
  const Instant end = clock.now() + s.limit;
  node.wait([&] { return totals.good + totals.bad >= s.plan.count || clock.now() >= end; });
  node.stop(Duration::seconds(1));
  print_counters(node.reports());
  const unsigned leaked = node.close();
  fmt::print("good {} bad {} of {}\npackets not given back: {}\n", totals.good.load(), totals.bad.load(),
             s.plan.count, leaked);
  return leaked == 0 && totals.good == s.plan.count ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
  return settings::run_guarded([&] {
    Settings s;
    settings::Schema schema;
    schema.group("caller", "Whom to call");
    schema.add("to", s.to, "the echo server");
    schema.add("count", s.plan.count, "connections");
    schema.add("at_once", s.plan.at_once, "of them at a time, on each core");
    schema.add("bytes", s.plan.bytes, "sent and expected back on each");
    schema.add("limit", s.limit, "when to give up");
    declare_port_options(schema, s.node);
    declare_tcp_options(schema, s.node);
    if (const auto parsed = settings::parse(schema, "a client of an echo server", argc, argv)) return *parsed;
    return call(schema, s);
  });
}
