#include "observe/units.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <span>

namespace tern::observe {
namespace {

// Three significant digits; whole numbers below 10 stay whole where `whole` says that they are counts.
std::string three(double n, bool whole) {
  if (n >= 1e6) return fmt::format("{:.3g}", n); // beyond the last unit
  if (n >= 99.95 || n == 0) return fmt::format("{:.0f}", n);
  if (whole && n == std::floor(n)) return fmt::format("{:.0f}", n);
  return fmt::format("{:.{}f}", n, n >= 9.995 ? 1 : 2);
}

std::string scaled(double n, double step, std::span<const char* const> units, bool whole) {
  std::size_t i = 0;
  // 999.6 would print as 1000: it is one of the next unit.
  while (i + 1 < units.size() && n >= step - 0.5) {
    n /= step;
    ++i;
  }
  return three(n, whole && i == 0) + units[i];
}

} // namespace

std::string grouped(std::uint64_t n) {
  const std::string digits = fmt::format("{}", n);
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i != 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

std::string short_count(double n) {
  static constexpr std::array units{"", "k", "M", "G", "T"};
  return scaled(n, 1000, units, true);
}
std::string short_time_us(double us) {
  if (us == 0) return "0";
  static constexpr std::array units{" ns", " us", " ms", " s"};
  return scaled(us * 1000, 1000, units, true);
}
std::string short_bytes(double n) {
  static constexpr std::array units{" B", " KiB", " MiB", " GiB", " TiB"};
  return scaled(n, 1024, units, true);
}
std::string short_bits(double per_second) {
  static constexpr std::array units{" b/s", " kb/s", " Mb/s", " Gb/s", " Tb/s"};
  return scaled(per_second, 1000, units, true);
}

std::string dpdk_version(const std::string& text) {
  return printable(text.starts_with("DPDK ") ? text : "DPDK " + text);
}

std::string short_share(double share) {
  const double percent = share * 100;
  if (percent <= 0) return "0%";
  if (percent >= 100) return "100%";
  if (percent >= 99.5 || percent < 1) {
    // Two digits of what tells it from 0% and 100%.
    const double rest = percent < 1 ? percent : 100 - percent;
    int digits = 2;
    while (digits < 7 && rest < 9.95 * std::pow(10, -digits)) ++digits;
    return fmt::format("{:.{}f}%", percent, digits);
  }
  return fmt::format("{:.{}f}%", percent, percent < 9.95 ? 1 : 0);
}

std::string printable(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const bool c1 = c == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (c < 0x20 || c == 0x7f || c1) {
      out += '?';
      if (c1) ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

} // namespace tern::observe
