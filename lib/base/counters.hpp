// Counters: one set per core, written by its owner alone, read by anyone.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace tern {

inline constexpr std::size_t cache_line = 64;

// `E` is an enum class whose last enumerator is `count_`. One writer: increments are plain loads and stores,
// so they cost what a plain increment costs; any thread may read a value that is whole, if not the newest.
template <class E>
class alignas(cache_line) Counters {
 public:
  static constexpr std::size_t size = static_cast<std::size_t>(E::count_);

  void add(E which, std::uint64_t n = 1) {
    auto& c = values_[static_cast<std::size_t>(which)];
    c.store(c.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t get(E which) const {
    return values_[static_cast<std::size_t>(which)].load(std::memory_order_relaxed);
  }

 private:
  std::array<std::atomic<std::uint64_t>, size> values_{};
};

} // namespace tern
