// Work for a core from any other thread: a bounded queue of small function objects that the core runs on its
// own thread, between two turns of its loop.
//
//   worker.post([](CoreHandle& core) { core.shard().listeners.close_all(); })
//
// Many producers, one consumer (D. Vyukov's bounded queue): a producer claims a slot by moving `tail_`, fills
// it, and publishes it by the slot's serial number. Nobody waits: a full mailbox refuses.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "base/check.hpp"
#include "base/counters.hpp"

namespace tern {

class CoreHandle;

// A move-only callable of at most 48 bytes, kept in place: no allocation. It is called with the core, or
// destroyed uncalled if the core ends first.
class Message {
 public:
  static constexpr std::size_t room = 48;

  Message() = default;
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, Message> && std::is_invocable_v<F&, CoreHandle&>)
      Message(F&& f) { // NOLINT: any such callable is one
    using Body = std::remove_cvref_t<F>;
    static_assert(sizeof(Body) <= room, "a message holds 48 bytes: capture pointers");
    static_assert(alignof(Body) <= alignof(std::max_align_t) && std::is_nothrow_move_constructible_v<Body>);
    new (body_) Body(std::forward<F>(f));
    kind_ = &kind_of<Body>;
  }
  Message(Message&& o) noexcept { take(o); }
  Message& operator=(Message&& o) noexcept {
    if (this == &o) return *this;
    reset();
    take(o);
    return *this;
  }
  ~Message() { reset(); }

  void operator()(CoreHandle& core) { kind_->call(body_, core); }
  [[nodiscard]] explicit operator bool() const { return kind_ != nullptr; }

 private:
  struct Kind {
    void (*call)(void*, CoreHandle&);
    void (*move)(void* from, void* to); // and destroys what it moved from
    void (*destroy)(void*);
  };
  template <class Body>
  static constexpr Kind kind_of{[](void* b, CoreHandle& core) { (*static_cast<Body*>(b))(core); },
                                [](void* from, void* to) {
                                  new (to) Body(std::move(*static_cast<Body*>(from)));
                                  static_cast<Body*>(from)->~Body();
                                },
                                [](void* b) { static_cast<Body*>(b)->~Body(); }};
  void take(Message& o) {
    kind_ = std::exchange(o.kind_, nullptr);
    if (kind_ != nullptr) kind_->move(o.body_, body_);
  }
  void reset() {
    if (kind_ != nullptr) std::exchange(kind_, nullptr)->destroy(body_);
  }

  alignas(std::max_align_t) std::byte body_[room];
  const Kind* kind_ = nullptr;
};

//  line 0-1: tail_ (producers)    line 2: head_ (the consumer's own)    then a slot a line and a half
class Mailbox {
 public:
  explicit Mailbox(std::uint32_t capacity = 256)
      : slots_(std::make_unique<Slot[]>(std::bit_ceil(capacity))), mask_(std::bit_ceil(capacity) - 1) {
    for (std::uint32_t i = 0; i <= mask_; ++i) slots_[i].serial.store(i, std::memory_order_relaxed);
  }
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // Any thread. False, and the message is the caller's still, if the mailbox is full or closed.
  [[nodiscard]] bool post(Message& m) {
    std::uint64_t at = tail_.load(std::memory_order_relaxed);
    for (;;) {
      if ((at & closed_bit) != 0) return false;
      Slot& slot = slots_[at & mask_];
      const std::uint64_t serial = slot.serial.load(std::memory_order_acquire);
      if (serial < at) return false; // not emptied since the last time round
      if (serial > at) {
        at = tail_.load(std::memory_order_relaxed);
        continue;
      }
      if (tail_.compare_exchange_weak(at, at + 1, std::memory_order_relaxed)) {
        slot.message = std::move(m);
        slot.serial.store(at + 1, std::memory_order_release);
        return true;
      }
    }
  }
  [[nodiscard]] bool post(Message&& m) { return post(m); }

  // The consumer: runs what was there at the call (what those post waits for the next one); how many.
  std::uint32_t run(CoreHandle& core) {
    const std::uint64_t end = tail_.load(std::memory_order_relaxed) & ~closed_bit;
    if (head_ == end) [[likely]]
      return 0;
    std::uint32_t n = 0;
    for (; head_ != end; ++n) {
      Slot& slot = slots_[head_ & mask_];
      if (slot.serial.load(std::memory_order_acquire) != head_ + 1) break; // claimed, not filled yet
      Message m = std::move(slot.message);
      slot.serial.store(head_ + mask_ + 1, std::memory_order_release);
      ++head_;
      m(core);
    }
    return n;
  }
  [[nodiscard]] bool empty() const { return (tail_.load(std::memory_order_relaxed) & ~closed_bit) == head_; }

  // The consumer, at its end: nothing more is taken; what had been is destroyed uncalled.
  void close() {
    const std::uint64_t end = tail_.fetch_or(closed_bit, std::memory_order_acq_rel) & ~closed_bit;
    for (; head_ != end; ++head_) {
      Slot& slot = slots_[head_ & mask_];
      while (slot.serial.load(std::memory_order_acquire) != head_ + 1) { // its producer is filling it
      }
      slot.message = Message{};
    }
  }

 private:
  static constexpr std::uint64_t closed_bit = 1ULL << 63;
  struct Slot {
    std::atomic<std::uint64_t> serial{0};
    Message message;
  };
  alignas(2 * cache_line) std::atomic<std::uint64_t> tail_{0};
  alignas(2 * cache_line) std::uint64_t head_ = 0;
  std::unique_ptr<Slot[]> slots_;
  std::uint32_t mask_;
};

} // namespace tern
