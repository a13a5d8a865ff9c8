// The records of one core: what the flow table's indices name.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/ip.hpp"
#include "base/published.hpp"
#include "flow/flow_key.hpp"
#include "flow/ticks.hpp"
#include "flow/timer_wheel.hpp"
#include "tcp/syn_received.hpp"
#include "tcp/tcb.hpp"
#include "tcp/time_wait.hpp"

namespace tern {

// A connection, 256 bytes, four lines:
//
//   line 0 | hook due | key | generation | hop listener marks || tcb: una nxt end wnd rcv.nxt adv state flags
//   line 1 | tcb: everything else that a data segment or an ACK needs
//   line 2 | tcb: sending, RTT, side records
//   line 3 | tcb: opening, losing, closing | IPv6 remote | user | unread
//
// The lookup compares the key, so it has fetched line 0 before the engine starts.
struct alignas(64) ConnectionRecord {
  TimerHook hook;
  Tick due = 0;
  FlowKey4 key; // IPv6: remote is zero, local an index into the shard's addresses
  std::uint32_t generation = 0;
  std::uint16_t hop = 0;     // see Hops; nowhere: it has left the flow table
  std::uint8_t listener = 0; // no_listener: opened by us
  std::uint8_t marks = 0;

  tcp::Tcb tcb;

  Ip remote6;
  std::uint64_t user = 0;
  rte_mbuf* unread = nullptr; // in-order text that the handler has not taken yet: a folded PacketChain

  enum Mark : std::uint8_t {
    in_use = 1,
    v6 = 2,
    dirty = 4,     // on the output list, where even a record that was freed meanwhile waits for its turn
    told_open = 8, // on_accept or on_connected was called, or connect() succeeded: on_closed is owed
    over = 16,     // closed: freed when what it owes has left
    wants_time_wait = 32,
    deliver_again = 64, // unread text goes to the handler at the next output pass
    end_untold = 128,   // the peer closed; on_peer_closed waits for the handler to take the text before it
  };
  static constexpr std::uint8_t no_listener = 0xff;
  static constexpr std::uint16_t nowhere = 0xffff;
  // Over, and nobody's name any more: it waits for its handler to read what came before the end.
  [[nodiscard]] bool left() const { return hop == nowhere; }
  [[nodiscard]] bool has(unsigned m) const { return (marks & m) != 0; }
  void set(unsigned m) { marks = static_cast<std::uint8_t>(marks | m); }
  void clear(unsigned m) { marks = static_cast<std::uint8_t>(marks & ~m); }
};
static_assert(offsetof(ConnectionRecord, tcb) == 32,
              "key and hook share line 0 with the Tcb's hottest fields");
static_assert(sizeof(ConnectionRecord) == 256);

// A handshake that the peer has not proved yet: one line for IPv4. Its key, as that of a TIME-WAIT record, is
// written by name_slot() alone: other threads may look at it (readers.hpp), so that not even a new record's
// constructor touches it.
template <class Key>
struct SynSlot {
  SynSlot() {}

  TimerHook hook;
  Tick due = 0;
  union {
    Key key;
  };
  tcp::SynRecord facts;
  std::uint32_t rested = no_record; // the TIME-WAIT record whose place this handshake holds until it is done
  std::uint16_t hop = 0;
  std::uint8_t listener = 0;
  bool unanswered = false; // its first SYN-ACK has not been sent: it waits until the port takes more

  static constexpr std::uint32_t no_record = 0xffff'ffff;
};
static_assert(sizeof(SynSlot<FlowKey4>) <= 64);
static_assert(sizeof(SynSlot<FlowKey6>) <= 88, "two addresses of 16 bytes alone are half a line");

// What outlives a connection for 2MSL.
template <class Key>
struct TimeWaitSlot {
  Key key;
  tcp::TimeWaitRecord facts;
};
static_assert(sizeof(TimeWaitSlot<FlowKey4>) == 32 && sizeof(TimeWaitSlot<FlowKey6>) == 56);

template <class Slot, class Key>
inline void name_slot(Slot& slot, const Key& key) {
  publish_words(&slot.key, &key, sizeof key);
}

} // namespace tern
