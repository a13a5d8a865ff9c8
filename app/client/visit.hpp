// One connection as the client that opened it sees it, and the line of those that wait for their turn.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/check.hpp"
#include "base/time.hpp"

namespace tern::app {

//   free → connecting → asking ⇄ waiting → closing → free
//
// A visit stands at its connection's index, so that visits are reused as the records are, last in first out:
// half a cache line each, and no search.
enum class Phase : std::uint8_t {
  free,
  connecting, // our SYN is out
  asking,     // a request is out, its response not whole
  waiting,    // open, in line: for its turn, or until it has thought
  closing,    // the last response is whole
  hostile,    // not a visit: one of the bad clients of --attack; `left` says which Vice
};

struct Visit {
  static constexpr std::uint32_t none = 0xffff'ffff;
  static constexpr std::uint32_t forever = 0xffff'ffff;
  static constexpr std::int64_t unit = 1 << 24;

  Instant since;             // when this step began: the open (as intended), the request, the response's end
  std::uint32_t got = 0;     // bytes of the present response (HTTP: of its body); in line, its number there
  std::uint32_t expect = 0;  // HTTP: bytes that the body, or this chunk of it, still lacks
  std::uint32_t left = 0;    // requests to make after the present one
  std::uint32_t next = none; // in line; while asking, bytes of the request that found no room yet
  std::uint32_t before = none; // in line; while asking, a digest of what HttpReader does not keep
  Phase phase = Phase::free;
  std::uint8_t marks = 0;
  std::uint16_t behind = 0; // how much later than `since` this step really began: 2^24 ns

  enum Mark : std::uint8_t {
    bad = 1,   // a byte was not what it should be
    asked = 2, // made a request
    connected = 4,
    http_body = 8, // the response's head is behind us
    http_chunked = 16,
    http_to_end = 32, // the body ends with the connection
    http_last = 64,   // the server will close after this response
    first_seen = 128, // the response's first byte came
  };
  void begin(Instant now) { since = now, behind = 0; }
  // It counts from when it was due. Its patience does not: who waits for a tester that is late is no slower.
  void begin(Instant due, Instant now) {
    since = due;
    behind =
        static_cast<std::uint16_t>(std::min<std::int64_t>(((now - due).as_ns() + unit - 1) / unit, 0xffff));
  }
  [[nodiscard]] bool tired(Instant now, Duration patience) const {
    return now - since > patience + Duration::ns(unit * behind);
  }
  [[nodiscard]] std::uint32_t& unsent() { return next; }
  [[nodiscard]] std::uint32_t& place() { return got; }
  [[nodiscard]] std::uint32_t& digest() { return before; }
  [[nodiscard]] bool has(unsigned m) const { return (marks & m) != 0; }
  void set(unsigned m) { marks = static_cast<std::uint8_t>(marks | m); }
  void clear(unsigned m) { marks = static_cast<std::uint8_t>(marks & ~m); }
};
static_assert(sizeof(Visit) == 32);

// First in, first out, through the visits themselves: no memory of its own, and one who leaves early costs no
// search.
class Line {
 public:
  [[nodiscard]] std::uint32_t size() const { return size_; }
  [[nodiscard]] std::uint32_t first() const { return first_; }
  void join(Visit* all, std::uint32_t i) {
    all[i].next = Visit::none;
    all[i].before = last_;
    (last_ == Visit::none ? first_ : all[last_].next) = i;
    last_ = i;
    all[i].place() = joined_++;
    if (next_aim_ == Visit::none) next_aim_ = i;
    ++size_;
  }
  // Calls `aim(i)` for those that are soon the first, once each: by then what is known of them can be in the cache.
  template <class Aim>
  void aim(Visit* all, Aim&& aim) {
    constexpr std::uint32_t ahead = 8;
    while (next_aim_ != Visit::none && all[next_aim_].place() - all[first_].place() < ahead) {
      aim(next_aim_);
      next_aim_ = all[next_aim_].next;
    }
  }
  void leave(Visit* all, std::uint32_t i) {
    TERN_DCHECK(size_ != 0);
    const Visit& v = all[i];
    if (next_aim_ == i) next_aim_ = v.next;
    (v.before == Visit::none ? first_ : all[v.before].next) = v.next;
    (v.next == Visit::none ? last_ : all[v.next].before) = v.before;
    --size_;
  }

 private:
  std::uint32_t first_ = Visit::none;
  std::uint32_t last_ = Visit::none;
  std::uint32_t size_ = 0;
  std::uint32_t joined_ = 0; // so far
  std::uint32_t next_aim_ = Visit::none;
};

} // namespace tern::app
