// A pointer of 32 bits into the process's one arena (see arena.hpp): granules of 8 bytes, 32 GiB of reach.
#pragma once

#include <boost/intrusive/link_mode.hpp>
#include <boost/intrusive/list.hpp>
#include <boost/intrusive/list_hook.hpp>
#include <boost/intrusive/options.hpp>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/check.hpp"

namespace tern {

inline constexpr std::size_t compact_granule = 8;
inline constexpr std::uint64_t compact_reach = (std::uint64_t{1} << 32) * compact_granule;

// Where the arena begins. Written once, by process_arena(), before any CompactPtr exists; a plain global (not
// thread-local), because every Core of the process, on whatever thread it runs, shares the one range.
inline constinit std::byte* arena_base = nullptr;

// Fancy pointer: what Boost.Intrusive asks of a `void_pointer<>`. Zero is null: the arena never gives out its
// first page. `*` and `->` don't test for null (one lea: base + offset * 8); `get()` does.
template <class T>
class CompactPtr {
 public:
  using element_type = T;
  using difference_type = std::ptrdiff_t;
  using reference = std::add_lvalue_reference_t<T>;
  template <class U>
  using rebind = CompactPtr<U>;

  constexpr CompactPtr() = default;
  constexpr CompactPtr(std::nullptr_t) {} // NOLINT: as a raw pointer
  explicit CompactPtr(T* p) : offset_(p == nullptr ? 0 : to_offset(p)) {}
  template <class U>
  requires std::is_convertible_v<U*, T*> CompactPtr(CompactPtr<U> o)
      : CompactPtr(cast(o, [](U* p) { return static_cast<T*>(p); })) {} // NOLINT

  [[nodiscard]] static constexpr CompactPtr from_raw(std::uint32_t offset) {
    CompactPtr p;
    p.offset_ = offset;
    return p;
  }
  [[nodiscard]] constexpr std::uint32_t raw() const { return offset_; }

  [[nodiscard]] T* get() const { return offset_ == 0 ? nullptr : address(); }
  [[nodiscard]] T* operator->() const { return address(); }
  [[nodiscard]] reference operator*() const requires(!std::is_void_v<T>) { return *address(); }
  [[nodiscard]] constexpr explicit operator bool() const { return offset_ != 0; }

  template <class U = T>
  requires(!std::is_void_v<U>) [[nodiscard]] static CompactPtr pointer_to(U& r) {
    return from_raw(to_offset(&r));
  }
  template <class U>
  [[nodiscard]] static CompactPtr static_cast_from(CompactPtr<U> o) {
    return cast(o, [](U* p) { return static_cast<T*>(p); });
  }
  template <class U>
  [[nodiscard]] static CompactPtr const_cast_from(CompactPtr<U> o) {
    return from_raw(o.raw());
  }

  friend constexpr bool operator==(CompactPtr a, CompactPtr b) { return a.offset_ == b.offset_; }
  friend constexpr bool operator<(CompactPtr a, CompactPtr b) { return a.offset_ < b.offset_; }

 private:
  [[nodiscard]] T* address() const {
    return static_cast<T*>(static_cast<void*>(arena_base + std::size_t{offset_} * compact_granule));
  }
  [[nodiscard]] static std::uint32_t to_offset(const volatile void* p) {
    const auto distance = reinterpret_cast<std::uintptr_t>(p) - reinterpret_cast<std::uintptr_t>(arena_base);
    TERN_DCHECK(distance != 0 && distance < compact_reach && distance % compact_granule == 0);
    return static_cast<std::uint32_t>(distance / compact_granule);
  }
  // Between types whose bases may lie at different places; between those that don't, it folds to a copy of
  // the offset.
  template <class U, class F>
  [[nodiscard]] static CompactPtr cast(CompactPtr<U> o, F raw_cast) {
    return o ? CompactPtr{raw_cast(o.operator->())} : CompactPtr{};
  }

  std::uint32_t offset_ = 0;
};
static_assert(sizeof(CompactPtr<int>) == 4 && std::is_trivially_copyable_v<CompactPtr<int>>);

// A list hook of 8 bytes. Its own alignment of 8 holds the granule wherever in a record it stands.
// `normal_link`: a hook that is not linked holds whatever it held, so its owner knows by other means whether
// it is.
struct alignas(compact_granule) CompactHook
    : boost::intrusive::list_member_hook<boost::intrusive::void_pointer<CompactPtr<void>>,
                                         boost::intrusive::link_mode<boost::intrusive::normal_link>> {};
static_assert(sizeof(CompactHook) == 8 && alignof(CompactHook) == 8);

// A circular list through `Member`. The list object is its own sentinel, so it too must lie in the arena.
template <class T, CompactHook T::*Member>
struct alignas(compact_granule) CompactList
    : boost::intrusive::list<T, boost::intrusive::member_hook<T, CompactHook, Member>,
                             boost::intrusive::constant_time_size<false>> {};

} // namespace tern
