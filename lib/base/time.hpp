// Time as it is passed in: nobody below the runtime reads a clock.
#pragma once

#include <compare>
#include <cstdint>

namespace tern {

// A signed span of time, in nanoseconds.
class Duration {
 public:
  constexpr Duration() = default;
  [[nodiscard]] static constexpr Duration ns(std::int64_t n) { return Duration{n}; }
  [[nodiscard]] static constexpr Duration us(std::int64_t n) { return Duration{n * 1000}; }
  [[nodiscard]] static constexpr Duration ms(std::int64_t n) { return Duration{n * 1'000'000}; }
  [[nodiscard]] static constexpr Duration seconds(std::int64_t n) { return Duration{n * 1'000'000'000}; }

  [[nodiscard]] constexpr std::int64_t as_ns() const { return n_; }
  [[nodiscard]] constexpr std::int64_t as_us() const { return n_ / 1000; }
  [[nodiscard]] constexpr std::int64_t as_ms() const { return n_ / 1'000'000; }
  [[nodiscard]] constexpr double as_seconds() const { return static_cast<double>(n_) * 1e-9; }

  constexpr auto operator<=>(const Duration&) const = default;
  [[nodiscard]] constexpr Duration operator+(Duration o) const { return Duration{n_ + o.n_}; }
  [[nodiscard]] constexpr Duration operator-(Duration o) const { return Duration{n_ - o.n_}; }
  [[nodiscard]] constexpr Duration operator*(std::int64_t k) const { return Duration{n_ * k}; }
  [[nodiscard]] constexpr Duration operator/(std::int64_t k) const { return Duration{n_ / k}; }
  [[nodiscard]] constexpr std::int64_t operator/(Duration o) const { return n_ / o.n_; }

 private:
  constexpr explicit Duration(std::int64_t n) : n_(n) {}
  std::int64_t n_ = 0;
};

// A point of monotonic time: nanoseconds since an origin that the owner of the clock chose.
class Instant {
 public:
  constexpr Instant() = default;
  [[nodiscard]] static constexpr Instant at_ns(std::int64_t n) { return Instant{n}; }
  [[nodiscard]] constexpr std::int64_t since_origin_ns() const { return n_; }
  // Wrapping clocks for records that have no room for 64 bits. Unsigned: the division is then cheaper, and no time is
  // before its origin.
  [[nodiscard]] constexpr std::uint32_t us32() const {
    return static_cast<std::uint32_t>(static_cast<std::uint64_t>(n_) / 1000);
  }
  [[nodiscard]] constexpr std::uint32_t ms32() const {
    return static_cast<std::uint32_t>(static_cast<std::uint64_t>(n_) / 1'000'000);
  }
  // For what may last longer than the 49 days after which ms32() comes round: this one does after nine years.
  static constexpr Duration coarse_step = Duration::ns(1 << 26); // 67 ms
  [[nodiscard]] constexpr std::uint32_t coarse32() const {
    return static_cast<std::uint32_t>(static_cast<std::uint64_t>(n_) >> 26);
  }

  constexpr auto operator<=>(const Instant&) const = default;
  [[nodiscard]] constexpr Instant operator+(Duration d) const { return Instant{n_ + d.as_ns()}; }
  [[nodiscard]] constexpr Instant operator-(Duration d) const { return Instant{n_ - d.as_ns()}; }
  [[nodiscard]] constexpr Duration operator-(Instant o) const { return Duration::ns(n_ - o.n_); }

 private:
  constexpr explicit Instant(std::int64_t n) : n_(n) {}
  std::int64_t n_ = 0;
};

} // namespace tern
