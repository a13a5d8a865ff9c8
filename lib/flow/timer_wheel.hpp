// A hierarchical timer wheel: 4 levels of 256 slots, a tick of 1 ms.
//
//   level 0   256 slots of 1 ms         deadlines   1 …        255 ms away: exact, they fire from here
//   level 1   256 slots of 256 ms                 256 …     65,535 ms
//   level 2   256 slots of 65.5 s          65,536 … 16,777,215 ms (4.6 h)
//   level 3   256 slots of 4.6 h       16,777,216 … 2^30 ms (12.4 days)
//
// A slot is a circular list; its head lies in the arena beside the records, so a link takes 32 bits. When the
// clock passes a slot its whole list is moved, in O(1), to one of two queues: `due` (from level 0) or
// `spread` (from the others, to be placed anew). `poll` takes a bounded number of records from these queues;
// what is left is carried over to the next poll. So neither a million expiries in one tick nor a pause of
// days makes a poll long: it only makes timers late.
#pragma once

#include <algorithm>
#include <bit>
#include <boost/intrusive/circular_list_algorithms.hpp>
#include <boost/intrusive/parent_from_member.hpp>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>

#include "base/check.hpp"
#include "base/prefetch.hpp"
#include "flow/compact_ptr.hpp"
#include "flow/ticks.hpp"

namespace tern {

// 8 bytes in the record. Null links mean "not armed": Boost's own `normal_link` hooks cannot tell, and its
// safe ones assert in a destructor.
struct alignas(compact_granule) TimerHook {
  CompactPtr<TimerHook> next;
  CompactPtr<TimerHook> prev;
};
static_assert(sizeof(TimerHook) == 8);

// What Boost.Intrusive's list algorithms ask for.
struct TimerNodes {
  using node = TimerHook;
  using node_ptr = CompactPtr<TimerHook>;
  using const_node_ptr = CompactPtr<TimerHook>;
  static node_ptr get_next(const_node_ptr n) { return n->next; }
  static node_ptr get_previous(const_node_ptr n) { return n->prev; }
  static void set_next(node_ptr n, node_ptr to) { n->next = to; }
  static void set_previous(node_ptr n, node_ptr to) { n->prev = to; }
};

// Where a record keeps its hook and its deadline: put both in one cache line. `Due` belongs to the wheel.
template <class T, TimerHook T::*Hook, Tick T::*Due>
struct MemberTimer {
  using Record = T;
  static TimerHook& hook(T& t) { return t.*Hook; }
  static Tick& due(T& t) { return t.*Due; }
  static T& record(TimerHook& h) { return *boost::intrusive::get_parent_from_member(&h, Hook); }
};

// One hook serves all the timers of a record: arm it for the earliest; `fire` then decides what is due, and
// arms again for the next. Records are never touched by the wheel after their `cancel` or their firing.
template <class Timer>
class TimerWheel {
 public:
  using Record = typename Timer::Record;

  static constexpr unsigned levels = 4;
  static constexpr unsigned slots = 256;
  static constexpr Tick reach = 1U << 30;      // no deadline may be further away, or longer past
  static constexpr unsigned default_work = 96; // records a poll touches, a cache miss each

  struct Heads {
    TimerHook slot[levels][slots];
    TimerHook due;
    TimerHook spread;
  };

  // `heads` lies in the arena, and outlives the wheel.
  TimerWheel(Heads* heads, Tick now) : heads_(::new (static_cast<void*>(heads)) Heads), now_(now) {
    for (auto& level : heads_->slot)
      for (TimerHook& slot : level) List::init_header(ptr(slot));
    List::init_header(ptr(heads_->due));
    List::init_header(ptr(heads_->spread));
  }
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  [[nodiscard]] static bool armed(Record& r) { return !List::inited(ptr(Timer::hook(r))); }
  [[nodiscard]] static Tick deadline(Record& r) { return Timer::due(r); } // only if armed

  // Fires at the first poll whose tick is at or after `due`; a deadline that is past, at the next tick: a
  // callback that arms its own record again is not called again within the poll. Arming an armed record for
  // later only moves the field: its node is found early and placed anew then, so an ACK that pushes the
  // retransmission deadline away costs a compare and a store.
  void arm(Record& r, Tick due) {
    TERN_DCHECK(ticks_between(now_, due) <= static_cast<std::int32_t>(reach));
    TERN_DCHECK(ticks_between(now_, due) >= -static_cast<std::int32_t>(reach));
    TimerHook& hook = Timer::hook(r);
    Tick& armed_for = Timer::due(r);
    if (!List::inited(ptr(hook))) {
      const bool later = ticks_between(armed_for, due) >= 0;
      armed_for = due;
      if (later) return;
      unlink(hook);
    } else {
      armed_for = due;
      ++armed_;
    }
    place(hook, due);
  }

  void cancel(Record& r) { // of a record that isn't armed: nothing
    TimerHook& hook = Timer::hook(r);
    if (List::inited(ptr(hook))) return;
    unlink(hook);
    List::init(ptr(hook));
    --armed_;
  }

  // Calls `fire(record)`, no longer armed, for what is due; it may arm, cancel and free any record. Touches
  // at most `work` records and returns how many; `backlog()` tells whether some are left for the next poll.
  template <class Fire>
  unsigned poll(Tick now, Fire&& fire, unsigned work = default_work) {
    if (const Tick then = later_tick(now_, now); then != now_) advance(then);
    if (!backlog()) return 0;
    // A quarter is kept for placing anew: what waits there may be due, or soon will be.
    unsigned done = take(heads_->due, work - work / 4, fire);
    done += take(heads_->spread, work - done, fire);
    done += take(heads_->due, work - done, fire);
    if (empty(heads_->due)) overslept_ = false;
    return done;
  }
  [[nodiscard]] bool backlog() const { return !empty(heads_->due) || !empty(heads_->spread); }

