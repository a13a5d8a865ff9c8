#include "packet/packet.hpp"

#include <algorithm>

namespace tern {
namespace {

// Segment lengths are 16 bits; every caller has checked that the sum fits its buffer.
std::uint16_t u16(std::uint32_t n) {
  return static_cast<std::uint16_t>(n);
}

// The segment that holds byte `at` of the chain; `at` becomes the offset in it.
rte_mbuf* segment_at(rte_mbuf* m, std::uint32_t& at) {
  while (m != nullptr && at >= m->data_len) {
    at -= m->data_len;
    m = m->next;
  }
  return m;
}

// A segment's buffer, mbuf header and private area: what stays taken while it is held.
std::uint32_t element_size(const rte_mbuf* m) {
  return m->pool->elt_size;
}

// The length of the piece that stays when a chain is cut, from its segments up to and including `last`.
void close_chain(rte_mbuf* head, rte_mbuf* last) {
  last->next = nullptr;
  head->nb_segs = 0;
  head->pkt_len = 0;
  for (rte_mbuf* s = head; s != nullptr; s = s->next) {
    ++head->nb_segs;
    head->pkt_len += s->data_len;
  }
}

} // namespace

#ifdef TERN_ASAN
namespace detail {

void unguard(rte_mbuf* m) {
  for (; m != nullptr; m = m->next)
    if (RTE_MBUF_DIRECT(m)) unpoison(m->buf_addr, m->buf_len);
}

// Only where nobody else looks at the buffer: what is head room here may be another holder's data.
void guard(rte_mbuf* m) {
  for (; m != nullptr; m = m->next) {
    if (!Packet::writable(m)) {
      if (RTE_MBUF_DIRECT(m)) unpoison(m->buf_addr, m->buf_len);
      continue;
    }
    auto* start = static_cast<std::byte*>(m->buf_addr);
    unpoison(start, m->buf_len);
    poison(start, m->data_off);
    poison(start + m->data_off + m->data_len, std::size_t{m->buf_len} - m->data_off - m->data_len);
  }
}

} // namespace detail
#endif

void Packet::trim_front_slow(std::uint32_t n) {
  TERN_DCHECK(n <= length());
  const std::uint32_t left = m_->pkt_len - n;
  while (n >= m_->data_len && m_->next != nullptr) {
    n -= m_->data_len;
    rte_mbuf* next = m_->next;
    next->nb_segs = u16(m_->nb_segs - 1U);
    // What the port told of the packet stays with the packet.
    next->ol_flags |= m_->ol_flags & ~(RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL);
    next->packet_type = m_->packet_type;
    next->hash = m_->hash;
    next->port = m_->port;
    detail::unguard(m_);
    m_->next = nullptr;
    m_->nb_segs = 1;
    rte_pktmbuf_free_seg(m_);
    m_ = next;
  }
  m_->data_off = u16(m_->data_off + n);
  m_->data_len = u16(m_->data_len - n);
  m_->pkt_len = left;
  detail::guard(m_);
}

void Packet::trim_back(std::uint32_t n) {
  TERN_DCHECK(n <= length());
  std::uint32_t keep = m_->pkt_len - n;
  rte_mbuf* s = m_;
  while (keep > s->data_len) {
    keep -= s->data_len;
    s = s->next;
  }
  s->data_len = u16(keep);
  if (s->next != nullptr) {
    detail::unguard(s->next);
    rte_pktmbuf_free(s->next);
  }
  close_chain(m_, s);
  detail::guard(m_);
}

bool Packet::chain(Packet&& tail) {
  if (m_->nb_segs + tail.m_->nb_segs > UINT16_MAX) return false;
  rte_pktmbuf_lastseg(m_)->next = tail.m_;
  m_->nb_segs = u16(m_->nb_segs + tail.m_->nb_segs);
  m_->pkt_len += tail.m_->pkt_len;
  tail.m_->nb_segs = 1;
  tail.m_->pkt_len = tail.m_->data_len;
  tail.m_ = nullptr;
  return true;
}

bool Packet::prepend_segment(const PacketPool& pool) {
  if (m_->nb_segs == UINT16_MAX) return false;
  Packet head = pool.alloc();
  if (!head) return false;
  head.m_->port = m_->port;
  const bool chained = head.chain(std::move(*this));
  TERN_DCHECK(chained);
  *this = std::move(head);
  return chained;
}

bool Packet::append_copy(std::span<const std::byte> bytes, const PacketPool& pool) {
  rte_mbuf* last = rte_pktmbuf_lastseg(m_);
  const std::size_t here =
      writable(last) ? std::min<std::size_t>(bytes.size(), rte_pktmbuf_tailroom(last)) : 0;
  Packet more;
  for (auto rest = bytes.subspan(here); !rest.empty();) {
    Packet piece = pool.alloc();
    if (!piece) return false;
    const std::size_t n = std::min<std::size_t>(rest.size(), pool.room());
    std::memcpy(piece.append(u16(static_cast<std::uint32_t>(n))), rest.data(), n);
    rest = rest.subspan(n);
    if (!more)
      more = std::move(piece);
    else if (!more.chain(std::move(piece)))
      return false;
  }
  if (more && m_->nb_segs + more.m_->nb_segs > UINT16_MAX) return false;
  if (here != 0) std::memcpy(append(u16(static_cast<std::uint32_t>(here))), bytes.data(), here);
  return !more || chain(std::move(more));
}

bool Packet::absorb(Packet& tail) {
  const std::uint32_t n = tail.length();
  if (n > UINT16_MAX) return false;
  std::byte* at = append(u16(n));
  if (at == nullptr) return false;
  tail.copy_out(0, {at, n});
  tail.reset();
  return true;
}

bool Packet::pull(std::uint16_t n, const PacketPool& pool) {
  if (n <= m_->data_len) return true;
  if (n > m_->pkt_len) return false;
  const std::uint16_t more = u16(n - static_cast<std::uint32_t>(m_->data_len));
  if (writable() && more <= rte_pktmbuf_tailroom(m_)) {
    rte_mbuf* rest = m_->next;
    std::uint32_t wanted = more;
    detail::unguard(m_);
    while (wanted != 0) {
      const std::uint32_t part = std::min<std::uint32_t>(wanted, rest->data_len);
      std::memcpy(rte_pktmbuf_mtod_offset(m_, std::byte*, m_->data_len), rte_pktmbuf_mtod(rest, std::byte*),
                  part);
      m_->data_len = u16(m_->data_len + part);
      rest->data_off = u16(rest->data_off + part);
      rest->data_len = u16(rest->data_len - part);
      wanted -= part;
      while (rest != nullptr && rest->data_len == 0) { // used up: out of the chain
        rte_mbuf* next = rest->next;
        m_->next = next;
        --m_->nb_segs;
        rest->next = nullptr;
        rte_pktmbuf_free_seg(rest);
        rest = next;
      }
    }
    detail::guard(m_);
    return true;
  }
  if (n > pool.room()) return false;
  Packet head = pool.alloc();
  if (!head) return false;
  copy_out(0, {head.append(n), n});
  head.m_->ol_flags = m_->ol_flags & ~(RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL);
  head.m_->packet_type = m_->packet_type;
  head.m_->hash = m_->hash;
  head.m_->port = m_->port;
  if (n == m_->pkt_len) {
    *this = std::move(head);
    return true;
  }
  trim_front(n);
  const bool chained = head.chain(std::move(*this));
  *this = std::move(head);
  return chained;
}

Packet Packet::split(std::uint32_t at, const PacketPool& pool) {
  TERN_DCHECK(at > 0 && at < length());
  const std::uint32_t total = m_->pkt_len;
  const std::uint16_t segs = m_->nb_segs;
  rte_mbuf* s = m_;
  std::uint32_t offset = at;
  while (offset > s->data_len) {
    offset -= s->data_len;
    s = s->next;
  }
  rte_mbuf* rest = s->next;
  if (offset < s->data_len) { // inside a segment: the rest begins with an indirect view of it
    rte_mbuf* view = rte_pktmbuf_alloc(pool.raw());
    if (view == nullptr) return {};
    rte_pktmbuf_attach(view, s);
    view->data_off = u16(view->data_off + offset);
    view->data_len = u16(view->data_len - offset);
    view->next = rest;
    s->data_len = u16(offset);
    rest = view;
  }
  close_chain(m_, s);
  rest->pkt_len = total - at;
  rest->nb_segs = 0;
  for (rte_mbuf* i = rest; i != nullptr; i = i->next) ++rest->nb_segs;
  TERN_DCHECK(rest->nb_segs + m_->nb_segs <= segs + 1);
  (void)segs;
  detail::guard(m_);
  return Packet{rest};
}

Packet Packet::share(std::uint32_t at, std::uint32_t n, const PacketPool& pool) const {
  TERN_DCHECK(n > 0 && n <= length() && at <= length() - n);
  std::uint32_t offset = at;
  rte_mbuf* s = segment_at(m_, offset);
  Packet out;
  for (; n != 0; s = s->next, offset = 0) {
    if (s->data_len == 0) continue; // an empty segment shows nothing
    rte_mbuf* view = rte_pktmbuf_alloc(pool.raw());
    if (view == nullptr) return {};
    rte_pktmbuf_attach(view, s);
    const std::uint32_t part = std::min<std::uint32_t>(n, s->data_len - offset);
    view->data_off = u16(view->data_off + offset);
    view->data_len = u16(part);
    view->pkt_len = part;
    n -= part;
    Packet piece{view};
    if (!out)
      out = std::move(piece);
    else if (!out.chain(std::move(piece)))
      return {};
  }
  detail::guard(m_); // its head room is no longer ours alone
  return out;
}

Packet Packet::same() const {
  for (rte_mbuf* s = m_; s != nullptr; s = s->next) rte_mbuf_refcnt_update(s, 1);
  return Packet{m_};
}

Packet Packet::copy(std::uint32_t at, std::uint32_t n, const PacketPool& pool) const {
  TERN_DCHECK(n <= length() && at <= length() - n);
  return Packet{rte_pktmbuf_copy(m_, pool.raw(), at, n)};
}

std::uint32_t Packet::copy_out(std::uint32_t at, std::span<std::byte> out) const {
  if (at >= length()) return 0;
  const std::uint32_t n = static_cast<std::uint32_t>(std::min<std::size_t>(out.size(), length() - at));
  std::uint32_t offset = at;
  const rte_mbuf* s = segment_at(m_, offset);
  for (std::uint32_t done = 0; done < n; s = s->next, offset = 0) {
    const std::uint32_t part = std::min<std::uint32_t>(n - done, s->data_len - offset);
    std::memcpy(out.data() + done, rte_pktmbuf_mtod_offset(s, const std::byte*, offset), part);
    done += part;
  }
  return n;
}

std::uint32_t Packet::truesize() const {
  std::uint32_t sum = 0;
  for (const rte_mbuf* s = m_; s != nullptr; s = s->next) {
    sum += element_size(s);
    if (RTE_MBUF_CLONED(s))
      sum += element_size(rte_mbuf_from_indirect(const_cast<rte_mbuf*>(s)));
    else if (RTE_MBUF_HAS_EXTBUF(s))
      sum += s->buf_len;
  }
  return sum;
}

void make_external_info(rte_mbuf_ext_shared_info& info, void (*released)(void* bytes, void* user),
                        void* user) {
  info.free_cb = released;
  info.fcb_opaque = user;
  rte_mbuf_ext_refcnt_set(&info, 0);
}

Packet PacketPool::alloc_external(const ExternalBytes& e) const {
  rte_mbuf* m = rte_pktmbuf_alloc(pool_);
  if (m == nullptr) return {};
  // Each fresh packet over the same bytes is one more holder; clones of it count themselves.
  rte_mbuf_ext_refcnt_update(e.info, 1);
  rte_pktmbuf_attach_extbuf(m, e.bytes, e.iova, e.length, e.info);
  m->data_off = 0;
  m->data_len = e.length;
  m->pkt_len = e.length;
  return Packet{m};
}

} // namespace tern
