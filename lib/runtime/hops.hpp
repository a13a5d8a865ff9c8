// Next hops in 16 bits, so that a record need not keep eight bytes of one.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/ip.hpp"
#include "net/network.hpp"

namespace tern {

// What a record keeps of the neighbour that takes its segments:
//
//   0            not known: it is looked for at the next segment
//   1 … 0x7fff   who is at this place, less one, of the neighbours' table, if he bears the peer's own address
//   0x8000 + k   the k-th gateway
//
// Either can be told to be right without a count of whom it was given to: a place in the table may change
// hands as often as it likes, gateways are as few as routes. So numbers do not run out, and none has to be
// given back.
//
// Whoever is past a limit (the 1,025th gateway since the start; a neighbour past place 32,766 of the table) has
// no number: his segments find their way through routes and neighbours each time, and are counted
// (next_hop_unnumbered). Slower, and no connection is refused or lost for it.
class Hops {
 public:
  explicit Hops(net::Network& network) : net_(network), by_route_(network.routes().size()) {
    gateways_.reserve(most_gateways); // all of it now: none is allocated between packets
  }

  // Null: the network layer has to look.
  template <class Address>
  [[nodiscard]] net::Neighbour* find(std::uint16_t hop, const Address& remote) {
    if ((hop & gateway) != 0) return net_.neighbours().get(gateways_[hop & ~gateway].ref);
    return net_.neighbours().at(hop - 1U, remote);
  }
  // What to keep of the neighbour that it found.
  [[nodiscard]] std::uint16_t number(const net::Neighbour& n, const Ip& remote) {
    const net::NeighbourRef ref = net_.neighbours().ref(n);
    if (n.ip == remote) return ref.index < gateway - 1U ? static_cast<std::uint16_t>(ref.index + 1) : 0;
    for (std::size_t k = 0; k < gateways_.size(); ++k)
      if (gateways_[k].ip == n.ip) {
        gateways_[k].ref = ref;
        return static_cast<std::uint16_t>(gateway | k);
      }
    if (gateways_.size() == most_gateways) return 0;
    gateways_.push_back({n.ip, ref});
    return static_cast<std::uint16_t>(gateway | (gateways_.size() - 1));
  }
  // For segments without a record of their own, and for new records: what was last used towards this address,
  // or by the route to it. A flood from a million addresses comes through one router.
  [[nodiscard]] std::uint16_t& towards(Ip4 remote) {
    if (net_.self().on_link(remote)) {
      Last& l = last_[(remote.be().raw() * 0x9e3779b1U) >> 24];
      if (l.remote != remote) l = {remote, 0};
      return l.hop;
    }
    return by_route(net_.routes().number(remote));
  }
  [[nodiscard]] std::uint16_t& towards(const Ip& remote) {
    return net_.self().on_link(remote) ? unknown_ = 0 : by_route(net_.routes().number(remote));
  }

 private:
  static constexpr std::uint16_t gateway = 0x8000;
  static constexpr std::size_t most_gateways = 1024; // of all routes there ever were
  struct Gateway {
    Ip ip;
    net::NeighbourRef ref;
  };
  struct Last {
    Ip4 remote;
    std::uint16_t hop = 0;
  };

  std::uint16_t& by_route(std::uint32_t number) {
    if (route_changes_ != net_.route_changes()) [[unlikely]] {
      route_changes_ = net_.route_changes();
      by_route_.assign(net_.routes().size(), 0);
    }
    return number == net::Routes::none ? unknown_ = 0 : by_route_[number];
  }

  net::Network& net_;
  std::vector<Gateway> gateways_;
  std::vector<std::uint16_t> by_route_; // the gateway of each
  std::uint32_t route_changes_ = 0;
  std::uint16_t unknown_ = 0;
  std::array<Last, 256> last_{};
};

} // namespace tern
