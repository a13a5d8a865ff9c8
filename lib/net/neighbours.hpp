// Who is at which MAC: the cache behind ARP (RFC 826) and neighbour discovery (RFC 4861 §7.3), one for both
// families.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/ip.hpp"
#include "base/siphash.hpp"
#include "base/time.hpp"
#include "net/addresses.hpp"
#include "net/encapsulate.hpp"
#include "packet/packet.hpp"

namespace tern::net {

//   absent → incomplete → reachable → stale → probing → absent
//              3 × 1 s      30 s      used     3 × 1 s
// A confirmation from any state but absent leads to reachable.
enum class NeighbourState : std::uint8_t { absent, incomplete, reachable, stale, probing };

struct Neighbour {
  static constexpr std::size_t most_waiting = 4;

  Ip ip;
  Mac mac{};
  NeighbourState state = NeighbourState::absent;
  std::uint8_t solicits = 0; // sent in this state
  std::uint8_t waiting_count = 0;
  bool used = false;            // since it became stale
  std::uint32_t generation = 0; // moves when the record changes hands
  Instant deadline;             // of this state
  L2Header l2;
  std::array<Packet, most_waiting> waiting; // whole frames but for the destination MAC; the oldest gives way
};

// What a connection keeps of its next hop, so that it need not look it up for every packet.
struct NeighbourRef {
  std::uint32_t index = UINT32_MAX;
  std::uint32_t generation = 0;
};

// Sets of eight, as a CPU's cache has: no chain to walk, and no way to make one long. Within a set the one
// whose state is oldest gives way.
class Neighbours {
 public:
  static constexpr Duration reachable_time = Duration::seconds(30);
  static constexpr Duration retransmit_time = Duration::seconds(1);
  static constexpr std::uint8_t most_solicits = 3;

  Neighbours(std::uint32_t capacity, SipKey key);

  [[nodiscard]] Neighbour* find(const Ip& ip);
  // Finds it, or takes a record for it; `evicted` tells whether another had to go.
  [[nodiscard]] Neighbour& find_or_add(const Ip& ip, bool& evicted);
  void remove(Neighbour& n);

  // Puts a frame behind those that wait for its answer. True: the oldest gave way (RFC 4861 §7.2.2).
  bool keep(Neighbour& n, Packet&& frame);
  // The answer is there, or will not come: hands out what waited, in order.
  template <class Take>
  void take_waiting(Neighbour& n, Take&& take) {
    for (std::size_t i = 0; i < n.waiting_count; ++i) take(std::move(n.waiting[i]));
    waiting_ -= n.waiting_count;
    n.waiting_count = 0;
  }
  // Frames that wait for any of them.
  [[nodiscard]] std::uint32_t waiting() const { return waiting_; }

  [[nodiscard]] Neighbour* get(NeighbourRef r) {
    if (r.index >= count_) return nullptr; // kept: the vector's own would be a division

    Neighbour& n = all_[r.index];
    return n.generation == r.generation ? &n : nullptr;
  }
  // Whoever is at this place now, if that is who bears the address.
  [[nodiscard]] Neighbour* at(std::uint32_t index, const Ip& ip) {
    if (index >= count_) return nullptr;
    Neighbour& n = all_[index];
    return n.ip == ip && n.state != NeighbourState::absent ? &n : nullptr;
  }
  [[nodiscard]] Neighbour* at(std::uint32_t index, Ip4 ip) { // without making sixteen bytes of it
    if (index >= count_) return nullptr;
    Neighbour& n = all_[index];
    return n.ip.v4() == ip && n.ip.is_v4() && n.state != NeighbourState::absent ? &n : nullptr;
  }
  [[nodiscard]] NeighbourRef ref(const Neighbour& n) const {
    return {static_cast<std::uint32_t>(&n - all_.data()), n.generation};
  }
  [[nodiscard]] std::vector<Neighbour>& all() { return all_; }

 private:
  static constexpr std::uint32_t ways = 8;
  [[nodiscard]] Neighbour* set_of(const Ip& ip);

  SipKey key_;
  std::vector<Neighbour> all_;
  std::uint32_t count_ = 0;
  std::uint32_t waiting_ = 0;
};

} // namespace tern::net
