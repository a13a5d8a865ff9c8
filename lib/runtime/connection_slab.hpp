// The connection records of one core: last in, first out, and type-stable, so that a stale handle reads a
// generation that does not match rather than somebody else's memory.
#pragma once

#include <cstdint>
#include <new>

#include "base/check.hpp"
#include "base/pool.hpp"
#include "base/published.hpp"
#include "runtime/record.hpp"

namespace tern {

class ConnectionSlab {
 public:
  static constexpr std::uint32_t none = 0xffff'ffff;

  // `memory`: zeroed, sizeof(ConnectionRecord) × capacity, aligned to a cache line.
  ConnectionSlab(void* memory, std::uint32_t capacity)
      : records_(static_cast<ConnectionRecord*>(memory)), capacity_(capacity) {}
  ConnectionSlab(const ConnectionSlab&) = delete;
  ConnectionSlab& operator=(const ConnectionSlab&) = delete;
  ~ConnectionSlab() { unpoison(records_, sizeof(ConnectionRecord) * capacity_); }

  // Null when all are in use. No handle is good for it before show(). The Tcb is whatever it was: open_active
  // and open_passive make it anew.
  [[nodiscard]] ConnectionRecord* take() {
    std::uint32_t index = free_;
    if (index != none) {
      free_ = records_[index].due; // a free record keeps the next one's index where its deadline was
    } else if (fresh_ < capacity_) {
      index = fresh_++;
      ::new (static_cast<void*>(&records_[index])) ConnectionRecord;
    } else {
      return nullptr;
    }
    ConnectionRecord& r = records_[index];
    unpoison(&r.tcb, sizeof r - offsetof(ConnectionRecord, tcb));
    r.hook = TimerHook{};
    r.due = 0;
    // One that is still on the output list keeps its place there: a record stands in it once at most, so the
    // list holds all there can be.
    r.marks = static_cast<std::uint8_t>(ConnectionRecord::in_use | (r.marks & ConnectionRecord::dirty));
    r.hop = 0;
    r.listener = ConnectionRecord::no_listener;
    r.user = 0;
    r.unread = nullptr;
    ++used_;
    return &r;
  }
  // It has its name and its Tcb: from now on handles are good, and other threads see it.
  void show(ConnectionRecord& r) {
    if (r.has(ConnectionRecord::v6)) r.tcb.set(tcp::flag_ipv6);
    if (++generation_ == 0) generation_ = 1; // 0: never a live one
    publish(r.generation, generation_);
  }
  void give_back(ConnectionRecord& r) {
    TERN_DCHECK(r.has(ConnectionRecord::in_use));
    publish(r.generation, 0U); // readers (readers.hpp): first of all
    r.marks = static_cast<std::uint8_t>(r.marks & ConnectionRecord::dirty);
    const FlowKey4 nobody; // matches no packet: port 0 is never looked up
    publish_words(&r.key, &nobody, sizeof nobody);
    r.due = free_;
    free_ = index_of(r);
    --used_;
    poison(&r.tcb, sizeof r - offsetof(ConnectionRecord, tcb));
  }

  [[nodiscard]] ConnectionRecord& at(std::uint32_t index) const { return records_[index]; }
  [[nodiscard]] std::uint32_t index_of(const ConnectionRecord& r) const {
    return static_cast<std::uint32_t>(&r - records_);
  }
  [[nodiscard]] std::uint32_t capacity() const { return capacity_; }
  [[nodiscard]] std::uint32_t used() const { return used_; }
  [[nodiscard]] std::uint32_t fresh() const {
    return fresh_;
  } // records at and above this index were never used

 private:
  ConnectionRecord* records_;
  std::uint32_t capacity_;
  std::uint32_t free_ = none;
  std::uint32_t fresh_ = 0;
  std::uint32_t used_ = 0;
  std::uint32_t generation_ = 0;
};

} // namespace tern
