#include "tcp/send_queue.hpp"

#include <algorithm>

namespace tern::tcp::send_queue {
namespace {

std::uint32_t truesize_of(const Piece& p) {
  if (p.is_static) return 0;
  return static_cast<std::uint32_t>(p.segment->buf_len) + static_cast<std::uint32_t>(sizeof(rte_mbuf));
}

void drop(Tcb& t, Piece& p) {
  if (!p.is_static && p.length != 0) {
    if (t.more != nullptr) t.more->pinned -= std::min(t.more->pinned, truesize_of(p));
    rte_pktmbuf_free(p.segment);
  }
  p = Piece{};
}

// Takes n bytes off the front of a piece; how many of them were lent. Where lent bytes were filled in behind
// others, those others count as the first.
std::uint32_t advance(Piece& p, std::uint32_t n) {
  if (p.is_static) {
    p.bytes += n;
  } else {
    p.segment->data_off = static_cast<std::uint16_t>(p.segment->data_off + n);
    p.segment->data_len = static_cast<std::uint16_t>(p.segment->data_len - n);
    p.segment->pkt_len = p.segment->data_len;
  }
  p.length = (p.length - n) & 0x7fff'ffff;
  const std::uint32_t returned = p.lent > p.length ? p.lent - p.length : 0;
  p.lent -= returned;
  return returned;
}

void give_back_queue(const Env& env, Tcb& t) {
  env.side.send_queues->give_back(t.more);
  t.more = nullptr;
}

// The next piece moves into the Tcb.
void shift(const Env& env, Tcb& t) {
  SendQueue* q = t.more;
  if (q == nullptr) return;
  PieceBlock* b = q->head;
  if (b == nullptr) return give_back_queue(env, t);
  if (q->at == b && q->piece <= b->begin) q->at = nullptr;
  t.first = b->pieces[b->begin++];
  if (b->begin == b->end) {
    q->head = b->next;
    if (q->head == nullptr) q->tail = nullptr;
    env.side.pieces->give_back(b);
  }
}

[[nodiscard]] bool put(const Env& env, const Piece& p, std::uint32_t offset, std::uint32_t n, Packet& to) {
  if (p.is_static) return to.append_copy({p.bytes + offset, n}, env.packets);
  if (n < copy_below)
    return to.append_copy({rte_pktmbuf_mtod_offset(p.segment, const std::byte*, offset), n}, env.packets);
  Packet whole{p.segment};
  Packet part = whole.share(offset, n, env.packets);
  (void)whole.release();
  return part && to.chain(std::move(part));
}

} // namespace

bool may_pin(const Env& env, const Tcb& t, std::uint32_t truesize) {
  const std::uint32_t pinned = t.more == nullptr ? 0 : t.more->pinned;
  return pinned + truesize <= 4 * env.settings.send_buffer;
}

bool push(const Env& env, Tcb& t, Piece p) {
  if (t.first.length == 0) {
    t.first = p;
    return true;
  }
  if (t.more == nullptr) {
    t.more = env.side.send_queues == nullptr ? nullptr : env.side.send_queues->take();
    if (t.more == nullptr) return env.count(Counter::no_queue_record), false;
    t.more->pinned = truesize_of(t.first);
  }
  SendQueue& q = *t.more;
  if (q.tail == nullptr || q.tail->end == PieceBlock::most) {
    PieceBlock* b = env.side.pieces == nullptr ? nullptr : env.side.pieces->take();
    if (b == nullptr) {
      if (q.head == nullptr) give_back_queue(env, t);
      return env.count(Counter::no_queue_record), false;
    }
    (q.tail == nullptr ? q.head : q.tail->next) = b;
    q.tail = b;
  }
  q.tail->pieces[q.tail->end++] = p;
  q.pinned += truesize_of(p);
  return true;
}

std::uint32_t fill_tail(Tcb& t, std::span<const std::byte> bytes, bool lent) {
  Piece* last = nullptr;
  if (t.more != nullptr && t.more->tail != nullptr)
    last = &t.more->tail->pieces[t.more->tail->end - 1];
  else if (t.first.length != 0)
    last = &t.first;
  if (last == nullptr || last->is_static || !Packet::writable(last->segment)) return 0;
  rte_mbuf* const m = last->segment;
  const auto n = static_cast<std::uint16_t>(std::min<std::size_t>(rte_pktmbuf_tailroom(m), bytes.size()));
  if (n == 0) return 0;
  Packet p{m}; // its append opens the tail room to sanitizers too
  std::memcpy(p.append(n), bytes.data(), n);
  (void)p.release();
  last->length = (last->length + n) & 0x7fff'ffff;
  if (lent) last->lent += n;
  return n;
}

std::uint32_t acknowledge_some(const Env& env, Tcb& t, std::uint32_t n) {
  std::uint32_t returned = 0;
  while (n != 0) {
    TERN_DCHECK(t.first.length != 0);
    if (n < t.first.length) return returned + advance(t.first, n);
    n -= t.first.length;
    returned += t.first.lent;
    drop(t, t.first);
    shift(env, t);
  }
  if (t.first.length == 0 && t.more != nullptr) shift(env, t);
  return returned;
}

bool gather(const Env& env, Tcb& t, Seq seq, std::uint32_t length, Packet& to) {
  std::uint32_t skip = seq.since(t.snd_una);
  if (skip < t.first.length) {
    const std::uint32_t n = std::min<std::uint32_t>(length, t.first.length - skip);
    if (!put(env, t.first, skip, n, to)) return false;
    length -= n, seq += n;
    skip = 0;
  } else {
    skip -= t.first.length;
  }
  if (length == 0) return true;

  SendQueue& q = *t.more;
  PieceBlock* b = q.head;
  std::uint8_t i = b->begin;
  if (q.at != nullptr && q.seq.at_or_before(seq) && q.seq.at_or_after(t.snd_una)) {
    b = q.at, i = q.piece;
    skip = seq.since(q.seq);
  }
  while (length != 0) {
    if (i == b->end) {
      b = b->next;
      TERN_DCHECK(b != nullptr);
      i = b->begin;
    }
    const Piece& p = b->pieces[i];
    if (skip >= p.length) {
      skip -= p.length, ++i;
      continue;
    }
    const std::uint32_t n = std::min<std::uint32_t>(length, p.length - skip);
    if (!put(env, p, skip, n, to)) return false;
    q.at = b, q.piece = i, q.seq = seq - skip;
    length -= n, seq += n, skip += n;
  }
  return true;
}

void release(const Env& env, Tcb& t) {
  drop(t, t.first);
  if (t.more == nullptr) return;
  while (t.more->head != nullptr) {
    PieceBlock* b = t.more->head;
    for (std::uint8_t i = b->begin; i < b->end; ++i)
      if (!b->pieces[i].is_static) rte_pktmbuf_free(b->pieces[i].segment);
    t.more->head = b->next;
    env.side.pieces->give_back(b);
  }
  give_back_queue(env, t);
}

} // namespace tern::tcp::send_queue
