// A fixed pool of T over memory that somebody else reserved: last in, first out, so that what is in use stays
// in cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

#include "base/asan.hpp"
#include "base/check.hpp"

namespace tern {

// Records never seen yet are handed out in address order; freed ones come back first. `index_of`/`at` name a
// record by 32 bits.
template <class T>
class Pool {
 public:
  Pool() = default;
  Pool(void* memory, std::uint32_t capacity) : slots_(static_cast<Slot*>(memory)), capacity_(capacity) {
    poison(memory, bytes_for(capacity));
  }
  Pool(Pool&& o) noexcept { swap(o); }
  Pool& operator=(Pool&& o) noexcept { return swap(o), *this; }
  ~Pool() {
    if (slots_ != nullptr) unpoison(slots_, bytes_for(capacity_)); // the memory is its owner's again
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  [[nodiscard]] static constexpr std::size_t bytes_for(std::uint32_t capacity) {
    return sizeof(Slot) * capacity;
  }
  // Of the memory: a free record holds a pointer, which may want more than T does.
  static constexpr std::size_t alignment = alignof(T) > alignof(void*) ? alignof(T) : alignof(void*);

  // Null when all are taken.
  template <class... A>
  [[nodiscard]] T* take(A&&... args) {
    Slot* s = free_;
    if (s != nullptr) {
      unpoison(s, sizeof *s);
      free_ = s->next;
    } else if (fresh_ < capacity_) {
      s = slots_ + fresh_++;
      unpoison(s, sizeof *s);
    } else {
      return nullptr;
    }
    ++used_;
    return ::new (static_cast<void*>(s)) T(std::forward<A>(args)...);
  }
  void give_back(T* t) {
    std::destroy_at(t);
    Slot* s = reinterpret_cast<Slot*>(t);
    TERN_DCHECK(s >= slots_ && s < slots_ + capacity_ && used_ > 0);
    s->next = free_;
    free_ = s;
    --used_;
    poison(s, sizeof *s);
  }

  [[nodiscard]] std::uint32_t index_of(const T* t) const {
    return static_cast<std::uint32_t>(reinterpret_cast<const Slot*>(t) - slots_);
  }
  [[nodiscard]] T* at(std::uint32_t index) const { return reinterpret_cast<T*>(slots_ + index); }
  [[nodiscard]] std::uint32_t capacity() const { return capacity_; }
  [[nodiscard]] std::uint32_t used() const { return used_; }
  [[nodiscard]] std::uint32_t left() const { return capacity_ - used_; }

 private:
  union Slot {
    Slot* next;
    alignas(T) std::byte bytes[sizeof(T)];
  };
  void swap(Pool& o) {
    std::swap(slots_, o.slots_), std::swap(free_, o.free_), std::swap(capacity_, o.capacity_);
    std::swap(fresh_, o.fresh_), std::swap(used_, o.used_);
  }

  Slot* slots_ = nullptr;
  Slot* free_ = nullptr;
  std::uint32_t capacity_ = 0;
  std::uint32_t fresh_ = 0;
  std::uint32_t used_ = 0;
};

} // namespace tern
