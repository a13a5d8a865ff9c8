// What a handle does: find its record, call the engine, note what that wants.
#include "runtime/connection.hpp"

#include <algorithm>
#include <utility>

#include "packet/chain.hpp"
#include "runtime/shard.hpp"

namespace tern {
namespace {

// A call on a live connection; `none` for a stale handle.
template <class R, class F>
R with(Shard* shard, std::uint32_t index, std::uint32_t generation, R none, F&& f) {
  if (shard == nullptr) return none;
  ConnectionRecord* r = shard->resolve(index, generation);
  return r == nullptr ? none : f(*shard, *r);
}

// A call that may change the connection: what it wants is noted.
template <class F>
void change(Shard* shard, std::uint32_t index, std::uint32_t generation, F&& f) {
  with(shard, index, generation, 0, [&](Shard& s, ConnectionRecord& r) {
    tcp::Outcome out;
    f(s, r, out);
    s.note(r, out);
    return 0;
  });
}

// A send: whatever was taken goes out in this burst's output pass. Who could take nothing for want of memory, and waits
// for no ACK, is told there when to try again.
template <class F>
std::uint32_t sending(Shard* shard, std::uint32_t index, std::uint32_t generation, F&& f) {
  return with(shard, index, generation, 0U, [&](Shard& s, ConnectionRecord& r) {
    const std::uint32_t taken = f(s, r);
    if (taken != 0 || r.tcb.stranded()) s.mark_dirty(r);
    return taken;
  });
}

// What is copied takes packets at once: between pieces it is asked how many are left, whoever sends how often.
std::uint32_t send_copy(Shard& s, ConnectionRecord& r, std::span<const std::byte> bytes) {
  constexpr std::size_t least = 1024; // a packet holds at least so much
  std::uint32_t taken = 0;
  for (;;) {
    const auto piece = bytes.subspan(taken, std::min(bytes.size() - taken, Shard::most_unseen * least));
    s.takes_packets(1 + piece.size() / least);
    const std::uint32_t n = tcp::send_copy(s.env, r.tcb, piece, s.now);
    taken += n;
    if (n != piece.size() || taken == bytes.size()) return taken;
  }
}

} // namespace

bool Connection::alive() const {
  return with(shard_, index_, generation_, false,
              [](Shard&, ConnectionRecord& r) { return !r.has(ConnectionRecord::over); });
}

std::uint32_t Connection::send(Payload& payload) {
  return sending(shard_, index_, generation_, [&](Shard& s, ConnectionRecord& r) -> std::uint32_t {
    return payload.empty() ? 0 : tcp::send_packet(s.env, r.tcb, payload.packet_, false, s.now);
  });
}
std::uint32_t Connection::forward(Payload& payload) {
  return sending(shard_, index_, generation_, [&](Shard& s, ConnectionRecord& r) -> std::uint32_t {
    if (payload.empty()) return 0;
    const std::uint32_t taken = tcp::send_packet(s.env, r.tcb, payload.packet_, true, s.now);
    payload.lent_ += taken;
    return taken;
  });
}
std::uint32_t Connection::forward_unread(Connection from) {
  return with(from.shard_, from.index_, from.generation_, 0U, [&](Shard& s, ConnectionRecord& source) {
    if (source.unread == nullptr) return 0U;
    PacketChain unread = PacketChain::unfold(std::exchange(source.unread, nullptr));
    rte_mbuf* const last = unread.last();
    Payload p{unread.take()};
    const std::uint32_t taken = forward(p);
    if (!p.empty()) {
      source.unread = PacketChain{std::move(p.packet_), last}.fold();
    } else if (source.has(ConnectionRecord::end_untold |
                          ConnectionRecord::over)) { // the end waited behind this text
      source.set(ConnectionRecord::deliver_again);
      s.mark_dirty(source);
    }
    return taken;
  });
}
void Connection::reopen(std::uint32_t bytes) {
  change(shard_, index_, generation_, [bytes](Shard& s, ConnectionRecord& r, tcp::Outcome& out) {
    // Not more than it ever promised, whatever a handler says.
    const std::uint32_t most = r.tcb.rcv_held - (r.unread == nullptr ? 0 : r.unread->pkt_len);
    tcp::release_received(s.env, r.tcb, std::min(bytes, most), out);
  });
}
void Connection::widen() {
  with(shard_, index_, generation_, 0,
       [](Shard& s, ConnectionRecord& r) { return tcp::widen_window(s.env, r.tcb), 0; });
}
std::uint32_t Connection::unsent() const {
  return with(shard_, index_, generation_, 0U, [](Shard&, ConnectionRecord& r) { return r.tcb.unsent(); });
}
std::uint32_t Connection::unread() const {
  return with(shard_, index_, generation_, 0U,
              [](Shard&, ConnectionRecord& r) { return r.unread == nullptr ? 0U : r.unread->pkt_len; });
}
std::uint32_t Connection::unacknowledged() const {
  return with(shard_, index_, generation_, 0U, [](Shard&, ConnectionRecord& r) {
    const Seq from = r.tcb.has(tcp::flag_syn_acked) ? r.tcb.snd_una : r.tcb.iss + 1;
    return r.tcb.snd_end.after(from) ? r.tcb.snd_end.since(from) : 0U; // a FIN lies behind snd.end
  });
}
std::uint32_t Connection::acknowledged() const {
  return with(shard_, index_, generation_, 0U,
              [](Shard&, ConnectionRecord& r) { return r.tcb.snd_una.since(r.tcb.iss); });
}
std::uint32_t Connection::send(StaticBytes bytes) {
  return sending(shard_, index_, generation_, [&](Shard& s, ConnectionRecord& r) {
    return tcp::send_static(s.env, r.tcb, bytes.bytes(), s.now);
  });
}
std::uint32_t Connection::send(std::span<const std::byte> bytes) {
  return sending(shard_, index_, generation_,
                 [&](Shard& s, ConnectionRecord& r) { return send_copy(s, r, bytes); });
}
std::uint32_t Connection::send_space() const {
  return with(shard_, index_, generation_, 0U,
              [](Shard& s, ConnectionRecord& r) { return tcp::send_space(s.env, r.tcb); });
}

void Connection::close() {
  change(shard_, index_, generation_,
         [](Shard& s, ConnectionRecord& r, tcp::Outcome& out) { tcp::close(s.env, r.tcb, s.now, out); });
}
void Connection::drain() {
  change(shard_, index_, generation_, [](Shard& s, ConnectionRecord& r, tcp::Outcome& out) {
    if (r.left()) return r.tcb.set(tcp::flag_orphan);
    tcp::orphan(s.env, r.tcb, tcp::Farewell::Drain, s.now, out);
    if (r.unread == nullptr) return;
    r.set(ConnectionRecord::deliver_again); // the core throws it away
    s.mark_dirty(r);
  });
}
void Connection::release() {
  change(shard_, index_, generation_, [](Shard& s, ConnectionRecord& r, tcp::Outcome& out) {
    if (r.left()) return r.tcb.set(tcp::flag_orphan);
    tcp::orphan(s.env, r.tcb, tcp::Farewell::Reset, s.now, out);
  });
}
void Connection::abort() {
  change(shard_, index_, generation_, [](Shard& s, ConnectionRecord& r, tcp::Outcome& out) {
    if (r.left()) return r.tcb.set(tcp::flag_orphan);
    tcp::abort(s.env, r.tcb, out);
  });
}
void Connection::pause_reading() {
  change(shard_, index_, generation_,
         [](Shard&, ConnectionRecord& r, tcp::Outcome&) { tcp::pause_reading(r.tcb); });
}
void Connection::begin_window(std::uint32_t bytes) {
  with(shard_, index_, generation_, 0,
       [bytes](Shard& s, ConnectionRecord& r) { return tcp::begin_window(s.env, r.tcb, bytes), 0; });
}
void Connection::resume_reading() {
  change(shard_, index_, generation_, [](Shard& s, ConnectionRecord& r, tcp::Outcome& out) {
    tcp::resume_reading(s.env, r.tcb, out);
    if (r.unread == nullptr) return;
    r.set(ConnectionRecord::deliver_again);
    s.mark_dirty(r);
  });
}

Endpoint Connection::remote() const {
  return with(shard_, index_, generation_, Endpoint{}, [](Shard&, ConnectionRecord& r) {
    const Ip ip = r.has(ConnectionRecord::v6) ? r.remote6 : Ip{r.key.remote};
    return Endpoint{ip, Port{r.key.remote_port.host()}};
  });
}
Endpoint Connection::local() const {
  return with(shard_, index_, generation_, Endpoint{}, [](Shard& s, ConnectionRecord& r) {
    const Ip ip = r.has(ConnectionRecord::v6) ? s.key6(r).local : Ip{r.key.local};
    return Endpoint{ip, Port{r.key.local_port.host()}};
  });
}
std::uint8_t Connection::listener() const {
  return with(shard_, index_, generation_, ConnectionRecord::no_listener,
              [](Shard&, ConnectionRecord& r) { return r.listener; });
}
tcp::State Connection::state() const {
  return with(shard_, index_, generation_, tcp::State::Closed,
              [](Shard&, ConnectionRecord& r) { return tcp::State{r.tcb.state}; });
}

std::uint64_t Connection::user() const {
  return with(shard_, index_, generation_, std::uint64_t{0},
              [](Shard&, ConnectionRecord& r) { return r.user; });
}
void Connection::set_user(std::uint64_t word) {
  with(shard_, index_, generation_, 0, [&](Shard&, ConnectionRecord& r) { return r.user = word, 0; });
}

} // namespace tern
