// A network in virtual time: nodes (hosts and routers) joined by links, one clock, one seed. Same seed, same
// run.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.hpp"
#include "base/time.hpp"
#include "sim/frame.hpp"
#include "sim/link.hpp"
#include "sim/random.hpp"
#include "sim/timeline.hpp"

namespace tern::sim {

using NodeId = std::uint32_t;
using LinkId = std::uint32_t; // one direction

class Network;

// A host's end of its wire.
class Attachment {
 public:
  Attachment() = default;
  Attachment(Network* n, NodeId id) : network_(n), id_(id) {}
  [[nodiscard]] Instant now() const;
  [[nodiscard]] NodeId id() const { return id_; }
  void send(Bytes ip_packet) const;
  void wake_at(
      Instant) const; // one alarm a host: an earlier time replaces a later one; a spurious wake is harmless

 private:
  Network* network_ = nullptr;
  NodeId id_ = 0;
};

// Anything that can stand at the end of a wire: a bare engine, a whole Core, a model of an attacker.
template <class H>
concept Host = requires(H& h, const Attachment& a, Bytes ip_packet) {
  h.attached(a);
  h.receive(ip_packet);
  h.wake(); // an alarm set by wake_at has come
};

// What happened to one packet, for whoever watches.
struct Sighting {
  enum class What : std::uint8_t { sent, arrived, dropped, marked, damaged } what = What::sent;
  Instant at;
  NodeId node = 0; // where
  Drop why = Drop::none;
  Bytes frame;
};

class Network {
 public:
  explicit Network(std::uint64_t seed) : random_(seed) {}
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // Hosts outlive the network's run.
  template <Host H>
  NodeId add_host(std::string name, Ip4 address, H& host) {
    const NodeId id = add_node(std::move(name), address);
    nodes_[id].host = &host;
    nodes_[id].receive = [](void* h, Bytes b) { static_cast<H*>(h)->receive(b); };
    nodes_[id].wake = [](void* h) { static_cast<H*>(h)->wake(); };
    host.attached(Attachment{this, id});
    return id;
  }
  NodeId add_router(std::string name, Ip4 address) { return add_node(std::move(name), address); }
  // Two directions; the first id is a → b, the next one b → a.
  LinkId add_link(NodeId a, NodeId b, const LinkSettings& a_to_b, const LinkSettings& b_to_a);
  LinkId add_link(NodeId a, NodeId b, const LinkSettings& both) { return add_link(a, b, both, both); }
  // A host may own more addresses.
  void add_address(NodeId node, Ip4 address) { addresses_.push_back({address, node}); }

  [[nodiscard]] Link& link(LinkId id) { return *edges_[id].link; }
  [[nodiscard]] const std::string& name(NodeId id) const { return nodes_[id].name; }
  [[nodiscard]] std::optional<NodeId> node_of(Ip4 address) const;
  [[nodiscard]] Random random(std::uint64_t label) const { return random_.split(label); }

  [[nodiscard]] Instant now() const { return timeline_.now(); }
  void at(Instant, std::function<void()> call);
  void after(Duration d, std::function<void()> call) { at(now() + d, std::move(call)); }
  bool step();             // one event; false if there is none
  void run_until(Instant); // and time is then there
  void run_for(Duration d) { run_until(now() + d); }
  // Until nothing more would happen, or `limit`. True if it came to rest.
  bool run_to_rest(Instant limit);
  [[nodiscard]] std::uint64_t events() const { return events_; }
  [[nodiscard]] std::uint64_t frames_sent() const { return frames_; }

  // A packet from nowhere, as an attacker off the path would send it: it appears at its destination's door.
  void inject(Frame frame, Duration after);

  std::function<void(const Sighting&)> watch; // every packet, if set
  std::function<void()> after_event;          // invariants, if set

 private:
  friend class Attachment;
  struct Node {
    std::string name;
    Ip4 address;
    void* host = nullptr; // a router has none
    void (*receive)(void*, Bytes) = nullptr;
    void (*wake)(void*) = nullptr;
    Instant alarm{};
    bool alarm_set = false;
    std::vector<std::uint32_t> next; // by destination node: the edge to take, or `no_edge`
  };
  struct Edge {
    NodeId from = 0;
    NodeId to = 0;
    std::unique_ptr<Link> link;
  };
  struct Event {
    enum class Kind : std::uint8_t { call, arrive, alarm } kind = Kind::call;
    NodeId node = 0;
    Frame frame;
    std::function<void()> call;
  };
  static constexpr std::uint32_t no_edge = UINT32_MAX;

  NodeId add_node(std::string name, Ip4 address);
  void find_routes();
  void forward(NodeId from, Frame frame);
  void arrive(NodeId at, Frame frame);
  void alarm(NodeId id);
  void set_alarm(NodeId id, Instant t);
  void say(Sighting::What what, NodeId node, Bytes frame, Drop why = Drop::none) const {
    if (watch) watch({what, now(), node, why, frame});
  }
  [[nodiscard]] Frame take_buffer() {
    if (spare_.empty()) return {};
    Frame f = std::move(spare_.back());
    spare_.pop_back();
    return f;
  }
  void recycle(Frame f) {
    if (spare_.size() < 4096) spare_.push_back(std::move(f));
  }

  Random random_;
  Timeline<Event> timeline_;
  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
  struct Address {
    Ip4 ip;
    NodeId node;
  };
  std::vector<Address> addresses_;
  std::vector<Frame> spare_;
  std::uint64_t events_ = 0;
  std::uint64_t frames_ = 0;
  bool routed_ = false;
};

} // namespace tern::sim
