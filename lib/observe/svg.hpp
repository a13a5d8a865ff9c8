// The little that our plots need of SVG: scales, axes, paths. Colours are CSS classes, so one drawing serves
// light and dark.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace tern::observe::svg {

[[nodiscard]] std::string escaped(std::string_view text); // for HTML text and attributes

// The part of a drawing between its axes, in the drawing's own units.
struct Frame {
  double width = 0; // of the whole drawing
  double height = 0;
  double left = 76;
  double right = 16;
  double top = 12;
  double bottom = 40;

  [[nodiscard]] double x0() const { return left; }
  [[nodiscard]] double x1() const { return width - right; }
  [[nodiscard]] double y0() const { return height - bottom; } // the lower edge
  [[nodiscard]] double y1() const { return top; }
};

// Values [low, high] onto positions [from, to], linear or logarithmic. An empty range is widened.
class Scale {
 public:
  Scale(double low, double high, double from, double to, bool logarithmic = false);

  [[nodiscard]] double operator()(double value) const; // clamped to the ends
  [[nodiscard]] double low() const { return low_; }
  [[nodiscard]] double high() const { return high_; }
  // Linear: steps of 1, 2, 2.5 or 5 times a power of ten of `unit`; logarithmic: powers of ten, 2 and 5 times
  // them too if there is room; of a range that holds fewer than two of these, the linear ones.
  [[nodiscard]] std::vector<double> ticks(int about, double unit = 1) const;

 private:
  double low_, high_, from_, to_;
  bool log_;
};

// Where an axis from 0 ends that is to hold `v`: a round number not far above it.
[[nodiscard]] double axis_end(double v);

using Label = std::function<std::string(double)>;

// Grid lines and labels; `title` stands along the axis with its unit.
void x_axis(std::string& out, const Frame& f, const Scale& x, int ticks, const Label& label,
            std::string_view title, double unit = 1);
void y_axis(std::string& out, const Frame& f, const Scale& y, int ticks, const Label& label,
            std::string_view title);

struct Point {
  double x;
  double y;
  bool there = true; // false: a gap
};
// A line through the points, broken at gaps; a lone point is a dot.
void line(std::string& out, const std::vector<Point>& points, std::string_view classes);
// Dotted over each gap, so that what lies behind it is seen to go on from there.
void bridges(std::string& out, const std::vector<Point>& points, std::string_view classes);
void area(std::string& out, const std::vector<Point>& points, double base, std::string_view classes);
void rect(std::string& out, double x, double y, double w, double h, std::string_view classes,
          std::string_view title = {});
void text(std::string& out, double x, double y, std::string_view classes, std::string_view words);

// A column that shows a rule and its words while the pointer is over it.
void hover(std::string& out, const Frame& f, double from, double to, std::string_view title);

[[nodiscard]] std::string open(const Frame& f, std::string_view label); // <svg …><title>
inline constexpr std::string_view close = "</svg>\n";

} // namespace tern::observe::svg
