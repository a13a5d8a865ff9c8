// Big-endian integers as they lie on the wire.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>

namespace tern {

static_assert(std::endian::native == std::endian::little, "tern is written for little-endian machines");

[[nodiscard]] constexpr std::uint16_t byteswap(std::uint16_t v) {
  return __builtin_bswap16(v);
}
[[nodiscard]] constexpr std::uint32_t byteswap(std::uint32_t v) {
  return __builtin_bswap32(v);
}
[[nodiscard]] constexpr std::uint64_t byteswap(std::uint64_t v) {
  return __builtin_bswap64(v);
}

// Holds T in network order with alignment 1, so that a struct of these has the layout of the header it
// describes.
template <std::unsigned_integral T>
class Be {
 public:
  constexpr Be() = default;
  constexpr Be(T host)
      : bytes_(std::bit_cast<Bytes>(byteswap(host))) {} // NOLINT: implicit by design, it is the same number

  [[nodiscard]] constexpr T host() const { return byteswap(std::bit_cast<T>(bytes_)); }
  [[nodiscard]] constexpr T raw() const { return std::bit_cast<T>(bytes_); } // as it lies in memory
  [[nodiscard]] static constexpr Be from_raw(T raw) {
    Be b;
    b.bytes_ = std::bit_cast<Bytes>(raw);
    return b;
  }
  // As a number: compared byte by byte, an address would be four branches.
  constexpr bool operator==(const Be& o) const { return raw() == o.raw(); }

 private:
  struct Bytes {
    std::uint8_t b[sizeof(T)];
  };
  Bytes bytes_{};
};

using Be16 = Be<std::uint16_t>;
using Be32 = Be<std::uint32_t>;
using Be64 = Be<std::uint64_t>;
static_assert(sizeof(Be16) == 2 && alignof(Be16) == 1 && sizeof(Be32) == 4 && alignof(Be32) == 1);

// Unaligned loads and stores on bytes from the wire. The caller has checked the length.
template <std::unsigned_integral T>
[[nodiscard]] inline T load_be(const void* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return byteswap(v);
}
template <std::unsigned_integral T>
inline void store_be(void* p, T v) {
  v = byteswap(v);
  std::memcpy(p, &v, sizeof v);
}

} // namespace tern
