// One core's share of everything that lives longer than a packet: records, flow table, timers, listeners. It
// knows no port and no handler; `Core` (core.hpp) drives it. Nothing in it is shared for writing, nothing
// locks or waits.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/pool.hpp"
#include "base/prefetch.hpp"
#include "base/siphash.hpp"
#include "base/time.hpp"
#include "flow/arena.hpp"
#include "flow/expiry_stream.hpp"
#include "flow/flow_table.hpp"
#include "flow/timer_wheel.hpp"
#include "runtime/connection.hpp"
#include "runtime/connection_slab.hpp"
#include "runtime/counters.hpp"
#include "runtime/given_marks.hpp"
#include "runtime/listener.hpp"
#include "runtime/packet_watch.hpp"
#include "tcp/engine.hpp"
#include "tcp/side_memory.hpp"

namespace tern {

using ConnectionTimer = MemberTimer<ConnectionRecord, &ConnectionRecord::hook, &ConnectionRecord::due>;
template <class Key>
using SynTimer = MemberTimer<SynSlot<Key>, &SynSlot<Key>::hook, &SynSlot<Key>::due>;

struct ShardSettings {
  std::uint32_t connections = 16 * 1024;
  std::uint32_t connections_ready = 0;          // of them, those whose pages are made at the start
  std::uint32_t syn_records = 16 * 1024;        // per family
  std::uint32_t time_wait_records = 256 * 1024; // IPv4; a quarter as many for IPv6
  std::uint32_t time_waits_ready4 = 0;          // of them, the same
  std::uint32_t time_waits_ready6 = 0;
  std::uint32_t long_connections = 4 * 1024; // that may be long, lossy or out of order at once
  std::uint32_t packet_reserve = 0;          // see PacketWatch; 0: an eighth of the pool
  tcp::Settings tcp;
  std::uint16_t mtu = 1500;
  std::uint16_t mss = 0; // most text of a segment; 0: what the MTU leaves
  SipKey secret{};       // of ISNs, timestamp offsets and cookies: drawn at random where it is not shared
  bool shared_secret = false;
  SipKey flow_seed{};                // of the flow table's hash
  std::uint32_t syn_rate = 0;        // new SYN-RECEIVED records a second; 0: no limit
  std::uint32_t reset_rate = 10'000; // RSTs a second for what belongs to nobody
  std::uint32_t cookie_epoch = 0;    // wall clock / 64 s at start
  std::vector<Ip> addresses6;        // our IPv6 addresses: records hold an index into these,
  std::vector<Prefix> pools6; // or, past them, a place in these blocks (/97 or longer), one after another
};

// SYN-RECEIVED records of one family.
template <class Key>
struct SynTable {
  SynTable(Arena& arena, std::uint32_t capacity, Tick now, const std::string& who)
      : memory(arena.take({who + " SYN-RECEIVED", capacity, sizeof(SynSlot<Key>)})),
        heads(
            arena.take({who + " SYN-RECEIVED timers", 1, sizeof(typename TimerWheel<SynTimer<Key>>::Heads)})),
        slots(memory.data(), capacity),
        wheel(static_cast<typename TimerWheel<SynTimer<Key>>::Heads*>(heads.data()), now) {}
  ~SynTable() { unpoison(memory.data(), memory.size()); }
  ArenaPiece memory;
  ArenaPiece heads;
  Pool<SynSlot<Key>> slots;
  TimerWheel<SynTimer<Key>> wheel;
};

// TIME-WAIT records of one family.
template <class Key>
struct TimeWaitTable {
  using Streams = ExpiryStreams<TimeWaitSlot<Key>>;
  TimeWaitTable(Arena& arena, std::uint32_t limit, Tick lifetime, Tick now, const std::string& who)
      : lifetimes{lifetime},
        memory(arena.take(request(limit, lifetime, who))),
        streams(memory.data(), limit, lifetimes, now) {}
  [[nodiscard]] static ArenaRequest request(std::uint32_t limit, Tick lifetime, const std::string& who) {
    return {.name = who + " TIME-WAIT",
            .count = 1,
            .bytes_each = Streams::bytes_for(limit, {&lifetime, 1}),
            .holds = limit};
  }
  Tick lifetimes[1];
  ArenaPiece memory;
  Streams streams;
};

class Shard {
 public:
  Shard(Arena&, const ShardSettings&, PacketPool, Instant now, const std::string& who = "core 0");
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;
  ~Shard();

