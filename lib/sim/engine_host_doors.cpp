// What has no Tcb: listeners, half-open records, TIME-WAIT.
#include "sim/engine_host.hpp"
#include "sim/invariants.hpp"

namespace tern::sim {

namespace flag = wire::tcp_flag;
using tcp::State;

namespace {

tcp::Segment bare(const TcpView& v) {
  return {.h = v.h, .payload = nullptr, .text = static_cast<std::uint32_t>(v.text.size()), .ce = false};
}

constexpr std::int64_t epoch_ns = std::int64_t{tcp::CookieJar::epoch_seconds} * 1'000'000'000;

} // namespace

tcp::Tuple4 EngineHost::words(const Tuple& t) const {
  std::byte key[12];
  store_be<std::uint32_t>(key, t.remote);
  store_be<std::uint32_t>(key + 4, address_.host());
  store_be<std::uint16_t>(key + 8, t.remote_port);
  store_be<std::uint16_t>(key + 10, t.local_port);
  return tcp::Tuple4::from(key);
}

tcp::Origins EngineHost::origins(const Tuple& t) const {
  tcp::Origins o = gate_.isn.both(words(t), now());
  if (choose_isn) o.iss = choose_isn(Port{t.local_port}, Ip4{Be32{t.remote}}, Port{t.remote_port});
  return o;
}

State EngineHost::state_of(Port local, Ip4 remote, Port remote_port) const {
  const Tuple t{remote.host(), remote_port.raw(), local.raw()};
  if (const auto id = connection(local, remote, remote_port)) return connections_.at(*id)->tcb.state;
  if (syns_.contains(t)) return State::SynReceived;
  if (time_waits_.contains(t)) return State::TimeWait;
  return listeners_.contains(t.local_port) ? State::Listen : State::Closed;
}

const tcp::TimeWaitRecord* EngineHost::time_wait(Port local, Ip4 remote, Port remote_port) const {
  const auto at = time_waits_.find({remote.host(), remote_port.raw(), local.raw()});
  return at == time_waits_.end() ? nullptr : &at->second.record;
}

// The one lookup: a connection, a half-open record (which may stand beside the TIME-WAIT that it came from),
// TIME-WAIT, or nothing.
void EngineHost::receive_tcp(const IpView& ip, const TcpView& tcp) {
  gate_.jar.turn_to(static_cast<std::uint32_t>(now().since_origin_ns() / epoch_ns));
  const Tuple t{ip.src.host(), tcp.h.src.raw(), tcp.h.dst.raw()};
  const bool ce = ip.ecn == Ecn::ce;
  if (const auto at = by_tuple_.find(t); at != by_tuple_.end()) {
    if (Connection* c = lookup(at->second)) return arrive(*c, tcp, ce);
    return;
  }
  if (const auto at = syns_.find(t); at != syns_.end()) return half_open_arrives(t, at->second, tcp, ce);
  if (const auto at = time_waits_.find(t); at != time_waits_.end())
    return time_wait_arrives(t, at->second, tcp, ce);
  knock(t, tcp, ce);
}

void EngineHost::knock(const Tuple& t, const TcpView& tcp, bool ce) {
  const tcp::Segment s = bare(tcp);
  if (!listeners_.contains(t.local_port)) {
    wire::Tcp reply;
    if (tcp::closed_arrives(env(), gate_, s, now(), reply) == tcp::ListenVerdict::Reply) emit(t, reply);
    return;
  }
  const tcp::ListenRoom room{
      .mtu_mss = mtu_mss(), .record = syns_.size() < settings_.backlog, .accept = true};
  tcp::ListenOutcome out;
  const tcp::ListenVerdict v =
      tcp::listen_arrives(env(), gate_, settings_.cookies, room, words(t), s, now(), out);
  take_verdict(t, tcp, ce, v, out);
}

void EngineHost::take_verdict(const Tuple& t, const TcpView& tcp, bool ce, tcp::ListenVerdict v,
                              tcp::ListenOutcome& out) {
  switch (v) {
    case tcp::ListenVerdict::Drop:
      return;
    case tcp::ListenVerdict::Reply:
      return emit(t, out.reply);
    case tcp::ListenVerdict::Record: {
      if (choose_isn)
        out.record.iss = origins(t).iss; // a story's numbers, or a test's beside the wrap-around
      const Instant at = now() + tcp::first_syn_ack_timeout(settings_.tcp);
      syns_.insert_or_assign(t, HalfOpen{out.record, at});
      wire_.wake_at(at);
      say_state(State::Listen, State::SynReceived);
      emit(t, tcp::syn_ack(settings_.tcp, out.record, mtu_mss(), now()));
      if (settings_.two_way_handshake) believe(t, out.record);
      return;
    }
    case tcp::ListenVerdict::Complete:
      return accept(t, out.handshake, tcp, ce);
  }
}

void EngineHost::believe(const Tuple& t, const tcp::SynRecord& r) {
  TcpView ack;
  ack.h.seq = r.irs + 1;
  ack.h.ack = r.iss + 1;
  ack.h.flags = flag::ack;
  ack.h.window = r.syn_window;
  syns_.erase(t);
  accept(t, tcp::handshake_of(settings_.tcp, r), ack, false);
}

void EngineHost::half_open_arrives(const Tuple& t, HalfOpen& h, const TcpView& tcp, bool ce) {
  wire::Tcp reply;
  tcp::heed_cookie(env(), gate_, settings_.cookies, words(t), bare(tcp), now(), h.record);
  switch (tcp::syn_received_arrives(env(), h.record, bare(tcp), mtu_mss(), true, now(), reply)) {
    case tcp::SynVerdict::Drop:
      return;
    case tcp::SynVerdict::Reply:
      return emit(t, reply);
    case tcp::SynVerdict::Closed:
      syns_.erase(t);
      return say_state(State::SynReceived, State::Listen);
    case tcp::SynVerdict::Complete: {
      const tcp::Handshake hs = tcp::handshake_of(settings_.tcp, h.record);
      syns_.erase(t);
      // The incarnation before, if that is where this one came from.
      if (time_waits_.erase(t) != 0) env().count(tcp::Counter::time_wait_reused);
      return accept(t, hs, tcp, ce);
    }
  }
}

void EngineHost::accept(const Tuple& t, const tcp::Handshake& hs, const TcpView& tcp, bool ce) {
  Connection& c = add(t, listeners_.at(t.local_port)(Ip4{Be32{t.remote}}, Port{t.remote_port}));
  tcp::open_passive(env(), c.tcb, hs, mtu_mss(), now());
  arrive(c, tcp, ce);
}

void EngineHost::time_wait_arrives(const Tuple& t, Waiting& w, const TcpView& tcp, bool ce) {
  wire::Tcp reply;
  switch (tcp::time_wait_arrives(env(), w.record, bare(tcp), now(), reply)) {
    case tcp::TimeWaitVerdict::Drop:
      return;
    case tcp::TimeWaitVerdict::Restart:
      w.expires = now() + settings_.tcp.time_wait;
      wire_.wake_at(w.expires);
      return emit(t, reply);
    case tcp::TimeWaitVerdict::Reply:
      return emit(t, reply);
    case tcp::TimeWaitVerdict::Reuse: {
      if (!listeners_.contains(t.local_port)) return emit(t, tcp::time_wait_ack(w.record, now()));
      const tcp::ListenRoom room{
          .mtu_mss = mtu_mss(), .record = syns_.size() < settings_.backlog, .accept = true};
      tcp::ListenOutcome out;
      const Seq iss = w.record.next_iss();
      const tcp::ListenVerdict v =
          tcp::listen_reuses(env(), gate_, room, words(t), iss, bare(tcp), now(), out);
      if (v != tcp::ListenVerdict::Record) return take_verdict(t, tcp, ce, v, out);
      const Instant at = now() + tcp::first_syn_ack_timeout(settings_.tcp);
      syns_.insert_or_assign(t, HalfOpen{out.record, at});
      wire_.wake_at(at);
      say_state(State::TimeWait, State::SynReceived);
      return emit(t, tcp::syn_ack(settings_.tcp, out.record, mtu_mss(), now()));
    }
  }
}

void EngineHost::begin_time_wait(const Connection& c) {
  const tcp::TimeWaitRecord r = tcp::make_time_wait(env(), tcp::time_wait_facts(c.tcb, now()));
  if (settings_.tcp.time_wait <= Duration{})
    return say_state(State::TimeWait, State::Closed); // taken away: see "the why"
  const Instant expires = now() + settings_.tcp.time_wait;
  time_waits_.insert_or_assign(c.tuple, Waiting{r, expires});
  wire_.wake_at(expires);
}

void EngineHost::half_opens_wake() {
  for (auto at = syns_.begin(); at != syns_.end();) {
    HalfOpen& h = at->second;
    if (h.at > now()) {
      wire_.wake_at(h.at);
      ++at;
      continue;
    }
    if (watcher.timer) watcher.timer(*this, "SYN-ACK timer");
    const std::optional<Duration> again = tcp::syn_ack_timer_fires(env(), h.record);
    if (!again) {
      at = syns_.erase(at);
      say_state(State::SynReceived, State::Listen);
      continue;
    }
    emit(at->first, tcp::syn_ack(settings_.tcp, h.record, mtu_mss(), now()));
    h.at = now() + *again;
    wire_.wake_at(h.at);
    ++at;
  }
}

void EngineHost::time_waits_wake() {
  for (auto at = time_waits_.begin(); at != time_waits_.end();) {
    if (at->second.expires > now()) {
      wire_.wake_at(at->second.expires);
      ++at;
      continue;
    }
    counters_.add(tcp::Counter::time_wait_expired);
    if (watcher.timer) watcher.timer(*this, "2MSL timer");
    at = time_waits_.erase(at);
    say_state(State::TimeWait, State::Closed);
  }
}

void EngineHost::check(const Connection& c) {
  if (broken_) return;
  if (const auto what = broken_invariant(env(), c.tcb))
    broken_ = name_ + ", connection " + std::to_string(c.id) + " in " + name_of(c.tcb.state) + ": " + *what;
}

} // namespace tern::sim
