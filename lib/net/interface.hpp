// Who we are on a link: addresses, whole prefixes of them, MAC, MTU, VLAN.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/ip.hpp"
#include "net/addresses.hpp"

namespace tern::net {

// An IPv4 prefix as addresses lie in memory: one xor and one and decide.
struct Block4 {
  explicit Block4(const Prefix& p)
      : base(p.base().v4().be().raw()),
        mask(byteswap(p.length() == 0 ? 0 : ~std::uint32_t{0} << (32 - p.length()))) {}
  [[nodiscard]] bool contains(Ip4 ip) const { return ((ip.be().raw() ^ base) & mask) == 0; }
  std::uint32_t base;
  std::uint32_t mask;
};

// An address of ours and the network it is on ("10.0.0.1/24").
struct Address {
  Ip ip;
  std::uint8_t prefix_length = 32;
  [[nodiscard]] Prefix network() const { return {ip, prefix_length}; }
};

struct InterfaceSettings {
  Mac mac{};
  std::uint16_t mtu = 1500;
  std::optional<std::uint16_t> vlan;         // 802.1Q tag of every frame; none: untagged
  std::optional<std::uint16_t> service_vlan; // 802.1ad tag outside of it
  std::vector<Address> addresses;
  std::vector<Prefix> pools; // blocks every address of which is ours too: a benchmark client's sources
  bool link_local = true;    // fe80:: made of the MAC, if there is any IPv6 address at all
};

// Immutable once made; read by every core.
class Interface {
 public:
  explicit Interface(InterfaceSettings settings);

  [[nodiscard]] const Mac& mac() const { return settings_.mac; }
  [[nodiscard]] std::uint16_t mtu() const { return settings_.mtu; }
  // VLAN tags of every frame, the outer first; none, one or two.
  [[nodiscard]] std::span<const wire::VlanTag> tags() const { return tags_; }
  [[nodiscard]] const std::vector<Address>& addresses() const { return settings_.addresses; }
  [[nodiscard]] const std::vector<Prefix>& pools() const { return settings_.pools; }
  // Whether an Ethernet header's first eight bytes, as they lie, name us, in frames without tags. Never true
  // where ours have one.
  [[nodiscard]] bool untagged_for_us(std::uint64_t first_eight) const {
    return (first_eight & 0xffff'ffff'ffff) == mac_word_;
  }

  [[nodiscard]] bool owns(Ip4 ip) const {
    if (ip == first4_) [[likely]]
      return true;
    for (const Block4& b : blocks4_)
      if (b.contains(ip)) return true;
    return false;
  }
  [[nodiscard]] bool owns(const Ip& ip) const;
  // A group of ours: all nodes, or the solicited-node group of an address of ours.
  [[nodiscard]] bool joined(const Ip& group) const;
  // A directed broadcast of one of our networks, or the limited one.
  [[nodiscard]] bool is_broadcast(Ip4 ip) const;
  [[nodiscard]] bool on_link(const Ip& ip) const;
  [[nodiscard]] bool on_link(Ip4 ip) const {
    for (const Block4& b : links4_)
      if (b.contains(ip)) return true;
    return false;
  }
  // What we call ourselves towards `to`: an address on its network, else the first of its family.
  [[nodiscard]] std::optional<Ip> source_for(const Ip& to) const;

 private:
  InterfaceSettings settings_;
  std::vector<wire::VlanTag> tags_;
  std::uint64_t mac_word_ = 0;
  Ip4 first4_;
  std::vector<Block4> blocks4_;
  std::vector<Block4> links4_; // the networks we are on
  std::vector<Prefix> blocks6_;
};

} // namespace tern::net
