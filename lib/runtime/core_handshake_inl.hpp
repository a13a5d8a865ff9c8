// From a listener to a connection: SYN, record, SYN-ACK, proof; and TIME-WAIT, which may begin anew.
#pragma once

#include "runtime/core.hpp"

namespace tern {

template <io::PacketPort Port, class Handler>
template <class Key>
tcp::ListenRoom Core<Port, Handler>::room_of(const Listener& l) {
  const ListenerSettings& s = l.settings;
  return {.mtu_mss = shard_.template mtu_mss<Key>(),
          .record = l.opening < s.backlog && shard_.template syns<Key>().slots.left() != 0,
          .accept = !l.closed && !l.full && l.open < s.connections &&
                    shard_.connections.used() < shard_.connections.capacity()};
}

template <io::PacketPort Port, class Handler>
template <class Key>
void Core<Port, Handler>::arrive_at_listener(const tcp::Segment& s, const Key& key, FlowHash hash) {
  const std::uint8_t id = listener_for(key);
  if (id == Listeners::none) {
    shard_.counters.add(CoreCounter::drop_no_listener);
    return refuse(s, key);
  }
  const Listener& l = shard_.listeners[id];
  tcp::ListenOutcome& out = listen_out_;
  switch (tcp::listen_arrives(shard_.env, shard_.gate, l.settings.cookies, room_of<Key>(l),
                              Tuple<Key>::from(&key), s, shard_.now, out)) {
    case tcp::ListenVerdict::Drop:
      return;
    case tcp::ListenVerdict::Reply:
      return reply(out.reply, key, hops_.towards(key.remote));
    case tcp::ListenVerdict::Record:
      return keep_syn(key, hash, id, FlowRef{}, [&] { return out.record; });
    case tcp::ListenVerdict::Complete:
      return complete(key, hash, FlowRef{}, id, hops_.towards(key.remote), out.handshake, s);
  }
}

// Nobody listens: RST, but to a RST.
template <io::PacketPort Port, class Handler>
template <class Key>
void Core<Port, Handler>::refuse(const tcp::Segment& s, const Key& key) {
  wire::Tcp h;
  if (tcp::closed_arrives(shard_.env, shard_.gate, s, shard_.now, h) == tcp::ListenVerdict::Reply)
    reply(h, key, hops_.towards(key.remote));
}

// Keeps the record that `make` gives, where it is to lie, and sends its SYN-ACK. `replaces`: a TIME-WAIT record that
// lends its place to this handshake: it lives on, and comes back if the handshake is never done.
template <io::PacketPort Port, class Handler>
template <class Key, class Make>
void Core<Port, Handler>::keep_syn(const Key& key, FlowHash hash, std::uint8_t listener, FlowRef replaces,
                                   Make&& make) {
  auto& table = shard_.template syns<Key>();
  SynSlot<Key>* slot = table.slots.take();
  if (slot == nullptr) return shard_.tcp_counters.add(tcp::Counter::drop_no_memory);
  name_slot(*slot, key);
  ::new (&slot->facts) tcp::SynRecord(make()); // a copy would wait for the stores of its parts
  slot->listener = listener;
  const FlowRef ref = shard_.ref_of(*slot);
  if (!(replaces ? shard_.flows.replace(hash, replaces, ref) : shard_.flows.insert(hash, ref))) {
    shard_.counters.add(CoreCounter::drop_no_flow_entry);
    return table.slots.give_back(slot);
  }
  if (replaces) slot->rested = replaces.index();
  ++shard_.listeners[listener].opening;
  slot->hop = hops_.towards(key.remote);
  slot->unanswered = true;
  table.wheel.arm(*slot, (shard_.now + *next_syn_ack(*slot)).ms32());
}

// The next SYN-ACK of this handshake is due, the first that it is to have included. How long until the one after; nothing:
// it is given up, which the first never is.
template <io::PacketPort Port, class Handler>
template <class Key>
std::optional<Duration> Core<Port, Handler>::next_syn_ack(SynSlot<Key>& slot) {
  if (abandoned(slot)) [[unlikely]]
    return std::nullopt;
  if (congested_) return Duration::ms(syn_acks_wait); // it would only be lost
  std::optional<Duration> next;
  if (std::exchange(slot.unanswered, false)) {
    slot.facts.sent_at_us = shard_.now.us32();
    next = tcp::first_syn_ack_timeout(shard_.env.settings);
  } else {
    next = tcp::syn_ack_timer_fires(shard_.env, slot.facts);
  }
  if (next) send_syn_ack(slot.facts, slot.key, slot.hop);
  return next;
}

template <io::PacketPort Port, class Handler>
template <class Key>
void Core<Port, Handler>::arrive_at_syn(SynSlot<Key>& slot, const tcp::Segment& s, FlowHash hash) {
  if (abandoned(slot)) [[unlikely]]
    return arrive_at_abandoned(slot, s, hash);
  const Listener& l = shard_.listeners[slot.listener];
  tcp::heed_cookie(shard_.env, shard_.gate, l.settings.cookies, Tuple<Key>::from(&slot.key), s, shard_.now,
                   slot.facts);
  wire::Tcp h;
  switch (tcp::syn_received_arrives(shard_.env, slot.facts, s, shard_.template mtu_mss<Key>(),
                                    room_of<Key>(l).accept, shard_.now, h)) {
    case tcp::SynVerdict::Drop:
      return;
    case tcp::SynVerdict::Reply:
      return reply(h, slot.key, slot.hop);
    case tcp::SynVerdict::Closed:
      return give_up_syn(slot, hash);
    case tcp::SynVerdict::Complete: {
      const tcp::Handshake hs = tcp::handshake_of(shard_.env.settings, slot.facts);
      return complete(slot.key, hash, shard_.ref_of(slot), slot.listener, slot.hop, hs, s);
    }
  }
}

// Its listener has closed since: nobody waits for this handshake any more.
template <io::PacketPort Port, class Handler>
template <class Key>
bool Core<Port, Handler>::abandoned(const SynSlot<Key>& slot) {
  if (!shard_.listeners[slot.listener].closed) [[likely]]
    return false;
  shard_.tcp_counters.add(tcp::Counter::syn_listener_closed);
  return true;
}

// A SYN is for who is there now: the TIME-WAIT record that has its place back, or another listener. Who proves himself to
// the one that is gone learns that it is.
template <io::PacketPort Port, class Handler>
template <class Key>
void Core<Port, Handler>::arrive_at_abandoned(SynSlot<Key>& slot, const tcp::Segment& s, FlowHash hash) {
  const Key key = slot.key;
  const FlowRef rested = shard_.rested_behind(slot);
  give_up_syn(slot, hash);
  if (!s.h.has(wire::tcp_flag::syn)) return refuse(s, key);
  if (rested) return arrive_at_time_wait(rested.index(), s, key, hash);
  arrive_at_listener(s, key, hash);
}

// The handshake came to nothing. Were its TIME-WAIT record gone too, one forged SYN would end TIME-WAIT.
template <io::PacketPort Port, class Handler>
template <class Key>
void Core<Port, Handler>::give_up_syn(SynSlot<Key>& slot, FlowHash hash) {
  const FlowRef ref = shard_.ref_of(slot);
  if (const FlowRef old = shard_.rested_behind(slot))
    (void)shard_.flows.replace(hash, ref, old);
  else
    shard_.flows.erase(hash, ref);
  free_syn(slot);
}

// The peer has proved itself: a connection begins, with the segment that proved it.
template <io::PacketPort Port, class Handler>
template <class Key>
void Core<Port, Handler>::complete(const Key& key, FlowHash hash, FlowRef from, std::uint8_t listener,
                                   std::uint16_t hop, const tcp::Handshake& hs, const tcp::Segment& s) {
  // Its text would not be taken, and what is left of it lies before the window and proves nothing any more: the
  // connection would wait for its handshake's end without a timer. The handshake that has one goes on instead.
  if (s.text != 0 && s.h.seq.before(hs.irs + 1) && shard_.env.scarcity >= tcp::Scarcity::dire) [[unlikely]]
    return shard_.tcp_counters.add(tcp::Counter::drop_text_scarce);
  R* r = take_place(key, hash, from);
  if (r == nullptr) return;
  tcp::open_passive(shard_.env, r->tcb, hs, shard_.template mtu_mss<Key>(), shard_.now);
  show(*r, listener, hop);
  if (from) end_handshake(shard_.template syn_at<Key>(from));
  arrive_at_connection(*r, s);
}

// A record with this name, in the flow table, where `from` was if that is anything: room_of() said that there is one. Null,
// and counted: the table has no place for it.
template <io::PacketPort Port, class Handler>
template <class Key>
inline auto Core<Port, Handler>::take_place(const Key& key, FlowHash hash, FlowRef from) -> R* {
  R* r = shard_.connections.take();
  TERN_DCHECK(r != nullptr);
  shard_.name(*r, key);
  const FlowRef ref = shard_.ref_of(*r);
  if (from ? shard_.flows.replace(hash, from, ref) : shard_.flows.insert(hash, ref)) [[likely]]
    return r;
  shard_.counters.add(CoreCounter::drop_no_flow_entry);
  shard_.connections.give_back(*r);
  return nullptr;
}

template <io::PacketPort Port, class Handler>
inline void Core<Port, Handler>::show(R& r, std::uint8_t listener, std::uint16_t hop) {
  shard_.connections.show(r);
  r.hop = hop;
  r.listener = listener;
  ++shard_.listeners[listener].open;
}

// Its connection stands: nothing of what was before is needed any more.
template <io::PacketPort Port, class Handler>
template <class Key>
inline void Core<Port, Handler>::end_handshake(SynSlot<Key>& slot) {
  if (const FlowRef old = shard_.rested_behind(slot)) {
    shard_.template time_waits<Key>().streams.kill(old.index());
    shard_.tcp_counters.add(tcp::Counter::time_wait_reused);
  }
  free_syn(slot);
}

template <io::PacketPort Port, class Handler>
template <class Key>
void Core<Port, Handler>::arrive_at_time_wait(std::uint32_t index, const tcp::Segment& s, const Key& key,
                                              FlowHash hash) {
  auto& streams = shard_.template time_waits<Key>().streams;
  TimeWaitSlot<Key>& slot = streams.at(index);
  const FlowRef ref{Shard::time_wait_kind<Key>(), index};
  wire::Tcp h;
  switch (tcp::time_wait_arrives(shard_.env, slot.facts, s, shard_.now, h)) {
    case tcp::TimeWaitVerdict::Drop:
      return;
    case tcp::TimeWaitVerdict::Reply:
      return reply(h, key, hops_.towards(key.remote));
    case tcp::TimeWaitVerdict::Restart: {
      const std::uint32_t moved = streams.restart(shard_.now.ms32(), index);
      if (moved != streams.none)
        (void)shard_.flows.replace(hash, ref, {Shard::time_wait_kind<Key>(), moved});
      else
        shard_.tcp_counters.add(tcp::Counter::time_wait_not_restarted);
      return reply(h, key, hops_.towards(key.remote));
    }
    case tcp::TimeWaitVerdict::Reuse:
      break;
  }
  const std::uint8_t id = listener_for(key);
  if (id == Listeners::none)
    return reply(tcp::time_wait_ack(slot.facts, shard_.now), key, hops_.towards(key.remote));
  // The record lends its place to the new handshake: an old segment that comes now is refused by that one's
  // sequence space, which begins beyond the old connection's.
  if (tcp::listen_reuses(shard_.env, shard_.gate, room_of<Key>(shard_.listeners[id]), Tuple<Key>::from(&key),
                         slot.facts.next_iss(), s, shard_.now, listen_out_) == tcp::ListenVerdict::Record)
    keep_syn(key, hash, id, ref, [&] { return listen_out_.record; });
}

template <io::PacketPort Port, class Handler>
template <class Key>
void Core<Port, Handler>::send_syn_ack(const tcp::SynRecord& r, const Key& key, std::uint16_t& hop) {
  const std::uint16_t mss = shard_.template mtu_mss<Key>();
  if constexpr (std::is_same_v<Key, FlowKey4>) {
    if (tcp::full(r) && send_whole(key, hop, wire::FullSyn::length(r.timestamps != 0), {}, [&] {
          return tcp::full_syn_ack(shard_.env.settings, r, mss, shard_.now);
        }))
      return;
  }
  reply(tcp::syn_ack(shard_.env.settings, r, mss, shard_.now), key, hop);
}

} // namespace tern
