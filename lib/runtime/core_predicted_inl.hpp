// The predicted way: what nearly every segment of a connection goes, at one go and in registers. It looks before it
// does: whatever is out of the ordinary goes the way of core_inl.hpp and the engine's steps, as if it had not been here.
#pragma once

#include "runtime/core.hpp"

namespace tern {

// ---- In: the segment that a connection waits for, its header in registers. False: nothing was done, it is for arrive().
template <io::PacketPort Port, class Handler>
inline bool Core<Port, Handler>::arrive_predicted(R& r, const Arrived& a, Packet& p) {
  wire::LeanHeader h;
  if (!read_predicted(a, p, h)) [[unlikely]]
    return false;
  const std::uint32_t text = a.l4_length - h.length();
  tcp::Outcome out;
  if (!tcp::arrive_as_predicted(shard_.env, r.tcb, h, text, shard_.now, out)) [[unlikely]]
    return false;
  tell_predicted(r, p, text, out);
  return true;
}

// In one piece, unmarked, of a layout that `Header` is read from, and we are not short of packets.
template <io::PacketPort Port, class Handler>
template <class Header>
inline bool Core<Port, Handler>::read_predicted(const Arrived& a, const Packet& p, Header& h) const {
  const bool one_piece = p.data_length() == a.l4_offset + a.l4_length;
  if (!one_piece || (a.tos & 3) == 3 || shard_.env.scarcity != tcp::Scarcity::none) [[unlikely]]
    return false;
  return wire::read({p.data() + a.l4_offset, a.l4_length}, h);
}

// What tell() comes to behind a prediction. The last `text` bytes of the packet are what the connection took.
template <io::PacketPort Port, class Handler>
inline void Core<Port, Handler>::tell_predicted(R& r, Packet& p, std::uint32_t text,
                                                const tcp::Outcome& out) {
  if (text != 0) {
    p.trim_front(p.length() - text);
    hand_over(r, std::move(p));
  }
  if (out.has(tcp::event_peer_closed)) r.set(R::end_untold);
  if (out.has(tcp::event_returned)) [[unlikely]]
    handler::returned(handler_, shard_.handle(r), out.returned);
  tell_end(r);
  follow(r, out);
}

// The same for the SYN-ACK that our SYN waits for.
template <io::PacketPort Port, class Handler>
bool Core<Port, Handler>::connect_predicted(R& r, const Arrived& a, Packet& p) {
  wire::FullSyn h;
  if (r.tcb.state != tcp::State::SynSent || !read_predicted(a, p, h) ||
      !tcp::predicts_syn_ack(shard_.env, r.tcb, h, a.l4_length - h.length())) [[unlikely]]
    return false;
  tcp::Outcome out;
  tcp::open_answered(shard_.env, r.tcb, h, shard_.now, out);
  handler::connected(handler_, shard_.handle(r));
  tell_predicted(r, p, 0, out);
  return true;
}

// The same for who proves a SYN-ACK: arrive_at_syn() and complete() at one go.
template <io::PacketPort Port, class Handler>
template <class Key>
bool Core<Port, Handler>::complete_predicted(const Arrived& a, FlowHash hash, FlowRef ref, Packet& p) {
  wire::LeanHeader h;
  if (!read_predicted(a, p, h)) [[unlikely]]
    return false;
  const std::uint32_t text = a.l4_length - h.length();
  SynSlot<Key>& slot = shard_.template syn_at<Key>(ref);
  if (!tcp::predicts_proof(shard_.env, slot.facts, h, text) ||
      !room_of<Key>(shard_.listeners[slot.listener]).accept) [[unlikely]]
    return false;
  R* r = take_place(slot.key, hash, ref);
  if (r == nullptr) [[unlikely]]
    return true;
  tcp::Outcome out;
  tcp::open_proved(shard_.env, r->tcb, slot.facts, h, text, shard_.template mtu_mss<Key>(), shard_.now, out);
  show(*r, slot.listener, slot.hop);
  end_handshake(slot);
  tell_accepted(*r);
  tell_predicted(*r, p, text, out);
  return true;
}

// The same for a SYN that a listener keeps a record of: arrive_at_listener() at one go.
template <io::PacketPort Port, class Handler>
template <class Key>
bool Core<Port, Handler>::listen_predicted(const Arrived& a, const Key& key, FlowHash hash, Packet& p) {
  wire::FullSyn h;
  if (shard_.gate.cookies_held() || !read_predicted(a, p, h))
      [[unlikely]] // the first in a flood: no more of it is asked
    return false;
  const std::uint8_t id = listener_for(key);
  if (id == Listeners::none) [[unlikely]]
    return false;
  const Listener& l = shard_.listeners[id];
  if (!tcp::predicts_record(shard_.env, shard_.gate, l.settings.cookies, room_of<Key>(l), h,
                            a.l4_length - h.length(), shard_.now)) [[unlikely]]
    return false;
  keep_syn(key, hash, id, FlowRef{}, [&] {
    return tcp::record_predicted(shard_.env, shard_.gate, Tuple<Key>::from(&key), h, shard_.now);
  });
  return true;
}

// ---- Out.
// A frame around the header that `make` gives once there is a packet for it. False, and `make` was not called: no
// packet, or the neighbour is not known, or is not one that whole frames can go to.
template <io::PacketPort Port, class Handler>
template <class Make>
inline bool Core<Port, Handler>::send_whole(const FlowKey4& key, std::uint16_t hop, std::uint32_t length,
                                            std::span<const std::byte> text, Make&& make) {
  net::Neighbour* const next = hops_.find(hop, key.remote);
  if (!net_.takes_frame4(next)) [[unlikely]]
    return false;
  Packet frame = shard_.env.packets.alloc(net::front4 + length, net::front4);
  if (!frame) [[unlikely]]
    return false;
  // The key names the remote port first, the segment ours: one word, turned by half.
  std::uint32_t ports;
  std::memcpy(&ports, &key.remote_port, sizeof ports);
  net_.write_frame4(frame, *next, {key.local, key.remote, ports >> 16 | ports << 16}, make(), text);
  queue_frame(frame.release());
  return true;
}

// The SYN, the one segment that waits, the ACK that is owed, or nothing: decided by the engine, framed before any of it
// is in memory. False: it is for send_by_steps().
template <io::PacketPort Port, class Handler>
inline bool Core<Port, Handler>::send_predicted(R& r) {
  using What = tcp::Prediction::What;
  const tcp::Prediction p = tcp::predict_output(shard_.env, r.tcb);
  if (p.what == What::nothing) return true;
  if (p.what == What::unusual || r.has(R::v6)) [[unlikely]]
    return false;
  if (p.what == What::syn)
    return send_whole(r.key, r.hop, wire::FullSyn::length(shard_.env.settings.timestamps), {},
                      [&] { return tcp::leave_syn(shard_.env, r.tcb, shard_.now); });
  return send_whole(r.key, r.hop, tcp::lean_length(r.tcb, p.text), {p.run, p.text},
                    [&] { return tcp::leave(shard_.env, r.tcb, p, shard_.now); });
}

} // namespace tern
