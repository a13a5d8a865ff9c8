// What rises from the network layer to connections: ICMP errors, and segments put together of fragments.
#pragma once

#include "runtime/core.hpp"

namespace tern {

// What the network layer found for TCP among packets that were none: errors, and datagrams put together.
template <io::PacketPort Port, class Handler>
void Core<Port, Handler>::rise() {
  net_.take_errors([&](const net::TcpError& e) {
    const wire::QuotedTcp& q = e.quoted;
    const Be16 local{q.src_port.raw()};
    const Be16 remote{q.dst_port.raw()};
    if (q.src.is_v4())
      arrive_error(FlowKey4{q.dst.v4(), q.src.v4(), remote, local}, e);
    else
      arrive_error(FlowKey6{q.dst, q.src, remote, local}, e);
  });
  const std::uint16_t whole = net_.take_whole(rx_.data(), burst);
  std::uint16_t mine = 0;
  for (std::uint16_t i = 0; i < whole; ++i) {
    // Fragments met here by their addresses; the segment they make belongs where its ports say.
    if constexpr (requires { port_.steering(); }) {
      const io::CoreId owner = port_.steering().owner_of_frame(rx_[i], queue_);
      if (owner != queue_) {
        port_.hand_off(queue_, owner, rx_[i]);
        continue;
      }
    }
    rx_[mine++] = rx_[i];
  }
  if (mine != 0) (void)receive(mine); // counted when their fragments came
}

// Of connections only: a record of a handshake sends nothing large, and is given up in its own time.
template <io::PacketPort Port, class Handler>
template <class Key>
void Core<Port, Handler>::arrive_error(const Key& key, const net::TcpError& e) {
  const FlowRef ref = shard_.flows.find(shard_.hasher(key), key, shard_);
  if (!ref || ref.kind() != FlowKind::connection || shard_.connections.at(ref.index()).has(R::over))
    return shard_.counters.add(CoreCounter::icmp_no_connection);
  R& r = shard_.connections.at(ref.index());
  tcp::Outcome out;
  if (e.what == net::TcpError::What::too_big) {
    constexpr std::uint32_t headers = std::is_same_v<Key, FlowKey4> ? 40 : 60;
    const auto mss = static_cast<std::uint16_t>(std::clamp(e.mtu, headers, 65535U) - headers);
    tcp::path_mtu_reduced(shard_.env, r.tcb, e.quoted.seq, mss, shard_.now, out);
  } else {
    const bool refused = e.what == net::TcpError::What::refused;
    tcp::icmp_unreachable(shard_.env, r.tcb, e.quoted.seq,
                          refused ? CloseReason::Refused : CloseReason::Unreachable, out);
  }
  tell(r, out);
}

} // namespace tern
