#include "wire/ipv6.hpp"

#include <cstring>

#include "base/endian.hpp"

namespace tern::wire {
namespace {

// Options of hop-by-hop and destination headers. The two high bits of an unknown one say what to do (RFC 8200
// §4.2): 00 passes over it, all else refuses the packet.
Verdict check_options(std::span<const std::byte> o) {
  std::size_t i = 0;
  while (i < o.size()) {
    const auto type = std::to_integer<std::uint8_t>(o[i]);
    if (type == 0) { // Pad1 has no length
      ++i;
      continue;
    }
    if (i + 1 >= o.size()) return Verdict::bad_option_length;
    const std::size_t length = 2 + std::to_integer<std::size_t>(o[i + 1]);
    if (length > o.size() - i) return Verdict::bad_option_length;
    if ((type & 0xc0) != 0) return Verdict::not_supported;
    i += length;
  }
  return Verdict::ok;
}

// How often each kind has been seen in one chain.
class Seen {
 public:
  // RFC 8200 §4.1: which may stand where, and how often.
  [[nodiscard]] Verdict admit(std::uint8_t kind, bool first) {
    switch (kind) {
      case ip_protocol::hop_by_hop:
        return first ? Verdict::ok : Verdict::bad_extension_header;
      case ip_protocol::routing:
        return routing_++ == 0 ? Verdict::ok : Verdict::too_many_extensions;
      case ip_protocol::fragment:
        return fragment_++ == 0 ? Verdict::ok : Verdict::too_many_extensions;
      default:
        return destination_++ < 2 ? Verdict::ok : Verdict::too_many_extensions;
    }
  }

 private:
  int routing_ = 0;
  int fragment_ = 0;
  int destination_ = 0;
};

constexpr bool is_extension(std::uint8_t kind) {
  return kind == ip_protocol::hop_by_hop || kind == ip_protocol::routing || kind == ip_protocol::fragment ||
         kind == ip_protocol::destination_options;
}

// The fragment header at `at`, all 8 bytes of which are there. `packet_end` is 0 for a quoted packet.
Verdict read_fragment(std::span<const std::byte> bytes, std::size_t at, std::size_t packet_end, Ipv6& out) {
  const auto word = load_be<std::uint16_t>(bytes.data() + at + 2);
  out.fragment_header = static_cast<std::uint16_t>(at);
  out.fragment_offset = word & 0xfff8;
  out.more_fragments = (word & 1) != 0;
  out.fragment_id = load_be<std::uint32_t>(bytes.data() + at + 4);
  if (!out.is_fragment() || packet_end == 0) return Verdict::ok;
  const std::size_t payload = packet_end - (at + 8);
  if (out.more_fragments && (payload == 0 || payload % 8 != 0)) return Verdict::bad_fragment;
  if (at - 40 + out.fragment_offset + payload > 65535) return Verdict::bad_fragment; // RFC 8200 §4.5
  return Verdict::ok;
}

// One extension header at `at`; `length` of bytes are there.
Verdict read_extension(std::span<const std::byte> bytes, std::uint8_t kind, std::size_t at,
                       std::size_t length, std::size_t packet_end, Ipv6& out) {
  switch (kind) {
    case ip_protocol::fragment:
      return read_fragment(bytes, at, packet_end, out);
    case ip_protocol::routing: // RFC 8200 §4.4: nothing left to visit, or refused; type 0 fell with RFC 5095
      return bytes[at + 3] == std::byte{0} ? Verdict::ok : Verdict::not_supported;
    default:
      return check_options(bytes.subspan(at + 2, length - 2));
  }
}

// `packet_end` is where the announced payload ends, 0 if unknown.
Verdict walk(std::span<const std::byte> bytes, std::size_t packet_end, Ipv6& out) {
  Seen seen;
  std::size_t at = 40;
  std::uint8_t kind = out.next_header;
  while (is_extension(kind)) {
    if (const Verdict v = seen.admit(kind, at == 40); v != Verdict::ok) return v;
    if (packet_end != 0 && at + 8 > packet_end) return Verdict::bad_extension_header;
    if (at + 8 > bytes.size()) return Verdict::truncated;
    const std::size_t length =
        kind == ip_protocol::fragment ? 8 : 8 + 8 * std::to_integer<std::size_t>(bytes[at + 1]);
    if (packet_end != 0 && at + length > packet_end) return Verdict::bad_extension_header;
    if (at + length > bytes.size()) return Verdict::truncated;
    if (const Verdict v = read_extension(bytes, kind, at, length, packet_end, out); v != Verdict::ok)
      return v;
    const bool stop = kind == ip_protocol::fragment && out.is_fragment();
    kind = std::to_integer<std::uint8_t>(bytes[at]);
    at += length;
    if (stop) break;
  }
  out.protocol = kind;
  out.header_length = static_cast<std::uint16_t>(at);
  out.extensions = bytes.subspan(40, at - 40);
  return Verdict::ok;
}

Verdict parse_fixed(std::span<const std::byte> bytes, Ipv6& out) {
  if (bytes.size() < 40) return Verdict::truncated;
  const std::byte* const p = bytes.data();
  const auto first = load_be<std::uint32_t>(p);
  if (first >> 28 != 6) return Verdict::bad_version;
  out.traffic_class = static_cast<std::uint8_t>(first >> 20);
  out.flow_label = first & 0xfffff;
  out.payload_length = load_be<std::uint16_t>(p + 4);
  out.next_header = std::to_integer<std::uint8_t>(p[6]);
  out.hop_limit = std::to_integer<std::uint8_t>(p[7]);
  Ip::Bytes a;
  std::memcpy(a.data(), p + 8, 16);
  out.src = Ip{a};
  std::memcpy(a.data(), p + 24, 16);
  out.dst = Ip{a};
  out.fragment_id = 0;
  out.fragment_offset = 0;
  out.fragment_header = 0;
  out.more_fragments = false;
  // A mapped address never belongs on the wire (RFC 4942 §2.2), and would pass for IPv4 behind us.
  return out.src.is_v4() || out.dst.is_v4() ? Verdict::bad_field : Verdict::ok;
}

} // namespace

Verdict parse_ipv6(std::span<const std::byte> bytes, std::size_t packet_length, Ipv6& out) {
  if (const Verdict v = parse_fixed(bytes, out); v != Verdict::ok) return v;
  const std::size_t end = std::size_t{40} + out.payload_length;
  if (end > packet_length) return Verdict::bad_total_length;
  return walk(bytes.first(std::min(bytes.size(), end)), end, out);
}

Verdict parse_quoted_ipv6(std::span<const std::byte> bytes, Ipv6& out) {
  if (const Verdict v = parse_fixed(bytes, out); v != Verdict::ok) return v;
  return walk(bytes, 0, out);
}

std::size_t emit_ipv6(const Ipv6& h, std::byte* to) {
  emit_plain_ipv6(h, to);
  if (!h.extensions.empty()) std::memcpy(to + 40, h.extensions.data(), h.extensions.size());
  return 40 + h.extensions.size();
}

} // namespace tern::wire
