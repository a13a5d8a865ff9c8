#include "observe/live.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

#include "observe/units.hpp"

namespace tern::observe {
namespace {

constexpr std::size_t history = 240; // rates kept for the sparkline

std::string count(std::uint64_t n) {
  return short_count(static_cast<double>(n));
}

// Eight cores one by one; more as their mean and the busiest.
std::string core_shares(const std::vector<CoreLoad>& cores) {
  std::string out;
  if (cores.size() <= 8) {
    for (const auto& c : cores) out += fmt::format(" {:.0f}%", c.busy * 100);
    return out;
  }
  double sum = 0;
  double most = 0;
  for (const auto& c : cores) sum += c.busy, most = std::max(most, c.busy);
  return fmt::format(" mean {:.0f}% most {:.0f}%", sum / static_cast<double>(cores.size()) * 100, most * 100);
}

// Columns that UTF-8 text takes: none of ours is wide, so one a code point, escape sequences none.
std::string clipped(const std::string& line, unsigned columns) {
  std::string out;
  unsigned used = 0;
  bool escape = false;
  for (const char c : line) {
    if (c == '\x1b') escape = true;
    const bool begins = (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    if (!escape && begins && ++used > columns) continue;
    if (!escape && used > columns) continue;
    out += c;
    if (escape && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))) escape = false;
  }
  return out;
}

std::string failure_text(const Failures& f, Side side) {
  std::string out = grouped(f.total());
  const char* lead = " (";
  for (const Cause& cause : causes_of(side)) {
    const std::uint64_t n = f.*cause.n;
    if (n == 0) continue;
    out += fmt::format("{}{} {}", std::exchange(lead, ", "), cause.name, count(n));
  }
  return f.total() == 0 ? out : out + ")";
}

// What is worth a curve: a server's clients may all end by a reset.
double rate_of(const Interval& v, Side side) {
  return side == Side::server ? v.per_second(v.established) : v.cps();
}
std::string bits(const Interval& v, std::uint64_t bytes) {
  return short_bits(v.per_second(bytes) * 8);
}

} // namespace

std::string live_header(Side side) {
  if (side == Side::server)
    return fmt::format(
        "{:>7} {:>10} {:>7} {:>8} {:>7} {:>9} {:>7} {:>7} {:>7} {:>9} {:>9} {:>7} {:>7}  busy\n", "t",
        "accepted/s", "req/s", "closed/s", "open", "TIME-WAIT", "failed", "in/s", "out/s", "in", "out",
        "resent", "dropped");
  return fmt::format("{:>7} {:>9} {:>7} {:>9} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7} {:>7}  busy\n", "t",
                     "conn/s", "open", "TIME-WAIT", "p50", "p99", "p99.9", "max", "failed", "resent",
                     "dropped");
}

std::string live_line(const Interval& v, Side side) {
  if (side == Side::server)
    return fmt::format(
        "{:>6.1f}s {:>10} {:>7} {:>8} {:>7} {:>9} {:>7} {:>7} {:>7} {:>9} {:>9} {:>7} {:>7} {}\n", v.t,
        short_count(v.per_second(v.established)), short_count(v.per_second(v.requests)), short_count(v.cps()),
        count(v.live), count(v.time_wait), count(v.failed.total()), short_count(v.per_second(v.rx_packets)),
        short_count(v.per_second(v.tx_packets)), bits(v, v.rx_bytes), bits(v, v.tx_bytes),
        count(v.retransmitted.total()), count(v.drops), core_shares(v.cores));
  const Latency& l = v.latency_us.response;
  return fmt::format("{:>6.1f}s {:>9} {:>7} {:>9} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7} {:>7} {}\n", v.t,
                     short_count(v.cps()), count(v.live), count(v.time_wait), short_time_us(l.p50),
                     short_time_us(l.p99), short_time_us(l.p999), short_time_us(l.max),
                     count(v.failed.total()), count(v.retransmitted.total()), count(v.drops),
                     core_shares(v.cores));
}

