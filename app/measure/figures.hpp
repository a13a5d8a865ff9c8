// What the cores of a process show to whoever scrapes it: counters and gauges that any thread may read. No core is asked or
// woken for it.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/port.hpp"
#include "io/shared_port.hpp"
#include "net/counters.hpp"
#include "observe/prometheus.hpp"
#include "packet/packet.hpp"
#include "runtime/gauges.hpp"
#include "runtime/node.hpp"
#include "runtime/shard.hpp"

namespace tern::app {

struct CoreFigures {
  unsigned port = 1; // the number of its port
  io::CoreId core = 0;
  const Gauges* gauges = nullptr;
  const Shard* shard = nullptr; // its counters and capacities alone
  const net::NetCounters* net = nullptr;
  const io::PortCounters* queue = nullptr;
  const io::SteerCounters* steered = nullptr;
  const std::atomic<std::uint64_t>* answered = nullptr; // requests, where the server knows what one is
};
struct PortFigures {
  unsigned number = 1;
  PacketPool packets;
  std::function<std::optional<std::uint64_t>()> missed{}; // what the device itself lost, if it says
};
struct Figures {
  std::vector<CoreFigures> cores;
  std::vector<PortFigures> ports;
  std::map<std::string, std::uint64_t> memory{}; // bytes of pieces that are not of the arena
};

// Those of a node, which outlives them.
template <class Handler>
void add(Figures& to, Node<Handler>& node) {
  const auto number = static_cast<unsigned>(to.ports.size() + 1);
  to.ports.push_back({.number = number, .packets = node.port().packets(), .missed = [&node] {
                        return node.port().port().missed();
                      }});
  for (io::CoreId c = 0; c < node.cores(); ++c) {
    CoreFigures& f = to.cores.emplace_back();
    f.port = number;
    f.core = c;
    f.gauges = &node.worker(c).gauges();
    f.shard = &node.worker(c).shard();
    f.net = &node.worker(c).network().counters();
    f.queue = &node.port().shared().counters(c);
    f.steered = &node.port().shared().steered(c);
    if constexpr (requires { node.handler(c).answered(); }) f.answered = &node.handler(c).answered().count();
  }
}

// One family a counter, tern_<layer>_<counter>_total: names of counters mean something within their layer alone ("accepted" is
// one thing of a core and another of the balancer), and each is what the documentation calls it.
template <class E, class Name, class Of>
void add_counters(observe::MetricsPage& page, const char* layer, const char* where, Name&& name,
                  const Figures& all, Of&& of) {
  for (std::size_t i = 0; i < Counters<E>::size; ++i) {
    const auto c = static_cast<E>(i);
    const std::string_view called = name(c);
    page.counter(fmt::format("tern_{}_{}", layer, called), fmt::format("{}, counted by {}", called, where));
    for (std::size_t k = 0; k < all.cores.size(); ++k) {
      const CoreFigures& f = all.cores[k];
      page.sample(of(k).get(c), {{"port", std::to_string(f.port)}, {"core", std::to_string(f.core)}});
    }
  }
}

// All of them; this program's version; the memory that it reserved.
void add(observe::MetricsPage&, const Figures&);

} // namespace tern::app
