#include "app/lb/path/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <stdexcept>

#include "app/lb/control/director.hpp"
#include "app/lb/path/splice.hpp"
#include "base/file.hpp"
#include "runtime/node.hpp"

namespace tern::app::lb {
namespace {

// A proxy may queue all that one receive buffer lets in: what did not fit could not be passed on at the end.
NodeSettings node_of(const LbSettings& v) {
  NodeSettings n = v.node;
  n.tcp.send_buffer =
      std::max({n.tcp.send_buffer, n.tcp.receive_buffer + 256, n.tcp.receive_buffer_max + 256});
  n.sources = v.lb.sources;
  return n;
}

std::uint32_t cores_of(const NodeSettings& n) {
  return std::max<std::uint32_t>(1, static_cast<std::uint32_t>(n.cores.size()));
}

// Of all cores together.
std::string balanced(Node<Splice>& node) {
  std::string text = "load balancer\n";
  for (std::size_t i = 0; i < LbCounters::size; ++i) {
    std::uint64_t n = 0;
    for (io::CoreId c = 0; c < node.cores(); ++c) n += node.handler(c).counters().get(static_cast<Count>(i));
    if (n != 0) text += fmt::format("  {:<28} {}\n", name_of(static_cast<Count>(i)), n);
  }
  return text;
}

// What the packets carry before they are scarce.
std::string room(NodePort& port, const NodeSettings& n) {
  const PacketPool pool = port.packets();
  const unsigned all = pool.used() + pool.free();
  const unsigned some = all - PacketWatch(pool).reserve();
  const unsigned segment = n.mtu - 52U; // text of one, with timestamps
  const unsigned each = (n.tcp.receive_buffer + segment - 1) / segment;
  return fmt::format("{} packets: {} connections whose readers stand still may hold a window each\n", all,
                     some / each);
}

void serve(Node<Splice>& node, Director& director, const LbSettings& v, const NodeSettings& n,
           Console& console) {
  node.start();
  director.start();
  console.say(printed_by([&] {
    say(room(node.port(), n));
    print_ready(node.port());
  }));
  const TscClock clock;
  const Instant end = v.duration > Duration{} ? clock.now() + v.duration : Instant::at_ns(INT64_MAX);
  node.wait([&] { return clock.now() >= end || director.finished(); });
  node.stop(v.drain); // directed to the last
  console.say(printed_by([&] {
    say(balanced(node));
    print_counters(node.reports());
  }));
}

std::vector<Directed> directed(Node<Splice>& node) {
  std::vector<Directed> all;
  for (io::CoreId c = 0; c < node.cores(); ++c)
    all.push_back({&node.core(c), &node.handler(c), [&node, c] { return node.worker(c).busy_cycles(); }});
  return all;
}

} // namespace

int run(const settings::Binding& binding, const settings::Schema& schema, const LbSettings& v) {
  catch_stop_signals();
  catch_reload_signal();
  Console console; // from the first line on: who does not read it holds up no start
  for (const std::string& line : doubts(v)) console.say(fmt::format("note: {}\n", line));
  // First: who cannot listen there need not reserve memory.
  std::optional<ControlSocket> control;
  if (!v.lb.control.empty()) control.emplace(v.lb.control);
  std::optional<MetricsSocket> metrics;
  if (v.lb.metrics.end) metrics.emplace(*v.lb.metrics.end);
  const NodeSettings n = node_of(v);
  const std::uint32_t cores = cores_of(n);
  // What TscClock will say: before EAL is there it cannot.
  const Instant now = Instant::at_ns(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                         std::chrono::steady_clock::now().time_since_epoch())
                                         .count());
  Planner planner(v.lb, now);
  const std::shared_ptr<const Plan> plan = planner.make(now);
  Shared shared(cores, v.lb.source_records, random_key());
  // Half of a core's connections, and as for those a little more where there are several.
  const std::uint32_t pairs = n.connections / 2 / cores + n.connections / 16 + 1;
  const auto make = [&](io::CoreId c) {
    return Splice(shared, plan, pairs, c == 0, fmt::format("core {}", c));
  };
  std::optional<Node<Splice>> node;
  try {
    console.say(printed_by([&] { node.emplace(schema, n, make, DialSettings{.sources = v.lb.sources}); }));
  } catch (const std::invalid_argument& e) {
    schema.fail("backend_source", e.what());
  }
  for (const Plan::Listener& l : plan->listeners) TERN_CHECK(node->listen(l.settings));
  {
    Figures figures;
    add(figures, *node);
    figures.memory["clients' limits"] = shared.sources.bytes();
    Director director({&binding, &schema, v, std::move(figures)}, std::move(planner), shared, directed(*node),
                      console, std::move(control), std::move(metrics));
    serve(*node, director, v, n, console);
  }
  unsigned leaked = 0;
  console.say(printed_by([&] { // closing may say something, too
    leaked = node->close();
    say(fmt::format("packets not given back: {}\n", leaked));
  }));
  constexpr int patience_ms = 2000; // with whoever reads: the end comes anyhow
  console.finish(patience_ms);
  return leaked == 0 ? 0 : 1;
}

} // namespace tern::app::lb
