// Standard output for a program that must not stand still because nobody reads it: what finds no room waits, up to a bound;
// beyond it lines are lost, counted, and told once there is room again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>

namespace tern::app::lb {

class Console {
 public:
  static constexpr std::size_t most = 256U << 10; // bytes that wait

  explicit Console(int fd = 1);
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  // Any thread. `text` ends its line; it is written whole, or lost.
  void say(std::string text);
  // Writes what there is room for, and waits for nobody.
  void flush();
  // At the end: for as long as somebody reads, `patience_ms` since the last that he took.
  void finish(int patience_ms);
  [[nodiscard]] std::uint64_t lost() const;

 private:
  [[nodiscard]] bool write_some(int wait_ms); // false: no room, or nothing to say

  int fd_; // of our own
  mutable std::mutex lock_;
  std::deque<std::string> waiting_;
  std::size_t bytes_ = 0;    // of it
  std::size_t written_ = 0;  // of the first
  std::uint64_t lost_ = 0;   // lines, in all
  std::uint64_t untold_ = 0; // of them
};

// What f() prints to standard output by whatever means, as a string; what was printed before, and not written yet, comes
// first. While it runs nobody else may print. Where f() throws, what it printed goes to standard output as ever;
// where the process dies in it, what it said there dies with it.
[[nodiscard]] std::string printed_by(const std::function<void()>& f);

} // namespace tern::app::lb
