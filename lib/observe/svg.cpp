#include "observe/svg.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

namespace tern::observe::svg {

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

Scale::Scale(double low, double high, double from, double to, bool logarithmic)
    : low_(low), high_(high), from_(from), to_(to), log_(logarithmic) {
  if (log_) {
    low_ = std::max(low_, 1e-3);
    if (high_ <= low_ * 1.0001) high_ = low_ * 10;
  } else if (high_ <= low_) {
    high_ = low_ + 1;
  }
}

double Scale::operator()(double value) const {
  const double v = std::clamp(value, low_, high_);
  const double share = log_ ? std::log(v / low_) / std::log(high_ / low_) : (v - low_) / (high_ - low_);
  return from_ + share * (to_ - from_);
}

namespace {
template <std::size_t N>
double round_above(double v, const std::array<double, N>& steps) {
  if (v <= 0) return 1;
  const double power = std::pow(10, std::floor(std::log10(v)));
  for (const double k : steps)
    if (v <= k * power * (1 + 1e-9)) return k * power;
  return 10 * power;
}
constexpr std::array step_sizes{1.0, 2.0, 2.5, 5.0};
constexpr std::array end_sizes{1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0};
} // namespace

double axis_end(double v) {
  return round_above(v, end_sizes);
}

std::vector<double> Scale::ticks(int about, double unit) const {
  std::vector<double> out;
  if (!log_) {
    const double step = unit * round_above((high_ - low_) / about / unit, step_sizes);
    // Counted, not added up: far from 0 a step may be less than what the number's last digit stands for.
    const double first = std::ceil(low_ / step - 1e-9);
    const double steps = std::min(std::floor(high_ / step + 1e-9) - first, 10.0 * about);
    for (int i = 0; i <= steps; ++i) {
      const double v = (first + i) * step;
      out.push_back(std::abs(v) < step * 1e-9 ? 0 : v);
    }
    return out;
  }
  const double decades = std::log10(high_ / low_);
  for (double power = std::pow(10, std::floor(std::log10(low_))); power <= high_ * 1.0001; power *= 10)
    for (const double k : {1.0, 2.0, 5.0}) {
      if (k != 1.0 && decades * 3 > about * 1.4) continue; // 1, 2, 5 only where there is room
      if (k * power >= low_ * 0.9999 && k * power <= high_ * 1.0001) out.push_back(k * power);
    }
  // Between two of them all values may lie.
  if (out.size() < 2) return Scale{low_, high_, from_, to_}.ticks(about, unit);
  return out;
}

namespace {
template <class... A>
void put(std::string& out, fmt::format_string<A...> format, A&&... args) {
  fmt::format_to(std::back_inserter(out), format, std::forward<A>(args)...);
}
} // namespace

// A tick stands on a round number: "50 us", not "50.0 us".
namespace {
std::string round_label(std::string words) {
  const auto point = words.find('.');
  if (point == words.npos) return words;
  auto end = words.find_first_not_of("0123456789", point + 1);
  if (end == words.npos) end = words.size();
  auto keep = words.find_last_not_of('0', end - 1);
  if (keep == point) --keep;
  return words.erase(keep + 1, end - keep - 1);
}
} // namespace

void text(std::string& out, double x, double y, std::string_view classes, std::string_view words) {
  put(out, "<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"{}\">{}</text>\n", x, y, classes, escaped(words));
}

void x_axis(std::string& out, const Frame& f, const Scale& x, int ticks, const Label& label,
            std::string_view title, double unit) {
  put(out, "<path class=\"axis\" d=\"M{:.1f} {:.1f}H{:.1f}\"/>\n", f.x0(), f.y0(), f.x1());
  for (const double v : x.ticks(ticks, unit)) {
    put(out, "<path class=\"axis\" d=\"M{:.1f} {:.1f}v4\"/>\n", x(v), f.y0());
    text(out, x(v), f.y0() + 16, "tick mid", round_label(label(v)));
  }
  text(out, (f.x0() + f.x1()) / 2, f.height - 4, "name mid", title);
}

void y_axis(std::string& out, const Frame& f, const Scale& y, int ticks, const Label& label,
            std::string_view title) {
  for (const double v : y.ticks(ticks)) {
    put(out, "<path class=\"grid\" d=\"M{:.1f} {:.1f}H{:.1f}\"/>\n", f.x0(), y(v), f.x1());
    text(out, f.x0() - 8, y(v) + 4, "tick end", round_label(label(v)));
  }
  put(out, "<text class=\"name mid\" transform=\"translate(13 {:.1f}) rotate(-90)\">{}</text>\n",
      (f.y0() + f.y1()) / 2, escaped(title));
}

void line(std::string& out, const std::vector<Point>& points, std::string_view classes) {
  std::string d;
  bool drawing = false;
  for (const auto& p : points) {
    if (!p.there) {
      drawing = false;
      continue;
    }
    // The 0.01 makes a dot, by its round cap, of a point without neighbours.
    if (drawing)
      put(d, "L{:.1f} {:.1f}", p.x, p.y);
    else
      put(d, "M{:.1f} {:.1f}h.01", p.x, p.y);
    drawing = true;
  }
  if (!d.empty()) put(out, "<path class=\"line {}\" d=\"{}\"/>\n", classes, d);
}

void bridges(std::string& out, const std::vector<Point>& points, std::string_view classes) {
  std::string d;
  const Point* before = nullptr;
  for (const auto& p : points) {
    if (!p.there) continue;
    if (before != nullptr && before + 1 != &p)
      put(d, "M{:.1f} {:.1f}L{:.1f} {:.1f}", before->x, before->y, p.x, p.y);
    before = &p;
  }
  if (!d.empty()) put(out, "<path class=\"line gap {}\" d=\"{}\"/>\n", classes, d);
}

void area(std::string& out, const std::vector<Point>& points, double base, std::string_view classes) {
  if (points.empty()) return;
  std::string d;
  put(d, "M{:.1f} {:.1f}", points.front().x, base);
  for (const auto& p : points) put(d, "L{:.1f} {:.1f}", p.x, p.there ? p.y : base);
  put(out, "<path class=\"{}\" d=\"{}V{:.1f}Z\"/>\n", classes, d, base);
}

void rect(std::string& out, double x, double y, double w, double h, std::string_view classes,
          std::string_view title) {
  put(out, "<rect x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" height=\"{:.2f}\" class=\"{}\"", x, y, w, h,
      classes);
  if (title.empty())
    out += "/>\n";
  else
    put(out, "><title>{}</title></rect>\n", escaped(title));
}

void hover(std::string& out, const Frame& f, double from, double to, std::string_view title) {
  put(out,
      "<g class=\"col\"><rect x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" height=\"{:.1f}\"/><path "
      "d=\"M{:.1f} "
      "{:.1f}V{:.1f}\"/><title>{}</title></g>\n",
      from, f.y1(), to - from, f.y0() - f.y1(), (from + to) / 2, f.y1(), f.y0(), escaped(title));
}

std::string open(const Frame& f, std::string_view label) {
  return fmt::format("<svg viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"{}\">\n", f.width,
                     f.height, escaped(label));
}

} // namespace tern::observe::svg
