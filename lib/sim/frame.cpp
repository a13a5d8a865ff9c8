#include "sim/frame.hpp"

#include <algorithm>
#include <cstring>

#include "base/endian.hpp"
#include "wire/checksum.hpp"
#include "wire/tcp_inl.hpp"

namespace tern::sim {
namespace {

constexpr std::size_t icmp_header = 8;
constexpr std::uint8_t icmp_unreachable = 3;
constexpr std::uint8_t code_too_big = 4;

Ip4 address_at(const std::byte* p) {
  return Ip4{Be32{load_be<std::uint32_t>(p)}};
}

void put_address(std::byte* p, Ip4 a) {
  store_be<std::uint32_t>(p, a.host());
}

} // namespace

std::optional<IpView> view_ip(Bytes frame) {
  if (frame.size() < ip_header || frame[0] != std::byte{0x45}) return std::nullopt;
  const std::byte* p = frame.data();
  const std::size_t total = load_be<std::uint16_t>(p + 2);
  if (total < ip_header || total > frame.size()) return std::nullopt;
  if (!wire::sum_is_valid(wire::sum_bytes(p, ip_header))) return std::nullopt;
  IpView v;
  v.src = address_at(p + 12);
  v.dst = address_at(p + 16);
  v.protocol = std::to_integer<std::uint8_t>(p[9]);
  v.ecn = static_cast<Ecn>(std::to_integer<unsigned>(p[1]) & 3U);
  v.payload = frame.subspan(ip_header, total - ip_header);
  return v;
}

std::optional<TcpView> view_tcp(const IpView& ip) {
  if (ip.protocol != protocol_tcp) return std::nullopt;
  TcpView v;
  if (wire::parse_tcp(ip.payload, v.h) != wire::Verdict::ok) return std::nullopt;
  if (!wire::tcp_checksum_ok(ip.src, ip.dst, ip.payload)) return std::nullopt;
  v.text = ip.payload.subspan(v.h.header_length);
  return v;
}

std::span<std::byte> start_ip(Frame& frame, std::size_t length) {
  frame.resize(ip_header + length);
  return std::span{frame}.subspan(ip_header);
}

void seal_ip(Frame& frame, Ip4 src, Ip4 dst, std::uint8_t protocol, Ecn ecn) {
  std::byte* p = frame.data();
  std::memset(p, 0, ip_header);
  p[0] = std::byte{0x45};
  p[1] = static_cast<std::byte>(ecn);
  store_be<std::uint16_t>(p + 2, static_cast<std::uint16_t>(frame.size()));
  store_be<std::uint16_t>(p + 6, 0x4000); // DF: RFC 1191
  p[8] = std::byte{64};
  p[9] = static_cast<std::byte>(protocol);
  put_address(p + 12, src);
  put_address(p + 16, dst);
  const Be16 sum = wire::finish(wire::sum_bytes(p, ip_header));
  std::memcpy(p + 10, &sum, sizeof sum);
}

void seal_tcp(Frame& frame, Ip4 src, Ip4 dst, Ecn ecn) {
  seal_ip(frame, src, dst, protocol_tcp, ecn);
  const std::span<std::byte> segment = std::span{frame}.subspan(ip_header);
  store_be<std::uint16_t>(segment.data() + wire::tcp_checksum_offset, 0);
  wire::set_tcp_checksum(src, dst, segment);
}

bool mark_ce(Frame& frame) {
  const auto ecn = static_cast<Ecn>(std::to_integer<unsigned>(frame[1]) & 3U);
  if (ecn == Ecn::not_ect) return false;
  Be16 sum;
  Be16 before;
  Be16 after;
  std::memcpy(&before, frame.data(), 2);
  frame[1] |= static_cast<std::byte>(Ecn::ce);
  std::memcpy(&after, frame.data(), 2);
  std::memcpy(&sum, frame.data() + 10, 2);
  sum = wire::updated_checksum(sum, before, after);
  std::memcpy(frame.data() + 10, &sum, 2);
  return true;
}

Frame unreachable(const IpView& dropped, Bytes dropped_frame, std::uint8_t code, std::uint16_t mtu) {
  // RFC 792: the IP header and eight bytes of what lay behind it.
  const std::size_t quoted = std::min(dropped_frame.size(), ip_header + 8);
  Frame f;
  const std::span<std::byte> body = start_ip(f, icmp_header + quoted);
  std::memset(body.data(), 0, icmp_header);
  body[0] = static_cast<std::byte>(icmp_unreachable);
  body[1] = static_cast<std::byte>(code);
  store_be<std::uint16_t>(body.data() + 6, mtu);
  std::memcpy(body.data() + icmp_header, dropped_frame.data(), quoted);
  const Be16 sum = wire::finish(wire::sum_bytes(body));
  std::memcpy(body.data() + 2, &sum, sizeof sum);
  seal_ip(f, dropped.dst, dropped.src, protocol_icmp, Ecn::not_ect);
  return f;
}

Frame fragmentation_needed(const IpView& dropped, Bytes dropped_frame, std::uint16_t mtu) {
  return unreachable(dropped, dropped_frame, code_too_big, mtu);
}

std::optional<IcmpView> view_icmp(const IpView& ip) {
  const Bytes b = ip.payload;
  if (ip.protocol != protocol_icmp || b.size() < icmp_header + ip_header + 8) return std::nullopt;
  if (!wire::sum_is_valid(wire::sum_bytes(b))) return std::nullopt;
  const std::byte* inner = b.data() + icmp_header;
  if (inner[0] != std::byte{0x45} || inner[9] != static_cast<std::byte>(protocol_tcp)) return std::nullopt;
  IcmpView v;
  v.type = std::to_integer<std::uint8_t>(b[0]);
  v.code = std::to_integer<std::uint8_t>(b[1]);
  v.mtu = load_be<std::uint16_t>(b.data() + 6);
  v.inner_src = address_at(inner + 12);
  v.inner_dst = address_at(inner + 16);
  v.inner_src_port = Port{load_be<std::uint16_t>(inner + ip_header)};
  v.inner_dst_port = Port{load_be<std::uint16_t>(inner + ip_header + 2)};
  v.inner_seq = Seq{load_be<std::uint32_t>(inner + ip_header + 4)};
  return v;
}

} // namespace tern::sim
