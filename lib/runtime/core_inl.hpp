// The loop of core.hpp: what a segment means, output, timers.
#pragma once

#include "runtime/core.hpp"
#include "runtime/core_handshake_inl.hpp"
#include "runtime/core_receive_inl.hpp"

namespace tern {

template <io::PacketPort Port, class Handler>
bool Core<Port, Handler>::poll(Instant now) {
  const Instant before = std::exchange(shard_.now, now);
  if (!started_) [[unlikely]] {
    started_ = true;
    handler::started(handler_, handle_);
  }
  if (now - before > long_pause) [[unlikely]]
    wake(before);
  const bool mail = handle_.run_mail() != 0;
  const std::uint16_t count = receive_burst();
  if (count != 0) {
    shard_.watch_packets();
    tell_scarcity();
    shard_.counters.add(CoreCounter::rx_packets, count);
    shard_.counters.add(CoreCounter::rx_bytes, receive(count));
    if (net_.has_risen()) [[unlikely]]
      rise();
  }
  bool busy = count != 0 || mail;
  if (now.ms32() != last_tick_) {
    last_tick_ = now.ms32();
    shared_this_tick_ = 0;
    shard_.begin_tick();
    tell_scarcity();
    busy = run_timers(true) || busy;
    handler::tick(handler_, now);
  } else if (timers_left_) [[unlikely]] {
    busy = run_timers(false) || busy;
  }
  if constexpr (far_packets) {
    if (count != 0) {
      port_.tx_comes(queue_);
      if (ahead_count_ == 0) look_ahead();
    }
  }
  if (shard_.dirty_count != 0) busy = flush() || busy;
  while (ahead_asked_ != ahead_count_ && far_packets) ask_ahead();
  net::Outbox& box = net_.outbox();
  while (box.size() != 0) {
    transmit();
    tx_count_ = box.take(tx_.data(), burst);
  }
  transmit();
  port_.tx_flush(queue_);
  if (congested_ || stuck_) [[unlikely]] {
    const bool full = port_.tx_full(queue_);
    stuck_ = full && port_is_stuck();
    congested_ = full && !stuck_;
  }
  shard_.stash.flush();
  if constexpr (far_packets)
    for (std::uint16_t i = 0; i < ahead_count_; ++i) ask_for(ahead_[i]);
  shard_.counters.add(CoreCounter::polls);
  if (!busy) shard_.counters.add(CoreCounter::polls_idle);
  return busy;
}

// ---- Arrival: core_receive_inl.hpp brings a segment to its record; what is no connection yet, or no longer:
// core_handshake_inl.hpp

template <io::PacketPort Port, class Handler>
void Core<Port, Handler>::arrive_at_connection(R& r, const tcp::Segment& s) {
  // Where the window is shut nothing would be kept of it: a probe, which must be answered.
  if (s.text != 0 && r.tcb.rcv_adv.after(r.tcb.rcv_nxt) && !shard_.takes_text(r)) [[unlikely]] {
    wire::Tcp h;
    shard_.tcp_counters.add(tcp::Counter::drop_text_scarce);
    return arrive_at_connection(r, tcp::without_text(s, h));
  }
  tcp::Outcome out;
  tcp::segment_arrives(shard_.env, r.tcb, s, shard_.now, out);
  if (out.has(tcp::event_data)) shard_.note_given(r);
  tell(r, out);
}

// ---- What the engine says, told to the handler on the spot

template <io::PacketPort Port, class Handler>
inline void Core<Port, Handler>::tell(R& r, tcp::Outcome& out) {
  if (out.events != 0) {
    const Connection c = shard_.handle(r);
    if (out.has(tcp::event_established)) {
      if (r.listener != R::no_listener)
        tell_accepted(r);
      else
        handler::connected(handler_, c);
    }
    if (out.has(tcp::event_data)) hand_over(r, out.data.take());
    if (out.has(tcp::event_peer_closed)) r.set(R::end_untold);
    if (out.has(tcp::event_returned)) handler::returned(handler_, c, out.returned);
    if (out.has(tcp::event_writable) && !let_go(r)) handler::writable(handler_, c);
    tell_end(r);
  }
  if (out.reply_reset) [[unlikely]]
    reply_reset(r, out);
  follow(r, out);
}

// What the engine wants done: output with the turn's, a deadline, or the end. That comes at once, with what is still owed
// before it: the record and its place in the table are here, and who is next of its name, in this burst or with the next
// open, finds what it left behind. Behind a full port it waits for its turn, as the output does.
template <io::PacketPort Port, class Handler>
inline void Core<Port, Handler>::follow(R& r, const tcp::Outcome& out) {
  constexpr std::uint32_t ends = tcp::event_closed | tcp::event_time_wait;
  if ((out.events & ends) != 0 && !r.has(R::dirty) && !congested_) {
    shard_.note_end(r, out);
    return flush_one(r);
  }
  shard_.note(r, out);
  if (!r.has(R::dirty)) arm(r); // an ACK put off, a loss suspected: a deadline without output
}

template <io::PacketPort Port, class Handler>
inline void Core<Port, Handler>::tell_accepted(R& r) {
  r.set(R::told_open);
  shard_.counters.add(CoreCounter::accepted);
  handler::accepted(handler_, shard_.handle(r));
}

template <io::PacketPort Port, class Handler>
void Core<Port, Handler>::reply_reset(R& r, const tcp::Outcome& out) {
  wire::Tcp h;
  h.seq = out.reset_seq;
  h.ack = out.reset_ack;
  h.flags = static_cast<std::uint8_t>(wire::tcp_flag::rst | (out.reset_has_ack ? wire::tcp_flag::ack : 0));
  if (r.has(R::v6))
    reply(h, shard_.key6(r), r.hop);
  else
    reply(h, r.key, r.hop);
}

// Unread text and what came after it, in one payload; what the handler leaves is unread again.
template <io::PacketPort Port, class Handler>
void Core<Port, Handler>::hand_over(R& r, Packet fresh) {
  Packet all = std::move(fresh);
  rte_mbuf* last = nullptr; // not looked for, where nobody knows it yet
  if (r.unread != nullptr) {
    PacketChain first = PacketChain::unfold(std::exchange(r.unread, nullptr));
    if (all && !first.append(std::move(all))) {
      // What was acknowledged may not be lost in the middle: the connection ends instead.
      shard_.counters.add(CoreCounter::unread_payload_dropped);
      shard_.handle(r).abort();
    }
    last = first.last();
    all = first.take();
  }
  if (!all) return;
  const std::uint32_t offered = all.length();
  GivenPayload p{std::move(all)};
  if (!r.tcb.has(tcp::flag_reading_paused) && !let_go(r)) {
    r.tcb.rcv_held -= offered; // in the handler's hands: release() in the callback finds it read
    handler::data(handler_, shard_.handle(r), p);
    r.tcb.rcv_held += offered;
  }
  if (let_go(r)) p.drop_all(); // nobody will ask for it again
  shard_.stash.give(std::move(p.spent()), shard_.env.packets.raw());
  const std::uint32_t left = p.size();
  // It was taken from the front: what was the last is the last.
  if (left != 0) r.unread = PacketChain{std::move(p.rest()), last}.fold();
  if (left == offered) return;
  tcp::Outcome out;
  tcp::release_received(shard_.env, r.tcb, offered - left - p.lent(), out);
  shard_.note(r, out);
}

// The peer's end comes after its text: as long as unread text will come again, the end waits behind it.
template <io::PacketPort Port, class Handler>
void Core<Port, Handler>::end_comes(R& r) {
  if (let_go(r)) return r.clear(R::end_untold);
  const bool comes_again =
      r.has(R::deliver_again) || r.tcb.has(tcp::flag_want_writable) || r.tcb.has(tcp::flag_reading_paused);
  if (r.unread != nullptr && comes_again) return;
  r.clear(R::end_untold);
  handler::peer_closed(handler_, shard_.handle(r));
}

// ---- Output: one pass over the connections that this turn touched

// False: all whom it came to wait for packets as before, for which this core may rest until the next tick looks for some.
template <io::PacketPort Port, class Handler>
bool Core<Port, Handler>::flush() {
  // Closing connections may make the handler open others. Those wait for the next turn, as does one for which
  // no packet was to be had: a handler that opens and aborts without end must not hold this one up.
  const std::uint32_t waiting = shard_.dirty_count;
  std::uint32_t n = waiting;
  // While no packet is to be had for text, many may wait in vain: a turn tries some of them.
  const bool scarce = shard_.env.scarcity >= tcp::Scarcity::critical;
  const auto sent = [&] { return shard_.counters.get(CoreCounter::tx_packets) + tx_count_; };
  const std::uint64_t sent_before = scarce ? sent() : 0;
  constexpr std::uint32_t most_in_vain = 256;
  if (scarce) n = std::min(n, most_in_vain);
  // While the port takes no more, output waits here, where it is not lost, in the order of its turns.
  for (; n != 0 && !congested_; --n) {
    ask_ahead();
    if (n % Shard::most_unseen == 0) {
      shard_.watch_packets();
      if (shard_.env.scarcity >= tcp::Scarcity::critical) n = std::min(n, most_in_vain);
    }
    if (R* r = shard_.take_dirty()) flush_one(*r);
  }
  return !scarce || congested_ || shard_.dirty_count != waiting || sent() != sent_before;
}

// A port that takes nothing at all, as of a link that is down, is not waited for: connections must come to
// their ends all the same, and what they say meanwhile is lost, as anywhere on such a path.
template <io::PacketPort Port, class Handler>
bool Core<Port, Handler>::port_is_stuck() {
  const std::uint64_t sent = port_.counters(queue_).get(io::PortCounter::tx_packets);
  if (sent != sent_then_) {
    sent_then_ = sent;
    stuck_since_ = last_tick_;
  }
  return last_tick_ - stuck_since_ >= stuck_after;
}

// Who could send nothing for want of packets tries again once there are some.
template <io::PacketPort Port, class Handler>
void Core<Port, Handler>::unstrand(R& r) {
  if (shard_.env.scarcity >= tcp::Scarcity::critical) return shard_.mark_dirty(r);
  r.tcb.clear(tcp::flag_want_writable);
  if (!let_go(r)) handler::writable(handler_, shard_.handle(r));
  tell_end(r);
}

template <io::PacketPort Port, class Handler>
void Core<Port, Handler>::flush_one(R& r) {
  if (r.has(R::deliver_again)) {
    r.clear(R::deliver_again);
    hand_over(r, Packet{});
    tell_end(r);
  }
  if (r.tcb.stranded() && !r.has(R::over)) [[unlikely]]
    unstrand(r);
  if constexpr (!handler::Reads<Handler>) {
    if (r.tcb.has(tcp::flag_fin_queued) && !r.tcb.has(tcp::flag_orphan) && !r.has(R::over)) [[unlikely]]
      shard_.handle(r).drain();
  }
  // One that is closed has nothing more to say, but for the reset that it owes.
  const bool silent = r.tcb.state == tcp::State::Closed && !r.tcb.has(tcp::flag_abort_due);
  const bool more = !silent && !send_predicted(r) && send_by_steps(r);
  if (r.has(R::over)) return end_connection(r);
  if (more) shard_.mark_dirty(r);
  arm(r);
}

// All that the engine has to send. True: there is more, and no packet for it, or the port is full.
template <io::PacketPort Port, class Handler>
bool Core<Port, Handler>::send_by_steps(R& r) {
  bool more = true;
  while (more) {
    more = tcp::output(shard_.env, r.tcb, shard_.now, out_);
    if (out_.size() > 1 && packing_.most_bytes != 0) [[unlikely]]
      pack(r);
    const std::size_t n = out_.size();
    shard_.takes_packets(2 * n); // text lies beside its header
    for (std::size_t i = 0; i < n; ++i) {
      if (r.has(R::v6))
        send(std::move(out_[i]), shard_.key6(r), out_.ect(i), r.hop, out_.front(i));
      else
        send(std::move(out_[i]), r.key, out_.ect(i), r.hop, out_.front(i));
    }
    out_.all_moved();
    if (n == 0 || congested_) break;
  }
  return more;
}

// What the port cuts goes to it in one.
template <io::PacketPort Port, class Handler>
void Core<Port, Handler>::pack(const R& r) {
  if (r.has(R::v6) && !port_.plan().tso_limits.ip6) return;
  const tcp::Packed done = tcp::pack(out_, packing_);
  shard_.counters.add(CoreCounter::tx_packs, done.packs);
  shard_.counters.add(CoreCounter::tx_packed_segments, done.segments);
}

template <io::PacketPort Port, class Handler>
tcp::Packing Core<Port, Handler>::packing_of(const io::PortPlan& plan) {
  if (plan.tso != io::Where::hardware) return {};
  const io::TsoLimits& l = plan.tso_limits;
  constexpr std::uint16_t tags = 8;
  constexpr std::uint16_t in_front = wire::ethernet_length + tags + wire::ipv6_length;
  const auto most_segment = l.frame == UINT16_MAX ? l.frame : static_cast<std::uint16_t>(l.frame - in_front);
  return {.most_bytes = UINT16_MAX - in_front, // what IP can say
          .most_segment = most_segment,
          .most_pieces = l.pieces,
          .segment_pieces = l.segment_pieces};
}

template <io::PacketPort Port, class Handler>
void Core<Port, Handler>::end_connection(R& r) {
  static constexpr std::array counts{CoreCounter::closed_done,        CoreCounter::closed_done,
                                     CoreCounter::closed_reset,       CoreCounter::closed_refused,
                                     CoreCounter::closed_unreachable, CoreCounter::closed_timed_out,
                                     CoreCounter::closed_aborted,     CoreCounter::closed_no_memory};
  static_assert(counts.size() == static_cast<std::size_t>(CloseReason::NoMemory) + 1);
  if (r.unread != nullptr && !let_go(r) && waits_for_reader(r)) return;
  const CloseReason reason = r.tcb.reason;
  shard_.counters.add(counts[static_cast<std::size_t>(reason)]);
  if (r.has(R::told_open)) handler::closed(handler_, shard_.handle(r), reason);
  leave_table(r);
  shard_.free_connection(r);
}

// Text that its handler has not read when all else is over: it is offered once more. True: who has the text now will come
// for it, and the record waits for him, under nobody's name.
template <io::PacketPort Port, class Handler>
bool Core<Port, Handler>::waits_for_reader(R& r) {
  if (r.left()) return true;
  r.tcb.clear(tcp::flag_reading_paused);
  hand_over(r, Packet{});
  if (r.unread == nullptr || r.tcb.reason != CloseReason::Done || !r.has(R::told_open) || let_go(r) ||
      !handler::keeps_unread(handler_, shard_.handle(r)))
    return false;
  shard_.wheel.cancel(r);
  leave_table(r);
  r.tcb.state = tcp::State::Closed;
  r.hop = R::nowhere;
  return true;
}

template <io::PacketPort Port, class Handler>
inline void Core<Port, Handler>::leave_table(R& r) {
  if (r.left()) return;
  if (r.has(R::v6))
    leave_table(r, shard_.key6(r));
  else
    leave_table(r, r.key);
}

// Leaves the flow table, or leaves a TIME-WAIT record in its place.
template <io::PacketPort Port, class Handler>
template <class Key>
void Core<Port, Handler>::leave_table(R& r, const Key& key) {
  const FlowHash hash = shard_.hasher(key);
  const FlowRef ref = shard_.ref_of(r);
  bool replaced = false;
  if (r.has(R::wants_time_wait)) {
    auto& streams = shard_.template time_waits<Key>().streams;
    std::uint32_t index = streams.append(shard_.now.ms32());
    // At the cap the oldest gives way, counted; where holes hold the memory, up to a chunk of them must.
    for (unsigned tries = 0; index == streams.none && tries < streams.chunk_slots && streams.size() != 0;
         ++tries) {
      streams.evict_oldest(1, [&](std::uint32_t old, TimeWaitSlot<Key>& slot) {
        shard_.flows.erase(shard_.hasher(slot.key), {Shard::time_wait_kind<Key>(), old});
        shard_.tcp_counters.add(tcp::Counter::time_wait_evicted);
        // At the cap each end evicts one: those whose turn comes soon are asked for, their names and their buckets.
        prefetch_to_read(&streams.behind(old, 32));
        shard_.flows.prefetch(shard_.hasher(streams.behind(old, 16).key));
      });
      index = streams.append(shard_.now.ms32());
    }
    if (index != streams.none) {
      TimeWaitSlot<Key>& slot = streams.at(index);
      name_slot(slot, key);
      ::new (&slot.facts)
          tcp::TimeWaitRecord(tcp::make_time_wait(shard_.env, tcp::time_wait_facts(r.tcb, shard_.now)));
      replaced = shard_.flows.replace(hash, ref, {Shard::time_wait_kind<Key>(), index});
    }
  }
  if (!replaced) shard_.flows.erase(hash, ref);
}

template <io::PacketPort Port, class Handler>
template <class Key>
void Core<Port, Handler>::reply(const wire::Tcp& h, const Key& key, std::uint16_t& hop) {
  if constexpr (std::is_same_v<Key, FlowKey4>) {
    // A SYN-ACK with a cookie: under a flood there is little else.
    if (wire::is_full_syn(h) && send_whole(key, hop, wire::FullSyn::length(h.options.has_timestamps()), {},
                                           [&] { return wire::full_syn(h); }))
      return;
  }
  wire::SummedFront front;
  Packet p = tcp::build(h, shard_.env.packets, shard_.tcp_counters, front);
  if (!p) return shard_.counters.add(CoreCounter::drop_control_no_packet);
  send(std::move(p), key, false, hop, front);
}

// Ports, IP and Ethernet around a segment, and into the transmit burst.
template <io::PacketPort Port, class Handler>
template <class Key>
void Core<Port, Handler>::send(Packet&& p, const Key& key, bool ect, std::uint16_t& hop,
                               const wire::SummedFront& header) {
  // The key names the remote port first, the segment ours: one word, turned by half.
  std::uint32_t ports;
  std::memcpy(&ports, &key.remote_port, sizeof ports);
  ports = ports >> 16 | ports << 16;
  std::memcpy(p.data(), &ports, sizeof ports);
  const wire::SummedFront front{header.sum + ports, header.bytes};
  net::Neighbour* const known = hops_.find(hop, key.remote);
  net::Neighbour* next = known;
  const std::uint8_t tos = ect ? 2 : 0; // ECT(0)
  const net::Sending sending = net_.send_tcp(p, key.local, key.remote, tos, next, shard_.now, front);
  if (next != known) [[unlikely]] {
    const std::uint16_t number = hops_.number(*next, key.remote);
    if (number == 0) shard_.counters.add(CoreCounter::next_hop_unnumbered);
    hops_.towards(key.remote) = number;
    hop = number;
  }
  if (sending == net::Sending::ready) [[likely]]
    queue_frame(p.release());
}

// ---- Timers

// After a pause of hours, or days, what was due is done before anything new is: deadlines on the clock that wraps can be
// told apart as long as they are near each other, and the wheels have to know what time it is before one is armed. A pause
// of more than the clock can tell passes in steps of what it can.
template <io::PacketPort Port, class Handler>
void Core<Port, Handler>::wake(Instant before) {
  static_assert(longest_step < tcp::longest_past);
  const Instant now = shard_.now;
  for (shard_.now = before; shard_.now < now;) {
    shard_.now = std::min(shard_.now + longest_step, now);
    while (run_timers(true) || timers_left_) {
    }
  }
}

template <io::PacketPort Port, class Handler>
template <class Key>
bool Core<Port, Handler>::run_family_timers(Tick tick, bool new_tick) {
  auto& table = shard_.template syns<Key>();
  const unsigned fired = table.wheel.poll(tick, [&](SynSlot<Key>& slot) {
    const auto next = next_syn_ack(slot);
    if (!next) return give_up_syn(slot, shard_.hasher(slot.key));
    table.wheel.arm(slot, (shard_.now + *next).ms32());
  });
  timers_left_ = timers_left_ || table.wheel.backlog();
  if (!new_tick) return fired != 0;
  auto& streams = shard_.template time_waits<Key>().streams;
  // The table's lines are fetched for a batch before the first is written.
  struct Expiry {
    Shard& shard;
    FlowHash hashes[16];
    void prefetch(unsigned lane, std::uint32_t, TimeWaitSlot<Key>& slot) {
      hashes[lane] = shard.hasher(slot.key);
      shard.flows.prefetch(hashes[lane]);
    }
    void expired(unsigned lane, std::uint32_t index, TimeWaitSlot<Key>&) {
      shard.flows.erase(hashes[lane], {Shard::time_wait_kind<Key>(), index});
    }
  } expiry{shard_, {}};
  constexpr unsigned most_expiries = 8192; // a tick; 8 million a second
  const unsigned expired = streams.expire(tick, most_expiries, expiry);
  if (expired != 0) shard_.tcp_counters.add(tcp::Counter::time_wait_expired, expired);
  return fired + expired != 0;
}

template <io::PacketPort Port, class Handler>
bool Core<Port, Handler>::run_timers(bool new_tick) {
  const Tick tick = shard_.now.ms32();
  const unsigned fired = shard_.wheel.poll(tick, [&](R& r) {
    tcp::Outcome out;
    tcp::timer_fires(shard_.env, r.tcb, shard_.now, out);
    tell(r, out);
  });
  timers_left_ = shard_.wheel.backlog();
  const bool four = run_family_timers<FlowKey4>(tick, new_tick);
  const bool six = run_family_timers<FlowKey6>(tick, new_tick);
  // Not every tick is seen: a long turn steps over some.
  if (tick - last_net_tick_ >= net_tick_every || net_.asks_wait()) {
    last_net_tick_ = tick;
    net_.tick(shard_.now);
  }
  return fired != 0 || four || six;
}

template <io::PacketPort Port, class Handler>
Instant Core<Port, Handler>::nothing_before(Duration most) const {
  const Instant now = shard_.now;
  if (ahead_count_ != 0 || port_.tx_pending(queue_) != 0) return now;
  if (const auto every = handler::tick_every(handler_)) most = std::min(most, *every);
  Tick ticks = net_tick_every - (now.ms32() - last_net_tick_);
  // Output waits for packets (see flush()), or questions for neighbours.
  if (shard_.dirty_count != 0 || net_.asks_wait()) ticks = std::min(ticks, Tick{1});
  const auto due = [&](std::optional<Tick> at) {
    if (at) ticks = std::min(ticks, static_cast<Tick>(std::max(ticks_between(now.ms32(), *at), 0)));
  };
  due(shard_.wheel.next_deadline());
  due(shard_.syn4.wheel.next_deadline());
  due(shard_.syn6.wheel.next_deadline());
  due(shard_.time_wait4.streams.next_deadline());
  due(shard_.time_wait6.streams.next_deadline());
  // A tick begins with its millisecond.
  const std::int64_t into_tick = now.since_origin_ns() % 1'000'000;
  return now + std::min(most, Duration::ns(std::int64_t{ticks} * 1'000'000 - into_tick));
}

} // namespace tern
