// Which core a connection belongs to: one function, whether the NIC computes it or we do.
//
//   owner = owners[toeplitz(key, source, destination, ports of the packet as received) % size]
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/ip.hpp"
#include "io/port.hpp"
#include "wire/toeplitz.hpp"

namespace tern::io {

using CoreId = std::uint16_t;

class Steering {
 public:
  // One core, to which everything belongs.
  Steering() : owners_{0} {}
  // A port that spreads by a key and table that were read back: queue q is core q's, and what arrives there
  // is that core's, so nobody looks. Not possible (false) where a core has no entry in the table.
  [[nodiscard]] static bool possible_by_port(const RssView& rss, CoreId cores);
  [[nodiscard]] static Steering by_port(const RssView& rss, CoreId cores);
  // Our own table under `key` (40 bytes, drawn at random: nobody can aim at one core), the cores taking
  // turns.
  [[nodiscard]] static Steering by_software(std::span<const std::uint8_t> key, CoreId cores);

  [[nodiscard]] CoreId cores() const { return cores_; }
  // Whether a TCP segment that is no fragment is on its owner's queue already.
  [[nodiscard]] bool by_port() const { return by_port_; }
  [[nodiscard]] const wire::Toeplitz& toeplitz() const { return toeplitz_; }
  [[nodiscard]] std::span<const CoreId> owners() const { return owners_; }

  [[nodiscard]] CoreId owner_of_hash(std::uint32_t hash) const {
    return owners_[hash & (owners_.size() - 1)];
  }
  // Of a packet from `src` to `dst`.
  template <class Address>
  [[nodiscard]] CoreId owner(const Address& src, const Address& dst, Port src_port, Port dst_port) const {
    return owner_of_hash(toeplitz_.hash(src, dst, src_port, dst_port));
  }
  // Of a received frame, looked at as a NIC does it, without verifying:
  //   a TCP segment          by its 4-tuple
  //   a fragment             by its addresses, so that all of a datagram meet on one core
  //   an ICMP error          by the 4-tuple that it speaks of, turned round
  //   anything else          `here`: whoever received it sees to it
  [[nodiscard]] CoreId owner_of_frame(const rte_mbuf* m, CoreId here) const;

 private:
  [[nodiscard]] CoreId owner_v4(const std::byte* ip, std::size_t n, CoreId here) const;
  [[nodiscard]] CoreId owner_v6(const std::byte* ip, std::size_t n, CoreId here) const;
  Steering(const wire::ToeplitzKey& key, std::vector<CoreId> owners, CoreId cores, bool by_port)
      : toeplitz_(key), owners_(std::move(owners)), cores_(cores), by_port_(by_port) {}

  wire::Toeplitz toeplitz_;
  std::vector<CoreId> owners_; // a power of two of entries
  CoreId cores_ = 1;
  bool by_port_ = false;
};

} // namespace tern::io
