// A ring of pointers from one thread to one other. rte_ring serves many producers and reads the other side's
// index on every call; here each side keeps what it last saw of the other's index on its own line and looks
// again only when that runs out: an empty poll of a ring whose producer rests touches lines that stay in this core's
// cache, and a burst of 32 moves one index line and four slot lines.
#pragma once

#include <rte_mbuf.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>

#include "base/check.hpp"
#include "base/counters.hpp"
#include "base/prefetch.hpp"

namespace tern::io {

//  line 0-1: tail_ (written by the producer, read by the consumer)
//  line 2-3: head_ (written by the consumer, read by the producer)
//  line 4-5: the producer's own: what it wrote last to tail_, and saw last of head_
//  line 6-7: the consumer's own: the other way round
//  line 8:   slots_, mask_ (never written after start)
// Pairs of lines, because the hardware prefetcher fetches them in pairs.
class SpscRing {
 public:
  explicit SpscRing(std::uint32_t capacity)
      : slots_(std::make_unique<rte_mbuf*[]>(std::bit_ceil(capacity))), mask_(std::bit_ceil(capacity) - 1) {}
  SpscRing(const SpscRing&) = delete;
  SpscRing& operator=(const SpscRing&) = delete;
  ~SpscRing() {
    rte_mbuf* m[1];
    while (pop(m, 1) == 1) rte_pktmbuf_free(m[0]);
  }

  // Producer: how many of the n went in.
  std::uint16_t push(rte_mbuf* const* m, std::uint16_t n) {
    const std::uint32_t tail = producer_.own;
    std::uint32_t room = mask_ + 1 - (tail - producer_.seen);
    if (room < n) {
      producer_.seen = head_.load(std::memory_order_acquire);
      room = mask_ + 1 - (tail - producer_.seen);
      n = static_cast<std::uint16_t>(std::min<std::uint32_t>(n, room));
    }
    const std::uint32_t at = tail & mask_;
    const std::uint32_t first = std::min<std::uint32_t>(n, mask_ + 1 - at);
    std::copy_n(m, first, &slots_[at]);
    std::copy_n(m + first, n - first, &slots_[0]);
    producer_.own = tail + n;
    tail_.store(tail + n, std::memory_order_release);
    return n;
  }
  // Producer: asks for the lines that a push will write, which the consumer had last.
  void push_comes() {
    constexpr std::uint32_t a_line = cache_line / sizeof(rte_mbuf*);
    prefetch_to_write(&tail_);
    for (std::uint32_t ahead = 0; ahead <= 4 * a_line; ahead += a_line)
      prefetch_to_write(&slots_[(producer_.own + ahead) & mask_]);
  }

  // Consumer: how many came out.
  std::uint16_t pop(rte_mbuf** out, std::uint16_t n) {
    const std::uint32_t head = consumer_.own;
    std::uint32_t there = consumer_.seen - head;
    if (there < n) {
      prefetch_to_read(&slots_[head & mask_]); // while the index is on its way
      consumer_.seen = tail_.load(std::memory_order_acquire);
      there = consumer_.seen - head;
      if (there == 0) return 0;
      n = static_cast<std::uint16_t>(std::min<std::uint32_t>(n, there));
    }
    const std::uint32_t at = head & mask_;
    const std::uint32_t first = std::min<std::uint32_t>(n, mask_ + 1 - at);
    std::copy_n(&slots_[at], first, out);
    std::copy_n(&slots_[0], n - first, out + first);
    consumer_.own = head + n;
    head_.store(head + n, std::memory_order_release);
    return n;
  }

  [[nodiscard]] std::uint32_t capacity() const { return mask_ + 1; }
  // From any thread; true at some moment of the call.
  [[nodiscard]] std::uint32_t size() const {
    const std::uint32_t head = head_.load(std::memory_order_acquire);
    return std::min(tail_.load(std::memory_order_acquire) - head, mask_ + 1);
  }

 private:
  struct alignas(2 * cache_line) Side {
    std::uint32_t own = 0;
    std::uint32_t seen = 0;
  };
  alignas(2 * cache_line) std::atomic<std::uint32_t> tail_{0};
  alignas(2 * cache_line) std::atomic<std::uint32_t> head_{0};
  Side producer_;
  Side consumer_;
  alignas(2 * cache_line) std::unique_ptr<rte_mbuf*[]> slots_;
  std::uint32_t mask_;
};
static_assert(sizeof(SpscRing) == 10 * cache_line);

} // namespace tern::io
