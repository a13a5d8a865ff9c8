// A packet: the move-only owner of an rte_mbuf chain. The one DPDK type that the layers above see.
#pragma once

#include <rte_mbuf.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include "base/check.hpp"

namespace tern {

// Owns one reference to a chain of segments; empty after a move. Accessors that give bytes of `data()` speak of the first
// segment only; `length()` is of the whole chain.
class Packet {
 public:
  Packet() = default;
  explicit Packet(rte_mbuf* m) : m_(m) {}
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
  [[nodiscard]] rte_mbuf* release() { return std::exchange(m_, nullptr); }
  void reset() {
    if (m_ != nullptr) rte_pktmbuf_free(std::exchange(m_, nullptr));
  }

  [[nodiscard]] std::uint32_t length() const { return m_->pkt_len; }
  [[nodiscard]] bool contiguous() const { return m_->next == nullptr; }
  // The first segment's bytes.
  [[nodiscard]] std::byte* data() { return rte_pktmbuf_mtod(m_, std::byte*); }
  [[nodiscard]] const std::byte* data() const { return rte_pktmbuf_mtod(m_, const std::byte*); }
  [[nodiscard]] std::uint16_t data_length() const { return m_->data_len; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return {data(), m_->data_len}; }
  [[nodiscard]] std::uint16_t headroom() const { return rte_pktmbuf_headroom(m_); }
  // True if nobody else holds these bytes: only then may they be written (see lib/README.md, shared mbufs).
  [[nodiscard]] bool writable() const {
    return RTE_MBUF_DIRECT(m_) && rte_mbuf_refcnt_read(m_) == 1;
  }

 private:
  rte_mbuf* m_ = nullptr;
};
static_assert(sizeof(Packet) == sizeof(void*));

// Where packets come from: a thin view of an rte_mempool that somebody above made.
class PacketPool {
 public:
  PacketPool() = default;
  explicit PacketPool(rte_mempool* pool) : pool_(pool) {}
  [[nodiscard]] Packet alloc() const { return Packet{rte_pktmbuf_alloc(pool_)}; } // empty when the pool is
  [[nodiscard]] rte_mempool* raw() const { return pool_; }

 private:
  rte_mempool* pool_ = nullptr;
};

} // namespace tern
