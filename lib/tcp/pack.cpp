#include "tcp/pack.hpp"

#include <cstring>

#include "base/endian.hpp"
#include "base/seq.hpp"

namespace tern::tcp {
namespace {

constexpr std::size_t flags_at = 13;
constexpr std::size_t options_at = 20;
// Those that a port leaves to the last segment alone, as Linux and rte_gso do.
constexpr auto ends = static_cast<std::byte>(wire::tcp_flag::psh | wire::tcp_flag::fin);

std::uint32_t header_length(const std::byte* tcp) {
  return std::to_integer<std::uint32_t>(tcp[12]) >> 4 << 2;
}
Seq seq_of(const std::byte* tcp) {
  Be32 seq;
  std::memcpy(&seq, tcp + 4, sizeof seq);
  return Seq{seq.host()};
}

// The mbufs that the text of a segment lies in; the header lies in the first, alone or with text behind it.
std::uint32_t text_pieces(const Packet& p, std::uint32_t header) {
  return p.segments() - (p.data_length() == header ? 1U : 0U);
}

// A pack that grows.
class Pack {
 public:
  Pack(Packet& first, bool ect, const Packing& may)
      : first_(first),
        may_(may),
        header_(header_length(first.data())),
        text_(first.length() - header_),
        next_(seq_of(first.data()) + text_),
        ect_(ect) {
    constexpr auto plain = static_cast<std::byte>(wire::tcp_flag::ack | wire::tcp_flag::ece);
    open_ = text_ != 0 && first.length() <= may.most_segment &&
            (first.data()[flags_at] & ~plain) == std::byte{} &&
            text_pieces(first, header_) <= may.segment_pieces;
  }
  [[nodiscard]] std::uint32_t segments() const { return segments_; }

  // Takes the segment in, if it may.
  bool take(Packet& p, bool ect) {
    if (!fits(p, ect)) return false;
    if (last_ == nullptr) last_ = rte_pktmbuf_lastseg(first_.mbuf());
    const std::byte end = p.data()[flags_at] & ends;
    first_.data()[flags_at] |= end;
    const std::uint32_t text = p.length() - header_;
    p.trim_front(header_);
    rte_mbuf* const m = p.release();
    rte_mbuf* const head = first_.mbuf();
    last_->next = m;
    last_ = rte_pktmbuf_lastseg(m);
    head->nb_segs = static_cast<std::uint16_t>(head->nb_segs + m->nb_segs);
    head->pkt_len += m->pkt_len;
    next_ += text;
    ++segments_;
    open_ = end == std::byte{} && text == text_; // the last alone may be shorter
    return true;
  }
  // What the port is told.
  void close() {
    if (segments_ == 1) return;
    rte_mbuf* const m = first_.mbuf();
    m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM;
    m->tx_offload = rte_mbuf_tx_offload(0, 0, 0, text_, 0, 0, 0); // the lengths come with the headers
  }

 private:
  [[nodiscard]] bool fits(const Packet& p, bool ect) const {
    if (!open_ || ect != ect_) return false;
    const std::byte* a = first_.data();
    const std::byte* b = p.data();
    const std::uint32_t header = header_length(b);
    const std::uint32_t text = p.length() - header;
    const std::uint32_t pieces = text_pieces(p, header);
    return header == header_ && text != 0 && text <= text_ && seq_of(b) == next_ &&
           std::memcmp(a + 8, b + 8, 4) == 0 && (b[flags_at] & ~ends) == a[flags_at] &&
           std::memcmp(a + 14, b + 14, 2) == 0 &&
           std::memcmp(a + options_at, b + options_at, header - options_at) == 0 &&
           pieces <= may_.segment_pieces && first_.length() + text <= may_.most_bytes &&
           first_.segments() + pieces <= may_.most_pieces;
  }

  Packet& first_;
  const Packing& may_;
  const std::uint32_t header_;
  const std::uint32_t text_; // of each segment but the last
  Seq next_;
  std::uint32_t segments_ = 1;
  rte_mbuf* last_ = nullptr;
  const bool ect_;
  bool open_;
};

} // namespace

Packed pack(TxBurst& burst, const Packing& may) {
  Packed done;
  const std::size_t n = burst.size();
  std::size_t kept = 0;
  for (std::size_t i = 0; i < n; ++kept) {
    burst.move_down(i, kept);
    Pack pack{burst[kept], burst.ect(kept), may};
    for (++i; i < n && pack.take(burst[i], burst.ect(i));) ++i;
    pack.close();
    if (pack.segments() == 1) continue;
    ++done.packs;
    done.segments += pack.segments();
  }
  burst.shrink(kept);
  return done;
}

} // namespace tern::tcp
