// A node a port that serves, watched: what `tern server` does whatever it answers.
#pragma once

#include <fmt/format.h>
#include <sched.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "app/server/control.hpp"
#include "app/server/watch.hpp"
#include "base/file.hpp"
#include "observe/text.hpp"
#include "runtime/node.hpp"

namespace tern::app {

// A node a port, with one beginning and one end.
template <class Handler>
class Nodes {
 public:
  // Opens the ports; nothing runs yet. Throws ConfigError, ArenaError.
  Nodes(const settings::Schema& schema, const std::vector<NodeSettings>& ports, const Handler& handler) {
    if (ports.size() > 1) eal_ = start_eal(schema, ports);
    for (const NodeSettings& n : ports) {
      Node<Handler>& node = *nodes_.emplace_back(std::make_unique<Node<Handler>>(
          schema, n, [&](io::CoreId) { return handler; }, DialSettings{}, eal_.get()));
      handles_.insert(handles_.end(), node.handles().begin(), node.handles().end());
      add_stations(node, n);
      add(figures_, node);
      links_.emplace_back(node.port());
    }
  }

  void listen(const settings::Schema& schema, const ServeSettings& v) {
    for (auto& n : nodes_) n->listen(schema, v);
  }
  void start() {
    for (auto& n : nodes_) n->start();
  }
  template <class Over>
  void wait(Over&& over) {
    nodes_.front()->wait(over);
  }
  void stop(Duration patience) {
    for (auto& n : nodes_) n->begin_stop(patience);
    for (auto& n : nodes_) n->finish_stop();
  }
  [[nodiscard]] unsigned close() {
    unsigned leaked = 0;
    for (auto& n : nodes_) leaked += n->close();
    return leaked;
  }

  [[nodiscard]] std::span<CoreHandle* const> handles() const { return handles_; }
  [[nodiscard]] const Figures& figures() const { return figures_; }
  [[nodiscard]] std::vector<const Station*> stations() const {
    std::vector<const Station*> all;
    for (const auto& s : stations_) all.push_back(s.get());
    return all;
  }
  [[nodiscard]] std::vector<CoreReport> reports() {
    std::vector<CoreReport> all;
    for (auto& n : nodes_)
      for (const CoreReport& r : n->reports()) all.push_back(r);
    return all;
  }
  void print_ready() const {
    std::vector<const NodePort*> ports;
    for (const auto& n : nodes_) ports.push_back(&n->port());
    tern::print_ready(ports);
  }
  // Why there is no going on; empty while there is.
  [[nodiscard]] std::string look_at_links(Instant now) {
    for (std::size_t i = 0; i < links_.size(); ++i) {
      links_[i].look(now);
      if (links_[i].gone())
        return fmt::format("since the device of {} is gone",
                           links_.size() == 1 ? "the port" : fmt::format("port {}", i + 1));
    }
    return {};
  }

 private:
  void add_stations(Node<Handler>& node, const NodeSettings& n) {
    for (io::CoreId c = 0; c < node.cores(); ++c) {
      Station& s = *stations_.emplace_back(std::make_unique<Station>());
      s.cpu = c < n.cores.size() ? n.cores[c] : static_cast<unsigned>(sched_getcpu());
      s.gauges = &node.worker(c).gauges();
      s.shard = &node.worker(c).shard();
      s.net = &node.worker(c).network().counters();
      s.port = &node.port().shared().counters(c);
      s.steered = &node.port().shared().steered(c);
      if constexpr (requires { node.handler(c).answered(); })
        s.answered = &node.handler(c).answered().count();
      if (c == 0) s.missed = [&node] { return node.port().port().missed(); };
    }
  }

  std::unique_ptr<io::Eal> eal_; // where there are several
  std::vector<std::unique_ptr<Node<Handler>>> nodes_;
  std::vector<CoreHandle*> handles_;
  std::vector<std::unique_ptr<Station>> stations_;
  std::vector<LinkWatch> links_;
  Figures figures_;
};

// The exit code. `v.node`: what all ports have in common; `unused`: options that this handler makes nothing of.
template <class Handler>
[[nodiscard]] int serve_watched(const settings::Schema& schema, const ServeSettings& v,
                                const std::vector<NodeSettings>& ports, const OutputSettings& out,
                                const DoorSettings& doors, std::span<const char* const> unused,
                                const Handler& handler) {
  check_listen(schema, v);
  check(schema, out);
  ServerControl control(doors);
  catch_stop_signals();
  Nodes<Handler> nodes(schema, ports, handler);
  nodes.listen(schema, v);
  observe::Result result;
  describe_run(result, schema, "server", unused); // once DPDK knows the machine
  const std::vector<const Station*> stations = nodes.stations();
  ServerWatch watch(out, stations, result);
  const TscClock clock;
  watch.begin(clock.now());
  nodes.start();
  if (!out.quiet) nodes.print_ready();
  const Instant end = v.duration > Duration{} ? clock.now() + v.duration : Instant::at_ns(INT64_MAX);
  std::string died;
  nodes.wait([&] {
    const Instant now = clock.now();
    died = nodes.look_at_links(now);
    control(nodes.handles(), nodes.figures());
    watch.look(now);
    return now >= end || !died.empty();
  });
  const Instant stopped = clock.now();
  watch.stopping(stopped);
  nodes.stop(v.drain);
  const bool early = v.duration > Duration{} && stopped < end;
  watch.conclude(clock.now(), !died.empty() ? died : early ? by_signal : "");
  print_counters(nodes.reports());
  const unsigned leaked = nodes.close();
  say(fmt::format("packets not given back: {}\n", leaked));
  if (leaked != 0)
    result.summary.notes.push_back(fmt::format("{} packets were not given back: a bug of tern's", leaked));
  say(summary_text(result));
  return write_reports(out, result) && leaked == 0 && died.empty() ? 0 : 1;
}

} // namespace tern::app
