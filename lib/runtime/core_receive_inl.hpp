// A burst's way from the port to the records of core.hpp: classify, name, look up, in stages.
#pragma once

#include "runtime/core.hpp"

namespace tern {

// The burst to work on. Behind a full one the next is received at once, so that its lines are on their way: what another
// core wrote is far away. Where they come from one, poll() does so behind every burst, before the turn's output is
// written, which takes as long as the lines do. Nothing waits for company.
template <io::PacketPort Port, class Handler>
std::uint16_t Core<Port, Handler>::receive_burst() {
  std::uint16_t count = std::exchange(ahead_count_, std::uint16_t{0});
  ahead_asked_ = 0;
  if (count != 0) {
    rx_ = ahead_;
  } else {
    const std::uint64_t start = rte_rdtsc();
    count = port_.rx_burst(queue_, rx_.data(), burst);
    if (count == 0) return 0;
    port_cycles_ += rte_rdtsc() - start;
  }
  if (count == burst) look_ahead();
  return count;
}

template <io::PacketPort Port, class Handler>
inline void Core<Port, Handler>::look_ahead() {
  const std::uint64_t start = rte_rdtsc();
  if constexpr (far_packets)
    ahead_count_ = port_.rx_ahead(queue_, ahead_.data(), burst);
  else
    ahead_count_ = port_.rx_burst(queue_, ahead_.data(), burst);
  if (ahead_count_ != 0) port_cycles_ += rte_rdtsc() - start;
}

// The next of them, between two pieces of other work.
template <io::PacketPort Port, class Handler>
inline void Core<Port, Handler>::ask_ahead() {
  if constexpr (far_packets) {
    TERN_DCHECK(ahead_asked_ <= ahead_count_);
    if (ahead_asked_ != ahead_count_) port_.rx_comes(ahead_[ahead_asked_++]);
  }
}

// Headers, and a short text behind them: it may end on a third line.
template <io::PacketPort Port, class Handler>
inline void Core<Port, Handler>::ask_for(const rte_mbuf* m) {
  const auto* data = rte_pktmbuf_mtod(m, const std::byte*);
  rte_prefetch0(data);
  rte_prefetch0(data + cache_line);
  rte_prefetch0(data + m->data_len - 1);
}

// How many bytes the frames have.
template <io::PacketPort Port, class Handler>
std::uint64_t Core<Port, Handler>::receive(std::uint16_t count) {
  std::uint64_t bytes = 0;
  for (std::uint16_t i = 0; i < count; ++i) {
    ask_for(rx_[i]); // for the second time, where the burst was received ahead
    bytes += rx_[i]->pkt_len;
  }
  // Stage 1: classify, name, hash; the flow table's lines are asked for.
  shard_.flows.begin(lookup_);
  std::uint16_t n = 0;
  for (std::uint16_t i = 0; i < count; ++i) {
    Arrived& a = arrived_[n];
    a.frame = rx_[i];
    // The key is the packet's own bytes, moved in as few words as they are read in later.
    std::uint64_t addresses;
    std::uint32_t ports;
    const auto read_key = [&](std::size_t l3, std::size_t l4) {
      const auto* data = rte_pktmbuf_mtod(a.frame, const std::byte*);
      std::memcpy(&addresses, data + l3 + 12, sizeof addresses);
      std::memcpy(&ports, data + l4, sizeof ports);
    };
    if (receive_lean(a)) [[likely]] {
      read_key(net::LeanTcp::l3_offset, net::LeanTcp::l4_offset);
    } else {
      std::uint16_t l3 = 0;
      if (!receive_other(a, l3)) continue;
      read_key(l3, a.l4_offset);
    }
    auto* key = reinterpret_cast<std::byte*>(&keys_[n]);
    std::memcpy(key, &addresses, sizeof addresses);
    std::memcpy(key + sizeof addresses, &ports, sizeof ports);
    shard_.flows.add(lookup_, shard_.hasher.of(static_cast<std::uint32_t>(addresses),
                                               static_cast<std::uint32_t>(addresses >> 32), ports));
    ++n;
  }
  // Stage 2: records, their misses overlapped over the burst.
  shard_.flows.aim(lookup_, shard_);
  shard_.flows.aim_away(lookup_, shard_);
  if constexpr (!far_packets) // those have not come yet
    for (std::uint16_t i = 0; i < ahead_count_; ++i) ask_for(ahead_[i]);
  // Stage 3: each to its end.
  for (std::uint16_t i = 0; i < n; ++i) {
    ask_ahead();
    arrive(arrived_[i], keys_[i], lookup_.hash[i], revalidated(lookup_.found[i], i));
  }
  return bytes;
}

// What an earlier packet of the burst changed makes the table's answers hints only. A connection that bears
// the key is the key's: one that has left the table is over, and sends who comes to it back there. A TIME-WAIT
// record may rest behind a handshake, a handshake's record may be free, and what was nobody's may be somebody's
// by now.
template <io::PacketPort Port, class Handler>
inline FlowRef Core<Port, Handler>::revalidated(FlowRef hint, std::uint16_t i) const {
  const bool sure = hint && hint.kind() == FlowKind::connection;
  const bool stale = !sure && !shard_.flows.stands(lookup_, i);
  if (!stale && (!hint || shard_.matches(hint, keys_[i]))) [[likely]]
    return hint;
  return shard_.flows.find(lookup_.hash[i], keys_[i], shard_);
}

template <io::PacketPort Port, class Handler>
inline bool Core<Port, Handler>::receive_lean(Arrived& a) {
  Packet p{a.frame};
  net::LeanTcp lean;
  const bool is = net_.lean_tcp(p, lean);
  if (is) [[likely]] {
    a.l4_length = lean.l4_length;
    a.l4_offset = net::LeanTcp::l4_offset;
    a.tos = lean.tos;
  }
  (void)p.release();
  return is;
}

// What is not of the lean kind: whose IP header begins where. False: it went its whole way here, TCP over IPv6
// too.
template <io::PacketPort Port, class Handler>
bool Core<Port, Handler>::receive_other(Arrived& a, std::uint16_t& l3) {
  Packet p{a.frame};
  const net::Classified c = net_.classify(p);
  if (c.kind == net::Kind::drop) return false;
  if (c.kind != net::Kind::tcp) {
    if (!passed_on(p, c)) net_.control(std::move(p), c, shard_.now);
    return false;
  }
  a = {nullptr, c.l4_length, c.l4_offset, c.tos};
  l3 = c.l3_offset;
  if (!c.v6) return a.frame = p.release(), true;
  FlowKey6 key{c.source(p), c.destination(p), {}, {}};
  std::memcpy(&key.remote_port, p.data() + c.l4_offset, 4);
  // A NIC does not look behind extension headers for the ports.
  if (c.l4_offset - c.l3_offset != 40 && passed_to_owner(p, key)) return false;
  a.frame = p.release();
  const FlowHash hash = shard_.hasher(key);
  arrive(a, key, hash, shard_.flows.find(hash, key, shard_));
  return false;
}

template <io::PacketPort Port, class Handler>
template <class Key>
bool Core<Port, Handler>::passed_to_owner(Packet& p, const Key& key) {
  if constexpr (requires { port_.steering(); }) {
    const io::CoreId owner =
        port_.steering().owner(key.remote, key.local, Port16(key.remote_port), Port16(key.local_port));
    if (owner == queue_) return false;
    port_.hand_off(queue_, owner, p.release());
    return true;
  } else {
    return false;
  }
}

// What is not TCP. An ICMP error goes to the core whose connection it speaks of, fragments to where the
// others of their datagram are; news of neighbours go to all.
template <io::PacketPort Port, class Handler>
bool Core<Port, Handler>::passed_on(Packet& p, const net::Classified& c) {
  if constexpr (requires { port_.steering(); }) {
    if (port_.steering().cores() == 1) return false;
    const io::CoreId owner = port_.steering().owner_of_frame(p.mbuf(), queue_);
    if (owner != queue_) {
      port_.hand_off(queue_, owner, p.release());
      return true;
    }
    if (net_.concerns_all(p, c)) share(p);
  }
  return false;
}

// Each core keeps neighbours of its own: no lock, no line that all cores read while one writes. What one
// hears of them it tells the others, by copies in the mailbox; those learn, and leave the answering to it.
// Bounded per tick: who floods the link with ARP must not fill mailboxes.
template <io::PacketPort Port, class Handler>
void Core<Port, Handler>::share(const Packet& p) {
  constexpr std::uint16_t most_a_tick = 32;
  for (io::CoreId c = 0; c < handle_.count(); ++c) {
    if (c == queue_) continue;
    bool told = false;
    if (shared_this_tick_ < most_a_tick) {
      if (Packet copy = p.copy(0, p.length(), shard_.env.packets))
        told = handle_.peer(c).post([news = std::move(copy)](CoreHandle& core) mutable {
          core.network().overhear(std::move(news), core.now());
        });
    }
    shard_.counters.add(told ? CoreCounter::neighbour_news_shared : CoreCounter::neighbour_news_dropped);
  }
  ++shared_this_tick_;
}

template <io::PacketPort Port, class Handler>
template <class Key>
void Core<Port, Handler>::arrive(const Arrived& a, const Key& key, FlowHash hash, FlowRef ref) {
  Packet packet{a.frame};
  bool done = false;
  if (!ref) {
    done = listen_predicted(a, key, hash, packet);
  } else if (ref.kind() == FlowKind::connection) {
    R& r = shard_.connections.at(ref.index());
    done = arrive_predicted(r, a, packet) || connect_predicted(r, a, packet);
  } else if (ref.kind() == FlowKind::syn_received) {
    done = complete_predicted<Key>(a, hash, ref, packet);
  }
  if (!done) arrive_by_steps(a, key, hash, ref, packet);
  shard_.stash.give(std::move(packet), shard_.env.packets.raw());
}

// The engine takes what it keeps out of `packet`.
template <io::PacketPort Port, class Handler>
template <class Key>
void Core<Port, Handler>::arrive_by_steps(const Arrived& a, const Key& key, FlowHash hash, FlowRef ref,
                                          Packet& packet) {
  wire::Tcp& h = header_;
  const std::byte* l4 = packet.data() + a.l4_offset;
  const std::size_t here = packet.data_length() - a.l4_offset;
  if (wire::parse_lean({l4, std::min<std::size_t>(here, a.l4_length)}, h) != wire::Verdict::ok) [[unlikely]]
    return shard_.counters.add(CoreCounter::drop_tcp_header);
  tcp::Segment s{.h = h, .payload = nullptr, .text = a.l4_length - h.header_length, .ce = (a.tos & 3) == 3};
  if (s.text != 0) {
    packet.trim_front(static_cast<std::uint32_t>(a.l4_offset) + h.header_length);
    s.payload = &packet;
  }
  if (ref && ref.kind() == FlowKind::connection && shard_.connections.at(ref.index()).has(R::over))
      [[unlikely]] {
    // An earlier packet of the burst ended it: a SYN that follows must find what the connection left behind.
    flush_one(shard_.connections.at(ref.index()));
    ref = shard_.flows.find(hash, key, shard_);
  }
  if (!ref) {
    arrive_at_listener(s, key, hash);
  } else if (ref.kind() == FlowKind::connection) {
    arrive_at_connection(shard_.connections.at(ref.index()), s);
  } else if (ref.kind() == FlowKind::syn_received) {
    arrive_at_syn(shard_.template syn_at<Key>(ref), s, hash);
  } else {
    arrive_at_time_wait(ref.index(), s, key, hash);
  }
}

} // namespace tern
