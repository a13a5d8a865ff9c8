// A packet: the move-only owner of an rte_mbuf chain. The one DPDK type that the layers above see.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include "base/check.hpp"
#include "base/pool.hpp"
#include "base/prefetch.hpp"

namespace tern {

// Under AddressSanitizer the head and tail room of a packet in hand are poisoned, so a write past either end
// is found where it happens; `prepend` and `append` open what they hand out. Away from a Packet (in a ring,
// in a PMD) the buffer is open.
namespace detail {
#ifdef TERN_ASAN
void guard(rte_mbuf* m);
void unguard(rte_mbuf* m);
#else
inline void guard(rte_mbuf*) {}
inline void unguard(rte_mbuf*) {}
#endif
} // namespace detail

class PacketPool;

// Owns one reference to a chain of segments; empty after a move. Accessors that give bytes of `data()` speak
// of the first segment only; `length()` is of the whole chain. What the chain says of itself (pkt_len,
// nb_segs) is kept true throughout.
class Packet {
 public:
  Packet() = default;
  explicit Packet(rte_mbuf* m) : m_(m) { detail::guard(m_); }
  Packet(Packet&& o) noexcept : m_(std::exchange(o.m_, nullptr)) {}
  Packet& operator=(Packet&& o) noexcept {
    if (this != &o) {
      reset();
      m_ = std::exchange(o.m_, nullptr);
    }
    return *this;
  }
  Packet(const Packet&) = delete;
  Packet& operator=(const Packet&) = delete;
  ~Packet() { reset(); }

  [[nodiscard]] explicit operator bool() const { return m_ != nullptr; }
  [[nodiscard]] rte_mbuf* mbuf() const { return m_; }
  [[nodiscard]] rte_mbuf* release() {
    detail::unguard(m_);
    return std::exchange(m_, nullptr);
  }
  void reset() {
    if (m_ != nullptr) give_back(release());
  }

  [[nodiscard]] std::uint32_t length() const { return m_->pkt_len; }
  [[nodiscard]] std::uint16_t segments() const { return m_->nb_segs; }
  // Asked of the count: `next` lies on the mbuf's second line.
  [[nodiscard]] bool contiguous() const { return m_->nb_segs == 1; }
  // The first segment's bytes.
  [[nodiscard]] std::byte* data() { return rte_pktmbuf_mtod(m_, std::byte*); }
  [[nodiscard]] const std::byte* data() const { return rte_pktmbuf_mtod(m_, const std::byte*); }
  [[nodiscard]] std::uint16_t data_length() const { return m_->data_len; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return {data(), m_->data_len}; }
  [[nodiscard]] std::uint16_t headroom() const { return rte_pktmbuf_headroom(m_); }
  [[nodiscard]] std::uint16_t tailroom() const { return rte_pktmbuf_tailroom(rte_pktmbuf_lastseg(m_)); }
  // True if nobody else holds the first segment's bytes: only then may they be written (see lib/README.md,
  // shared mbufs).
  [[nodiscard]] bool writable() const { return writable(m_); }

