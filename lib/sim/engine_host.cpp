#include "sim/engine_host.hpp"

#include <algorithm>
#include <cstring>

#include "sim/invariants.hpp"
#include "wire/tcp_inl.hpp"

namespace tern::sim {

namespace flag = wire::tcp_flag;
using tcp::Outcome;
using tcp::State;

EngineHost::EngineHost(std::string name, Ip4 address, PacketPool packets, const EngineHostSettings& s)
    : name_(std::move(name)),
      address_(address),
      packets_(packets),
      settings_(s),
      records_(s.records),
      gate_(tcp::derive_secrets(s.key), 0) {}

EngineHost::~EngineHost() {
  watcher = {};
  crash();
}

void EngineHost::crash() {
  for (auto& [id, c] : connections_) {
    say_state(c->tcb.state, State::Closed);
    tcp::release(env(), c->tcb);
  }
  connections_.clear();
  by_tuple_.clear();
  syns_.clear();
  time_waits_.clear();
  // What boots next has other secrets: no cookie of before is good any more.
  settings_.key.k1 = siphash24(settings_.key, std::as_bytes(std::span{name_}));
  gate_ = tcp::SynGate{tcp::derive_secrets(settings_.key), gate_.jar.epoch()};
}

EngineHost::Connection* EngineHost::lookup(ConnId id) {
  const auto at = connections_.find(id);
  return at == connections_.end() || at->second->over ? nullptr : at->second.get();
}

const tcp::Tcb* EngineHost::find(ConnId id) const {
  const auto at = connections_.find(id);
  return at == connections_.end() || at->second->over ? nullptr : &at->second->tcb;
}

std::optional<ConnId> EngineHost::connection(Port local, Ip4 remote, Port remote_port) const {
  const auto at = by_tuple_.find({remote.host(), remote_port.raw(), local.raw()});
  if (at == by_tuple_.end()) return std::nullopt;
  return at->second;
}

EngineHost::Connection& EngineHost::add(const Tuple& tuple, App& app) {
  auto c = std::make_unique<Connection>();
  c->id = next_id_++;
  c->tuple = tuple;
  c->app = &app;
  Connection& made = *c;
  by_tuple_[tuple] = made.id;
  connections_.emplace(made.id, std::move(c));
  return made;
}

// ---- The user's calls.

ConnId EngineHost::connect(Port from, Ip4 to, Port port, App& app) {
  const Tuple tuple{to.host(), port.raw(), from.raw()};
  TERN_CHECK(!by_tuple_.contains(tuple));
  Connection& c = add(tuple, app);
  tcp::Origins from_here = origins(tuple);
  if (const auto old = time_waits_.find(tuple); old != time_waits_.end()) {
    from_here.iss = old->second.record.next_iss(); // the caller asked may_reuse first
    time_waits_.erase(old);
  }
  tcp::open_active(env(), c.tcb, from_here.iss, from_here.ts_offset, mtu_mss(), tcp::Tuple4::assumed_mss,
                   now());
  note_state(c, State::Closed);
  const ConnId id = c.id;
  settle(c);
  return id;
}

void EngineHost::listen(Port port, Acceptor who) {
  listeners_[port.raw()] = std::move(who);
}

std::uint32_t EngineHost::send(ConnId id, std::span<const std::byte> bytes) {
  Connection* c = lookup(id);
  if (c == nullptr) return 0;
  const std::uint32_t n = tcp::send_copy(env(), c->tcb, bytes, now());
  settle(*c);
  return n;
}

std::uint32_t EngineHost::send_static(ConnId id, std::span<const std::byte> bytes) {
  Connection* c = lookup(id);
  if (c == nullptr) return 0;
  const std::uint32_t n = tcp::send_static(env(), c->tcb, bytes, now());
  settle(*c);
  return n;
}

std::uint32_t EngineHost::send_packet(ConnId id, Packet& text) {
  Connection* c = lookup(id);
  if (c == nullptr) return 0;
  const std::uint32_t n = tcp::send_packet(env(), c->tcb, text, false, now());
  settle(*c);
  return n;
}

std::uint32_t EngineHost::send_space(ConnId id) const {
  const tcp::Tcb* t = find(id);
  return t == nullptr ? 0 : tcp::send_space(const_cast<EngineHost*>(this)->env(), *t);
}

void EngineHost::close(ConnId id) {
  Connection* c = lookup(id);
  if (c == nullptr) return;
  Outcome out;
  const State before = c->tcb.state;
  tcp::close(env(), c->tcb, now(), out);
  user_acts(*c, before, std::move(out));
}

void EngineHost::abort(ConnId id) {
  Connection* c = lookup(id);
  if (c == nullptr) return;
  Outcome out;
  const State before = c->tcb.state;
  tcp::abort(env(), c->tcb, out);
  user_acts(*c, before, std::move(out));
}

void EngineHost::orphan(ConnId id, tcp::Farewell how) {
  Connection* c = lookup(id);
  if (c == nullptr) return;
  Outcome out;
  const State before = c->tcb.state;
  tcp::orphan(env(), c->tcb, how, now(), out);
  user_acts(*c, before, std::move(out));
}

void EngineHost::release_received(ConnId id, std::uint32_t bytes) {
  Connection* c = lookup(id);
  if (c == nullptr) return;
  Outcome out;
  tcp::release_received(env(), c->tcb, bytes, out);
  act(*c, std::move(out));
}

void EngineHost::pause_reading(ConnId id) {
  if (Connection* c = lookup(id)) tcp::pause_reading(c->tcb);
}

void EngineHost::resume_reading(ConnId id) {
  Connection* c = lookup(id);
  if (c == nullptr) return;
  Outcome out;
  tcp::resume_reading(env(), c->tcb, out);
  act(*c, std::move(out));
}

// ---- Arrival.

void EngineHost::receive(Bytes ip_packet) {
  const std::optional<IpView> ip = view_ip(ip_packet);
  if (!ip) {
    ++damaged_;
    return;
  }
  if (ip->protocol == protocol_icmp) return receive_icmp(*ip);
  const std::optional<TcpView> tcp = view_tcp(*ip);
  if (!tcp) {
    ++damaged_;
    return;
  }
  receive_tcp(*ip, *tcp);
}

void EngineHost::receive_icmp(const IpView& ip) {
  const std::optional<IcmpView> icmp = view_icmp(ip);
  if (!icmp || icmp->type != 3 || icmp->inner_src != address_) return;
  const auto id = connection(icmp->inner_src_port, icmp->inner_dst, icmp->inner_dst_port);
  Connection* c = id ? lookup(*id) : nullptr;
  if (c == nullptr) return;
  Outcome out;
  const State before = c->tcb.state;
  if (icmp->code == 4)
    tcp::path_mtu_reduced(env(), c->tcb, icmp->inner_seq,
                          static_cast<std::uint16_t>(std::max(icmp->mtu - 40, 0)), now(), out);
  else
    tcp::icmp_unreachable(env(), c->tcb, icmp->inner_seq, tcp::CloseReason::Unreachable, out);
  note_state(*c, before);
  act(*c, std::move(out));
}

void EngineHost::arrive(Connection& c, const TcpView& tcp, bool ce) {
  Packet payload;
  if (!tcp.text.empty()) {
    payload = packets_.alloc();
    if (!payload || !payload.append_copy(tcp.text, packets_))
      return; // the ring would have been empty: a loss like any other
  }
  const tcp::Segment s{.h = tcp.h,
                       .payload = payload ? &payload : nullptr,
                       .text = static_cast<std::uint32_t>(tcp.text.size()),
                       .ce = ce};
  Outcome out;
  const State before = c.tcb.state;
  tcp::segment_arrives(env(), c.tcb, s, now(), out);
  note_state(c, before);
  act(c, std::move(out));
}

void EngineHost::wake() {
  std::vector<ConnId> all;
  for (const auto& [id, c] : connections_) all.push_back(id);
  half_opens_wake();
  time_waits_wake();
  for (const ConnId id : all) {
    Connection* c = lookup(id);
    if (c == nullptr) continue;
    const std::uint32_t at = tcp::next_deadline(c->tcb);
    if (at == 0 || on_wall(at) > now()) {
      if (c->starved)
        settle(*c);
      else
        arm(c->tcb);
      continue;
    }
    if (watcher.timer) watcher.timer(*this, due_timers(c->tcb, now()));
    Outcome out;
    const State before = c->tcb.state;
    tcp::timer_fires(env(), c->tcb, now(), out);
    note_state(*c, before);
    act(*c, std::move(out));
  }
}

// ---- Outcomes.

void EngineHost::act(Connection& c, Outcome out) {
  c.outcomes.push_back(std::move(out));
  settle(c);
}

void EngineHost::user_acts(Connection& c, State before, Outcome out) {
  note_state(c, before);
  if (out.has(tcp::event_closed)) c.ended_by_user = true;
  act(c, std::move(out));
}

void EngineHost::settle(Connection& c) {
  if (c.busy) return; // a callback called in: the outer call goes on
  c.busy = true;
  while (!c.outcomes.empty() && !c.over) {
    Outcome out = std::move(c.outcomes.front());
    c.outcomes.pop_front();
    deliver(c, out);
  }
  flush(c);
  c.busy = false;
  if (check_invariants && !c.over) check(c);
  if (c.over) return end(c);
  arm(c.tcb);
}

void EngineHost::deliver(Connection& c, Outcome& out) {
  if (out.reply_reset) reset(c.tuple, out);
  const auto tell = [&](tcp::Event e) {
    return out.has(e) && (!c.ended_by_user || out.reason == tcp::CloseReason::Aborted);
  };
  if (tell(tcp::event_established)) c.app->established(*this, c.id);
  if (tell(tcp::event_data)) c.app->data(*this, c.id, out.data.take());
  if (tell(tcp::event_peer_closed)) c.app->peer_closed(*this, c.id);
  if (tell(tcp::event_writable)) c.app->writable(*this, c.id);
  if (settings_.two_way_close && (c.tcb.state == State::CloseWait || c.tcb.state == State::FinWait2)) {
    flush(c);
    c.over = true;
    forget(c);
    say_state(c.tcb.state, State::Closed);
    return c.app->closed(*this, c.id, tcp::CloseReason::Done);
  }
  if (tell(tcp::event_time_wait) || tell(tcp::event_closed)) {
    flush(c);
    c.over = true;
    forget(c);
    if (out.has(tcp::event_time_wait)) begin_time_wait(c);
    c.app->closed(*this, c.id, out.reason);
  }
}

void EngineHost::flush(Connection& c) {
  if (c.over) return;
  tcp::TxBurst burst;
  c.starved = false;
  for (bool more = true; more;) {
    more = tcp::output(env(), c.tcb, now(), burst);
    if (more && burst.size() == 0) {
      c.starved = true;
      wire_.wake_at(now() + Duration::ms(1));
      break;
    }
    for (std::size_t i = 0; i < burst.size(); ++i)
      emit(c.tuple, burst[i], burst.ect(i) ? Ecn::ect0 : Ecn::not_ect);
    burst.clear();
  }
}

void EngineHost::end(Connection& c) {
  tcp::release(env(), c.tcb);
  connections_.erase(c.id);
}

void EngineHost::forget(const Connection& c) {
  const auto at = by_tuple_.find(c.tuple);
  if (at != by_tuple_.end() && at->second == c.id) by_tuple_.erase(at);
}

// The engine's deadlines lie on a wrapping clock, within 24 days of now.
Instant EngineHost::on_wall(std::uint32_t ms32) const {
  const std::int64_t now_ms = now().since_origin_ns() / 1'000'000;
  return Instant{} + Duration::ms(now_ms + static_cast<std::int32_t>(ms32 - now().ms32()));
}

void EngineHost::arm(const tcp::Tcb& t) {
  if (const std::uint32_t at = tcp::next_deadline(t); at != 0) wire_.wake_at(on_wall(at));
}

// ---- Sending.

void EngineHost::emit(const Tuple& t, const Packet& segment, Ecn ecn) {
  const std::span<std::byte> room = start_ip(scratch_, segment.length());
  segment.copy_out(0, room);
  store_be<std::uint16_t>(room.data(), t.local_port);
  store_be<std::uint16_t>(room.data() + 2, t.remote_port);
  seal_tcp(scratch_, address_, Ip4{Be32{t.remote}}, ecn);
  wire_.send(scratch_);
}

void EngineHost::emit(const Tuple& t, wire::Tcp h) {
  h.src = Port{t.local_port};
  h.dst = Port{t.remote_port};
  wire::emit_tcp(h, start_ip(scratch_, wire::emitted_length(h)).data());
  seal_tcp(scratch_, address_, Ip4{Be32{t.remote}}, Ecn::not_ect);
  wire_.send(scratch_);
}

void EngineHost::reset(const Tuple& t, const Outcome& out) {
  wire::Tcp h;
  h.seq = out.reset_seq;
  h.flags = flag::rst;
  if (out.reset_has_ack) {
    h.flags |= flag::ack;
    h.ack = out.reset_ack;
  }
  emit(t, h);
}

} // namespace tern::sim
