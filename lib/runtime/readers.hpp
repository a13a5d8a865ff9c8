// Connections as another thread sees them, while their core goes on: name, state, generation. Everything else
// is copied out by the core itself, on request (CoreHandle::post).
//
// Records are type-stable and their memory lives as long as the shard. The owner gives a record its name and
// state first and its generation last; when it ends, it takes the generation away first. All with release
// stores. A reader loads generation, name, state, generation, with acquire: who saw anything written after
// the generation went, sees it gone. So what comes out whole belonged to one connection, all of it, at one
// time. Nobody waits, nobody locks, and a reader that is held up holds up nobody.
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

 private:
  const Shard& shard_;
};

} // namespace tern
