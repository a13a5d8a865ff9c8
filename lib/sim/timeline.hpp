// Virtual time: a queue of events, taken in order of time and, at one time, in the order they were put in.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/check.hpp"
#include "base/time.hpp"

namespace tern::sim {

template <class Event>
class Timeline {
 public:
  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] bool empty() const { return heap_.empty(); }
  [[nodiscard]] std::size_t size() const { return heap_.size(); }
  [[nodiscard]] Instant next_at() const { return heap_.front().at; } // only if not empty

  void put(Instant at, Event e) {
    TERN_CHECK(at >= now_); // nothing happens in the past
    std::uint32_t slot = 0;
    if (free_.empty()) {
      slot = static_cast<std::uint32_t>(slots_.size());
      slots_.push_back(std::move(e));
    } else {
      slot = free_.back();
      free_.pop_back();
      slots_[slot] = std::move(e);
    }
    heap_.push_back({at, serial_++, slot});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  // Moves the clock to the earliest event and hands it over. Only if not empty.
  [[nodiscard]] Event take() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const Key k = heap_.back();
    heap_.pop_back();
    TERN_CHECK(k.at >= now_);
    now_ = k.at;
    free_.push_back(k.slot);
    return std::move(slots_[k.slot]);
  }
  // Lets time pass in which nothing happens.
  void advance_to(Instant t) {
    TERN_CHECK(t >= now_ && (heap_.empty() || next_at() >= t));
    now_ = t;
  }

 private:
  struct Key {
    Instant at;
    std::uint64_t serial;
    std::uint32_t slot;
  };
  static bool later(const Key& a, const Key& b) { return a.at != b.at ? a.at > b.at : a.serial > b.serial; }

  std::vector<Key> heap_;
  std::vector<Event> slots_;
  std::vector<std::uint32_t> free_;
  std::uint64_t serial_ = 0;
  Instant now_;
};

} // namespace tern::sim
