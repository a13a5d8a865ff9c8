// TCP sequence numbers (RFC 9293 §3.4): a circle of 2^32, not an order.
#pragma once

#include <cstdint>

namespace tern {

// A position on the circle. Two positions can be compared only when they are less than 2^31 apart, so the
// relation is not transitive: there is no operator<, and a Seq is never a key of an ordered container.
class Seq {
 public:
  constexpr Seq() = default;
  constexpr explicit Seq(std::uint32_t v) : v_(v) {}

  [[nodiscard]] constexpr std::uint32_t raw() const { return v_; }

  [[nodiscard]] constexpr Seq operator+(std::uint32_t n) const { return Seq{v_ + n}; }
  [[nodiscard]] constexpr Seq operator-(std::uint32_t n) const { return Seq{v_ - n}; }
  constexpr Seq& operator+=(std::uint32_t n) { return v_ += n, *this; }

  // The way from `from` forward to this position.
  [[nodiscard]] constexpr std::uint32_t since(Seq from) const { return v_ - from.v_; }

  [[nodiscard]] constexpr bool before(Seq o) const { return static_cast<std::int32_t>(v_ - o.v_) < 0; }
  [[nodiscard]] constexpr bool at_or_before(Seq o) const { return static_cast<std::int32_t>(v_ - o.v_) <= 0; }
  [[nodiscard]] constexpr bool after(Seq o) const { return o.before(*this); }
  [[nodiscard]] constexpr bool at_or_after(Seq o) const { return o.at_or_before(*this); }

  // start <= this < start + size, whatever the size (up to 2^32 - 1).
  [[nodiscard]] constexpr bool in_window(Seq start, std::uint32_t size) const { return v_ - start.v_ < size; }

  constexpr bool operator==(const Seq&) const = default;

 private:
  std::uint32_t v_ = 0;
};

[[nodiscard]] constexpr Seq later_of(Seq a, Seq b) {
  return a.before(b) ? b : a;
}
[[nodiscard]] constexpr Seq earlier_of(Seq a, Seq b) {
  return a.before(b) ? a : b;
}

} // namespace tern
