// A run while it runs: a line an interval where the output is piped, a view that redraws itself on a
// terminal.
#pragma once

#include <cstdio>
#include <deque>
#include <string>

#include "observe/result.hpp"

namespace tern::observe {

// Plain lines, in columns. The header is worth repeating every 20 lines or so.
[[nodiscard]] std::string live_header(Side side = Side::client);
[[nodiscard]] std::string live_line(const Interval& v, Side side = Side::client);

// The view: text that redraws what the last call drew. Pure, so that a test can read it.
class Screen {
 public:
  struct Terminal {
    unsigned columns = 80;
    bool colour = true;
    bool unicode = true;
  };
  Screen(std::string title, Terminal terminal, Side side = Side::client)
      : title_(std::move(title)), terminal_(terminal), side_(side) {}

  void resize(unsigned columns) { terminal_.columns = columns; }
  [[nodiscard]] std::string draw(const Interval& v);

 private:
  [[nodiscard]] std::string sparkline(std::size_t width) const;
  [[nodiscard]] std::string gauge(double share) const;
  [[nodiscard]] std::string head(const Interval& v) const;
  [[nodiscard]] std::string paint(const char* code, const std::string& text) const;

  std::string title_;
  Terminal terminal_;
  Side side_;
  std::deque<double> rates_;
  Failures failed_; // so far
  Retransmitted retransmitted_;
  std::uint64_t drops_ = 0;
  unsigned drawn_ = 0; // lines on the terminal
};

// Writes either to a file, as what it is asks for: NO_COLOR, TERM=dumb and the locale are heeded.
class Live {
 public:
  enum class Mode { automatic, lines, quiet };
  Live(std::FILE* out, std::string title, Mode mode = Mode::automatic, Side side = Side::client);

  void show(const Interval& v);

 private:
  std::FILE* out_;
  Mode mode_;
  Side side_;
  bool terminal_;
  unsigned lines_ = 0;
  Screen screen_;
};

} // namespace tern::observe
