#include "sim/network.hpp"

#include <algorithm>

namespace tern::sim {

Instant Attachment::now() const {
  return network_->now();
}

void Attachment::send(Bytes ip_packet) const {
  Frame f = network_->take_buffer();
  f.assign(ip_packet.begin(), ip_packet.end());
  ++network_->frames_;
  network_->say(Sighting::What::sent, id_, f);
  network_->forward(id_, std::move(f));
}

void Attachment::wake_at(Instant t) const {
  network_->set_alarm(id_, t);
}

NodeId Network::add_node(std::string name, Ip4 address) {
  const auto id = static_cast<NodeId>(nodes_.size());
  nodes_.emplace_back();
  nodes_.back().name = std::move(name);
  nodes_.back().address = address;
  addresses_.push_back({address, id});
  routed_ = false;
  return id;
}

LinkId Network::add_link(NodeId a, NodeId b, const LinkSettings& a_to_b, const LinkSettings& b_to_a) {
  const auto id = static_cast<LinkId>(edges_.size());
  edges_.push_back({a, b, std::make_unique<Link>(a_to_b, random_.split(id))});
  edges_.push_back({b, a, std::make_unique<Link>(b_to_a, random_.split(id + 1))});
  routed_ = false;
  return id;
}

std::optional<NodeId> Network::node_of(Ip4 address) const {
  for (const Address& a : addresses_)
    if (a.ip == address) return a.node;
  return std::nullopt;
}

// Shortest way by hops, breadth first; ties go to the link that was added first.
void Network::find_routes() {
  for (NodeId from = 0; from < nodes_.size(); ++from) {
    std::vector<std::uint32_t>& next = nodes_[from].next;
    next.assign(nodes_.size(), no_edge);
    std::vector<NodeId> reached{from};
    for (std::size_t i = 0; i < reached.size(); ++i) {
      const NodeId at = reached[i];
      for (std::uint32_t e = 0; e < edges_.size(); ++e) {
        const NodeId to = edges_[e].to;
        if (edges_[e].from != at || to == from || next[to] != no_edge) continue;
        next[to] = at == from ? e : next[at];
        reached.push_back(to);
      }
    }
  }
  routed_ = true;
}

void Network::forward(NodeId from, Frame frame) {
  if (!routed_) find_routes();
  const std::optional<IpView> ip = view_ip(frame);
  const std::optional<NodeId> to = ip ? node_of(ip->dst) : std::nullopt;
  const std::uint32_t e = to ? nodes_[from].next[*to] : no_edge;
  if (e == no_edge) { // damaged on an earlier link, or bound for nobody
    say(Sighting::What::dropped, from, frame, Drop::no_route);
    return recycle(std::move(frame));
  }
  Link& link = *edges_[e].link;
  const Fate fate = link.script ? link.script(frame, now()) : Fate{};
  const Link::Plan plan = link.plan(frame.size(), fate, now());
  if (plan.drop != Drop::none) {
    say(Sighting::What::dropped, from, frame, plan.drop);
    if (plan.drop == Drop::too_big && link.settings().icmp) {
      const std::optional<NodeId> back = node_of(ip->src);
      Frame error = fragmentation_needed(*ip, frame, link.settings().mtu);
      if (back) timeline_.put(now(), {Event::Kind::arrive, *back, std::move(error), {}});
    }
    return recycle(std::move(frame));
  }
  if (plan.mark && mark_ce(frame)) say(Sighting::What::marked, from, frame);
  for (int i = plan.copies - 1; i >= 0; --i) {
    Frame copy = i == 0 ? std::move(frame) : take_buffer();
    if (i != 0) copy.assign(frame.begin(), frame.end());
    if (plan.corrupt[i]) {
      link.damage(copy);
      say(Sighting::What::damaged, from, copy);
    }
    timeline_.put(plan.arrive[i], {Event::Kind::arrive, edges_[e].to, std::move(copy), {}});
  }
}

void Network::arrive(NodeId at, Frame frame) {
  Node& n = nodes_[at];
  if (n.host == nullptr) return forward(at, std::move(frame));
  say(Sighting::What::arrived, at, frame);
  n.receive(n.host, frame);
  recycle(std::move(frame));
}

void Network::set_alarm(NodeId id, Instant t) {
  Node& n = nodes_[id];
  t = std::max(t, now());
  if (n.alarm_set && n.alarm <= t) return; // the earlier one will look again
  n.alarm = t;
  n.alarm_set = true;
  timeline_.put(t, {Event::Kind::alarm, id, {}, {}});
}

void Network::alarm(NodeId id) {
  Node& n = nodes_[id];
  if (!n.alarm_set || n.alarm != now()) return; // replaced by an earlier one
  n.alarm_set = false;
  n.wake(n.host);
}

void Network::at(Instant t, std::function<void()> call) {
  timeline_.put(t, {Event::Kind::call, 0, {}, std::move(call)});
}

void Network::inject(Frame frame, Duration after) {
  const std::optional<IpView> ip = view_ip(frame);
  const std::optional<NodeId> to = ip ? node_of(ip->dst) : std::nullopt;
  if (to) timeline_.put(now() + after, {Event::Kind::arrive, *to, std::move(frame), {}});
}

bool Network::step() {
  if (timeline_.empty()) return false;
  Event e = timeline_.take();
  ++events_;
  switch (e.kind) {
    case Event::Kind::call:
      e.call();
      break;
    case Event::Kind::arrive:
      arrive(e.node, std::move(e.frame));
      break;
    case Event::Kind::alarm:
      alarm(e.node);
      break;
  }
  if (after_event) after_event();
  return true;
}

void Network::run_until(Instant t) {
  while (!timeline_.empty() && timeline_.next_at() <= t) step();
  timeline_.advance_to(t);
}

bool Network::run_to_rest(Instant limit) {
  while (!timeline_.empty() && timeline_.next_at() <= limit) step();
  return timeline_.empty();
}

} // namespace tern::sim
