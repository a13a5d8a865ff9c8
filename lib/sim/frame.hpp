// What the simulated network carries: whole IPv4 packets, as bytes, with true checksums.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/ip.hpp"
#include "wire/tcp.hpp"

namespace tern::sim {

using Frame = std::vector<std::byte>;
using Bytes = std::span<const std::byte>;

enum class Ecn : std::uint8_t { not_ect = 0, ect1 = 1, ect0 = 2, ce = 3 }; // RFC 3168 §5

inline constexpr std::size_t ip_header = 20;
inline constexpr std::uint8_t protocol_icmp = 1;
inline constexpr std::uint8_t protocol_tcp = 6;

// A checked view of an IPv4 packet.
struct IpView {
  Ip4 src;
  Ip4 dst;
  std::uint8_t protocol = 0;
  Ecn ecn = Ecn::not_ect;
  Bytes payload; // behind the IP header, to the packet's own length
};
// No value when the header is short, false of length or version, or fails its checksum.
[[nodiscard]] std::optional<IpView> view_ip(Bytes frame);

// A TCP segment that lies behind a checked IP header: no value if header or options are malformed or the
// checksum is wrong.
struct TcpView {
  wire::Tcp h;
  Bytes text;
};
[[nodiscard]] std::optional<TcpView> view_tcp(const IpView& ip);

// Room for `length` bytes behind an IPv4 header; the caller fills them, then calls `seal_ip` (DF set, TTL
// 64).
[[nodiscard]] std::span<std::byte> start_ip(Frame& frame, std::size_t length);
void seal_ip(Frame& frame, Ip4 src, Ip4 dst, std::uint8_t protocol, Ecn ecn);
// The same, and the TCP checksum of what was filled in.
void seal_tcp(Frame& frame, Ip4 src, Ip4 dst, Ecn ecn);
// ECN: routers under load turn ECT into CE (RFC 3168 §5). False if the packet is not ECN-capable.
bool mark_ce(Frame& frame);

// ICMP "fragmentation needed" (RFC 1191 §4): what a router sends back when `dropped` does not fit `mtu`.
[[nodiscard]] Frame fragmentation_needed(const IpView& dropped, Bytes dropped_frame, std::uint16_t mtu);
// ICMP destination unreachable with any code.
[[nodiscard]] Frame unreachable(const IpView& dropped, Bytes dropped_frame, std::uint8_t code,
                                std::uint16_t mtu);

struct IcmpView {
  std::uint8_t type = 0;
  std::uint8_t code = 0;
  std::uint16_t mtu = 0;
  Ip4 inner_src; // of the packet that the error is about
  Ip4 inner_dst;
  Port inner_src_port;
  Port inner_dst_port;
  Seq inner_seq;
};
[[nodiscard]] std::optional<IcmpView> view_icmp(const IpView& ip);

} // namespace tern::sim
