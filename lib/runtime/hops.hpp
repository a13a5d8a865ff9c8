// Next hops by a number of 16 bits, so that a record need not keep eight bytes of one.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/ip.hpp"
#include "net/neighbours.hpp"

namespace tern {

// A number once given stands for one neighbour's record as it was then: if that changed hands since, the
// network layer resolves anew and the record takes a new number. When all numbers are given out, 0 serves: it
// is resolved every time.
class Hops {
 public:
  Hops() : refs_(1) { refs_.reserve(most); } // all of it now: none is allocated between packets

  [[nodiscard]] net::NeighbourRef ref(std::uint16_t hop) const { return refs_[hop]; }
  // What to keep for a neighbour that was just resolved.
  [[nodiscard]] std::uint16_t number(net::NeighbourRef r) {
    std::uint16_t& recent = recent_[r.index % recent_.size()];
    if (same(refs_[recent], r)) return recent;
    if (refs_.size() == most) return 0;
    refs_.push_back(r);
    return recent = static_cast<std::uint16_t>(refs_.size() - 1);
  }
  [[nodiscard]] static bool same(net::NeighbourRef a, net::NeighbourRef b) {
    return a.index == b.index && a.generation == b.generation;
  }
  // For segments without a record of their own: what was last used towards this address.
  [[nodiscard]] std::uint16_t& last_towards(Ip4 remote) {
    Last& l = last_[(remote.be().raw() * 0x9e3779b1U) >> 24];
    if (l.remote != remote) l = {remote, 0};
    return l.hop;
  }

 private:
  static constexpr std::size_t most = 0x1'0000;
  std::vector<net::NeighbourRef> refs_;
  std::array<std::uint16_t, 1024> recent_{};
  struct Last {
    Ip4 remote;
    std::uint16_t hop = 0;
  };
  std::array<Last, 256> last_{};
};

} // namespace tern
