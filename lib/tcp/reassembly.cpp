#include "tcp/reassembly.hpp"

#include <algorithm>

namespace tern::tcp::reassembly {
namespace {

void forget(Reassembly& r, const ReassemblyRange* gone) {
  for (std::size_t i = 0; i < Reassembly::reported; ++i) {
    if (r.recent[i] != gone) continue;
    for (std::size_t k = i; k + 1 < Reassembly::reported; ++k) r.recent[k] = r.recent[k + 1];
    r.recent[Reassembly::reported - 1] = nullptr;
    return;
  }
}

void touch(Reassembly& r, ReassemblyRange* range) {
  if (r.recent[0] == range) return;
  forget(r, range);
  for (std::size_t k = Reassembly::reported - 1; k > 0; --k) r.recent[k] = r.recent[k - 1];
  r.recent[0] = range;
}

// `next` begins where `range` ends: one range is left.
void merge_with_next(const Env& env, Reassembly& r, ReassemblyRange* range) {
  ReassemblyRange* next = range->next;
  if (next == nullptr || next->left != range->right) return;
  if (!range->text.append(std::move(next->text)))
    return; // the chain is at its limit: two touching ranges, still right
  range->right = next->right;
  range->pinned += next->pinned;
  range->next = next->next;
  if (r.tail == next) r.tail = range;
  forget(r, next);
  --r.ranges;
  env.side.ranges->give_back(next);
}

// Text [left, left + p.length()) that touches nothing held, with `before` (or null) the last range that ends
// at or before it. The range that now holds it, or null when there was no room.
ReassemblyRange* place(const Env& env, const Tcb& t, Reassembly& r, ReassemblyRange* before, Seq left,
                       Packet&& p) {
  const Seq right = left + p.length();
  const std::uint32_t cost = p.truesize();
  const bool touches = before != nullptr && before->right == left;
  const bool absorbed = touches && before->text.absorb(p, 1024); // the path is slow anyway, and memory dear
  if (!absorbed && r.pinned + cost > Reassembly::most_pinned(t))
    return env.count(Counter::drop_reassembly_full), nullptr;
  if (absorbed || (touches && before->text.append(std::move(p)))) {
    if (!absorbed) r.pinned += cost, before->pinned += cost;
    before->right = right;
    merge_with_next(env, r, before);
    return before;
  }
  ReassemblyRange* range = r.ranges < Reassembly::most_ranges ? env.side.ranges->take() : nullptr;
  if (range == nullptr) return env.count(Counter::drop_reassembly_full), nullptr;
  ++r.ranges;
  r.pinned += range->pinned = cost;
  range->left = left;
  range->right = right;
  (void)range->text.append(std::move(p));
  range->next = before == nullptr ? r.head : before->next;
  (before == nullptr ? r.head : before->next) = range;
  if (range->next == nullptr) r.tail = range;
  merge_with_next(env, r, range);
  return range;
}

Reassembly* record(const Env& env, Tcb& t) {
  if (t.reassembly == nullptr && env.side.reassembly != nullptr) t.reassembly = env.side.reassembly->take();
  if (t.reassembly == nullptr) return env.count(Counter::drop_no_memory), nullptr;
  t.set(flag_has_reassembly);
  return t.reassembly;
}

void note_duplicate(Tcb& t, Seq left, Seq right) {
  if (!t.has(flag_sack)) return;
  t.set(flag_dsack);
  t.dsack_left = left;
  t.dsack_right = right;
}

// First come, first served, for the FIN's number too: where text is held, no FIN can lie.
bool note_fin(const Env& env, Reassembly& r, Seq at) {
  if (r.fin) return false;
  for (const ReassemblyRange* held = r.head; held != nullptr && held->left.at_or_before(at);
       held = held->next)
    if (held->right.after(at)) return env.count(Counter::drop_after_close), false;
  r.fin = true;
  r.fin_seq = at;
  return true;
}

// How much of [seq, seq + text) lies before the FIN: nothing can follow it.
std::uint32_t cut_at_fin(const Env& env, const Reassembly& r, Seq seq, std::uint32_t text) {
  if (!r.fin || (seq + text).at_or_before(r.fin_seq)) return text;
  env.count(Counter::drop_after_close);
  return seq.before(r.fin_seq) ? r.fin_seq.since(seq) : 0;
}

void give_back_if_empty(const Env& env, Tcb& t) {
  if (t.reassembly == nullptr || t.reassembly->head != nullptr || t.reassembly->fin) return;
  env.side.reassembly->give_back(t.reassembly);
  t.reassembly = nullptr;
  t.clear(flag_has_reassembly);
}

} // namespace

void insert(const Env& env, Tcb& t, Seq seq, std::uint32_t text, Packet* payload, bool fin) {
  if (text != 0 && env.scarcity != Scarcity::none) [[unlikely]]
    return env.count(Counter::drop_text_scarce);
  Reassembly* r = record(env, t);
  if (r == nullptr) return;
  bool any_new = fin && note_fin(env, *r, seq + text);
  Packet p;
  if (const std::uint32_t whole = text; whole != 0) {
    text = cut_at_fin(env, *r, seq, whole);
    if (text != 0) p = std::move(*payload);
    if (text != 0 && text != whole) p.trim_back(whole - text);
  }
  const Seq end = seq + text;
  ReassemblyRange* last_touched = nullptr;
  ReassemblyRange* before = nullptr;
  // A stream of segments behind one hole lands at the tail every time.
  if (r->tail != nullptr && r->tail->right.at_or_before(seq)) before = r->tail;
  while (p) {
    ReassemblyRange* next = before == nullptr ? r->head : before->next;
    while (next != nullptr && next->right.at_or_before(seq)) before = next, next = next->next;
    if (next != nullptr && next->left.at_or_before(seq)) { // its front is held already
      last_touched = next;
      if (end.at_or_before(next->right)) break;
      p.trim_front(next->right.since(seq));
      seq = next->right;
      before = next;
      continue;
    }
    Packet rest;
    if (next != nullptr && next->left.before(end)) {
      const std::uint32_t gap = next->left.since(seq);
      rest = p.split(gap, env.packets);
      if (!rest) p.trim_back(p.length() - gap); // no packet for the part behind: it will be sent again
    }
    const Seq after = seq + p.length();
    ReassemblyRange* placed = place(env, t, *r, before, seq, std::move(p));
    if (placed == nullptr) break;
    any_new = true;
    last_touched = placed;
    before = placed;
    seq = after;
    p = std::move(rest);
    if (!p || !placed->right.after(seq)) continue;
    // It closed the gap and is one with the range behind it, which holds (part of) what is left: first bytes
    // win.
    if (end.at_or_before(placed->right)) break;
    p.trim_front(placed->right.since(seq));
    seq = placed->right;
  }
  if (last_touched != nullptr) touch(*r, last_touched);
  if (any_new) {
    env.count(Counter::out_of_order_in);
  } else if (text != 0 && last_touched != nullptr) {
    env.count(Counter::duplicate_in);
    env.count(Counter::duplicate_bytes_in, text);
    note_duplicate(t, end - text, end);
  }
  give_back_if_empty(env, t);
}

std::uint32_t before_fin(const Env& env, Tcb& t, Seq seq, std::uint32_t text, bool fin) {
  if (fin) (void)note_fin(env, *t.reassembly, seq + text);
  return cut_at_fin(env, *t.reassembly, seq, text);
}

std::uint32_t take_ready(const Env& env, Tcb& t, PacketChain& to, bool& fin) {
  Reassembly* r = t.reassembly;
  std::uint32_t taken = 0;
  while (r->head != nullptr && r->head->left.at_or_before(t.rcv_nxt)) {
    ReassemblyRange* range = r->head;
    if (range->right.after(t.rcv_nxt)) {
      const std::uint32_t stale = t.rcv_nxt.since(range->left);
      const std::uint32_t n = range->right.since(t.rcv_nxt);
      if (stale != 0) {
        Packet whole = range->text.take();
        whole.trim_front(stale);
        (void)range->text.append(std::move(whole));
      }
      range->left = t.rcv_nxt;
      if (!to.append(std::move(range->text)))
        break; // the chain handed up is full; the rest comes with the next segment
      taken += n;
      t.rcv_nxt += n;
    }
    r->head = range->next;
    if (r->head == nullptr) r->tail = nullptr;
    forget(*r, range);
    --r->ranges;
    r->pinned -= range->pinned;
    env.side.ranges->give_back(range);
  }
  if (r->fin && r->fin_seq == t.rcv_nxt) {
    fin = true;
    r->fin = false;
  }
  give_back_if_empty(env, t);
  return taken;
}

std::uint8_t blocks(const Tcb& t, wire::SackBlock* out, std::uint8_t most) {
  const Reassembly* r = t.reassembly;
  std::uint8_t n = 0;
  if (r == nullptr) return n;
  for (const ReassemblyRange* range : r->recent) {
    if (range == nullptr || n == most) break;
    out[n++] = {range->left, range->right};
  }
  for (const ReassemblyRange* range = r->head; range != nullptr && n < most && n < r->ranges;
       range = range->next) {
    const wire::SackBlock b{range->left, range->right};
    if (std::find(out, out + n, b) == out + n) out[n++] = b;
  }
  return n;
}

void release(const Env& env, Tcb& t) {
  if (t.reassembly == nullptr) return;
  while (t.reassembly->head != nullptr) {
    ReassemblyRange* range = t.reassembly->head;
    t.reassembly->head = range->next;
    env.side.ranges->give_back(range);
  }
  env.side.reassembly->give_back(t.reassembly);
  t.reassembly = nullptr;
  t.clear(flag_has_reassembly);
}

} // namespace tern::tcp::reassembly
