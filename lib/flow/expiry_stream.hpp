// Records that all live equally long: TIME_WAIT. They expire in the order they came, so they need no timers:
// they are laid in chunks of 64 in the order of arrival, and a walk along a queue of chunks meets them oldest
// first, at the speed of memory read in sequence. Linked in random order, the same walk costs a cache miss
// for each record.
//
//   queue 0 (60 s)   head ─► [■ · ■ ■ … 64] ─► [■ ■ · ■ … 64] ─► [■ ■ ■ _ … ] ◄─ tail
//   queue 1 (2 s)    head ─► [■ ■ _ _ …   ] ◄─ tail      ■ live  · dead  _ to come
//
// One queue for each lifetime. A record that dies early leaves a hole; a chunk whose slots are all dead goes
// back to the free chunks at once. A record whose time starts again gets a new slot at the tail. Nothing ever
// cascades, and the oldest is always at the head, so eviction is exact.
//
// `next_deadline` looks at the heads alone, so its owner hangs it on the timer wheel as one timer, or asks at
// each tick. Records are named by 32 bits. Memory is fixed at the start: sizeof(R) and 2.375 bytes for each
// record.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "base/check.hpp"
#include "base/pages.hpp"
#include "base/prefetch.hpp"
#include "base/published.hpp"
#include "flow/ticks.hpp"

namespace tern {

// What `expire` and `evict_oldest` call: `f(index, record)`. Or, to take the records out of a table with its
// cache misses overlapped, `f.prefetch(lane, index, record)`, and 16 records later `f.expired(lane, index,
// record)`: in `lane` (0…15) it keeps what it computed.
template <class F, class R>
concept StagedExpiry = requires(F& f, unsigned lane, std::uint32_t index, R& r) {
  f.prefetch(lane, index, r);
  f.expired(lane, index, r);
};

template <class R>
class ExpiryStreams {
  static_assert(std::is_trivially_destructible_v<R>);

 public:
  static constexpr std::uint32_t none = 0xffff'ffff;
  static constexpr std::uint32_t chunk_slots = 64;
  static constexpr unsigned max_queues = 4;
  static constexpr unsigned ahead = 16;

 private:
  struct Chunk {
    std::uint64_t live = 0; // a bit a slot; the lowest is the oldest
    std::uint32_t next = none;
    std::uint32_t prev = none;
    Tick base = 0; // when it was opened
    std::uint8_t used = 0;
    std::uint8_t queue = 0;
    std::uint16_t after[chunk_slots]; // when each slot's time began: ms after `base`
  };
  static_assert(sizeof(Chunk) == 152);
  static constexpr Tick chunk_span = 0xffff;

 public:
  static constexpr double bytes_per_record = sizeof(R) + sizeof(Chunk) / double{chunk_slots};

  // More than the records fill, because some are partly empty: in each queue the one at its head and the one
  // at its tail; and a chunk that is not full takes no more after 65 s, when its times no longer fit 16 bits.
  [[nodiscard]] static constexpr std::uint32_t chunks_for(std::uint32_t records,
                                                          std::span<const Tick> lifetimes) {
    std::uint32_t n = records / chunk_slots + 1;
    for (const Tick t : lifetimes) n += 2 + t / chunk_span;
    return n;
  }
  [[nodiscard]] static constexpr std::size_t bytes_for(std::uint32_t records,
                                                       std::span<const Tick> lifetimes) {
    return std::size_t{chunks_for(records, lifetimes)} * (sizeof(R) * chunk_slots + sizeof(Chunk));
  }

