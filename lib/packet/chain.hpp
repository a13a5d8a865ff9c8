// A queue of packets in one mbuf chain that knows its last segment, so that appending costs the same whatever
// its length.
#pragma once

#include "packet/packet.hpp"

namespace tern {

class PacketChain {
 public:
  static constexpr std::uint32_t copy_below = 256;

  PacketChain() = default;
  PacketChain(PacketChain&& o) noexcept
      : head_(std::exchange(o.head_, nullptr)), tail_(std::exchange(o.tail_, nullptr)) {}
  PacketChain& operator=(PacketChain&& o) noexcept {
    if (this != &o) {
      clear();
      head_ = std::exchange(o.head_, nullptr);
      tail_ = std::exchange(o.tail_, nullptr);
    }
    return *this;
  }
  // All of `p`, whose last segment is `last`, where that is known: one that was cut to its last says so itself.
  PacketChain(Packet&& p, rte_mbuf* last) : head_(p.release()) {
    if (head_->nb_segs == 1)
      tail_ = head_;
    else
      tail_ = last != nullptr ? last : rte_pktmbuf_lastseg(head_);
    TERN_DCHECK(tail_->next == nullptr);
  }
  PacketChain(const PacketChain&) = delete;
  PacketChain& operator=(const PacketChain&) = delete;
  ~PacketChain() { clear(); }

  [[nodiscard]] bool empty() const { return head_ == nullptr; }
  [[nodiscard]] std::uint32_t length() const { return head_ == nullptr ? 0 : head_->pkt_len; }
  // A small packet is copied into the tail room, so that one-byte segments do not pin a buffer each. A chain
  // counts its segments in 16 bits: false, and `p` untouched, when it is full.
  [[nodiscard]] bool append(Packet&& p) {
    if (head_ == nullptr && p.contiguous()) [[likely]] {
      head_ = tail_ = p.release();
      return true;
    }
    return append_behind(p);
  }
  [[nodiscard]] bool append(PacketChain&& o) {
    if (o.empty()) return true;
    if (head_ != nullptr && head_->nb_segs > 0xffff - o.head_->nb_segs) return false;
    link(std::exchange(o.head_, nullptr), std::exchange(o.tail_, nullptr));
    return true;
  }
  // Small enough to be copied into the tail room: it then pins nothing more. False, and `p` untouched, if
  // not.
  [[nodiscard]] bool absorb(Packet& p, std::uint32_t below = copy_below) {
    const std::uint32_t n = p.length();
    if (head_ == nullptr || n >= below || !p.contiguous() || !Packet::writable(tail_) ||
        n > rte_pktmbuf_tailroom(tail_))
      return false;
    std::memcpy(rte_pktmbuf_mtod_offset(tail_, std::byte*, tail_->data_len), p.data(), n);
    tail_->data_len = static_cast<std::uint16_t>(tail_->data_len + n);
    head_->pkt_len += n;
    p.reset();
    return true;
  }
  [[nodiscard]] Packet take() {
    tail_ = nullptr;
    return Packet{std::exchange(head_, nullptr)};
  }
  void clear() { take().reset(); }
  [[nodiscard]] rte_mbuf* last() const { return tail_; }

  // The queue as one pointer, for who has no room for two: the first of several segments keeps where the last is, in the
  // word that speaks of what a port is to do with a frame, and of these none is one yet.
  [[nodiscard]] rte_mbuf* fold() {
    if (head_ != tail_) head_->tx_offload = reinterpret_cast<std::uintptr_t>(tail_);
    tail_ = nullptr;
    return std::exchange(head_, nullptr);
  }
  [[nodiscard]] static PacketChain unfold(rte_mbuf* folded) {
    PacketChain c;
    c.head_ = folded;
    c.tail_ = folded->nb_segs == 1 ? folded : reinterpret_cast<rte_mbuf*>(folded->tx_offload);
    return c;
  }

 private:
  [[gnu::noinline]] bool append_behind(Packet& p) {
    if (absorb(p)) return true;
    if (head_ != nullptr && head_->nb_segs > 0xffff - p.segments()) return false;
    rte_mbuf* const m = p.release();
    link(m, rte_pktmbuf_lastseg(m));
    return true;
  }
  void link(rte_mbuf* first, rte_mbuf* last) {
    if (head_ == nullptr) {
      head_ = first;
    } else {
      tail_->next = first;
      head_->nb_segs = static_cast<std::uint16_t>(head_->nb_segs + first->nb_segs);
      head_->pkt_len += first->pkt_len;
    }
    tail_ = last;
  }
  rte_mbuf* head_ = nullptr;
  rte_mbuf* tail_ = nullptr;
};

// The first segment of a chain, cut off; `p` keeps the rest, or is empty.
[[nodiscard]] inline Packet take_first_segment(Packet& p) {
  rte_mbuf* const m = p.release();
  if (rte_mbuf* const rest = m->next; rest != nullptr) {
    rest->nb_segs = static_cast<std::uint16_t>(m->nb_segs - 1);
    rest->pkt_len = m->pkt_len - m->data_len;
    m->next = nullptr;
    m->nb_segs = 1;
    m->pkt_len = m->data_len;
    p = Packet{rest};
  }
  return Packet{m};
}

} // namespace tern
