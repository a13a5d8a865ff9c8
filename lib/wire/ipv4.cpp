#include "wire/ipv4.hpp"

#include <cstring>

namespace tern::wire {
namespace {

enum IpOption : std::uint8_t {
  end_of_list = 0,
  nop = 1,
  loose_source_route = 131,
  strict_source_route = 137
};

} // namespace

Verdict detail::parse_ipv4_options(std::span<const std::byte> options, Ipv4& out) {
  std::size_t i = 0;
  while (i < options.size()) {
    const auto kind = std::to_integer<std::uint8_t>(options[i]);
    if (kind == end_of_list) return Verdict::ok;
    if (kind == nop) {
      ++i;
      continue;
    }
    if (i + 1 >= options.size()) return Verdict::bad_option_length;
    const auto length = std::to_integer<std::size_t>(options[i + 1]);
    if (length < 2 || length > options.size() - i) return Verdict::bad_option_length;
    if (kind == loose_source_route || kind == strict_source_route) out.source_route = true;
    i += length;
  }
  return Verdict::ok;
}

Verdict detail::check_ipv4_fragment(const Ipv4& h) {
  const std::size_t payload = std::size_t{h.total_length} - h.header_length;
  if (h.header_length + std::size_t{h.fragment_offset} + payload > 65535)
    return Verdict::bad_fragment; // "ping of death"
  if (h.more_fragments && (payload == 0 || payload % 8 != 0)) return Verdict::bad_fragment;
  return Verdict::ok;
}

std::size_t emit_ipv4(const Ipv4& h, std::byte* to) {
  const std::size_t length = emitted_length(h);
  const std::size_t options = std::min<std::size_t>(h.options.size(), 40);
  // Whole words, so that the checksum's loads are served from the store buffer.
  const auto first = static_cast<std::uint32_t>((0x40 | length / 4) << 8 | h.traffic_class);
  const auto fragment = static_cast<std::uint32_t>((h.dont_fragment ? 0x4000 : 0) |
                                                   (h.more_fragments ? 0x2000 : 0) | h.fragment_offset >> 3);
  store_be<std::uint32_t>(to, first << 16 | h.total_length);
  store_be<std::uint32_t>(to + 4, std::uint32_t{h.identification} << 16 | fragment);
  store_be<std::uint32_t>(to + 8, std::uint32_t{h.ttl} << 24 | std::uint32_t{h.protocol} << 16);
  store_be<std::uint32_t>(to + 12, h.src.host());
  store_be<std::uint32_t>(to + 16, h.dst.host());
  if (options != 0) {
    std::memset(to + 20, 0, length - 20);
    std::memcpy(to + 20, h.options.data(), options);
  }
  const Be16 c = finish(sum_bytes(to, length));
  std::memcpy(to + 10, &c, sizeof c);
  return length;
}

} // namespace tern::wire