  // `memory`: bytes_for(limit, lifetimes), zeroed, aligned to a cache line; not touched before it is
  // used.
  ExpiryStreams(void* memory, std::uint32_t limit, std::span<const Tick> lifetimes, Tick now)
      : records_(static_cast<R*>(memory)),
        count_(chunks_for(limit, lifetimes)),
        limit_(limit),
        queue_count_(static_cast<unsigned>(lifetimes.size())),
        now_(now) {
    TERN_CHECK(!lifetimes.empty() && lifetimes.size() <= max_queues);
    TERN_CHECK(limit <= 0xff00'0000); // so that indices fit
    static_assert(sizeof(R) * chunk_slots % alignof(Chunk) == 0);
    chunks_ = reinterpret_cast<Chunk*>(static_cast<std::byte*>(memory) + sizeof(R) * chunk_slots * count_);
    for (unsigned q = 0; q < queue_count_; ++q) queues_[q].lifetime = lifetimes[q];
  }
  ExpiryStreams(const ExpiryStreams&) = delete;
  ExpiryStreams& operator=(const ExpiryStreams&) = delete;

  // Has the pages of the first so many records made now. Before any record is there.
  void make_ready(std::uint32_t records) {
    TERN_DCHECK(fresh_ == 0);
    const std::size_t chunks = std::min<std::size_t>(records / chunk_slots, count_);
    make_pages(records_, chunks * chunk_slots * sizeof(R));
    make_pages(chunks_, chunks * sizeof(Chunk));
  }

  // A slot at the tail, for the caller to fill through `at`. `none`: at the limit, or the holes of records
  // that died early hold the memory: evict the oldest, and try again.
  [[nodiscard]] std::uint32_t append(Tick now, unsigned queue = 0) {
    return size_ < limit_ ? add(now, queue) : none;
  }

  [[nodiscard]] R& at(std::uint32_t index) const {
    TERN_DCHECK(live(index));
    return records_[index];
  }
  // Whatever lies there, live or not: for other cores' readers, who check what they read by other means.
  [[nodiscard]] const R& peek(std::uint32_t index) const { return records_[index]; }
  [[nodiscard]] bool live(std::uint32_t index) const {
    const std::uint32_t c = index / chunk_slots;
    return c < count_ && c < fresh_ && (chunks_[c].live >> index % chunk_slots & 1) != 0;
  }
  // When its time began, to the millisecond: a record needs no time of its own.
  [[nodiscard]] Tick since(std::uint32_t index) const {
    const Chunk& c = chunks_[index / chunk_slots];
    return c.base + c.after[index % chunk_slots];
  }
  // Brings its bookkeeping into the cache; `at` is the caller's to prefetch.
  void prefetch(std::uint32_t index) const { prefetch_to_write(&chunks_[index / chunk_slots]); }

  // Who came some `n` records behind this one in its queue: a guess, for who wants its line, that may be of a record
  // that is dead by now. At most a chunk.
  [[nodiscard]] const R& behind(std::uint32_t index, std::uint32_t n) const {
    TERN_DCHECK(n <= chunk_slots);
    const std::uint32_t slot = index % chunk_slots + n;
    if (slot < chunk_slots) return records_[index + n];
    const std::uint32_t next = chunks_[index / chunk_slots].next;
    return records_[(next == none ? 0 : next) * std::size_t{chunk_slots} + slot - chunk_slots];
  }

  // Takes a record out from anywhere: it was used again, or its time is cut short.
  void kill(std::uint32_t index) {
    TERN_DCHECK(live(index));
    const std::uint32_t c = index / chunk_slots;
    chunks_[c].live &= ~(std::uint64_t{1} << index % chunk_slots);
    --size_;
    if (chunks_[c].live == 0 && c != busy_) release_unless_tail(c);
  }

  // Its time starts again: copied to the tail of its queue, under a new index. `none`: no memory for that; it
  // stays where it is, and expires when it would have.
  [[nodiscard]] std::uint32_t restart(Tick now, std::uint32_t index) {
    TERN_DCHECK(live(index));
    const std::uint32_t moved = add(now, chunks_[index / chunk_slots].queue);
    if (moved == none) return none;
    static_assert(std::is_trivially_copyable_v<R> && sizeof(R) % 4 == 0 && alignof(R) % 4 == 0);
    publish_words(&records_[moved], &records_[index], sizeof(R)); // a reader may still hold that slot's name
    kill(index);
    return moved;
  }

  // Takes out up to `work` records whose time is over, oldest first, and returns how many. A record handed to
  // `f` is dead already; its bytes stay until `f` returns. `f` may append and kill others.
  template <class F>
  unsigned expire(Tick now, unsigned work, F&& f) {
    now_ = later_tick(now_, now);
    unsigned done = 0;
    for (unsigned i = 0; i < queue_count_ && done < work; ++i) {
      Queue& q = queues_[turn_++ % queue_count_]; // one that is far behind must not starve the others
      while (done < work) {
        const unsigned n = take(q, q.lifetime, std::min(work - done, chunk_slots), f);
        if (n == 0) break;
        done += n;
      }
    }
    return done;
  }

  // Takes out the `n` oldest, whether their time is over or not; returns how many there were.
  template <class F>
  unsigned evict_oldest(unsigned n, F&& f) {
    unsigned done = 0;
    while (done < n) {
      Queue* oldest = nullptr;
      Tick age = 0;
      Tick next_age = 0; // of the oldest in any other queue: this far one walk may go
      for (unsigned i = 0; i < queue_count_; ++i) {
        const std::optional<Tick> a = head_age(queues_[i]);
        if (!a) continue;
        if (oldest == nullptr || *a > age) {
          next_age = oldest == nullptr ? 0 : age;
          age = *a, oldest = &queues_[i];
        } else {
          next_age = std::max(next_age, *a);
        }
      }
      if (oldest == nullptr) break;
      done += take(*oldest, next_age, std::min(n - done, chunk_slots), f);
    }
    return done;
  }

  // When the first of all will be over; no value if there is none.
  [[nodiscard]] std::optional<Tick> next_deadline() const {
    std::optional<Tick> best;
    for (unsigned i = 0; i < queue_count_; ++i)
      if (const auto age = head_age(queues_[i])) {
        const Tick at = *age >= queues_[i].lifetime ? now_ : now_ - *age + queues_[i].lifetime;
        if (!best || ticks_between(*best, at) < 0) best = at;
      }
    return best;
  }

  // Calls `f(index, record)` for all that live, oldest first within each queue.
  template <class F>
  void for_each(F&& f) const {
    for (unsigned i = 0; i < queue_count_; ++i)
      for (std::uint32_t c = queues_[i].head; c != none; c = chunks_[c].next)
        for (std::uint64_t live = chunks_[c].live; live != 0; live &= live - 1) {
          const std::uint32_t index = c * chunk_slots + static_cast<std::uint32_t>(std::countr_zero(live));
          f(index, records_[index]);
        }
  }

  [[nodiscard]] std::uint32_t size() const { return size_; }
  [[nodiscard]] std::uint32_t limit() const { return limit_; }
  [[nodiscard]] std::uint32_t index_end() const { return count_ * chunk_slots; } // above every index

 private:
  struct Queue {
    std::uint32_t head = none; // every chunk but the tail has something alive
    std::uint32_t tail = none;
    Tick lifetime = 0;
  };

  std::uint32_t add(Tick now, unsigned queue) {
    TERN_DCHECK(queue < queue_count_);
    now_ = later_tick(now_, now);
    Queue& q = queues_[queue];
    if (q.tail == none || !has_room(chunks_[q.tail])) {
      if (!open(q, queue)) return none;
    }
    Chunk& c = chunks_[q.tail];
    const std::uint32_t slot = c.used++;
    c.after[slot] = static_cast<std::uint16_t>(now_ - c.base);
    c.live |= std::uint64_t{1} << slot;
    ++size_;
    const std::uint32_t index = q.tail * chunk_slots + slot;
    prefetch_to_write(&records_[index + 4]); // past the chunk, it may be another's: harmless
    return index;
  }
  [[nodiscard]] bool has_room(const Chunk& c) const {
    return c.used < chunk_slots && now_ - c.base <= chunk_span;
  }

  // A new tail. Where the old one is all dead it is used again from its start, unless its slots are being
  // expired.
  bool open(Queue& q, unsigned queue) {
    std::uint32_t c = q.tail;
    if (c != none && chunks_[c].live == 0 && c != busy_) {
      chunks_[c].used = 0;
      chunks_[c].base = now_;
      return true;
    }
    if (free_ != none) {
      c = free_;
      free_ = chunks_[c].next;
    } else if (fresh_ < count_) {
      c = fresh_++;
    } else {
      return false;
    }
    Chunk& chunk = *::new (static_cast<void*>(&chunks_[c])) Chunk;
    chunk.base = now_;
    chunk.queue = static_cast<std::uint8_t>(queue);
    chunk.prev = q.tail;
    (q.tail == none ? q.head : chunks_[q.tail].next) = c;
    q.tail = c;
    return true;
  }

  void release_unless_tail(std::uint32_t c) {
    Chunk& chunk = chunks_[c];
    Queue& q = queues_[chunk.queue];
    if (c == q.tail) return;
    (chunk.prev == none ? q.head : chunks_[chunk.prev].next) = chunk.next;
    chunks_[chunk.next].prev = chunk.prev;
    chunk.next = free_;
    free_ = c;
  }

  [[nodiscard]] std::optional<Tick> head_age(const Queue& q) const {
    if (q.head == none || chunks_[q.head].live == 0) return std::nullopt;
    const Chunk& c = chunks_[q.head];
    return now_ - (c.base + c.after[std::countr_zero(c.live)]);
  }

  // Up to `limit` records at least `age` old, from the chunk at the head.
  template <class F>
  unsigned take(Queue& q, Tick age, unsigned limit, F& f) {
    TERN_DCHECK(busy_ == none); // not from within `f`
    const std::uint32_t head = q.head;
    if (head == none) return 0;
    Chunk& c = chunks_[head];
    R* const records = records_ + std::size_t{head} * chunk_slots;
    const std::uint32_t first = head * chunk_slots;
    std::array<std::uint8_t, chunk_slots> slots{};
    unsigned n = 0;
    for (std::uint64_t left = c.live; n < limit && left != 0; left &= left - 1) {
      const auto slot = static_cast<std::uint8_t>(std::countr_zero(left));
      if (now_ - (c.base + c.after[slot]) < age) break;
      slots[n++] = slot;
    }
    const auto prefetch = [&]([[maybe_unused]] unsigned i) {
      if constexpr (StagedExpiry<F, R>)
        if (i < n) f.prefetch(i % ahead, first + slots[i], records[slots[i]]);
    };
    for (unsigned i = 0; i < ahead; ++i) prefetch(i);
    busy_ = head;
    unsigned done = 0;
    for (unsigned i = 0; i < n; ++i) {
      if (const std::uint64_t bit = std::uint64_t{1} << slots[i]; (c.live & bit) != 0) { // else `f` killed it
        c.live &= ~bit;
        --size_;
        ++done;
        if constexpr (StagedExpiry<F, R>)
          f.expired(i % ahead, first + slots[i], records[slots[i]]);
        else
          f(first + slots[i], records[slots[i]]);
      }
      prefetch(i + ahead);
    }
    busy_ = none;
    if (c.live == 0) release_unless_tail(head);
    return done;
  }

  R* records_;
  Chunk* chunks_ = nullptr;
  std::uint32_t count_;       // chunks
  std::uint32_t fresh_ = 0;   // chunks never used yet begin here
  std::uint32_t free_ = none; // the last one freed comes first: it may still be in cache
  std::uint32_t busy_ = none; // the chunk whose records are being handed out: neither freed nor started again
  std::uint32_t size_ = 0;
  std::uint32_t limit_;
  unsigned queue_count_;
  unsigned turn_ = 0;
  Tick now_;
  std::array<Queue, max_queues> queues_{};
};

} // namespace tern
