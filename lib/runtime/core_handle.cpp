#include "runtime/core_handle.hpp"

#include <type_traits>

#include "flow/flow_table_inl.hpp"

namespace tern {
namespace {

template <class Key>
using Tuple = std::conditional_t<std::is_same_v<Key, FlowKey4>, tcp::Tuple4, tcp::Tuple6>;

FlowKey4 key4(const Endpoint& remote, const Endpoint& local) {
  return {remote.ip.v4(), local.ip.v4(), Be16{remote.port.raw()}, Be16{local.port.raw()}};
}
FlowKey6 key6(const Endpoint& remote, const Endpoint& local) {
  return {remote.ip, local.ip, Be16{remote.port.raw()}, Be16{local.port.raw()}};
}

} // namespace

std::string_view name_of(ConnectError e) {
  constexpr std::string_view names[] = {"none",    "no_record", "port_taken",
                                        "no_port", "no_source", "no_route"};
  return names[static_cast<std::size_t>(e)];
}

template <class Key>
bool CoreHandle::taken(const Key& key) const {
  const FlowRef ref = shard_.flows.find(shard_.hasher(key), key, shard_);
  if (!ref) return false;
  if (ref.kind() != Shard::time_wait_kind<Key>()) return true;
  return !tcp::may_reuse_for_active_open(shard_.template time_waits<Key>().streams.at(ref.index()).facts,
                                         shard_.now);
}

template <class Key>
Connecting CoreHandle::open(const Key& key, FlowHash hash) {
  const FlowRef old = shard_.flows.find(hash, key, shard_);
  auto& streams = shard_.template time_waits<Key>().streams;
  const tcp::Origins origins = shard_.gate.isn.both(Tuple<Key>::from(&key), shard_.now);
  Seq iss = origins.iss;
  if (old) {
    if (old.kind() != Shard::time_wait_kind<Key>() ||
        !tcp::may_reuse_for_active_open(streams.at(old.index()).facts, shard_.now))
      return {{}, ConnectError::port_taken};
    iss = streams.at(old.index()).facts.next_iss();
  }
  ConnectionRecord* r = shard_.connections.take();
  if (r == nullptr) {
    shard_.counters.add(CoreCounter::connect_no_record);
    return {{}, ConnectError::no_record};
  }
  shard_.name(*r, key);
  const FlowRef ref = shard_.ref_of(*r);
  if (!(old ? shard_.flows.replace(hash, old, ref) : shard_.flows.insert(hash, ref))) {
    shard_.counters.add(CoreCounter::drop_no_flow_entry);
    shard_.connections.give_back(*r);
    return {{}, ConnectError::no_record};
  }
  if (old) {
    streams.kill(old.index());
    shard_.tcp_counters.add(tcp::Counter::time_wait_reused);
  }
  tcp::open_active(shard_.env, r->tcb, iss, origins.ts_offset, shard_.template mtu_mss<Key>(),
                   Tuple<Key>::assumed_mss, shard_.now);
  shard_.connections.show(*r);
  r->set(ConnectionRecord::told_open);
  r->hop = hops_.towards(key.remote);
  shard_.counters.add(CoreCounter::connects);
  shard_.mark_dirty(*r);
  return {shard_.handle(*r), ConnectError::none};
}

template bool CoreHandle::taken(const FlowKey4&) const;
template bool CoreHandle::taken(const FlowKey6&) const;
template Connecting CoreHandle::open(const FlowKey4&, FlowHash);
template Connecting CoreHandle::open(const FlowKey6&, FlowHash);

// A SYN to a group, to ourselves or to nowhere would only time out.
ConnectError CoreHandle::reachable(const Endpoint& remote) const {
  const net::Interface& self = net_.self();
  const bool nobody = remote.ip == Ip{} || remote.ip == Ip{Ip4{}} || remote.port == Port{} ||
                      net::is_multicast(remote.ip) || self.owns(remote.ip) ||
                      (remote.ip.is_v4() && self.is_broadcast(remote.ip.v4()));
  return nobody || !net_.has_route(remote.ip) ? ConnectError::no_route : ConnectError::none;
}

Connecting CoreHandle::connect(const Endpoint& remote, std::uint64_t user) {
  if (dialer_ == nullptr) return {{}, ConnectError::no_source};
  return connect(dialer_->recent(remote), user);
}

Connecting CoreHandle::connect(Dial& d, std::uint64_t user) {
  if (!d.checked) [[unlikely]] { // the first time, and as long as there is no way: a route may come
    if (const ConnectError e = reachable(d.remote); e != ConnectError::none) {
      shard_.counters.add(CoreCounter::connect_no_route);
      return {{}, e};
    }
    if (dialer_ == nullptr) return {{}, ConnectError::no_source};
    d = dialer_->dial(d.remote);
    if (d.choice == DialPlan::none) return {{}, ConnectError::no_source};
    d.checked = true;
  }
  Connecting made;
  const bool v4 = d.remote.ip.is_v4();
  const bool found = dialer_->draw(d, [&](const PortDraw& draw) {
    const Endpoint local = draw.local();
    made = v4 ? open(key4(d.remote, local)) : open(key6(d.remote, local));
    return made.error == ConnectError::port_taken;
  });
  if (!found) {
    shard_.counters.add(CoreCounter::connect_no_port);
    return {{}, ConnectError::no_port};
  }
  if (made && user != 0) made.connection.set_user(user);
  return made;
}

Connecting CoreHandle::connect(const Endpoint& remote, const Endpoint& local, std::uint64_t user) {
  if (remote.ip.is_v4() != local.ip.is_v4() || !net_.self().owns(local.ip) || local.port == Port{} ||
      (!local.ip.is_v4() && shard_.address6_index(local.ip) == shard_.settings.addresses6.size()))
    return {{}, ConnectError::no_source};
  if (const ConnectError e = reachable(remote); e != ConnectError::none) {
    shard_.counters.add(CoreCounter::connect_no_route);
    return {{}, e};
  }
  Connecting made = remote.ip.is_v4() ? open(key4(remote, local)) : open(key6(remote, local));
  if (made.error == ConnectError::port_taken) shard_.counters.add(CoreCounter::connect_no_port);
  if (made && user != 0) made.connection.set_user(user);
  return made;
}

} // namespace tern
