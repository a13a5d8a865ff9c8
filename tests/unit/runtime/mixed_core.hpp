// A Core whose ports serve differently, for tests of what runs short.
#pragma once

#include <string>

#include "support/lone_core.hpp"

namespace tern::test {

// Echoes on port 80; on port 81 reads nothing, on port 82 answers with a copy of as much as it may.
struct Mixed {
  void on_data(Connection c, Payload& p) {
    switch (c.local().port.raw()) {
      case 81:
        return;
      case 82:
        p.drop_all();
        (void)c.send(std::string(60'000, 'x'));
        return;
      default:
        c.send(p);
    }
  }
  void on_closed(Connection, CloseReason) { ++closed; }
  int closed = 0;
};

using Lone = LoneCore<Mixed>;

inline Peer peer(std::uint32_t n, std::uint16_t to = 80) {
  return Peer{Lone::from(Ip4{Be32{10U << 24 | n / 1000}}, static_cast<std::uint16_t>(1024 + n % 1000), to)};
}

inline void listen(Lone& c, ListenerSettings l = {}) {
  for (const Port port : {Port{80}, Port{81}, Port{82}}) {
    l.first = l.last = port;
    c.listen(l);
  }
}

FlowRef place_of(const auto& c, const FlowKey4& k) {
  return c.shard.flows.find(c.shard.hasher(k), k, c.shard);
}

} // namespace tern::test
