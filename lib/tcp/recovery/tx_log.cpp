#include "tcp/recovery/tx_log.hpp"

#include <algorithm>

namespace tern::tcp {
namespace {

// Neighbours that no later event needs to tell apart. The left one must end at a segment boundary, so that
// cuts at multiples of the MSS stay true; what the peer holds is never cut.
bool alike(const TxEntry& a, const TxEntry& b) {
  if (a.flags != b.flags) return (a.flags & b.flags & tx_sacked) != 0;
  if ((a.flags & tx_sacked) != 0) return true;
  return a.sent_us == b.sent_us && a.mss == b.mss && b.seq.since(a.seq) % a.mss == 0;
}

} // namespace

Seq TxLog::right_of(ConstPlace p) const {
  if (p.i + 1 < p.block->end) return p.block->entries[p.i + 1].seq;
  return p.block->next != nullptr ? p.block->next->first() : end_;
}

bool TxLog::next(Place& p) {
  if (p.i + 1 < p.block->end) return ++p.i, true;
  if (p.block->next == nullptr) return false;
  p = {p.block->next, p.block->next->begin};
  return true;
}

bool TxLog::prev(Place& p) {
  if (p.i > p.block->begin) return --p.i, true;
  if (p.block->prev == nullptr) return false;
  p.block = p.block->prev;
  p.i = static_cast<std::uint8_t>(p.block->end - 1);
  return true;
}

// The entry that holds `seq`, which lies in the log.
TxLog::Place TxLog::find(Seq seq) {
  TxLogBlock* b = hint_ != nullptr ? hint_ : head_;
  while (b->prev != nullptr && b->first().after(seq)) b = b->prev;
  while (b->next != nullptr && b->next->first().at_or_before(seq)) b = b->next;
  hint_ = b;
  std::uint8_t i = b->begin;
  while (i + 1 < b->end && b->entries[i + 1].seq.at_or_before(seq)) ++i;
  return {b, i};
}

// The place moves to the new entry.
bool TxLog::insert_after(Blocks* pool, Place& p, const TxEntry& e) {
  if (entries_ >= most_entries) return false;
  TxLogBlock* b = p.block;
  if (b->end == TxLogBlock::most && b->begin == 0) {
    TxLogBlock* fresh = pool != nullptr ? pool->take() : nullptr;
    if (fresh == nullptr) return false;
    // At the very end the old block stays full, as appending wants it; elsewhere each keeps half.
    const bool at_end = b->next == nullptr && p.i + 1 == b->end;
    const std::uint8_t keep = at_end ? TxLogBlock::most : TxLogBlock::most / 2;
    std::copy(b->entries + keep, b->entries + b->end, fresh->entries);
    fresh->end = static_cast<std::uint8_t>(b->end - keep);
    b->end = keep;
    fresh->prev = b;
    fresh->next = b->next;
    (b->next != nullptr ? b->next->prev : tail_) = fresh;
    b->next = fresh;
    if (p.i >= keep || at_end) {
      if (at_end) { // fresh is still empty
        fresh->entries[0] = e;
        fresh->end = 1;
        ++entries_;
        p = {fresh, 0};
        return true;
      }
      p = {fresh, static_cast<std::uint8_t>(p.i - keep)};
    }
    b = p.block;
  }
  if (b->end < TxLogBlock::most) {
    std::copy_backward(b->entries + p.i + 1, b->entries + b->end, b->entries + b->end + 1);
    ++b->end;
    ++p.i;
  } else { // room at the front only: what lies up to the place moves down
    std::copy(b->entries + b->begin, b->entries + p.i + 1, b->entries + b->begin - 1);
    --b->begin;
  }
  b->entries[p.i] = e;
  ++entries_;
  return true;
}

bool TxLog::cut(Blocks* pool, Place& p, Seq at) {
  TxEntry right = p.entry();
  right.seq = at;
  return insert_after(pool, p, right);
}

void TxLog::unlink(Blocks* pool, TxLogBlock* b) {
  (b->prev != nullptr ? b->prev->next : head_) = b->next;
  (b->next != nullptr ? b->next->prev : tail_) = b->prev;
  if (hint_ == b) hint_ = b->prev != nullptr ? b->prev : b->next;
  if (first_lost_ == b) first_lost_ = b->next;
  pool->give_back(b);
}

void TxLog::erase(Blocks* pool, Place p) {
  TxLogBlock* b = p.block;
  if (p.i == b->begin) {
    ++b->begin;
  } else {
    std::copy(b->entries + p.i + 1, b->entries + b->end, b->entries + p.i);
    --b->end;
  }
  --entries_;
  if (b->begin == b->end) unlink(pool, b);
}

void TxLog::join_before(Blocks* pool, Place& p) {
  Place before = p;
  if (!prev(before) || !alike(before.entry(), p.entry())) return;
  erase(pool, p);
  p = before;
}

void TxLog::count_out(const TxEntry& e, std::uint32_t length) {
  if ((e.flags & tx_sacked) != 0) sacked_ -= length;
  if ((e.flags & tx_lost) != 0) lost_ -= length;
}

bool TxLog::append(Blocks* pool, Seq seq, std::uint32_t length, std::uint16_t mss, std::uint32_t now_us,
                   std::uint32_t slice_us) {
  TxEntry fresh{.seq = seq, .sent_us = now_us, .mss = mss};
  if (head_ == nullptr) {
    TxLogBlock* b = pool != nullptr ? pool->take() : nullptr;
    if (b == nullptr) return false;
    head_ = tail_ = b;
    b->entries[0] = fresh;
    b->end = 1;
    entries_ = 1;
    end_ = seq + length;
    return true;
  }
  const bool gap = seq != end_; // there was no room to log what came between
  if (gap) fresh.seq = end_, fresh.flags = tx_coarse;
  Place last{tail_, static_cast<std::uint8_t>(tail_->end - 1)};
  TxEntry& e = last.entry();
  const bool joins = e.flags == 0 && !gap && !closed_ && e.mss == mss && now_us - e.sent_us <= slice_us &&
                     end_.since(e.seq) % mss == 0;
  closed_ = false;
  if (joins || insert_after(pool, last, fresh)) {
    end_ = seq + length;
    return joins || !gap;
  }
  if ((e.flags & static_cast<std::uint8_t>(~tx_coarse)) != 0) return false; // not logged: a gap
  e.flags = tx_coarse;
  e.sent_us = now_us; // the later time: what looks younger is given up later
  end_ = seq + length;
  return false;
}

bool TxLog::retransmitted(Blocks* pool, Seq left, Seq right, std::uint32_t now_us) {
  if (head_ == nullptr) return false;
  left = later_of(left, head_->first());
  right = earlier_of(right, end_);
  if (!left.before(right)) return false;
  Place p = find(left);
  bool exact = true;
  closed_ = true;
  const auto held = [](const Place& at) { return (at.entry().flags & tx_sacked) != 0; };
  if (p.entry().seq != left && !held(p) && !cut(pool, p, left)) exact = false;
  for (;;) {
    // Joining gives room back, cutting may need it; without room the whole entry counts as sent again, and
    // what of it was not will be found lost a round trip later.
    Place rest = p;
    if (right_of({p.block, p.i}).after(right) && !held(p)) {
      if (cut(pool, rest, right)) {
        p = rest;
        (void)prev(p);
      } else {
        exact = false;
      }
    }
    TxEntry& e = p.entry();
    const std::uint32_t length = right_of({p.block, p.i}).since(e.seq);
    if ((e.flags & tx_sacked) == 0) {
      if ((e.flags & tx_lost) != 0) lost_ -= length;
      e.flags = exact ? tx_again : tx_again | tx_coarse;
      e.sent_us = now_us;
      join_before(pool, p);
    }
    if (right_of({p.block, p.i}).at_or_after(right) || !next(p)) return exact;
  }
}

void TxLog::acknowledge(Blocks* pool, Seq una, Delivered& d) {
  while (head_ != nullptr) {
    TxLogBlock* b = head_;
    TxEntry& e = b->entries[b->begin];
    if (e.seq.at_or_after(una)) return;
    const Seq right = right_of({b, b->begin});
    const Seq upto = earlier_of(right, una);
    count_out(e, upto.since(e.seq));
    if ((e.flags & tx_sacked) == 0) d.take(e.seq, upto, e.sent_us, e.flags);
    if (right.after(una)) {
      const std::uint32_t into = una.since(e.seq);
      if (into != e.mss && into != 2U * e.mss && into % e.mss != 0 && (e.flags & tx_coarse) == 0)
        d.divided = true;
      e.seq = una;
      return;
    }
    ++b->begin;
    --entries_;
    if (b->begin == b->end) unlink(pool, b);
  }
  end_ = una;
}

void TxLog::sack(Blocks* pool, Seq left, Seq right, Delivered& d) {
  if (head_ == nullptr) return;
  left = later_of(left, head_->first());
  right = earlier_of(right, end_);
  if (!left.before(right)) return;
  Place p = find(left);
  if (const TxEntry& e = p.entry(); (e.flags & tx_sacked) == 0 && e.seq != left) {
    const std::uint32_t into = left.since(e.seq);
    const std::uint32_t whole = (into + e.mss - 1) / e.mss * e.mss; // up to the next segment
    if ((e.seq + whole).at_or_after(right)) return;
    const bool inside = whole < right_of({p.block, p.i}).since(e.seq);
    if (!(inside && cut(pool, p, e.seq + whole)) && !next(p)) return;
  }
  for (; p.entry().seq.before(right);) {
    TxEntry& e = p.entry();
    if ((e.flags & tx_sacked) == 0) {
      Seq edge = right_of({p.block, p.i});
      if (edge.after(right)) { // down to the last whole segment
        const std::uint32_t into = right.since(e.seq);
        edge = e.seq + (into - into % e.mss);
        Place rest = p;
        if (edge == e.seq || !cut(pool, rest, edge)) break;
        p = rest;
        (void)prev(p);
      }
      TxEntry& whole = p.entry();
      const std::uint32_t length = edge.since(whole.seq);
      if ((whole.flags & tx_lost) != 0) lost_ -= length;
      sacked_ += length;
      d.sacked_bytes += length;
      d.take(whole.seq, edge, whole.sent_us, whole.flags);
      whole.flags = tx_sacked;
    }
    join_before(pool, p);
    if (!next(p)) return;
  }
  join_before(pool, p);
}

void TxLog::set_lost(Place p, std::uint32_t length) {
  p.entry().flags |= tx_lost;
  lost_ += length;
  if (first_lost_ == nullptr || p.block->first().before(first_lost_->first())) first_lost_ = p.block;
}

RackFinding TxLog::mark_lost(const RackRule& rule) {
  RackFinding found;
  if (head_ == nullptr) return found;
  Place p{head_, head_->begin};
  do {
    const TxEntry& e = p.entry();
    if ((e.flags & (tx_sacked | tx_lost)) != 0) continue;
    const Seq right = right_of({p.block, p.i});
    // At one time, one output pass: retransmissions leave in sequence order and new text does too, but which
    // of the two left first the sequence numbers don't tell.
    const bool untold =
        e.sent_us == rule.sent_us && (e.flags & tx_coarse) == 0 && ((e.flags & tx_again) != 0) != rule.again;
    if (untold || !sent_after(rule.sent_us, rule.end, e.sent_us, right)) {
      // What was sent once was sent in sequence order, so all that follows is younger still.
      if ((e.flags & tx_again) == 0) break;
      continue;
    }
    const auto wait = static_cast<std::int32_t>(e.sent_us + rule.patience_us - rule.now_us);
    if (wait <= 0) {
      const std::uint32_t length = right.since(e.seq);
      found.lost += length;
      set_lost(p, length);
    } else {
      found.wait_us = std::max(found.wait_us, static_cast<std::uint32_t>(wait));
    }
  } while (next(p));
  return found;
}

std::uint32_t TxLog::mark_front_lost(Blocks* pool, std::uint32_t length) {
  if (head_ == nullptr) return 0;
  Place p{head_, head_->begin};
  TxEntry& e = p.entry();
  if ((e.flags & (tx_sacked | tx_lost)) != 0) return 0;
  const Seq right = right_of({p.block, p.i});
  Seq edge = right;
  if (length < right.since(e.seq)) {
    Place rest = p;
    if (cut(pool, rest, e.seq + length)) {
      p = rest;
      (void)prev(p);
      edge = p.entry().seq + length;
    }
  }
  const std::uint32_t marked = edge.since(p.entry().seq);
  set_lost(p, marked);
  return marked;
}

void TxLog::mark_all_lost() {
  if (head_ == nullptr) return;
  Place p{head_, head_->begin};
  do {
    if ((p.entry().flags & (tx_sacked | tx_lost)) == 0)
      set_lost(p, right_of({p.block, p.i}).since(p.entry().seq));
  } while (next(p));
}

void TxLog::mark_longer_lost(std::uint16_t mss) {
  if (head_ == nullptr) return;
  Place p{head_, head_->begin};
  do {
    TxEntry& e = p.entry();
    if (e.mss <= mss || (e.flags & tx_sacked) != 0) continue;
    if ((e.flags & tx_lost) == 0) set_lost(p, right_of({p.block, p.i}).since(e.seq));
    e.mss = mss;
  } while (next(p));
}

void TxLog::unmark_lost() {
  for (TxLogBlock* b = first_lost_; b != nullptr; b = b->next)
    for (std::uint8_t i = b->begin; i < b->end; ++i)
      b->entries[i].flags &= static_cast<std::uint8_t>(~tx_lost);
  first_lost_ = nullptr;
  lost_ = 0;
}

void TxLog::distrust() {
  for (TxLogBlock* b = head_; b != nullptr; b = b->next)
    for (std::uint8_t i = b->begin; i < b->end; ++i) b->entries[i].flags |= tx_again | tx_coarse;
}

void TxLog::forget_sacked() {
  for (TxLogBlock* b = head_; b != nullptr; b = b->next)
    for (std::uint8_t i = b->begin; i < b->end; ++i)
      if ((b->entries[i].flags & tx_sacked) != 0) b->entries[i].flags = tx_again | tx_coarse; // nothing known
  sacked_ = 0;
}

TxLog::Range TxLog::first_lost() const {
  if (lost_ == 0) return {};
  for (TxLogBlock* b = first_lost_; b != nullptr; b = b->next)
    for (std::uint8_t i = b->begin; i < b->end; ++i)
      if ((b->entries[i].flags & tx_lost) != 0) {
        first_lost_ = b;
        return {b->entries[i].seq, right_of({b, i})};
      }
  return {};
}

void TxLog::release(Blocks* pool) {
  while (head_ != nullptr) {
    TxLogBlock* b = head_;
    head_ = b->next;
    pool->give_back(b);
  }
  *this = TxLog{};
}

} // namespace tern::tcp
