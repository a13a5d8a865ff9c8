#include <algorithm>

#include "wire/tcp_inl.hpp"

namespace tern::wire::detail {
namespace {

// IANA's option kinds and the lengths that their RFCs fix.
enum Kind : std::uint8_t {
  end_of_list = 0,
  nop = 1,
  mss = 2,            // RFC 9293 §3.7.1
  window_scale = 3,   // RFC 7323 §2.2
  sack_permitted = 4, // RFC 2018 §2
  sack = 5,           // RFC 2018 §3
  timestamps = 8,     // RFC 7323 §3.2
  user_timeout = 28,  // RFC 5482 §3
};
constexpr std::size_t max_options = 40;

void parse_sack(const std::byte* at, std::size_t length, TcpOptions& out) {
  const std::size_t n = std::min((length - 2) / 8, out.sack.size());
  for (std::size_t i = 0; i < n; ++i)
    out.sack[i] = {Seq{load_be<std::uint32_t>(at + 2 + 8 * i)}, Seq{load_be<std::uint32_t>(at + 6 + 8 * i)}};
  out.sack_count = static_cast<std::uint8_t>(n);
}

// The bit of a kind that has come in a length of its own, misfit_bit, or unknown_bit. SACK has none: its count tells.
std::uint8_t bit_of(std::uint8_t kind, std::size_t length) {
  const auto of = [length](std::size_t own, std::uint8_t bit) {
    return length == own ? bit : std::uint8_t{TcpOptions::misfit_bit};
  };
  switch (kind) {
    case mss:
      return of(4, TcpOptions::mss_bit);
    case window_scale:
      return of(3, TcpOptions::wscale_bit);
    case sack_permitted:
      return of(2, TcpOptions::sack_permitted_bit);
    case sack:
      return of(length >= 10 && (length - 2) % 8 == 0 ? length : 0, 0);
    case timestamps:
      return of(10, TcpOptions::timestamps_bit);
    case user_timeout:
      return of(4, TcpOptions::user_timeout_bit);
    default:
      return TcpOptions::unknown_bit;
  }
}

// One option, all `length` bytes of which are there. A known kind with a length that is not its own is
// skipped like an unknown one, and of two of a kind the later counts: both as Linux, so that no middlebox's
// habit costs a connection. But it is noted, so that storms of them can be counted.
void parse_option(std::uint8_t kind, const std::byte* at, std::size_t length, TcpOptions& out) {
  const std::uint8_t bit = bit_of(kind, length);
  if ((out.has & bit & ~TcpOptions::odd_bits) != 0 || (kind == sack && out.sack_count != 0))
    out.has |= TcpOptions::repeated_bit;
  out.has |= bit;
  if ((bit & TcpOptions::odd_bits) != 0) return;
  if (kind == mss) {
    out.mss = load_be<std::uint16_t>(at + 2);
  } else if (kind == window_scale) {
    out.wscale = std::to_integer<std::uint8_t>(at[2]);
  } else if (kind == sack) {
    parse_sack(at, length, out);
  } else if (kind == timestamps) {
    out.ts_val = load_be<std::uint32_t>(at + 2);
    out.ts_ecr = load_be<std::uint32_t>(at + 6);
  } else if (kind == user_timeout) {
    out.user_timeout = load_be<std::uint16_t>(at + 2);
  }
}

// What lies before the SACK option.
std::size_t length_without_sack(std::uint8_t has) {
  std::size_t n = 0;
  if (has & TcpOptions::mss_bit) n += 4;
  if (has & TcpOptions::timestamps_bit)
    n += 12;
  else if (has & TcpOptions::sack_permitted_bit)
    n += 4;
  if (has & TcpOptions::wscale_bit) n += 4;
  if (has & TcpOptions::user_timeout_bit) n += 4;
  return n;
}
static_assert(4 + 12 + 4 + 4 <= max_options - 4 - 8,
              "with every other option there is room for one SACK block");

std::size_t sack_blocks_that_fit(const TcpOptions& o) {
  const std::size_t room = (max_options - length_without_sack(o.has) - 4) / 8;
  return std::min({static_cast<std::size_t>(o.sack_count), room, o.sack.size()});
}

std::byte* put(std::byte* to, std::uint32_t word) {
  store_be<std::uint32_t>(to, word);
  return to + 4;
}

} // namespace

// RFC 9293 §3.1 (MUST-7): an illegal option length must not harm us. The segment is refused with a verdict.
// Differs: Linux takes the segment with the options before the bad one; nobody honest sends such a header.
Verdict parse_tcp_options(const std::byte* at, std::size_t size, TcpOptions& out) {
  std::size_t i = 0;
  while (i < size) {
    const auto kind = std::to_integer<std::uint8_t>(at[i]);
    if (kind == end_of_list) return Verdict::ok;
    if (kind == nop) {
      ++i;
      continue;
    }
    if (i + 1 >= size) return Verdict::bad_option_length;
    const auto length = std::to_integer<std::size_t>(at[i + 1]);
    if (length < 2 || length > size - i) return Verdict::bad_option_length;
    parse_option(kind, at + i, length, out);
    i += length;
  }
  return Verdict::ok;
}

std::size_t tcp_options_length(const TcpOptions& o) {
  const std::size_t blocks = sack_blocks_that_fit(o);
  return length_without_sack(o.has) + (blocks == 0 ? 0 : 4 + 8 * blocks);
}

std::size_t emit_tcp_options(const TcpOptions& o, std::byte* to) {
  std::byte* const start = to;
  if (o.has & TcpOptions::mss_bit) to = put(to, 0x02040000U | o.mss);
  if (o.has_timestamps()) {
    to = put(to, (o.has & TcpOptions::sack_permitted_bit) ? 0x0402080aU : nop_nop_timestamp);
    to = put(to, o.ts_val);
    to = put(to, o.ts_ecr);
  } else if (o.has & TcpOptions::sack_permitted_bit) {
    to = put(to, 0x01010402U);
  }
  if (o.has & TcpOptions::wscale_bit) to = put(to, 0x01030300U | o.wscale);
  if (o.has & TcpOptions::user_timeout_bit) to = put(to, 0x1c040000U | o.user_timeout);
  const std::size_t blocks = sack_blocks_that_fit(o);
  if (blocks != 0) {
    to = put(to, 0x01010500U | static_cast<std::uint32_t>(2 + 8 * blocks));
    for (std::size_t i = 0; i < blocks; ++i) {
      to = put(to, o.sack[i].left.raw());
      to = put(to, o.sack[i].right.raw());
    }
  }
  return static_cast<std::size_t>(to - start);
}

} // namespace tern::wire::detail
