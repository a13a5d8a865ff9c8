#include "net/neighbours.hpp"

#include <algorithm>
#include <bit>

namespace tern::net {

Neighbours::Neighbours(std::uint32_t capacity, SipKey key)
    : key_(key),
      all_(std::bit_ceil(std::max<std::uint32_t>(capacity, ways))),
      count_(static_cast<std::uint32_t>(all_.size())) {}

Neighbour* Neighbours::set_of(const Ip& ip) {
  const std::uint64_t h = siphash13(key_, std::as_bytes(std::span(ip.bytes())));
  const std::uint64_t sets = all_.size() / ways;
  return &all_[(h & (sets - 1)) * ways];
}

Neighbour* Neighbours::find(const Ip& ip) {
  Neighbour* set = set_of(ip);
  for (Neighbour* n = set; n != set + ways; ++n)
    if (n->state != NeighbourState::absent && n->ip == ip) return n;
  return nullptr;
}

Neighbour& Neighbours::find_or_add(const Ip& ip, bool& evicted) {
  evicted = false;
  if (Neighbour* n = find(ip)) return *n;
  Neighbour* set = set_of(ip);
  Neighbour* victim = set;
  for (Neighbour* n = set; n != set + ways; ++n) {
    if (n->state == NeighbourState::absent) {
      victim = n;
      break;
    }
    if (n->deadline < victim->deadline) victim = n;
  }
  evicted = victim->state != NeighbourState::absent;
  remove(*victim);
  victim->ip = ip;
  return *victim;
}

bool Neighbours::keep(Neighbour& n, Packet&& frame) {
  const bool full = n.waiting_count == Neighbour::most_waiting;
  if (full) {
    std::move(n.waiting.begin() + 1, n.waiting.end(), n.waiting.begin());
    --n.waiting_count;
    --waiting_;
  }
  n.waiting[n.waiting_count++] = std::move(frame);
  ++waiting_;
  return full;
}

void Neighbours::remove(Neighbour& n) {
  take_waiting(n, [](Packet&& p) { p.reset(); });
  n.state = NeighbourState::absent;
  n.solicits = 0;
  n.used = false;
  ++n.generation;
}

} // namespace tern::net
