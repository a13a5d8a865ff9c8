#include "wire/ethernet.hpp"

#include <cstring>

#include "base/endian.hpp"

namespace tern::wire {
namespace {

constexpr bool is_tag(std::uint16_t type) {
  return type == ether_type::vlan || type == ether_type::service_vlan;
}

Mac mac_at(const std::byte* p) {
  Mac m;
  std::memcpy(m.bytes.data(), p, 6);
  return m;
}
Ip4 ip4_at(const std::byte* p) {
  return Ip4{Be32{load_be<std::uint32_t>(p)}};
}

constexpr std::uint16_t ethernet_hardware = 1;
constexpr std::uint16_t lengths_of_mac_and_ip4 = 0x0604;

} // namespace

Verdict parse_ethernet(std::span<const std::byte> frame, Ethernet& out) {
  if (frame.size() < 14) return Verdict::truncated;
  const std::byte* const p = frame.data();
  out.dst = mac_at(p);
  out.src = mac_at(p + 6);
  out.tag_count = 0;
  std::size_t at = 12;
  std::uint16_t type = load_be<std::uint16_t>(p + at);
  while (is_tag(type)) {
    if (out.tag_count == out.tags.size()) return Verdict::too_many_vlan_tags;
    if (frame.size() < at + 6) return Verdict::truncated;
    out.tags[out.tag_count++] = {type, load_be<std::uint16_t>(p + at + 2)};
    at += 4;
    type = load_be<std::uint16_t>(p + at);
  }
  out.type = type;
  return Verdict::ok;
}

std::size_t emit_ethernet(const Ethernet& e, std::byte* to) {
  std::memcpy(to, e.dst.bytes.data(), 6);
  std::memcpy(to + 6, e.src.bytes.data(), 6);
  std::size_t at = 12;
  for (std::size_t i = 0; i < e.tag_count; ++i, at += 4) {
    store_be<std::uint16_t>(to + at, e.tags[i].tpid);
    store_be<std::uint16_t>(to + at + 2, e.tags[i].tci);
  }
  store_be<std::uint16_t>(to + at, e.type);
  return at + 2;
}

Verdict parse_arp(std::span<const std::byte> bytes, Arp& out) {
  if (bytes.size() < arp_length) return Verdict::truncated;
  const std::byte* const p = bytes.data();
  if (load_be<std::uint16_t>(p) != ethernet_hardware || load_be<std::uint16_t>(p + 2) != ether_type::ipv4 ||
      load_be<std::uint16_t>(p + 4) != lengths_of_mac_and_ip4)
    return Verdict::not_supported;
  out.operation = load_be<std::uint16_t>(p + 6);
  out.sender_mac = mac_at(p + 8);
  out.sender_ip = ip4_at(p + 14);
  out.target_mac = mac_at(p + 18);
  out.target_ip = ip4_at(p + 24);
  return Verdict::ok;
}

std::size_t emit_arp(const Arp& a, std::byte* to) {
  store_be<std::uint16_t>(to, ethernet_hardware);
  store_be<std::uint16_t>(to + 2, ether_type::ipv4);
  store_be<std::uint16_t>(to + 4, lengths_of_mac_and_ip4);
  store_be<std::uint16_t>(to + 6, a.operation);
  std::memcpy(to + 8, a.sender_mac.bytes.data(), 6);
  store_be<std::uint32_t>(to + 14, a.sender_ip.host());
  std::memcpy(to + 18, a.target_mac.bytes.data(), 6);
  store_be<std::uint32_t>(to + 24, a.target_ip.host());
  return arp_length;
}

} // namespace tern::wire
