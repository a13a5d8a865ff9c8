// Fields that one thread writes and others may look at. Stores release, loads acquire: on x86 both are plain
// moves, so the owner, who reads as he likes, pays nothing.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tern {

template <class T>
inline void publish(T& field, T value) {
  std::atomic_ref<T>(field).store(value, std::memory_order_release);
}
// (atomic_ref<const T> comes with C++26; nothing is written here.) Of a field in memory that may be free just
// now, and poisoned: who reads finds that out afterwards.
template <class T>
[[nodiscard, gnu::no_sanitize_address]] inline T read_published(const T& field) {
  T value; // the form that takes enumerations too
  __atomic_load(&field, &value, __ATOMIC_ACQUIRE);
  return value;
}

// For what is no word itself: by words of 32 bits, aligned as such. Each word is whole, all of them together
// need not be: something else must tell.
namespace detail {
using Word [[gnu::may_alias]] = std::uint32_t;
}
[[gnu::always_inline]] inline void publish_words(void* to, const void* from, std::size_t bytes) {
#pragma GCC unroll 16
  for (std::size_t i = 0; i < bytes; i += sizeof(detail::Word)) {
    std::uint32_t w;
    std::memcpy(&w, static_cast<const std::byte*>(from) + i, sizeof w);
    __atomic_store_n(reinterpret_cast<detail::Word*>(static_cast<std::byte*>(to) + i), w, __ATOMIC_RELEASE);
  }
}
[[gnu::no_sanitize_address]] inline void read_published_words(const void* from, void* to, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; i += sizeof(detail::Word)) {
    const std::uint32_t w = __atomic_load_n(
        reinterpret_cast<const detail::Word*>(static_cast<const std::byte*>(from) + i), __ATOMIC_ACQUIRE);
    std::memcpy(static_cast<std::byte*>(to) + i, &w, sizeof w);
  }
}

// For a constructor in memory that others look at: it leaves the field as it is, and its owner publishes what comes next.
struct Untouched {};

// A field all of whose stores publish, but for the first in memory that nobody knows yet.
template <class T>
class Published {
 public:
  constexpr Published() : v_{} {}
  constexpr Published(T v) : v_(v) {} // NOLINT: it is one
  explicit Published(Untouched) {}    // NOLINT: there is a value
  constexpr Published(const Published& o) = default;
  Published& operator=(const Published& o) { return *this = o.v_; }
  Published& operator=(T v) {
    publish(v_, v);
    return *this;
  }
  constexpr operator T() const { return v_; } // NOLINT: as its owner
  [[nodiscard]] T observe() const { return read_published(v_); }

 private:
  T v_;
};

} // namespace tern
