// Connections as another thread sees them, while their core goes on: name, state, generation; and who is in
// SYN-RECEIVED and TIME-WAIT. Everything else is copied out by the core itself, on request (CoreHandle::post).
//
// Records are type-stable and their memory lives as long as the shard. The owner gives a record its name and
// state first and its generation last; when it ends, it takes the generation away first. All with release
// stores. A reader loads generation, name, state, generation, with acquire: who saw anything written after
// the generation went, sees it gone. So what comes out whole belonged to one connection, all of it, at one
// time. Nobody waits, nobody locks, and a reader that is held up holds up nobody.
//
// Records of handshakes and of TIME-WAIT have no generation: the version of their bucket in the flow table
// tells (FlowTable::read_each), since an entry leaves the table before its record is written over.
#pragma once

#include <cstdint>
#include <optional>

#include "runtime/shard.hpp"

namespace tern {

struct ConnectionSeen {
  FlowKey key; // remote and local
  tcp::State state = tcp::State::Closed;
  std::uint32_t index = 0;
  std::uint32_t generation = 0; // with the index it names this connection: another's will differ
};

// Any entry of the flow table.
struct FlowSeen {
  FlowKey key;
  tcp::State state = tcp::State::Closed;
  FlowRef ref;
  std::uint32_t generation = 0; // of a connection; else 0
};

// Any number of these, on any threads, over one shard.
class ConnectionReader {
 public:
  explicit ConnectionReader(const Shard& shard) : shard_(shard) {}

  // What record `index` holds now; nothing if that is no connection, or another by the time it was read.
  [[nodiscard]] std::optional<ConnectionSeen> at(std::uint32_t index) const {
    if (index >= shard_.connections.capacity()) return std::nullopt;
    const ConnectionRecord& r = shard_.connections.at(index);
    ConnectionSeen seen;
    seen.index = index;
    seen.generation = read_published(r.generation);
    if (seen.generation == 0) return std::nullopt;
    FlowKey4 key;
    read_published_words(&r.key, &key, sizeof key);
    if (key.remote == Ip4{}) { // IPv6: `local` is which of our addresses
      const std::uint32_t ours = key.local.host();
      Ip remote;
      read_published_words(&r.remote6, &remote, sizeof remote);
      if (const auto local = shard_.address6(ours))
        seen.key = FlowKey6{remote, *local, key.remote_port, key.local_port};
    } else {
      seen.key = key;
    }
    seen.state = r.tcb.state.observe();
    if (read_published(r.generation) != seen.generation) return std::nullopt;
    return seen;
  }

  // The connection of this name. Nothing: there is none, or the table kept changing (see FlowTable::read).
  template <class Key>
  [[nodiscard]] std::optional<ConnectionSeen> find(const Key& key) const {
    std::optional<ConnectionSeen> seen;
    const FlowKey wanted{key};
    const auto read = shard_.flows.read(shard_.hasher(key), [&](FlowRef ref) {
      if (ref.kind() != FlowKind::connection) return false;
      seen = at(ref.index());
      return seen && seen->key == wanted;
    });
    return read == FlowTable::Read::found ? seen : std::nullopt;
  }

  // Calls f(ConnectionSeen) for each open connection; one that opens or ends meanwhile may be left out.
  // False: entries moved, so that one may have been passed by or seen twice; do it again if that matters.
  template <class F>
  bool each(F&& f) const {
    return shard_.flows.observe_each([&](FlowRef ref) {
      if (ref.kind() != FlowKind::connection) return;
      if (const auto seen = at(ref.index())) f(*seen);
    });
  }

  // Calls f(FlowSeen) for each connection, handshake and TIME-WAIT record; false as above.
  template <class F>
  bool each_flow(F&& f) const {
    return shard_.flows.read_each([&](FlowRef ref) { return look(ref); }, f);
  }

  // What that record holds now; of a connection whole, of the others only under read_each's eyes.
  [[nodiscard]] std::optional<FlowSeen> look(FlowRef ref) const {
    const std::uint32_t i = ref.index();
    switch (ref.kind()) {
      case FlowKind::connection:
        if (const auto c = at(i)) return FlowSeen{c->key, c->state, ref, c->generation};
        return std::nullopt;
      case FlowKind::syn_received: {
        const std::uint32_t four = shard_.syn4.slots.capacity();
        if (i < four) return FlowSeen{key_of(*shard_.syn4.slots.at(i)), tcp::State::SynReceived, ref};
        if (i - four >= shard_.syn6.slots.capacity()) return std::nullopt;
        return FlowSeen{key_of(*shard_.syn6.slots.at(i - four)), tcp::State::SynReceived, ref};
      }
      case FlowKind::time_wait:
        if (i >= shard_.time_wait4.streams.index_end()) return std::nullopt;
        return FlowSeen{key_of(shard_.time_wait4.streams.peek(i)), tcp::State::TimeWait, ref};
      case FlowKind::time_wait6:
        if (i >= shard_.time_wait6.streams.index_end()) return std::nullopt;
        return FlowSeen{key_of(shard_.time_wait6.streams.peek(i)), tcp::State::TimeWait, ref};
    }
    return std::nullopt;
  }

 private:
  template <class Slot>
  [[nodiscard]] static FlowKey key_of(const Slot& slot) {
    auto key = decltype(slot.key){};
    read_published_words(&slot.key, &key, sizeof key);
    return key;
  }

  const Shard& shard_;
};

} // namespace tern