std::string Screen::sparkline(std::size_t width) const {
  static constexpr std::array blocks{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  static constexpr std::array ascii{"_", ".", ":", "-", "=", "+", "*", "#"};
  const auto& steps = terminal_.unicode ? blocks : ascii;
  const std::size_t n = std::min(width, rates_.size());
  const auto first = rates_.end() - static_cast<std::ptrdiff_t>(n);
  const double top = n == 0 ? 0 : *std::max_element(first, rates_.end());
  std::string out;
  for (auto it = first; it != rates_.end(); ++it) {
    const double share = top > 0 ? *it / top : 0;
    out += steps[static_cast<std::size_t>(std::clamp(std::lround(share * 7), 0L, 7L))];
  }
  return out;
}

std::string Screen::gauge(double share) const {
  constexpr int width = 20;
  const int full = static_cast<int>(std::clamp(std::lround(share * width), 0L, long{width}));
  std::string out;
  for (int i = 0; i < width; ++i) {
    if (terminal_.unicode)
      out += i < full ? "█" : "░";
    else
      out += i < full ? '#' : '.';
  }
  return out;
}

std::string Screen::paint(const char* code, const std::string& text) const {
  return terminal_.colour ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
}

std::string Screen::head(const Interval& v) const {
  const auto seconds = static_cast<std::uint64_t>(v.t);
  const std::string rate = short_count(rate_of(v, side_)) + (side_ == Side::server ? "/s accepted" : "/s");
  const std::string lead = fmt::format("{} {:02}:{:02}  ", title_, seconds / 60, seconds % 60);
  const std::size_t taken = lead.size() + rate.size() + 2;
  return paint("1", lead) + paint("1;36", rate) + "  " +
         paint("36", sparkline(terminal_.columns > taken ? terminal_.columns - taken : 0));
}

std::string Screen::draw(const Interval& v) {
  rates_.push_back(rate_of(v, side_));
  if (rates_.size() > history) rates_.pop_front();
  failed_ += v.failed;
  retransmitted_ += v.retransmitted;
  drops_ += v.drops;

  const auto stage = [](const char* name, const Latency& l) {
    return fmt::format("  {:<10} p50 {:>8}  p99 {:>8}  p99.9 {:>8}  max {:>8}", name, short_time_us(l.p50),
                       short_time_us(l.p99), short_time_us(l.p999), short_time_us(l.max));
  };
  std::vector<std::string> lines{head(v)};
  if (side_ == Side::server) {
    lines.push_back(fmt::format("  requests {}/s   closed in order {}/s",
                                short_count(v.per_second(v.requests)), short_count(v.cps())));
    lines.push_back(fmt::format("  in {:>9}  out {:>9}", bits(v, v.rx_bytes), bits(v, v.tx_bytes)));
  } else {
    lines.push_back(stage("connect", v.latency_us.connect));
    lines.push_back(stage("response", v.latency_us.response));
  }
  lines.push_back(fmt::format("  open {}   TIME-WAIT {}   packets in {}/s out {}/s", grouped(v.live),
                              count(v.time_wait), short_count(v.per_second(v.rx_packets)),
                              short_count(v.per_second(v.tx_packets))));
  const std::string failed = "failed " + failure_text(failed_, side_);
  lines.push_back("  " + (failed_.total() == 0 ? failed : paint("1;31", failed)));
  lines.push_back(
      fmt::format("  retransmitted {}   dropped {}", grouped(retransmitted_.total()), grouped(drops_)));
  constexpr std::size_t most = 16; // a view taller than the terminal cannot be redrawn
  for (std::size_t i = 0; i < std::min(most, v.cores.size()); ++i) {
    const CoreLoad& c = v.cores[i];
    lines.push_back(fmt::format("  core {:<3} {:<7} {} {:>4.0f}%", c.core, c.role,
                                paint(c.busy > 0.95 ? "33" : "32", gauge(c.busy)), c.busy * 100));
  }
  if (v.cores.size() > most) lines.push_back("  all cores" + core_shares(v.cores));

  std::string out = drawn_ == 0 ? "" : fmt::format("\x1b[{}F", drawn_);
  for (const auto& line : lines) out += clipped(line, terminal_.columns) + "\x1b[K\n";
  drawn_ = static_cast<unsigned>(lines.size());
  return out + "\x1b[J";
}

namespace {

unsigned columns_of(std::FILE* out) {
  winsize size{};
  return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col != 0 ? size.ws_col : 80;
}

std::string_view variable(const char* name) {
  const char* v = std::getenv(name);
  return v == nullptr ? "" : v;
}

bool says_utf8(std::string_view locale) {
  return locale.find("UTF-8") != locale.npos || locale.find("utf8") != locale.npos;
}

Screen::Terminal terminal_of(std::FILE* out) {
  std::string_view locale = variable("LC_ALL");
  if (locale.empty()) locale = variable("LC_CTYPE");
  if (locale.empty()) locale = variable("LANG");
  return {.columns = columns_of(out), .colour = variable("NO_COLOR").empty(), .unicode = says_utf8(locale)};
}

} // namespace

Live::Live(std::FILE* out, std::string title, Mode mode, Side side)
    : out_(out),
      mode_(mode),
      side_(side),
      terminal_(mode == Mode::automatic && isatty(fileno(out)) == 1 && variable("TERM") != "dumb"),
      screen_(std::move(title), terminal_of(out), side) {}

void Live::show(const Interval& v) {
  if (mode_ == Mode::quiet) return;
  std::string text;
  if (terminal_) {
    screen_.resize(columns_of(out_));
    text = screen_.draw(v);
  } else {
    if (lines_++ % 20 == 0) text = live_header(side_);
    text += live_line(v, side_);
  }
  std::fwrite(text.data(), 1, text.size(), out_);
  std::fflush(out_);
}

} // namespace tern::observe