  // ---- For Connection (connection.cpp).
  [[nodiscard]] ConnectionRecord* resolve(std::uint32_t index, std::uint32_t generation) const {
    ConnectionRecord& r = connections.at(index);
    return generation != 0 && r.generation == generation ? &r : nullptr;
  }
  [[nodiscard]] Connection handle(const ConnectionRecord& r) {
    return {this, connections.index_of(r), r.generation};
  }
  // After any call into the engine: what it wants is noted, and done in the output pass.
  [[gnu::always_inline]] void note(ConnectionRecord& r, const tcp::Outcome& out) {
    note_end(r, out);
    if (out.output || r.has(ConnectionRecord::over)) mark_dirty(r);
  }
  [[gnu::always_inline]] static void note_end(ConnectionRecord& r, const tcp::Outcome& out) {
    using R = ConnectionRecord;
    if (out.has(tcp::event_closed)) r.set(R::over);
    if (out.has(tcp::event_time_wait)) r.set(R::over | R::wants_time_wait);
  }
  void mark_dirty(ConnectionRecord& r) {
    if (r.has(ConnectionRecord::dirty)) return;
    r.set(ConnectionRecord::dirty);
    TERN_DCHECK(dirty_count < connections.capacity());
    const std::uint64_t at = std::uint64_t{dirty_head} + dirty_count++;
    dirty[at < connections.capacity() ? at : at - connections.capacity()] = connections.index_of(r);
  }
  // The first of the output list; null for one that was freed while it waited.
  [[nodiscard]] ConnectionRecord* take_dirty() {
    ConnectionRecord& r = connections.at(dirty[dirty_head]);
    if (++dirty_head == connections.capacity()) dirty_head = 0;
    --dirty_count;
    r.clear(ConnectionRecord::dirty);
    return r.has(ConnectionRecord::in_use) ? &r : nullptr;
  }

  // ---- Packets that are left.
  void watch_packets() {
    taken_unseen_ = 0;
    const tcp::Scarcity now_is = watch.look(env.scarcity);
    if (now_is != env.scarcity) [[unlikely]]
      scarcity_becomes(now_is);
  }
  // Once a tick.
  void begin_tick() {
    env.text_at_last = watch.text_at_last();
    watch_packets();
    // The first who waits may take all of that: each tick it is another.
    if (env.scarcity == tcp::Scarcity::last && dirty_count > 1) [[unlikely]]
      if (ConnectionRecord* r = take_dirty()) mark_dirty(*r);
  }
  // A turn took about so many packets, or is about to: one may take more than there are.
  void takes_packets(std::size_t n) {
    if ((taken_unseen_ += n) >= most_unseen) watch_packets();
  }
  static constexpr std::size_t most_unseen = 32;
  // Whether this connection may be given text that it might keep.
  [[nodiscard]] bool takes_text(const ConnectionRecord& r) const {
    if (env.scarcity == tcp::Scarcity::none) [[likely]]
      return true;
    return takes_scarce_text(r);
  }
  void note_given(const ConnectionRecord& r) {
    if (env.scarcity != tcp::Scarcity::none) [[unlikely]]
      given_.set(connections.index_of(r));
  }

  // ---- FlowRecords (flow_table.hpp): does a record bear this name?
  void prefetch(FlowRef ref) const {
    const void* line = nullptr;
    switch (ref.kind()) {
      case FlowKind::connection: {
        const auto* record = reinterpret_cast<const char*>(&connections.at(ref.index()));
        prefetch_to_read(record + 64);
        prefetch_to_read(record + 128);
        prefetch_to_read(record + 192);
        line = record;
        break;
      }
      case FlowKind::syn_received: {
        const std::uint32_t four = syn4.slots.capacity();
        if (ref.index() < four)
          line = syn4.slots.at(ref.index());
        else
          line = syn6.slots.at(ref.index() - four);
        break;
      }
      case FlowKind::time_wait:
        line = &time_wait4.streams.peek(ref.index());
        break;
      case FlowKind::time_wait6:
        line = &time_wait6.streams.peek(ref.index());
        break;
    }
    prefetch_to_read(line);
  }
  [[nodiscard]] bool matches(FlowRef ref, const FlowKey4& key) const {
    switch (ref.kind()) {
      case FlowKind::connection:
        return same_flow(&connections.at(ref.index()).key, key);
      case FlowKind::syn_received:
        return ref.index() < syn4.slots.capacity() && same_flow(&syn4.slots.at(ref.index())->key, key);
      case FlowKind::time_wait:
        return same_flow(&time_wait4.streams.peek(ref.index()).key, key);
      case FlowKind::time_wait6:
        return false;
    }
    return false;
  }
  [[nodiscard]] bool matches(FlowRef ref, const FlowKey6& key) const;

