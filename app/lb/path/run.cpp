#include "app/lb/path/run.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "app/lb/path/splice.hpp"
#include "runtime/node.hpp"

namespace tern::app::lb {
namespace {

// A proxy may queue all that one receive buffer lets in: what did not fit could not be passed on at the end.
NodeSettings node_of(const LbSettings& v) {
  NodeSettings n = v.node;
  n.tcp.send_buffer = std::max(n.tcp.send_buffer, n.tcp.receive_buffer + 256);
  n.sources = v.lb.sources;
  return n;
}

void listen(Shard& shard, const LbConfig& lb) {
  for (const ServiceConfig& s : lb.services)
    for (const ListenConfig& l : s.listen)
      TERN_CHECK(shard.listeners.add({.ip = l.ip,
                                      .first = l.first,
                                      .last = l.last,
                                      .cookies = s.cookies,
                                      .connections = s.max_connections}));
}

void print(const LbCounters& c) {
  fmt::print("load balancer\n");
  for (std::size_t i = 0; i < LbCounters::size; ++i)
    if (const auto n = c.get(static_cast<Count>(i)); n != 0)
      fmt::print("  {:<28} {}\n", name_of(static_cast<Count>(i)), n);
}

} // namespace

int run(const settings::Schema& schema, const LbSettings& v) {
  catch_stop_signals();
  const NodeSettings n = node_of(v);
  NodePort node(schema, n);
  {
    const auto plan = std::make_shared<const Plan>(make_plan(v.lb));
    Shared shared(1, v.lb.source_records, random_key());
    for (std::size_t i = 0; i < plan->backends.size(); ++i)
      shared.bank.set_limit(static_cast<Slot>(i), plan->backends[i].config.max_connections);
    std::optional<DialPlan> dial;
    try {
      dial.emplace(node.self(), io::Steering{},
                   DialSettings{.sources = v.lb.sources, .seed = random_key().k0});
    } catch (const std::invalid_argument& e) {
      schema.fail("sources", e.what());
    }
    Splice splice(shared, plan, n.connections / 2 + 1, true, "core 0");
    Worker<io::EthPort, Splice>::Settings ws;
    ws.shard = shard_settings(n, node.self());
    ws.network = network_settings(node.port());
    ws.idle = n.idle;
    ws.dial = &*dial;
    Worker<io::EthPort, Splice> worker(node.port(), 0, node.self(), routes_of(n), node.packets(), ws, splice);
    listen(worker.shard(), v.lb);
    print_ready(node.port(), node.self());
    const Instant end =
        v.duration > Duration{} ? worker.clock().now() + v.duration : Instant::at_ns(INT64_MAX);
    worker.run([&](Instant now) { return stop_signals() != 0 || now >= end; }, v.drain);
    print(splice.counters());
    print_counters(worker.shard(), worker.network());
  }
  const unsigned leaked = node.close();
  fmt::print("packets not given back: {}\n", leaked);
  return leaked == 0 ? 0 : 1;
}

} // namespace tern::app::lb