  // Room in front of the first byte, or behind the last: where the new bytes lie, or null, and nothing
  // changed, when there is not so much room or when it is shared.
  [[nodiscard]] std::byte* prepend(std::uint16_t n) {
    // The head room, with a reference count that is not 1 above it: one number, one question.
    std::uint32_t room;
    std::memcpy(&room, reinterpret_cast<const std::byte*>(m_) + offsetof(rte_mbuf, data_off), sizeof room);
    room -= 1U << 16;
    if (!RTE_MBUF_DIRECT(m_) || room - n > 0xffffU - n) [[unlikely]]
      return nullptr;
    m_->data_off = static_cast<std::uint16_t>(room - n);
    m_->data_len = static_cast<std::uint16_t>(m_->data_len + n);
    m_->pkt_len += n;
    detail::guard(m_);
    return data();
  }
  [[nodiscard]] std::byte* append(std::uint16_t n) {
    rte_mbuf* last = rte_pktmbuf_lastseg(m_);
    if (!writable(last) || n > rte_pktmbuf_tailroom(last)) return nullptr;
    std::byte* at = rte_pktmbuf_mtod_offset(last, std::byte*, last->data_len);
    last->data_len = static_cast<std::uint16_t>(last->data_len + n);
    m_->pkt_len += n;
    detail::guard(m_);
    return at;
  }
  // Drops bytes from an end; segments that become empty are freed (the first one stays if nothing else is
  // left).
  void trim_front(std::uint32_t n) {
    if (n < m_->data_len) [[likely]] {
      m_->data_off = static_cast<std::uint16_t>(m_->data_off + n);
      m_->data_len = static_cast<std::uint16_t>(m_->data_len - n);
      m_->pkt_len -= n;
      detail::guard(m_);
    } else {
      trim_front_slow(n);
    }
  }
  void trim_back(std::uint32_t n);

  // Another packet behind this one, by pointer. False, and `tail` untouched, past the 65,535 segments a chain
  // can count.
  [[nodiscard]] bool chain(Packet&& tail);
  // A fresh first segment with `room` bytes of headroom and no data: for headers in front of bytes that are
  // shared.
  [[nodiscard]] bool prepend_segment(const PacketPool& pool);
  // Appends a copy of `bytes`, taking segments from `pool` as needed. False, and nothing changed, when the
  // pool is out.
  [[nodiscard]] bool append_copy(std::span<const std::byte> bytes, const PacketPool& pool);
  // Copies a small `tail` into this one's tail room, and frees it. False, and both untouched, when it does
  // not fit or may not be written.
  [[nodiscard]] bool absorb(Packet& tail);
  // Makes the first n bytes lie in one piece. False, and nothing changed, when the packet is shorter or
  // `pool` is out.
  [[nodiscard]] bool pull(std::uint16_t n, const PacketPool& pool);

  // Cuts: this keeps the first `at` bytes, the rest is returned. A cut inside a segment takes one indirect
  // mbuf from `pool`, and leaves that segment shared. Empty, and nothing changed, when the pool is out. 0 <
  // at < length().
  [[nodiscard]] Packet split(std::uint32_t at, const PacketPool& pool);
  // A second holder of `n` bytes from `at` on, copied nowhere: a chain of indirect mbufs from `pool`. Empty
  // when it is out.
  [[nodiscard]] Packet share(std::uint32_t at, std::uint32_t n, const PacketPool& pool) const;
  // A second reference to this very chain. Neither holder may then change it in any way, its lengths
  // included.
  [[nodiscard]] Packet same() const;
  // A deep copy into as few segments of `pool` as hold it. Empty when the pool is out.
  [[nodiscard]] Packet copy(std::uint32_t at, std::uint32_t n, const PacketPool& pool) const;
  // Copies bytes from `at` on into `out`; how many there were.
  std::uint32_t copy_out(std::uint32_t at, std::span<std::byte> out) const;

  // What this packet pins: whole mbufs and whole buffers, not the bytes it shows. Queues are charged this.
  [[nodiscard]] std::uint32_t truesize() const;
  // Worth copying together: it pins more than four times what it shows.
  [[nodiscard]] bool sparse() const { return truesize() > 4 * (length() + 256U); }

  // Writable one segment at a time.
  [[nodiscard]] static bool writable(const rte_mbuf* m) {
    return RTE_MBUF_DIRECT(m) && rte_mbuf_refcnt_read(m) == 1;
  }

 private:
  // One segment, its own buffer, held by nobody else: back to the pool, without a look at the second line.
  // Not inlined: most calls of reset() find nothing to free, and it stands in every destructor.
  [[gnu::noinline]] static void give_back(rte_mbuf* m) {
    if (m->nb_segs == 1 && writable(m)) [[likely]] {
      TERN_DCHECK(m->next == nullptr);
      rte_mbuf_raw_free(m);
    } else {
      rte_pktmbuf_free(m);
    }
  }
  void trim_front_slow(std::uint32_t n);

