// Who was given text since packets became scarce (see tcp::Scarcity::dire): a bit a connection.
#pragma once

#include <cstdint>
#include <string>

#include "base/counters.hpp"
#include "flow/arena.hpp"

namespace tern {

// Packets may become scarce thousands of times a second, and there may be millions of connections: so the bits are not
// cleared at each onset. Each line of them says of which onset it speaks, and is clear of any other.
class GivenMarks {
 public:
  [[nodiscard]] static ArenaRequest request(std::uint32_t connections, const std::string& who) {
    return {who + " marks of scarcity", (std::uint64_t{connections} + per_line - 1) / per_line, sizeof(Line)};
  }
  // `memory`: of that request, zeroed.
  explicit GivenMarks(void* memory) : lines_(static_cast<Line*>(memory)) {}

  void begin() { ++onset_; }
  [[nodiscard]] bool has(std::uint32_t i) const {
    const Line& l = lines_[i / per_line];
    return l.onset == onset_ && (l.bits[word(i)] & bit(i)) != 0;
  }
  void set(std::uint32_t i) {
    Line& l = lines_[i / per_line];
    if (l.onset != onset_) l = {onset_, {}};
    l.bits[word(i)] |= bit(i);
  }
  void clear(std::uint32_t i) {
    if (has(i)) lines_[i / per_line].bits[word(i)] &= ~bit(i);
  }

 private:
  static constexpr std::uint32_t words = 7;
  static constexpr std::uint32_t per_line = 64 * words;
  struct alignas(cache_line) Line {
    std::uint64_t onset = 0;
    std::uint64_t bits[words]{};
  };
  static_assert(sizeof(Line) == cache_line);
  static std::uint32_t word(std::uint32_t i) { return i % per_line / 64; }
  static std::uint64_t bit(std::uint32_t i) { return std::uint64_t{1} << (i % per_line % 64); }

  Line* lines_;
  std::uint64_t onset_ = 0;
};

} // namespace tern