  // Not later than the first deadline; no value if nothing is armed. It may be earlier: by what was moved
  // later or cancelled, and for far deadlines by their slot's width; a poll then brings it nearer. At most
  // 1,024 loads.
  [[nodiscard]] std::optional<Tick> next_deadline() const {
    if (armed_ == 0) return std::nullopt;
    if (backlog()) return now_;
    Tick best = 0U - 1U; // ticks from now_
    for (unsigned l = 0; l < levels; ++l) {
      const Tick at = now_ >> (bits * l);
      for (Tick i = 1; i <= slots; ++i) {
        const Tick away = ((at + i) << (bits * l)) - now_;
        if (away >= best) break;
        if (!empty(heads_->slot[l][(at + i) % slots])) best = away;
      }
    }
    return now_ + best;
  }

  [[nodiscard]] Tick now() const { return now_; }           // as of the last poll
  [[nodiscard]] std::size_t size() const { return armed_; } // armed records

  // Walks everything: links that agree, nothing in a slot that comes after its deadline. For tests.
  [[nodiscard]] bool validate() const {
    std::size_t seen = 0;
    bool good = walk(
                    heads_->due, [](Record&) { return true; }, seen) &&
                walk(
                    heads_->spread, [](Record&) { return true; }, seen);
    for (unsigned l = 0; l < levels; ++l) {
      const Tick at = now_ >> (bits * l);
      for (Tick i = 1; i <= slots; ++i) {
        const Tick opens = ((at + i) << (bits * l)) - now_; // when the clock passes the slot, from now_
        const auto in_time = [&](Record& r) {
          return static_cast<std::int64_t>(opens) <= std::max(1, ticks_between(now_, Timer::due(r)));
        };
        good = good && walk(heads_->slot[l][(at + i) % slots], in_time, seen);
      }
    }
    return good && seen == armed_;
  }

 private:
  using List = boost::intrusive::circular_list_algorithms<TimerNodes>;
  static constexpr unsigned bits = 8;

  static CompactPtr<TimerHook> ptr(TimerHook& h) { return CompactPtr<TimerHook>::pointer_to(h); }
  static bool empty(TimerHook& head) { return head.next == ptr(head); }

  void unlink(TimerHook& hook) {
    TERN_DCHECK(hook.next->prev == ptr(hook) && hook.prev->next == ptr(hook));
    List::unlink(ptr(hook));
  }

  // A slot of level l takes deadlines at least 256^l away, so its index has at least one step to go, and at
  // most 256: the clock passes it before, or at, the deadline.
  void place(TimerHook& hook, Tick due) {
    const Tick at = ticks_between(now_, due) > 0 ? due : now_ + 1;
    const unsigned level = static_cast<unsigned>(std::bit_width(at - now_) - 1) / bits;
    List::link_before(ptr(heads_->slot[level][(at >> (bits * level)) % slots]), ptr(hook));
  }

  void move_all(TimerHook& from, TimerHook& to) {
    if (!empty(from)) List::transfer(ptr(to), from.next, ptr(from));
  }

  void advance(Tick now) {
    const Tick then = now_;
    now_ = now;
    if (ticks_between(then, now) < 0) return oversleep();
    for (unsigned l = 0; l < levels; ++l) {
      const Tick from = then >> (bits * l);
      const Tick passed = ((now >> (bits * l)) - from) & (0U - 1U) >> (bits * l);
      if (passed == 0) return;
      TimerHook& to = l == 0 ? heads_->due : heads_->spread;
      for (Tick i = 1; i <= std::min<Tick>(passed, slots); ++i)
        move_all(heads_->slot[l][(from + i) % slots], to);
    }
  }

  // More than 2^31 ticks: `ticks_between` would take what is past for what is to come. All that is armed is
  // due.
  void oversleep() {
    overslept_ = true;
    for (auto& level : heads_->slot)
      for (TimerHook& slot : level) move_all(slot, heads_->due);
    move_all(heads_->spread, heads_->due);
  }

  template <class Fire>
  unsigned take(TimerHook& queue, unsigned limit, Fire& fire) {
    unsigned n = 0;
    for (; n < limit && !empty(queue); ++n) {
      TimerHook& hook = *queue.next;
      prefetch_to_write(hook.next.operator->()); // a cold line each; fetched while `fire` runs
      unlink(hook);
      Record& r = Timer::record(hook);
      if (ticks_between(now_, Timer::due(r)) > 0 && !overslept_) {
        place(hook, Timer::due(r));
      } else {
        List::init(ptr(hook));
        --armed_;
        fire(r);
      }
    }
    return n;
  }

  template <class Good>
  static bool walk(TimerHook& head, Good good, std::size_t& seen) {
    for (TimerHook* h = &head;;) {
      TimerHook* next = h->next.get();
      if (next == nullptr || next->prev != ptr(*h)) return false;
      if (next == &head) return true;
      if (!good(Timer::record(*next))) return false;
      ++seen;
      h = next;
    }
  }

  Heads* heads_;
  std::size_t armed_ = 0;
  Tick now_;
  bool overslept_ = false;
};

} // namespace tern