  rte_mbuf* m_ = nullptr;
};
static_assert(sizeof(Packet) == sizeof(void*));

// Bytes that live elsewhere (a file's page, an application's buffer) carried by packets without a copy.
// `released` is called when the last packet that carries them is gone, on whichever thread that happens.
struct ExternalBytes {
  void* bytes = nullptr;
  rte_iova_t iova = RTE_BAD_IOVA; // needed by a port with real DMA only
  std::uint16_t length = 0;
  rte_mbuf_ext_shared_info* info = nullptr; // outlives the packets; see make_external_info
};
void make_external_info(rte_mbuf_ext_shared_info& info, void (*released)(void* bytes, void* user),
                        void* user);

// Packets that one core has just done with and will write anew before its turn ends: the answer goes out in
// the buffers that the question came in. Their lines are asked for to be written, as somebody else's core
// still holds them; by the time they are, they are here. Emptied at the end of each turn: whoever counts a
// pool's packets finds them there.
class PacketStash {
 public:
  PacketStash() = default;
  PacketStash(const PacketStash&) = delete;
  PacketStash& operator=(const PacketStash&) = delete;
  ~PacketStash() { flush(); }

  // Frees a packet of any kind; keeps it if it is one segment of `pool`, its own buffer, held by nobody else.
  void give(Packet&& p, rte_mempool* pool) {
    rte_mbuf* const m = p.mbuf();
    if (m == nullptr) return;
    if (first_ == count_) first_ = count_ = 0;
    if (m->nb_segs != 1 || !Packet::writable(m) || m->pool != pool || count_ == most) [[unlikely]]
      return p.reset();
    TERN_DCHECK(m->next == nullptr);
    (void)p.release();
    to_be_written(m, static_cast<const std::byte*>(m->buf_addr) + RTE_PKTMBUF_HEADROOM);
    packets_[count_++] = m;
  }
  [[nodiscard]] rte_mbuf* take() { return first_ == count_ ? nullptr : packets_[first_++]; }
  void flush() {
    if (first_ != count_)
      rte_mempool_put_bulk(packets_[first_]->pool, reinterpret_cast<void**>(packets_.data() + first_),
                           count_ - first_);
    first_ = count_ = 0;
  }
  // The lines of a packet that its next user writes: its mbuf's first, and where headers and segment go.
  static void to_be_written(const void* mbuf, const std::byte* data) {
    prefetch_to_write(mbuf);
    prefetch_to_write(data - 1);
    prefetch_to_write(data);
  }