  // ---- Names of records.
  void name(ConnectionRecord& r, const FlowKey4& key) { publish_words(&r.key, &key, sizeof key); }
  void name(ConnectionRecord& r, const FlowKey6& key);
  [[nodiscard]] FlowKey6 key6(const ConnectionRecord& r) const;
  // Which of our addresses a key's local one is; Core refuses what is none of them: addresses6.size().
  [[nodiscard]] std::uint32_t address6_index(const Ip& ip) const;
  // And back. No value for what is none.
  [[nodiscard]] std::optional<Ip> address6(std::uint32_t index) const;

  // ---- Life of records.
  // The record's connection is over: everything it holds goes back. Not its place in the flow table.
  void free_connection(ConnectionRecord& r);

  template <class Key>
  [[nodiscard]] SynTable<Key>& syns() {
    if constexpr (std::is_same_v<Key, FlowKey4>)
      return syn4;
    else
      return syn6;
  }
  template <class Key>
  [[nodiscard]] TimeWaitTable<Key>& time_waits() {
    if constexpr (std::is_same_v<Key, FlowKey4>)
      return time_wait4;
    else
      return time_wait6;
  }
  template <class Key>
  [[nodiscard]] FlowRef ref_of(const SynSlot<Key>& s) {
    const std::uint32_t base = std::is_same_v<Key, FlowKey4> ? 0 : syn4.slots.capacity();
    return {FlowKind::syn_received, base + syns<Key>().slots.index_of(&s)};
  }
  template <class Key>
  [[nodiscard]] SynSlot<Key>& syn_at(FlowRef ref) { // and back
    const std::uint32_t base = std::is_same_v<Key, FlowKey4> ? 0 : syn4.slots.capacity();
    return *syns<Key>().slots.at(ref.index() - base);
  }
  // The TIME-WAIT record that rests behind a handshake; none if its time ran out, or it was evicted, since.
  // Whatever bears the key there is that record: no other of this key can come while the handshake stands.
  template <class Key>
  [[nodiscard]] FlowRef rested_behind(const SynSlot<Key>& s) {
    const auto& streams = time_waits<Key>().streams;
    if (s.rested == SynSlot<Key>::no_record || !streams.live(s.rested) || streams.at(s.rested).key != s.key)
      return {};
    return {time_wait_kind<Key>(), s.rested};
  }
  [[nodiscard]] FlowRef ref_of(const ConnectionRecord& r) const {
    return {FlowKind::connection, connections.index_of(r)};
  }
  template <class Key>
  [[nodiscard]] static constexpr FlowKind time_wait_kind() {
    return std::is_same_v<Key, FlowKey4> ? FlowKind::time_wait : FlowKind::time_wait6;
  }
  // Most text that the MTU, and --mss, leave for a segment without options.
  template <class Key>
  [[nodiscard]] std::uint16_t mtu_mss() const {
    const int room = settings.mtu - (std::is_same_v<Key, FlowKey4> ? 40 : 60);
    return static_cast<std::uint16_t>(settings.mss == 0 ? room : std::min<int>(room, settings.mss));
  }

  const ShardSettings settings;
  Instant now;
  tcp::TcpCounters tcp_counters;
  CoreCounters counters;
  PacketStash stash; // of what this turn has done with
  tcp::SideMemory side;
  tcp::Env env;
  PacketWatch watch;
  tcp::SynGate gate;
  Listeners listeners;

 private:
  void scarcity_becomes(tcp::Scarcity);
  [[nodiscard]] bool takes_scarce_text(const ConnectionRecord& r) const;

  std::size_t taken_unseen_ = 0; // packets, since the last look
  ArenaPiece given_memory_;
  GivenMarks given_; // by record
  ArenaPiece dirty_memory_;
  ArenaPiece connection_memory_;
  ArenaPiece wheel_memory_;

 public:
  ConnectionSlab connections;
  FlowTable flows;
  FlowHasher hasher;
  TimerWheel<ConnectionTimer> wheel;
  SynTable<FlowKey4> syn4;
  SynTable<FlowKey6> syn6;
  TimeWaitTable<FlowKey4> time_wait4;
  TimeWaitTable<FlowKey6> time_wait6;
  std::uint32_t* const dirty; // connections that the output pass visits: a ring
  std::uint32_t dirty_head = 0;
  std::uint32_t dirty_count = 0;
};

} // namespace tern
