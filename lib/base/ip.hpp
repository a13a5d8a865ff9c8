// Addresses and ports.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "base/check.hpp"
#include "base/endian.hpp"

namespace tern {

// A TCP or UDP port, in host order.
class Port {
 public:
  constexpr Port() = default;
  constexpr explicit Port(std::uint16_t v) : v_(v) {}
  [[nodiscard]] static Port at(const std::byte* p) { return Port{load_be<std::uint16_t>(p)}; } // in a packet
  [[nodiscard]] constexpr std::uint16_t raw() const { return v_; }
  constexpr auto operator<=>(const Port&) const = default;

 private:
  std::uint16_t v_ = 0;
};

// An IPv4 address, kept in network order so that it is copied to and from a packet as it is.
class Ip4 {
 public:
  constexpr Ip4() = default;
  constexpr explicit Ip4(Be32 v) : v_(v) {}
  constexpr Ip4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d)
      : v_(static_cast<std::uint32_t>(a) << 24 | static_cast<std::uint32_t>(b) << 16 |
           static_cast<std::uint32_t>(c) << 8 | d) {}
  [[nodiscard]] constexpr std::uint32_t host() const { return v_.host(); }
  [[nodiscard]] constexpr Be32 be() const { return v_; }
  constexpr bool operator==(const Ip4&) const = default;

 private:
  Be32 v_;
};

// An address of either family: 16 bytes, IPv4 in its mapped form (::ffff:a.b.c.d, RFC 4291 §2.5.5.2), so one
// compare and one hash serve both.
class Ip {
 public:
  using Bytes = std::array<std::uint8_t, 16>;

  constexpr Ip() = default; // ::
  constexpr explicit Ip(const Bytes& b) : b_(b) {}
  constexpr Ip(Ip4 v4) { // NOLINT: every IPv4 address is an Ip
    const std::uint32_t h = v4.host();
    b_ = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0};
    for (std::size_t i = 0; i < 4; ++i) b_[12 + i] = static_cast<std::uint8_t>(h >> (24 - 8 * i));
  }

  [[nodiscard]] constexpr const Bytes& bytes() const { return b_; }
  [[nodiscard]] constexpr bool is_v4() const {
    return words()[0] == 0 && (words()[1] & 0xffffffff) == 0xffff0000;
  }
  [[nodiscard]] constexpr Ip4 v4() const { // only if is_v4()
    return Ip4{Be32::from_raw(static_cast<std::uint32_t>(words()[1] >> 32))};
  }
  constexpr bool operator==(const Ip& o) const { // as a number: the default is a call of memcmp
    __extension__ using Wide = unsigned __int128;
    return std::bit_cast<Wide>(b_) == std::bit_cast<Wide>(o.b_);
  }

  // "10.0.0.1", "2001:db8::1"; no value for anything else.
  [[nodiscard]] static std::optional<Ip> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const; // RFC 5952

 private:
  // As they lie in memory: two loads on the packet path, where bytes would be ten.
  [[nodiscard]] constexpr std::array<std::uint64_t, 2> words() const {
    return std::bit_cast<std::array<std::uint64_t, 2>>(b_);
  }
  Bytes b_{};
};
static_assert(sizeof(Ip) == 16 && sizeof(Ip4) == 4);

// An address block: "10.0.0.0/8", "2001:db8::/64"; a bare address is a block of one.
class Prefix {
 public:
  constexpr Prefix() = default;
  constexpr Prefix(Ip base, std::uint8_t length) : base_(base), length_(length) {
    TERN_DCHECK(length <= (base.is_v4() ? 32 : 128)); // else `contains` would read past an address
  }
  [[nodiscard]] constexpr Ip base() const { return base_; }
  [[nodiscard]] constexpr std::uint8_t length() const {
    return length_;
  } // within its own family: 0..32 or 0..128
  // The lowest of its addresses, whichever of them names it: 10.0.0.3/30 begins with 10.0.0.0.
  [[nodiscard]] Ip first() const { return at(0); }
  // The address `i` places behind it: one of the block's where `i` is below count().
  [[nodiscard]] Ip at(std::uint32_t i) const;
  [[nodiscard]] constexpr std::uint64_t count() const { // saturates at 2^32
    const int free_bits = (base_.is_v4() ? 32 : 128) - length_;
    return std::uint64_t{1} << (free_bits < 32 ? free_bits : 32);
  }
  [[nodiscard]] bool contains(Ip ip) const;
  constexpr bool operator==(const Prefix&) const = default;

  [[nodiscard]] static std::optional<Prefix> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;

 private:
  Ip base_;
  std::uint8_t length_ = 0;
};

// One end of a connection.
struct Endpoint {
  Ip ip;
  Port port;
  constexpr bool operator==(const Endpoint&) const = default;

  // "10.0.0.1:80", "[2001:db8::1]:80".
  [[nodiscard]] static std::optional<Endpoint> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
};

} // namespace tern