 private:
  static constexpr unsigned most = 64;
  unsigned first_ = 0;
  unsigned count_ = 0;
  std::array<rte_mbuf*, most> packets_;
};

// Where packets come from: a thin view of an rte_mempool that somebody above made, and of what its core has
// just done with.
class PacketPool {
 public:
  PacketPool() = default;
  explicit PacketPool(rte_mempool* pool, PacketStash* stash = nullptr)
      : pool_(pool),
        stash_(stash),
        buffer_offset_(pool == nullptr
                           ? 0U
                           : static_cast<std::uint32_t>(sizeof(rte_mbuf)) + rte_pktmbuf_priv_size(pool)) {}
  // Empty when the pool is. Writes the first line of the mbuf only: a free one's `next` is null already, and
  // tx_offload means nothing until somebody sets the flags that speak of it. Between two cores a line not
  // written is a line not moved.
  [[nodiscard]] Packet alloc() const { return alloc(0); }
  // With `bytes` of data already in it, for the caller to write: they must fit room(), but for the first
  // `in_front` of them, which lie in the head room.
  [[nodiscard, gnu::always_inline]] Packet alloc(std::uint32_t bytes, std::uint16_t in_front = 0) const {
    TERN_DCHECK(bytes - in_front <= room() && in_front <= RTE_PKTMBUF_HEADROOM);
    rte_mbuf* m = stash_ == nullptr ? nullptr : stash_->take();
    if (m == nullptr) m = fetch();
    if (m == nullptr) [[unlikely]]
      return {};
    renew(m, bytes, in_front);
    return Packet{m};
  }
  // A packet over bytes that live elsewhere: direct, but never writable. Empty when the pool is.
  [[nodiscard]] Packet alloc_external(const ExternalBytes& bytes) const;
  [[nodiscard]] rte_mempool* raw() const { return pool_; }
  // Bytes of data that one fresh packet takes behind its headroom.
  [[nodiscard]] std::uint16_t room() const {
    return static_cast<std::uint16_t>(rte_pktmbuf_data_room_size(pool_) - RTE_PKTMBUF_HEADROOM);
  }
  [[nodiscard]] unsigned free() const {
    return rte_mempool_avail_count(pool_);
  } // walks every core's cache: not for the packet path
  [[nodiscard]] unsigned used() const { return rte_mempool_in_use_count(pool_); }

 private:
  // What the next but a few will be given is asked of memory now: the core that had it last was another, or it
  // was long ago.
  [[nodiscard, gnu::noinline]] rte_mbuf* fetch() const {
    constexpr unsigned ahead = 4;
    rte_mbuf* const m = rte_mbuf_raw_alloc(pool_);
    const rte_mempool_cache* cache = rte_mempool_default_cache(pool_, rte_lcore_id());
    if (cache != nullptr && cache->len > ahead) {
      const auto* later = static_cast<const std::byte*>(cache->objs[cache->len - 1 - ahead]);
      PacketStash::to_be_written(later, later + buffer_offset_ + RTE_PKTMBUF_HEADROOM);
    }
    return m;
  }
  // Fields that lie side by side, in one word each: as many stores less, and who reads two of them together
  // (Packet::prepend) does not wait for the store buffer to join them.
  // Where the buffer is stands there already: written again, whoever reads it next does not wait for a line
  // that is on its way.
  void renew(rte_mbuf* m, std::uint32_t bytes, std::uint16_t in_front) const {
    static_assert(offsetof(rte_mbuf, refcnt) == offsetof(rte_mbuf, data_off) + 2 &&
                  offsetof(rte_mbuf, nb_segs) == offsetof(rte_mbuf, data_off) + 4 &&
                  offsetof(rte_mbuf, port) == offsetof(rte_mbuf, data_off) + 6);
    static_assert(offsetof(rte_mbuf, pkt_len) == offsetof(rte_mbuf, packet_type) + 4);
    static_assert(offsetof(rte_mbuf, vlan_tci) == offsetof(rte_mbuf, data_len) + 2);
    const auto put = [m](std::size_t offset, auto word) {
      std::memcpy(reinterpret_cast<std::byte*>(m) + offset, &word, sizeof word);
    };
    m->buf_addr = reinterpret_cast<std::byte*>(m) + buffer_offset_;
    put(offsetof(rte_mbuf, data_off), std::uint64_t{RTE_PKTMBUF_HEADROOM} - in_front + (1ULL << 16) +
                                          (1ULL << 32) + (std::uint64_t{RTE_MBUF_PORT_INVALID} << 48));
    put(offsetof(rte_mbuf, ol_flags), std::uint64_t{0});
    put(offsetof(rte_mbuf, packet_type), std::uint64_t{bytes} << 32);
    put(offsetof(rte_mbuf, data_len), bytes);
  }

  rte_mempool* pool_ = nullptr;
  PacketStash* stash_ = nullptr;
  std::uint32_t buffer_offset_ = 0; // of a packet's own buffer, from its mbuf
};

} // namespace tern
