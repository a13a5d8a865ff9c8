// One node that serves, watched: what `tern server` does whatever it answers.
#pragma once

#include <fmt/format.h>
#include <sched.h>

#include <memory>
#include <vector>

#include "app/server/control.hpp"
#include "app/server/watch.hpp"
#include "observe/text.hpp"
#include "runtime/node.hpp"

namespace tern::app {

template <class Handler>
[[nodiscard]] std::vector<std::unique_ptr<Station>> stations_of(Node<Handler>& node, const NodeSettings& n) {
  std::vector<std::unique_ptr<Station>> all;
  for (io::CoreId c = 0; c < node.cores(); ++c) {
    Station& s = *all.emplace_back(std::make_unique<Station>());
    s.cpu = c < n.cores.size() ? n.cores[c] : static_cast<unsigned>(sched_getcpu());
    s.gauges = &node.worker(c).gauges();
    s.shard = &node.worker(c).shard();
    s.net = &node.worker(c).network().counters();
    s.port = &node.port().shared().counters(c);
    s.steered = &node.port().shared().steered(c);
    if (c == 0) s.missed = [&node] { return node.port().port().missed(); };
  }
  return all;
}

// The exit code.
template <class Handler>
[[nodiscard]] int serve_watched(const settings::Schema& schema, const ServeSettings& v,
                                const OutputSettings& out, const std::string& control_path,
                                const Handler& handler) {
  check_listen(schema, v);
  check(schema, out);
  ServerControl control(control_path);
  catch_stop_signals();
  Node<Handler> node(schema, v.node, [&](io::CoreId) { return handler; });
  node.listen(schema, v);
  observe::Result result;
  describe_run(result, schema, "server"); // once DPDK knows the machine
  const auto stations = stations_of(node, v.node);
  std::vector<const Station*> watched;
  for (const auto& s : stations) watched.push_back(s.get());
  ServerWatch watch(out, watched, result);
  const TscClock clock;
  watch.begin(clock.now());
  node.start();
  if (!out.quiet) print_ready(node.port());
  const Instant end = v.duration > Duration{} ? clock.now() + v.duration : Instant::at_ns(INT64_MAX);
  LinkWatch link(node.port().port());
  node.wait([&] {
    const Instant now = clock.now();
    link.look(now);
    control(node.handles());
    watch.look(now);
    return now >= end;
  });
  const Instant stopped = clock.now();
  watch.stopping(stopped);
  node.stop(v.drain);
  watch.conclude(clock.now(), v.duration > Duration{} && stopped < end);
  print_counters(node.reports());
  const unsigned leaked = node.close();
  fmt::print("packets not given back: {}\n", leaked);
  if (leaked != 0)
    result.summary.notes.push_back(fmt::format("{} packets were not given back: a bug of tern's", leaked));
  fmt::print("{}", summary_text(result));
  return write_reports(out, result) && leaked == 0 ? 0 : 1;
}

} // namespace tern::app
